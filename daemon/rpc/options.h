/* SPDX-License-Identifier: MIT */
#pragma once
/* How a call is to be made: the options map of vmreq.call and vmreq.submit, over what the symbol
 * registers. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/codes.h"
#include "proto/value.h"
#include "symbols/registry.h"

struct rpc_options {
        uint32_t cpu;        /* vCPU number or VMREQ_CPU_* */
        uint32_t flags;      /* VMREQ_* of the engine */
        uint64_t timeout_ms; /* 0 = none */
        bool no_wait, timing;
        bool stream;     /* chunks and rows as they come */
        bool detach;     /* it does not end with its connection */
        const char *key; /* in the frame: valid while that is; NULL: none */
        uint32_t key_len;
};

/* Longest `key`, in bytes. */
#define RPC_KEY_BYTES_MAX 128u

/* What they are if the caller says nothing.  `timeout_ms` is the connection's or the server's
 * default. */
void rpc_options_init(struct rpc_options *options, const struct vmreq_symbol *symbol,
                      uint64_t timeout_ms);

/*
 * Reads the map (NULL or nil: nothing to read).  `cpus`: how many the VM has.  `submit`: options of
 * vmreq.submit are legal.  PROTO_OK, or the code to refuse with and one line in reterr_text.
 */
enum proto_code rpc_options_read(struct rpc_options *options, const struct proto_value *map,
                                 uint32_t cpus, bool submit, char *reterr_text, size_t size);

/* The symbol's cap of time limits: longer ones, and none at all, mean it.  0: there is no cap. */
void rpc_options_cap(struct rpc_options *options, uint32_t timeout_max_ms);
