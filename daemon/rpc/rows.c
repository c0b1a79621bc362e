/* SPDX-License-Identifier: MIT */
/*
 * Streamed rows: `vmreq.row [msgid, row]` for each vCPU of a broadcast, as it becomes final.
 *
 * The engine's hook writes the row on whichever thread made it final, sets is_final, and the call
 * goes over the bridge; the loop sends it.  A row that finds no room waits for the client to read,
 * in the writer where its function put it, and no longer than until the answer is due: that has all
 * rows.  A row that is larger than a frame may be is not sent alone either.
 */
#include "rpc/rows.h"

#include <stdlib.h>

#include "rpc/call.h"
#include "rpc/outcome.h"
#include "rpc/peer.h"
#include "rpc/reply.h"

bool rpc_rows_new(struct rpc_call *call, uint32_t cpus)
{
        struct rpc_rows *rows = calloc(1, sizeof(*rows) + cpus * sizeof(rows->of[0]));

        if (!rows)
                return false;
        rows->call = call;
        call->streamed = rows;
        return true;
}

void rpc_rows_final(struct rpc_call *call, const struct vmreq_row *row)
{
        call->rows[row->cpu] = *row;
        /* Release: pairs with the acquire in rpc_rows_send; row and value are visible. */
        atomic_store_explicit(&call->streamed->of[row->cpu].is_final, true, memory_order_release);
}

/* False: there is no room now. */
static bool send_row(struct rpc_call *call, const struct vmreq_row *row)
{
        struct proto_builder *out;
        size_t mark;
        bool full;

        /* Looked at before it is copied: a client that does not read has this tried again and
         * again. */
        if (rpc_peer_over(call->peer, rpc_outcome_row_size(call, row)))
                return false;
        out = rpc_notify_begin(call->peer, "vmreq.row", &mark);
        proto_put_array(out, 2);
        proto_put_uint(out, call->msgid);
        rpc_outcome_put_row(out, call, row);
        return rpc_notify_end(call->peer, mark, &full) || !full;
}

static void set_waits(struct rpc_call *call, bool waits)
{
        struct rpc_rows *rows = call->streamed;

        if (rows->waits == waits)
                return;
        rows->waits = waits;
        if (waits)
                TAILQ_INSERT_TAIL(&call->peer->rows, rows, link);
        else
                TAILQ_REMOVE(&call->peer->rows, rows, link);
}

void rpc_rows_send(struct rpc_call *call, bool wait)
{
        struct rpc_rows *rows = call->streamed;
        bool is_full = false, reverse = call->options.cpu == VMREQ_CPU_ALL_REVERSE;

        if (!call->peer || call->answered)
                return;
        for (uint32_t i = 0; i < call->n_rows; i++) {
                uint32_t cpu = reverse ? call->n_rows - 1 - i : i;

                /* Acquire: pairs with rpc_rows_final. */
                if (rows->of[cpu].is_done ||
                    !atomic_load_explicit(&rows->of[cpu].is_final, memory_order_acquire))
                        continue;
                rows->of[cpu].is_done = send_row(call, &call->rows[cpu]);
                is_full |= !rows->of[cpu].is_done;
        }
        set_waits(call, wait && is_full);
}

void rpc_rows_leave_peer(struct rpc_call *call)
{
        if (call->streamed)
                set_waits(call, false);
}

void rpc_rows_resume(struct rpc_peer *peer)
{
        struct rpc_rows *rows, *next;

        TAILQ_FOREACH_SAFE (rows, &peer->rows, link, next)
                rpc_rows_send(rows->call, true);
}
