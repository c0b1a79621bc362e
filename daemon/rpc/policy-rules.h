/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The rules of a policy, in the order in which they are asked: the first that matches decides.  A
 * list of rules is built once, by whoever reads the files, and fixed from then on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rpc/identity.h"
#include "vm/vmreq.h"

/* Bounds of one policy: whoever may write the files may be wrong too. */
#define RPC_RULES_MAX      1024  /* rules in all */
#define RPC_RULE_ITEMS_MAX 16384 /* items of all lists of all rules */
#define RPC_RULE_NAME_MAX  48    /* with its NUL */

/* A set of vCPUs. */
#define RPC_CPU_WORDS (VMREQ_CPUS_MAX / 64)
struct rpc_cpu_set {
        uint64_t word[RPC_CPU_WORDS];
};

enum rpc_subject_kind { RPC_SUBJECT_UID, RPC_SUBJECT_GID };

struct rpc_subject {
        enum rpc_subject_kind kind;
        uint32_t id;
};

struct rpc_texts {
        char **items; /* owned, and what they point to */
        uint32_t n;
};

/* An empty list, has_cpus and has_flags being false, match all. */
struct rpc_rule {
        char name[RPC_RULE_NAME_MAX];
        const char *file; /* owned by the list */
        unsigned line;    /* of its section header */
        bool has_action, allow;
        struct rpc_texts vms;     /* globs */
        struct rpc_texts symbols; /* globs */
        struct rpc_subject *subjects;
        uint32_t n_subjects;
        bool has_cpus, has_flags;
        struct rpc_cpu_set cpus;
        uint32_t flags; /* of VMREQ_PRIORITY, VMREQ_POKE */
};

struct rpc_rules {
        struct rpc_rule *rule;
        uint32_t n;
        uint32_t n_items;
        struct rpc_texts files;
};

/* NULL: no memory. */
struct rpc_rules *rpc_rules_new(void);
/* NULL is legal.  Returns NULL. */
struct rpc_rules *rpc_rules_free(struct rpc_rules *rules);

/* The file that the rules added from now on stand in.  False: no memory. */
bool rpc_rules_begin_file(struct rpc_rules *rules, const char *file);

/* The adders below return NULL, or what is wrong: a bound, or no memory. */

/* A new rule, with `name` (shorter than RPC_RULE_NAME_MAX), at `line` of the present file; later
 * adders fill it. */
const char *rpc_rules_add(struct rpc_rules *rules, const char *name, unsigned line);
/* To the last rule. */
const char *rpc_rules_add_vm(struct rpc_rules *rules, const char *glob);
const char *rpc_rules_add_symbol(struct rpc_rules *rules, const char *glob);
const char *rpc_rules_add_subject(struct rpc_rules *rules, enum rpc_subject_kind kind, uint32_t id);
/* vCPUs first..last, both below VMREQ_CPUS_MAX. */
void rpc_rules_add_cpus(struct rpc_rules *rules, uint32_t first, uint32_t last);
void rpc_rules_add_flag(struct rpc_rules *rules, uint32_t flag);
void rpc_rules_set_action(struct rpc_rules *rules, bool allow);

/* The last rule; NULL if there is none. */
struct rpc_rule *rpc_rules_last(struct rpc_rules *rules);
/* The rule of that name; NULL. */
const struct rpc_rule *rpc_rules_find(const struct rpc_rules *rules, const char *name);

/* ---- matching: one key each ---- */

bool rpc_rule_is_for_vm(const struct rpc_rule *rule, const char *vm_name);
bool rpc_rule_is_for_symbol(const struct rpc_rule *rule, const char *name);

/* Ids that the kernel shows for whoever could not be mapped into our user namespace. */
struct rpc_overflow {
        uid_t uid;
        gid_t gid;
};

/*
 * Is the identity one of the rule's subjects?  Credentials equal to the overflow ids are nobody in
 * particular: they match no rule that allows.  What is denied is denied to them too.
 */
bool rpc_rule_is_for_identity(const struct rpc_rule *rule, const struct rpc_identity *identity,
                              const struct rpc_overflow *overflow);

/* The vCPUs that may run a call with destination `cpu` (VMREQ_CPU_* or an id below `n_cpus`). */
struct rpc_cpu_set rpc_cpu_set_of(uint32_t cpu, uint32_t n_cpus);

/*
 * Do cpus and flags of the rule match a call?  Allowing takes all vCPUs that may run it, and all
 * flags that it uses; denying takes any.
 */
bool rpc_rule_is_for_call(const struct rpc_rule *rule, const struct rpc_cpu_set *may_run,
                          uint32_t flags);
/* Flags alone. */
bool rpc_rule_is_for_flags(const struct rpc_rule *rule, uint32_t flags);

/* Can the answer of rpc_rule_is_for_call depend on the call, on a VM of `n_cpus`?  If not,
 * *ret_matches is that answer for every call. */
bool rpc_rule_looks_at_call(const struct rpc_rule *rule, uint32_t n_cpus, bool *ret_matches);
