/* SPDX-License-Identifier: MIT */
/*
 * The machine as a whole: put together before the VM, taken apart after it.
 *
 *   memory → image (checked against it) → boot structures → console → devices → backend
 *
 * main makes it, gives its engine ops to vmreq_vm_create, and says which VM came of it; modules ask
 * it through the functions at the end, which find out for them that a backend cannot.
 *
 *   1. All that can be wrong with the configuration is found here, before READY.
 *   2. At a reset nothing can fail but giving memory back to the host; the backend reports that.
 *   3. Each function of one vCPU runs on that vCPU's EMT, so vCPUs need no locks; what vCPUs share
 *      (memory, buses, devices, console) says itself how it is shared.
 */
#include "machine/machine.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/macros.h"
#include "machine/machine-internal.h"

static const char *const stat_names[] = {
        [MACHINE_STAT_ENTRIES] = "entries", [MACHINE_STAT_PORT] = "port",
        [MACHINE_STAT_MMIO] = "mmio",       [MACHINE_STAT_UNCLAIMED] = "unclaimed",
        [MACHINE_STAT_HALTS] = "halts",     [MACHINE_STAT_KICKED] = "kicked",
        [MACHINE_STAT_SETTLED] = "settled", [MACHINE_STAT_INTERRUPTS] = "interrupts",
        [MACHINE_STAT_NMIS] = "nmis",       [MACHINE_STAT_STEPS] = "steps",
};

static_assert(ARRAY_SIZE(stat_names) == MACHINE_STATS_N, "a name for each");

const char *machine_stat_name(enum machine_stat stat)
{
        CHECK(stat < MACHINE_STATS_N);
        return stat_names[stat];
}

void machine_log(const struct machine *machine, int level, const char *format, ...)
{
        struct machine_text text;
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text.line, sizeof(text.line), format, args);
        va_end(args);
        machine->hooks.log(machine->hooks.ctx, level, text.line);
}

/* ---- life ---- */

static int make_guest(struct machine *machine, struct machine_text *text)
{
        const struct machine_settings *settings = &machine->settings;
        int r = memory_init(&machine->memory, settings->memory_bytes, settings->huge_pages, text);

        if (r)
                return r;
        r = image_open(&machine->image, settings->image, settings->image_format,
                       settings->load_address, &machine->memory, text);
        if (r)
                return r;
        machine->boot = (struct boot){.image = &machine->image,
                                      .command_line = settings->command_line,
                                      .cpus = machine->cpus};
        r = boot_check(&machine->boot, text);
        if (r)
                return r;
        boot_place(&machine->boot, &machine->memory);
        r = console_init(&machine->console, machine->hooks.console, machine->hooks.ctx);
        if (r)
                return machine_fail(text, r, "console: %s", strerror(-r));
        machine->console_made = true;
        r = devices_init(machine, text);
        r = r ? r : machine->backend->open(machine, text);
        return r ? r
                 : console_sink_start(&machine->sink, &machine->console, settings->console,
                                      machine->hooks.log, machine->hooks.ctx, text);
}

int machine_new(const struct machine_settings *settings, uint32_t cpus,
                const struct machine_hooks *hooks, struct machine **ret_machine,
                struct machine_text *text)
{
        struct machine *machine = calloc(1, sizeof(*machine));
        int r = 0;

        if (!machine)
                return machine_fail(text, -ENOMEM, "out of memory");
        machine->settings = *settings;
        machine->backend = settings->backend;
        machine->hooks = *hooks;
        machine->cpus = cpus;
        machine->memory = MEMORY_NULL;
        machine->sink = CONSOLE_SINK_NULL;
        machine->engine = machine->backend->engine;
        machine->engine.ctx = machine;
        if (machine->backend->open)
                r = make_guest(machine, text);
        if (r) {
                (void)machine_free(machine);
                return r;
        }
        *ret_machine = machine;
        return 0;
}

bool machine_close(struct machine *machine, uint64_t deadline_ns)
{
        if (!machine || !machine->console_made)
                return true;
        console_close(&machine->console);
        return console_sink_stop(&machine->sink, deadline_ns);
}

struct machine *machine_free(struct machine *machine)
{
        if (!machine)
                return NULL;
        CHECK(!machine->sink.started);
        if (machine->backend->close)
                machine->backend->close(machine);
        devices_deinit(machine);
        if (machine->console_made)
                console_deinit(&machine->console);
        image_close(&machine->image);
        memory_deinit(&machine->memory);
        free(machine);
        return NULL;
}

const struct vmreq_backend *machine_engine(struct machine *machine)
{
        return machine->engine.run ? &machine->engine : NULL;
}

