/* SPDX-License-Identifier: MIT */
#pragma once
/* The rows of a broadcast with `stream`: each is sent as soon as it is final. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rpc/list.h"
#include "vm/vmreq.h"

struct rpc_call;
struct rpc_peer;

struct rpc_rows {
        struct rpc_call *call;
        bool waits;                 /* some row found no room in its connection's output … */
        TAILQ_ENTRY(rpc_rows) link; /* … and stands in the peer's list for that */
        struct {
                _Atomic bool is_final;
                bool is_done; /* sent, or too large to be */
        } of[];               /* one per vCPU */
};

TAILQ_HEAD(rpc_rows_list, rpc_rows);

/* For a broadcast whose rows are streamed; before submission.  False: no memory. */
bool rpc_rows_new(struct rpc_call *call, uint32_t cpus);
/* Any thread, once per vCPU: the row is written to call->rows. */
void rpc_rows_final(struct rpc_call *call, const struct vmreq_row *row);

/* Loop thread: sends what is final and not sent.  Without `wait`, what finds no room is left to the
 * answer, which holds all rows once more. */
void rpc_rows_send(struct rpc_call *call, bool wait);
/* Its connection is going; call->peer is still set. */
void rpc_rows_leave_peer(struct rpc_call *call);
/* The peer has read something. */
void rpc_rows_resume(struct rpc_peer *peer);
