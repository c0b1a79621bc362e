/* SPDX-License-Identifier: MIT */
#pragma once
/* The backend `kvm`: what its files share.  Only kvm*.c and their unit tests include this. */

#include <linux/kvm.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/macros.h"
#include "machine/machine-internal.h"

#define KVM_VECTORS       256u
#define KVM_IRQ_LINES     24u
#define KVM_KICK_SIGNAL   SIGUSR1
#define KVM_CPUID_ENTRIES 256u
#define KVM_REASON_MAX    192u

struct kvm_vcpu {
        /* fixed after vcpu_init */
        _Alignas(CACHE_PAIR) struct machine *machine;
        struct kvm *kvm;
        uint32_t cpu;
        /* Mapped from vcpu_init until close, whatever happens to the vCPU behind it, because kicks
         * write to it from any thread; at a reset another vCPU's page takes the same address. */
        struct kvm_run *run;
        pid_t tid; /* of the EMT */

        /* its EMT only */
        int fd;              /* -1: none */
        uint32_t generation; /* of the VM that it belongs to */
        bool incomplete;     /* the last exit's instruction ends only with the next entry */
        bool halted;         /* without an irqchip: waits for an interrupt */
        bool stepping;       /* in kvm_step */
        uint64_t vectors[KVM_VECTORS / 64]; /* without an irqchip: waiting to be injected */
        int ended; /* enum vmreq_exit, when the guest has ended on this vCPU; VMREQ_EXIT_AGAIN: no
                    */
        char reason[KVM_REASON_MAX]; /* why */
        struct log_limit unclaimed;

        /* written by its EMT, read by anybody: relaxed */
        _Atomic uint64_t stats[MACHINE_STATS_N];
};

struct kvm {
        int dev_fd,
                vm_fd;   /* -1: none.  The numbers stay; kvm_vm_renew puts another VM behind one */
        size_t run_size; /* of the page that a vCPU shares with us */
        pid_t pid;
        bool used;           /* a vCPU may have run since the VM was made; its EMTs' in a reset */
        uint32_t generation; /* how many times the VM was made; likewise */
        char dead[KVM_REASON_MAX];   /* why the last reset failed; "": it did not.  Likewise */
        struct sigaction old_action; /* of the kick's signal */
        bool handles_signal;
        struct kvm_cpuid2 *cpuid;
        uint32_t n_vcpus;
        struct kvm_vcpu *vcpus;
};

/* What the handling of an exit says about the next step. */
enum kvm_step {
        KVM_STEP_ON,      /* enter again */
        KVM_STEP_LEAVE,   /* back to the engine; it may come again */
        KVM_STEP_HALTED,  /* back to the engine: waits for an interrupt */
        KVM_STEP_ENDED,   /* vcpu->ended and vcpu->reason are set */
        KVM_STEP_STEPPED, /* one instruction was executed (kvm-step.c) */
};

static inline struct kvm *kvm_of(const struct machine *machine)
{
        return machine->backend_data;
}

static inline struct kvm_vcpu *kvm_vcpu_of(const struct machine *machine, uint32_t cpu)
{
        return &kvm_of(machine)->vcpus[cpu];
}

static inline bool kvm_has_irqchip(const struct machine *machine)
{
        return machine->settings.irqchip == MACHINE_IRQCHIP_KERNEL;
}

/* Relaxed: one EMT writes, snapshots read. */
static inline void kvm_count(struct kvm_vcpu *vcpu, enum machine_stat stat)
{
        atomic_store_explicit(&vcpu->stats[stat],
                              atomic_load_explicit(&vcpu->stats[stat], memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

/* ---- kvm-vm.c ---- */

/* Opens the device and makes the VM.  0 or a negative errno. */
int kvm_open(struct machine *machine, struct machine_text *reterr_text);
void kvm_close(struct machine *machine);
/* A new VM in place of the old one, with the same memory and no vCPUs. */
int kvm_vm_renew(struct machine *machine, struct machine_text *reterr_text);
void kvm_set_irq(struct machine *machine, uint32_t line, bool level);

/* ---- kvm-cpuid.c ---- */

/* What every vCPU is given, but for its number.  0 or a negative errno. */
int kvm_cpuid_init(struct kvm *kvm, bool has_irqchip, struct machine_text *reterr_text);
int kvm_cpuid_set(const struct kvm *kvm, const struct kvm_vcpu *vcpu);

/* ---- kvm-vcpu.c: the engine's ops ---- */

int kvm_vcpu_init(void *ctx, uint32_t cpu);
void kvm_vcpu_fini(void *ctx, uint32_t cpu);
void kvm_vcpu_reset(void *ctx, uint32_t cpu);
int kvm_vcpu_run(void *ctx, uint32_t cpu, const char **ret_reason);
void kvm_vcpu_kick(void *ctx, uint32_t cpu);
/* Enters once. */
enum kvm_step kvm_vcpu_enter(struct kvm_vcpu *vcpu);
/* Completes the instruction of the last exit, without executing another: registers are true. */
void kvm_vcpu_settle(struct kvm_vcpu *vcpu);

/* ---- kvm-exit.c ---- */

/* Why KVM_RUN came back with 0. */
enum kvm_step kvm_exit_handle(struct kvm_vcpu *vcpu);
/* The guest has ended on this vCPU. */
enum kvm_step kvm_exit_end(struct kvm_vcpu *vcpu, enum vmreq_exit how, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* ---- kvm-irq.c ---- */

/* Before each entry, without an irqchip: gives the guest what it can take now. */
int kvm_irq_inject(struct kvm_vcpu *vcpu);
/* Without an irqchip: would anything wake it from HLT? */
bool kvm_irq_wakes(struct kvm_vcpu *vcpu);
int kvm_irq_interrupt(struct machine *machine, uint32_t cpu, uint32_t number);
int kvm_irq_nmi(struct machine *machine, uint32_t cpu);
int kvm_irq_halt(struct machine *machine, uint32_t cpu, bool halted);
bool kvm_irq_is_halted(struct machine *machine, uint32_t cpu);

/* ---- kvm-regs.c ---- */

int kvm_regs_get(struct machine *machine, uint32_t cpu, struct machine_regs *ret_regs);
int kvm_regs_set(struct machine *machine, uint32_t cpu, const struct machine_regs *regs);
int kvm_sregs_get(struct machine *machine, uint32_t cpu, struct machine_sregs *ret_sregs);
int kvm_sregs_set(struct kvm_vcpu *vcpu, const struct machine_sregs *sregs);
int kvm_fxsave_get(struct machine *machine, uint32_t cpu, struct machine_fxsave *ret_fxsave);
int kvm_translate(struct machine *machine, uint32_t cpu, uint64_t address,
                  struct machine_translation *ret_translation);
int kvm_stats_get(struct machine *machine, uint32_t cpu, uint64_t *ret_stats);

/* ---- kvm-step.c ---- */

int kvm_step(struct machine *machine, uint32_t cpu, uint64_t timeout_ns);
