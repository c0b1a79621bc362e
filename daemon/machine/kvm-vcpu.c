/* SPDX-License-Identifier: MIT */
/*
 * A vCPU on its EMT: the engine's ops of the backend `kvm`.
 *
 * The engine announces the guest, looks for work once more, and calls run; who has work for an EMT
 * that stands there calls kick (vm/guest.c).  From there on it is this file's:
 *
 *   kick:  immediate_exit = 1; signal the EMT
 *   run:   KVM_RUN; interrupted?  immediate_exit = 0, and back to the engine, which looks for work
 *
 * No kick is lost.  The kernel reads immediate_exit at the beginning of KVM_RUN.  If it finds 1 it
 * returns at once.  If it finds 0 the kicker's store came later, and so did its signal: it is
 * pending when the kernel looks for signals, which it does before it enters the guest and whenever
 * it leaves it, or it takes the processor out of the guest.  A signal that comes while the EMT is
 * in no KVM_RUN runs a handler that does nothing, but the store stands until the next KVM_RUN.  It
 * is cleared only on the way back to the engine.  A kick that is meant for an entry that is over
 * costs one exit.
 *
 * Handled exits go on without the engine unless it has something to do: vmreq_pending is the same
 * question that it asks itself.  So a guest that leaves for a device at each instruction costs no
 * more than the exits, and every request is still seen at the next exit.
 *
 *   1. After an exit for a port or memory-mapped register the kernel completes the instruction at
 * the next entry.  Nobody outside this backend sees a vCPU between the two: run settles it first.
 *   2. A guest that has ended on a vCPU stays so until the next reset, whatever the VM's state does
 *      meanwhile: run says it again.
 *   3. The page that a vCPU shares with the kernel stays mapped until the machine is freed, and a
 * kick names a thread by number: a kicker may be late, and find the vCPU or its thread gone.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "machine/kvm-internal.h"

/* An instruction leaves at most once for each of its accesses; a string instruction is cut by the
 * kernel after some thousand. */
#define SETTLE_MAX 65536u

static void set_immediate_exit(struct kvm_vcpu *vcpu, uint8_t value)
{
        /* Release: before the signal, for the reader in the kernel; see above. */
        atomic_store_explicit((_Atomic uint8_t *)&vcpu->run->immediate_exit, value,
                              memory_order_release);
}

/* ---- making one ---- */

/* Maps the page that is shared with the kernel: the first time anywhere, later over the old one. */
static int map_run(struct kvm_vcpu *vcpu)
{
        int protection = PROT_READ | PROT_WRITE, error;
        size_t size = vcpu->kvm->run_size;
        void *run = mmap(vcpu->run, size, protection, MAP_SHARED | (vcpu->run ? MAP_FIXED : 0),
                         vcpu->fd, 0);

        if (run != MAP_FAILED) {
                if (!vcpu->run) /* and never again: a late kick may be reading it */
                        vcpu->run = run;
                return 0;
        }
        error = errno;
        /* A late kick must find something there. */
        if (vcpu->run)
                CHECK(mmap(vcpu->run, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                           0) == vcpu->run);
        return -error;
}

static int make(struct kvm_vcpu *vcpu, struct machine_text *text)
{
        struct kvm *kvm = vcpu->kvm;
        int r;

        if (vcpu->fd >= 0)
                (void)close(vcpu->fd);
        vcpu->fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, vcpu->cpu);
        if (vcpu->fd < 0)
                return machine_fail(text, -errno, "vCPU %u: KVM_CREATE_VCPU: %s", vcpu->cpu,
                                    strerror(errno));
        vcpu->generation = kvm->generation;
        r = map_run(vcpu);
        if (r)
                return machine_fail(text, r, "vCPU %u: mmap: %s", vcpu->cpu, strerror(-r));
        r = kvm_cpuid_set(kvm, vcpu);
        if (r)
                return machine_fail(text, r, "vCPU %u: KVM_SET_CPUID2: %s", vcpu->cpu,
                                    strerror(-r));
        return 0;
}

