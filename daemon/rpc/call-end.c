/* SPDX-License-Identifier: MIT */
/*
 * How calls end, on the loop thread: by their result, an error that comes first, a cancel, the end
 * of their connection, the end of the daemon.
 *
 * Each call is answered once: `answered` is set by whoever answers first - the result, the passed
 * deadline (`overdue`), the end of a drain - and looked at by all.  It is destroyed when the engine
 * has released its request, or, if its result is kept, when nobody may ask for that any more.
 */
#include "rpc/call-internal.h"

#include <stdio.h>

#include "rpc/audit.h"
#include "rpc/kept.h"
#include "rpc/peer.h"
#include "rpc/record.h"
#include "rpc/reply.h"
#include "rpc/rows.h"
#include "rpc/stream.h"
#include "rpc/waiter.h"

void rpc_call_overdue_error(const struct rpc_call *call, struct rpc_error *ret_error)
{
        rpc_error_set(ret_error, PROTO_TIMEOUT, PROTO_RAN_YES,
                      "%s: its time limit of %llu ms passed while it runs; %s",
                      call->symbol->def->name, (unsigned long long)call->options.timeout_ms,
                      call->stream                    ? "it does not run again"
                      : call->kind == RPC_CALL_SUBMIT ? "it goes on, and its result is kept"
                                                      : "it goes on, its result is dropped");
        rpc_error_add_word(ret_error, "scope", "request");
        rpc_error_add_word(ret_error, "state", "running");
}

static void answer(struct rpc_call *call)
{
        rpc_waiters_answer(call, NULL);
        if (call->kind != RPC_CALL_REQUEST || call->answered)
                return;
        call->answered = true;
        if (!call->peer)
                return;
        call->peer->n_unanswered--;
        rpc_reply_call(&(struct rpc_addressee){.peer = call->peer, .msgid = call->msgid}, call);
}

/* It has its fate, and whoever waits for it is told. */
static void finish(struct rpc_call *call)
{
        call->finished = true;
        call->server->n_open--;
        if (call->streamed)
                rpc_rows_send(call, false);
        rpc_audit_end(call);
        rpc_record_tell(call);
        if (!call->n_rows)
                rpc_stuck_ended(call);
        answer(call);
        if (call->kind == RPC_CALL_SUBMIT && call->peer && call->peer->completed)
                rpc_reply_call(&(struct rpc_addressee){.peer = call->peer,
                                                       .completed = true,
                                                       .id = call->id},
                               call);
        rpc_kept_store(call);
        rpc_call_drop_results(call);
        if (call->peer && call->peer->paused)
                rpc_peer_touch(call->peer); /* it may be read from again */
}

void rpc_call_settle(struct rpc_call *call)
{
        /* Acquire: pairs with post. */
        uint32_t events = atomic_load_explicit(&call->events, memory_order_acquire);

        if (!(events & RPC_CALL_RELEASED) || (events & RPC_CALL_PUSHED))
                return;
        rpc_call_end_states(call);
        if (!call->is_reduced)
                rpc_stuck_ended(call); /* a broadcast's child may have run until now */
        if (rpc_kept_is_wanted(call)) {
                rpc_kept_reduce(call);
                return;
        }
        rpc_call_delist(call);
        rpc_call_free(call);
}

/* What its hooks have said; one that comes later puts the call on the bridge again. */
static uint32_t take_events(struct rpc_call *call)
{
        /* Acquire: pairs with post. */
        uint32_t events = atomic_load_explicit(&call->events, memory_order_acquire);

        if (!(events & RPC_CALL_RELEASED))
                return atomic_fetch_and_explicit(&call->events, ~(RPC_CALL_PUSHED | RPC_CALL_ROW),
                                                 memory_order_acq_rel);
        /* Relaxed: that was the last hook, nobody else writes here any more. */
        atomic_store_explicit(&call->events, events & ~(RPC_CALL_PUSHED | RPC_CALL_ROW),
                              memory_order_relaxed);
        return events;
}

void rpc_calls_drain(struct rpc_server *server)
{
        struct rpc_call *call = rpc_bridge_take(&server->bridge), *next;

        for (; call; call = next) {
                uint32_t events;

                next = call->bridge_next;
                events = take_events(call);
                if ((events & RPC_CALL_ROW) && !call->finished)
                        rpc_rows_send(call, true);
                if ((events & RPC_CALL_DONE) && !call->finished) {
                        if (call->stream && rpc_stream_turn(call))
                                continue; /* an EMT may have it again */
                        finish(call);
                }
                if (events & RPC_CALL_RELEASED)
                        rpc_call_settle(call);
        }
}

void rpc_call_fail(struct rpc_call *call, enum proto_code code, enum proto_ran ran,
                   const char *format, ...)
{
        struct rpc_error error;
        va_list args;

        va_start(args, format);
        rpc_error_vset(&error, code, ran, format, args);
        va_end(args);
        rpc_waiters_answer(call, &error);
        if (call->kind != RPC_CALL_REQUEST || call->answered)
                return;
        call->answered = true;
        if (call->peer) {
                call->peer->n_unanswered--;
                rpc_reply_error_full(call->peer, call->msgid, &error);
        }
}

