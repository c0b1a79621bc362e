/* SPDX-License-Identifier: MIT */
/* Golden outputs of descriptions. */

#include "client/describe.h"
#include "unit/client/tree.h"

static const char add[] =
        "{\"name\": \"debug.add\", \"module\": \"debug\", \"signature\": \"debug.add(a: i64, bb: i64 = 0) -> i64\","
        " \"doc\": \"Adds.\\n\\nAnd no more.\", \"result\": \"i64\", \"flags\": [\"read-only\", \"words\"],"
        " \"cpu\": \"any\", \"timeout_ms\": 5000, \"since\": \"0.1\", \"deprecated\": null, \"params\": ["
        " {\"name\": \"a\", \"type\": \"i64\", \"doc\": \"the first\", \"optional\": false, \"sensitive\": false},"
        " {\"name\": \"bb\", \"type\": \"i64\", \"doc\": \"\", \"optional\": true, \"default\": 0, \"min\": -1,"
        "  \"max\": 10, \"sensitive\": true}]}";

static void line(FILE *out, const struct proto_value *value)
{
        describe_render_line(out, value, 40);
}

static void test_full(void **state)
{
        (void)state;
        expect_json_render(describe_render, add,
                           "debug.add(a: i64, bb: i64 = 0) -> i64\n"
                           "    Adds.\n"
                           "\n"
                           "    And no more.\n"
                           "\n"
                           "arguments\n"
                           "    a   i64: the first\n"
                           "    bb  i64, optional, default 0, -1..10, sensitive\n"
                           "\n"
                           "result      i64\n"
                           "flags       read-only, words\n"
                           "cpu         any\n"
                           "time limit  5.0 s\n"
                           "module      debug\n"
                           "since       0.1\n");
}

static void test_line(void **state)
{
        (void)state;
        expect_json_render(line, add, "debug.add(a: i64, bb: i64 = 0) -> i64   Adds.\n");
        expect_json_render(line, "{\"name\": \"x.y\"}", "x.y\n");
        expect_json_render(
                line,
                "{\"signature\": \"0123456789012345678901234567890123456789012\", \"doc\": \"d\"}",
                "0123456789012345678901234567890123456789012  d\n");
}

static void test_odd(void **state)
{
        (void)state;
        expect_json_render(describe_render, "null", "\n\n");
        expect_json_render(describe_render, "{\"params\": [{\"name\": \"t\", \"default\": \"\"}]}",
                           "\n\narguments\n    t  , default \"\"\n\n");
        expect_json_render(describe_render,
                           "{\"params\": [1, {\"min\": 1}], \"flags\": 7, \"doc\": \"\\n\"}",
                           "\n\n\narguments\n      \n      , 1..\n\n");
        expect_json_render(line, "{}", "\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_full),
                cmocka_unit_test(test_line),
                cmocka_unit_test(test_odd),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
