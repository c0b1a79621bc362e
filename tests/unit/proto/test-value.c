/* SPDX-License-Identifier: MIT */
/*
 * The decoder: each format, the shape of the tree, wrong counts, allocation failure; and, together
 * with scanner and builder, that encoding undoes decoding and that no flipped bit does harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/builder.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "proto/value.h"
#include "unit/proto/generate.h"

#define BYTES(s) s, sizeof(s) - 1
#define OK       PROTO_VALUE_OK
#define E_BAD    PROTO_VALUE_E_MALFORMED

/* ---- allocations: counted, and refused while `refuse` is set --------------------------------- */

static bool refuse;
static size_t n_allocations, bytes_largest;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size)
{
        n_allocations++;
        if (size > bytes_largest)
                bytes_largest = size;
        return refuse ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *block, size_t size)
{
        n_allocations++;
        return refuse ? NULL : __real_realloc(block, size);
}

/* ---- a tree as text -------------------------------------------------------------------------- */

static void render(FILE *out, const struct proto_value *value)
{
        size_t n = value->type == PROTO_MAP ? 2 * (size_t)value->count : value->count;

        switch ((enum proto_type)value->type) {
        case PROTO_NIL:
                fputs("nil", out);
                break;
        case PROTO_BOOL:
                fputs(value->b ? "true" : "false", out);
                break;
        case PROTO_UINT:
                fprintf(out, "+%" PRIu64, value->u);
                break;
        case PROTO_INT:
                fprintf(out, "%" PRId64, value->i);
                break;
        case PROTO_FLOAT:
                fprintf(out, "%a", value->f);
                break;
        case PROTO_STR:
        case PROTO_BIN:
        case PROTO_EXT:
                assert_non_null(value->data); /* with no bytes too: memcpy wants one */
                fprintf(out, "%s", proto_value_type_to_string(value));
                if (value->type == PROTO_EXT)
                        fprintf(out, "%d", value->ext_type);
                fprintf(out, "'%.*s'", (int)value->count, value->data);
                break;
        case PROTO_ARRAY:
        case PROTO_MAP:
                fputc(value->type == PROTO_MAP ? '{' : '[', out);
                for (size_t i = 0; i < n; i++) {
                        fputs(i > 0 ? " " : "", out);
                        render(out, &value->items[i]);
                }
                fputc(value->type == PROTO_MAP ? '}' : ']', out);
                break;
        case _PROTO_TYPE_N:
                fail();
        }
}

static void assert_renders(const struct proto_value *value, const char *expected)
{
        char text[512] = "";
        FILE *out = fmemopen(text, sizeof(text), "w");

        assert_non_null(out);
        render(out, value);
        fclose(out);
        assert_string_equal(text, expected);
}

/* Counts the values at bytes[0..len) by stepping over each; 0 if they are not exactly one. */
static size_t count_values(const uint8_t *bytes, size_t len)
{
        static const uint8_t outer = 0x91;
        struct proto_frame frame;
        uint8_t *copy = malloc(len + 1);
        size_t values = 0;

        assert_non_null(copy);
        copy[0] = outer;
        memcpy(copy + 1, bytes, len);
        proto_frame_init(&frame, PROTO_FRAME_BYTES_DEFAULT);
        if (proto_frame_scan(&frame, copy, len + 1) == PROTO_FRAME_DONE && frame.pos == len + 1)
                values = frame.values - 1;
        free(copy);
        return values;
}

/* ---- formats --------------------------------------------------------------------------------- */

