/* SPDX-License-Identifier: MIT */
/* The rows of a broadcast: their lines, and the exit status that they come to. */

#include "client/ctl.h"
#include "client/rows.h"
#include "unit/client/tree.h"

static void test_lines(void **state)
{
        (void)state;
        expect_json_render(
                rows_render,
                "[{\"cpu\": 3, \"fate\": \"DONE\", \"status\": 0, \"value\": 42, \"queued_us\": 1},"
                "{\"cpu\": 12, \"fate\": \"DONE\", \"status\": -5, \"value\": null},"
                "{\"cpu\": 1, \"fate\": \"DONE\", \"status\": 0, \"value\": null},"
                "{\"cpu\": 0, \"fate\": \"SKIPPED\", \"status\": -20013}]",
                "cpu 3  DONE  42\n"
                "cpu 12  DONE  failed with status -5\n"
                "cpu 1  DONE\n"
                "cpu 0  SKIPPED\n");
        expect_json_render(
                rows_render,
                "[{\"cpu\": 0, \"fate\": \"DONE\", \"status\": -5, \"name\": \"EIO\", \"text\": \"disk\"},"
                "{\"cpu\": 1, \"fate\": \"DONE\", \"status\": -5, \"error\": {\"message\": \"m\"}},"
                "{\"cpu\": 1, \"fate\": \"DONE\", \"status\": -5, \"error\": \"e\"}]",
                "cpu 0  DONE  failed with status -5 EIO: disk\n"
                "cpu 1  DONE  failed with status -5: m\n"
                "cpu 1  DONE  failed with status -5: e\n");
        expect_json_render(rows_render, "[{}, 1, {\"cpu\": \"x\", \"fate\": 1, \"status\": \"y\"}]",
                           "cpu -  ?\ncpu -  ?\ncpu -  ?\n");
        expect_json_render(rows_render, "[]", "");
}

static void expect_exit(const char *json, int status)
{
        struct tree tree;

        tree_from_json(&tree, json);
        assert_int_equal(rows_exit(tree.root), status);
        tree_deinit(&tree);
}

static void test_exit(void **state)
{
        (void)state;
        expect_exit("[]", CTL_DONE);
        expect_exit("[{\"fate\": \"DONE\", \"status\": 0}]", CTL_DONE);
        expect_exit("[{\"fate\": \"DONE\"}]", CTL_DONE);
        expect_exit("[{\"fate\": \"DONE\", \"status\": 7}]", CTL_DONE);
        expect_exit("[{\"fate\": \"DONE\", \"status\": -1}]", CTL_FAILED);
        expect_exit("[{\"fate\": \"SKIPPED\"}]", CTL_FAILED);
        expect_exit("[{\"fate\": \"EXPIRED\"}]", CTL_TIMEOUT);
        expect_exit("[{\"fate\": \"RUNNING\"}]", CTL_TIMEOUT);
        expect_exit("[{\"fate\": \"CANCELLED\"}]", CTL_CANCELLED);
        expect_exit("[{\"fate\": \"KILLED\"}]", CTL_CANCELLED);
        expect_exit("[{\"fate\": \"ODD\"}, 1]", CTL_FAILED);
        expect_exit("[{\"fate\": \"DONE\"}, {\"fate\": \"KILLED\"}, {\"fate\": \"SKIPPED\"}]",
                    CTL_CANCELLED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines),
                cmocka_unit_test(test_exit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
