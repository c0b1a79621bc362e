/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the journal is told of strangers and their calls: who changed the state of the VM and what
 * came of it, who was refused what, who ended somebody else's call.  Never arguments, never
 * results.  Loop thread.
 */

#include <stddef.h>

struct rpc_call;
struct rpc_peer;
struct rpc_server;

/* A call was accepted; told of those whose symbol changes state. */
void rpc_audit_begin(const struct rpc_call *call);
/* It has its fate. */
void rpc_audit_end(const struct rpc_call *call);

/* The policy does not let the peer call what is named so.  At most some a second for each uid, so
 * that one that floods hides nobody else's. */
void rpc_audit_denied(struct rpc_peer *peer, const char *name, size_t len);

/* `peer` cancels a call of somebody else's. */
void rpc_audit_cancel(const struct rpc_call *call, const struct rpc_peer *peer);

/* It still runs, and the daemon leaves. */
void rpc_audit_left(const struct rpc_call *call);
