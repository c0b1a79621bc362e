/* SPDX-License-Identifier: MIT */
/* One instruction: plain, through a device, a HLT, one that ends the guest, and one that does not
 * end. */
#include "unit/machine/fake-kvm.h"

#include "base/clock.h"

#define FAR_NS  (60 * CLOCK_NS_PER_S)
#define SOON_NS (20 * CLOCK_NS_PER_MS)

static struct fake_vcpu *inside;
static uint32_t leaves; /* exits before the instruction is over */

static int start(void **state)
{
        (void)fake_kvm_start(state);
        fake_machine_one(MACHINE_IRQCHIP_OFF);
        inside = &kvm_fake.vcpu[0];
        leaves = 0;
        return 0;
}

static int guest(struct fake_vcpu *vcpu)
{
        CHECK(vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP);
        if (leaves) {
                leaves--;
                return fake_exit_in(vcpu, 0xe9);
        }
        vcpu->regs.rip++;
        vcpu->run->exit_reason = KVM_EXIT_DEBUG;
        return 0;
}

static void test_plain(void **state)
{
        (void)state;
        kvm_fake.guest = guest;
        /* A vector that waits is not taken meanwhile. */
        assert_int_equal(machine_interrupt(machine, 0, 50), 0);
        inside->run->ready_for_interrupt_injection = 1;
        assert_int_equal(machine_step(machine, 0, FAR_NS), 0);
        assert_int_equal(inside->regs.rip, 0x7c01);
        assert_int_equal(inside->runs, 1);
        assert_int_equal(inside->injected, 0);
        assert_int_equal(inside->debug.control, 0);
        assert_false(kvm_vcpu_of(machine, 0)->stepping);
}

static void test_device(void **state)
{
        (void)state;
        kvm_fake.guest = guest;
        leaves = 3;
        assert_int_equal(machine_step(machine, 0, FAR_NS), 0);
        assert_int_equal(inside->runs, 4);
        assert_int_equal(inside->regs.rax, 0xe9);
}

static int guest_halts(struct fake_vcpu *vcpu)
{
        vcpu->run->exit_reason = KVM_EXIT_HLT;
        return 0;
}

static void test_halt(void **state)
{
        (void)state;
        kvm_fake.guest = guest_halts;
        assert_int_equal(machine_step(machine, 0, FAR_NS), 0);
        assert_true(machine_is_halted(machine, 0));
        assert_int_equal(machine_step(machine, 0, FAR_NS), MACHINE_E_HALTED);
        assert_int_equal(inside->runs, 1);
}

static int guest_dies(struct fake_vcpu *vcpu)
{
        vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
        return 0;
}

static void test_ends(void **state)
{
        const char *reason = NULL;

        (void)state;
        kvm_fake.guest = guest_dies;
        assert_int_equal(machine_step(machine, 0, FAR_NS), MACHINE_E_ENDED);
        assert_int_equal(machine_step(machine, 0, FAR_NS), MACHINE_E_ENDED);
        assert_int_equal(inside->runs, 1);
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_FAILED);
        assert_words(reason, (const char *const[]){"triple fault", NULL});
}

/* The guest stays inside: the timer brings it out, again and again, until the time is over. */
static void test_never_ends(void **state)
{
        uint64_t began = clock_now_ns();

        (void)state;
        kvm_fake.guest = NULL;
        assert_int_equal(machine_step(machine, 0, SOON_NS), MACHINE_E_TIMEOUT);
        assert_true(clock_now_ns() - began >= SOON_NS);
        assert_int_equal(inside->debug.control, 0);
        /* And nothing of the timer is left. */
        kvm_fake.guest = guest;
        assert_int_equal(machine_step(machine, 0, FAR_NS), 0);
}

static void test_fails(void **state)
{
        (void)state;
        kvm_fake.guest = guest;
        fake_fail(KVM_SET_GUEST_DEBUG, EINVAL, 0);
        assert_int_equal(machine_step(machine, 0, FAR_NS), -EINVAL);
        assert_int_equal(inside->runs, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_plain, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_device, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_halt, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_ends, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_never_ends, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_fails, start, fake_kvm_end),
        };

        return RUN_TESTS(tests);
}
