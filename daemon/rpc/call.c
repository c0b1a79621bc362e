/* SPDX-License-Identifier: MIT */
/*
 * A call's begin: authorise, resolve, marshal, charge, pin, submit.
 *
 * Everything that can fail happens here, before or at submission; what is refused is answered here
 * and leaves nothing behind.  After it, see call-run.c for the engine's side and call-end.c for the
 * answer.
 */
#include "rpc/call.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/macros.h"
#include "proto/names.h"
#include "rpc/audit.h"
#include "rpc/busy.h"
#include "rpc/call-internal.h"
#include "rpc/peer.h"
#include "rpc/reply.h"
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

static const struct sym_symbol *resolve(struct rpc_peer *peer, const struct rpc_call_spec *spec,
                                        enum rpc_verdict *ret_verdict, struct rpc_error *error)
{
        const struct sym_symbol *symbol = NULL;

        *ret_verdict = RPC_VERDICT_DENY;
        if (proto_symbol_name_valid(spec->name, spec->name_len))
                symbol = sym_registry_find(peer->server->config.registry, spec->name,
                                           spec->name_len);
        if (symbol)
                *ret_verdict = rpc_policy_verdict(peer->rights, symbol);
        if (*ret_verdict != RPC_VERDICT_DENY)
                return symbol;
        no_such_symbol(peer, spec, error);
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
        enum rpc_verdict verdict;
        enum proto_code code;
        char text[1024];

        call->symbol = resolve(peer, spec, &verdict, error);
        if (!call->symbol)
                return false;
        rpc_options_init(&call->options, call->symbol->def, timeout_ms);
        call->options.stream = peer->stream && spec->kind == RPC_CALL_REQUEST;
        code = rpc_options_read(&call->options, spec->options, vmreq_vm_cpus(server->config.vm),
                                spec->kind == RPC_CALL_SUBMIT, text, sizeof(text));
        if (code == PROTO_OK && verdict == RPC_VERDICT_LOOK &&
            !rpc_policy_may_call_so(peer->rights, call->symbol, call->options.cpu,
                                    call->options.flags)) {
                no_such_symbol(peer, spec, error);
                return false;
        }
        if (code == PROTO_OK)
                code = rpc_marshal_args(call->symbol, spec->args, spec->frame, spec->frame_len,
                                        spec->args_offset, &call->args, text, sizeof(text));
        if (code != PROTO_OK) {
                if (code == PROTO_INTERNAL)
                        rpc_error_fault(error, server, PROTO_RAN_NO, "%s", text);
                else
                        rpc_error_set(error, code, PROTO_RAN_NO, "%s", text);
                return false;
        }
        rpc_options_cap(&call->options, call->symbol->timeout_max_ms);
        call->submitted_ns = clock_now_ns();
        if (call->options.timeout_ms)
                call->deadline_ns =
                        clock_add(call->submitted_ns, call->options.timeout_ms * CLOCK_NS_PER_MS);
        if (call->options.no_wait)
                call->kind = RPC_CALL_NO_WAIT;
        if (!rpc_call_new_writers(call)) {
                rpc_error_fault(error, server, PROTO_RAN_NO, "out of memory");
                return false;
        }
        return rpc_call_charge(call, error);
}

static void note_caller(struct rpc_call *call, const struct rpc_peer *peer)
{
        call->caller_pid = peer->identity.pid;
        call->caller_uid = peer->identity.uid;
        rpc_audit_begin(call);
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
                rpc_error_fault(&error, server, PROTO_RAN_NO, "out of memory");
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
                rpc_call_free(call);
                return false;
        }
        call->id = ++server->next_id;
        note_caller(call, peer);
        rpc_call_enlist(call, peer);
        r = rpc_call_submit(call);
        if (r) {
                refuse_submission(&error, call, r);
                call->answered = call->finished = true;
                server->n_open--;
                if (call->kind == RPC_CALL_REQUEST)
                        peer->n_unanswered--;
                refuse(peer, spec, &error);
                rpc_call_delist(call);
                rpc_call_free(call);
                return false;
        }
        server->counted.calls++;
        rpc_stuck_watch(call);
        if (ret_id)
                *ret_id = call->id;
        return true;
}
