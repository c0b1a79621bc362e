/* SPDX-License-Identifier: MIT */
/*
 * A call's way: authorise, resolve, marshal, charge, pin, submit - then wait for the engine's
 * hooks.
 *
 * Everything that can fail happens before submission.  After it, the engine's hooks tell what
 * becomes of the request: `complete` writes the row, `release` says that nothing is in use any
 * more.  They run on an EMT or on this thread, set a bit each, and put the call on the bridge; the
 * loop answers when it sees DONE, and destroys when it sees RELEASED.  A broadcast is put there at
 * DONE already, because a RUNNING child may hold it for long.
 *
 * Each call is answered once: `answered` is set by whoever answers first - the result, the passed
 * deadline
 * (`overdue`), the end of a drain - and looked at by all.
 */
#include "rpc/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/macros.h"
#include "proto/names.h"
#include "rpc/busy.h"
#include "rpc/peer.h"
#include "rpc/reply.h"
#include "rpc/waiter.h"

/* ---- the engine's side ---- */

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

void rpc_call_overdue_error(const struct rpc_call *call, struct rpc_error *ret_error)
{
        rpc_error_set(ret_error, PROTO_TIMEOUT, PROTO_RAN_YES,
                      "%s: its time limit of %llu ms passed while it runs; %s",
                      call->symbol->def->name, (unsigned long long)call->options.timeout_ms,
                      call->kind == RPC_CALL_SUBMIT ? "it goes on, and its result is kept"
                                                    : "it goes on, its result is dropped");
        rpc_error_add_word(ret_error, "scope", "request");
        rpc_error_add_word(ret_error, "state", "running");
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

/* ---- memory ---- */

/* It is no result on its way any more: charged, or dropped. */
static void unhold(struct rpc_call *call, struct rpc_writer *writer)
{
        if (!writer->held)
                return;
        /* Relaxed: as in run_function. */
        atomic_fetch_sub_explicit(&call->server->results_held, writer->held, memory_order_relaxed);
        writer->held = 0;
}

static void drop_value(struct rpc_call *call, struct rpc_writer *writer)
{
        proto_builder_deinit(&writer->value);
        unhold(call, writer);
}

static void writers_free(struct rpc_call *call)
{
        for (uint32_t i = 0; i < call->n_writers; i++) {
                drop_value(call, &call->writers[i]);
                rpc_writer_deinit(&call->writers[i]);
        }
        if (call->writers != &call->one_writer)
                free(call->writers);
        call->n_writers = 0;
}

static void call_free(struct rpc_call *call)
{
        CHECK(!call->waiters);
        writers_free(call);
        free(call->rows);
        rpc_args_deinit(&call->args);
        free(call);
}

static bool is_broadcast(uint32_t cpu)
{
        return cpu == VMREQ_CPU_ALL || cpu == VMREQ_CPU_ALL_REVERSE;
}

static bool writers_new(struct rpc_call *call)
{
        size_t max = call->server->config.limits.frame_bytes;
        uint32_t cpus = vmreq_vm_cpus(call->server->config.vm);

        if (is_broadcast(call->options.cpu)) {
                call->rows = calloc(cpus, sizeof(*call->rows));
                if (!call->rows)
                        return false;
                call->n_rows = cpus;
        }
        if (call->symbol->words)
                return true;
        call->writers = call->n_rows > 1 ? calloc(cpus, sizeof(*call->writers)) : &call->one_writer;
        if (!call->writers)
                return false;
        call->n_writers = call->n_rows > 1 ? cpus : 1;
        for (uint32_t i = 0; i < call->n_writers; i++)
                rpc_writer_init(&call->writers[i], max);
        return true;
}

/* ---- begin ---- */

static void refuse_submission(struct rpc_error *error, struct rpc_call *call, int r)
{
        switch (r) {
        case VMREQ_E_BUSY:
                rpc_busy_engine(error, call);
                break;
        case VMREQ_E_CLOSED:
        case VMREQ_E_HANDLE:
                rpc_error_set(error, PROTO_KILLED, PROTO_RAN_NO, "the daemon is going down");
                break;
        default:
                rpc_error_set(error, PROTO_INTERNAL, PROTO_RAN_NO, "%s: the engine refused it: %s",
                              call->symbol->def->name, vmreq_error_name(r));
                log_line(LOG_L_ERROR, "%s: the engine refused it: %s", call->symbol->def->name,
                         vmreq_error_name(r));
                break;
        }
}

static int submit(struct rpc_call *call)
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
        if (call->options.timeout_ms)
                spec.deadline_ns =
                        clock_add(clock_now_ns(), call->options.timeout_ms * CLOCK_NS_PER_MS);
        spec.tag = call->id;
        spec.user = call;
        spec.overdue = on_overdue;
        spec.complete = on_complete;
        spec.release = on_release;
        return vmreq_submit(call->server->config.vm, &spec, &call->handle);
}