/* Which vCPUs run at once, and which wait for the guest to start them. */
static int set_mp_state(struct kvm_vcpu *vcpu)
{
        bool waits = vcpu->machine->settings.sipi && vcpu->cpu != 0;
        struct kvm_mp_state state = {waits ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE};

        if (!kvm_has_irqchip(vcpu->machine))
                return 0;
        return ioctl(vcpu->fd, KVM_SET_MP_STATE, &state) ? -errno : 0;
}

static int begin(struct kvm_vcpu *vcpu, struct machine_text *text)
{
        const struct machine *machine = vcpu->machine;
        struct machine_sregs sregs;
        struct machine_regs regs;
        int r;

        boot_registers(&machine->boot, &machine->memory, vcpu->cpu, &regs, &sregs);
        r = kvm_sregs_set(vcpu, &sregs);
        r = r ? r : kvm_regs_set(vcpu->machine, vcpu->cpu, &regs);
        r = r ? r : set_mp_state(vcpu);
        if (r)
                return machine_fail(text, r, "vCPU %u: its registers: %s", vcpu->cpu, strerror(-r));
        vcpu->incomplete = vcpu->halted = false;
        memset(vcpu->vectors, 0, sizeof(vcpu->vectors));
        vcpu->ended = VMREQ_EXIT_AGAIN;
        set_immediate_exit(vcpu, 0);
        return 0;
}

int kvm_vcpu_init(void *ctx, uint32_t cpu)
{
        struct machine *machine = ctx;
        struct kvm_vcpu *vcpu = kvm_vcpu_of(machine, cpu);
        struct machine_text text;
        sigset_t kick;

        (void)sigemptyset(&kick);
        (void)sigaddset(&kick, KVM_KICK_SIGNAL);
        (void)pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
        vcpu->tid = gettid();
        if (make(vcpu, &text) == 0 && begin(vcpu, &text) == 0)
                return 0;
        machine_set_fault(machine, &text);
        kvm_vcpu_fini(ctx, cpu);
        return VMREQ_E_SYSTEM;
}

void kvm_vcpu_fini(void *ctx, uint32_t cpu)
{
        struct kvm_vcpu *vcpu = kvm_vcpu_of(ctx, cpu);

        if (vcpu->fd >= 0)
                (void)close(vcpu->fd);
        vcpu->fd = -1;
}

/* ---- reset ---- */

/* By the first of the EMTs, while the others stand still. */
static void reset_machine(struct machine *machine)
{
        struct kvm *kvm = kvm_of(machine);
        struct machine_text text;
        int r = machine_reset_shared(machine);

        kvm->dead[0] = '\0';
        if (r)
                (void)machine_fail(&text, r, "guest memory: %s", strerror(-r));
        else if (kvm->used)
                r = kvm_vm_renew(machine, &text);
        if (r)
                (void)snprintf(kvm->dead, sizeof(kvm->dead), "reset failed: %.160s", text.line);
}

void kvm_vcpu_reset(void *ctx, uint32_t cpu)
{
        struct machine *machine = ctx;
        struct kvm_vcpu *vcpu = kvm_vcpu_of(machine, cpu);
        struct kvm *kvm = kvm_of(machine);
        struct machine_text text;
        int r = 0;

        /* The engine asks the highest vCPU first. */
        if (cpu == machine->cpus - 1)
                reset_machine(machine);
        vcpu->ended = VMREQ_EXIT_AGAIN;
        if (kvm->dead[0]) {
                (void)kvm_exit_end(vcpu, VMREQ_EXIT_FAILED, "%s", kvm->dead);
                return;
        }
        if (vcpu->generation != kvm->generation || vcpu->fd < 0)
                r = make(vcpu, &text);
        r = r ? r : begin(vcpu, &text);
        if (r)
                (void)kvm_exit_end(vcpu, VMREQ_EXIT_FAILED, "reset failed: %.160s", text.line);
        /* The last one: from here on the guest may run. */
        if (cpu == 0)
                kvm->used = true;
}

