/* SPDX-License-Identifier: MIT */
/*
 * Interrupts, and what waits for them.
 *
 * Without an irqchip this process is the interrupt controller: requests note vectors, each at most
 * once, and before each entry the highest one that the guest can take is injected; if it cannot
 * take one now, the kernel is asked to come back as soon as it can.  A halted vCPU does not enter
 * at all until there is one that it would take.
 *
 * With one, vectors are the kernel's business: a request pulses a line, and a halted vCPU waits
 * inside KVM_RUN.
 *
 * All on the vCPU's EMT, outside of the guest: requests, or the run loop.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "machine/kvm-internal.h"

#define RFLAGS_IF 0x200ull

/* The highest vector that waits; -1: none. */
static int highest(const struct kvm_vcpu *vcpu)
{
        for (int i = (int)ARRAY_SIZE(vcpu->vectors) - 1; i >= 0; i--)
                if (vcpu->vectors[i])
                        return i * 64 + 63 - __builtin_clzll(vcpu->vectors[i]);
        return -1;
}

int kvm_irq_inject(struct kvm_vcpu *vcpu)
{
        struct kvm_run *run = vcpu->run;
        int vector = vcpu->stepping ? -1 : highest(vcpu);

        run->request_interrupt_window = 0;
        if (vector < 0)
                return 0;
        if (run->ready_for_interrupt_injection) {
                struct kvm_interrupt interrupt = {.irq = (uint32_t)vector};

                if (ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt))
                        return -errno;
                vcpu->vectors[vector / 64] &= ~(1ull << vector % 64);
                run->ready_for_interrupt_injection = 0;
                kvm_count(vcpu, MACHINE_STAT_INTERRUPTS);
        }
        run->request_interrupt_window = highest(vcpu) >= 0;
        return 0;
}

bool kvm_irq_wakes(struct kvm_vcpu *vcpu)
{
        struct kvm_vcpu_events events;
        struct kvm_regs regs;

        if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) == 0 &&
            (events.nmi.pending || events.nmi.injected || events.interrupt.injected))
                return true;
        return highest(vcpu) >= 0 && ioctl(vcpu->fd, KVM_GET_REGS, &regs) == 0 &&
               (regs.rflags & RFLAGS_IF);
}

/* The EMT may sleep because its guest has halted. */
static int wake(struct kvm_vcpu *vcpu)
{
        (void)vmreq_vcpu_unhalt(vcpu->machine->vm, vcpu->cpu);
        return 0;
}

int kvm_irq_interrupt(struct machine *machine, uint32_t cpu, uint32_t number)
{
        struct kvm_vcpu *vcpu = kvm_vcpu_of(machine, cpu);

        if (kvm_has_irqchip(machine)) {
                if (number >= KVM_IRQ_LINES)
                        return MACHINE_E_RANGE;
                kvm_set_irq(machine, number, true);
                kvm_set_irq(machine, number, false);
                return 0;
        }
        if (number >= KVM_VECTORS)
                return MACHINE_E_RANGE;
        vcpu->vectors[number / 64] |= 1ull << number % 64;
        return wake(vcpu);
}

int kvm_irq_nmi(struct machine *machine, uint32_t cpu)
{
        struct kvm_vcpu *vcpu = kvm_vcpu_of(machine, cpu);

        if (ioctl(vcpu->fd, KVM_NMI, 0))
                return -errno;
        kvm_count(vcpu, MACHINE_STAT_NMIS);
        return wake(vcpu);
}

int kvm_irq_halt(struct machine *machine, uint32_t cpu, bool halted)
{
        struct kvm_mp_state state = {halted ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE};
        struct kvm_vcpu *vcpu = kvm_vcpu_of(machine, cpu);

        if (kvm_has_irqchip(machine))
                return ioctl(vcpu->fd, KVM_SET_MP_STATE, &state) ? -errno : 0;
        vcpu->halted = halted;
        return halted ? 0 : wake(vcpu);
}

bool kvm_irq_is_halted(struct machine *machine, uint32_t cpu)
{
        struct kvm_vcpu *vcpu = kvm_vcpu_of(machine, cpu);
        struct kvm_mp_state state;

        if (!kvm_has_irqchip(machine))
                return vcpu->halted;
        return ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) == 0 &&
               state.mp_state != KVM_MP_STATE_RUNNABLE;
}
