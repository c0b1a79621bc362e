/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What runs the guest: a row of machine_backends (backend.c).  `none` is always there; `kvm` is
 * built from kvm*.c, or, where KVM is not to be had, from kvm-none.c, which says so when it is
 * opened.  Nobody else knows which.
 *
 * `vm/vmreq.h` says what the engine's ops promise; those of a vCPU are machine.h's, word for word.
 */

#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

struct machine_cpu_ops {
        int (*get_stats)(struct machine *machine, uint32_t cpu, uint64_t *ret_stats);
        int (*get_regs)(struct machine *machine, uint32_t cpu, struct machine_regs *ret_regs);
        int (*set_regs)(struct machine *machine, uint32_t cpu, const struct machine_regs *regs);
        int (*get_sregs)(struct machine *machine, uint32_t cpu, struct machine_sregs *ret_sregs);
        int (*get_fxsave)(struct machine *machine, uint32_t cpu, struct machine_fxsave *ret_fxsave);
        int (*translate)(struct machine *machine, uint32_t cpu, uint64_t address,
                         struct machine_translation *ret_translation);
        int (*halt)(struct machine *machine, uint32_t cpu, bool halted);
        bool (*is_halted)(struct machine *machine, uint32_t cpu);
        int (*interrupt)(struct machine *machine, uint32_t cpu, uint32_t number);
        int (*nmi)(struct machine *machine, uint32_t cpu);
        int (*step)(struct machine *machine, uint32_t cpu, uint64_t timeout_ns);
};

struct machine_backend {
        const char *name;
        /* Context: init.  Memory is there already.  0, or a negative errno and why.  NULL: there is
         * no guest, and everything below is NULL too. */
        int (*open)(struct machine *machine, struct machine_text *reterr_text);
        /* Context: after vmreq_vm_free.  Legal after an open that failed. */
        void (*close)(struct machine *machine);
        /* A line of an interrupt controller.  Any thread; must not block.  Without a controller
         * nothing happens. */
        void (*set_irq)(struct machine *machine, uint32_t line, bool level);
        struct vmreq_backend engine; /* its ctx: the machine */
        struct machine_cpu_ops cpu;
};

/* NULL-terminated; the first is the default. */
extern const struct machine_backend *const machine_backends[];
extern const struct machine_backend machine_backend_none, machine_backend_kvm;

/* ---- what the machine does for its backend: machine.c ---- */

/* In the rendezvous of a power_on or reset, once, while no vCPU runs: memory, image and devices as
 * they were at the beginning.  0 or a negative errno. */
int machine_reset_shared(struct machine *machine);
/* An EMT's vCPU could not be made: what machine_fault will say, if nobody was first. */
void machine_set_fault(struct machine *machine, const struct machine_text *text);
/* One line for the log. */
void machine_log(const struct machine *machine, int level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
