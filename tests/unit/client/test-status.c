/* SPDX-License-Identifier: MIT */
/* Golden outputs of the status table. */

#include "client/status.h"
#include "unit/client/tree.h"

static void test_table(void **state)
{
        (void)state;
        expect_json_render(
                status_render,
                "{\"vm\": \"t\", \"state\": \"RUNNING\", \"uptime_ms\": 61000, \"version\": \"0.1.0\","
                " \"pid\": 7, \"draining\": true, \"clients\": 1, \"calls\": 3, \"emts\": ["
                " {\"cpu\": 0, \"state\": \"running\", \"symbol\": \"debug.sleep\", \"request\": 17,"
                "  \"running_ms\": 1234, \"caller\": {\"uid\": 0, \"pid\": 12}, \"queued\": 3,"
                "  \"queued_priority\": 0, \"done\": 10},"
                " {\"cpu\": 1, \"state\": \"asleep\", \"symbol\": null, \"request\": null,"
                "  \"running_ms\": 0, \"caller\": null, \"queued\": 0, \"queued_priority\": 0,"
                "  \"done\": 12345}]}",
                "t: RUNNING, draining, up 1 min 1 s, vmreqd 0.1.0, pid 7\n"
                "clients 1, calls 3\n"
                "\n"
                "CPU  STATE    RUNNING          FOR    CALLER        QUEUED  PRIORITY   DONE\n"
                "  0  running  debug.sleep #17  1.2 s  uid 0 pid 12       3         0     10\n"
                "  1  asleep                                              0         0  12345\n");
}

/* What a server that is none may send. */
static void test_odd(void **state)
{
        (void)state;
        expect_json_render(status_render, "{}", "\n");
        expect_json_render(status_render, "[1]", "\n");
        expect_json_render(status_render, "null", "\n");
        expect_json_render(
                status_render,
                "{\"vm\": \"a\\u001bb\", \"emts\": [1, {\"symbol\": 7, \"cpu\": -1}]}",
                "a\\x1bb\n\nCPU  STATE  RUNNING  FOR  CALLER  QUEUED  PRIORITY  DONE\n\n\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_odd),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
