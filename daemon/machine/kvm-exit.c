/* SPDX-License-Identifier: MIT */
/*
 * Why the guest was left, and what follows.
 *
 * Called by kvm_vcpu_enter on the vCPU's EMT after each KVM_RUN that returned 0.  A guest can cause
 * every one of these, in any order and as often as it likes; none may do more than end the guest.
 * What it accesses where no device is reads as ones and is counted, and said in the log now and
 * then.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "machine/kvm-internal.h"

enum kvm_step kvm_exit_end(struct kvm_vcpu *vcpu, enum vmreq_exit how, const char *format, ...)
{
        va_list args;

        /* The first reason is the one to tell. */
        if (vcpu->ended == VMREQ_EXIT_AGAIN) {
                vcpu->ended = how;
                va_start(args, format);
                (void)vsnprintf(vcpu->reason, sizeof(vcpu->reason), format, args);
                va_end(args);
        }
        return KVM_STEP_ENDED;
}

static uint64_t rip_of(const struct kvm_vcpu *vcpu)
{
        struct kvm_regs regs = {0};

        (void)ioctl(vcpu->fd, KVM_GET_REGS, &regs); /* 0 is as good a word for "unknown" */
        return regs.rip;
}

/* ---- devices ---- */

static void note_unclaimed(struct kvm_vcpu *vcpu, const char *what, uint64_t address, bool write)
{
        uint64_t suppressed;

        kvm_count(vcpu, MACHINE_STAT_UNCLAIMED);
        if (log_limit_pass(&vcpu->unclaimed, 1, clock_now_ns(), &suppressed))
                machine_log(vcpu->machine, LOG_L_INFO,
                            "vCPU %u %s %s 0x%" PRIx64 ", where no device is (%" PRIu64
                            " more such accesses since the last such line)",
                            vcpu->cpu, write ? "writes" : "reads", what, address, suppressed);
}

static enum kvm_step power_off(struct kvm_vcpu *vcpu, const uint8_t *data, uint32_t len)
{
        uint32_t code = 0;

        memcpy(&code, data, MIN(len, (uint32_t)sizeof(code)));
        return kvm_exit_end(vcpu, VMREQ_EXIT_POWER_OFF,
                            "vCPU %u: the guest powered itself off with code %" PRIu32, vcpu->cpu,
                            code);
}

static enum kvm_step access_bus(struct kvm_vcpu *vcpu, struct bus *bus, const char *what,
                                uint64_t address, uint8_t *data, uint32_t len, bool write)
{
        enum bus_outcome outcome = BUS_DONE;
        bool found;

        if (write)
                outcome = bus_write(bus, vcpu->cpu, address, data, len, &found);
        else
                bus_read(bus, vcpu->cpu, address, data, len, &found);
        if (!found)
                note_unclaimed(vcpu, what, address, write);
        return outcome == BUS_POWER_OFF ? power_off(vcpu, data, len) : KVM_STEP_ON;
}

/* A string instruction brings several accesses of the same port. */
static enum kvm_step handle_port(struct kvm_vcpu *vcpu)
{
        struct kvm_run *run = vcpu->run;
        uint8_t *data = (uint8_t *)run + run->io.data_offset;
        enum kvm_step step = KVM_STEP_ON;

        kvm_count(vcpu, MACHINE_STAT_PORT);
        vcpu->incomplete = true;
        for (uint32_t i = 0; i < run->io.count && step == KVM_STEP_ON; i++) {
                step = access_bus(vcpu, &vcpu->machine->ports, "port", run->io.port, data,
                                  run->io.size, run->io.direction == KVM_EXIT_IO_OUT);
                data += run->io.size;
        }
        return step;
}

static enum kvm_step handle_mmio(struct kvm_vcpu *vcpu)
{
        struct kvm_run *run = vcpu->run;

        kvm_count(vcpu, MACHINE_STAT_MMIO);
        vcpu->incomplete = true;
        return access_bus(vcpu, &vcpu->machine->mmio, "address", run->mmio.phys_addr,
                          run->mmio.data, run->mmio.len, run->mmio.is_write);
}