static uint64_t bytes_of(const struct rpc_call *call)
{
        return sizeof(*call) + call->args.n_bytes + call->n_rows * sizeof(*call->rows) +
               (call->n_writers > 1 ? call->n_writers * sizeof(*call->writers) : 0);
}

static bool charge(struct rpc_call *call, struct rpc_error *error)
{
        const struct rpc_account *over;

        if (!rpc_account_charge(call->account, RPC_CALLS, 1, &over)) {
                rpc_busy_account(error, RPC_CALLS, over);
                return false;
        }
        call->bytes = bytes_of(call);
        if (!rpc_account_charge(call->account, RPC_BYTES, call->bytes, &over)) {
                rpc_busy_account(error, RPC_BYTES, over);
                rpc_account_release(call->account, RPC_CALLS, 1);
                return false;
        }
        return true;
}

static void uncharge(struct rpc_call *call)
{
        rpc_account_release(call->account, RPC_CALLS, 1);
        rpc_account_release(call->account, RPC_BYTES, call->bytes);
        if (call->account_is_uid)
                rpc_quota_uid_drop(&call->server->quota, call->account);
}

/* Nobody needs the peer for this one: it belongs to the uid's account. */
static void move_to_uid(struct rpc_call *call)
{
        struct rpc_account *uid;

        if (call->account_is_uid)
                return;
        uid = rpc_quota_uid_hold(call->account);
        rpc_account_release(call->account, RPC_CALLS, 1);
        rpc_account_release(call->account, RPC_BYTES, call->bytes);
        rpc_account_force(uid, RPC_CALLS, 1);
        rpc_account_force(uid, RPC_BYTES, call->bytes);
        call->account = uid;
        call->account_is_uid = true;
}

static void enlist(struct rpc_call *call, struct rpc_peer *peer)
{
        struct rpc_server *server = call->server;

        TAILQ_INSERT_TAIL(&server->calls, call, server_link);
        LIST_INSERT_HEAD(&server->by_id[call->id % RPC_ID_BUCKETS], call, id_link);
        server->n_calls++;
        server->n_open++;
        sym_symbol_pin(call->symbol);
        if (call->kind == RPC_CALL_NO_WAIT) {
                move_to_uid(call);
                return;
        }
        call->peer = peer;
        TAILQ_INSERT_TAIL(&peer->calls, call, peer_link);
        if (call->kind == RPC_CALL_REQUEST)
                peer->n_unanswered++;
}

static void leave_peer(struct rpc_call *call)
{
        if (!call->peer)
                return;
        TAILQ_REMOVE(&call->peer->calls, call, peer_link);
        if (call->kind == RPC_CALL_REQUEST && !call->answered)
                call->peer->n_unanswered--;
        call->peer = NULL;
}

static void delist(struct rpc_call *call)
{
        struct rpc_peer *peer = call->peer;

        leave_peer(call);
        TAILQ_REMOVE(&call->server->calls, call, server_link);
        LIST_REMOVE(call, id_link);
        call->server->n_calls--;
        sym_symbol_unpin(call->symbol);
        uncharge(call);
        if (peer && peer->paused)
                rpc_peer_touch(peer); /* it may be read from again */
        if (peer && peer->state != RPC_PEER_CLOSING && !peer->is_dirty)
                rpc_peer_settle(peer);
}

static const struct sym_symbol *resolve(struct rpc_peer *peer, const struct rpc_call_spec *spec,
                                        struct rpc_error *error)
{
        const struct sym_symbol *symbol = NULL;

        /* What the caller may not call is reported exactly like what does not exist. */
        if (proto_symbol_name_valid(spec->name, spec->name_len))
                symbol = sym_registry_find(peer->server->config.registry, spec->name,
                                           spec->name_len);
        if (symbol && rpc_policy_may_call(peer->rights, symbol))
                return symbol;
        rpc_error_set(error, PROTO_NOT_FOUND, PROTO_RAN_NO,
                      "there is no symbol \"%.*s\" that you may call",
                      (int)MIN(spec->name_len, (size_t)PROTO_NAME_BYTES_MAX), spec->name);
        return NULL;
}

/* Everything up to submission.  False: `error` says why, and nothing is left behind but the memory.
 */
