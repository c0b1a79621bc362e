/* SPDX-License-Identifier: MIT */
/*
 * Records for the journal, at three places of a call's walk: where the policy says no (step 6),
 * where a call that changes state has been accepted (9), and where its fate is known (13).  All of
 * it goes to the log's ring of audit records, which other records cannot push out; what a stranger
 * can cause by himself, denials, is limited for each uid, so that he cannot either.
 */
#include "rpc/audit.h"

#include <string.h>

#include "base/clock.h"
#include "base/log-ids.h"
#include "base/macros.h"
#include "proto/limits.h"
#include "rpc/call.h"
#include "rpc/peer.h"
#include "rpc/record.h"

/* Denials of one uid in one second that are told of. */
#define DENIED_PER_SECOND 5

/* The fields that every record of a call has. */
#define CALL_FIELDS(call)                                                                          \
        LOG_WORD("VMREQ_SYMBOL", (call)->symbol->def->name),                                       \
                LOG_NUMBER("VMREQ_REQUEST_ID", (call)->id),                                        \
                LOG_NUMBER("VMREQ_CALLER_UID", (call)->caller_uid),                                \
                LOG_NUMBER("VMREQ_CALLER_PID", (call)->caller_pid)

static unsigned long long id_of(const struct rpc_call *call)
{
        return call->id;
}

static bool changes_state(const struct rpc_call *call)
{
        return call->symbol->def->flags & VMREQ_SYM_CHANGES_STATE;
}

void rpc_audit_begin(const struct rpc_call *call)
{
        if (!changes_state(call))
                return;
        log_write(&(struct log_meta){.level = LOG_L_NOTICE,
                                     .kind = LOG_AUDIT,
                                     .id = LOG_ID_CALL,
                                     LOG_FIELDS(CALL_FIELDS(call))},
                  "%s called by uid %u, pid %d (request %llu)", call->symbol->def->name,
                  (unsigned)call->caller_uid, (int)call->caller_pid, id_of(call));
}

void rpc_audit_end(const struct rpc_call *call)
{
        const struct vmreq_row *row;

        if (!changes_state(call))
                return;
        row = rpc_record_row(call);
        log_write(
                &(struct log_meta){
                        .level = LOG_L_INFO,
                        .kind = LOG_AUDIT,
                        .id = LOG_ID_CALL,
                        LOG_FIELDS(CALL_FIELDS(call), LOG_NUMBER("VMREQ_CPU", (int32_t)row->cpu),
                                   LOG_WORD("VMREQ_FATE", vmreq_fate_name(row->fate)),
                                   LOG_NUMBER("VMREQ_STATUS", row->status),
                                   LOG_NUMBER("VMREQ_QUEUED_USEC", row->queued_ns / 1000),
                                   LOG_NUMBER("VMREQ_RUN_USEC", row->run_ns / 1000))},
                "%s (request %llu): %s, status %d", call->symbol->def->name, id_of(call),
                vmreq_fate_name(row->fate), row->status);
}

void rpc_audit_denied(struct rpc_peer *peer, const char *name, size_t len)
{
        struct rpc_server *server = peer->server;
        struct log_limit *limit =
                &server->denied_log[peer->identity.uid % ARRAY_SIZE(server->denied_log)];
        char text[PROTO_NAME_BYTES_MAX + 1];
        uint64_t missed;

        if (!log_limit_pass(limit, DENIED_PER_SECOND, clock_now_ns(), &missed))
                return;
        len = MIN(len, sizeof(text) - 1);
        memcpy(text, name, len);
        text[len] = 0;
        log_write(&(struct log_meta){.level = LOG_L_WARNING,
                                     .kind = LOG_AUDIT,
                                     .id = LOG_ID_DENIED,
                                     LOG_FIELDS(LOG_WORD("VMREQ_SYMBOL", text),
                                                LOG_NUMBER("VMREQ_CALLER_UID", peer->identity.uid),
                                                LOG_NUMBER("VMREQ_CALLER_PID", peer->identity.pid),
                                                LOG_NUMBER("VMREQ_SUPPRESSED", missed))},
                  "%s denied to uid %u, pid %d (%llu more were not logged)", text,
                  (unsigned)peer->identity.uid, (int)peer->identity.pid,
                  (unsigned long long)missed);
}

void rpc_audit_cancel(const struct rpc_call *call, const struct rpc_peer *peer)
{
        log_write(&(struct log_meta){.level = LOG_L_NOTICE,
                                     .kind = LOG_AUDIT,
                                     .id = LOG_ID_CANCEL,
                                     LOG_FIELDS(CALL_FIELDS(call),
                                                LOG_NUMBER("VMREQ_BY_UID", peer->identity.uid),
                                                LOG_NUMBER("VMREQ_BY_PID", peer->identity.pid))},
                  "%s (request %llu) of uid %u cancelled by uid %u, pid %d",
                  call->symbol->def->name, id_of(call), (unsigned)call->caller_uid,
                  (unsigned)peer->identity.uid, (int)peer->identity.pid);
}

void rpc_audit_left(const struct rpc_call *call)
{
        log_write(&(struct log_meta){.level = LOG_L_WARNING,
                                     .kind = LOG_AUDIT,
                                     .id = LOG_ID_LEFT,
                                     LOG_FIELDS(CALL_FIELDS(call))},
                  "still running at exit: %s, request %llu, called by uid %u, pid %d",
                  call->symbol->def->name, id_of(call), (unsigned)call->caller_uid,
                  (int)call->caller_pid);
}
