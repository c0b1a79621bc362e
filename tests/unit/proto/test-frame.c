/* SPDX-License-Identifier: MIT */
/*
 * The frame scanner: verdicts on good and hostile frames, bytes split anywhere, what it must not
 * touch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/frame.h"
#include "unit/proto/generate.h"

#define MORE      PROTO_FRAME_MORE
#define DONE      PROTO_FRAME_DONE
#define E_ARRAY   PROTO_FRAME_E_NOT_ARRAY
#define E_BAD     PROTO_FRAME_E_MALFORMED
#define E_DEPTH   PROTO_FRAME_E_DEPTH
#define E_BYTES   PROTO_FRAME_E_BYTES
#define BYTES(s)  s, sizeof(s) - 1
#define BYTES_MAX ((size_t)PROTO_FRAME_BYTES_DEFAULT)

/* Scans a copy of exactly `len` bytes in one go. */
static enum proto_frame_result scan(struct proto_frame *frame, const void *bytes, size_t len,
                                    size_t bytes_max)
{
        uint8_t *copy = exact_copy(bytes, len);
        enum proto_frame_result r;

        proto_frame_init(frame, bytes_max);
        r = proto_frame_scan(frame, copy, len);
        free(copy);
        return r;
}

static void test_good(void **state)
{
        static const struct {
                const char *bytes;
                size_t len, values;
                uint32_t n_elements;
                int64_t type, msgid; /* -1: not seen */
        } rows[] = {
                /* Made with python3-msgpack 1.0.3 where it writes that encoding. */
                {BYTES("\x94\x00\x07\xa9"
                       "debug.add\x92\x28\x02"),
                 7, 4, 0, 7},
                {BYTES("\x94\x01\xce\xff\xff\xff\xff\xc0\x2a"), 5, 4, 1, 0xffffffff},
                {BYTES("\x93\x02\x05\x90"), 4, 3, 2, -1},
                {BYTES("\x90"), 1, 0, -1, -1},
                {BYTES("\xdc\x00\x00"), 1, 0, -1, -1},
                {BYTES("\xdd\x00\x00\x00\x01\xc0"), 2, 1, -1, -1},
                {BYTES("\x94\xd0\x00\xd1\x00\x07\xc4\x01x\xc0"), 5, 4, 0, 7},
                {BYTES("\x94\xcc\x00\xd3\x00\x00\x00\x00\x00\x00\x00\x09\xa0\xc0"), 5, 4, 0, 9},
                {BYTES("\x94\x00\xff\xa1x\xc0"), 5, 4, 0, -1},
                {BYTES("\x94\xd0\xff\x07\xa1x\xc0"), 5, 4, -1, -1},
                {BYTES("\x94\x00\xd1\x80\x07\xa1x\xc0"), 5, 4, 0, -1},
                {BYTES("\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa1x\xc0"), 5, 4, 0, -1},
                {BYTES("\x92\xa1x\x05"), 3, 2, -1, -1},
                {BYTES("\x91\x82\xa1"
                       "a\x90\xa1"
                       "b\x81\x01\x91\xc0"),
                 9, 1, -1, -1},
                {BYTES("\x97\x00\x01\x02\x03\x04\x05\x06"), 8, 7, 0, 1},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct proto_frame frame;

                print_message("row %zu\n", i);
                assert_int_equal(scan(&frame, rows[i].bytes, rows[i].len, BYTES_MAX), DONE);
                assert_int_equal(frame.pos, rows[i].len);
                assert_int_equal(frame.values, rows[i].values);
                assert_true(frame.done && frame.is_array && frame.depth == 0 && frame.owed == 0);
                assert_int_equal(frame.n_elements, rows[i].n_elements);
                assert_int_equal(frame.n_seen, rows[i].n_elements);
                assert_int_equal(frame.has_type ? (int64_t)frame.type : -1, rows[i].type);
                assert_int_equal(frame.has_msgid ? (int64_t)frame.msgid : -1, rows[i].msgid);
        }
}

