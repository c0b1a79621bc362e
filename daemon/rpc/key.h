/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Idempotency keys: who repeats a call of its uid under the same key, within limits.kept_ms of its
 * acceptance, gets what became of the first one, instead of having it run again.  Loop thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rpc/list.h"

struct rpc_call;
struct rpc_key;

TAILQ_HEAD(rpc_key_list, rpc_key);

struct rpc_keys {
        struct rpc_key *table;     /* hash by uid and key */
        struct rpc_key_list order; /* as accepted: the oldest goes first */
};

void rpc_keys_init(struct rpc_keys *keys);

enum rpc_key_result {
        RPC_KEY_NEW,    /* nobody has it: the call may begin */
        RPC_KEY_REPEAT, /* it is a repeat of *ret_first */
        RPC_KEY_OTHER,  /* it was given to another symbol, or other arguments */
};

/* `call` has its options, symbol and arguments, and has not begun. */
enum rpc_key_result rpc_key_look(struct rpc_keys *keys, uid_t uid, const struct rpc_call *call,
                                 struct rpc_call **ret_first);

/* It begins: it has the key of its options from now on, as call->key.  False: no memory. */
bool rpc_key_take(struct rpc_keys *keys, uid_t uid, struct rpc_call *call);
/* It has it no more: whoever comes with it begins anew.  Without a key nothing happens. */
void rpc_key_drop(struct rpc_keys *keys, struct rpc_call *call);

/* The call whose key is the oldest, and when it was taken; NULL. */
struct rpc_call *rpc_key_oldest(const struct rpc_keys *keys, uint64_t *ret_taken_ns);
/* About how many bytes a key of that length takes. */
uint64_t rpc_key_bytes(uint32_t key_len);
