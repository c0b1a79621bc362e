/* SPDX-License-Identifier: MIT */
/* What is there is exposed, what is not or is odd is left out, the end is always said. */

#include "client/openmetrics.h"
#include "unit/client/tree.h"

static void test_figures(void **state)
{
        (void)state;
        expect_json_render(
                openmetrics_render,
                "{\"uptime_ms\": 1500, \"requests\": {\"submitted\": 3, \"done\": 2, \"killed\": 1},"
                " \"bytes\": {\"now\": 512}, \"calls\": {\"answered_by_error\": {\"BUSY\": 4, \"a\\u0007\\\"\": 1}},"
                " \"emts\": [{\"cpu\": 0, \"done\": 7, \"lanes\": {\"normal\": {\"depth\": 1}},"
                " \"run_us\": {\"bounds_us\": [1, 2.5], \"counts\": [3, 0, 1], \"sum_us\": 1000007,"
                " \"count\": 4}}]}",
                "# TYPE vmreqd_uptime_seconds gauge\n# UNIT vmreqd_uptime_seconds seconds\n"
                "# HELP vmreqd_uptime_seconds Time since the daemon started.\n"
                "vmreqd_uptime_seconds 1.500\n"
                "# TYPE vmreqd_requests_submitted counter\n"
                "# HELP vmreqd_requests_submitted Requests accepted by the engine.\n"
                "vmreqd_requests_submitted_total 3\n"
                "# TYPE vmreqd_held_bytes gauge\n# UNIT vmreqd_held_bytes bytes\n"
                "# HELP vmreqd_held_bytes Bytes held for clients.\nvmreqd_held_bytes 512\n"
                "# TYPE vmreqd_requests_ended counter\n"
                "# HELP vmreqd_requests_ended Requests that are over, by how they ended.\n"
                "vmreqd_requests_ended_total{fate=\"done\"} 2\n"
                "vmreqd_requests_ended_total{fate=\"killed\"} 1\n"
                "# TYPE vmreqd_calls_failed counter\n"
                "# HELP vmreqd_calls_failed Calls answered with an error, by its name.\n"
                "vmreqd_calls_failed_total{error=\"BUSY\"} 4\n"
                "vmreqd_calls_failed_total{error=\"a?\\\"\"} 1\n"
                "# TYPE vmreqd_emt_requests_done counter\n"
                "# HELP vmreqd_emt_requests_done Requests that an EMT has run.\n"
                "vmreqd_emt_requests_done_total{cpu=\"0\"} 7\n"
                "# TYPE vmreqd_lane_depth gauge\n"
                "# HELP vmreqd_lane_depth Places in use on a lane, dead ones included.\n"
                "vmreqd_lane_depth{cpu=\"0\",lane=\"normal\"} 1\n"
                "# TYPE vmreqd_request_run_seconds histogram\n"
                "# UNIT vmreqd_request_run_seconds seconds\n"
                "# HELP vmreqd_request_run_seconds Time requests ran.\n"
                "vmreqd_request_run_seconds_bucket{cpu=\"0\",le=\"1e-06\"} 3\n"
                "vmreqd_request_run_seconds_bucket{cpu=\"0\",le=\"2.5e-06\"} 3\n"
                "vmreqd_request_run_seconds_bucket{cpu=\"0\",le=\"+Inf\"} 4\n"
                "vmreqd_request_run_seconds_sum{cpu=\"0\"} 1.000007\n"
                "vmreqd_request_run_seconds_count{cpu=\"0\"} 4\n"
                "# EOF\n");
}

/* Histograms whose bounds do not rise, or whose counts are not as many, are none. */
static void test_odd(void **state)
{
        static const char *const odd[] = {
                "{}",
                "[1]",
                "null",
                "{\"emts\": [1, {\"run_us\": 7}]}",
                "{\"emts\": [{\"cpu\": 0, \"run_us\": {\"bounds_us\": [2, 1], \"counts\": [1, 1, 1]}}]}",
                "{\"emts\": [{\"cpu\": 0, \"run_us\": {\"bounds_us\": [1], \"counts\": [1]}}]}",
                "{\"emts\": [{\"cpu\": 0, \"run_us\": {\"bounds_us\": [\"x\"], \"counts\": [1, 2]}}]}",
                "{\"emts\": [{\"cpu\": 0, \"run_us\": {\"bounds_us\": [1], \"counts\": [1, -2]}}]}",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
                expect_json_render(openmetrics_render, odd[i], "# EOF\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_figures),
                cmocka_unit_test(test_odd),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
