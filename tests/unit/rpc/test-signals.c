/* SPDX-License-Identifier: MIT */
/* A signal after the last server has gone, which would otherwise end this program. */
#include "rpc/signals.h"

#include <signal.h>

#include "unit/rpc/harness.h"

static void test_kept_without_a_server(void **state)
{
        static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
        struct harness_options options = HARNESS_OPTIONS_INIT;
        struct harness h;

        (void)state;
        harness_start(&h, &options);
        assert_int_equal(rpc_signals_keep(), 0);
        harness_end(&h);
        /* More than libuv's pipe of a loop holds that nobody runs. */
        for (unsigned n = 0; n < 10000; n++)
                assert_int_equal(raise(numbers[n % 3]), 0);
}

/* And a server still gets them. */
static void test_a_server_stops(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;
        struct harness h;
        struct client c;

        (void)state;
        harness_start(&h, &options);
        client_connect(&c, &h);
        client_sync(&c);
        assert_int_equal(kill(getpid(), SIGTERM), 0);
        client_expect_end(&c);
        client_close(&c);
        harness_end(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kept_without_a_server),
                cmocka_unit_test(test_a_server_stops),
        };

        return HARNESS_RUN("signals", tests);
}
