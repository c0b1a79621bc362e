/* SPDX-License-Identifier: MIT */
/* Exits: what each means for the guest, that none of them is worse than its end, and what is told.
 */
#include "unit/machine/fake-kvm.h"

static struct kvm_vcpu *vcpu;
static struct kvm_run *run;

static int start(void **state)
{
        (void)fake_kvm_start(state);
        fake_machine_one(MACHINE_IRQCHIP_OFF);
        vcpu = kvm_vcpu_of(machine, 0);
        run = vcpu->run;
        return 0;
}

static enum kvm_step handle(uint32_t reason)
{
        run->exit_reason = reason;
        vcpu->ended = VMREQ_EXIT_AGAIN;
        vcpu->reason[0] = '\0';
        vcpu->incomplete = false;
        return kvm_exit_handle(vcpu);
}

static uint64_t stat(enum machine_stat which)
{
        uint64_t stats[MACHINE_STATS_N];

        assert_int_equal(machine_get_stats(machine, 0, stats), 0);
        return stats[which];
}

static void test_goes_on(void **state)
{
        (void)state;
        assert_int_equal(handle(KVM_EXIT_IRQ_WINDOW_OPEN), KVM_STEP_ON);
        assert_int_equal(handle(KVM_EXIT_SET_TPR), KVM_STEP_ON);
        assert_int_equal(handle(KVM_EXIT_DEBUG), KVM_STEP_ON);
        assert_int_equal(handle(KVM_EXIT_INTR), KVM_STEP_LEAVE);
        vcpu->stepping = true;
        assert_int_equal(handle(KVM_EXIT_DEBUG), KVM_STEP_STEPPED);
        vcpu->stepping = false;
        assert_int_equal(vcpu->ended, VMREQ_EXIT_AGAIN);
}

static void test_ends(void **state)
{
        static const struct {
                uint32_t reason;
                const char *says;
        } rows[] = {
                {KVM_EXIT_SHUTDOWN, "triple fault at rip 0x7c00"},
                {KVM_EXIT_FAIL_ENTRY, "refuses the guest's state (0x80000021)"},
                {KVM_EXIT_UNKNOWN, "exit 0"},
                {KVM_EXIT_HYPERV, "exit 27"},
                {4711, "exit 4711"},
        };

        (void)state;
        run->fail_entry.hardware_entry_failure_reason = 0x80000021;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_int_equal(handle(rows[i].reason), KVM_STEP_ENDED);
                assert_int_equal(vcpu->ended, VMREQ_EXIT_FAILED);
                assert_words(vcpu->reason, (const char *const[]){"vCPU 0", rows[i].says, NULL});
        }
        for (uint32_t reason = 0; reason < 64; reason++) {
                memset(run, 0, FAKE_RUN_SIZE);
                (void)handle(reason);
        }
}

static void test_internal_error(void **state)
{
        (void)state;
        run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
        assert_int_equal(handle(KVM_EXIT_INTERNAL_ERROR), KVM_STEP_ENDED);
        assert_string_equal(vcpu->reason, "vCPU 0: internal error 1 (an instruction that cannot be "
                                          "emulated) at rip 0x7c00");
        run->internal.suberror = 99;
        assert_int_equal(handle(KVM_EXIT_INTERNAL_ERROR), KVM_STEP_ENDED);
        assert_words(vcpu->reason, (const char *const[]){"99", "unknown", NULL});
}

static void test_system_event(void **state)
{
        (void)state;
        run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
        assert_int_equal(handle(KVM_EXIT_SYSTEM_EVENT), KVM_STEP_ENDED);
        assert_int_equal(vcpu->ended, VMREQ_EXIT_POWER_OFF);
        run->system_event.type = KVM_SYSTEM_EVENT_RESET;
        assert_int_equal(handle(KVM_EXIT_SYSTEM_EVENT), KVM_STEP_ENDED);
        assert_int_equal(vcpu->ended, VMREQ_EXIT_POWER_OFF);
        assert_words(vcpu->reason, (const char *const[]){"reset", NULL});
        run->system_event.type = 77;
        assert_int_equal(handle(KVM_EXIT_SYSTEM_EVENT), KVM_STEP_ENDED);
        assert_int_equal(vcpu->ended, VMREQ_EXIT_FAILED);
}

