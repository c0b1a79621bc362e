/* SPDX-License-Identifier: MIT */
#pragma once
/* Of the target "policy": vmreqd.policy(5), read and decided a second time, as plainly as it goes.
 */

#include "fuzz.h"
#include "rpc/policy.h"

/* As many as fit into an input: a rule takes 9 bytes at least, an item 5. */
#define REFERENCE_RULES_MAX 1024u
#define REFERENCE_ITEMS_MAX 4096u
#define REFERENCE_FILES_MAX 3u

struct reference_item {
        enum {
                REFERENCE_VM,
                REFERENCE_SYMBOL,
                REFERENCE_UID,
                REFERENCE_GID,
                REFERENCE_CPUS,
                REFERENCE_FLAG,
        } kind;
        char text[192];
        uint32_t first, last; /* ids and flags: first */
};

struct reference_rule {
        char name[64];
        unsigned file, line;
        bool has_action, allow;
        size_t item, n_items; /* its items, a run of them */
};

struct reference {
        struct reference_rule rules[REFERENCE_RULES_MAX];
        struct reference_item items[REFERENCE_ITEMS_MAX];
        size_t n_rules, n_items;
        unsigned file;
};

/* Users and groups that there are, for both readers.  0, or an errno. */
int reference_look_up(const char *name, bool is_group, size_t buffer_bytes, uint32_t *ret_id);

/* One file.  0: taken; else the first line that is wrong. */
unsigned reference_read(struct reference *reference, const char *text, size_t len);

/* One question. */
struct reference_question {
        const struct rpc_policy_host *host;
        const char *vm_name;
        uint32_t n_cpus;
        const struct rpc_identity *identity;
        const char *name;
        bool is_method;
        uint32_t right;      /* of a method: its class */
        uint32_t sym_flags;  /* of a symbol: VMREQ_SYM_* */
        uint32_t cpu, flags; /* of a call */
};
bool reference_may(const struct reference *reference, const struct reference_question *question);
