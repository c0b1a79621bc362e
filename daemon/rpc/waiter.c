/* SPDX-License-Identifier: MIT */
/*
 * Waits for submitted calls, and for calls that are repeated under their key.  Each stands in the
 * list of its call and of its peer, holds a place in the peer's account, and is unlinked by
 * whatever comes first: the end of the call, its own time, the end of its peer.
 */
#include "rpc/waiter.h"

#include <stdlib.h>

#include "base/check.h"
#include "rpc/busy.h"
#include "rpc/call.h"
#include "rpc/peer.h"
#include "rpc/reply.h"

struct rpc_waiter {
        struct rpc_waiter *next; /* of the same call */
        LIST_ENTRY(rpc_waiter) peer_link;
        struct rpc_call *call;
        struct rpc_peer *peer;
        uint32_t msgid;
        uv_timer_t timer;
        bool has_timer;
};

static void waiter_closed(uv_handle_t *handle)
{
        free(handle->data);
}

static void waiter_unlink(struct rpc_waiter *waiter)
{
        struct rpc_waiter **at = &waiter->call->waiters;

        while (*at != waiter)
                at = &(*at)->next;
        *at = waiter->next;
        LIST_REMOVE(waiter, peer_link);
        waiter->peer->n_unanswered--;
        rpc_account_release(&waiter->peer->account, RPC_CALLS, 1);
        if (waiter->has_timer)
                uv_close((uv_handle_t *)&waiter->timer, waiter_closed);
        else
                free(waiter);
}

void rpc_waiters_answer(struct rpc_call *call, const struct rpc_error *error)
{
        while (call->waiters) {
                struct rpc_waiter *waiter = call->waiters;

                if (error)
                        rpc_reply_error_full(waiter->peer, waiter->msgid, error);
                else
                        rpc_reply_call(&(struct rpc_addressee){.peer = waiter->peer,
                                                               .msgid = waiter->msgid},
                                       call);
                waiter_unlink(waiter);
        }
}

static void answer_not_yet(struct rpc_peer *peer, uint32_t msgid, const struct rpc_call *call)
{
        struct rpc_error error;

        rpc_error_set(&error, PROTO_TIMEOUT, PROTO_RAN_MAYBE,
                      "request %llu has not ended within the wait; it goes on",
                      (unsigned long long)call->id);
        rpc_error_add_word(&error, "scope", "wait");
        rpc_reply_error_full(peer, msgid, &error);
}

static void on_wait_over(uv_timer_t *timer)
{
        struct rpc_waiter *waiter = timer->data;

        answer_not_yet(waiter->peer, waiter->msgid, waiter->call);
        waiter_unlink(waiter);
}

void rpc_waiter_add(struct rpc_call *call, struct rpc_peer *peer, uint32_t msgid, uint64_t wait_ms)
{
        const struct rpc_account *over;
        struct rpc_waiter *waiter;
        struct rpc_error error;

        if (call->finished) {
                rpc_reply_call(&(struct rpc_addressee){.peer = peer, .msgid = msgid}, call);
                return;
        }
        if (call->overdue) {
                rpc_call_overdue_error(call, &error);
                rpc_reply_error_full(peer, msgid, &error);
                return;
        }
        if (wait_ms == 0) { /* a poll waits for nothing, so it needs no place among the calls */
                answer_not_yet(peer, msgid, call);
                return;
        }
        /* A wait counts like a call: it has an answer to come. */
        if (!rpc_account_charge(&peer->account, RPC_CALLS, 1, &over)) {
                rpc_busy_account(&error, RPC_CALLS, over);
                error.ran = PROTO_RAN_MAYBE;
                rpc_reply_error_full(peer, msgid, &error);
                return;
        }
        waiter = calloc(1, sizeof(*waiter));
        if (!waiter) {
                rpc_account_release(&peer->account, RPC_CALLS, 1);
                rpc_error_fault(&error, peer->server, PROTO_RAN_MAYBE, "out of memory");
                rpc_reply_error_full(peer, msgid, &error);
                return;
        }
        waiter->call = call;
        waiter->peer = peer;
        waiter->msgid = msgid;
        waiter->next = call->waiters;
        call->waiters = waiter;
        LIST_INSERT_HEAD(&peer->waiters, waiter, peer_link);
        peer->n_unanswered++;
        if (wait_ms == UINT64_MAX)
                return;
        waiter->has_timer = true;
        CHECK(uv_timer_init(&call->server->loop, &waiter->timer) == 0);
        waiter->timer.data = waiter;
        uv_update_time(&call->server->loop); /* it may be old by now, and the wait too short */
        CHECK(uv_timer_start(&waiter->timer, on_wait_over, wait_ms, 0) == 0);
}

/* It was only for those who waited for it that it went on without its connection. */
static void lose_waiter(struct rpc_call *call)
{
        if (!call->waiters && !call->peer && !call->finished && !call->options.detach &&
            call->kind != RPC_CALL_NO_WAIT)
                (void)rpc_call_cancel(call, "the end of its connection");
}

void rpc_waiters_forget(struct rpc_peer *peer)
{
        struct rpc_waiter *waiter;

        while ((waiter = LIST_FIRST(&peer->waiters))) {
                struct rpc_call *call = waiter->call;

                waiter_unlink(waiter);
                lose_waiter(call);
        }
}