static void test_formats(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                const char *tree;
        } rows[] = {
                {BYTES("\xc0"), "nil"},
                {BYTES("\xc2"), "false"},
                {BYTES("\xc3"), "true"},
                {BYTES("\x00"), "+0"},
                {BYTES("\x7f"), "+127"},
                {BYTES("\xcc\x80"), "+128"},
                {BYTES("\xcc\x05"), "+5"},
                {BYTES("\xcd\x01\x00"), "+256"},
                {BYTES("\xce\x00\x01\x00\x00"), "+65536"},
                {BYTES("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"), "+9223372036854775808"},
                {BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "+18446744073709551615"},
                {BYTES("\xd0\x05"), "+5"},
                {BYTES("\xd0\x7f"), "+127"},
                {BYTES("\xd0\x80"), "-128"},
                {BYTES("\xd0\xff"), "-1"},
                {BYTES("\xd1\x01\x00"), "+256"},
                {BYTES("\xd1\x80\x00"), "-32768"},
                {BYTES("\xd2\x7f\xff\xff\xff"), "+2147483647"},
                {BYTES("\xd2\x80\x00\x00\x00"), "-2147483648"},
                {BYTES("\xd3\x00\x00\x00\x00\x00\x00\x00\x00"), "+0"},
                {BYTES("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff"), "+9223372036854775807"},
                {BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), "-9223372036854775808"},
                {BYTES("\xff"), "-1"},
                {BYTES("\xe0"), "-32"},
                {BYTES("\xca\x3f\xc0\x00\x00"), "0x1.8p+0"},
                {BYTES("\xca\x7f\x80\x00\x00"), "inf"},
                {BYTES("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"), "0x1.8p+0"},
                {BYTES("\xcb\x80\x00\x00\x00\x00\x00\x00\x00"), "-0x0p+0"},
                {BYTES("\xa0"), "str''"},
                {BYTES("\xa3"
                       "abc"),
                 "str'abc'"},
                {BYTES("\xd9\x00"), "str''"},
                {BYTES("\xd9\x01z"), "str'z'"},
                {BYTES("\xda\x00\x02zz"), "str'zz'"},
                {BYTES("\xdb\x00\x00\x00\x00"), "str''"},
                {BYTES("\xdb\x00\x00\x00\x01z"), "str'z'"},
                {BYTES("\xc4\x00"), "bin''"},
                {BYTES("\xc4\x02zz"), "bin'zz'"},
                {BYTES("\xc5\x00\x01z"), "bin'z'"},
                {BYTES("\xc6\x00\x00\x00\x01z"), "bin'z'"},
                {BYTES("\xd4\x05"
                       "a"),
                 "ext5'a'"},
                {BYTES("\xd5\xff"
                       "ab"),
                 "ext-1'ab'"},
                {BYTES("\xd6\x80"
                       "abcd"),
                 "ext-128'abcd'"},
                {BYTES("\xd7\x7f"
                       "abcdefgh"),
                 "ext127'abcdefgh'"},
                {BYTES("\xd8\x01"
                       "abcdefghijklmnop"),
                 "ext1'abcdefghijklmnop'"},
                {BYTES("\xc7\x00\x05"), "ext5''"},
                {BYTES("\xc7\x03\x05"
                       "abc"),
                 "ext5'abc'"},
                {BYTES("\xc8\x00\x01\x05"
                       "a"),
                 "ext5'a'"},
                {BYTES("\xc9\x00\x00\x00\x01\x05"
                       "a"),
                 "ext5'a'"},
                {BYTES("\x90"), "[]"},
                {BYTES("\x80"), "{}"},
                {BYTES("\xdc\x00\x00"), "[]"},
                {BYTES("\xdf\x00\x00\x00\x00"), "{}"},
                {BYTES("\x92\x01\x92\x02\x90"), "[+1 [+2 []]]"},
                {BYTES("\x93\x90\x80\x91\x90"), "[[] {} [[]]]"},
                {BYTES("\xdd\x00\x00\x00\x02\x93\x01\x02\x03\x91\xc0"), "[[+1 +2 +3] [nil]]"},
                {BYTES("\x82\xa1"
                       "a\x01\xa1"
                       "b\x91\xc0"),
                 "{str'a' +1 str'b' [nil]}"},
                {BYTES("\xde\x00\x01\x81\x02\x03\x81\x91\x04\x05"), "{{+2 +3} {[+4] +5}}"},
                {BYTES("\x82\x91\x01\x91\x02\x90\x80"), "{[+1] [+2] [] {}}"},
                {BYTES("\x94\x00\x07\xa9"
                       "debug.add\x92\x28\x02"),
                 "[+0 +7 str'debug.add' [+40 +2]]"},
        };
        struct proto_arena arena = PROTO_ARENA_NULL;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                uint8_t *copy = exact_copy(rows[i].bytes, rows[i].len);
                size_t values = count_values(copy, rows[i].len);
                const struct proto_value *root;

                print_message("row %zu: %s\n", i, rows[i].tree);
                assert_int_equal(proto_value_decode(&arena, copy, rows[i].len, values, &root), OK);
                assert_int_equal(arena.used, values);
                assert_renders(root, rows[i].tree);
                for (size_t cut = 0; cut < rows[i].len; cut++)
                        assert_int_equal(proto_value_decode(&arena, copy, cut, values, &root),
                                         E_BAD);
                free(copy);
        }
        proto_arena_deinit(&arena);
}

