/* SPDX-License-Identifier: MIT */
/*
 * A call on the engine's side: how its request is submitted, and what the engine's hooks do.
 *
 * `complete` writes the row, `release` says that nothing is in use any more.  They run on an EMT or
 * on the loop thread; `release` sets two bits and puts the call on the bridge: the loop answers
 * when it sees DONE, and destroys when it sees RELEASED.  A broadcast is put there at DONE already,
 * because a RUNNING child may hold it for long, and for each row if they are streamed.  A generator
 * has one request after the other, see stream.c; all that is said here is true of each.
 */
#include "rpc/call-internal.h"

#include <errno.h>

#include "rpc/peer.h"
#include "rpc/reply.h"
#include "rpc/rows.h"
#include "rpc/stream.h"
#include "rpc/waiter.h"

static void post(struct rpc_call *call, uint32_t bits)
{
        /* acq_rel: what the hook wrote is visible to whoever sees the bit; pairs with
         * rpc_calls_drain. */
        uint32_t before = atomic_fetch_or_explicit(&call->events, bits | RPC_CALL_PUSHED,
                                                   memory_order_acq_rel);

        if (!(before & RPC_CALL_PUSHED))
                rpc_bridge_push(&call->server->bridge, call);
}

static void on_complete(void *user, const struct vmreq_result *result)
{
        struct rpc_call *call = user;

        call->row = result->row;
        for (uint32_t i = 0; i < result->n_rows && !call->streamed; i++)
                call->rows[i] = result->rows[i];
        /* Others are told of it by their release, which this thread comes to at once. */
        if (result->n_rows)
                post(call, RPC_CALL_DONE);
}

/* In place of on_complete's copy, where rows are streamed. */
static void on_row(void *user, const struct vmreq_row *row)
{
        rpc_rows_final(user, row);
        post(user, RPC_CALL_ROW);
}

static void on_release(void *user)
{
        post(user, RPC_CALL_DONE | RPC_CALL_RELEASED);
}

/* On the loop thread: the deadline service is this loop's timer. */
static void on_overdue(void *user)
{
        struct rpc_call *call = user;
        struct rpc_error error;

        call->overdue = true;
        rpc_call_overdue_error(call, &error);
        rpc_waiters_answer(call, &error);
        if (call->kind != RPC_CALL_REQUEST || call->answered || !call->peer)
                return;
        call->answered = true;
        call->peer->n_unanswered--;
        rpc_reply_error_full(call->peer, call->msgid, &error);
}

/* A generator in a broadcast: to its end, its chunks one behind the other in the writer. */
static int32_t run_to_the_end(struct rpc_call *call, struct rpc_writer *writer)
{
        const struct vmreq_symbol *def = call->symbol->def;
        int32_t status;

        do {
                size_t mark = writer->value.len;

                status = def->function(def->ctx, call->args.value, call->args.n, &writer->base);
                if (status < 0)
                        return status;
                writer->chunk = rpc_writer_end_chunk(writer, mark);
                if (writer->chunk != RPC_WRITER_OK)
                        return 0; /* the loop looks at it */
        } while (status == VMREQ_AGAIN && !vmreq_cancel_requested());
        if (status != VMREQ_AGAIN)
                return status;
        writer->base.ops->put_failure(&writer->base, "CANCELLED", "asked to end between two runs");
        return -ECANCELED;
}

/* Runs on the EMT: from the engine's callback form to the module's function. */
static int32_t run_function(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        struct rpc_call *call = ctx;
        const struct vmreq_symbol *def = call->symbol->def;
        struct rpc_writer *writer = &call->writers[call->n_writers > 1 ? reply->cpu : 0];

        _Atomic uint64_t *held = &call->server->results_held;
        int32_t status;

        (void)args;
        (void)argc;
        /* Relaxed: a bound on memory, no order. */
        if (atomic_load_explicit(held, memory_order_relaxed) >
            atomic_load_explicit(&call->server->results_max, memory_order_relaxed)) {
                writer->refused = true;
                return VMREQ_E_BUSY;
        }
        if (call->n_rows && (def->flags & VMREQ_SYM_STREAMING))
                status = run_to_the_end(call, writer);
        else
                status = def->function(def->ctx, call->args.value, call->args.n, &writer->base);
        if (writer->value.cap > RPC_RESULT_LARGE) {
                writer->held = writer->value.cap;
                atomic_fetch_add_explicit(held, writer->held, memory_order_relaxed);
        }
        return status;
}

void rpc_call_post_end(struct rpc_call *call)
{
        post(call, RPC_CALL_DONE | RPC_CALL_RELEASED);
}

int rpc_call_run(struct rpc_call *call)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        int r;

        spec.cpu = call->options.cpu;
        /* NO_WAIT: the hooks collect, there is no handle to free. */
        spec.flags = rpc_wakes_flags(spec.cpu, call->options.flags | VMREQ_NO_WAIT);
        if (call->symbol->words) {
                spec.kind = call->symbol->kind;
                spec.fn = call->symbol->def->words;
                spec.args = call->args.word;
                spec.argc = call->args.n;
        } else {
                spec.kind = VMREQ_FN_CALLBACK;
                spec.callback = run_function;
                spec.ctx = call;
        }
        spec.deadline_ns = call->deadline_ns;
        spec.tag = call->id;
        spec.user = call;
        spec.row = call->streamed ? on_row : NULL;
        spec.overdue = on_overdue;
        spec.complete = on_complete;
        spec.release = on_release;
        /* Relaxed: nobody else knows of the run yet; the engine's push orders it before the hooks.
         */
        atomic_store_explicit(&call->events, 0, memory_order_relaxed);
        r = vmreq_submit(call->server->config.vm, &spec, &call->handle);
        if (r == 0 && (spec.flags & VMREQ_MORE))
                rpc_wakes_owe(call->server, spec.cpu);
        return r;
}

int rpc_call_submit(struct rpc_call *call)
{
        return call->stream ? rpc_stream_start(call) : rpc_call_run(call);
}
