/* SPDX-License-Identifier: MIT */
#pragma once
/* Wire values → a symbol's arguments, and back.  Pure but for the memory of long arguments. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/builder.h"
#include "proto/codes.h"
#include "proto/limits.h"
#include "proto/value.h"
#include "symbols/registry.h"
#include "vm/vmreq.h"

#define RPC_ARGS_INLINE_BYTES 128

/* A call's arguments, owned: they outlive the frame that they came in. */
struct rpc_args {
        uint32_t n;
        bool words; /* which of the two below is meant */
        uint64_t word[PROTO_ARITY_MAX];
        struct vmreq_value value[PROTO_ARITY_MAX]; /* point into `bytes` */
        size_t n_bytes;
        uint8_t *bytes; /* inline_bytes, or allocated */
        uint8_t inline_bytes[RPC_ARGS_INLINE_BYTES];
};

/* No arguments yet. */
void rpc_args_init(struct rpc_args *args);
void rpc_args_deinit(struct rpc_args *args);

/*
 * Checks `args` (an array of positional arguments, an array of one map of named ones, or such a map
 * itself) against the signature, and fills *ret_args.  frame/frame_len/offset: where `args` stands
 * encoded, for parameters of type any, array and map.  PROTO_OK; INVALID_ARGUMENT with one line
 * that names the argument and what was expected; INTERNAL for lack of memory.
 */
enum proto_code rpc_marshal_args(const struct sym_symbol *symbol, const struct proto_value *args,
                                 const uint8_t *frame, size_t frame_len, size_t offset,
                                 struct rpc_args *ret_args, char *reterr_text, size_t size);

/* A word function's result. */
void rpc_marshal_word(struct proto_builder *builder, const struct vmreq_symbol *symbol,
                      uint64_t value);