/* ---- the rest ---- */

static enum kvm_step handle_internal_error(struct kvm_vcpu *vcpu)
{
        static const char *const names[] = {
                [0] = "unknown",
                [KVM_INTERNAL_ERROR_EMULATION] = "an instruction that cannot be emulated",
                [KVM_INTERNAL_ERROR_SIMUL_EX] = "simultaneous exceptions",
                [KVM_INTERNAL_ERROR_DELIVERY_EV] = "an event that cannot be delivered",
                [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an unexpected exit",
        };
        uint32_t error = vcpu->run->internal.suberror;
        const char *name = error < ARRAY_SIZE(names) ? names[error] : names[0];

        return kvm_exit_end(vcpu, VMREQ_EXIT_FAILED,
                            "vCPU %u: internal error %u (%s) at rip 0x%" PRIx64, vcpu->cpu, error,
                            name, rip_of(vcpu));
}

static enum kvm_step handle_system_event(struct kvm_vcpu *vcpu)
{
        switch (vcpu->run->system_event.type) {
        case KVM_SYSTEM_EVENT_SHUTDOWN:
                return kvm_exit_end(vcpu, VMREQ_EXIT_POWER_OFF,
                                    "vCPU %u: the guest powered itself off", vcpu->cpu);
        case KVM_SYSTEM_EVENT_RESET:
                return kvm_exit_end(vcpu, VMREQ_EXIT_POWER_OFF,
                                    "vCPU %u: the guest asked to be reset", vcpu->cpu);
        default:
                return kvm_exit_end(vcpu, VMREQ_EXIT_FAILED, "vCPU %u: system event %u", vcpu->cpu,
                                    vcpu->run->system_event.type);
        }
}

static enum kvm_step handle_halt(struct kvm_vcpu *vcpu)
{
        kvm_count(vcpu, MACHINE_STAT_HALTS);
        if (!vcpu->stepping && kvm_irq_wakes(vcpu))
                return KVM_STEP_ON;
        vcpu->halted = true;
        return KVM_STEP_HALTED;
}

enum kvm_step kvm_exit_handle(struct kvm_vcpu *vcpu)
{
        const struct kvm_run *run = vcpu->run;

        switch (run->exit_reason) {
        case KVM_EXIT_IO:
                return handle_port(vcpu);
        case KVM_EXIT_MMIO:
                return handle_mmio(vcpu);
        case KVM_EXIT_HLT:
                return handle_halt(vcpu);
        case KVM_EXIT_IRQ_WINDOW_OPEN:
        case KVM_EXIT_SET_TPR:
                return KVM_STEP_ON;
        case KVM_EXIT_INTR:
                return KVM_STEP_LEAVE;
        case KVM_EXIT_DEBUG:
                return vcpu->stepping ? KVM_STEP_STEPPED : KVM_STEP_ON;
        case KVM_EXIT_SHUTDOWN:
                return kvm_exit_end(vcpu, VMREQ_EXIT_FAILED,
                                    "vCPU %u: triple fault at rip 0x%" PRIx64, vcpu->cpu,
                                    rip_of(vcpu));
        case KVM_EXIT_INTERNAL_ERROR:
                return handle_internal_error(vcpu);
        case KVM_EXIT_SYSTEM_EVENT:
                return handle_system_event(vcpu);
        case KVM_EXIT_FAIL_ENTRY:
                return kvm_exit_end(
                        vcpu, VMREQ_EXIT_FAILED,
                        "vCPU %u: the processor refuses the guest's state (0x%llx)", vcpu->cpu,
                        (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        default:
                return kvm_exit_end(vcpu, VMREQ_EXIT_FAILED,
                                    "vCPU %u: exit %u, which is not known here, at rip 0x%" PRIx64,
                                    vcpu->cpu, run->exit_reason, rip_of(vcpu));
        }
}
