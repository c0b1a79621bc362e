/* SPDX-License-Identifier: MIT */
/* Time: it does not run backwards, and sums of it do not wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"

static void test_now(void **state)
{
        uint64_t last = clock_now_ns();

        (void)state;
        assert_true(last > 0);
        for (int i = 0; i < 10000; i++) {
                uint64_t now = clock_now_ns();

                assert_true(now >= last);
                last = now;
        }
}

static void test_add(void **state)
{
        (void)state;
        assert_int_equal(clock_add(1, 2), 3);
        assert_int_equal(clock_add(0, UINT64_MAX), UINT64_MAX);
        assert_int_equal(clock_add(UINT64_MAX - 5, 5), UINT64_MAX);
        /* What does not fit is for ever, not long ago. */
        assert_int_equal(clock_add(UINT64_MAX - 5, 6), UINT64_MAX);
        assert_int_equal(clock_add(UINT64_MAX, UINT64_MAX), UINT64_MAX);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_now),
                cmocka_unit_test(test_add),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
