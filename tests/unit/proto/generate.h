/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A deterministic generator of msgpack, for the tests of this room: every format of the
 * specification, in encodings that need not be the shortest.  It writes bytes by hand, so that it
 * shares no code with what it tests.  The seed is printed; VMREQ_SEED in the environment sets
 * another.
 */

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GEN_BYTES 4096

struct gen {
        uint64_t state;
        uint8_t bytes[GEN_BYTES];
        size_t len;
        size_t values;
};

static inline void gen_init(struct gen *gen, const char *test)
{
        const char *seed = getenv("VMREQ_SEED");

        *gen = (struct gen){.state = seed ? strtoull(seed, NULL, 0) : 0x766d726571};
        printf("%s: VMREQ_SEED=0x%" PRIx64 "\n", test, gen->state);
}

/* splitmix64's step, which is all the randomness a test needs. */
static inline uint64_t gen_next(struct gen *gen)
{
        uint64_t z = gen->state += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
}

static inline size_t gen_below(struct gen *gen, size_t n)
{
        return gen_next(gen) % n;
}

static inline void gen_byte(struct gen *gen, unsigned byte)
{
        assert(gen->len < GEN_BYTES);
        gen->bytes[gen->len++] = (uint8_t)byte;
}

static inline void gen_be(struct gen *gen, uint64_t value, unsigned width)
{
        while (width-- > 0)
                gen_byte(gen, (unsigned)(value >> 8 * width) & 0xff);
}

static inline void gen_body(struct gen *gen, size_t n)
{
        while (n-- > 0)
                gen_byte(gen, (unsigned)gen_below(gen, 256));
}

/* A value without children; `format` picks one of the 27 formats that have none. */
static inline void gen_leaf(struct gen *gen, size_t format)
{
        static const uint8_t plain[] = {0xc0, 0xc2, 0xc3};
        static const uint8_t widths[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8}; /* ca … d3 */
        size_t n = gen_below(gen, 20);

        if (format < 3) {
                gen_byte(gen, plain[format]);
        } else if (format < 13) {
                gen_byte(gen, 0xca + (unsigned)format - 3);
                gen_body(gen, widths[format - 3]);
        } else if (format < 16) { /* bin */
                gen_byte(gen, 0xc4 + (unsigned)format - 13);
                gen_be(gen, n, 1u << (format - 13));
                gen_body(gen, n);
        } else if (format < 19) { /* ext */
                gen_byte(gen, 0xc7 + (unsigned)format - 16);
                gen_be(gen, n, 1u << (format - 16));
                gen_body(gen, n + 1);
        } else if (format < 22) { /* str */
                gen_byte(gen, 0xd9 + (unsigned)format - 19);
                gen_be(gen, n, 1u << (format - 19));
                gen_body(gen, n);
        } else if (format < 24) { /* fixext */
                n = gen_below(gen, 5);
                gen_byte(gen, 0xd4 + (unsigned)n);
                gen_body(gen, 1 + ((size_t)1 << n));
        } else if (format < 25) {
                n = gen_below(gen, 32);
                gen_byte(gen, 0xa0 + (unsigned)n);
                gen_body(gen, n);
        } else { /* fixints */
                gen_byte(gen,
                         (unsigned)(format < 26 ? gen_below(gen, 128) : 0xe0 + gen_below(gen, 32)));
        }
}

static inline void gen_header(struct gen *gen, bool map, size_t n)
{
        switch (gen_below(gen, 3)) {
        case 0:
                gen_byte(gen, (map ? 0x80 : 0x90) + (unsigned)n);
                break;
        case 1:
                gen_byte(gen, map ? 0xde : 0xdc);
                gen_be(gen, n, 2);
                break;
        default:
                gen_byte(gen, map ? 0xdf : 0xdd);
                gen_be(gen, n, 4);
                break;
        }
}

/* Any value, containers no deeper than `depth` levels. */
static inline void gen_value(struct gen *gen, unsigned depth)
{
        size_t kind = gen_below(gen, 40), n = gen_below(gen, 5);

        gen->values++;
        if (kind < 27 || depth == 0 || gen->len > GEN_BYTES / 2) {
                gen_leaf(gen, kind % 27);
                return;
        }
        gen_header(gen, kind & 1, n);
        for (size_t i = 0; i < (kind & 1 ? 2 * n : n); i++)
                gen_value(gen, depth - 1);
}

/*
 * A frame: an outer array of up to 7 values.  The generator's bytes, len and values are then its
 * own.
 */
static inline void gen_frame(struct gen *gen)
{
        size_t n = gen_below(gen, 8);

        gen->len = 0;
        gen->values = 1;
        gen_header(gen, false, n);
        for (size_t i = 0; i < n; i++)
                gen_value(gen, (unsigned)gen_below(gen, 8));
}

/* A copy in a block of exactly that size, so that a sanitizer sees each byte read beyond. */
static inline uint8_t *exact_copy(const void *bytes, size_t len)
{
        uint8_t *copy = malloc(len > 0 ? len : 1);

        assert(copy);
        if (len > 0)
                memcpy(copy, bytes, len);
        return copy;
}
