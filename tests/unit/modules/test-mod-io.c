/* SPDX-License-Identifier: MIT */
/* io.*: which devices there are, and plugging them out and in. */
#include "unit/modules/with-guest.h"

static int start(void **state)
{
        (void)state;
        return guest_start(&mod_io);
}

static bool answers(uint64_t port)
{
        uint8_t byte;
        bool found;

        bus_read(machine_ports(machine), 0, port, &byte, 1, &found);
        return found;
}

static void test_list(void **state)
{
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "io.devices", 0, NULL, 0), 0);
        assert_string_equal(
                call.writer.text,
                "[4 {4 \"bus\" \"port\" \"name\" \"rtc\" \"address\" 0x70 \"length\" 2 "
                "{4 \"bus\" \"port\" \"name\" \"debug-text\" \"address\" 0xe9 \"length\" 1 "
                "{4 \"bus\" \"port\" \"name\" \"debug-exit\" \"address\" 0xf4 \"length\" 4 "
                "{4 \"bus\" \"port\" \"name\" \"serial\" \"address\" 0x3f8 \"length\" 8");
}

static void test_plug(void **state)
{
        const struct vmreq_value serial = TEXT("serial"), nothing = TEXT("seria"), empty = TEXT("");
        struct call call;

        (void)state;
        assert_true(answers(0x3f8));
        assert_int_equal(ask(&call, "io.detach", 0, &serial, 1), 0);
        assert_string_equal(call.writer.text, "true");
        assert_false(answers(0x3f8));
        assert_int_equal(ask(&call, "io.detach", 1, &serial, 1), 0);
        assert_string_equal(call.writer.text, "false");
        assert_int_equal(ask(&call, "io.attach", 1, &serial, 1), 0);
        assert_string_equal(call.writer.text, "true");
        assert_int_equal(ask(&call, "io.attach", 1, &serial, 1), 0);
        assert_string_equal(call.writer.text, "false");
        assert_true(answers(0x3f8));
        assert_int_equal(ask(&call, "io.attach", 1, &nothing, 1), VMREQ_FAIL_INVALID);
        assert_has(call.writer.failure_text, "no device \"seria\"");
        assert_int_equal(ask(&call, "io.detach", 1, &empty, 1), VMREQ_FAIL_INVALID);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_list, start, guest_end),
                cmocka_unit_test_setup_teardown(test_plug, start, guest_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