/* The first reason is the one that is told. */
static void test_first_reason(void **state)
{
        (void)state;
        assert_int_equal(kvm_exit_end(vcpu, VMREQ_EXIT_POWER_OFF, "first"), KVM_STEP_ENDED);
        assert_int_equal(kvm_exit_end(vcpu, VMREQ_EXIT_FAILED, "second"), KVM_STEP_ENDED);
        assert_int_equal(vcpu->ended, VMREQ_EXIT_POWER_OFF);
        assert_string_equal(vcpu->reason, "first");
}

static void test_ports(void **state)
{
        uint8_t *data = (uint8_t *)run + 4096;

        (void)state;
        (void)fake_exit_in(&kvm_fake.vcpu[0], 0xe9);
        assert_int_equal(handle(KVM_EXIT_IO), KVM_STEP_ON);
        assert_true(vcpu->incomplete);
        assert_int_equal(data[0], 0xe9);
        /* Several elements of four bytes, from where nobody is. */
        run->io.size = 4;
        run->io.count = 3;
        run->io.port = 0x1234;
        memset(data, 0, 16);
        assert_int_equal(handle(KVM_EXIT_IO), KVM_STEP_ON);
        assert_memory_equal(data, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0", 13);
        assert_int_equal(stat(MACHINE_STAT_UNCLAIMED), 3);
        assert_words(logged, (const char *const[]){"vCPU 0 reads port 0x1234", NULL});
        (void)fake_exit_out(&kvm_fake.vcpu[0], 0xf4, 2, 2, "\x01\x02\x03\x04");
        assert_int_equal(handle(KVM_EXIT_IO), KVM_STEP_ENDED);
        assert_int_equal(vcpu->ended, VMREQ_EXIT_POWER_OFF);
        assert_words(vcpu->reason, (const char *const[]){"code 513", NULL});
        assert_int_equal(stat(MACHINE_STAT_PORT), 3);
}

static void test_mmio(void **state)
{
        (void)state;
        run->mmio.phys_addr = 0xd0000000;
        run->mmio.len = 8;
        run->mmio.is_write = 0;
        memset(run->mmio.data, 0, 8);
        assert_int_equal(handle(KVM_EXIT_MMIO), KVM_STEP_ON);
        assert_true(vcpu->incomplete);
        assert_memory_equal(run->mmio.data, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
        run->mmio.is_write = 1;
        assert_int_equal(handle(KVM_EXIT_MMIO), KVM_STEP_ON);
        assert_int_equal(stat(MACHINE_STAT_MMIO), 2);
        assert_int_equal(stat(MACHINE_STAT_UNCLAIMED), 2);
        assert_words(logged, (const char *const[]){"reads address 0xd0000000", NULL});
}

/* A loop on ports that nobody has costs a line now and then, not a line each. */
static void test_unclaimed_flood(void **state)
{
        size_t lines = 0;

        (void)state;
        (void)fake_exit_in(&kvm_fake.vcpu[0], 0x9999);
        for (int i = 0; i < 100000; i++)
                (void)handle(KVM_EXIT_IO);
        for (const char *c = logged; *c; c++)
                lines += *c == '|';
        assert_in_range(lines, 1, 100);
        assert_int_equal(stat(MACHINE_STAT_UNCLAIMED), 100000);
}

static void test_halt(void **state)
{
        (void)state;
        assert_int_equal(handle(KVM_EXIT_HLT), KVM_STEP_HALTED);
        assert_true(vcpu->halted);
        vcpu->halted = false;
        kvm_fake.vcpu[0].events.nmi.pending = 1;
        assert_int_equal(handle(KVM_EXIT_HLT), KVM_STEP_ON);
        assert_false(vcpu->halted);
        assert_int_equal(stat(MACHINE_STAT_HALTS), 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_goes_on, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_ends, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_internal_error, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_system_event, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_first_reason, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_ports, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_mmio, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_unclaimed_flood, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_halt, start, fake_kvm_end),
        };

        return RUN_TESTS(tests);
}
