/* SPDX-License-Identifier: MIT */
/* The type matrix: words of a command line against every declared type. */

#include <fcntl.h>
#include <unistd.h>

#include "client/args.h"
#include "unit/client/tree.h"

/* Puts one word for a parameter "p" of that type; the bytes behind the array's header. */
static enum args_result put_one(const char *type, const char *word, struct proto_builder *builder,
                                char *text, size_t size)
{
        char json[128], copy[4096], *words[] = {copy};
        struct tree description;
        enum args_result result;

        snprintf(copy, sizeof(copy), "%s", word);
        snprintf(json, sizeof(json),
                 "{\"name\": \"x.y\", \"params\": [{\"name\": \"p\", \"type\": \"%s\"}]}", type);
        tree_from_json(&description, json);
        proto_builder_init(builder, 1 << 16);
        result = args_put(builder, description.root, words, 1, text, size);
        tree_deinit(&description);
        return result;
}

#define BYTES(text) text, sizeof(text) - 1

static void test_good(void **state)
{
        static const struct {
                const char *type, *word, *bytes;
                size_t len;
        } cases[] = {
                {"bool", "true", BYTES("\xc3")},
                {"bool", "on", BYTES("\xc3")},
                {"bool", "1", BYTES("\xc3")},
                {"bool", "no", BYTES("\xc2")},
                {"bool", "0", BYTES("\xc2")},
                {"i8", "-5", BYTES("\xfb")},
                {"i16", "0x2a", BYTES("\x2a")},
                {"i32", "300", BYTES("\xcd\x01\x2c")},
                {"i64", "-9223372036854775808", BYTES("\xd3\x80\0\0\0\0\0\0\0")},
                {"u8", "300", BYTES("\xcd\x01\x2c")}, /* its range is the server's business */
                {"u64", "18446744073709551615", BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff")},
                {"u16", "-1", BYTES("\xff")},
                {"x64", "0xFF",
                 BYTES("\xa4"
                       "0xff")},
                {"x64", "255",
                 BYTES("\xa4"
                       "0xff")},
                {"f64", "1.5", BYTES("\xcb\x3f\xf8\0\0\0\0\0\0")},
                {"f64", "2", BYTES("\xcb\x40\0\0\0\0\0\0\0")},
                {"f64", "-inf", BYTES("\xcb\xff\xf0\0\0\0\0\0\0")},
                {"str", "42",
                 BYTES("\xa2"
                       "42")},
                {"str", "", BYTES("\xa0")},
                {"str", "@x", BYTES("\xa2@x")},
                {"bytes", "00fF", BYTES("\xc4\x02\x00\xff")},
                {"bytes", "", BYTES("\xc4\x00")},
                {"array", "[1, \"a\"]",
                 BYTES("\x92\x01\xa1"
                       "a")},
                {"map", "{\"a\": null}",
                 BYTES("\x81\xa1"
                       "a\xc0")},
                {"any", "42", BYTES("\x2a")},
                {"any", "-1", BYTES("\xff")},
                {"any", "0x2a", BYTES("\x2a")},
                {"any", "18446744073709551615", BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff")},
                {"any", "true", BYTES("\xc3")},
                {"any", "null", BYTES("\xc0")},
                {"any", "1.5", BYTES("\xcb\x3f\xf8\0\0\0\0\0\0")},
                {"any", "hello", BYTES("\xa5hello")},
                {"any", "\"42\"",
                 BYTES("\xa2"
                       "42")},
                {"any", "", BYTES("\xa0")},
                {"any", "{\"$bytes\": \"00\"}", BYTES("\xc4\x01\x00")},
                {"any", "[[]]", BYTES("\x91\x90")},
                {"never heard of", "7", BYTES("\x07")},
        };
        char text[256];

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct proto_builder builder;

                if (put_one(cases[i].type, cases[i].word, &builder, text, sizeof(text)) != ARGS_OK)
                        fail_msg("%s '%s': %s", cases[i].type, cases[i].word, text);
                if (builder.len != cases[i].len + 1)
                        fail_msg("%s '%s': %zu bytes", cases[i].type, cases[i].word, builder.len);
                assert_int_equal(builder.data[0], 0x91);
                assert_memory_equal(builder.data + 1, cases[i].bytes, cases[i].len);
                proto_builder_deinit(&builder);
        }
}

static void test_bad(void **state)
{
        static const struct {
                const char *type, *word;
        } cases[] = {
                {"bool", "maybe"},
                {"bool", ""},
                {"bool", "2"},
                {"i8", "x"},
                {"i16", ""},
                {"i32", "1.5"},
                {"i64", "9e3"},
                {"i64", "18446744073709551616"},
                {"u8", "abc"},
                {"u32", "1 "},
                {"u64", "0x10000000000000000"},
                {"x64", "-1"},
                {"x64", "ff"},
                {"x64", ""},
                {"f64", "x"},
                {"f64", ""},
                {"f64", "1.5x"},
                {"f64", " 1"},
                {"bytes", "0"},
                {"bytes", "zz"},
                {"bytes", "0x00"},
                {"bytes", "@/nonexistent/x"},
                {"array", "1"},
                {"array", "{}"},
                {"array", "[1"},
                {"array", "text"},
                {"map", "[]"},
                {"map", "{1: 2}"},
                {"map", "@/nonexistent/x"},
                {"any", "{bad"},
                {"any", "12abc"},
                {"any", "[1,]"},
                {"any", "\"open"},
                {"any", "-"},
                {"any", "@/nonexistent/x"},
                {"any", "{\"$bytes\": \"0\"}"},
                {"any", "[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]"},
        };
        char text[256], expected[64];

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct proto_builder builder;

                if (put_one(cases[i].type, cases[i].word, &builder, text, sizeof(text)) !=
                    ARGS_E_INVALID)
                        fail_msg("%s '%s' was taken", cases[i].type, cases[i].word);
                snprintf(expected, sizeof(expected), "x.y: argument 1 \"p\": expected %s",
                         cases[i].type);
                assert_non_null(strstr(text, expected));
                proto_builder_deinit(&builder);
        }
}

