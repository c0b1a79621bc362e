/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * May this identity do that?  No I/O, no clock; loop thread.
 *
 * The first rule that matches decides; if none does, the defaults of the protocol: root and the
 * daemon's own user everything (whatever the rules say); the group `vmreq` what is read-only and
 * not confidential, and the observing methods; others are only connected.
 *
 * What an identity may is worked out once for each symbol and kept as bits, shared by its
 * connections: a plain call then costs a test of bits.  New rules, and modules that come or go, are
 * noticed at the next question.  Whoever may not call a symbol is told that there is none.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rpc/identity.h"
#include "rpc/list.h"
#include "rpc/policy-rules.h"
#include "symbols/registry.h"

/* Who has it by default; every method of the broker's own is of one of the first three. */
#define RPC_RIGHT_CONNECTED 0x1u  /* hello, ping, symbols, describe, calls, own ids */
#define RPC_RIGHT_OBSERVE   0x2u  /* status, ps, why, stats, modules, topics */
#define RPC_RIGHT_CONTROL   0x4u  /* others' calls, load, unload */
#define RPC_RIGHT_READ      0x8u  /* symbols that are read-only and not confidential */
#define RPC_RIGHT_ALL       0x10u /* everything, and no rule is asked */

/* Identities without a connection that are remembered, so that a client that comes again and again
 * does not start from nothing. */
#define RPC_RIGHTS_IDLE_MAX 64u

struct rpc_rights;
TAILQ_HEAD(rpc_rights_list, rpc_rights);

/* What the host says. */
struct rpc_policy_host {
        uid_t daemon_uid;
        bool has_group; /* the group `vmreq` exists here */
        gid_t vmreq_group;
        struct rpc_overflow overflow;
};

struct rpc_policy {
        struct rpc_policy_host host;
        const char *vm_name; /* borrowed */
        uint32_t n_cpus;
        const struct sym_registry *registry; /* borrowed; NULL: nothing is kept */

        struct rpc_rules *rules; /* owned; NULL: none */
        uint64_t generation;     /* of host and rules */

        struct rpc_rights *by_identity; /* hash */
        struct rpc_rights_list idle;    /* nobody holds them; the oldest first */
        uint32_t n_idle;
};

/* Asks the host: own uid, the group's number, the overflow ids.  Reads files, looks a name up: may
 * block.  Any thread. */
void rpc_policy_host_read(struct rpc_policy_host *ret_host);

void rpc_policy_init(struct rpc_policy *policy, const struct rpc_policy_host *host,
                     const char *vm_name, uint32_t n_cpus, const struct sym_registry *registry);
/* Nobody holds rights any more. */
void rpc_policy_deinit(struct rpc_policy *policy);

/* From now on, also for those who hold rights already.  `rules` is consumed; NULL: none. */
void rpc_policy_replace(struct rpc_policy *policy, const struct rpc_policy_host *host,
                        struct rpc_rules *rules);

/* The default rights of an identity, a set of RPC_RIGHT_*. */
uint32_t rpc_policy_defaults(const struct rpc_policy *policy, const struct rpc_identity *identity);

/* Root and the daemon's user, who may everything, and for whom connections are kept. */
bool rpc_policy_is_privileged(const struct rpc_policy *policy, const struct rpc_identity *identity);

/*
 * The rights of an identity, shared by all that are equal to it but for the pid.  The identity's
 * groups are consumed, and point to those of the rights from then on; they are valid until
 * rpc_rights_put.  NULL: no memory, and nothing is consumed.
 */
struct rpc_rights *rpc_rights_get(struct rpc_policy *policy, struct rpc_identity *identity);
void rpc_rights_put(struct rpc_rights *rights);

/* What they have where no rule matches. */
uint32_t rpc_rights_defaults(struct rpc_rights *rights);

enum rpc_verdict {
        RPC_VERDICT_DENY = 1,
        RPC_VERDICT_ALLOW,
        RPC_VERDICT_LOOK, /* some calls of it: see rpc_policy_may_call_so */
};

/* One test of bits, but for the first time. */
enum rpc_verdict rpc_policy_verdict(struct rpc_rights *rights, const struct sym_symbol *symbol);

/* May they call it, somewhere, somehow?  Else it does not exist for them. */
bool rpc_policy_may_call(struct rpc_rights *rights, const struct sym_symbol *symbol);

/* After RPC_VERDICT_LOOK: may they call it with this destination (VMREQ_CPU_* or an id) and these
 * flags (VMREQ_*)? */
bool rpc_policy_may_call_so(struct rpc_rights *rights, const struct sym_symbol *symbol,
                            uint32_t cpu, uint32_t flags);

/*
 * May they use a method of the broker's own, `name`, which has the class `right` by default?
 * `slot` (below RPC_METHODS_MAX) is the method's own number: the answer is kept there.
 */
#define RPC_METHODS_MAX 64u
bool rpc_policy_may_use(struct rpc_rights *rights, unsigned slot, const char *name, uint32_t right);

/*
 * Why: what decides about `name` for an identity.  Steps in order; the last one matches every call.
 */
struct rpc_explanation {
        const struct rpc_rule *rule; /* NULL: the default */
        bool allow;
        bool conditional; /* its cpus or flags decide whether it matches */
};
/* `is_method`: one of the broker's own, of class `right`; else a symbol with `flags`
 * (VMREQ_SYM_*).  Calls `step` at least once. */
void rpc_policy_explain(const struct rpc_policy *policy, const struct rpc_identity *identity,
                        const char *name, bool is_method, uint32_t right, uint32_t flags,
                        void (*step)(void *ctx, const struct rpc_explanation *step), void *ctx);
