/* SPDX-License-Identifier: MIT */
/*
 * The frame scanner against a scanner that knows the format in another way: recursive, over the
 * whole input, without state.  Both must agree on the verdict and on everything that the scanner
 * notes; and it must not matter in which pieces the bytes arrive.  What small.c takes must be what
 * scanner and decoder make of it.
 *
 * Input: 2 bytes the cap (the high bit set: a large one), 1 byte the pieces, then the frame.
 */
#include <string.h>

#include <msgpack.h>

#include "fuzz.h"
#include "proto/frame.h"
#include "proto/small.h"

/* ---- what the format says, byte by byte ---- */

struct shape {
        unsigned head; /* bytes of the header */
        unsigned body; /* fixed bytes behind it */
        unsigned length_bytes;
        bool is_container, is_map, is_bytes, is_ext, is_undefined;
        uint64_t fixed_count;
};

static struct shape shape_of(uint8_t b)
{
        if (b <= 0x7f || b >= 0xe0)
                return (struct shape){.head = 1};
        if (b <= 0x8f)
                return (struct shape){
                        .head = 1, .is_container = true, .is_map = true, .fixed_count = b & 15};
        if (b <= 0x9f)
                return (struct shape){.head = 1, .is_container = true, .fixed_count = b & 15};
        if (b <= 0xbf)
                return (struct shape){.head = 1, .is_bytes = true, .fixed_count = b & 31};
        switch (b) {
        case 0xc0:
        case 0xc2:
        case 0xc3:
                return (struct shape){.head = 1};
        case 0xc4:
        case 0xd9:
                return (struct shape){.head = 2, .length_bytes = 1, .is_bytes = true};
        case 0xc5:
        case 0xda:
                return (struct shape){.head = 3, .length_bytes = 2, .is_bytes = true};
        case 0xc6:
        case 0xdb:
                return (struct shape){.head = 5, .length_bytes = 4, .is_bytes = true};
        case 0xc7:
                return (struct shape){
                        .head = 3, .length_bytes = 1, .is_bytes = true, .is_ext = true};
        case 0xc8:
                return (struct shape){
                        .head = 4, .length_bytes = 2, .is_bytes = true, .is_ext = true};
        case 0xc9:
                return (struct shape){
                        .head = 6, .length_bytes = 4, .is_bytes = true, .is_ext = true};
        case 0xca:
                return (struct shape){.head = 1, .body = 4};
        case 0xcb:
                return (struct shape){.head = 1, .body = 8};
        case 0xcc:
        case 0xd0:
                return (struct shape){.head = 1, .body = 1};
        case 0xcd:
        case 0xd1:
                return (struct shape){.head = 1, .body = 2};
        case 0xce:
        case 0xd2:
                return (struct shape){.head = 1, .body = 4};
        case 0xcf:
        case 0xd3:
                return (struct shape){.head = 1, .body = 8};
        case 0xd4:
        case 0xd5:
        case 0xd6:
        case 0xd7:
        case 0xd8: /* fixext: a type, then 1, 2, 4, 8, 16 bytes */
                return (struct shape){.head = 1, .body = 1 + (1u << (b - 0xd4))};
        case 0xdc:
                return (struct shape){.head = 3, .length_bytes = 2, .is_container = true};
        case 0xdd:
                return (struct shape){.head = 5, .length_bytes = 4, .is_container = true};
        case 0xde:
                return (struct shape){
                        .head = 3, .length_bytes = 2, .is_container = true, .is_map = true};
        case 0xdf:
                return (struct shape){
                        .head = 5, .length_bytes = 4, .is_container = true, .is_map = true};
        default:
                return (struct shape){.is_undefined = true};
        }
}

/* ---- the other scanner ---- */

struct reference {
        const uint8_t *data;
        size_t len, max;
        size_t pos;
        uint64_t owed; /* values promised around and behind what is being read */
        size_t values;
        struct proto_frame seen; /* only what concerns the outer array */
};

static uint64_t big_endian(const uint8_t *bytes, unsigned n)
{
        uint64_t number = 0;

        for (unsigned i = 0; i < n; i++)
                number = number << 8 | bytes[i];
        return number;
}