static void test_message(void **state)
{
        struct proto_builder builder;
        char text[256];

        (void)state;
        (void)put_one("i64", "abc", &builder, text, sizeof(text));
        assert_string_equal(
                text, "x.y: argument 1 \"p\": expected i64, got 'abc' (write 42, -7 or 0x2a)");
        proto_builder_deinit(&builder);
        (void)put_one("i64", "0123456789012345678901234567890123456789x", &builder, text,
                      sizeof(text));
        assert_non_null(strstr(text, "'0123456789012345678901234567890123456789...'"));
        proto_builder_deinit(&builder);
        /* A mistyped name. */
        (void)put_one("i64", "q_2=5", &builder, text, sizeof(text));
        assert_string_equal(text, "x.y: there is no argument \"q_2\"; there are p");
        proto_builder_deinit(&builder);
        (void)put_one("i64", "2=5", &builder, text, sizeof(text));
        assert_non_null(strstr(text, "expected i64, got '2=5'"));
        proto_builder_deinit(&builder);
        (void)put_one("i64", "=5", &builder, text, sizeof(text));
        assert_non_null(strstr(text, "expected i64, got '=5'"));
        proto_builder_deinit(&builder);
        assert_int_equal(put_one("str", "q=5", &builder, text, sizeof(text)), ARGS_OK);
        proto_builder_deinit(&builder);
}

static void test_file(void **state)
{
        char path[] = "/tmp/vmreq-args-XXXXXX", word[64], text[256];
        int fd = mkstemp(path);
        struct proto_builder builder;
        static char large[70000];

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "[1]\0", 3), 3);
        snprintf(word, sizeof(word), "@%s", path);
        assert_int_equal(put_one("bytes", word, &builder, text, sizeof(text)), ARGS_OK);
        assert_memory_equal(builder.data, "\x91\xc4\x03[1]", 6);
        proto_builder_deinit(&builder);
        assert_int_equal(put_one("array", word, &builder, text, sizeof(text)), ARGS_OK);
        assert_memory_equal(builder.data, "\x91\x91\x01", 3);
        proto_builder_deinit(&builder);
        assert_int_equal(put_one("any", word, &builder, text, sizeof(text)), ARGS_OK);
        proto_builder_deinit(&builder);
        assert_int_equal(write(fd, large, sizeof(large)), sizeof(large));
        assert_int_equal(put_one("bytes", word, &builder, text, sizeof(text)), ARGS_E_INVALID);
        assert_non_null(strstr(text, "large"));
        proto_builder_deinit(&builder);
        close(fd);
        unlink(path);
}

/* Too many, too few, and descriptions that are none: the server's business. */
static void test_count(void **state)
{
        static const char *const descriptions[] = {
                "{}",
                "null",
                "{\"params\": 1}",
                "{\"params\": []}",
                "{\"params\": [1, null]}",
                "{\"params\": [{}, {\"type\": 7, \"name\": 8}]}",
        };
        char a[] = "aa", b[] = "bb", *words[] = {a, b}, text[256];

        (void)state;
        for (size_t i = 0; i < sizeof(descriptions) / sizeof(descriptions[0]); i++) {
                struct proto_builder builder;
                struct tree tree;

                tree_from_json(&tree, descriptions[i]);
                proto_builder_init(&builder, 1024);
                assert_int_equal(args_put(&builder, tree.root, words, 2, text, sizeof(text)),
                                 ARGS_OK);
                assert_int_equal(builder.len, 7);
                assert_memory_equal(builder.data,
                                    "\x92\xa2"
                                    "aa\xa2"
                                    "bb",
                                    7);
                proto_builder_reset(&builder);
                assert_int_equal(args_put(&builder, tree.root, words, 0, text, sizeof(text)),
                                 ARGS_OK);
                assert_int_equal(builder.len, 1);
                proto_builder_deinit(&builder);
                proto_builder_init(&builder, 4);
                assert_int_equal(args_put(&builder, tree.root, words, 2, text, sizeof(text)),
                                 ARGS_E_TOO_LARGE);
                proto_builder_deinit(&builder);
                tree_deinit(&tree);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),    cmocka_unit_test(test_bad),
                cmocka_unit_test(test_message), cmocka_unit_test(test_file),
                cmocka_unit_test(test_count),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
