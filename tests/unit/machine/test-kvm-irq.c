/* SPDX-License-Identifier: MIT */
/* Interrupts by request, with and without an irqchip; what wakes a halted vCPU and what does not.
 */
#include "unit/machine/fake-kvm.h"

#define IF 0x200u

static struct kvm_vcpu *vcpu;
static struct fake_vcpu *inside;

static void set_up(enum machine_irqchip irqchip)
{
        fake_machine_one(irqchip);
        vcpu = kvm_vcpu_of(machine, 0);
        inside = &kvm_fake.vcpu[0];
}

static void test_vectors(void **state)
{
        struct kvm_run *run;

        (void)state;
        set_up(MACHINE_IRQCHIP_OFF);
        run = vcpu->run;
        assert_int_equal(machine_interrupt(machine, 0, 256), MACHINE_E_RANGE);
        assert_int_equal(machine_interrupt(machine, 0, 0), 0);
        assert_int_equal(machine_interrupt(machine, 0, 33), 0);
        assert_int_equal(machine_interrupt(machine, 0, 33), 0); /* once */
        assert_int_equal(machine_interrupt(machine, 0, 255), 0);
        /* The guest cannot take one: the kernel is to come back as soon as it can. */
        assert_int_equal(kvm_irq_inject(vcpu), 0);
        assert_int_equal(inside->injected, 0);
        assert_int_equal(run->request_interrupt_window, 1);
        static const int expected[] = {255, 33, 0};
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
                run->ready_for_interrupt_injection = 1;
                assert_int_equal(kvm_irq_inject(vcpu), 0);
                assert_int_equal(inside->last_vector, expected[i]);
                assert_int_equal(run->request_interrupt_window, i + 1 < ARRAY_SIZE(expected));
                /* One at a time, until the kernel says that it takes the next. */
                assert_int_equal(kvm_irq_inject(vcpu), 0);
                assert_int_equal(inside->injected, i + 1);
        }
        run->ready_for_interrupt_injection = 1;
        assert_int_equal(kvm_irq_inject(vcpu), 0);
        assert_int_equal(inside->injected, 3);
        assert_int_equal(run->request_interrupt_window, 0);
}

static void test_injection_fails(void **state)
{
        const char *reason = NULL;

        (void)state;
        set_up(MACHINE_IRQCHIP_OFF);
        vcpu->run->ready_for_interrupt_injection = 1;
        assert_int_equal(machine_interrupt(machine, 0, 32), 0);
        fake_fail(KVM_INTERRUPT, EINVAL, 0);
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_FAILED);
        assert_words(reason, (const char *const[]){"KVM_INTERRUPT", NULL});
}

/* HLT with interrupts off is only left by an NMI. */
static void test_halted(void **state)
{
        const char *reason = NULL;

        (void)state;
        set_up(MACHINE_IRQCHIP_OFF);
        assert_int_equal(machine_halt(machine, 0, true), 0);
        assert_true(machine_is_halted(machine, 0));
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_HALT);
        assert_int_equal(machine_interrupt(machine, 0, 40), 0);
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_HALT);
        assert_int_equal(inside->runs, 0);
        inside->regs.rflags |= IF;
        kvm_vcpu_kick(machine, 0); /* so that the run comes back */
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_AGAIN);
        assert_false(machine_is_halted(machine, 0));
        assert_int_equal(inside->runs, 1);

        inside->regs.rflags = 2;
        assert_int_equal(machine_halt(machine, 0, true), 0);
        assert_int_equal(machine_nmi(machine, 0), 0);
        kvm_vcpu_kick(machine, 0);
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_AGAIN);

        inside->events.nmi.pending = 0;
        assert_int_equal(machine_halt(machine, 0, true), 0);
        assert_int_equal(machine_halt(machine, 0, false), 0);
        kvm_vcpu_kick(machine, 0);
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_AGAIN);
}

static void test_irqchip(void **state)
{
        (void)state;
        set_up(MACHINE_IRQCHIP_KERNEL);
        assert_int_equal(machine_interrupt(machine, 0, 24), MACHINE_E_RANGE);
        assert_int_equal(machine_interrupt(machine, 0, 1), 0);
        assert_int_equal(atomic_load(&kvm_fake.irq_lines), 2);
        assert_int_equal(kvm_fake.irq.irq, 1);
        assert_int_equal(kvm_fake.irq.level, 0);
        assert_false(machine_is_halted(machine, 0));
        assert_int_equal(machine_halt(machine, 0, true), 0);
        assert_int_equal(inside->mp_state.mp_state, KVM_MP_STATE_HALTED);
        assert_true(machine_is_halted(machine, 0));
        assert_int_equal(machine_halt(machine, 0, false), 0);
        assert_int_equal(inside->mp_state.mp_state, KVM_MP_STATE_RUNNABLE);
        fake_fail(KVM_SET_MP_STATE, EINVAL, 0);
        assert_int_equal(machine_halt(machine, 0, true), -EINVAL);
}

static void test_nmi_fails(void **state)
{
        (void)state;
        set_up(MACHINE_IRQCHIP_OFF);
        fake_fail(KVM_NMI, EINVAL, 0);
        assert_int_equal(machine_nmi(machine, 0), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_vectors, fake_kvm_start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_injection_fails, fake_kvm_start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_halted, fake_kvm_start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_irqchip, fake_kvm_start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_nmi_fails, fake_kvm_start, fake_kvm_end),
        };

        return RUN_TESTS(tests);
}