static bool as_unsigned(const uint8_t *value, uint64_t *ret)
{
        unsigned n = value[0] <= 0x7f ? 0 : 1u << (value[0] & 3);

        if (value[0] > 0x7f && (value[0] < 0xcc || value[0] > 0xd3))
                return false;
        *ret = n ? big_endian(value + 1, n) : value[0];
        return value[0] < 0xd0 || !(value[1] & 0x80);
}

static void note(struct reference *ref, uint32_t element, const uint8_t *value)
{
        struct proto_frame *seen = &ref->seen;
        uint64_t number;

        if (element > 1 || !as_unsigned(value, &number))
                return;
        if (element == 0) {
                seen->has_type = true;
                seen->type = number;
        } else if (seen->has_type && seen->type != 2 && number < 1ull << 32) {
                seen->has_msgid = true;
                seen->msgid = number;
        }
}

/* One value at depth `depth`; of the `owed` values it is the first. */
static enum proto_frame_result read_value(struct reference *ref, unsigned depth)
{
        enum proto_frame_result r;
        struct shape shape;
        size_t begin = ref->pos;
        uint64_t need, count = 0;

        if (ref->pos == ref->len)
                return PROTO_FRAME_MORE;
        shape = shape_of(ref->data[ref->pos]);
        if (depth == 0 && (!shape.is_container || shape.is_map))
                return PROTO_FRAME_E_NOT_ARRAY;
        if (shape.is_container && depth == PROTO_DEPTH_MAX)
                return PROTO_FRAME_E_DEPTH;
        if (shape.is_undefined)
                return PROTO_FRAME_E_MALFORMED;
        need = shape.head + shape.body;
        if (begin + need + (ref->owed - 1) > ref->max)
                return PROTO_FRAME_E_BYTES;
        if (need > ref->len - begin)
                return PROTO_FRAME_MORE;
        count = shape.length_bytes ? big_endian(ref->data + begin + 1, shape.length_bytes)
                                   : shape.fixed_count;
        if (shape.is_map)
                count *= 2;
        if (begin + need + count + (ref->owed - 1) > ref->max)
                return PROTO_FRAME_E_BYTES;
        if (!shape.is_container && need + count > ref->len - begin)
                return PROTO_FRAME_MORE;

        ref->values++;
        ref->owed--;
        ref->pos += need;
        if (!shape.is_container) {
                ref->pos += count;
                return PROTO_FRAME_DONE;
        }
        ref->owed += count;
        if (depth == 0) {
                ref->seen.is_array = true;
                ref->seen.n_elements = (uint32_t)count;
        }
        for (uint64_t i = 0; i < count; i++) {
                size_t start = ref->pos;

                if (depth == 0 && start < ref->len && i < PROTO_FRAME_ELEMENTS)
                        ref->seen.start[i] = start;
                r = read_value(ref, depth + 1);
                /* An element is begun with its first byte, but for one nested too deep. */
                if (depth == 0 && start < ref->len)
                        ref->seen.n_seen = (uint32_t)i + 1;
                if (r != PROTO_FRAME_DONE)
                        return r;
                if (depth == 0)
                        note(ref, (uint32_t)i, ref->data + start);
        }
        return PROTO_FRAME_DONE;
}

/* ---- comparisons ---- */

static void check_same(const struct proto_frame *a, const struct proto_frame *b)
{
        uint32_t n = a->n_seen < PROTO_FRAME_ELEMENTS ? a->n_seen : PROTO_FRAME_ELEMENTS;

        FUZZ_CHECK(a->pos == b->pos);
        FUZZ_CHECK(a->values == b->values);
        FUZZ_CHECK(a->done == b->done);
        FUZZ_CHECK(a->is_array == b->is_array);
        FUZZ_CHECK(a->n_elements == b->n_elements);
        FUZZ_CHECK(a->n_seen == b->n_seen);
        for (uint32_t i = 0; i < n; i++)
                FUZZ_CHECK(a->start[i] == b->start[i]);
        FUZZ_CHECK(a->has_type == b->has_type && (!a->has_type || a->type == b->type));
        FUZZ_CHECK(a->has_msgid == b->has_msgid && (!a->has_msgid || a->msgid == b->msgid));
}