/* Each row: refused with its last byte, and not before. */
static void test_hostile(void **state)
{
        static const struct {
                const char *bytes;
                size_t len, bytes_max;
                enum proto_frame_result result;
                bool has_msgid;
        } rows[] = {
                {BYTES("G"), BYTES_MAX, E_ARRAY, false},    /* "GET / HTTP/1.1" */
                {BYTES("\x81"), BYTES_MAX, E_ARRAY, false}, /* Go's net/rpc framing: a map */
                {BYTES("\xdf"), BYTES_MAX, E_ARRAY, false},
                {BYTES("\xc1"), BYTES_MAX, E_ARRAY, false},
                {BYTES("\xdd\xff\xff\xff\xff"), BYTES_MAX, E_BYTES, false},
                {BYTES("\xdd\x00\x80\x00\x00"), BYTES_MAX, E_BYTES, false},
                {BYTES("\xdc\xff\xff"), 65537, E_BYTES, false},
                {BYTES("\x94\x00\x07\xa1x\xdd\xff\xff\xff\xff"), BYTES_MAX, E_BYTES, true},
                {BYTES("\x94\x00\x07\xa1x\xdf\xff\xff\xff\xff"), BYTES_MAX, E_BYTES, true},
                {BYTES("\x94\x00\x07\xa1x\xdf\x80\x00\x00\x00"), BYTES_MAX, E_BYTES, true},
                {BYTES("\x94\x00\x07\xa1x\xdf\x00\x40\x00\x00"), BYTES_MAX, E_BYTES, true},
                {BYTES("\x94\x00\x07\xa1x\xdc\xff\xff"), 65542, E_BYTES, true},
                {BYTES("\x94\x00\x07\xa1x\xde\xff\xff"), 131077, E_BYTES, true},
                {BYTES("\x94\x00\x07\xa1x\xdb\xff\xff\xff\xff"), BYTES_MAX, E_BYTES, true},
                {BYTES("\x94\x00\x07\xa1x\xc6\xff\xff\xff\xff"), BYTES_MAX, E_BYTES, true},
                {BYTES("\x94\x00\x07\xa1x\xc9\xff\xff\xff\xff\x01"), BYTES_MAX, E_BYTES, true},
                {BYTES("\x94\x00\x07\xdb\x00\x80\x00\x00"), BYTES_MAX, E_BYTES, true},
                {BYTES("\x94\x00\x07\xda\xff\xff"), 1000, E_BYTES, true},
                {BYTES("\x94\x00\x07\xd9\xff"), 100, E_BYTES, true},
                {BYTES("\x94\x00\x07\xd8"), 20, E_BYTES, true}, /* fixext 16: 18 bytes */
                {BYTES("\x94\x00\xcf"), 12, E_BYTES, false},    /* with two more owed behind */
                {BYTES("\x94\x00\x07\xc1"), BYTES_MAX, E_BAD, true},
                {BYTES("\x91\x91\xc1"), BYTES_MAX, E_BAD, false},
                {BYTES("\x94\x00\x07\xa1x\x92\x9f"), 20, E_BYTES, true},
                {BYTES("\x94"), 4, E_BYTES, false},
                {BYTES("\xdd"), 4, E_BYTES, false},
                {BYTES("\xdc"), 2, E_BYTES, false},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct proto_frame frame;
                uint8_t more[64] = {0};

                print_message("row %zu\n", i);
                for (size_t len = 0; len < rows[i].len; len++)
                        assert_int_equal(scan(&frame, rows[i].bytes, len, rows[i].bytes_max), MORE);
                assert_int_equal(scan(&frame, rows[i].bytes, rows[i].len, rows[i].bytes_max),
                                 rows[i].result);
                assert_int_equal(frame.has_msgid, rows[i].has_msgid);
                /* Final, whatever comes. */
                memcpy(more, rows[i].bytes, rows[i].len);
                assert_int_equal(proto_frame_scan(&frame, more, sizeof(more)), rows[i].result);
                assert_false(frame.done);
        }
}

