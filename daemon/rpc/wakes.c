/* SPDX-License-Identifier: MIT */
#include "rpc/wakes.h"

#include <string.h>

#include "rpc/server-internal.h"

uint32_t rpc_wakes_flags(uint32_t cpu, uint32_t flags)
{
        bool one = cpu < VMREQ_CPUS_MAX || cpu == VMREQ_CPU_ANY || cpu == VMREQ_CPU_ANY_QUEUE;

        return one && !(flags & VMREQ_POKE) ? flags | VMREQ_MORE : flags;
}

void rpc_wakes_owe(struct rpc_server *server, uint32_t cpu)
{
        struct rpc_wakes *wakes = &server->wakes;

        if (cpu < VMREQ_CPUS_MAX)
                wakes->cpus[cpu / 64] |= 1ull << (cpu % 64);
        else
                wakes->any = true;
        if (++wakes->n_calls >= RPC_WAKES_CALLS)
                rpc_wakes_pay(server);
}

void rpc_wakes_pay(struct rpc_server *server)
{
        struct rpc_wakes wakes = server->wakes;

        if (wakes.n_calls == 0)
                return;
        memset(&server->wakes, 0, sizeof(server->wakes));
        for (uint32_t i = 0; i < sizeof(wakes.cpus) / sizeof(wakes.cpus[0]); i++)
                for (uint64_t set = wakes.cpus[i]; set; set &= set - 1)
                        (void)vmreq_wake(server->config.vm,
                                         i * 64 + (uint32_t)__builtin_ctzll(set));
        if (wakes.any)
                (void)vmreq_wake(server->config.vm, VMREQ_CPU_ANY);
}
