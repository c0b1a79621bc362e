/* SPDX-License-Identifier: MIT */
#pragma once
/* What a client is told when a bound is reached: which one, how far, and what keeps it there. */

#include "rpc/quota.h"
#include "rpc/reply.h"

struct rpc_call;

/* An account's bound. */
void rpc_busy_account(struct rpc_error *error, enum rpc_resource resource,
                      const struct rpc_account *over);
/* The account's bound of calls that are kept: also when one of them will go, where that is known.
 */
void rpc_busy_kept(struct rpc_error *error, const struct rpc_call *call,
                   const struct rpc_account *over);
/* The engine refused `call` with BUSY: its slab or a lane is full. */
void rpc_busy_engine(struct rpc_error *error, struct rpc_call *call);
