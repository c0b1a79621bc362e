/* SPDX-License-Identifier: MIT */
/* Figures for people. */

#include "unit/client/verb.h"

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        note(message);
        return server_json(
                out,
                "{\"uptime_ms\": 61000, \"vm\": {\"state\": \"RUNNING\"},"
                " \"requests\": {\"submitted\": 3, \"done\": 2, \"odd\\u0007\": \"x\"},"
                " \"calls\": {\"accepted\": 4, \"answered_by_error\": {\"BUSY\": 1}},"
                " \"any\": {\"normal\": {\"depth\": 1, \"high_water\": 2}},"
                " \"emts\": [{\"cpu\": 0, \"state\": \"asleep\", \"done\": 2, \"sleeps\": 5,"
                " \"lanes\": {\"normal\": {\"depth\": 1, \"high_water\": 3}, \"priority\": {\"depth\": 1}},"
                " \"queued_us\": {\"bounds_us\": [10, 2000, 3000000], \"counts\": [50, 49, 1, 0]},"
                " \"run_us\": {\"bounds_us\": [10], \"counts\": [0, 7]}}]}");
}

static void test_text(void **state)
{
        (void)state;
        expect_verb(
                "stats", CTL_DONE, "vmreq.stats []",
                "RUNNING, up 1 min 1 s\n"
                "requests    submitted 3, done 2\n"
                "calls       accepted 4\n"
                "errors      BUSY 1\n"
                "\n"
                "CPU  STATE   DONE  DEPTH  MOST  SLEEPS  EXITS  KICKS  QUEUED 50 / 99 %  RAN 50 / 99 %\n"
                "  0  asleep     2      2     3       5                10 us / 2.0 ms    - / -\n"
                "any                    1     2\n",
                "");
}

static void test_openmetrics(void **state)
{
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, handler);
        run_verb(&run, server.path, NULL, "stats --openmetrics");
        server_stop(&server);
        assert_int_equal(run.status, CTL_DONE);
        assert_non_null(strstr(run.out, "\nvmreqd_vm_state{vmreqd_vm_state=\"RUNNING\"} 1\n"));
        assert_string_equal(run.out + strlen(run.out) - 6, "# EOF\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_openmetrics),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
