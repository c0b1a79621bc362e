/* SPDX-License-Identifier: MIT */
/*
 * A call's begin: authorise, resolve, marshal, charge, pin, submit.
 *
 * Everything that can fail happens here, before or at submission; what is refused is answered here
 * and leaves nothing behind.  After it, see call-run.c for the engine's side and call-end.c for the
 * answer.
 */
#include "rpc/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "proto/limits.h"
#include "rpc/audit.h"
#include "rpc/busy.h"
#include "rpc/call-internal.h"
#include "rpc/kept.h"
#include "rpc/key.h"
#include "rpc/peer.h"
#include "rpc/reply.h"
#include "rpc/waiter.h"
#include "rpc/session.h"

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
                rpc_error_fault(error, call->server, PROTO_RAN_NO, "%s: the engine refused it: %s",
                                call->symbol->def->name, vmreq_error_name(r));
                break;
        }
}

/* What the caller may not call is reported, and recorded, exactly like what does not exist: else
 * the time that it takes would tell which. */
static void no_such_symbol(struct rpc_peer *peer, const struct rpc_call_spec *spec,
                           struct rpc_error *error)
{
        if (!(rpc_rights_defaults(peer->rights) & RPC_RIGHT_ALL))
                rpc_audit_denied(peer, spec->name, spec->name_len);
        rpc_error_set(error, PROTO_NOT_FOUND, PROTO_RAN_NO,
                      "there is no symbol \"%.*s\" that you may call",
                      (int)MIN(spec->name_len, (size_t)PROTO_NAME_BYTES_MAX), spec->name);
}

/* Names are looked up by what the connection called last, then in the table.  Those in the table
 * are valid ones: no other is found there. */
static const struct sym_symbol *find_symbol(struct rpc_peer *peer, const char *name, size_t len)
{
        const struct sym_registry *registry = peer->server->config.registry;
        const struct sym_symbol *symbol = peer->last_symbol;

        if (symbol && peer->last_generation == sym_registry_generation(registry) &&
            symbol->name_len == len && memcmp(symbol->def->name, name, len) == 0)
                return symbol;
        symbol = len <= PROTO_NAME_BYTES_MAX ? sym_registry_find(registry, name, len) : NULL;
        if (symbol) {
                peer->last_symbol = symbol;
                peer->last_generation = sym_registry_generation(registry);
        }
        return symbol;
}

static const struct sym_symbol *resolve(struct rpc_peer *peer, const struct rpc_call_spec *spec,
                                        enum rpc_verdict *ret_verdict, struct rpc_error *error)
{
        const struct sym_symbol *symbol = find_symbol(peer, spec->name, spec->name_len);

        *ret_verdict = RPC_VERDICT_DENY;
        if (symbol)
                *ret_verdict = rpc_policy_verdict(peer->rights, symbol);
        if (*ret_verdict != RPC_VERDICT_DENY)
                return symbol;
        no_such_symbol(peer, spec, error);
        return NULL;
}

/*
 * Some belong to the uid and not to the connection (detach, key).  The uid that everybody has who
 * is not mapped into our user namespace never comes here: no rule lets it call anything.
 */
static enum proto_code read_options(const struct rpc_peer *peer, const struct rpc_call_spec *spec,
                                    struct rpc_call *call, char *text, size_t size)
{
        struct rpc_server *server = peer->server;
        uint64_t timeout_ms =
                peer->timeout_set ? peer->timeout_ms : server->config.limits.timeout_ms;
        struct rpc_options *options = &call->options;
        enum proto_code code;

        rpc_options_init(options, call->symbol->def, timeout_ms);
        options->stream = peer->stream && spec->kind == RPC_CALL_REQUEST;
        code = rpc_options_read(options, spec->options, server->policy.n_cpus,
                                spec->kind == RPC_CALL_SUBMIT, text, size);
        call->is_shared = options->detach || options->key;
        rpc_options_cap(options, call->symbol->timeout_max_ms);
        return code;
}

/* Who calls what, how, and with which arguments.  False: `error` says what is wrong with it. */
static bool read_call(struct rpc_peer *peer, const struct rpc_call_spec *spec,
                      struct rpc_call *call, struct rpc_error *error)
{
        enum rpc_verdict verdict;
        enum proto_code code;
        char text[1024];

        call->symbol = resolve(peer, spec, &verdict, error);
        if (!call->symbol)
                return false;
        code = read_options(peer, spec, call, text, sizeof(text));
        if (code == PROTO_OK && verdict == RPC_VERDICT_LOOK &&
            !rpc_policy_may_call_so(peer->rights, call->symbol, call->options.cpu,
                                    call->options.flags)) {
                no_such_symbol(peer, spec, error);
                return false;
        }
        if (code == PROTO_OK)
                code = rpc_marshal_args(call->symbol, spec->args, spec->frame, spec->frame_len,
                                        spec->args_offset, &call->args, text, sizeof(text));
        if (code == PROTO_INTERNAL)
                rpc_error_fault(error, peer->server, PROTO_RAN_NO, "%s", text);
        else if (code != PROTO_OK)
                rpc_error_set(error, code, PROTO_RAN_NO, "%s", text);
        return code == PROTO_OK;
}

