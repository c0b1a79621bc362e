/* SPDX-License-Identifier: MIT */
#pragma once
/* A machine whose vCPUs answer what the test has put there, and modules that ask it. */

#include "unit/symbols/caller.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "machine/backend.h"
#include "modules/guest.h"

#define GUEST_CPUS 2u

static struct {
        int result; /* of each function below; 0: it works */
        struct machine_regs regs[GUEST_CPUS];
        struct machine_sregs sregs;
        bool halted[GUEST_CPUS];
        uint32_t interrupts[GUEST_CPUS], nmis[GUEST_CPUS], steps[GUEST_CPUS];
        uint64_t entries, step_ns;
} guest;

static inline int fake_get_stats(struct machine *machine, uint32_t cpu, uint64_t *ret_stats)
{
        (void)machine;
        for (unsigned i = 0; i < MACHINE_STATS_N; i++)
                ret_stats[i] = cpu * 100 + i;
        ret_stats[MACHINE_STAT_ENTRIES] = guest.entries;
        return guest.result;
}

static inline int fake_get_regs(struct machine *machine, uint32_t cpu, struct machine_regs *ret)
{
        (void)machine;
        *ret = guest.regs[cpu];
        return guest.result;
}

static inline int fake_set_regs(struct machine *machine, uint32_t cpu,
                                const struct machine_regs *regs)
{
        (void)machine;
        guest.regs[cpu] = *regs;
        return guest.result;
}

static inline int fake_get_sregs(struct machine *machine, uint32_t cpu, struct machine_sregs *ret)
{
        (void)machine;
        (void)cpu;
        *ret = guest.sregs;
        return guest.result;
}

static inline int fake_get_fxsave(struct machine *machine, uint32_t cpu, struct machine_fxsave *ret)
{
        (void)machine;
        memset(ret->bytes, (int)cpu, sizeof(ret->bytes));
        return guest.result;
}

static inline int fake_translate(struct machine *machine, uint32_t cpu, uint64_t address,
                                 struct machine_translation *ret)
{
        (void)machine;
        (void)cpu;
        *ret = (struct machine_translation){.valid = address < 0x1000,
                                            .physical = address + 0x5000};
        return guest.result;
}

static inline int fake_halt(struct machine *machine, uint32_t cpu, bool halted)
{
        (void)machine;
        guest.halted[cpu] = halted;
        return guest.result;
}

static inline bool fake_is_halted(struct machine *machine, uint32_t cpu)
{
        (void)machine;
        return guest.halted[cpu];
}

static inline int fake_interrupt(struct machine *machine, uint32_t cpu, uint32_t number)
{
        (void)machine;
        guest.interrupts[cpu] = number;
        return guest.result;
}

static inline int fake_nmi(struct machine *machine, uint32_t cpu)
{
        (void)machine;
        guest.nmis[cpu]++;
        return guest.result;
}

static inline int fake_step(struct machine *machine, uint32_t cpu, uint64_t timeout_ns)
{
        (void)machine;
        guest.steps[cpu]++;
        guest.step_ns = timeout_ns;
        return guest.result;
}

static inline int fake_open(struct machine *machine, struct machine_text *text)
{
        (void)machine;
        (void)text;
        return 0;
}

static inline void fake_close(struct machine *machine)
{
        (void)machine;
}

static inline int fake_run(void *ctx, uint32_t cpu, const char **ret_reason)
{
        (void)ctx;
        (void)cpu;
        (void)ret_reason;
        return VMREQ_EXIT_HALT;
}

static inline void fake_kick(void *ctx, uint32_t cpu)
{
        (void)ctx;
        (void)cpu;
}

static const struct machine_backend fake_backend = {
        .name = "fake",
        .open = fake_open,
        .close = fake_close,
        .engine = {.size = sizeof(struct vmreq_backend), .run = fake_run, .kick = fake_kick},
        .cpu = {.get_stats = fake_get_stats,
                .get_regs = fake_get_regs,
                .set_regs = fake_set_regs,
                .get_sregs = fake_get_sregs,
                .get_fxsave = fake_get_fxsave,
                .translate = fake_translate,
                .halt = fake_halt,
                .is_halted = fake_is_halted,
                .interrupt = fake_interrupt,
                .nmi = fake_nmi,
                .step = fake_step},
};

static struct caller caller;
static struct log_record log_lines;
static struct machine *machine;

static inline void no_log(void *ctx, int level, const char *text)
{
        (void)ctx;
        (void)level;
        (void)text;
}

/* A VM with that module, and a machine of 1 MiB. */
static inline int guest_start(const struct vmreq_module *module)
{
        const struct machine_hooks hooks = {.log = no_log};
        char image[] = "/tmp/vmreq-modules-XXXXXX";
        struct machine_settings settings;
        struct machine_text text;
        int fd = mkstemp(image), r;

        assert_true(fd >= 0);
        assert_int_equal(write(fd, "\xf4", 1), 1);
        assert_int_equal(close(fd), 0);
        memset(&guest, 0, sizeof(guest));
        machine_settings_init(&settings);
        settings.backend = &fake_backend;
        settings.memory_bytes = 1u << 20;
        strcpy(settings.console, "none");
        strcpy(settings.image, image);
        r = machine_new(&settings, GUEST_CPUS, &hooks, &machine, &text);
        assert_int_equal(unlink(image), 0);
        if (r)
                fail_msg("%s", text.line);
        modules_set_machine(machine);
        caller_init(&caller, GUEST_CPUS, &log_lines);
        caller_add(&caller, module);
        return 0;
}

static inline int guest_end(void **state)
{
        (void)state;
        caller_deinit(&caller);
        modules_set_machine(NULL);
        assert_true(machine_close(machine, UINT64_MAX));
        machine = machine_free(machine);
        return 0;
}

static inline void guest_change(enum vmreq_vm_event event)
{
        assert_int_equal(vmreq_vm_change(caller.vm, event, 0, NULL, NULL), 0);
}

static inline void guest_suspend(void)
{
        guest_change(VMREQ_EVENT_POWER_ON);
        guest_change(VMREQ_EVENT_SUSPEND);
}

#define X64(value)      ((struct vmreq_value){.u = (value)})
#define TEXT(value)     ((struct vmreq_value){.data = (value), .len = (uint32_t)strlen(value)})
#define BYTES(value, n) ((struct vmreq_value){.data = (value), .len = (n)})

/* Calls; the status, and in *ret_call what was written. */
static inline int32_t ask(struct call *ret_call, const char *name, uint32_t cpu,
                          const struct vmreq_value *args, uint32_t n)
{
        call_do(ret_call, &caller, name, cpu, args, n);
        call_end(ret_call);
        return ret_call->row.status;
}
