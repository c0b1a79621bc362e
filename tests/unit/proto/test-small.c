/* SPDX-License-Identifier: MIT */
/*
 * The short way against the long one: whatever it takes is the same frame and the same tree, at any
 * length and any bounds; calls as clients send them are taken, and all else is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "proto/limits.h"
#include "proto/small.h"
#include "unit/proto/generate.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static struct proto_arena arena, other;

static int start(void **state)
{
        const struct proto_value *root;

        (void)state;
        /* The long way makes room. */
        return proto_value_decode(&arena, BYTES("\x90"), 1, &root) != PROTO_VALUE_OK;
}

static int end(void **state)
{
        (void)state;
        proto_arena_deinit(&arena);
        proto_arena_deinit(&other);
        return 0;
}

static void expect_same(const struct proto_value *a, const struct proto_value *b)
{
        size_t n = a->type == PROTO_MAP ? 2 * (size_t)a->count : a->count;

        assert_int_equal(a->type, b->type);
        assert_int_equal(a->ext_type, b->ext_type);
        assert_int_equal(a->count, b->count);
        if (a->type == PROTO_STR || a->type == PROTO_BIN) {
                assert_non_null(a->data);
                if (a->count)
                        assert_ptr_equal(a->data, b->data);
                return;
        }
        if (a->type != PROTO_ARRAY && a->type != PROTO_MAP) {
                assert_true(a->u == b->u);
                return;
        }
        if (n == 0)
                assert_null(a->items);
        for (size_t i = 0; i < n; i++)
                expect_same(&a->items[i], &b->items[i]);
}

/* Both ways.  True: the short one took it. */
static bool decode(const uint8_t *data, size_t len, size_t bytes_max, unsigned depth_max)
{
        struct proto_frame small, frame;
        const struct proto_value *root, *expected;
        enum proto_frame_result result;

        proto_frame_init(&small, bytes_max);
        proto_frame_init(&frame, bytes_max);
        small.depth_max = frame.depth_max = depth_max;
        root = proto_small_decode(&arena, &small, data, len);
        if (!root) {
                assert_int_equal(small.pos, 0);
                assert_false(small.done || small.has_type || small.is_array);
                return false;
        }
        result = proto_frame_scan(&frame, data, len);
        assert_int_equal(result, PROTO_FRAME_DONE);
        assert_true(small.done);
        assert_int_equal(small.pos, frame.pos);
        assert_int_equal(small.values, frame.values);
        assert_int_equal(small.n_elements, frame.n_elements);
        assert_int_equal(small.n_seen, frame.n_seen);
        for (uint32_t i = 0; i < frame.n_seen && i < PROTO_FRAME_ELEMENTS; i++)
                assert_int_equal(small.start[i], frame.start[i]);
        assert_int_equal(small.has_type, frame.has_type);
        assert_int_equal(small.has_msgid, frame.has_msgid);
        assert_true(small.type == frame.type && small.msgid == frame.msgid);
        assert_int_equal(proto_value_decode(&other, data, frame.pos, frame.values, &expected),
                         PROTO_VALUE_OK);
        expect_same(root, expected);
        return true;
}

static bool takes(const uint8_t *data, size_t len)
{
        uint8_t *exact = exact_copy(data, len);
        bool taken = decode(exact, len, PROTO_FRAME_BYTES_DEFAULT, PROTO_DEPTH_MAX);

        free(exact);
        return taken;
}

/* Every format that calls are made of, at the ends of its range. */
static void test_taken(void **state)
{
        (void)state;
        assert_true(takes(BYTES("\x94\x00\x05\xa9"
                                "debug.add\x92\x28\x02")));
        assert_true(takes(BYTES("\x94\x00\xcd\x12\x34\xa3"
                                "a.b\x90")));
        assert_true(takes(BYTES("\x94\x00\xce\xff\xff\xff\xff\xa3"
                                "a.b\xc0")));
        assert_true(takes(BYTES("\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa3"
                                "a.b\xc0")));
        assert_true(takes(BYTES("\x94\x00\xd0\x7f\xc4\x03"
                                "a.b\x93\xc2\xc3\xe0")));
        assert_true(takes(BYTES("\x93\x02\xd9\x03"
                                "a.b\x91\x82\xa1k\x91\x80\xa0\x90")));
        assert_true(takes(BYTES("\x93\x02\xa3"
                                "a.b\x94\xd0\x80\xd1\x80\x00\xd2\x80\x00\x00\x00"
                                "\xd3\x80\x00\x00\x00\x00\x00\x00\x00")));
        assert_true(takes(BYTES("\x93\x02\xa3"
                                "a.b\x93\xd1\x00\x80\xcc\xff\xcf\xff\xff\xff\xff"
                                "\xff\xff\xff\xff")));
        assert_true(takes(BYTES("\x93\x02\xa3"
                                "a.b\x92\xca\x3f\x80\x00\x00\xd4\x01\x00")));
        assert_true(takes(BYTES("\x91\xa1x"))); /* no message, but a frame */
        assert_true(takes(BYTES("\x94\x01\x05\xc0\x2a"
                                "\x94\x00"))); /* another behind it */
}

