/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Changes of the VM's state, from the thread that brings one about (an EMT, mostly) to the loop,
 * which makes events of them.  Pushing waits for nothing but the copying of one change.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vm/vmreq.h"

struct rpc_peer;
struct rpc_server;

struct rpc_state_change {
        enum vmreq_vm_state from, to;
        const char *reason; /* static, or NULL */
};

/* Changes between two turns of the loop that are kept; a VM changes its state some times a second
 * at most. */
#define RPC_STATES_MAX 64u

struct rpc_states {
        pthread_mutex_t lock; /* guards all below */
        struct rpc_state_change changes[RPC_STATES_MAX];
        uint32_t n;
        uint64_t lost; /* did not fit; the last one always does */
};

/* False: the system refuses a lock. */
bool rpc_states_init(struct rpc_states *states);
void rpc_states_deinit(struct rpc_states *states);

/* Any thread. */
void rpc_states_push(struct rpc_states *states, const struct rpc_state_change *change);

/* Loop thread: makes events of what was pushed. */
void rpc_states_drain(struct rpc_server *server, struct rpc_states *states);
/* Loop thread: the present state, as an event, to one peer. */
void rpc_states_put_present(struct rpc_peer *peer);