static void check_reference(const struct proto_frame *frame, enum proto_frame_result result,
                            const uint8_t *data, size_t len, size_t max)
{
        struct reference ref = {.data = data, .len = len, .max = max, .owed = 1};
        enum proto_frame_result expected = read_value(&ref, 0);

        FUZZ_CHECK(result == expected);
        ref.seen.pos = ref.pos;
        ref.seen.values = ref.values;
        ref.seen.done = expected == PROTO_FRAME_DONE;
        check_same(frame, &ref.seen);
        /* What the head of frame.c promises. */
        FUZZ_CHECK(frame->pos <= len && frame->pos + frame->owed <= max);
        if (result == PROTO_FRAME_DONE)
                FUZZ_CHECK(frame->owed == 0 && frame->depth == 0 && frame->values <= frame->pos);
}

/* In pieces; at the end nothing may differ.  `step` 0: byte by byte, each time in memory of exactly
 * what has arrived. */
static void check_pieces(const struct proto_frame *whole, enum proto_frame_result result,
                         const uint8_t *data, size_t len, size_t max, uint8_t step)
{
        enum proto_frame_result r = PROTO_FRAME_MORE;
        struct proto_frame frame;
        size_t at = 0;

        proto_frame_init(&frame, max);
        while (r == PROTO_FRAME_MORE && at < len) {
                at += step ? 1 + (step * (at + 1)) % 61 : 1;
                at = at < len ? at : len;
                if (step || at > 300) {
                        r = proto_frame_scan(&frame, data, at);
                } else {
                        uint8_t *exact = malloc(at);

                        FUZZ_CHECK(exact);
                        memcpy(exact, data, at);
                        r = proto_frame_scan(&frame, exact, at);
                        free(exact);
                }
                FUZZ_CHECK(frame.pos <= at);
        }
        FUZZ_CHECK(r == (len ? result : PROTO_FRAME_MORE));
        check_same(&frame, whole);
        /* Final, whatever comes behind it. */
        FUZZ_CHECK(len == 0 || proto_frame_scan(&frame, data, len) == result);
        check_same(&frame, whole);
}

/* Passed over in pieces, each in memory of exactly its size, the first `kept` bytes scanned before:
 * the same verdict, at the same place. */
static void check_passed(const struct proto_frame *whole, enum proto_frame_result result,
                         const uint8_t *data, size_t len, size_t max, size_t kept, uint8_t step)
{
        enum proto_frame_result r;
        struct proto_frame frame;
        size_t at, end = kept, used = 0;

        proto_frame_init(&frame, max);
        r = proto_frame_scan(&frame, data, kept);
        for (at = frame.pos; r == PROTO_FRAME_MORE && end < len; at += used) {
                uint8_t *exact;

                FUZZ_CHECK(end - at <= PROTO_FRAME_REST_MAX || end == kept);
                end += 1 + (step * (end + 1)) % 61;
                end = end < len ? end : len;
                exact = malloc(end - at);
                FUZZ_CHECK(exact);
                memcpy(exact, data + at, end - at);
                r = proto_frame_pass(&frame, exact, end - at, &used);
                FUZZ_CHECK(used <= end - at);
                free(exact);
        }
        FUZZ_CHECK(r == (len ? result : PROTO_FRAME_MORE));
        FUZZ_CHECK(r != PROTO_FRAME_DONE || at == whole->pos);
        FUZZ_CHECK(frame.has_msgid == whole->has_msgid || r != PROTO_FRAME_DONE);
        FUZZ_CHECK(frame.values == whole->values || r != PROTO_FRAME_DONE);
}

/* Counts the values at `offset` by stepping into containers; returns the offset behind them. */
static size_t walk(const uint8_t *data, size_t len, size_t offset, size_t *values)
{
        size_t end = proto_frame_skip(data, len, offset), at;
        uint32_t count;

        FUZZ_CHECK(end > offset && end <= len);
        (*values)++;
        at = proto_frame_enter(data, len, offset, &count);
        FUZZ_CHECK((at != 0) == shape_of(data[offset]).is_container);
        if (at == 0)
                return end;
        for (uint32_t i = 0; i < count; i++)
                at = walk(data, len, at, values);
        FUZZ_CHECK(at == end);
        return end;
}

