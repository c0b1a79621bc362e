/* SPDX-License-Identifier: MIT */
/*
 * cpu.*: the virtual CPUs and what their EMTs are doing.
 *
 * Reads the engine's snapshot of an EMT, which disturbs nobody: any EMT may answer for any other,
 * also for one that is stuck.  The EMT that answers is in the middle of this very call and says
 * "running" of itself.
 *
 * What asks the guest's vCPU is in cpu-guest.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "modules/cpu-guest.h"
#include "modules/modules.h"
#include "symbols/host.h"

/* What `cpu` is when it was not given; no vCPU has this number. */
#define OWN_CPU VMREQ_CPU_NONE

/* Fixed between init and fini; EMTs only read it. */
static const struct vmreq_host *host;

static void put_text(struct vmreq_writer *reply, const char *text)
{
        host->put_str(reply, text, strlen(text));
}

static void put_count(struct vmreq_writer *reply, const char *key, uint64_t value)
{
        put_text(reply, key);
        host->put_uint(reply, value);
}

static void put_head(struct vmreq_writer *reply, uint32_t cpu, const struct vmreq_emt_info *info)
{
        put_count(reply, "cpu", cpu);
        put_text(reply, "state");
        put_text(reply, vmreq_emt_state_name(info->state));
}

static int32_t fail(struct vmreq_writer *reply, int error, uint32_t cpu, uint32_t n_cpus)
{
        char text[96];

        (void)snprintf(text, sizeof(text), "there is no vCPU %u: they are 0 to %u", cpu,
                       n_cpus - 1);
        host->put_failure(reply, vmreq_error_name(error), error == VMREQ_E_INVALID ? text : NULL);
        return error;
}

static int32_t cpu_list(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        vmreq_vm vm = sym_host_vm(host);
        uint32_t n_cpus = vmreq_vm_cpus(vm);

        (void)ctx;
        (void)args;
        (void)argc;
        host->put_array(reply, n_cpus);
        for (uint32_t cpu = 0; cpu < n_cpus; cpu++) {
                struct vmreq_emt_info info;
                int r = vmreq_emt_info(vm, cpu, &info);

                if (r != VMREQ_OK)
                        return fail(reply, r, cpu, n_cpus);
                host->put_map(reply, 2);
                put_head(reply, cpu, &info);
        }
        return 0;
}

static int32_t cpu_state(void *ctx, const struct vmreq_value *args, uint32_t argc,
                         struct vmreq_writer *reply)
{
        vmreq_vm vm = sym_host_vm(host);
        uint32_t n_cpus = vmreq_vm_cpus(vm), cpu = (uint32_t)args[0].u;
        struct vmreq_emt_info info;
        int r;

        (void)ctx;
        (void)argc;
        if (cpu == OWN_CPU)
                cpu = host->cpu(host);
        r = cpu < n_cpus ? vmreq_emt_info(vm, cpu, &info) : VMREQ_E_INVALID;
        if (r != VMREQ_OK)
                return fail(reply, r, cpu, n_cpus);
        host->put_map(reply, 9);
        put_head(reply, cpu, &info);
        put_count(reply, "queued", info.depth[0]);
        put_count(reply, "queued_priority", info.depth[1]);
        put_count(reply, "done", info.done);
        put_count(reply, "skipped", info.skipped);
        put_count(reply, "sleeps", info.sleeps);
        put_count(reply, "wakes", info.wakes);
        put_count(reply, "spins_paid", info.spins_paid);
        return 0;
}

static const struct vmreq_param state_params[] = {
        {
                .name = "cpu",
                .type = VMREQ_T_U32,
                .flags = VMREQ_PARAM_OPTIONAL,
                .doc = "Which one; missing: the one that runs the call.",
                .fallback = {.type = VMREQ_T_U32, .u = OWN_CPU},
        },
};

static const struct vmreq_symbol symbols[] = {
        {
                .size = sizeof(struct vmreq_symbol),
                .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT,
                .name = "cpu.list",
                .doc = "All vCPUs in order: {cpu, state}; state is awake, asleep, running, parked or ended.",
                .result = VMREQ_T_ARRAY,
                .dest = VMREQ_DEST_ANY,
                .function = cpu_list,
        },
        {
                .size = sizeof(struct vmreq_symbol),
                .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT,
                .name = "cpu.state",
                .doc = "One vCPU's EMT: state, requests queued, counters.\n"
                       "Result: {cpu, state, queued, queued_priority, done, skipped, sleeps, wakes, "
                       "spins_paid}; the counters only grow.",
                .params = state_params,
                .n_params = ARRAY_SIZE(state_params),
                .result = VMREQ_T_MAP,
                .dest = VMREQ_DEST_ANY,
                .function = cpu_state,
        },
};

static int cpu_init(const struct vmreq_host *table, uint32_t abi,
                    const struct vmreq_setting *settings, size_t n_settings)
{
        int r;

        (void)abi;
        (void)settings;
        (void)n_settings;
        if (host)
                return -EBUSY;
        r = modules_add_symbols(table, symbols, ARRAY_SIZE(symbols));
        r = r < 0 ? r : modules_add_symbols(table, cpu_guest_symbols, cpu_guest_n_symbols);
        if (r < 0)
                return r;
        host = table;
        cpu_guest_set_host(table);
        return 0;
}

static int cpu_fini(const struct vmreq_host *table)
{
        (void)table;
        host = NULL;
        cpu_guest_set_host(NULL);
        return 0;
}

const struct vmreq_module mod_cpu = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "cpu",
        .version = "1",
        .doc = "The virtual CPUs.",
        .init = cpu_init,
        .fini = cpu_fini,
};
