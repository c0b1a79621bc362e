/* SPDX-License-Identifier: MIT */
/* Golden outputs of records of requests, and records that are none. */

#include "client/records.h"
#include "unit/client/tree.h"

static void test_table(void **state)
{
        (void)state;
        expect_json_render(
                records_render,
                "[{\"id\": 17, \"symbol\": \"debug.sleep\", \"cpu\": \"any\", \"state\": \"running\","
                " \"on\": 1, \"age_ms\": 1500, \"running_ms\": 1234, \"deadline_ms\": -20,"
                " \"caller\": {\"uid\": 0, \"pid\": 12}, \"priority\": true, \"detached\": true,"
                " \"answered\": true},"
                " {\"id\": 18, \"symbol\": \"debug.add\", \"cpu\": 0, \"state\": \"queued\","
                " \"on\": null, \"age_ms\": 5, \"running_ms\": null, \"deadline_ms\": 29995,"
                " \"caller\": {\"uid\": 1000}, \"priority\": false, \"detached\": false,"
                " \"answered\": false}]",
                "ID  SYMBOL       CPU      STATE      AGE  RUNNING    LEFT  CALLER        NOTES\n"
                "17  debug.sleep  any (1)  running  1.5 s    1.2 s  -20 ms  uid 0 pid 12  priority, "
                "detached, answered\n"
                "18  debug.add    0        queued    5 ms           29.9 s  uid 1000\n");
}

static void test_odd(void **state)
{
        (void)state;
        expect_json_render(records_render, "[1, {}, {\"id\": \"x\", \"deadline_ms\": true}]",
                           "ID  SYMBOL  CPU  STATE  AGE  RUNNING  LEFT  CALLER  NOTES\n\n\n\n");
}

static void test_line(void **state)
{
        (void)state;
        expect_json_render(records_render_line,
                           "{\"id\": 17, \"symbol\": \"a.b\", \"state\": \"running\", \"on\": 1,"
                           " \"running_ms\": 1200, \"caller\": {\"uid\": 0, \"pid\": 12}}",
                           "#17 a.b on cpu 1, running for 1.2 s, of uid 0 pid 12");
        expect_json_render(
                records_render_line,
                "{\"id\": 17, \"symbol\": \"a.b\", \"state\": \"queued\", \"age_ms\": 7}",
                "#17 a.b, queued for 7 ms");
        expect_json_render(records_render_line, "null", "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_odd),
                cmocka_unit_test(test_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
