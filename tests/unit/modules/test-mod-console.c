/* SPDX-License-Identifier: MIT */
/* console.*: reading on from where one was, and typing until there is no room. */
#include "unit/modules/with-guest.h"

static int start(void **state)
{
        (void)state;
        return guest_start(&mod_console);
}

static void test_read(void **state)
{
        struct console *console = machine_console(machine);
        const struct vmreq_value from_2[] = {X64(2), X64(3)}, from_end[] = {X64(6)};
        static uint8_t many[CONSOLE_OUTPUT_BYTES];
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "console.read", 0, NULL, 0), 0);
        assert_string_equal(call.writer.text, "{3 \"data\" bytes:0 \"next\" 0 \"lost\" 0");
        console_write(console, (const uint8_t *)"hello\n", 6);
        assert_int_equal(ask(&call, "console.read", 1, from_2, 2), 0);
        assert_string_equal(call.writer.text, "{3 \"data\" bytes:3 \"next\" 5 \"lost\" 0");
        assert_memory_equal(call.writer.bytes, "llo", 3);
        assert_int_equal(ask(&call, "console.read", 1, from_end, 1), 0);
        assert_string_equal(call.writer.text, "{3 \"data\" bytes:0 \"next\" 6 \"lost\" 0");
        console_write(console, many, sizeof(many));
        assert_int_equal(ask(&call, "console.read", 1, NULL, 0), 0);
        assert_string_equal(call.writer.text, "{3 \"data\" bytes:65536 \"next\" 65542 \"lost\" 6");
}

static void test_write(void **state)
{
        static char many[CONSOLE_INPUT_BYTES + 1];
        const struct vmreq_value text = TEXT("ls\n"), all = BYTES(many, sizeof(many));
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "console.write", 0, &text, 1), 0);
        assert_string_equal(call.writer.text, "3");
        assert_int_equal(console_take(machine_console(machine)), 'l');
        assert_int_equal(ask(&call, "console.write", 0, &all, 1), 0);
        assert_string_equal(call.writer.text, "4094");
        assert_int_equal(ask(&call, "console.write", 0, &text, 1), 0);
        assert_string_equal(call.writer.text, "0");
}

static void test_flags(void **state)
{
        const struct sym_symbol *const *list;
        size_t n;

        (void)state;
        list = sym_registry_list(caller.registry, &n);
        assert_int_equal(n, 2);
        for (size_t i = 0; i < n; i++)
                assert_true(list[i]->def->flags & VMREQ_SYM_CONFIDENTIAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_read, start, guest_end),
                cmocka_unit_test_setup_teardown(test_write, start, guest_end),
                cmocka_unit_test_setup_teardown(test_flags, start, guest_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
