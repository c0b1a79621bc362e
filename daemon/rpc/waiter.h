/* SPDX-License-Identifier: MIT */
#pragma once
/* Clients that wait for a submitted call (vmreq.wait).  Loop thread. */

#include <stdint.h>

struct rpc_call;
struct rpc_peer;
struct rpc_error;

/* `peer` waits for `call` under `msgid`.  Answers at once if the call has ended or wait_ms is 0;
 * else when it ends, or after wait_ms (UINT64_MAX: no limit).  A wait counts as a call of the peer,
 * unless it is answered at once. */
void rpc_waiter_add(struct rpc_call *call, struct rpc_peer *peer, uint32_t msgid, uint64_t wait_ms);

/* Answers all who wait for it: with its result, or with `error`. */
void rpc_waiters_answer(struct rpc_call *call, const struct rpc_error *error);

/* The peer goes: it waits for nothing any more. */
void rpc_waiters_forget(struct rpc_peer *peer);
