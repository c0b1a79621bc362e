/* SPDX-License-Identifier: MIT */
#pragma once
/* Answers → the output of a connection.  Loop thread. */

#include <stdbool.h>
#include <stdint.h>

#include "rpc/error.h"

struct rpc_peer;
struct rpc_call;

/* Who is told what became of a call, and how. */
struct rpc_addressee {
        struct rpc_peer *peer;
        bool completed; /* vmreq.completed [id, error, result]; else a response to msgid */
        uint32_t msgid;
        uint64_t id;
};

/* One response with that error.  The peer may be closing; then nothing happens. */
void rpc_reply_error_full(struct rpc_peer *peer, uint32_t msgid, const struct rpc_error *error);
/* The same for an error without data. */
void rpc_reply_error(struct rpc_peer *peer, uint32_t msgid, enum proto_code code,
                     enum proto_ran ran, const char *format, ...)
        __attribute__((format(printf, 5, 6)));

/*
 * A response with a result: begin, put the result into the returned builder, end.  If what was put
 * does not fit, end answers with TOO_LARGE or BUSY instead; `ran` is what these then say.
 */
struct proto_builder *rpc_reply_begin(struct rpc_peer *peer, uint32_t msgid, size_t *ret_mark);
void rpc_reply_end(struct rpc_peer *peer, uint32_t msgid, size_t mark, enum proto_ran ran);

/* What a finished call says: its result, its rows, or its error. */
void rpc_reply_call(const struct rpc_addressee *to, struct rpc_call *call);

/*
 * A notification, [2, method, [...]]: begin, put the parameters as one array into the returned
 * builder, end.  False: it was rolled back, because it is larger than a frame may be, or this peer
 * may not have more bytes held for it (*ret_full, NULL allowed).
 */
struct proto_builder *rpc_notify_begin(struct rpc_peer *peer, const char *method, size_t *ret_mark);
bool rpc_notify_end(struct rpc_peer *peer, size_t mark, bool *ret_full);
