/* SPDX-License-Identifier: MIT */
/* cpu.*, the part that asks the guest: the right vCPU, what is written, and arguments that are
 * wrong. */
#include "unit/modules/with-guest.h"

static int start(void **state)
{
        (void)state;
        return guest_start(&mod_cpu);
}

static void test_regs(void **state)
{
        struct call call;

        (void)state;
        guest.regs[1].r[MACHINE_RIP] = 0x1234;
        guest.regs[1].r[MACHINE_R15] = UINT64_MAX;
        assert_int_equal(ask(&call, "cpu.regs", 1, NULL, 0), 0);
        assert_has(call.writer.text, "{18 \"rip\" 0x1234 \"rflags\" 0x0 ");
        assert_has(call.writer.text, "\"r15\" 0xffffffffffffffff");
        assert_int_equal(ask(&call, "cpu.regs", 0, NULL, 0), 0);
        assert_has(call.writer.text, "{18 \"rip\" 0x0 ");
}

static void test_sregs(void **state)
{
        struct call call;

        (void)state;
        guest.sregs.cr3 = 0x2000;
        guest.sregs.gdt = (struct machine_table){.base = 0x1000, .limit = 23};
        guest.sregs.segments[MACHINE_CS] =
                (struct machine_segment){.base = 0xffff0000, .selector = 0xf000, .l = 1};
        assert_int_equal(ask(&call, "cpu.sregs", 0, NULL, 0), 0);
        assert_has(call.writer.text,
                   "{17 \"cs\" {11 \"base\" 0xffff0000 \"limit\" 0x0 \"selector\" "
                   "0xf000 \"type\" 0 ");
        assert_has(call.writer.text, " \"gdt\" {2 \"base\" 0x1000 \"limit\" 0x17 ");
        assert_has(call.writer.text, " \"cr3\" 0x2000 ");
}

static void test_set_regs(void **state)
{
        static const char map[] = "\x82\xa3rip\xa6"
                                  "0x1000\xa3r10\x05";
        const struct vmreq_value good = BYTES(map, sizeof(map) - 1);
        const struct vmreq_value unknown = BYTES("\x81\xa3"
                                                 "eip\x01",
                                                 6);
        const struct vmreq_value negative = BYTES("\x81\xa3rip\xff", 6);
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "cpu.set_regs", 0, &good, 1), VMREQ_FAIL_STATE);
        guest_suspend();
        guest.regs[1].r[MACHINE_RAX] = 7;
        assert_int_equal(ask(&call, "cpu.set_regs", 1, &good, 1), 0);
        assert_string_equal(call.writer.text, "");
        assert_int_equal(guest.regs[1].r[MACHINE_RIP], 0x1000);
        assert_int_equal(guest.regs[1].r[MACHINE_R10], 5);
        assert_int_equal(guest.regs[1].r[MACHINE_RAX], 7);
        assert_int_equal(guest.regs[0].r[MACHINE_RIP], 0);
        assert_int_equal(ask(&call, "cpu.set_regs", 1, &unknown, 1), VMREQ_FAIL_INVALID);
        assert_has(call.writer.failure_text, "no register \"eip\"");
        assert_int_equal(ask(&call, "cpu.set_regs", 1, &negative, 1), VMREQ_FAIL_INVALID);
        assert_has(call.writer.failure_text, "regs: expected numbers");
        assert_int_equal(guest.regs[1].r[MACHINE_RIP], 0x1000); /* all of it, or nothing */
}

static void test_events(void **state)
{
        const struct vmreq_value number = X64(33), no = X64(0);
        struct call call;

        (void)state;
        guest_change(VMREQ_EVENT_POWER_ON);
        assert_int_equal(ask(&call, "cpu.interrupt", 1, &number, 1), 0);
        assert_int_equal(guest.interrupts[1], 33);
        assert_int_equal(ask(&call, "cpu.nmi", 0, NULL, 0), 0);
        assert_int_equal(guest.nmis[0], 1);
        assert_int_equal(ask(&call, "cpu.halt", 1, NULL, 0), 0);
        assert_true(guest.halted[1]);
        assert_int_equal(ask(&call, "cpu.halt", 1, &no, 1), 0);
        assert_false(guest.halted[1]);
        guest.result = MACHINE_E_RANGE;
        assert_int_equal(ask(&call, "cpu.interrupt", 1, &number, 1), VMREQ_FAIL_INVALID);
        assert_has(call.writer.failure_text, "0 to 23");
}

static void test_step(void **state)
{
        const struct vmreq_value limit = X64(250);
        struct call call;

        (void)state;
        guest_change(VMREQ_EVENT_POWER_ON);
        assert_int_equal(ask(&call, "cpu.step", 0, NULL, 0), VMREQ_FAIL_STATE);
        assert_has(call.writer.failure_text, "legal in SUSPENDED");
        guest_change(VMREQ_EVENT_SUSPEND);
        guest.regs[0].r[MACHINE_RIP] = 0x77;
        assert_int_equal(ask(&call, "cpu.step", 0, NULL, 0), 0);
        assert_has(call.writer.text, "{18 \"rip\" 0x77 ");
        assert_int_equal(guest.step_ns, 100000000);
        assert_int_equal(ask(&call, "cpu.step", 0, &limit, 1), 0);
        assert_int_equal(guest.step_ns, 250000000);
        assert_int_equal(guest.steps[0], 2);
        guest.result = MACHINE_E_HALTED;
        assert_int_equal(ask(&call, "cpu.step", 0, NULL, 0), VMREQ_FAIL_STATE);
        assert_has(call.writer.failure_text, "halted");
}

static void test_stats(void **state)
{
        struct call call;

        (void)state;
        guest.halted[1] = true;
        guest.entries = 9;
        assert_int_equal(ask(&call, "cpu.stats", 1, NULL, 0), 0);
        assert_has(call.writer.text, "{11 \"halted\" true \"entries\" 9 \"port\" 101 ");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_regs, start, guest_end),
                cmocka_unit_test_setup_teardown(test_sregs, start, guest_end),
                cmocka_unit_test_setup_teardown(test_set_regs, start, guest_end),
                cmocka_unit_test_setup_teardown(test_events, start, guest_end),
                cmocka_unit_test_setup_teardown(test_step, start, guest_end),
                cmocka_unit_test_setup_teardown(test_stats, start, guest_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