static void check_frame(const struct proto_frame *frame, const uint8_t *data)
{
        size_t len = frame->pos, values = 0, end = 0;
        msgpack_unpacked unpacked;

        FUZZ_CHECK(walk(data, len, 0, &values) == len && values == frame->values);
        for (uint32_t i = 0; i < frame->n_elements && i < PROTO_FRAME_ELEMENTS; i++)
                FUZZ_CHECK(frame->start[i] < len && proto_frame_skip(data, len, frame->start[i]));
        FUZZ_CHECK(len == 1 || proto_frame_skip(data, len - 1, 0) == 0);

        msgpack_unpacked_init(&unpacked);
        FUZZ_CHECK(msgpack_unpack_next(&unpacked, (const char *)data, len, &end) ==
                           MSGPACK_UNPACK_SUCCESS &&
                   end == len);
        FUZZ_CHECK(unpacked.data.type == MSGPACK_OBJECT_ARRAY &&
                   unpacked.data.via.array.size == frame->n_elements);
        msgpack_unpacked_destroy(&unpacked);
}

/* ---- the short way ---- */

static void check_same_tree(const struct proto_value *a, const struct proto_value *b)
{
        size_t n = a->type == PROTO_MAP ? 2 * (size_t)a->count : a->count;

        FUZZ_CHECK(a->type == b->type && a->ext_type == b->ext_type && a->count == b->count);
        switch (a->type) {
        case PROTO_STR:
        case PROTO_BIN:
                FUZZ_CHECK(a->count == 0 || a->data == b->data);
                break;
        case PROTO_ARRAY:
        case PROTO_MAP:
                for (size_t i = 0; i < n; i++)
                        check_same_tree(&a->items[i], &b->items[i]);
                break;
        default:
                FUZZ_CHECK(a->u == b->u);
                break;
        }
}

/* It may leave any frame to the long way, and what it takes must be the same frame, and the same
 * tree. */
static void check_small(const struct proto_frame *whole, enum proto_frame_result result,
                        const uint8_t *data, size_t len, size_t max)
{
        static struct proto_arena small_arena, arena;
        const struct proto_value *root, *expected;
        struct proto_frame frame;

        if (!small_arena.cap)
                FUZZ_CHECK(proto_value_decode(&small_arena, (const uint8_t *)"\x90", 1, 1, &root) ==
                           PROTO_VALUE_OK);
        proto_frame_init(&frame, max);
        root = proto_small_decode(&small_arena, &frame, data, len);
        if (!root) {
                FUZZ_CHECK(frame.pos == 0 && frame.depth == 0 && !frame.done && !frame.has_msgid);
                return;
        }
        FUZZ_CHECK(result == PROTO_FRAME_DONE);
        check_same(&frame, whole);
        FUZZ_CHECK(frame.owed == 0 && frame.depth == 0);
        FUZZ_CHECK(proto_value_decode(&arena, data, frame.pos, frame.values, &expected) ==
                   PROTO_VALUE_OK);
        FUZZ_CHECK(arena.used == small_arena.used);
        check_same_tree(root, expected);
}

/* Any bytes, not only frames: they may say no, and nothing else. */
static void try_anywhere(const uint8_t *data, size_t len)
{
        for (size_t at = 0; at <= len && at < 64; at++) {
                uint32_t count;
                size_t end = proto_frame_skip(data, len, at),
                       first = proto_frame_enter(data, len, at, &count);

                FUZZ_CHECK(end == 0 || (end > at && end <= len));
                FUZZ_CHECK(first == 0 || (first > at && first <= len && count <= len - first));
                FUZZ_CHECK(end == 0 || at == len ||
                           (first != 0) == shape_of(data[at]).is_container);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct fuzz_input input = {data, len};
        size_t max = fuzz_number(&input, 2);
        uint8_t step = fuzz_byte(&input);
        enum proto_frame_result result;
        struct proto_frame frame;

        if (max & 0x8000)
                max = (max & 1) ? PROTO_FRAME_BYTES_DEFAULT : (size_t)PROTO_FRAME_BYTES_MAX + 1;
        max = max ? max : 1;
        proto_frame_init(&frame, max);
        max = max < PROTO_FRAME_BYTES_MAX ? max : PROTO_FRAME_BYTES_MAX;
        result = proto_frame_scan(&frame, input.data, input.len);
        check_reference(&frame, result, input.data, input.len, max);
        check_pieces(&frame, result, input.data, input.len, max, step);
        check_passed(&frame, result, input.data, input.len, max, input.len ? step % input.len : 0,
                     step);
        check_small(&frame, result, input.data, input.len, max);
        if (result == PROTO_FRAME_DONE)
                check_frame(&frame, input.data);
        try_anywhere(input.data, input.len);
        return 0;
}
