/* SPDX-License-Identifier: MIT */
/*
 * Mutations that know msgpack: bytes alone seldom become another well-formed value, since a header
 * counts what follows it.  A value is picked anywhere in the input, its extent found as the scanner
 * does, and replaced, doubled, removed, wrapped or lied about, and the count of the container
 * around it is kept right, mostly.
 */
#include <string.h>

#include "fuzz.h"
#include "proto/frame.h"

#define SPOTS_MAX 256

struct mutation {
        uint8_t *data;
        size_t len, max;
        uint64_t random;
};

/* A value, and the header that counts it. */
struct spot {
        size_t at, end, container; /* container: of the header; SIZE_MAX: none */
};

static uint64_t draw(struct mutation *m, uint64_t n)
{
        uint64_t z = m->random += 0x9e3779b97f4a7c15ull; /* splitmix64 */

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        return (z ^ z >> 31) % n;
}

/* Values in data[at..), those inside containers too. */
static size_t find_spots(const struct mutation *m, size_t at, size_t container, struct spot *spots,
                         size_t n, unsigned depth)
{
        uint32_t count;
        size_t first, end = proto_frame_skip(m->data, m->len, at);

        if (end == 0 || n == SPOTS_MAX || depth > 40)
                return n;
        spots[n++] = (struct spot){at, end, container};
        first = proto_frame_enter(m->data, m->len, at, &count);
        for (uint32_t i = 0; first && i < count && n < SPOTS_MAX; i++) {
                n = find_spots(m, first, at, spots, n, depth + 1);
                first = proto_frame_skip(m->data, m->len, first);
        }
        return n;
}

/* A small header's count goes up or down with its content. */
static void adjust(struct mutation *m, const struct spot *spot, int by)
{
        uint8_t *head;

        if (spot->container == SIZE_MAX)
                return;
        head = &m->data[spot->container];
        if ((*head & 0xf0) == 0x90 && (by < 0 ? (*head & 15) > 0 : (*head & 15) < 15))
                *head = (uint8_t)(*head + by);
        else if ((*head & 0xf0) == 0x80 && draw(m, 4) == 0 &&
                 (by < 0 ? (*head & 15) > 0 : (*head & 15) < 15))
                *head = (uint8_t)(*head + by);
}

static bool replace(struct mutation *m, size_t at, size_t end, const uint8_t *with, size_t n)
{
        if (m->len - (end - at) + n > m->max)
                return false;
        memmove(m->data + at + n, m->data + end, m->len - end);
        memcpy(m->data + at, with, n);
        m->len = m->len - (end - at) + n;
        return true;
}