/* Incomplete at each length; wrong, rare or large. */
static void test_left(void **state)
{
        static const char call[] = "\x94\x00\xcd\x12\x34\xd9\x03"
                                   "a.b\x92\xc4\x02xy\xd1\x01\x02";

        (void)state;
        for (size_t len = 0; len < sizeof(call) - 1; len++)
                assert_false(takes((const uint8_t *)call, len));
        assert_true(takes((const uint8_t *)call, sizeof(call) - 1));
        assert_false(takes(BYTES("\x90")));
        assert_false(takes(BYTES("\xdc\x00\x01\x00")));             /* an array of 16 bits */
        assert_false(takes(BYTES("\x96\x00\x00\x00\x00\x00\x00"))); /* more than a message has */
        assert_false(takes(BYTES("\x91\xc1")));
        assert_false(takes(BYTES("\x81\x00\x00")));
}

static void test_bounds(void **state)
{
        static const uint8_t nested[] = "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x00";
        uint8_t wide[2 + 15 * 16] = {0};
        size_t at = 0;

        (void)state;
        /* Of depth: its own, and the frame's, to the level. */
        assert_true(takes(nested, 10));
        assert_true(decode(nested, 10, 100, 9));
        assert_false(decode(nested, 10, 100, 8));
        assert_false(takes(BYTES("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x00")));
        /* Of bytes. */
        assert_true(decode(nested, 10, 10, PROTO_DEPTH_MAX));
        assert_false(decode(nested, 10, 9, PROTO_DEPTH_MAX));
        /* Of nodes: 1 + 3 + 4 * 15 are 64, one more is too many. */
        wide[at++] = 0x94;
        for (unsigned i = 0; i < 4; i++) {
                wide[at++] = i < 3 ? 0x9f : 0x9e;
                at += i < 3 ? 15 : 14;
        }
        assert_true(takes(wide, at)); /* 1 + 4 + 3 * 15 + 14 */
        wide[1 + 3 * 16] = 0x9f;
        assert_false(takes(wide, at + 1));
}

/* An arena that the long way has not been in. */
static void test_no_room(void **state)
{
        struct proto_arena empty = PROTO_ARENA_NULL;
        struct proto_frame frame;

        (void)state;
        proto_frame_init(&frame, 100);
        assert_null(proto_small_decode(&empty, &frame, BYTES("\x91\x00")));
}

static void test_generated(void **state)
{
        static struct gen gen;
        unsigned n_taken = 0;

        (void)state;
        gen_init(&gen, "generated");
        for (unsigned i = 0; i < 20000; i++) {
                uint8_t *exact;
                size_t len;

                gen_frame(&gen);
                if (i % 4 == 3 && gen.len) /* and a flipped bit */
                        gen.bytes[gen_below(&gen, gen.len)] ^= (uint8_t)(1u << gen_below(&gen, 8));
                len = i % 8 == 5 ? gen_below(&gen, gen.len + 1) : gen.len;
                exact = exact_copy(gen.bytes, len);
                n_taken += decode(exact, len, 1 + gen_below(&gen, 2 * gen.len + 1),
                                  1 + (unsigned)gen_below(&gen, PROTO_DEPTH_MAX));
                free(exact);
        }
        assert_in_range(n_taken, 100, 19900);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_taken),     cmocka_unit_test(test_left),
                cmocka_unit_test(test_bounds),    cmocka_unit_test(test_no_room),
                cmocka_unit_test(test_generated),
        };

        return cmocka_run_group_tests(tests, start, end);
}
