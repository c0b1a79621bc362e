/* SPDX-License-Identifier: MIT */
/*
 * What a call is charged for, to whom, and the lists that it stands in.  Loop thread.
 *
 * It is charged to its connection's account, and moves to the uid's when it outlives the connection
 * or was never only its own (NO_WAIT, detached, with a key).  What is charged for its request goes
 * back when that is over, all the rest in rpc_call_delist.
 */
#include "rpc/call-internal.h"

#include "rpc/busy.h"
#include "rpc/kept.h"
#include "rpc/key.h"
#include "rpc/peer.h"
#include "rpc/rows.h"
#include "rpc/stream.h"

static uint64_t key_bytes(const struct rpc_call *call)
{
        return call->options.key_len ? rpc_key_bytes(call->options.key_len) : 0;
}

static uint64_t bytes_of(const struct rpc_call *call)
{
        return sizeof(*call) + key_bytes(call) + call->args.n_bytes +
               (call->stream ? sizeof(*call->stream) : 0) + call->n_rows * sizeof(*call->rows) +
               (call->n_writers > 1 ? call->n_writers * sizeof(*call->writers) : 0);
}

bool rpc_call_charge(struct rpc_call *call, struct rpc_error *error)
{
        const struct rpc_account *over;
        enum rpc_resource full;

        call->bytes = bytes_of(call);
        if (!rpc_account_charge_call(call->account, call->bytes, &full, &over)) {
                rpc_busy_account(error, full, over);
                return false;
        }
        if (!call->is_shared || rpc_account_charge(call->account, RPC_KEPT, 1, &over))
                return true;
        rpc_account_release_call(call->account, 1, call->bytes);
        rpc_busy_kept(error, call, over);
        return false;
}

/* A shared call that is only kept is none in flight. */
static uint64_t calls_of(const struct rpc_call *call)
{
        return !(call->is_reduced && call->is_shared);
}

static void release(struct rpc_call *call)
{
        rpc_account_release_call(call->account, calls_of(call), call->bytes);
        if (call->is_shared)
                rpc_account_release(call->account, RPC_KEPT, 1);
}

void rpc_call_uncharge(struct rpc_call *call)
{
        release(call);
        if (call->account_is_uid)
                rpc_quota_uid_drop(&call->server->quota, call->account);
}

void rpc_call_uncharge_request(struct rpc_call *call)
{
        uint64_t left = sizeof(*call) + key_bytes(call) + call->kept_bytes;

        if (call->is_shared)
                rpc_account_release(call->account, RPC_CALLS, 1);
        rpc_account_release(call->account, RPC_BYTES, call->bytes - left);
        call->bytes = left;
}

/* Nobody needs the peer for this one: it belongs to the uid's account. */
void rpc_call_move_to_uid(struct rpc_call *call)
{
        struct rpc_account *uid;

        if (call->account_is_uid)
                return;
        uid = rpc_quota_uid_hold(call->account);
        release(call);
        rpc_account_force(uid, RPC_CALLS, calls_of(call));
        rpc_account_force(uid, RPC_BYTES, call->bytes);
        rpc_account_force(uid, RPC_KEPT, call->is_shared);
        call->account = uid;
        call->account_is_uid = true;
}

void rpc_call_enlist(struct rpc_call *call, struct rpc_peer *peer)
{
        struct rpc_server *server = call->server;

        TAILQ_INSERT_TAIL(&server->calls, call, server_link);
        LIST_INSERT_HEAD(&server->by_id[call->id % RPC_ID_BUCKETS], call, id_link);
        server->n_calls++;
        server->n_open++;
        sym_symbol_pin(call->symbol);
        if (call->kind == RPC_CALL_NO_WAIT || call->is_shared)
                rpc_call_move_to_uid(call);
        if (call->kind == RPC_CALL_NO_WAIT)
                return;
        call->peer = peer;
        TAILQ_INSERT_TAIL(&peer->calls, call, peer_link);
        if (call->kind == RPC_CALL_REQUEST)
                peer->n_unanswered++;
}

void rpc_call_leave_peer(struct rpc_call *call)
{
        if (!call->peer)
                return;
        rpc_stream_leave_peer(call);
        rpc_rows_leave_peer(call);
        TAILQ_REMOVE(&call->peer->calls, call, peer_link);
        if (call->kind == RPC_CALL_REQUEST && !call->answered)
                call->peer->n_unanswered--;
        call->peer = NULL;
}

void rpc_call_delist(struct rpc_call *call)
{
        struct rpc_server *server = call->server;
        struct rpc_peer *peer = call->peer;

        rpc_call_leave_peer(call);
        LIST_REMOVE(call, id_link);
        rpc_key_drop(&server->keys, call);
        rpc_kept_forget(call);
        if (call->is_reduced) {
                TAILQ_REMOVE(&server->kept, call, server_link);
                server->n_kept--;
        } else {
                TAILQ_REMOVE(&server->calls, call, server_link);
                server->n_calls--;
                sym_symbol_unpin(call->symbol);
        }
        rpc_call_uncharge(call);
        if (peer && peer->paused)
                rpc_peer_touch(peer); /* it may be read from again */
        if (peer && peer->state != RPC_PEER_CLOSING && !peer->is_dirty)
                rpc_peer_settle(peer);
}