static bool prepare(struct rpc_peer *peer, const struct rpc_call_spec *spec, struct rpc_call *call,
                    struct rpc_error *error)
{
        struct rpc_server *server = peer->server;
        uint64_t timeout_ms =
                peer->timeout_set ? peer->timeout_ms : server->config.limits.timeout_ms;
        char text[1024];
        enum proto_code code;

        call->symbol = resolve(peer, spec, error);
        if (!call->symbol)
                return false;
        rpc_options_init(&call->options, call->symbol->def, timeout_ms);
        code = rpc_options_read(&call->options, spec->options, vmreq_vm_cpus(server->config.vm),
                                spec->kind == RPC_CALL_SUBMIT, text, sizeof(text));
        if (code == PROTO_OK)
                code = rpc_marshal_args(call->symbol, spec->args, spec->frame, spec->frame_len,
                                        spec->args_offset, &call->args, text, sizeof(text));
        if (code != PROTO_OK) {
                rpc_error_set(error, code, PROTO_RAN_NO, "%s", text);
                return false;
        }
        if (call->options.no_wait)
                call->kind = RPC_CALL_NO_WAIT;
        if (!writers_new(call)) {
                rpc_error_set(error, PROTO_INTERNAL, PROTO_RAN_NO, "out of memory");
                return false;
        }
        return charge(call, error);
}

static void note_caller(struct rpc_call *call, const struct rpc_peer *peer)
{
        call->caller_pid = peer->identity.pid;
        call->caller_uid = peer->identity.uid;
        if (call->symbol->def->flags & VMREQ_SYM_CHANGES_STATE)
                log_line(LOG_L_NOTICE, "%s called by uid %u, pid %d", call->symbol->def->name,
                         (unsigned)call->caller_uid, (int)call->caller_pid);
}

static void refuse(struct rpc_peer *peer, const struct rpc_call_spec *spec,
                   const struct rpc_error *error)
{
        struct rpc_server *server = peer->server;
        uint64_t missed;

        if (spec->kind != RPC_CALL_NO_WAIT) {
                rpc_reply_error_full(peer, spec->msgid, error);
                return;
        }
        /* A notification gets no answer; the journal does. */
        server->refused_notifications++;
        if (log_limit_pass(&server->refused_log, 10, clock_now_ns(), &missed))
                log_line(LOG_L_WARNING,
                         "notification by uid %u refused: %s: %s (%llu more were not logged)",
                         (unsigned)peer->identity.uid, proto_code_to_string(error->code),
                         error->text, (unsigned long long)missed);
}

bool rpc_call_begin(struct rpc_peer *peer, const struct rpc_call_spec *spec, uint64_t *ret_id)
{
        struct rpc_server *server = peer->server;
        struct rpc_call *call;
        struct rpc_error error;
        int r;

        if (server->phase != RPC_SERVING) {
                rpc_error_set(&error, PROTO_KILLED, PROTO_RAN_NO, "the daemon is going down");
                refuse(peer, spec, &error);
                return false;
        }
        call = calloc(1, sizeof(*call));
        if (!call) {
                rpc_error_set(&error, PROTO_INTERNAL, PROTO_RAN_NO, "out of memory");
                refuse(peer, spec, &error);
                return false;
        }
        call->server = server;
        call->account = &peer->account;
        call->kind = spec->kind;
        call->msgid = spec->msgid;
        call->args.bytes = call->args.inline_bytes;
        if (!prepare(peer, spec, call, &error)) {
                refuse(peer, spec, &error);
                call_free(call);
                return false;
        }
        call->id = ++server->next_id;
        note_caller(call, peer);
        enlist(call, peer);
        r = submit(call);
        if (r) {
                refuse_submission(&error, call, r);
                call->answered = call->finished = true;
                server->n_open--;
                if (call->kind == RPC_CALL_REQUEST)
                        peer->n_unanswered--;
                refuse(peer, spec, &error);
                delist(call);
                call_free(call);
                return false;
        }
        if (ret_id)
                *ret_id = call->id;
        return true;
}

/* ---- end ---- */

static void answer(struct rpc_call *call)
{
        rpc_waiters_answer(call, NULL);
        if (call->kind != RPC_CALL_REQUEST || call->answered)
                return;
        call->answered = true;
        if (!call->peer)
                return;
        call->peer->n_unanswered--;
        rpc_reply_call(call->peer, call->msgid, call);
}

/* A SUBMIT's result is kept until it is released or its connection ends. */
static bool is_kept(const struct rpc_call *call)
{
        return call->kind == RPC_CALL_SUBMIT && !call->abandoned && call->peer;
}

