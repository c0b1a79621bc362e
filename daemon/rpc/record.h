/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A request in flight, as vmreq.ps, vmreq.why and the events show it: {id, symbol, cpu, state, on,
 * age_ms, running_ms, deadline_ms, caller, priority, detached, answered}.  Never its arguments.
 * Loop thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proto/builder.h"
#include "rpc/call.h"

/* What each EMT runs at one moment: the innermost request of each. */
struct rpc_emts {
        uint64_t now_ns;
        uint32_t n;
        struct {
                enum vmreq_emt_state state;
                uint64_t tag; /* the call's id; 0: runs none */
                uint64_t since_ns;
        } emt[VMREQ_CPUS_MAX];
};

void rpc_emts_look(struct rpc_emts *emts, vmreq_vm vm);

struct rpc_record {
        const struct rpc_call *call;
        bool running;
        uint32_t on; /* the vCPU that runs it; VMREQ_CPU_NONE: none, or several */
        /* When it began to run, else when it was submitted.  Stays the same while it does that. */
        uint64_t since_ns;
};

/* False: its request is not in flight any more. */
bool rpc_record_take(const struct rpc_call *call, const struct rpc_emts *emts,
                     struct rpc_record *ret_record);

/* How many keys it has, and its keys with their values: a map's header of at least so many pairs
 * stands before them. */
#define RPC_RECORD_KEYS 12u
void rpc_record_put_keys(struct proto_builder *out, const struct rpc_record *record,
                         uint64_t now_ns);
/* The whole map. */
void rpc_record_put(struct proto_builder *out, const struct rpc_record *record, uint64_t now_ns);
/* About how many bytes that takes at most. */
#define RPC_RECORD_BYTES 320u

/* ---- at its end ---- */

/* What became of it; of a broadcast the first row that is not a successful DONE, if there is one:
 * that is what somebody who looks for trouble wants to find. */
const struct vmreq_row *rpc_record_row(const struct rpc_call *call);
/* It has its fate: the event `request`. */
void rpc_record_tell(const struct rpc_call *call);

/* {"uid": …, "pid": …} */
void rpc_record_put_caller(struct proto_builder *out, const struct rpc_call *call);
