/* SPDX-License-Identifier: MIT */
/*
 * The table of idempotency keys.  One hash for all uids; each entry is a call's, and counted in its
 * uid's account (RPC_KEPT), which is what bounds the table.
 *
 * Of the arguments, 128 bits of hash are kept: of what the function would get, not of the bytes on
 * the wire, so that the same call by position and by name is the same.  Whoever made two argument
 * lists collide would deceive its own uid only.
 */
#include "rpc/key.h"

#include <stdlib.h>
#include <string.h>

/* Without this it would end the process for lack of memory. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/clock.h"
#include "rpc/call.h"

struct rpc_key {
        UT_hash_handle hh;
        TAILQ_ENTRY(rpc_key) link;
        struct rpc_call *call;
        uint64_t taken_ns;
        XXH128_hash_t of; /* symbol and arguments */
        uint32_t len;     /* of name */
        char name[];      /* uid, then the key */
};

struct name {
        uint32_t len;
        char bytes[sizeof(uid_t) + RPC_KEY_BYTES_MAX];
};

void rpc_keys_init(struct rpc_keys *keys)
{
        keys->table = NULL;
        TAILQ_INIT(&keys->order);
}

static struct name name_of(uid_t uid, const struct rpc_call *call)
{
        struct name name = {.len = (uint32_t)sizeof(uid) + call->options.key_len};

        memcpy(name.bytes, &uid, sizeof(uid));
        memcpy(name.bytes + sizeof(uid), call->options.key, call->options.key_len);
        return name;
}

static void add_value(XXH3_state_t *state, const struct vmreq_value *value)
{
        bool has_data = value->type >= VMREQ_T_STR; /* STR, BYTES, ANY, ARRAY, MAP */
        uint64_t head[2] = {value->type, has_data ? value->len : value->u};

        (void)XXH3_128bits_update(state, head, sizeof(head));
        if (has_data && value->len)
                (void)XXH3_128bits_update(state, value->data, value->len);
}

static XXH128_hash_t hash_of(const struct rpc_call *call)
{
        const struct rpc_args *args = &call->args;
        XXH3_state_t state;

        (void)XXH3_128bits_reset(&state);
        (void)XXH3_128bits_update(&state, call->symbol->def->name, call->symbol->name_len + 1);
        if (args->words)
                (void)XXH3_128bits_update(&state, args->word, args->n * sizeof(args->word[0]));
        for (uint32_t i = 0; !args->words && i < args->n; i++)
                add_value(&state, &args->value[i]);
        return XXH3_128bits_digest(&state);
}

enum rpc_key_result rpc_key_look(struct rpc_keys *keys, uid_t uid, const struct rpc_call *call,
                                 struct rpc_call **ret_first)
{
        struct name name = name_of(uid, call);
        struct rpc_key *found;

        HASH_FIND(hh, keys->table, name.bytes, name.len, found);
        if (!found)
                return RPC_KEY_NEW;
        *ret_first = found->call;
        return XXH128_isEqual(found->of, hash_of(call)) ? RPC_KEY_REPEAT : RPC_KEY_OTHER;
}

bool rpc_key_take(struct rpc_keys *keys, uid_t uid, struct rpc_call *call)
{
        struct name name = name_of(uid, call);
        struct rpc_key *key = calloc(1, sizeof(*key) + name.len);

        if (!key)
                return false;
        key->call = call;
        key->taken_ns = clock_now_ns();
        key->of = hash_of(call);
        key->len = name.len;
        memcpy(key->name, name.bytes, name.len);
        HASH_ADD_KEYPTR(hh, keys->table, key->name, key->len, key);
        if (!key->hh.tbl) { /* no memory for the table */
                free(key);
                return false;
        }
        TAILQ_INSERT_TAIL(&keys->order, key, link);
        call->key = key;
        return true;
}

void rpc_key_drop(struct rpc_keys *keys, struct rpc_call *call)
{
        struct rpc_key *key = call->key;

        if (!key)
                return;
        call->key = NULL;
        HASH_DEL(keys->table, key);
        TAILQ_REMOVE(&keys->order, key, link);
        free(key);
}

struct rpc_call *rpc_key_oldest(const struct rpc_keys *keys, uint64_t *ret_taken_ns)
{
        const struct rpc_key *key = TAILQ_FIRST(&keys->order);

        *ret_taken_ns = key ? key->taken_ns : UINT64_MAX;
        return key ? key->call : NULL;
}

uint64_t rpc_key_bytes(uint32_t key_len)
{
        return sizeof(struct rpc_key) + sizeof(uid_t) + key_len;
}