/* What it needs to begin.  False: `error` says why it is not to be had. */
static bool prepare(struct rpc_peer *peer, struct rpc_call *call, struct rpc_error *error)
{
        struct rpc_server *server = peer->server;

        call->submitted_ns = server->input_ns ? server->input_ns : clock_now_ns();
        if (call->options.timeout_ms)
                call->deadline_ns =
                        clock_add(call->submitted_ns, call->options.timeout_ms * CLOCK_NS_PER_MS);
        if (call->options.no_wait)
                call->kind = RPC_CALL_NO_WAIT;
        if (!rpc_call_new_writers(call)) {
                rpc_error_fault(error, server, PROTO_RAN_NO, "out of memory");
                return false;
        }
        if (!rpc_call_charge(call, error))
                return false;
        if (!call->options.key)
                return true;
        if (rpc_key_take(&server->keys, peer->identity.uid, call)) {
                rpc_kept_arm(server);
                return true;
        }
        rpc_call_uncharge(call);
        rpc_error_fault(error, server, PROTO_RAN_NO, "out of memory");
        return false;
}

/* ---- keys ---- */

/* It has begun before: its caller gets the first one's id, or what becomes of that. */
static void repeat(struct rpc_peer *peer, const struct rpc_call_spec *spec,
                   const struct rpc_options *options, struct rpc_call *first, uint64_t *ret_id)
{
        uint64_t wait_ms = options->timeout_ms ? options->timeout_ms : UINT64_MAX;

        if (spec->kind == RPC_CALL_REQUEST) {
                rpc_waiter_add(first, peer, spec->msgid, wait_ms);
                return;
        }
        first->abandoned = false; /* it may have been released; somebody wants it again */
        *ret_id = first->id;
}

static void note_caller(struct rpc_call *call, const struct rpc_peer *peer)
{
        call->caller_pid = peer->identity.pid;
        call->caller_uid = peer->identity.uid;
        rpc_audit_begin(call);
}

void rpc_call_refuse(struct rpc_peer *peer, const struct rpc_call_spec *spec,
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

/* A call with nothing but what it is called with. */
static struct rpc_call *new_call(struct rpc_peer *peer, const struct rpc_call_spec *spec)
{
        struct rpc_call *call = rpc_call_take(peer->server);

        if (!call)
                return NULL;
        call->account = &peer->account;
        call->kind = spec->kind;
        call->msgid = spec->msgid;
        return call;
}

/* From a prepared call to an accepted one.  False: the engine would not have it. */
static bool start(struct rpc_peer *peer, const struct rpc_call_spec *spec, struct rpc_call *call,
                  struct rpc_error *error)
{
        struct rpc_server *server = peer->server;
        int r;

        call->id = ++server->next_id;
        note_caller(call, peer);
        rpc_call_enlist(call, peer);
        r = rpc_call_submit(call);
        if (r == 0) {
                server->counted.calls++;
                rpc_stuck_watch(call);
                return true;
        }
        refuse_submission(error, call, r);
        call->answered = call->finished = true;
        server->n_open--;
        if (call->kind == RPC_CALL_REQUEST)
                peer->n_unanswered--;
        rpc_call_refuse(peer, spec, error);
        rpc_call_delist(call);
        rpc_call_free(call);
        return false;
}

bool rpc_call_begin(struct rpc_peer *peer, const struct rpc_call_spec *spec, uint64_t *ret_id)
{
        struct rpc_server *server = peer->server;
        struct rpc_call *call = NULL, *first;
        enum rpc_key_result key = RPC_KEY_NEW;
        struct rpc_error error;

        if (server->phase != RPC_SERVING)
                rpc_error_set(&error, PROTO_KILLED, PROTO_RAN_NO, "the daemon is going down");
        else if (!(call = new_call(peer, spec)))
                rpc_error_fault(&error, server, PROTO_RAN_NO, "out of memory");
        if (!call || !read_call(peer, spec, call, &error))
                goto refused;
        if (call->options.key)
                key = rpc_key_look(&server->keys, peer->identity.uid, call, &first);
        if (key == RPC_KEY_REPEAT) {
                repeat(peer, spec, &call->options, first, ret_id);
                rpc_call_free(call);
                return true;
        }
        if (key == RPC_KEY_OTHER) {
                rpc_error_set(&error, PROTO_INVALID_REQUEST, PROTO_RAN_NO,
                              "option \"key\": it was given to a call of another symbol, or with "
                              "other arguments");
                goto refused;
        }
        if (!prepare(peer, call, &error))
                goto refused;
        if (!start(peer, spec, call, &error))
                return false;
        if (ret_id)
                *ret_id = call->id;
        return true;
refused:
        rpc_call_refuse(peer, spec, &error);
        if (call)
                rpc_call_free(call);
        return false;
}
