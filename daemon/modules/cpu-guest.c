/* SPDX-License-Identifier: MIT */
/*
 * cpu.*, the part that asks the guest: registers, and what happens to one vCPU.
 *
 * Each runs on the EMT of the vCPU that it is sent to (the option `cpu`; vCPU 0 if it says
 * nothing), between two stretches of guest execution.  The backend has completed the guest's last
 * instruction by then, so registers are true, and what is written stays.
 *
 * cpu.regs in a broadcast gives one row for each vCPU; each row is consistent in itself.
 */
#include "modules/cpu-guest.h"

#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "modules/guest.h"
#include "modules/map-reader.h"

#define STEP_MS_DEFAULT 100u
#define STEP_MS_MAX     10000u

/* Fixed between init and fini; EMTs only read it. */
static const struct vmreq_host *host;

void cpu_guest_set_host(const struct vmreq_host *table)
{
        host = table;
}

/* The machine, for a symbol that is legal in those states; 0 = all. */
static struct machine *ask(struct vmreq_writer *reply, unsigned states, int32_t *ret_status)
{
        struct machine *machine = guest_machine(host, reply, ret_status);

        if (!machine)
                return NULL;
        *ret_status = states ? guest_need_state(host, reply, states) : 0;
        return *ret_status ? NULL : machine;
}

static void put_x64(struct vmreq_writer *reply, const char *key, uint64_t value)
{
        guest_put_key(host, reply, key);
        host->put_x64(reply, value);
}

static void put_uint(struct vmreq_writer *reply, const char *key, uint64_t value)
{
        guest_put_key(host, reply, key);
        host->put_uint(reply, value);
}

/* ---- registers ---- */

static int32_t put_regs(struct machine *machine, struct vmreq_writer *reply)
{
        struct machine_regs regs;
        int r = machine_get_regs(machine, host->cpu(host), &regs);

        if (r)
                return guest_outcome(host, reply, r);
        host->put_map(reply, MACHINE_REGS_N);
        for (unsigned i = 0; i < MACHINE_REGS_N; i++)
                put_x64(reply, machine_reg_name((enum machine_reg)i), regs.r[i]);
        return 0;
}

static int32_t cpu_regs(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        int32_t status;
        struct machine *machine = ask(reply, 0, &status);

        (void)ctx;
        (void)args;
        (void)argc;
        return machine ? put_regs(machine, reply) : status;
}

static void put_segment(struct vmreq_writer *reply, const struct machine_segment *segment)
{
        host->put_map(reply, 11);
        put_x64(reply, "base", segment->base);
        put_x64(reply, "limit", segment->limit);
        put_x64(reply, "selector", segment->selector);
        put_uint(reply, "type", segment->type);
        put_uint(reply, "present", segment->present);
        put_uint(reply, "dpl", segment->dpl);
        put_uint(reply, "db", segment->db);
        put_uint(reply, "s", segment->s);
        put_uint(reply, "l", segment->l);
        put_uint(reply, "g", segment->g);
        put_uint(reply, "avl", segment->avl);
}

static void put_table(struct vmreq_writer *reply, const char *key,
                      const struct machine_table *table)
{
        guest_put_key(host, reply, key);
        host->put_map(reply, 2);
        put_x64(reply, "base", table->base);
        put_x64(reply, "limit", table->limit);
}

static int32_t cpu_sregs(void *ctx, const struct vmreq_value *args, uint32_t argc,
                         struct vmreq_writer *reply)
{
        struct machine_sregs sregs;
        int32_t status;
        struct machine *machine = ask(reply, 0, &status);
        int r;

        (void)ctx;
        (void)args;
        (void)argc;
        if (!machine)
                return status;
        r = machine_get_sregs(machine, host->cpu(host), &sregs);
        if (r)
                return guest_outcome(host, reply, r);
        host->put_map(reply, MACHINE_SEGMENTS_N + 9);
        for (unsigned i = 0; i < MACHINE_SEGMENTS_N; i++) {
                guest_put_key(host, reply, machine_segment_name((enum machine_segment_id)i));
                put_segment(reply, &sregs.segments[i]);
        }
        put_table(reply, "gdt", &sregs.gdt);
        put_table(reply, "idt", &sregs.idt);
        put_x64(reply, "cr0", sregs.cr0);
        put_x64(reply, "cr2", sregs.cr2);
        put_x64(reply, "cr3", sregs.cr3);
        put_x64(reply, "cr4", sregs.cr4);
        put_x64(reply, "cr8", sregs.cr8);
        put_x64(reply, "efer", sregs.efer);
        put_x64(reply, "apic_base", sregs.apic_base);
        return 0;
}