/* Strings are not copied. */
static void test_borrows(void **state)
{
        static const uint8_t bytes[] = {0x92, 0xa2, 'h', 'i', 0xc7, 1, 9, 'x'};
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;

        (void)state;
        assert_int_equal(proto_value_decode(&arena, bytes, sizeof(bytes), 3, &root), OK);
        assert_ptr_equal(root->items[0].data, bytes + 2);
        assert_ptr_equal(root->items[1].data, bytes + 7);
        proto_arena_deinit(&arena);
}

static void test_wrong_counts(void **state)
{
        static const uint8_t bytes[] = {0x92, 0x01, 0x82, 0x02, 0x90, 0x03, 0xc0, 0xc0};
        const size_t len = sizeof(bytes) - 1, values = 7;
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root = NULL;

        (void)state;
        for (size_t n = 0; n < values; n++)
                assert_int_equal(proto_value_decode(&arena, bytes, len, n, &root), E_BAD);
        assert_null(root);
        assert_int_equal(proto_value_decode(&arena, bytes, len, len + 1, &root), E_BAD);
        assert_int_equal(proto_value_decode(&arena, bytes, len, SIZE_MAX, &root), E_BAD);
        assert_int_equal(proto_value_decode(&arena, bytes, len + 1, values, &root), E_BAD);
        assert_int_equal(proto_value_decode(&arena, bytes, 0, 0, &root), E_BAD);
        assert_int_equal(proto_value_decode(&arena, bytes, len, values, &root), OK);
        assert_renders(root, "[+1 {+2 [] +3 nil}]");
        proto_arena_deinit(&arena);
}

/*
 * Headers that promise everything, decoded without the scan that contract asks for: nothing is
 * taken.
 */
static void test_unscanned(void **state)
{
        static const char *const rows[] = {
                "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff",
                "\xc6\xff\xff\xff\xff", "\xc9\xff\xff\xff\xff", "\xdf\x80\x00\x00\x00",
        };
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        uint8_t deep[100];

        (void)state;
        bytes_largest = 0;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                assert_int_equal(proto_value_decode(&arena, (const uint8_t *)rows[i], 5, 5, &root),
                                 E_BAD);
        memset(deep, 0x91, sizeof(deep));
        for (size_t len = PROTO_DEPTH_MAX + 2; len <= sizeof(deep); len++) {
                deep[len - 1] = 0xc0;
                assert_int_equal(proto_value_decode(&arena, deep, len, len, &root), E_BAD);
                deep[len - 1] = 0x91;
        }
        deep[PROTO_DEPTH_MAX] = 0xc0;
        assert_int_equal(
                proto_value_decode(&arena, deep, PROTO_DEPTH_MAX + 1, PROTO_DEPTH_MAX + 1, &root),
                OK);
        assert_true(bytes_largest <= 4096);
        proto_arena_deinit(&arena);
}

