/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The machine: what an EMT runs between two requests.  Made by main before the VM, asked by
 * modules.
 *
 * With the backend `none` there is a machine too; it has no guest, and says so to whoever asks.
 *
 * Functions of one vCPU run on its EMT, outside of the guest: inside a request to that vCPU.  They
 * return 0, a negative errno (the kernel refused what it should not have), or one of enum
 * machine_outcome.
 */

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/console.h"
#include "machine/memory.h"
#include "machine/regs.h"
#include "machine/settings.h"
#include "machine/text.h"
#include "vm/vmreq.h"

struct machine;

enum machine_outcome {
        _MACHINE_E_SUCCESS,
        MACHINE_E_UNSUPPORTED, /* this backend, or its settings, cannot */
        MACHINE_E_RANGE,       /* a number that the hardware has not */
        MACHINE_E_TIMEOUT,     /* the instruction did not end in time */
        MACHINE_E_ENDED,       /* the guest has ended, or ended by this */
        MACHINE_E_HALTED,      /* the vCPU waits for an interrupt */
};

struct machine_hooks {
        /* One line for the log.  Any thread; must not block. */
        void (*log)(void *ctx, int level, const char *text);
        /* The console has output: any thread, once, until somebody reads.  Must not block.  NULL:
         * nobody cares. */
        void (*console)(void *ctx);
        void *ctx;
};

/*
 * Opens the backend, allocates memory, reads the image, plugs devices in.  `settings` and `hooks`
 * are copied; `settings` were found good by machine_settings_check.
 * Context: init, may block on the disk.  Return: 0, or a negative errno and why.
 */
int machine_new(const struct machine_settings *settings, uint32_t cpus,
                const struct machine_hooks *hooks, struct machine **ret_machine,
                struct machine_text *reterr_text);
/* For struct vmreq_config; NULL: there is no guest. */
const struct vmreq_backend *machine_engine(struct machine *machine);
/* What vmreq_vm_create could not do, if it was this machine's fault; "" otherwise. */
const char *machine_fault(const struct machine *machine);
/* The VM that was created with it.  Before its first power_on. */
void machine_set_vm(struct machine *machine, vmreq_vm vm);
/* After the VM has stopped: writes out what the console has.  False: it takes longer than until
 * deadline_ns, and the machine may not be freed.  NULL is legal. */
bool machine_close(struct machine *machine, uint64_t deadline_ns);
/* After vmreq_vm_free and machine_close.  NULL is legal. */
struct machine *machine_free(struct machine *machine);

/* ---- any thread ---- */

bool machine_has_guest(const struct machine *machine);
const struct machine_settings *machine_settings_of(const struct machine *machine);
uint32_t machine_cpus(const struct machine *machine);
/* NULL without a guest. */
struct memory *machine_memory(struct machine *machine);
struct console *machine_console(struct machine *machine);
struct bus *machine_ports(struct machine *machine);
struct bus *machine_mmio(struct machine *machine);
/* Types for the guest: how many of the bytes its serial port took in. */
size_t machine_type(struct machine *machine, const uint8_t *data, size_t len);

enum machine_device {
        MACHINE_RTC,
        MACHINE_DEBUG_TEXT,
        MACHINE_DEBUG_EXIT,
        MACHINE_SERIAL,
        MACHINE_DEVICES_N
};

/* The device of that name (`len` bytes); MACHINE_DEVICES_N: there is none. */
enum machine_device machine_device_find(const char *name, size_t len);
/* Plugs a device in or out, while the guest runs; *ret_changed: it was not so already.  0 or
 * -ENOMEM. */
int machine_plug(struct machine *machine, enum machine_device device, bool in, bool *ret_changed);

/* Counters of one vCPU; they only grow. */
enum machine_stat {
        MACHINE_STAT_ENTRIES,    /* times the guest was entered */
        MACHINE_STAT_PORT,       /* accesses to ports */
        MACHINE_STAT_MMIO,       /* accesses to memory-mapped registers */
        MACHINE_STAT_UNCLAIMED,  /* those of both that no device answered */
        MACHINE_STAT_HALTS,      /* HLT exits */
        MACHINE_STAT_KICKED,     /* times it was taken out by a signal */
        MACHINE_STAT_SETTLED,    /* times an instruction was completed before a request */
        MACHINE_STAT_INTERRUPTS, /* vectors injected by this process */
        MACHINE_STAT_NMIS,
        MACHINE_STAT_STEPS,
        MACHINE_STATS_N
};

/* A number that changes whenever the guest has run or was put to its beginning. */
uint64_t machine_epoch(struct machine *machine);
const char *machine_stat_name(enum machine_stat stat);
int machine_get_stats(struct machine *machine, uint32_t cpu, uint64_t ret_stats[MACHINE_STATS_N]);

/* ---- on the vCPU's EMT ---- */

int machine_get_regs(struct machine *machine, uint32_t cpu, struct machine_regs *ret_regs);
int machine_set_regs(struct machine *machine, uint32_t cpu, const struct machine_regs *regs);
int machine_get_sregs(struct machine *machine, uint32_t cpu, struct machine_sregs *ret_sregs);
int machine_get_fxsave(struct machine *machine, uint32_t cpu, struct machine_fxsave *ret_fxsave);

struct machine_translation {
        uint64_t physical;
        bool valid; /* false: not mapped, and nothing else is set */
};

/* As this vCPU's page tables have it now. */
int machine_translate(struct machine *machine, uint32_t cpu, uint64_t address,
                      struct machine_translation *ret_translation);

/* As HLT does: until an interrupt or NMI comes.  false: goes on without one. */
int machine_halt(struct machine *machine, uint32_t cpu, bool halted);
bool machine_is_halted(struct machine *machine, uint32_t cpu);
/* Without an irqchip a vector, 0..255, taken when the guest enables interrupts; with one a line of
 * it, 0..23, pulsed.  RANGE. */
int machine_interrupt(struct machine *machine, uint32_t cpu, uint32_t number);
int machine_nmi(struct machine *machine, uint32_t cpu);
/* Executes one instruction; blocks for timeout_ns at most.  TIMEOUT, ENDED, HALTED.  The VM is not
 * RUNNING. */
int machine_step(struct machine *machine, uint32_t cpu, uint64_t timeout_ns);
