/* SPDX-License-Identifier: MIT */
/*
 * The generator behind mem.dump.
 *
 * Its first run gathers the registers of all vCPUs in a rendezvous, since each is asked on its own
 * EMT, and makes the head of the core.  Each run then sends one chunk.  Between two runs anybody
 * may let the guest run: then what was sent does not go together with what is left, and the dump
 * fails, rather than being wrong.  machine_epoch says whether that happened.
 */
#include "modules/mem-dump.h"

#include <errno.h>
#include <stdlib.h>

#include "machine/core.h"
#include "modules/guest.h"

#define CHUNK (128u << 10)

#define STOPPED                                                                                    \
        (GUEST_STATE(CREATED) | GUEST_STATE(SUSPENDED) | GUEST_STATE(OFF) | GUEST_STATE(FAILED))

struct dump {
        struct core *core;
        uint64_t offset, epoch;
        uint8_t chunk[CHUNK];
};

static void dump_free(void *state)
{
        struct dump *dump = state;

        core_free(dump->core);
        free(dump);
}

struct gathering {
        struct machine *machine;
        struct core_cpu *cpus;
};

/* On each EMT. */
static int32_t gather_one(void *ctx, uint32_t cpu)
{
        const struct gathering *gathering = ctx;
        struct core_cpu *to = &gathering->cpus[cpu];
        int r = machine_get_regs(gathering->machine, cpu, &to->regs);

        r = r ? r : machine_get_sregs(gathering->machine, cpu, &to->sregs);
        r = r ? r : machine_get_fxsave(gathering->machine, cpu, &to->fxsave);
        return r > 0 ? -EIO : r;
}

static int32_t gather(const struct vmreq_host *host, struct machine *machine,
                      struct vmreq_writer *reply, struct dump *dump)
{
        uint32_t n = machine_cpus(machine), missing = VMREQ_CPU_NONE;
        struct gathering gathering = {machine, calloc(n, sizeof(struct core_cpu))};
        int r;

        if (!gathering.cpus)
                return guest_fail(host, reply, -ENOMEM, "MEMORY", "no memory for the registers");
        dump->epoch = machine_epoch(machine);
        r = vmreq_rendezvous(sym_host_vm(host), VMREQ_RENDEZVOUS_ALL, 0, 0, gather_one, &gathering,
                             &missing, 1);
        if (r == 0)
                r = core_new(machine_memory(machine), gathering.cpus, n, &dump->core);
        free(gathering.cpus);
        if (r == VMREQ_E_TIMEOUT)
                return guest_fail(host, reply, r, NULL, "vCPU %u does not come out of what it runs",
                                  missing);
        return r ? guest_fail(host, reply, r, NULL, "the registers cannot be had") : 0;
}

/* The first run: 0, with the state set, or what to return. */
static int32_t begin(const struct vmreq_host *host, struct machine *machine,
                     struct vmreq_writer *reply)
{
        int32_t status = guest_need_state(host, reply, STOPPED);
        struct dump *dump;

        if (status)
                return status;
        dump = calloc(1, sizeof(*dump));
        if (!dump)
                return guest_fail(host, reply, -ENOMEM, "MEMORY", "no memory for the dump");
        status = gather(host, machine, reply, dump);
        if (status)
                dump_free(dump);
        else
                host->set_state(reply, dump, dump_free);
        return status;
}

int32_t mem_dump_run(const struct vmreq_host *host, struct machine *machine,
                     struct vmreq_writer *reply)
{
        int32_t status = host->state(reply) ? 0 : begin(host, machine, reply);
        struct dump *dump;
        size_t n;

        if (status)
                return status;
        dump = host->state(reply);
        n = core_read(dump->core, dump->offset, dump->chunk, sizeof(dump->chunk));
        /* After the reading: what was read before the guest ran is good. */
        status = guest_need_state(host, reply, STOPPED);
        if (status)
                return status;
        if (machine_epoch(machine) != dump->epoch)
                return guest_fail(host, reply, VMREQ_FAIL_STATE, NULL,
                                  "the guest has run, or was reset, before all of it was "
                                  "sent");
        host->put_bytes(reply, dump->chunk, n);
        dump->offset += n;
        return dump->offset < core_size(dump->core) ? VMREQ_AGAIN : 0;
}