void rpc_calls_doom(struct rpc_server *server)
{
        struct rpc_call *call;

        TAILQ_FOREACH (call, &server->calls, server_link)
                call->killed = !call->finished;
        rpc_streams_kill(server);
}

void rpc_calls_kill(struct rpc_server *server)
{
        struct rpc_call *call, *next;

        /* A broadcast answers with its rows: closing the VM has made them final, and if an EMT is
         * just about to say so, its answer comes with the next turn. */
        TAILQ_FOREACH_SAFE (call, &server->calls, server_link, next)
                if (!call->finished && !call->n_rows)
                        rpc_call_fail(call, PROTO_KILLED, PROTO_RAN_MAYBE,
                                      "%s: the daemon goes down while it runs",
                                      call->symbol->def->name);
}

/* Does it go on without its connection?  Who repeats a call under its key waits for it, too. */
static bool goes_on(const struct rpc_call *call)
{
        return call->options.detach || call->waiters;
}

/* What is queued first, then what runs: a callee that ends early must not give way to a call of the
 * same peer. */
static void cancel_calls(struct rpc_peer *peer)
{
        struct rpc_call *call;

        for (int pass = 0; pass < 2; pass++) {
                TAILQ_FOREACH (call, &peer->calls, peer_link) {
                        enum vmreq_req_state state = VMREQ_REQ_FREE;

                        if (call->finished || goes_on(call))
                                continue;
                        (void)snprintf(call->cancelled_by, sizeof(call->cancelled_by),
                                       "the end of its connection");
                        if (pass == 0)
                                (void)vmreq_status(call->handle, &state, NULL);
                        if (pass == 1 || state == VMREQ_REQ_QUEUED)
                                (void)vmreq_cancel(call->handle);
                }
        }
}

void rpc_calls_abandon(struct rpc_peer *peer)
{
        struct rpc_call *call, *next;

        rpc_waiters_forget(peer);
        cancel_calls(peer);
        TAILQ_FOREACH_SAFE (call, &peer->calls, peer_link, next) {
                rpc_call_leave_peer(call);
                rpc_call_move_to_uid(call);
                rpc_kept_begin_time(call);
                if (goes_on(call))
                        rpc_stream_go_on(call);
                else
                        (void)rpc_stream_stop(call, VMREQ_FATE_CANCELLED);
                rpc_call_settle(call);
        }
}

struct rpc_call *rpc_call_find_any(struct rpc_server *server, uint64_t id)
{
        struct rpc_call *call;

        LIST_FOREACH(call, &server->by_id[id % RPC_ID_BUCKETS], id_link)
        if (call->id == id)
                return call;
        return NULL;
}

struct rpc_call *rpc_call_find(struct rpc_server *server, uint64_t id)
{
        struct rpc_call *call = rpc_call_find_any(server, id);

        return call && !call->is_reduced ? call : NULL;
}

bool rpc_call_is_of(const struct rpc_call *call, const struct rpc_peer *peer)
{
        return call->peer == peer || ((call->is_shared || call->kind == RPC_CALL_NO_WAIT) &&
                                      call->caller_uid == peer->identity.uid);
}

struct rpc_call *rpc_call_find_awaited(struct rpc_peer *peer, uint64_t id)
{
        struct rpc_call *call = rpc_call_find_any(peer->server, id);

        if (!call || call->abandoned || !rpc_call_is_of(call, peer))
                return NULL;
        /* Nobody collects the others; a vmreq.call's result is its answer. */
        return call->kind == RPC_CALL_SUBMIT || call->is_shared ? call : NULL;
}

struct rpc_call *rpc_call_find_msgid(struct rpc_peer *peer, uint32_t msgid)
{
        struct rpc_call *call;

        TAILQ_FOREACH_REVERSE (call, &peer->calls, rpc_call_list, peer_link)
                if (call->kind == RPC_CALL_REQUEST && call->msgid == msgid && !call->answered)
                        return call;
        return NULL;
}

const char *rpc_call_cancel(struct rpc_call *call, const char *by)
{
        if (call->finished)
                return "finished";
        (void)snprintf(call->cancelled_by, sizeof(call->cancelled_by), "%s", by);
        if (rpc_stream_stop(call, VMREQ_FATE_CANCELLED))
                return "removed";
        switch (vmreq_cancel(call->handle)) {
        case VMREQ_VERDICT_REMOVED:
                return "removed";
        case VMREQ_VERDICT_RUNNING:
                return call->symbol->def->flags & (VMREQ_SYM_CANCELLABLE | VMREQ_SYM_STREAMING)
                               ? "asked"
                               : "running";
        default:
                /* A generator's run has ended, and the next is not submitted yet. */
                return call->stream ? "asked" : "finished";
        }
}

void rpc_call_release(struct rpc_call *call)
{
        call->abandoned = true;
        rpc_call_settle(call);
}
