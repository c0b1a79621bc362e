/* SPDX-License-Identifier: MIT */
/*
 * A call on the engine's side: how its request is submitted, and what the engine's hooks do.
 *
 * `complete` writes the row, `release` says that nothing is in use any more.  They run on an EMT or
 * on the loop thread, set a bit each, and put the call on the bridge; the loop answers when it sees
 * DONE, and destroys when it sees RELEASED.  A broadcast is put there at DONE already, because a
 * RUNNING child may hold it for long.
 */
#include "rpc/call-internal.h"

#include "base/clock.h"
#include "rpc/peer.h"
#include "rpc/reply.h"
#include "rpc/waiter.h"

static void post(struct rpc_call *call, uint32_t bit, bool push)
{
        uint32_t bits = push ? bit | RPC_CALL_PUSHED : bit;
        /* acq_rel: what the hook wrote is visible to whoever sees the bit; pairs with
         * rpc_calls_drain. */
        uint32_t before = atomic_fetch_or_explicit(&call->events, bits, memory_order_acq_rel);

        if (push && !(before & RPC_CALL_PUSHED))
                rpc_bridge_push(&call->server->bridge, call);
}

static void on_complete(void *user, const struct vmreq_result *result)
{
        struct rpc_call *call = user;

        call->row = result->row;
        for (uint32_t i = 0; i < result->n_rows; i++)
                call->rows[i] = result->rows[i];
        post(call, RPC_CALL_DONE, result->n_rows > 0);
}

static void on_release(void *user)
{
        post(user, RPC_CALL_RELEASED, true);
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
        if (atomic_load_explicit(held, memory_order_relaxed) > call->server->config.limits.bytes) {
                writer->refused = true;
                return VMREQ_E_BUSY;
        }
        status = def->function(def->ctx, call->args.value, call->args.n, &writer->base);
        if (writer->value.cap > RPC_RESULT_LARGE) {
                writer->held = writer->value.cap;
                atomic_fetch_add_explicit(held, writer->held, memory_order_relaxed);
        }
        return status;
}

int rpc_call_submit(struct rpc_call *call)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;

        spec.cpu = call->options.cpu;
        spec.flags = call->options.flags | VMREQ_NO_WAIT; /* the hooks collect; no handle to free */
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
        call->submitted_ns = clock_now_ns();
        if (call->options.timeout_ms)
                call->deadline_ns =
                        clock_add(call->submitted_ns, call->options.timeout_ms * CLOCK_NS_PER_MS);
        spec.deadline_ns = call->deadline_ns;
        spec.tag = call->id;
        spec.user = call;
        spec.overdue = on_overdue;
        spec.complete = on_complete;
        spec.release = on_release;
        return vmreq_submit(call->server->config.vm, &spec, &call->handle);
}
