/* SPDX-License-Identifier: MIT */
/* The error vocabulary: names, meanings and the way back, for each code and for numbers outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codes.h"

static void test_names(void **state)
{
        /* The numbers are on the wire (style "map"): they may be added to, never changed. */
        static const char *const names[] = {
                NULL,      "NOT_FOUND", "INVALID_ARGUMENT", "INVALID_REQUEST", "BUSY",
                "TIMEOUT", "CANCELLED", "KILLED",           "VM_STATE",        "DEADLOCK",
                "FAILED",  "TOO_LARGE", "UNSUPPORTED",      "INTERNAL",
        };

        (void)state;
        assert_int_equal(sizeof(names) / sizeof(names[0]), _PROTO_CODE_N);
        for (unsigned i = 1; i < _PROTO_CODE_N; i++) {
                enum proto_code code = (enum proto_code)i;

                assert_string_equal(proto_code_to_string(code), names[i]);
                assert_true(strlen(proto_code_meaning(code)) > 0);
                assert_string_not_equal(proto_code_meaning(code), "unknown error");
                assert_int_equal(proto_code_from_string(names[i], strlen(names[i])), code);
                assert_int_equal(proto_code_from_string(names[i], strlen(names[i]) - 1), PROTO_OK);
        }
}

static void test_outside(void **state)
{
        static const int outside[] = {0, -1, _PROTO_CODE_N, 1000, INT32_MIN, INT32_MAX};

        (void)state;
        for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
                enum proto_code code = (enum proto_code)outside[i];

                assert_string_equal(proto_code_to_string(code), "UNKNOWN");
                assert_string_equal(proto_code_meaning(code), "unknown error");
        }
        assert_int_equal(proto_code_from_string("", 0), PROTO_OK);
        assert_int_equal(proto_code_from_string("busy", 4), PROTO_OK);
        assert_int_equal(proto_code_from_string("BUSY: too much", 14), PROTO_OK);
        assert_int_equal(proto_code_from_string("BUSY: too much", 4), PROTO_BUSY);
        assert_int_equal(proto_code_from_string("UNKNOWN", 7), PROTO_OK);
}

static void test_ran(void **state)
{
        (void)state;
        assert_string_equal(proto_ran_to_string(PROTO_RAN_NO), "no");
        assert_string_equal(proto_ran_to_string(PROTO_RAN_YES), "yes");
        assert_string_equal(proto_ran_to_string(PROTO_RAN_MAYBE), "maybe");
        assert_string_equal(proto_ran_to_string((enum proto_ran)99), "maybe");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_outside),
                cmocka_unit_test(test_ran),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
