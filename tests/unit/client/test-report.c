/* SPDX-License-Identifier: MIT */
/* The exit status of every error there is. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/ctl.h"
#include "client/report.h"
#include "proto/codes.h"

static void test_exits(void **state)
{
        static const int expected[] = {
                [PROTO_OK] = CTL_FAILED, /* a name that we do not know */
                [PROTO_NOT_FOUND] = CTL_REFUSED,
                [PROTO_INVALID_ARGUMENT] = CTL_REFUSED,
                [PROTO_INVALID_REQUEST] = CTL_REFUSED,
                [PROTO_BUSY] = CTL_REFUSED,
                [PROTO_TIMEOUT] = CTL_TIMEOUT,
                [PROTO_CANCELLED] = CTL_CANCELLED,
                [PROTO_KILLED] = CTL_CANCELLED,
                [PROTO_VM_STATE] = CTL_REFUSED,
                [PROTO_DEADLOCK] = CTL_FAILED,
                [PROTO_FAILED] = CTL_FAILED,
                [PROTO_TOO_LARGE] = CTL_REFUSED,
                [PROTO_UNSUPPORTED] = CTL_REFUSED,
                [PROTO_INTERNAL] = CTL_FAILED,
        };

        (void)state;
        assert_int_equal(sizeof(expected) / sizeof(expected[0]), _PROTO_CODE_N);
        for (uint32_t i = 0; i < _PROTO_CODE_N; i++)
                assert_int_equal(report_exit_of_code(i), expected[i]);
        assert_int_equal(report_exit_of_code(UINT32_MAX), CTL_FAILED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_exits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