void machine_set_vm(struct machine *machine, vmreq_vm vm)
{
        machine->vm = vm;
}

void machine_set_fault(struct machine *machine, const struct machine_text *text)
{
        /* Relaxed: main reads the text after vmreq_vm_create, which waits for the EMTs. */
        if (!atomic_exchange_explicit(&machine->faulted, true, memory_order_relaxed))
                machine->fault = *text;
}

const char *machine_fault(const struct machine *machine)
{
        return machine->fault.line;
}

int machine_reset_shared(struct machine *machine)
{
        int r = memory_clear(&machine->memory);

        /* Relaxed: whoever compares epochs asks for the VM's state too, which comes after this. */
        atomic_fetch_add_explicit(&machine->resets, 1, memory_order_relaxed);
        if (r)
                return r;
        boot_place(&machine->boot, &machine->memory);
        devices_reset(machine);
        return 0;
}

/* ---- any thread ---- */

bool machine_has_guest(const struct machine *machine)
{
        return machine->engine.run != NULL;
}

const struct machine_settings *machine_settings_of(const struct machine *machine)
{
        return &machine->settings;
}

uint32_t machine_cpus(const struct machine *machine)
{
        return machine->cpus;
}

struct memory *machine_memory(struct machine *machine)
{
        return machine_has_guest(machine) ? &machine->memory : NULL;
}

struct console *machine_console(struct machine *machine)
{
        return machine_has_guest(machine) ? &machine->console : NULL;
}

struct bus *machine_ports(struct machine *machine)
{
        return machine_has_guest(machine) ? &machine->ports : NULL;
}

struct bus *machine_mmio(struct machine *machine)
{
        return machine_has_guest(machine) ? &machine->mmio : NULL;
}

size_t machine_type(struct machine *machine, const uint8_t *data, size_t len)
{
        size_t n = console_type(&machine->console, data, len);

        serial_input(&machine->serial);
        return n;
}

/* ---- one vCPU ---- */

/* Asks the backend, if it has that function. */
#define ASK(machine, op, ...)                                                                      \
        ((machine)->backend->cpu.op ? (machine)->backend->cpu.op((machine), __VA_ARGS__)           \
                                    : MACHINE_E_UNSUPPORTED)

int machine_get_stats(struct machine *machine, uint32_t cpu, uint64_t ret_stats[MACHINE_STATS_N])
{
        return ASK(machine, get_stats, cpu, ret_stats);
}

uint64_t machine_epoch(struct machine *machine)
{
        uint64_t epoch = atomic_load_explicit(&machine->resets, memory_order_relaxed);

        for (uint32_t cpu = 0; cpu < machine->cpus; cpu++) {
                uint64_t stats[MACHINE_STATS_N] = {0};

                (void)machine_get_stats(machine, cpu, stats); /* without a guest all stay 0 */
                epoch += stats[MACHINE_STAT_ENTRIES] + stats[MACHINE_STAT_STEPS];
        }
        return epoch;
}

int machine_get_regs(struct machine *machine, uint32_t cpu, struct machine_regs *ret_regs)
{
        return ASK(machine, get_regs, cpu, ret_regs);
}

int machine_set_regs(struct machine *machine, uint32_t cpu, const struct machine_regs *regs)
{
        return ASK(machine, set_regs, cpu, regs);
}

int machine_get_sregs(struct machine *machine, uint32_t cpu, struct machine_sregs *ret_sregs)
{
        return ASK(machine, get_sregs, cpu, ret_sregs);
}

int machine_get_fxsave(struct machine *machine, uint32_t cpu, struct machine_fxsave *ret_fxsave)
{
        return ASK(machine, get_fxsave, cpu, ret_fxsave);
}

int machine_translate(struct machine *machine, uint32_t cpu, uint64_t address,
                      struct machine_translation *ret_translation)
{
        return ASK(machine, translate, cpu, address, ret_translation);
}

int machine_halt(struct machine *machine, uint32_t cpu, bool halted)
{
        return ASK(machine, halt, cpu, halted);
}

bool machine_is_halted(struct machine *machine, uint32_t cpu)
{
        return machine->backend->cpu.is_halted && machine->backend->cpu.is_halted(machine, cpu);
}

int machine_interrupt(struct machine *machine, uint32_t cpu, uint32_t number)
{
        return ASK(machine, interrupt, cpu, number);
}

int machine_nmi(struct machine *machine, uint32_t cpu)
{
        return ASK(machine, nmi, cpu);
}

int machine_step(struct machine *machine, uint32_t cpu, uint64_t timeout_ns)
{
        return ASK(machine, step, cpu, timeout_ns);
}