/* `depth` levels of arrays or maps, the innermost empty. */
static size_t nest(uint8_t *bytes, unsigned depth, bool maps)
{
        size_t len = 0;

        for (unsigned i = 1; i < depth; i++) {
                bytes[len++] = maps && i > 1 ? 0x81 : 0x91;
                if (maps && i > 1)
                        bytes[len++] = 0x00; /* the key */
        }
        bytes[len++] = maps ? 0x80 : 0x90;
        return len;
}

static void test_depth(void **state)
{
        (void)state;
        for (int maps = 0; maps < 2; maps++) {
                uint8_t bytes[3 * PROTO_DEPTH_MAX];
                struct proto_frame frame;
                size_t len = nest(bytes, PROTO_DEPTH_MAX, maps);

                assert_int_equal(scan(&frame, bytes, len, BYTES_MAX), DONE);
                assert_int_equal(frame.pos, len);
                len = nest(bytes, PROTO_DEPTH_MAX + 1, maps);
                assert_int_equal(scan(&frame, bytes, len - 1, BYTES_MAX), MORE);
                assert_int_equal(frame.depth, PROTO_DEPTH_MAX);
                assert_int_equal(scan(&frame, bytes, len, BYTES_MAX), E_DEPTH);
                /* The first byte of a long header tells already. */
                bytes[len - 1] = 0xdd;
                assert_int_equal(scan(&frame, bytes, len, BYTES_MAX), E_DEPTH);
                /* Leaves are welcome there. */
                bytes[len - 1] = 0x2a;
                assert_int_equal(scan(&frame, bytes, len, BYTES_MAX), DONE);
        }
}

static void assert_same(const struct proto_frame *a, const struct proto_frame *b)
{
        assert_int_equal(a->pos, b->pos);
        assert_int_equal(a->values, b->values);
        assert_int_equal(a->owed, b->owed);
        assert_int_equal(a->depth, b->depth);
        assert_int_equal(a->done, b->done);
        assert_int_equal(a->n_elements, b->n_elements);
        assert_int_equal(a->n_seen, b->n_seen);
        assert_int_equal(a->has_type, b->has_type);
        assert_int_equal(a->has_msgid, b->has_msgid);
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->msgid, b->msgid);
        for (uint32_t i = 0; i < a->n_seen && i < PROTO_FRAME_ELEMENTS; i++)
                assert_int_equal(a->start[i], b->start[i]);
        for (unsigned i = 0; i < a->depth; i++)
                assert_int_equal(a->left[i], b->left[i]);
}

static void test_random_split(void **state)
{
        static struct gen gen;

        (void)state;
        gen_init(&gen, "split");
        for (int round = 0; round < 300; round++) {
                struct proto_frame whole, part, fresh;

                gen_frame(&gen);
                assert_int_equal(scan(&whole, gen.bytes, gen.len, BYTES_MAX), DONE);
                assert_int_equal(whole.pos, gen.len);
                assert_int_equal(whole.values, gen.values);
                /* Each truncation says MORE, and goes on to the same end. */
                for (size_t cut = 0; cut < gen.len; cut++) {
                        assert_int_equal(scan(&part, gen.bytes, cut, BYTES_MAX), MORE);
                        assert_true(part.pos <= cut);
                        assert_int_equal(proto_frame_scan(&part, gen.bytes, gen.len), DONE);
                        assert_same(&part, &whole);
                }
                /* Byte by byte it is at each step as if what is there had come at once. */
                proto_frame_init(&part, BYTES_MAX);
                for (size_t len = 0; len < gen.len; len++) {
                        assert_int_equal(proto_frame_scan(&part, gen.bytes, len), MORE);
                        assert_int_equal(scan(&fresh, gen.bytes, len, BYTES_MAX), MORE);
                        assert_same(&part, &fresh);
                }
                assert_int_equal(proto_frame_scan(&part, gen.bytes, gen.len), DONE);
                assert_same(&part, &whole);
                assert_int_equal(proto_frame_scan(&part, gen.bytes, gen.len), DONE);
        }
}

