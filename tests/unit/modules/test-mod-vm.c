/* SPDX-License-Identifier: MIT */
/* vm.*: every verb in the states that a VM without a guest can be in. */
#include "unit/symbols/caller.h"

#include "modules/modules.h"

static struct log_record log_lines;
static struct caller caller;

static int setup(void **state)
{
        (void)state;
        caller_init(&caller, 2, &log_lines);
        caller_add(&caller, &mod_vm);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        caller_deinit(&caller);
        return 0;
}

static void changes(const char *verb, bool changed, const char *to)
{
        struct call call;
        char expected[128];

        call_do(&call, &caller, verb, VMREQ_CPU_ANY, NULL, 0);
        assert_int_equal(call.row.status, 0);
        (void)snprintf(expected, sizeof(expected), "{2 \"changed\" %s \"state\" \"%s\"",
                       changed ? "true" : "false", to);
        assert_string_equal(call.writer.text, expected);
        assert_string_equal(call.writer.failure_name, "-");
        call_do(&call, &caller, "vm.state", VMREQ_CPU_ANY, NULL, 0);
        (void)snprintf(expected, sizeof(expected), "\"%s\"", to);
        assert_string_equal(call.writer.text, expected);
}

static void is_illegal(const char *verb, const char *text)
{
        struct call call;

        call_do(&call, &caller, verb, VMREQ_CPU_ANY, NULL, 0);
        assert_int_equal(call.row.status, VMREQ_E_STATE);
        assert_string_equal(call.writer.text, "");
        assert_string_equal(call.writer.failure_name, "VM_STATE");
        assert_string_equal(call.writer.failure_text, text);
}

static void before_power_on(void **state)
{
        (void)state;
        is_illegal("vm.suspend", "vm.suspend is not legal in state CREATED; legal in RUNNING");
        is_illegal("vm.resume", "vm.resume is not legal in state CREATED; legal in SUSPENDED");
        is_illegal("vm.reset",
                   "vm.reset is not legal in state CREATED; legal in RUNNING, SUSPENDED");
        changes("vm.power_off", true, "OFF");
}

static void a_life(void **state)
{
        (void)state;
        changes("vm.power_on", true, "RUNNING");
        changes("vm.power_on", false, "RUNNING");
        changes("vm.resume", false, "RUNNING");
        changes("vm.reset", true, "RUNNING");
        changes("vm.suspend", true, "SUSPENDED");
        changes("vm.suspend", false, "SUSPENDED");
        changes("vm.reset", true, "SUSPENDED");
        is_illegal("vm.power_on",
                   "vm.power_on is not legal in state SUSPENDED; legal in CREATED, OFF");
        changes("vm.resume", true, "RUNNING");
        changes("vm.power_off", true, "OFF");
        changes("vm.power_off", false, "OFF");
        is_illegal("vm.suspend", "vm.suspend is not legal in state OFF; legal in RUNNING");
        changes("vm.power_on", true, "RUNNING");
        changes("vm.suspend", true, "SUSPENDED");
        changes("vm.power_off", true, "OFF");
}

static void is_registered_right(void **state)
{
        static const char *const verbs[] = {"vm.power_on", "vm.suspend", "vm.resume", "vm.reset",
                                            "vm.power_off"};
        const struct sym_symbol *symbol;
        size_t n;

        (void)state;
        for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
                symbol = sym_registry_find(caller.registry, verbs[i], strlen(verbs[i]));
                assert_non_null(symbol);
                assert_true(symbol->def->flags & VMREQ_SYM_PRIORITY);
                assert_true(symbol->def->flags & VMREQ_SYM_CHANGES_STATE);
                assert_int_equal(symbol->def->result, VMREQ_T_MAP);
        }
        symbol = sym_registry_find(caller.registry, "vm.state", 8);
        assert_non_null(symbol);
        assert_int_equal(symbol->def->flags, VMREQ_SYM_READ_ONLY);
        (void)sym_registry_list(caller.registry, &n);
        assert_int_equal(n, 6);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(before_power_on, setup, teardown),
                cmocka_unit_test_setup_teardown(a_life, setup, teardown),
                cmocka_unit_test_setup_teardown(is_registered_right, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
