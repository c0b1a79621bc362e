/* SPDX-License-Identifier: MIT */
/* Registers have names, and names are found. */
#include "machine/regs.h"
#include "unit/machine/machine-test.h"

static void test_regs(void **state)
{
        (void)state;
        for (unsigned i = 0; i < MACHINE_REGS_N; i++) {
                const char *name = machine_reg_name((enum machine_reg)i);

                assert_int_equal(machine_reg_find(name, strlen(name)), i);
                assert_int_equal(machine_reg_find(name, strlen(name) - 1), MACHINE_REGS_N);
        }
        assert_int_equal(machine_reg_find("", 0), MACHINE_REGS_N);
        assert_int_equal(machine_reg_find("eax", 3), MACHINE_REGS_N);
        assert_int_equal(machine_reg_find("RAX", 3), MACHINE_REGS_N);
        assert_string_equal(machine_reg_name(MACHINE_R15), "r15");
}

static void test_segments(void **state)
{
        static const char *const names[] = {"cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt"};

        (void)state;
        assert_int_equal(ARRAY_SIZE(names), MACHINE_SEGMENTS_N);
        for (unsigned i = 0; i < MACHINE_SEGMENTS_N; i++)
                assert_string_equal(machine_segment_name((enum machine_segment_id)i), names[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_regs),
                cmocka_unit_test(test_segments),
        };

        return RUN_TESTS(tests);
}