/* ---- the arena ------------------------------------------------------------------------------- */

static void test_arena(void **state)
{
        static uint8_t large[3 + 1000] = {0xdc, 1000 >> 8, 1000 & 0xff};
        static const uint8_t small[] = {0x91, 0xc3};
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        size_t cap;

        (void)state;
        assert_int_equal(proto_value_decode(&arena, small, 2, 2, &root), OK);
        cap = arena.cap;
        assert_true(cap < 1001);
        assert_int_equal(proto_value_decode(&arena, large, sizeof(large), 1001, &root), OK);
        assert_true(arena.cap >= 1001);
        assert_int_equal(root->items[999].type, PROTO_UINT);

        /* A kept arena allocates nothing. */
        n_allocations = 0;
        assert_int_equal(proto_value_decode(&arena, large, sizeof(large), 1001, &root), OK);
        assert_int_equal(proto_value_decode(&arena, small, 2, 2, &root), OK);
        assert_int_equal(n_allocations, 0);

        proto_arena_trim(&arena, 5000);
        assert_int_equal(n_allocations, 0);
        refuse = true;
        proto_arena_trim(&arena, cap); /* memory that cannot be given back stays good */
        refuse = false;
        assert_true(arena.cap >= 1001);
        proto_arena_trim(&arena, cap);
        assert_int_equal(arena.cap, cap);
        assert_int_equal(proto_value_decode(&arena, small, 2, 2, &root), OK);
        assert_renders(root, "[true]");
        proto_arena_trim(&arena, 0);
        assert_null(arena.nodes);
        assert_int_equal(arena.cap, 0);
        proto_arena_deinit(&arena);
        proto_arena_deinit(&arena);
        assert_null(arena.nodes);
}

