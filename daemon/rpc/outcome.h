/* SPDX-License-Identifier: MIT */
#pragma once
/* What became of a finished call: a value, or an error.  Loop thread. */

#include <stdbool.h>
#include <stddef.h>

#include "proto/builder.h"
#include "rpc/error.h"
#include "vm/vmreq.h"

struct rpc_call;

/* True: it failed, and *ret_error says how.  False: there is a value (of a broadcast: always). */
bool rpc_outcome_failed(struct rpc_call *call, struct rpc_error *ret_error);
/* Its result was over the account's share of bytes, and is lost. */
void rpc_outcome_set_dropped(struct rpc_error *error, const struct rpc_call *call);
/* About how many bytes its value takes: what is worth knowing before it is copied. */
size_t rpc_outcome_size(const struct rpc_call *call);
/* The value: the result, {value, cpu, queued_us, run_us} if `timing` was asked for, or the rows. */
void rpc_outcome_put(struct proto_builder *out, const struct rpc_call *call);

/* One final row of a broadcast: {cpu, fate, status, value, queued_us, run_us}, and `error` where
 * something failed and said so. */
void rpc_outcome_put_row(struct proto_builder *out, const struct rpc_call *call,
                         const struct vmreq_row *row);
size_t rpc_outcome_row_size(const struct rpc_call *call, const struct vmreq_row *row);