/* Lays what the map says over `regs`; 0, or the failure. */
static int32_t read_regs(const struct vmreq_value *map, struct machine_regs *regs,
                         struct vmreq_writer *reply)
{
        struct map_reader reader;
        const char *key, *wrong;
        size_t len;
        uint64_t value;

        if (!map_reader_init(&reader, map->data, map->len))
                return guest_fail(host, reply, VMREQ_FAIL_INVALID, NULL, "regs: expected a map");
        while (map_reader_next(&reader, &key, &len, &value, &wrong)) {
                enum machine_reg reg = machine_reg_find(key, len);

                if (reg == MACHINE_REGS_N)
                        return guest_fail(host, reply, VMREQ_FAIL_INVALID, NULL,
                                          "regs: there is no register \"%.*s\"; they are rip, "
                                          "rflags, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp and r8 "
                                          "to r15",
                                          (int)MIN(len, (size_t)32), key);
                regs->r[reg] = value;
        }
        return wrong ? guest_fail(host, reply, VMREQ_FAIL_INVALID, NULL, "regs: expected %s", wrong)
                     : 0;
}

static int32_t cpu_set_regs(void *ctx, const struct vmreq_value *args, uint32_t argc,
                            struct vmreq_writer *reply)
{
        struct machine_regs regs;
        int32_t status;
        struct machine *machine = ask(reply, GUEST_LIVES, &status);
        int r;

        (void)ctx;
        (void)argc;
        if (!machine)
                return status;
        r = machine_get_regs(machine, host->cpu(host), &regs);
        if (r == 0) {
                status = read_regs(&args[0], &regs, reply);
                if (status)
                        return status;
                r = machine_set_regs(machine, host->cpu(host), &regs);
        }
        return guest_outcome(host, reply, r);
}

/* ---- events ---- */

static int32_t cpu_halt(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        int32_t status;
        struct machine *machine = ask(reply, GUEST_LIVES, &status);

        (void)ctx;
        (void)argc;
        if (!machine)
                return status;
        return guest_outcome(host, reply, machine_halt(machine, host->cpu(host), args[0].u != 0));
}

static int32_t cpu_nmi(void *ctx, const struct vmreq_value *args, uint32_t argc,
                       struct vmreq_writer *reply)
{
        int32_t status;
        struct machine *machine = ask(reply, GUEST_LIVES, &status);

        (void)ctx;
        (void)args;
        (void)argc;
        if (!machine)
                return status;
        return guest_outcome(host, reply, machine_nmi(machine, host->cpu(host)));
}

static int32_t cpu_interrupt(void *ctx, const struct vmreq_value *args, uint32_t argc,
                             struct vmreq_writer *reply)
{
        int32_t status;
        struct machine *machine = ask(reply, GUEST_LIVES, &status);
        int r;

        (void)ctx;
        (void)argc;
        if (!machine)
                return status;
        r = machine_interrupt(machine, host->cpu(host), (uint32_t)args[0].u);
        if (r == MACHINE_E_RANGE)
                return guest_fail(host, reply, VMREQ_FAIL_INVALID, NULL,
                                  "number: the irqchip's lines are 0 to 23");
        return guest_outcome(host, reply, r);
}

static int32_t cpu_step(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        int32_t status;
        struct machine *machine = ask(reply, GUEST_STATE(SUSPENDED), &status);
        int r;

        (void)ctx;
        (void)argc;
        if (!machine)
                return status;
        r = machine_step(machine, host->cpu(host), args[0].u * CLOCK_NS_PER_MS);
        return r ? guest_outcome(host, reply, r) : put_regs(machine, reply);
}

static int32_t cpu_stats(void *ctx, const struct vmreq_value *args, uint32_t argc,
                         struct vmreq_writer *reply)
{
        uint64_t stats[MACHINE_STATS_N];
        int32_t status;
        struct machine *machine = ask(reply, 0, &status);
        int r;

        (void)ctx;
        (void)args;
        (void)argc;
        if (!machine)
                return status;
        r = machine_get_stats(machine, host->cpu(host), stats);
        if (r)
                return guest_outcome(host, reply, r);
        host->put_map(reply, MACHINE_STATS_N + 1);
        guest_put_key(host, reply, "halted");
        host->put_bool(reply, machine_is_halted(machine, host->cpu(host)));
        for (unsigned i = 0; i < MACHINE_STATS_N; i++)
                put_uint(reply, machine_stat_name((enum machine_stat)i), stats[i]);
        return 0;
}

/* ---- the table ---- */

