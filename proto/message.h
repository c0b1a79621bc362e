/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Value ⇄ msgpack-RPC message: request [0, msgid, method, params], response [1, msgid, error,
 * result], notification [2, method, params] (github.com/msgpack-rpc/msgpack-rpc, spec.md).
 * Tolerances that real clients need: method as str or bin, params nil as [].
 */

#include <stddef.h>
#include <stdint.h>

#include "proto/value.h"

struct proto_builder;

enum proto_message_type {
        PROTO_REQUEST = 0,
        PROTO_RESPONSE = 1,
        PROTO_NOTIFY = 2,
};

struct proto_message {
        enum proto_message_type type;
        uint32_t msgid;     /* request, response */
        const char *method; /* request, notification; not NUL-terminated */
        size_t method_len;
        const struct proto_value *params;         /* request, notification: always an array node */
        const struct proto_value *error, *result; /* response */
};

enum proto_message_result {
        PROTO_MESSAGE_OK = 0,
        PROTO_MESSAGE_E_TYPE,   /* the first element is not 0, 1 or 2 */
        PROTO_MESSAGE_E_ARITY,  /* not the number of elements that the type has */
        PROTO_MESSAGE_E_MSGID,  /* not an integer 0..2^32-1 */
        PROTO_MESSAGE_E_METHOD, /* neither str nor bin */
        PROTO_MESSAGE_E_PARAMS, /* neither array nor nil */
};

/* Reads a message out of a decoded tree; borrowed pointers live as long as the tree. */
enum proto_message_result proto_message_parse(const struct proto_value *root,
                                              struct proto_message *ret_message);

/* One clause on what is wrong and what was expected, for each result but OK. */
const char *proto_message_result_to_string(enum proto_message_result result);

/* Heads: the caller puts what is missing behind them. */
/* … then `n_params` values. */
void proto_put_request(struct proto_builder *builder, uint32_t msgid, const char *method,
                       size_t method_len, uint32_t n_params);
/* … then `n_params` values. */
void proto_put_notify(struct proto_builder *builder, const char *method, uint32_t n_params);
/* … then the error and the result, one of them nil. */
void proto_put_response(struct proto_builder *builder, uint32_t msgid);
