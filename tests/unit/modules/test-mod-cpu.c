/* SPDX-License-Identifier: MIT */
/* cpu.*: what is told of EMTs, by one of them. */
#include "unit/symbols/caller.h"

#include "modules/modules.h"

static struct log_record log_lines;
static struct caller caller;

static int setup(void **state)
{
        (void)state;
        caller_init(&caller, 3, &log_lines);
        caller_add(&caller, &mod_cpu);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        caller_deinit(&caller);
        return 0;
}

static void lists_all(void **state)
{
        struct call call;
        char own[64];

        (void)state;
        call_do(&call, &caller, "cpu.list", 1, NULL, 0);
        assert_int_equal(call.row.status, 0);
        assert_memory_equal(call.writer.text, "[3 {2 \"cpu\" 0 \"state\" \"",
                            strlen("[3 {2 \"cpu\" 0 \"state\" \""));
        (void)snprintf(own, sizeof(own), "{2 \"cpu\" 1 \"state\" \"%s\"",
                       vmreq_emt_state_name(VMREQ_EMT_RUNNING));
        assert_has(call.writer.text, own);
        assert_has(call.writer.text, "{2 \"cpu\" 2 ");
}

static void tells_of_itself(void **state)
{
        struct call call;
        char begin[64];

        (void)state;
        for (uint32_t cpu = 0; cpu < 3; cpu++) {
                call_do(&call, &caller, "cpu.state", cpu, NULL, 0);
                assert_int_equal(call.row.status, 0);
                (void)snprintf(begin, sizeof(begin), "{9 \"cpu\" %u \"state\" \"%s\" \"queued\" ",
                               cpu, vmreq_emt_state_name(VMREQ_EMT_RUNNING));
                assert_memory_equal(call.writer.text, begin, strlen(begin));
                assert_has(call.writer.text, " \"done\" ");
                assert_has(call.writer.text, " \"sleeps\" ");
        }
}

static void tells_of_others(void **state)
{
        const struct vmreq_value two = {.u = 2};
        struct call call;

        (void)state;
        call_do(&call, &caller, "cpu.state", 0, &two, 1);
        assert_int_equal(call.row.status, 0);
        assert_has(call.writer.text, "{9 \"cpu\" 2 ");
}

static void knows_its_bounds(void **state)
{
        const struct vmreq_value three = {.u = 3};
        struct call call;

        (void)state;
        call_do(&call, &caller, "cpu.state", 0, &three, 1);
        assert_int_equal(call.row.status, VMREQ_E_INVALID);
        assert_string_equal(call.writer.text, "");
        assert_string_equal(call.writer.failure_text, "there is no vCPU 3: they are 0 to 2");
}

/* What asks the guest says what it is; a machine without one is in test-cpu-guest.c. */
static void marks_its_symbols(void **state)
{
        static const struct {
                const char *name;
                uint32_t flags, not_flags;
        } rows[] = {
                {"cpu.list", VMREQ_SYM_READ_ONLY, VMREQ_SYM_CONFIDENTIAL},
                {"cpu.state", VMREQ_SYM_READ_ONLY, VMREQ_SYM_CONFIDENTIAL},
                {"cpu.stats", VMREQ_SYM_READ_ONLY, VMREQ_SYM_CONFIDENTIAL},
                {"cpu.regs", VMREQ_SYM_READ_ONLY | VMREQ_SYM_CONFIDENTIAL, 0},
                {"cpu.sregs", VMREQ_SYM_READ_ONLY | VMREQ_SYM_CONFIDENTIAL, 0},
                {"cpu.set_regs", VMREQ_SYM_CHANGES_STATE, VMREQ_SYM_READ_ONLY},
                {"cpu.halt", VMREQ_SYM_CHANGES_STATE, VMREQ_SYM_READ_ONLY},
                {"cpu.step", VMREQ_SYM_CHANGES_STATE | VMREQ_SYM_CONFIDENTIAL, VMREQ_SYM_READ_ONLY},
                {"cpu.nmi", VMREQ_SYM_CHANGES_STATE | VMREQ_SYM_POKE, VMREQ_SYM_READ_ONLY},
                {"cpu.interrupt", VMREQ_SYM_CHANGES_STATE | VMREQ_SYM_POKE, VMREQ_SYM_READ_ONLY},
        };
        const struct sym_symbol *const *list;
        size_t n;

        (void)state;
        list = sym_registry_list(caller.registry, &n);
        (void)list;
        assert_int_equal(n, sizeof(rows) / sizeof(rows[0]));
        for (size_t i = 0; i < n; i++) {
                const struct sym_symbol *symbol =
                        sym_registry_find(caller.registry, rows[i].name, strlen(rows[i].name));

                assert_non_null(symbol);
                assert_int_equal(symbol->def->flags & rows[i].flags, rows[i].flags);
                assert_int_equal(symbol->def->flags & rows[i].not_flags, 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(lists_all, setup, teardown),
                cmocka_unit_test_setup_teardown(tells_of_itself, setup, teardown),
                cmocka_unit_test_setup_teardown(tells_of_others, setup, teardown),
                cmocka_unit_test_setup_teardown(knows_its_bounds, setup, teardown),
                cmocka_unit_test_setup_teardown(marks_its_symbols, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
