/* SPDX-License-Identifier: MIT */
/* The builder: encodings, the budget at each byte, every allocation failing once, rollback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/builder.h"
#include "proto/frame.h"
#include "proto/value.h"

#define BYTES(s) s, sizeof(s) - 1
#define BUDGET   PROTO_BUILDER_E_BUDGET
#define MEMORY   PROTO_BUILDER_E_MEMORY

/* ---- allocations: counted; the `refuse_nth` from now on fails -------------------------------- */

static size_t n_allocations, bytes_largest, refuse_nth;

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_realloc(void *block, size_t size)
{
        n_allocations++;
        if (size > bytes_largest)
                bytes_largest = size;
        if (refuse_nth > 0 && --refuse_nth == 0)
                return NULL;
        return __real_realloc(block, size);
}

/* ---- encodings, as python3-msgpack 1.0.3 packs the same values ------------------------------- */

static void assert_built(struct proto_builder *builder, const char *bytes, size_t len)
{
        assert_int_equal(builder->error, PROTO_BUILDER_OK);
        assert_int_equal(builder->len, len);
        assert_memory_equal(builder->data, bytes, len);
        proto_builder_reset(builder);
}

static void test_integers(void **state)
{
        static const struct {
                bool negative;
                uint64_t value;
                const char *bytes;
                size_t len;
        } rows[] = {
                {false, 0, BYTES("\x00")},
                {false, 127, BYTES("\x7f")},
                {false, 128, BYTES("\xcc\x80")},
                {false, 255, BYTES("\xcc\xff")},
                {false, 256, BYTES("\xcd\x01\x00")},
                {false, 65535, BYTES("\xcd\xff\xff")},
                {false, 65536, BYTES("\xce\x00\x01\x00\x00")},
                {false, UINT32_MAX, BYTES("\xce\xff\xff\xff\xff")},
                {false, 1ull << 32, BYTES("\xcf\x00\x00\x00\x01\x00\x00\x00\x00")},
                {false, INT64_MAX, BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff")},
                {false, UINT64_MAX, BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff")},
                {true, (uint64_t)-1, BYTES("\xff")},
                {true, (uint64_t)-32, BYTES("\xe0")},
                {true, (uint64_t)-33, BYTES("\xd0\xdf")},
                {true, (uint64_t)-128, BYTES("\xd0\x80")},
                {true, (uint64_t)-129, BYTES("\xd1\xff\x7f")},
                {true, (uint64_t)-32768, BYTES("\xd1\x80\x00")},
                {true, (uint64_t)-32769, BYTES("\xd2\xff\xff\x7f\xff")},
                {true, (uint64_t)INT32_MIN, BYTES("\xd2\x80\x00\x00\x00")},
                {true, (uint64_t)INT32_MIN - 1, BYTES("\xd3\xff\xff\xff\xff\x7f\xff\xff\xff")},
                {true, (uint64_t)INT64_MIN, BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00")},
        };
        struct proto_builder builder;

        (void)state;
        proto_builder_init(&builder, 100);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                if (!rows[i].negative) {
                        proto_put_uint(&builder, rows[i].value);
                        assert_built(&builder, rows[i].bytes, rows[i].len);
                }
                if (rows[i].negative || rows[i].value <= INT64_MAX) {
                        proto_put_int(&builder, (int64_t)rows[i].value);
                        assert_built(&builder, rows[i].bytes, rows[i].len);
                }
        }
        proto_builder_deinit(&builder);
}

static void test_scalars(void **state)
{
        struct proto_builder builder;

        (void)state;
        proto_builder_init(&builder, 100);
        proto_put_nil(&builder);
        proto_put_bool(&builder, false);
        proto_put_bool(&builder, true);
        proto_put_float(&builder, 1.5);
        proto_put_float(&builder, -0.0);
        proto_put_text(&builder, NULL);
        proto_put_text(&builder, "");
        proto_put_text(&builder, "abc");
        proto_put_str(&builder, NULL, 0);
        proto_put_bin(&builder, NULL, 0);
        proto_put_bin(&builder, "\x00\xff", 2);
        proto_put_raw(&builder, "\x92\x01\x02", 3);
        proto_put_raw(&builder, NULL, 0);
        assert_built(&builder, BYTES("\xc0\xc2\xc3\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"
                                     "\xcb\x80\x00\x00\x00\x00\x00\x00\x00\xc0\xa0\xa3"
                                     "abc"
                                     "\xa0\xc4\x00\xc4\x02\x00\xff\x92\x01\x02"));
        proto_builder_deinit(&builder);
}

/* Where the length of a header changes. */
static void test_headers(void **state)
{
        static const struct {
                uint32_t count;
                const char *array, *map, *str, *bin;
        } rows[] = {
                {0, "\x90", "\x80", "\xa0", "\xc4\x00"},
                {15, "\x9f", "\x8f", "\xaf", "\xc4\x0f"},
                {16, "\xdc\x00\x10", "\xde\x00\x10", "\xb0", "\xc4\x10"},
                {31, "\xdc\x00\x1f", "\xde\x00\x1f", "\xbf", "\xc4\x1f"},
                {32, "\xdc\x00\x20", "\xde\x00\x20", "\xd9\x20", "\xc4\x20"},
                {255, "\xdc\x00\xff", "\xde\x00\xff", "\xd9\xff", "\xc4\xff"},
                {256, "\xdc\x01\x00", "\xde\x01\x00", "\xda\x01\x00", "\xc5\x01\x00"},
                {65535, "\xdc\xff\xff", "\xde\xff\xff", "\xda\xff\xff", "\xc5\xff\xff"},
                {65536, "\xdd\x00\x01\x00\x00", "\xdf\x00\x01\x00\x00", "\xdb\x00\x01\x00\x00",
                 "\xc6\x00\x01\x00\x00"},
        };
        static char body[65536];
        struct proto_builder builder;

        (void)state;
        memset(body, 'x', sizeof(body));
        proto_builder_init(&builder, 100000);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                size_t n = rows[i].count < 16 ? 1 : rows[i].count < 65536 ? 3 : 5;

                proto_put_array(&builder, rows[i].count);
                assert_built(&builder, rows[i].array, n);
                proto_put_map(&builder, rows[i].count);
                assert_built(&builder, rows[i].map, n);

                n = rows[i].count < 256 ? 2 : n < 3 ? 3 : n;
                n = rows[i].count < 32 ? 1 : n;
                proto_put_str(&builder, body, rows[i].count);
                assert_memory_equal(builder.data, rows[i].str, n);
                assert_int_equal(builder.len, n + rows[i].count);
                proto_builder_reset(&builder);

                n = rows[i].count < 256 ? 2 : rows[i].count < 65536 ? 3 : 5;
                proto_put_bin(&builder, body, rows[i].count);
                assert_memory_equal(builder.data, rows[i].bin, n);
                assert_int_equal(builder.len, n + rows[i].count);
                proto_builder_reset(&builder);
        }
        proto_put_array(&builder, UINT32_MAX);
        assert_built(&builder, BYTES("\xdd\xff\xff\xff\xff"));
        proto_builder_deinit(&builder);
}

static void test_format(void **state)
{
        static char text[5000], expected[3 + 4095] = {'\xda', '\x0f', '\xff'};
        struct proto_builder builder;

        (void)state;
        proto_builder_init(&builder, 100000);
        proto_put_format(&builder, "%s: %d%%", "BUSY", 7);
        assert_built(&builder, BYTES("\xa8"
                                     "BUSY: 7%"));
        proto_put_format(&builder, "%s", "");
        assert_built(&builder, BYTES("\xa0"));

        memset(text, 'x', 4095);
        memset(expected + 3, 'x', 4095);
        proto_put_format(&builder, "%s", text);
        assert_built(&builder, expected, sizeof(expected));
        text[4095] = 'y';
        proto_put_format(&builder, "%s", text);
        assert_built(&builder, expected, sizeof(expected));
        proto_builder_deinit(&builder);
}

/* A cut leaves no torn UTF-8 behind, and what is whole stays. */
static void test_format_cut(void **state)
{
        static const char *const characters[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
        struct proto_builder builder;

        (void)state;
        proto_builder_init(&builder, 100000);
        for (size_t i = 0; i < 3; i++) {
                size_t width = strlen(characters[i]);

                for (size_t before = 4095 - width; before < 4095; before++) {
                        char text[5000] = "";
                        size_t len = before + width <= 4095 ? before + width : before;

                        memset(text, 'x', before);
                        memcpy(text + before, characters[i], width);
                        memset(text + before + width, 'z', 100);
                        if (before + width <= 4095)
                                len += 4095 - before - width;
                        proto_put_format(&builder, "%s", text);
                        assert_int_equal(builder.len, 3 + len);
                        assert_memory_equal(builder.data + 3, text, len);
                        proto_builder_reset(&builder);
                }
        }
        proto_builder_deinit(&builder);
}

/* What the decoder made goes out the same, each type of it. */
static void test_value(void **state)
{
        static const char bytes[] = "\x9c\xc0\xc3\x05\xff\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"
                                    "\xa1s\xc4\x01"
                                    "b\x91\x07\x81\xa1k\x08\xd4\x05"
                                    "e"
                                    "\xc7\x03\xff"
                                    "ext\xd8\x01"
                                    "0123456789abcdef";
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        struct proto_builder builder;

        (void)state;
        proto_builder_init(&builder, sizeof(bytes) - 1);
        assert_int_equal(
                proto_value_decode(&arena, (const uint8_t *)bytes, sizeof(bytes) - 1, 16, &root),
                PROTO_VALUE_OK);
        proto_put_value(&builder, root);
        assert_built(&builder, bytes, sizeof(bytes) - 1);
        proto_builder_deinit(&builder);
        proto_arena_deinit(&arena);
}

/* ---- the buffer ------------------------------------------------------------------------------ */

/* A frame with some of each; FRAME_BYTES long. */
static void put_frame(struct proto_builder *builder)
{
        static const char body[300];

        proto_put_array(builder, 5);
        proto_put_int(builder, -1);
        proto_put_text(builder, "method");
        proto_put_format(builder, "%s", "method");
        proto_put_bin(builder, body, 300);
        proto_put_float(builder, 2.5);
}

#define FRAME_BYTES ((size_t)(1 + 1 + 7 + 7 + 303 + 9))

static void test_budget(void **state)
{
        (void)state;
        for (size_t bytes_max = 0; bytes_max <= FRAME_BYTES; bytes_max++) {
                struct proto_builder builder;
                size_t len;

                proto_builder_init(&builder, bytes_max);
                bytes_largest = 0;
                put_frame(&builder);
                assert_true(builder.len <= bytes_max && bytes_largest <= bytes_max);
                if (bytes_max == FRAME_BYTES) {
                        assert_int_equal(builder.error, PROTO_BUILDER_OK);
                        assert_int_equal(builder.len, FRAME_BYTES);
                } else {
                        assert_int_equal(builder.error, BUDGET);
                        /* It sticks, even for what would still fit. */
                        len = builder.len;
                        proto_put_raw(&builder, "x", 0);
                        proto_put_nil(&builder);
                        assert_int_equal(builder.len, len);
                        assert_int_equal(builder.error, BUDGET);
                        proto_builder_rollback(&builder, 0);
                        assert_int_equal(builder.error, PROTO_BUILDER_OK);
                        assert_int_equal(builder.len, 0);
                }
                proto_builder_deinit(&builder);
        }
}

/* An owner that lowers bytes_max below what is there, or what is allocated, is obeyed. */
static void test_budget_lowered(void **state)
{
        struct proto_builder builder;

        (void)state;
        proto_builder_init(&builder, 1000);
        put_frame(&builder);
        builder.bytes_max = FRAME_BYTES + 1;
        proto_put_nil(&builder);
        assert_int_equal(builder.error, PROTO_BUILDER_OK);
        proto_put_nil(&builder);
        assert_int_equal(builder.error, BUDGET);
        proto_builder_rollback(&builder, FRAME_BYTES);
        builder.bytes_max = 10;
        proto_put_nil(&builder);
        assert_int_equal(builder.error, BUDGET);
        assert_int_equal(builder.len, FRAME_BYTES);
        proto_builder_deinit(&builder);
}

/* Lengths that no header can hold are refused before a byte of them is read. */
static void test_oversized(void **state)
{
        struct proto_builder builder;

        (void)state;
        proto_builder_init(&builder, SIZE_MAX);
        n_allocations = 0;
        proto_put_str(&builder, "x", (size_t)UINT32_MAX + 1);
        assert_int_equal(builder.error, BUDGET);
        proto_builder_reset(&builder);
        proto_put_bin(&builder, "x", SIZE_MAX);
        assert_int_equal(builder.error, BUDGET);
        assert_int_equal(builder.len, 0);
        assert_int_equal(n_allocations, 0);
        proto_builder_deinit(&builder);
}

/* Each allocation of a growing builder fails once; the frame before it stays as it was. */
static void test_no_memory(void **state)
{
        size_t n;

        (void)state;
        for (n = 1; n < 20; n++) {
                struct proto_builder builder;
                size_t mark = 0;
                bool failed = false;

                proto_builder_init(&builder, 1 << 20);
                refuse_nth = n;
                for (int frame = 0; frame < 100; frame++) {
                        put_frame(&builder);
                        if (builder.error != PROTO_BUILDER_OK) {
                                assert_int_equal(builder.error, MEMORY);
                                assert_false(failed);
                                failed = true;
                                proto_builder_rollback(&builder, mark);
                                put_frame(&builder); /* memory is back */
                        }
                        assert_int_equal(builder.error, PROTO_BUILDER_OK);
                        mark += FRAME_BYTES;
                        assert_int_equal(builder.len, mark);
                }
                for (size_t offset = 0; offset < mark; offset += FRAME_BYTES) {
                        assert_memory_equal(builder.data + offset, builder.data, FRAME_BYTES);
                        assert_int_equal(proto_frame_skip(builder.data, mark, offset),
                                         offset + FRAME_BYTES);
                }
                proto_builder_deinit(&builder);
                refuse_nth = 0;
                if (!failed)
                        break;
        }
        assert_in_range(n, 3, 19); /* several failed, and then none was left to fail */
}

static void test_growth(void **state)
{
        struct proto_builder builder;

        (void)state;
        proto_builder_init(&builder, (1 << 20) + 1);
        n_allocations = bytes_largest = 0;
        assert_null(builder.data);
        for (int i = 0; i < (1 << 20) + 1; i++)
                proto_put_nil(&builder);
        assert_int_equal(builder.error, PROTO_BUILDER_OK);
        assert_true(n_allocations <= 20);
        assert_true(bytes_largest <= builder.bytes_max);
        proto_put_nil(&builder);
        assert_int_equal(builder.error, BUDGET);

        /* Reset keeps the memory. */
        n_allocations = 0;
        proto_builder_reset(&builder);
        put_frame(&builder);
        assert_int_equal(builder.error, PROTO_BUILDER_OK);
        assert_int_equal(n_allocations, 0);
        proto_builder_deinit(&builder);
        proto_builder_deinit(&builder);
        assert_null(builder.data);
}

static void test_take(void **state)
{
        struct proto_builder builder;
        uint8_t *data;
        size_t len = 77;

        (void)state;
        proto_builder_init(&builder, 100);
        assert_null(proto_builder_take(&builder, &len));
        assert_int_equal(len, 0);
        proto_put_text(&builder, "hello");
        data = proto_builder_take(&builder, &len);
        assert_int_equal(len, 6);
        assert_memory_equal(data, "\xa5hello", 6);
        assert_null(builder.data);
        assert_int_equal(builder.len, 0);
        free(data);
        proto_put_nil(&builder);
        assert_built(&builder, BYTES("\xc0"));
        proto_builder_deinit(&builder);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_integers),   cmocka_unit_test(test_scalars),
                cmocka_unit_test(test_headers),    cmocka_unit_test(test_format),
                cmocka_unit_test(test_format_cut), cmocka_unit_test(test_value),
                cmocka_unit_test(test_budget),     cmocka_unit_test(test_budget_lowered),
                cmocka_unit_test(test_oversized),  cmocka_unit_test(test_no_memory),
                cmocka_unit_test(test_growth),     cmocka_unit_test(test_take),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