/* Something well-formed, with a liking for the borders. */
static size_t make_value(struct mutation *m, uint8_t *to)
{
        static const struct {
                uint8_t len, bytes[12];
        } values[] = {
                {1, {0x00}},
                {1, {0x7f}},
                {1, {0xff}},
                {1, {0xe0}},
                {1, {0xc0}},
                {1, {0xc2}},
                {1, {0xc3}},
                {1, {0x90}},
                {1, {0x80}},
                {1, {0xa0}},
                {2, {0xcc, 0x80}},
                {2, {0xcc, 0xff}},
                {2, {0xd0, 0x80}},
                {2, {0xd0, 0x05}},
                {3, {0xcd, 0x01, 0x00}},
                {3, {0xcd, 0xff, 0xff}},
                {3, {0xd1, 0x80, 0x00}},
                {5, {0xce, 0x00, 0x01, 0x00, 0x00}},
                {5, {0xce, 0xff, 0xff, 0xff, 0xff}},
                {5, {0xd2, 0x80, 0x00, 0x00, 0x00}},
                {9, {0xcf, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00}},
                {9, {0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
                {9, {0xcf, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}},
                {9, {0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
                {9, {0xd3, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}},
                {5, {0xca, 0x3f, 0x80, 0x00, 0x00}},
                {5, {0xca, 0x7f, 0xc0, 0x00, 0x00}},
                {9, {0xcb, 0x3f, 0xf0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}},
                {9, {0xcb, 0x7f, 0xf0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}},
                {2, {0xa1, 'x'}},
                {3, {0xa2, 0xff, 0xfe}},
                {5, {0xa4, '0', 'x', '1', 'f'}},
                {2, {0xc4, 0x00}},
                {4, {0xc4, 0x02, 0x00, 0x01}},
                {3, {0xd4, 0x05, 0x00}},
                {3, {0xc7, 0x00, 0x01}},
                {3, {0xdc, 0x00, 0x00}},
                {5, {0xdf, 0x00, 0x00, 0x00, 0x00}},
                {3, {0x92, 0x01, 0x02}},
                {4, {0x81, 0xa1, 'a', 0x01}},
                {5, {0x82, 0x01, 0x01, 0x01, 0x02}},
        };
        size_t i = (size_t)draw(m, sizeof(values) / sizeof(values[0]));

        memcpy(to, values[i].bytes, values[i].len);
        return values[i].len;
}

static bool double_it(struct mutation *m, const struct spot *spot)
{
        size_t n = spot->end - spot->at;

        if (m->len + n > m->max)
                return false;
        memmove(m->data + spot->end + n, m->data + spot->end, m->len - spot->end);
        memcpy(m->data + spot->end, m->data + spot->at, n);
        m->len += n;
        adjust(m, spot, 1);
        return true;
}

static bool copy_over(struct mutation *m, const struct spot *from, const struct spot *to)
{
        uint8_t copy[512];
        size_t n = from->end - from->at;

        if (n > sizeof(copy))
                return false;
        memcpy(copy, m->data + from->at, n);
        return replace(m, to->at, to->end, copy, n);
}

/* A header that counts otherwise, or otherwise encoded. */
static bool lie(struct mutation *m, const struct spot *spot)
{
        static const uint8_t heads[][6] = {
                {0xdd, 0xff, 0xff, 0xff, 0xff}, {0xdf, 0x7f, 0xff, 0xff, 0xff},
                {0xdb, 0x00, 0x10, 0x00, 0x00}, {0xc6, 0xff, 0xff, 0xff, 0xff},
                {0xc9, 0xff, 0xff, 0xff, 0xff}, {0xdc, 0x00, 0x03, 0xc0, 0xc0},
        };
        uint8_t *head = &m->data[spot->at];

        switch (draw(m, 3)) {
        case 0:
                *head = (uint8_t)(*head + 1);
                return true;
        case 1:
                *head = (uint8_t)(*head ^ (1u << draw(m, 8)));
                return true;
        default:
                return replace(m, spot->at, spot->at + 1, heads[draw(m, 6)], 5);
        }
}

static bool change(struct mutation *m, const struct spot *spots, size_t n)
{
        const struct spot *spot = &spots[draw(m, n)];
        uint8_t value[16], wrapped = draw(m, 2) ? 0x91 : 0x81;
        size_t len;

        switch (draw(m, 9)) {
        case 0:
        case 1:
                len = make_value(m, value);
                return replace(m, spot->at, spot->end, value, len);
        case 2:
                return double_it(m, spot);
        case 3:
                adjust(m, spot, -1);
                return replace(m, spot->at, spot->end, value, 0);
        case 4:
                return lie(m, spot);
        case 5:
                value[0] = wrapped;
                value[1] = 0xa0; /* the key of a map */
                return replace(m, spot->at, spot->at, value, wrapped == 0x91 ? 1 : 2);
        case 6:
                return copy_over(m, &spots[draw(m, n)], spot);
        case 7: /* one more, where a container begins to count */
                len = make_value(m, value);
                adjust(m, spot, 1);
                return replace(m, spot->at, spot->at, value, len);
        default: /* a byte of it */
                m->data[spot->at + draw(m, spot->end - spot->at)] = (uint8_t)draw(m, 256);
                return true;
        }
}

size_t fuzz_mutate_value(uint8_t *data, size_t len, size_t max, uint32_t seed)
{
        struct mutation m = {data, len, max, seed};
        struct spot spots[SPOTS_MAX];
        size_t begin, n = 0;

        if (len == 0)
                return 0;
        /* Where a value begins is not known to whoever calls: the first array from some byte on. */
        begin = (size_t)draw(&m, 3) ? 0 : (size_t)draw(&m, len);
        for (; begin < len && n == 0; begin++)
                if ((data[begin] & 0xf0) == 0x90)
                        n = find_spots(&m, begin, SIZE_MAX, spots, 0, 0);
        if (n == 0 || !change(&m, spots, n))
                return 0;
        return m.len;
}

#ifdef VMREQ_FUZZ

size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed)
{
        size_t n = seed % 3 ? fuzz_mutate_value(data, len, max, seed) : 0;

        return n ? n : LLVMFuzzerMutate(data, len, max);
}

#endif
