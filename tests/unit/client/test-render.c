/* SPDX-License-Identifier: MIT */
/* Golden outputs of the text form. */

#include "client/render.h"
#include "unit/client/tree.h"

#define BYTES(text) text, sizeof(text) - 1

static void test_scalars(void **state)
{
        (void)state;
        expect_bytes_render(render_text, BYTES("\xc0"), "");
        expect_bytes_render(render_text, BYTES("\xc3"), "true\n");
        expect_bytes_render(render_text, BYTES("\x01"), "1\n");
        expect_bytes_render(render_text, BYTES("\xff"), "-1\n");
        expect_bytes_render(render_text, BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
                            "18446744073709551615\n");
        expect_bytes_render(render_text, BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1\n");
        expect_bytes_render(render_text, BYTES("\xca\x3f\x80\0\0"), "1.0\n");
        expect_bytes_render(render_text, BYTES("\xcb\x7f\xf0\0\0\0\0\0\0"), "inf\n");
        expect_bytes_render(render_text, BYTES("\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c"), "1e+300\n");
        expect_bytes_render(render_text, BYTES("\xa5hello"), "hello\n");
        expect_bytes_render(render_text, BYTES("\xa0"), "\n");
        expect_bytes_render(render_text, BYTES("\xc4\x02\x00\xff"), "00ff\n");
        expect_bytes_render(render_text, BYTES("\xd4\x05\xaa"), "ext(5) aa\n");
        expect_bytes_render(render_text, BYTES("\x90"), "[]\n");
        expect_bytes_render(render_text, BYTES("\x80"), "{}\n");
}

/* Nothing that a terminal would obey gets through. */
static void test_clean(void **state)
{
        (void)state;
        expect_bytes_render(render_text,
                            BYTES("\xa5"
                                  "a\x1b[2J"),
                            "a\\x1b[2J\n");
        expect_bytes_render(render_text,
                            BYTES("\xa5"
                                  "a\nb\tc"),
                            "a\nb\tc\n");
        expect_bytes_render(render_text,
                            BYTES("\x91\xa5"
                                  "a\nb\tc"),
                            "a\\nb\\tc\n");
        expect_bytes_render(render_text,
                            BYTES("\xa3"
                                  "a\0b"),
                            "a\\x00b\n");
        expect_bytes_render(render_text, BYTES("\xa1\x7f"), "\\x7f\n");
        expect_bytes_render(render_text, BYTES("\xa2\xc2\x9b"), "\\xc2\\x9b\n");
        expect_bytes_render(render_text, BYTES("\xa2\xc3\xa4"), "\xc3\xa4\n");
        expect_bytes_render(render_text, BYTES("\xa3\xe2\x82\xac"), "\xe2\x82\xac\n");
        expect_bytes_render(render_text, BYTES("\xa4\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80\n");
        expect_bytes_render(render_text, BYTES("\xa3\xe2\x80\xae"), "\\xe2\\x80\\xae\n");
        expect_bytes_render(render_text, BYTES("\xa2\xc0\x80"), "\\xc0\\x80\n");
        expect_bytes_render(render_text, BYTES("\xa3\xed\xa0\x80"), "\\xed\\xa0\\x80\n");
        expect_bytes_render(render_text, BYTES("\xa3\xe0\x80\x80"), "\\xe0\\x80\\x80\n");
        expect_bytes_render(render_text, BYTES("\xa4\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80\n");
        expect_bytes_render(render_text, BYTES("\xa2\xe2\x82"), "\\xe2\\x82\n");
        expect_bytes_render(render_text, BYTES("\xa1\x80"), "\\x80\n");
}

static void test_map(void **state)
{
        (void)state;
        expect_json_render(render_text, "{\"a\": 1, \"longer\": \"text, with comma\", \"n\": null}",
                           "a:      1\nlonger: text, with comma\nn:      nil\n");
        expect_json_render(render_text, "{\"a\": {\"bb\": 1, \"c\": {}}, \"d\": [1, 2], \"e\": []}",
                           "a:\n  bb: 1\n  c:  {}\nd: [1, 2]\ne: []\n");
        expect_json_render(render_text, "{\"a\": [{\"b\": 1}, [2]]}", "a:\n  {b: 1}\n  [2]\n");
        expect_json_render(render_text, "{\"\xc3\xa4\": 1, \"bb\": 2}", "\xc3\xa4:  1\nbb: 2\n");
        expect_bytes_render(render_text,
                            BYTES("\x82\x01\x02\xa3"
                                  "abc\x03"),
                            "1:    2\nabc: 3\n");
}

static void test_array(void **state)
{
        (void)state;
        expect_json_render(render_text, "[1, \"two\", [3, \"x y\"], {\"k\": \"a, b\"}, null]",
                           "1\ntwo\n[3, x y]\n{k: \"a, b\"}\nnil\n");
        expect_json_render(
                render_text,
                "[[\"1\", \"true\", \"nil\", \"\", \" a\", \"q\\\"q\", \"-x\", \"a\\\\b\"]]",
                "[\"1\", \"true\", \"nil\", \"\", \" a\", \"q\\\"q\", \"-x\", \"a\\\\b\"]\n");
}

static void test_inline(void **state)
{
        (void)state;
        expect_json_render(render_inline, "null", "nil");
        expect_json_render(render_inline, "\"a\\nb\"", "a\\nb");
        expect_json_render(render_inline, "{\"a\": [1, {\"b\": \"c\\nd\"}]}",
                           "{a: [1, {b: \"c\\nd\"}]}");
}

static void test_width(void **state)
{
        (void)state;
        assert_int_equal(render_width("abc", 3), 3);
        assert_int_equal(render_width("\xc3\xa4x", 3), 2);
        assert_int_equal(render_width("\x1b", 1), 4);
        assert_int_equal(render_width("\n", 1), 2);
        assert_int_equal(render_width("", 0), 0);
}

/* A full disk is seen by who closes the stream, and is no fault of the value. */
static void test_full(void **state)
{
        FILE *out = fopen("/dev/full", "w");
        struct tree tree;

        (void)state;
        if (!out)
                skip();
        tree_from_json(&tree, "[1, 2]");
        setvbuf(out, NULL, _IONBF, 0);
        assert_int_equal(render_json(out, tree.root, false), 0);
        assert_true(ferror(out));
        fclose(out);
        tree_deinit(&tree);
}

static void test_behind(void **state)
{
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);

        (void)state;
        assert_non_null(out);
        render_behind(out, "x", (struct field_text){"", 0});
        render_behind(out, ", ", (struct field_text){"a\x1b[2J\nbc", 7});
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, ", a\\x1b[2J\\nb");
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_behind), cmocka_unit_test(test_scalars),
                cmocka_unit_test(test_clean),  cmocka_unit_test(test_map),
                cmocka_unit_test(test_array),  cmocka_unit_test(test_inline),
                cmocka_unit_test(test_width),  cmocka_unit_test(test_full),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
