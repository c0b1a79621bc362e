/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * May this identity do that?  Pure: no I/O, no clock.  The rights of an identity are compiled once,
 * when it connects; a call then costs a test of bits.  Whoever may not call a symbol is told that
 * there is none.
 *
 * The rules are the defaults of the protocol: root and the daemon's own user everything; the group
 * `vmreq` what is read-only and not confidential, and the observing methods; others are only
 * connected.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rpc/identity.h"
#include "symbols/registry.h"

#define RPC_RIGHT_CONNECTED 0x1u  /* hello, ping, symbols, describe, calls, own ids */
#define RPC_RIGHT_OBSERVE   0x2u  /* status, ps, why, stats, modules, topics */
#define RPC_RIGHT_CONTROL   0x4u  /* others' calls, load, unload */
#define RPC_RIGHT_READ      0x8u  /* symbols that are read-only and not confidential */
#define RPC_RIGHT_ALL       0x10u /* every symbol */

struct rpc_policy {
        uid_t daemon_uid;
        bool has_group; /* the group exists on this host */
        gid_t vmreq_group;
        uid_t overflow_uid; /* credentials equal to these match no rule */
        gid_t overflow_gid;
};

/* Fills in what the host says: own uid, the group's number, the overflow ids. */
void rpc_policy_init(struct rpc_policy *policy);

/* The rights of an identity, a set of RPC_RIGHT_*. */
uint32_t rpc_policy_rights(const struct rpc_policy *policy, const struct rpc_identity *identity);

/* May somebody with these rights call it? */
bool rpc_policy_may_call(uint32_t rights, const struct sym_symbol *symbol);
