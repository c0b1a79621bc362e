/* SPDX-License-Identifier: MIT */
#pragma once
/* Outcomes → wire: the only translation of the engine's statuses into the protocol's errors, and
 * the three styles in which an error can be written. */

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/codes.h"
#include "vm/vmreq.h"

struct rpc_peer;
struct rpc_call;
struct proto_builder;

#define RPC_ERROR_TEXT_MAX 2048
#define RPC_ERROR_DATA_MAX 8

/* An error as the protocol knows it.  Keys and strings in `data` are borrowed. */
struct rpc_error {
        enum proto_code code;
        enum proto_ran ran;
        char text[RPC_ERROR_TEXT_MAX];
        uint32_t n_data;
        struct {
                const char *key;
                const char *word; /* NULL: `number` */
                int64_t number;
        } data[RPC_ERROR_DATA_MAX];
};

void rpc_error_set(struct rpc_error *error, enum proto_code code, enum proto_ran ran,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
void rpc_error_vset(struct rpc_error *error, enum proto_code code, enum proto_ran ran,
                    const char *format, va_list args) __attribute__((format(printf, 4, 0)));
void rpc_error_add_word(struct rpc_error *error, const char *key, const char *word);
void rpc_error_add_number(struct rpc_error *error, const char *key, int64_t number);

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

/* What a finished call says: its result, its rows, or its error, to `peer` under `msgid`. */
void rpc_reply_call(struct rpc_peer *peer, uint32_t msgid, struct rpc_call *call);
