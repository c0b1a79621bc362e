/* SPDX-License-Identifier: MIT */
/* The feed is the console's ring: what is read, where it begins and ends, what was lost. */
#include "console-feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_feed(void **state)
{
        static uint8_t many[CONSOLE_OUTPUT_BYTES];
        struct console console;
        struct rpc_feed feed;
        uint64_t position = 1, lost;
        char data[8];

        (void)state;
        assert_int_equal(console_init(&console, NULL, NULL), 0);
        console_feed_init(&feed, &console);
        console_write(&console, (const uint8_t *)"abc", 3);
        assert_int_equal(feed.begin(feed.ctx), 0);
        assert_int_equal(feed.end(feed.ctx), 3);
        assert_int_equal(feed.read(feed.ctx, &position, data, sizeof(data), &lost), 2);
        assert_memory_equal(data, "bc", 2);
        assert_int_equal(position, 3);
        console_write(&console, many, sizeof(many));
        console_write(&console, (const uint8_t *)"abc", 3);
        assert_int_equal(feed.begin(feed.ctx), 6);
        assert_int_equal(feed.read(feed.ctx, &position, data, sizeof(data), &lost), 8);
        assert_int_equal(lost, 3);
        console_deinit(&console);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_feed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
