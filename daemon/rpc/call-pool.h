/* SPDX-License-Identifier: MIT */
#pragma once
/* Calls that were freed, for the next ones. */

#include <stdint.h>

struct rpc_call;

/* At most so many: as many as a few busy connections have in flight.  None where a sanitizer is to
 * find who uses a call that has gone. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RPC_CALLS_SPARE_MAX 0u
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define RPC_CALLS_SPARE_MAX 0u
#endif
#ifndef RPC_CALLS_SPARE_MAX
#define RPC_CALLS_SPARE_MAX 512u
#endif

struct rpc_call_pool {
        struct rpc_call *first; /* linked by bridge_next */
        uint32_t n;
};

/* Frees all but `n`. */
void rpc_call_pool_trim(struct rpc_call_pool *spare, uint32_t n);
