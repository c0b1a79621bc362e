/* SPDX-License-Identifier: MIT */
/* A VM without a guest has the same symbols, and each says what is missing; what the machine
 * answers becomes a status and a sentence. */
#include "unit/modules/with-guest.h"

static void test_no_guest(void **state)
{
        static const char *const names[] = {
                "cpu.regs",  "cpu.sregs",     "cpu.set_regs",  "cpu.halt",      "cpu.step",
                "cpu.nmi",   "cpu.interrupt", "cpu.stats",     "mem.read",      "mem.stream",
                "mem.write", "mem.ranges",    "mem.translate", "mem.dump",      "io.devices",
                "io.attach", "io.detach",     "console.read",  "console.write",
        };
        static const struct vmreq_value args[VMREQ_ARGS_MAX];

        (void)state;
        modules_set_machine(NULL);
        caller_init(&caller, 1, &log_lines);
        for (size_t i = 0; modules_builtin[i]; i++)
                caller_add(&caller, modules_builtin[i]);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                const struct sym_symbol *symbol =
                        sym_registry_find(caller.registry, names[i], strlen(names[i]));
                struct call call;

                assert_non_null(symbol);
                assert_int_equal(ask(&call, names[i], 0, args, symbol->n_required),
                                 VMREQ_FAIL_UNSUPPORTED);
                assert_string_equal(call.writer.text, "");
                assert_has(call.writer.failure_text, "backend=none");
        }
        caller_deinit(&caller);
}

static int start(void **state)
{
        (void)state;
        return guest_start(&mod_cpu);
}

static void test_outcomes(void **state)
{
        static const struct {
                int outcome;
                int32_t status;
                const char *says;
        } rows[] = {
                {MACHINE_E_UNSUPPORTED, VMREQ_FAIL_UNSUPPORTED, "backend"},
                {MACHINE_E_RANGE, VMREQ_FAIL_INVALID, "range"},
                {MACHINE_E_TIMEOUT, VMREQ_FAIL_TIMEOUT, "did not end in time"},
                {MACHINE_E_ENDED, VMREQ_FAIL_STATE, "ended"},
                {MACHINE_E_HALTED, VMREQ_FAIL_STATE, "halted"},
                {-EIO, -EIO, "Input/output error"},
        };
        struct call call;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                guest.result = rows[i].outcome;
                assert_int_equal(ask(&call, "cpu.regs", 0, NULL, 0), rows[i].status);
                assert_has(call.writer.failure_text, rows[i].says);
                assert_string_equal(call.writer.text, "");
        }
}

static void test_states(void **state)
{
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "cpu.nmi", 0, NULL, 0), VMREQ_FAIL_STATE);
        assert_string_equal(call.writer.failure_text,
                            "not legal in state CREATED; legal in RUNNING, SUSPENDED");
        guest_suspend();
        assert_int_equal(ask(&call, "cpu.nmi", 0, NULL, 0), 0);
        assert_int_equal(ask(&call, "cpu.regs", 0, NULL, 0), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_guest),
                cmocka_unit_test_setup_teardown(test_outcomes, start, guest_end),
                cmocka_unit_test_setup_teardown(test_states, start, guest_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
