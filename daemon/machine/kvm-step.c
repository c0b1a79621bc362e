/* SPDX-License-Identifier: MIT */
/*
 * One instruction of a suspended guest.
 *
 * The engine knows nothing of this entry: the EMT is inside a request, and nobody would kick it.
 * But the entry need not end by itself (an instruction that faults goes on in the guest's handler,
 * where the trap flag is off), so a timer of this EMT's own interrupts it again and again until the
 * time is over.  A signal that comes between two entries is lost, and the next one is not.
 *
 * Interrupts are held back meanwhile: one instruction is to be seen, not the way to a handler.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/clock.h"
#include "machine/kvm-internal.h"

#define TICK_NS (5 * (long)CLOCK_NS_PER_MS)

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static int start_timer(const struct kvm_vcpu *vcpu, timer_t *ret_timer)
{
        struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KVM_KICK_SIGNAL};
        struct itimerspec tick = {.it_interval.tv_nsec = TICK_NS, .it_value.tv_nsec = TICK_NS};

        event.sigev_notify_thread_id = vcpu->tid;
        if (timer_create(CLOCK_MONOTONIC, &event, ret_timer))
                return -errno;
        if (timer_settime(*ret_timer, 0, &tick, NULL)) {
                int error = errno;

                (void)timer_delete(*ret_timer);
                return -error;
        }
        return 0;
}

static int set_debug(const struct kvm_vcpu *vcpu, bool on)
{
        int known = ioctl(vcpu->kvm->dev_fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);
        struct kvm_guest_debug debug = {0};

        if (on)
                debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
        if (on && known > 0)
                debug.control |= (uint32_t)known & KVM_GUESTDBG_BLOCKIRQ;
        return ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug) ? -errno : 0;
}

static int step(struct kvm_vcpu *vcpu, uint64_t deadline_ns)
{
        do {
                switch (kvm_vcpu_enter(vcpu)) {
                case KVM_STEP_STEPPED:
                case KVM_STEP_HALTED:
                        return 0;
                case KVM_STEP_ENDED:
                        return MACHINE_E_ENDED;
                case KVM_STEP_ON: /* a device was accessed; the instruction is not over */
                case KVM_STEP_LEAVE:
                        break;
                }
        } while (clock_now_ns() < deadline_ns && !vmreq_cancel_requested());
        return MACHINE_E_TIMEOUT;
}

int kvm_step(struct machine *machine, uint32_t cpu, uint64_t timeout_ns)
{
        struct kvm_vcpu *vcpu = kvm_vcpu_of(machine, cpu);
        uint64_t deadline_ns = clock_add(clock_now_ns(), timeout_ns);
        timer_t timer;
        int r;

        if (vcpu->ended != VMREQ_EXIT_AGAIN)
                return MACHINE_E_ENDED;
        if (kvm_irq_is_halted(machine, cpu))
                return MACHINE_E_HALTED;
        r = set_debug(vcpu, true);
        if (r)
                return r;
        r = start_timer(vcpu, &timer);
        if (r == 0) {
                vcpu->stepping = true;
                r = step(vcpu, deadline_ns);
                vcpu->stepping = false;
                (void)timer_delete(timer);
                kvm_count(vcpu, MACHINE_STAT_STEPS);
        }
        (void)set_debug(vcpu, false);
        kvm_vcpu_settle(vcpu);
        return r;
}
