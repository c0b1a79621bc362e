/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the fuzz targets share.  A target is one function over one input; libFuzzer calls it (the
 * preset "fuzz"), or replay.c does with the files of its corpus (every other build).
 *
 * An input begins with the target's control bytes, drawn by the functions below, and ends with what
 * is the target's subject: a frame, a stream, a text.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What must hold for any input.  Never compiled out; the message names the check, not the input. */
#define FUZZ_CHECK(condition)                                                                      \
        do {                                                                                       \
                if (!(condition))                                                                  \
                        fuzz_fail(#condition, __FILE__, __LINE__);                                 \
        } while (0)

static inline void __attribute__((noreturn))
fuzz_fail(const char *condition, const char *file, int line)
{
        (void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
        abort();
}

/* What is left of an input. */
struct fuzz_input {
        const uint8_t *data;
        size_t len;
};

/* The next byte; 0 when there is none. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
        if (input->len == 0)
                return 0;
        input->len--;
        return *input->data++;
}

/* The next `n` bytes as a number, most significant first. */
static inline uint64_t fuzz_number(struct fuzz_input *input, unsigned n)
{
        uint64_t number = 0;

        while (n-- > 0)
                number = number << 8 | fuzz_byte(input);
        return number;
}

/* The next bytes, at most `n`: a piece of the input. */
static inline struct fuzz_input fuzz_take(struct fuzz_input *input, size_t n)
{
        struct fuzz_input piece = {input->data, n < input->len ? n : input->len};

        input->data += piece.len;
        input->len -= piece.len;
        return piece;
}

/* clock.c: lets time pass, for everything in this process; what CLOCK_MONOTONIC says. */
void fuzz_pass(uint64_t ns);
uint64_t fuzz_now(void);

/*
 * mutate.c: changes one msgpack value somewhere in data[0..len) as a value: another type, another
 * number, a header that lies, a value twice, one less, one inside another.  Returns the new length,
 * at most max; 0 if there was nothing to change.
 */
size_t fuzz_mutate_value(uint8_t *data, size_t len, size_t max, uint32_t seed);