/* Passes over the rest of what stands in gen->bytes, the first `kept` bytes scanned; stores how
 * many bytes were done with. */
static enum proto_frame_result pass(struct proto_frame *frame, struct gen *gen, size_t kept,
                                    size_t bytes_max, size_t *ret_at)
{
        enum proto_frame_result r;
        size_t end = kept, used;

        proto_frame_init(frame, bytes_max);
        r = proto_frame_scan(frame, gen->bytes, kept);
        *ret_at = frame->pos;
        while (r == MORE && end < gen->len) {
                uint8_t *piece;

                end += 1 + gen_below(gen, gen->len - end);
                piece = exact_copy(gen->bytes + *ret_at, end - *ret_at);
                r = proto_frame_pass(frame, piece, end - *ret_at, &used);
                free(piece);
                *ret_at += used;
                assert_true(*ret_at <= end);
                if (r == MORE)
                        assert_true(end - *ret_at <= PROTO_FRAME_REST_MAX);
        }
        return r;
}

/* What is not kept: the same verdict, at the same byte. */
static void test_passed_over(void **state)
{
        static struct gen gen;

        (void)state;
        gen_init(&gen, "passed over");
        for (int round = 0; round < 20000; round++) {
                struct proto_frame whole, frame;
                enum proto_frame_result r;
                size_t at, bytes_max = round % 3 ? BYTES_MAX : 1 + gen_below(&gen, 400);

                gen_frame(&gen);
                gen_byte(&gen, 0xc1); /* of the next one, which is not to be looked at */
                if (round % 2)
                        gen.bytes[gen_below(&gen, gen.len)] = (uint8_t)gen_next(&gen);
                r = scan(&whole, gen.bytes, gen.len, bytes_max);
                assert_int_equal(pass(&frame, &gen, gen_below(&gen, gen.len), bytes_max, &at), r);
                assert_true(frame.owed + frame.passing <= bytes_max);
                if (r != DONE)
                        continue;
                assert_int_equal(at, whole.pos);
                assert_int_equal(frame.values, whole.values);
                assert_int_equal(frame.has_msgid, whole.has_msgid);
        }
}

/* What was examined is never read again: it is spoilt behind the scanner's back. */
static void test_no_rescan(void **state)
{
        static struct gen gen;

        (void)state;
        gen_init(&gen, "no rescan");
        for (int round = 0; round < 300; round++) {
                struct proto_frame frame;
                size_t len;

                gen_frame(&gen);
                proto_frame_init(&frame, BYTES_MAX);
                for (len = 0; len < gen.len; len++) {
                        assert_int_equal(proto_frame_scan(&frame, gen.bytes, len), MORE);
                        memset(gen.bytes, 0xc1, frame.pos);
                }
                assert_int_equal(proto_frame_scan(&frame, gen.bytes, len), DONE);
                assert_int_equal(frame.pos, gen.len);
                assert_int_equal(frame.values, gen.values);
        }
}

/*
 * The body of a string is not looked at, not even when it arrives byte by byte: its pages are
 * closed.
 */