static void test_no_memory(void **state)
{
        static uint8_t large[3 + 1000] = {0xdc, 1000 >> 8, 1000 & 0xff};
        static const uint8_t small[] = {0x91, 0xc3};
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root = NULL;

        (void)state;
        refuse = true;
        assert_int_equal(proto_value_decode(&arena, small, 2, 2, &root), PROTO_VALUE_E_MEMORY);
        refuse = false;
        assert_int_equal(proto_value_decode(&arena, small, 2, 2, &root), OK);
        refuse = true;
        assert_int_equal(proto_value_decode(&arena, large, sizeof(large), 1001, &root),
                         PROTO_VALUE_E_MEMORY);
        refuse = false;
        assert_int_equal(proto_value_decode(&arena, small, 2, 2, &root), OK);
        assert_renders(root, "[true]");
        proto_arena_deinit(&arena);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void test_questions(void **state)
{
        /* {1: 2, "b": 3, bin "c": 4, "b": 5, "": 6, nil: 7} */
        static const uint8_t bytes[] = {0x86, 1,    2,   0xa1, 'b',  3, 0xc4, 1, 'c',
                                        4,    0xa1, 'b', 5,    0xa0, 6, 0xc0, 7};
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;

        (void)state;
        assert_int_equal(proto_value_decode(&arena, bytes, sizeof(bytes), 13, &root), OK);
        assert_int_equal(root->count, 6);
        assert_int_equal(proto_value_map_get(root, "b")->u, 3); /* the first of two */
        assert_int_equal(proto_value_map_get(root, "c")->u, 4);
        assert_int_equal(proto_value_map_get(root, "")->u, 6);
        assert_null(proto_value_map_get(root, "bb"));
        assert_null(proto_value_map_get(root, "nil"));
        assert_null(proto_value_map_get(&root->items[0], "b"));

        assert_true(proto_value_is_text(&root->items[2], "b"));
        assert_true(proto_value_is_text(&root->items[4], "c"));
        assert_false(proto_value_is_text(&root->items[2], "bc"));
        assert_false(proto_value_is_text(&root->items[2], ""));
        assert_false(proto_value_is_text(&root->items[0], "1"));
        proto_arena_deinit(&arena);
}

static void test_copy_text(void **state)
{
        static const struct {
                struct proto_value value;
                bool good;
        } cases[] = {
                {{.type = PROTO_STR, .count = 0, .data = ""}, true},
                {{.type = PROTO_STR, .count = 3, .data = "abcd"}, true},
                {{.type = PROTO_BIN, .count = 3, .data = "abc"}, true},
                {{.type = PROTO_STR, .count = 4, .data = "abcd"}, false}, /* with its NUL */
                {{.type = PROTO_STR, .count = 3, .data = "a\0c"}, false},
                {{.type = PROTO_EXT, .count = 3, .data = "abc"}, false},
                {{.type = PROTO_UINT, .u = 3}, false},
                {{.type = PROTO_NIL}, false},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const struct proto_value *value = &cases[i].value;
                char text[5] = "zzzz";

                assert_int_equal(proto_value_copy_text(value, text, 4), cases[i].good);
                assert_memory_equal(text, cases[i].good ? value->data : "zzzz",
                                    cases[i].good ? value->count : 4);
                if (cases[i].good)
                        assert_int_equal(strlen(text), value->count);
                assert_int_equal(text[4], 0);
        }
}

static void test_type_names(void **state)
{
        static const char *const names[] = {"nil", "bool", "integer", "integer", "float",
                                            "str", "bin",  "array",   "map",     "ext"};

        (void)state;
        for (uint8_t type = 0; type < _PROTO_TYPE_N; type++) {
                struct proto_value value = {.type = type};

                assert_string_equal(proto_value_type_to_string(&value), names[type]);
        }
}

/* ---- properties ------------------------------------------------------------------------------ */

/* Bit by bit for floats, so that a NaN equals itself. */
static void assert_equal_trees(const struct proto_value *a, const struct proto_value *b)
{
        size_t n = a->type == PROTO_MAP ? 2 * (size_t)a->count : a->count;

        assert_int_equal(a->type, b->type);
        assert_int_equal(a->count, b->count);
        assert_int_equal(a->ext_type, b->ext_type);
        if (a->type == PROTO_ARRAY || a->type == PROTO_MAP) {
                for (size_t i = 0; i < n; i++)
                        assert_equal_trees(&a->items[i], &b->items[i]);
        } else if (a->type == PROTO_STR || a->type == PROTO_BIN || a->type == PROTO_EXT) {
                assert_memory_equal(a->data, b->data, a->count);
        } else if (a->type == PROTO_BOOL) {
                assert_int_equal(a->b, b->b);
        } else if (a->type != PROTO_NIL) {
                assert_int_equal(a->u, b->u);
        }
}

static const struct proto_value *scan_and_decode(struct proto_arena *arena, const uint8_t *bytes,
                                                 size_t len)
{
        const struct proto_value *root = NULL;
        struct proto_frame frame;

        proto_frame_init(&frame, PROTO_FRAME_BYTES_DEFAULT);
        assert_int_equal(proto_frame_scan(&frame, bytes, len), PROTO_FRAME_DONE);
        assert_int_equal(frame.pos, len);
        assert_int_equal(proto_value_decode(arena, bytes, len, frame.values, &root), OK);
        assert_int_equal(arena->used, frame.values);
        return root;
}

static void test_encode_undoes_decode(void **state)
{
        static struct gen gen;
        struct proto_arena first = PROTO_ARENA_NULL, second = PROTO_ARENA_NULL;
        struct proto_builder once, twice;

        (void)state;
        gen_init(&gen, "encode undoes decode");
        proto_builder_init(&once, 1 << 20);
        proto_builder_init(&twice, 1 << 20);
        for (int round = 0; round < 5000; round++) {
                const struct proto_value *a, *b;

                gen_frame(&gen);
                a = scan_and_decode(&first, gen.bytes, gen.len);
                proto_builder_reset(&once);
                proto_put_value(&once, a);
                assert_int_equal(once.error, PROTO_BUILDER_OK);
                b = scan_and_decode(&second, once.data, once.len);
                assert_equal_trees(a, b);
                /* And the builder's encoding is a fixed point. */
                proto_builder_reset(&twice);
                proto_put_value(&twice, b);
                assert_int_equal(twice.len, once.len);
                assert_memory_equal(twice.data, once.data, once.len);
        }
        proto_builder_deinit(&once);
        proto_builder_deinit(&twice);
        proto_arena_deinit(&first);
        proto_arena_deinit(&second);
}

/* Scanner and decoder, written by different people, agree on each damaged frame. */
static void test_bit_flips(void **state)
{
        static struct gen gen;
        struct proto_arena arena = PROTO_ARENA_NULL;

        (void)state;
        gen_init(&gen, "bit flips");
        for (int round = 0; round < 100; round++) {
                uint8_t *copy;

                gen_frame(&gen);
                copy = exact_copy(gen.bytes, gen.len);
                for (size_t bit = 0; bit < 8 * gen.len; bit++) {
                        const struct proto_value *root;
                        struct proto_frame frame;

                        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
                        proto_frame_init(&frame, PROTO_FRAME_BYTES_DEFAULT);
                        if (proto_frame_scan(&frame, copy, gen.len) == PROTO_FRAME_DONE)
                                assert_int_equal(proto_value_decode(&arena, copy, frame.pos,
                                                                    frame.values, &root),
                                                 OK);
                        /* Without a scan: any answer will do. */
                        (void)proto_value_decode(&arena, copy, gen.len, gen.len, &root);
                        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
                }
                free(copy);
        }
        proto_arena_deinit(&arena);
}

/* Bytes that were not scanned, in the room that there is. */
static void test_try(void **state)
{
        static const uint8_t data[] = "\x92\x01\x91\x02\x03"; /* one behind it */
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root = NULL;

        (void)state;
        assert_int_equal(proto_value_try(&arena, data, 5, 4, 2, &root), 0); /* no room at all */
        assert_int_equal(proto_value_decode(&arena, (const uint8_t *)"\x90", 1, 1, &root),
                         PROTO_VALUE_OK);
        root = NULL;
        for (size_t len = 0; len < 4; len++)
                assert_int_equal(proto_value_try(&arena, data, len, 4, 2, &root), 0);
        assert_int_equal(proto_value_try(&arena, data, 5, 3, 2, &root), 0);
        assert_int_equal(proto_value_try(&arena, data, 5, 4, 1, &root), 0);
        assert_int_equal(proto_value_try(&arena, data, 5, arena.cap + 1, 2, &root), 0);
        assert_int_equal(proto_value_try(&arena, data, 5, 4, PROTO_DEPTH_MAX + 1, &root), 0);
        assert_int_equal(proto_value_try(&arena, (const uint8_t *)"\xc1", 1, 4, 2, &root), 0);
        assert_null(root);
        assert_int_equal(proto_value_try(&arena, data, 5, 4, 2, &root), 4);
        assert_int_equal(root->count, 2);
        assert_true(root->items[1].items[0].u == 2);
        assert_int_equal(arena.used, 4);
        proto_arena_deinit(&arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_try),
                cmocka_unit_test(test_formats),
                cmocka_unit_test(test_borrows),
                cmocka_unit_test(test_wrong_counts),
                cmocka_unit_test(test_unscanned),
                cmocka_unit_test(test_arena),
                cmocka_unit_test(test_no_memory),
                cmocka_unit_test(test_questions),
                cmocka_unit_test(test_copy_text),
                cmocka_unit_test(test_type_names),
                cmocka_unit_test(test_encode_undoes_decode),
                cmocka_unit_test(test_bit_flips),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
