/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Wake-ups that the loop owes: one for each destination of what it has submitted since the last
 * look (VMREQ_MORE, vmreq_wake).  An EMT that is woken for the first call of a turn may take the
 * processor from the loop, serve that one, and sleep again before the next one comes; so it is
 * woken when the turn's calls are there, or RPC_WAKES_CALLS of them.  Loop thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vm/vmreq.h"

struct rpc_server;

/* So many calls are worth a processor of their own, even if more are to come. */
#define RPC_WAKES_CALLS 32u

struct rpc_wakes {
        uint64_t cpus[(VMREQ_CPUS_MAX + 63) / 64]; /* EMTs that are wanted, a bit each */
        bool any;
        uint32_t n_calls; /* submitted since the last look; 0: nothing is owed */
};

/* The flags of a request that goes to `cpu` with `flags`: with VMREQ_MORE if it can be held back,
 * and then rpc_wakes_owe follows when it is accepted. */
uint32_t rpc_wakes_flags(uint32_t cpu, uint32_t flags);
void rpc_wakes_owe(struct rpc_server *server, uint32_t cpu);

/* Wakes them.  Before the loop waits for anything. */
void rpc_wakes_pay(struct rpc_server *server);
