/* SPDX-License-Identifier: MIT */
/* JSON both ways: what it can say survives, what it cannot has its own form. */

#include "client/render.h"
#include "unit/client/tree.h"

static void short_json(FILE *out, const struct proto_value *value)
{
        assert_int_equal(render_json(out, value, false), 0);
}

static void pretty_json(FILE *out, const struct proto_value *value)
{
        assert_int_equal(render_json(out, value, true), 0);
}

#define BYTES(text) text, sizeof(text) - 1

static void test_scalars(void **state)
{
        (void)state;
        expect_bytes_render(short_json, BYTES("\xc0"), "null\n");
        expect_bytes_render(short_json, BYTES("\xc3"), "true\n");
        expect_bytes_render(short_json, BYTES("\xc2"), "false\n");
        expect_bytes_render(short_json, BYTES("\x2a"), "42\n");
        expect_bytes_render(short_json, BYTES("\xff"), "-1\n");
        expect_bytes_render(short_json, BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"),
                            "9223372036854775807\n");
        expect_bytes_render(short_json, BYTES("\xcf\x80\0\0\0\0\0\0\0"),
                            "\"9223372036854775808\"\n");
        expect_bytes_render(short_json, BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
                            "\"18446744073709551615\"\n");
        expect_bytes_render(short_json, BYTES("\xd3\x80\0\0\0\0\0\0\0"), "-9223372036854775808\n");
        expect_bytes_render(short_json, BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1\n");
        expect_bytes_render(short_json, BYTES("\xcb\x3f\xf0\0\0\0\0\0\0"), "1.0\n");
        expect_bytes_render(short_json, BYTES("\xcb\x7f\xf8\0\0\0\0\0\0"), "\"nan\"\n");
        expect_bytes_render(short_json, BYTES("\xcb\xff\xf0\0\0\0\0\0\0"), "\"-inf\"\n");
}

static void test_bytes(void **state)
{
        (void)state;
        expect_bytes_render(short_json, BYTES("\xc4\x03\x00\xff\x10"), "{\"$bytes\":\"00ff10\"}\n");
        expect_bytes_render(short_json, BYTES("\xc4\x00"), "{\"$bytes\":\"\"}\n");
        expect_bytes_render(short_json, BYTES("\xa2\xc3\x28"), "{\"$bytes\":\"c328\"}\n");
        expect_bytes_render(short_json,
                            BYTES("\xa3"
                                  "a\0b"),
                            "\"a\\u0000b\"\n");
        expect_bytes_render(short_json, BYTES("\xa2\xc3\xa4"), "\"\xc3\xa4\"\n");
        expect_bytes_render(short_json, BYTES("\xd5\xff\x01\x02"),
                            "{\"$ext\":-1,\"$bytes\":\"0102\"}\n");
}

static void test_maps(void **state)
{
        (void)state;
        expect_bytes_render(short_json,
                            BYTES("\x82\x01\xa1x\xa1"
                                  "b\x90"),
                            "{\"1\":\"x\",\"b\":[]}\n");
        expect_bytes_render(short_json, BYTES("\x81\xa2\xc3\x28\x01"), "{\"\\\\xc3(\":1}\n");
        expect_bytes_render(short_json,
                            BYTES("\x82\xa1"
                                  "a\x01\xa1"
                                  "a\x02"),
                            "{\"a\":2}\n");
        expect_bytes_render(pretty_json,
                            BYTES("\x82\xa1z\x01\xa1"
                                  "a\x91\x02"),
                            "{\n  \"z\": 1,\n  \"a\": [\n    2\n  ]\n}\n");
}

/* Documents that come back as they went in. */
static void test_round_trip(void **state)
{
        static const char *const documents[] = {
                "null",
                "true",
                "0",
                "-9223372036854775808",
                "\"text\"",
                "[]",
                "{}",
                "[1,[2,[3,{\"a\":{\"b\":[null,false]}}]]]",
                "{\"k\":0.1,\"l\":1e300}",
                "{\"$bytes\":\"00ff\"}",
                "{\"$bytes\":1}",
                "{\"$bytes\":\"00\",\"x\":1}",
                "\"\\u0000\"",
                "[0.1,0.30000000000000004]",
        };
        (void)state;
        for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
                char *text = NULL;
                size_t len = 0;
                FILE *out = open_memstream(&text, &len);
                struct tree tree;
                json_t *a, *b;

                tree_from_json(&tree, documents[i]);
                assert_int_equal(render_json(out, tree.root, i % 2), 0);
                fclose(out);
                a = json_loads(documents[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
                b = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
                assert_true(json_equal(a, b));
                json_decref(a);
                json_decref(b);
                free(text);
                tree_deinit(&tree);
        }
}

static void test_refused(void **state)
{
        static const char *const documents[] = {"{\"$bytes\":\"0\"}", "{\"$bytes\":\"zz\"}",
                                                "[[[1]]]", "{\"a\":{\"b\":{}}}"};
        struct proto_builder builder;

        (void)state;
        for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
                json_t *json = json_loads(documents[i], 0, NULL);

                proto_builder_init(&builder, 1024);
                assert_int_equal(ctl_json_put(&builder, json, 2), -1);
                proto_builder_deinit(&builder);
                json_decref(json);
        }
        proto_builder_init(&builder, 8);
        assert_int_equal(ctl_json_put_hex(&builder, "00112233445566778899", 20), 0);
        assert_int_equal(builder.error, PROTO_BUILDER_E_BUDGET);
        proto_builder_deinit(&builder);
}

static void test_digits(void **state)
{
        (void)state;
        assert_int_equal(ctl_json_digits(0.1), 15);
        assert_int_equal(ctl_json_digits(0.30000000000000004), 17);
        assert_int_equal(ctl_json_digits(0), 15);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_scalars), cmocka_unit_test(test_bytes),
                cmocka_unit_test(test_maps),    cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_refused), cmocka_unit_test(test_digits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