static void test_body_untouched(void **state)
{
        static const uint8_t head[] = {0x91, 0xdb, 0x00, 0x10, 0x00, 0x00};
        size_t page = (size_t)sysconf(_SC_PAGESIZE), body = 1 << 20;
        uint8_t *pages = mmap(NULL, page + body, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        uint8_t *data = pages + page - sizeof(head);
        struct proto_frame frame;

        (void)state;
        assert_true(pages != MAP_FAILED);
        assert_int_equal(mprotect(pages, page, PROT_READ | PROT_WRITE), 0);
        memcpy(data, head, sizeof(head));
        proto_frame_init(&frame, BYTES_MAX);
        for (size_t len = 0; len < sizeof(head) + body; len++)
                assert_int_equal(proto_frame_scan(&frame, data, len), MORE);
        assert_int_equal(proto_frame_scan(&frame, data, sizeof(head) + body), DONE);
        assert_int_equal(frame.pos, sizeof(head) + body);
        munmap(pages, page + body);
}

/*
 * A frame of exactly the cap passes; one byte less of cap, and it is refused instead of waited for.
 */
static void test_cap(void **state)
{
        static struct gen gen;

        (void)state;
        gen_init(&gen, "cap");
        for (int round = 0; round < 300; round++) {
                struct proto_frame frame;

                gen_frame(&gen);
                assert_int_equal(scan(&frame, gen.bytes, gen.len, gen.len), DONE);
                for (size_t cap = 1; cap < gen.len; cap++) {
                        assert_int_equal(scan(&frame, gen.bytes, gen.len, cap), E_BYTES);
                        assert_int_equal(scan(&frame, gen.bytes, cap, cap), E_BYTES);
                }
        }
}

/* A cap above the limit is the limit: 2^32 promised elements would not fit its counters. */
static void test_cap_of_caps(void **state)
{
        static const uint8_t bytes[] = {0x91, 0xdf, 0xff, 0xff, 0xff, 0xff};
        struct proto_frame frame;

        (void)state;
        assert_int_equal(scan(&frame, bytes, sizeof(bytes), SIZE_MAX), E_BYTES);
        assert_int_equal(frame.bytes_max, PROTO_FRAME_BYTES_MAX);
}

static void test_pipelined(void **state)
{
        static const uint8_t bytes[] = {0x93, 0x02, 0xa1, 'x', 0x90, 0x90, 0xc1};
        struct proto_frame frame;

        (void)state;
        assert_int_equal(scan(&frame, bytes, sizeof(bytes), BYTES_MAX), DONE);
        assert_int_equal(frame.pos, 5);
        assert_int_equal(scan(&frame, bytes + frame.pos, 2, BYTES_MAX), DONE);
        assert_int_equal(frame.pos, 1);
}

/* skip and enter walk a scanned frame to the same borders. */
static void test_walk(void **state)
{
        static struct gen gen;

        (void)state;
        gen_init(&gen, "walk");
        for (int round = 0; round < 300; round++) {
                struct proto_frame frame;
                uint32_t count = 0;
                size_t offset;
                uint8_t *copy;

                gen_frame(&gen);
                copy = exact_copy(gen.bytes, gen.len);
                assert_int_equal(scan(&frame, copy, gen.len, BYTES_MAX), DONE);
                offset = proto_frame_enter(copy, gen.len, 0, &count);
                assert_int_equal(count, frame.n_elements);
                for (uint32_t i = 0; i < count; i++) {
                        if (i < PROTO_FRAME_ELEMENTS)
                                assert_int_equal(offset, frame.start[i]);
                        offset = proto_frame_skip(copy, gen.len, offset);
                }
                assert_int_equal(offset, gen.len);
                free(copy);

                assert_int_equal(proto_frame_skip(gen.bytes, gen.len, 0), gen.len);
                for (size_t cut = 0; cut < gen.len; cut++) {
                        copy = exact_copy(gen.bytes, cut);
                        assert_int_equal(proto_frame_skip(copy, cut, 0), 0);
                        free(copy);
                }
        }
}

static size_t enter_text(const char *text, size_t len, size_t offset, uint32_t *ret_count)
{
        return proto_frame_enter((const uint8_t *)text, len, offset, ret_count);
}

static size_t skip_text(const char *text, size_t len, size_t offset)
{
        return proto_frame_skip((const uint8_t *)text, len, offset);
}

static void test_walk_refuses(void **state)
{
        uint8_t deep[1000];
        uint32_t count = 77;

        (void)state;
        assert_int_equal(enter_text("\xde\x00\x01\xc0\xc0", 5, 0, &count), 3);
        assert_int_equal(count, 2);
        count = 77;
        assert_int_equal(enter_text("\xc0", 1, 0, &count), 0);
        assert_int_equal(enter_text("\x91\xc0", 2, 2, &count), 0);
        assert_int_equal(enter_text("\xdc\x00", 2, 0, &count), 0);
        assert_int_equal(enter_text("\xdf\xff\xff\xff\xff", 5, 0, &count), 0);
        assert_int_equal(count, 77);
        assert_int_equal(skip_text("\xc1", 1, 0), 0);
        assert_int_equal(skip_text("\xdf\xff\xff\xff\xff", 5, 0), 0);
        assert_int_equal(skip_text("\xdb\xff\xff\xff\xff", 5, 0), 0);
        assert_int_equal(skip_text("\xc0", 1, 1), 0);
        /* Depth costs skip nothing: it keeps no stack. */
        memset(deep, 0x91, sizeof(deep));
        deep[sizeof(deep) - 1] = 0xc0;
        assert_int_equal(proto_frame_skip(deep, sizeof(deep), 0), sizeof(deep));
}

/* Any byte string gets a verdict, and never one that contradicts itself. */
static void test_noise(void **state)
{
        static struct gen gen;

        (void)state;
        gen_init(&gen, "noise");
        for (int round = 0; round < 20000; round++) {
                struct proto_frame frame;
                enum proto_frame_result r;
                size_t len = 1 + gen_below(&gen, 40);

                gen.len = 0;
                gen_body(&gen, len);
                gen.bytes[0] = (uint8_t)(0x90 + gen_below(&gen, 6)); /* or nearly all end there */
                r = scan(&frame, gen.bytes, len, 64);
                assert_true(r != E_ARRAY && frame.pos <= len);
                assert_true(frame.pos + frame.owed <= 64);
                assert_int_equal(frame.done, r == DONE);
                if (r == DONE)
                        assert_int_equal(proto_frame_skip(gen.bytes, len, 0), frame.pos);
                else if (r == MORE)
                        assert_int_equal(proto_frame_skip(gen.bytes, len, 0), 0);
        }
}

/* By its first byte alone, as the decoder sees it. */
static void test_types(void **state)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        uint8_t bytes[64];

        (void)state;
        for (unsigned head = 0; head < 256; head++) {
                enum proto_type type;
                uint32_t count;
                size_t len;

                memset(bytes, 0, sizeof(bytes));
                bytes[0] = (uint8_t)head;
                len = proto_frame_skip(bytes, sizeof(bytes), 0);
                if (head == 0xc1) {
                        assert_int_equal(proto_frame_type(bytes, 1, 0), _PROTO_TYPE_N);
                        continue;
                }
                assert_true(len > 0);
                if (!proto_frame_enter(bytes, len, 0, &count))
                        count = 0;
                assert_int_equal(proto_value_decode(&arena, bytes, len, 1 + count, &root),
                                 PROTO_VALUE_OK);
                type = root->type == PROTO_INT ? PROTO_UINT : root->type;
                assert_int_equal(proto_frame_type(bytes, 1, 0), type);
        }
        assert_int_equal(proto_frame_type(bytes, 0, 0), _PROTO_TYPE_N);
        assert_int_equal(proto_frame_type(bytes, 1, 1), _PROTO_TYPE_N);
        proto_arena_deinit(&arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),           cmocka_unit_test(test_hostile),
                cmocka_unit_test(test_depth),          cmocka_unit_test(test_random_split),
                cmocka_unit_test(test_passed_over),    cmocka_unit_test(test_no_rescan),
                cmocka_unit_test(test_body_untouched), cmocka_unit_test(test_cap),
                cmocka_unit_test(test_cap_of_caps),    cmocka_unit_test(test_pipelined),
                cmocka_unit_test(test_walk),           cmocka_unit_test(test_walk_refuses),
                cmocka_unit_test(test_noise),          cmocka_unit_test(test_types),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