static const struct vmreq_param set_regs_params[] = {
        {
                .name = "regs",
                .type = VMREQ_T_MAP,
                .flags = VMREQ_PARAM_SENSITIVE,
                .doc = "The registers to set, by name: {\"rip\": \"0x1000\", \"rax\": 1}.",
        },
};

static const struct vmreq_param halt_params[] = {
        {
                .name = "halted",
                .type = VMREQ_T_BOOL,
                .flags = VMREQ_PARAM_OPTIONAL,
                .doc = "false: let it go on, without an interrupt.",
                .fallback = {.type = VMREQ_T_BOOL, .u = 1},
        },
};

static const struct vmreq_param interrupt_params[] = {
        {
                .name = "number",
                .type = VMREQ_T_U32,
                .flags = VMREQ_PARAM_RANGE,
                .doc = "irqchip=off: the vector; irqchip=kernel: the line, 0 to 23, which is pulsed.",
                .max = 255,
        },
};

static const struct vmreq_param step_params[] = {
        {
                .name = "limit_ms",
                .type = VMREQ_T_U32,
                .flags = VMREQ_PARAM_OPTIONAL | VMREQ_PARAM_RANGE,
                .doc = "How long the instruction may take, in milliseconds.",
                .min = 1,
                .max = STEP_MS_MAX,
                .fallback = {.type = VMREQ_T_U32, .u = STEP_MS_DEFAULT},
        },
};

#define READS  (VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT)
#define SECRET VMREQ_SYM_CONFIDENTIAL
#define ACTS   VMREQ_SYM_CHANGES_STATE

#define SYMBOL(symbol, more_flags, result_type, fn, text)                                          \
        .size = sizeof(struct vmreq_symbol), .flags = (more_flags), .name = (symbol),              \
        .doc = (text), .result = (result_type), .dest = 0, .function = (fn)
#define PARAMS(list) .params = (list), .n_params = ARRAY_SIZE(list)

const struct vmreq_symbol cpu_guest_symbols[] = {
        {SYMBOL("cpu.regs", READS | SECRET, VMREQ_T_MAP, cpu_regs,
                "The general registers of the vCPU that it is sent to.\n"
                "Result: {rip, rflags, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8 to r15}.")},
        {SYMBOL("cpu.sregs", READS | SECRET, VMREQ_T_MAP, cpu_sregs,
                "The segments, tables and control registers of the vCPU that it is sent to.\n"
                "Result: {cs, ds, es, fs, gs, ss, tr, ldt: {base, limit, selector, type, present, "
                "dpl, db, s, l, g, avl}, gdt, idt: {base, limit}, cr0, cr2, cr3, cr4, cr8, efer, "
                "apic_base}.")},
        {SYMBOL("cpu.set_regs", ACTS | VMREQ_SYM_IDEMPOTENT, VMREQ_T_NIL, cpu_set_regs,
                "Sets some of the general registers; the others stay as they are."),
         PARAMS(set_regs_params)},
        {SYMBOL("cpu.halt", ACTS | VMREQ_SYM_IDEMPOTENT | VMREQ_SYM_POKE, VMREQ_T_NIL, cpu_halt,
                "Halts the vCPU as the instruction HLT does: until an interrupt that it takes, or an "
                "NMI."),
         PARAMS(halt_params)},
        {SYMBOL("cpu.step", ACTS | SECRET | VMREQ_SYM_CANCELLABLE, VMREQ_T_MAP, cpu_step,
                "Executes one instruction of a suspended guest; interrupts wait meanwhile.\n"
                "Result: the registers after it, as cpu.regs gives them.  TIMEOUT if the instruction "
                "does not end: one that faults goes on in the guest's handler."),
         PARAMS(step_params)},
        {SYMBOL("cpu.nmi", ACTS | VMREQ_SYM_POKE, VMREQ_T_NIL, cpu_nmi,
                "Gives the vCPU a non-maskable interrupt.")},
        {SYMBOL("cpu.interrupt", ACTS | VMREQ_SYM_POKE, VMREQ_T_NIL, cpu_interrupt,
                "Interrupts the guest.\n"
                "irqchip=off: this vCPU takes the vector when its guest enables interrupts; a vector "
                "that still waits is not added a second time.  irqchip=kernel: the line of the "
                "interrupt controller is raised and lowered."),
         PARAMS(interrupt_params)},
        {SYMBOL("cpu.stats", READS, VMREQ_T_MAP, cpu_stats,
                "What the vCPU that it is sent to has done; the counters only grow.\n"
                "Result: {halted, entries, port, mmio, unclaimed, halts, kicked, settled, "
                "interrupts, nmis, steps}.")},
};

const size_t cpu_guest_n_symbols = ARRAY_SIZE(cpu_guest_symbols);