/* ---- running ---- */

enum kvm_step kvm_vcpu_enter(struct kvm_vcpu *vcpu)
{
        int r = kvm_has_irqchip(vcpu->machine) ? 0 : kvm_irq_inject(vcpu);

        if (r)
                return kvm_exit_end(vcpu, VMREQ_EXIT_FAILED, "vCPU %u: KVM_INTERRUPT: %s",
                                    vcpu->cpu, strerror(-r));
        if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
                vcpu->incomplete = false;
                return kvm_exit_handle(vcpu);
        }
        if (errno == EINTR) {
                /* The kernel completes first, and then looks whether it may enter. */
                vcpu->incomplete = false;
                set_immediate_exit(vcpu, 0);
                return KVM_STEP_LEAVE;
        }
        if (errno == EAGAIN) /* it was waiting to be started, and has been */
                return KVM_STEP_ON;
        return kvm_exit_end(vcpu, VMREQ_EXIT_FAILED, "vCPU %u: KVM_RUN: %s", vcpu->cpu,
                            strerror(errno));
}

void kvm_vcpu_settle(struct kvm_vcpu *vcpu)
{
        if (!vcpu->incomplete)
                return;
        kvm_count(vcpu, MACHINE_STAT_SETTLED);
        for (unsigned i = 0; vcpu->incomplete && i < SETTLE_MAX; i++) {
                set_immediate_exit(vcpu, 1);
                (void)kvm_vcpu_enter(vcpu);
        }
        if (vcpu->incomplete)
                (void)kvm_exit_end(vcpu, VMREQ_EXIT_FAILED,
                                   "vCPU %u: an instruction does not come to its end", vcpu->cpu);
        vcpu->incomplete = false;
}

static int leave(struct kvm_vcpu *vcpu, enum kvm_step step, const char **ret_reason)
{
        if (vcpu->ended != VMREQ_EXIT_AGAIN) {
                *ret_reason = vcpu->reason;
                return vcpu->ended;
        }
        return step == KVM_STEP_HALTED ? VMREQ_EXIT_HALT : VMREQ_EXIT_AGAIN;
}

int kvm_vcpu_run(void *ctx, uint32_t cpu, const char **ret_reason)
{
        struct machine *machine = ctx;
        struct kvm_vcpu *vcpu = kvm_vcpu_of(machine, cpu);
        enum kvm_step step = KVM_STEP_ON;

        if (vcpu->halted) {
                if (!kvm_irq_wakes(vcpu))
                        return leave(vcpu, KVM_STEP_HALTED, ret_reason);
                vcpu->halted = false;
        }
        while (step == KVM_STEP_ON && vcpu->ended == VMREQ_EXIT_AGAIN) {
                kvm_count(vcpu, MACHINE_STAT_ENTRIES);
                step = kvm_vcpu_enter(vcpu);
                if (step == KVM_STEP_LEAVE)
                        kvm_count(vcpu, MACHINE_STAT_KICKED);
                if (step == KVM_STEP_ON && vmreq_pending(machine->vm))
                        step = KVM_STEP_LEAVE;
        }
        kvm_vcpu_settle(vcpu);
        return leave(vcpu, step, ret_reason);
}

void kvm_vcpu_kick(void *ctx, uint32_t cpu)
{
        struct kvm_vcpu *vcpu = kvm_vcpu_of(ctx, cpu);

        set_immediate_exit(vcpu, 1);
        /* By number: a thread that is gone is not found, or is another of ours, which does not
         * mind. */
        (void)tgkill(vcpu->kvm->pid, vcpu->tid, KVM_KICK_SIGNAL);
}