/* Has the vCPU's part ended, so that its writer is not written to any more? */
static bool is_written(const struct rpc_call *call, uint32_t i)
{
        return call->n_rows == 0 || call->rows[i].fate != VMREQ_FATE_RUNNING;
}

static void drop_results(struct rpc_call *call)
{
        for (uint32_t i = 0; i < call->n_writers; i++)
                if (is_written(call, i))
                        drop_value(call, &call->writers[i]);
}

/* Finished, and whoever waited has been answered.  A kept result counts against its connection's
 * share; what does not fit is dropped, and said so to who asks.  Nobody asks for the others. */
static void keep_result(struct rpc_call *call)
{
        const struct rpc_account *over;
        uint64_t n = 0, texts = 0;

        for (uint32_t i = 0; i < call->n_writers; i++) {
                if (!is_written(call, i))
                        continue;
                n += call->writers[i].value.cap;
                texts += call->writers[i].failure ? sizeof(*call->writers[i].failure) : 0;
        }
        if (!is_kept(call)) {
                drop_results(call);
                return;
        }
        if (call->account->used[RPC_BYTES] + n > call->server->config.limits.bytes_per_connection ||
            !rpc_account_charge(call->account, RPC_BYTES, n, &over)) {
                drop_results(call);
                call->dropped = true;
                n = 0;
        }
        for (uint32_t i = 0; i < call->n_writers; i++)
                if (is_written(call, i))
                        unhold(call, &call->writers[i]);
        rpc_account_force(call->account, RPC_BYTES, texts);
        call->bytes += n + texts;
}

/* A kept call's request is over: its arguments go, and what was written after its rows were final.
 */
static void drop_leftovers(struct rpc_call *call)
{
        for (uint32_t i = 0; i < call->n_writers; i++)
                if (!is_written(call, i))
                        drop_value(call, &call->writers[i]);
        rpc_account_release(call->account, RPC_BYTES, call->args.n_bytes);
        call->bytes -= call->args.n_bytes;
        call->args.n_bytes = 0;
        rpc_args_deinit(&call->args);
}

static void settle(struct rpc_call *call)
{
        /* Acquire: pairs with post. */
        uint32_t events = atomic_load_explicit(&call->events, memory_order_acquire);

        if (!(events & RPC_CALL_RELEASED) || (events & RPC_CALL_PUSHED))
                return;
        if (is_kept(call)) {
                drop_leftovers(call);
                return;
        }
        delist(call);
        call_free(call);
}

void rpc_calls_drain(struct rpc_server *server)
{
        struct rpc_call *call = rpc_bridge_take(&server->bridge), *next;

        for (; call; call = next) {
                uint32_t events;

                next = call->bridge_next;
                /* acq_rel: pairs with post; a bit that comes later pushes the call again. */
                events = atomic_fetch_and_explicit(&call->events, ~RPC_CALL_PUSHED,
                                                   memory_order_acq_rel);
                if ((events & RPC_CALL_DONE) && !call->finished) {
                        call->finished = true;
                        server->n_open--;
                        answer(call);
                        keep_result(call);
                        if (call->peer && call->peer->paused)
                                rpc_peer_touch(call->peer); /* it may be read from again */
                }
                if (events & RPC_CALL_RELEASED)
                        settle(call);
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

/* What is queued first, then what runs: a callee that ends early must not give way to a call of the
 * same peer. */
static void cancel_calls(struct rpc_peer *peer)
{
        struct rpc_call *call;

        for (int pass = 0; pass < 2; pass++) {
                TAILQ_FOREACH (call, &peer->calls, peer_link) {
                        enum vmreq_req_state state = VMREQ_REQ_FREE;

                        if (call->finished)
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
                leave_peer(call);
                move_to_uid(call);
                settle(call);
        }
}

/* ---- ids ---- */

struct rpc_call *rpc_call_find(struct rpc_server *server, uint64_t id)
{
        struct rpc_call *call;

        LIST_FOREACH(call, &server->by_id[id % RPC_ID_BUCKETS], id_link)
        if (call->id == id)
                return call;
        return NULL;
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
        switch (vmreq_cancel(call->handle)) {
        case VMREQ_VERDICT_REMOVED:
                return "removed";
        case VMREQ_VERDICT_RUNNING:
                return call->symbol->def->flags & VMREQ_SYM_CANCELLABLE ? "asked" : "running";
        default:
                return "finished";
        }
}

void rpc_call_release(struct rpc_call *call)
{
        call->abandoned = true;
        settle(call);
}
