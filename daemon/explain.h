/* SPDX-License-Identifier: MIT */
#pragma once
/* --explain-policy: what decides whether somebody may call something, in words. */

#include <stdbool.h>
#include <stdio.h>

#include "config.h"
#include "rpc/policy.h"

/* Who asks, with all groups: `user` is a name, or a uid in digits.  False: there is none. */
bool explain_identity(const char *user, const struct rpc_policy_host *host,
                      struct rpc_identity *ret_identity);

/* Is that a method of the broker's own, or what a symbol can be called? */
bool explain_is_name(const char *name);

/*
 * Writes a line for each name in the rules, patterns apart, that no method has and no symbol can
 * have: such a rule allows or denies less than its writer means.
 */
void explain_dead_names(const struct rpc_rules *rules, FILE *out);

/*
 * Does what decides about `symbol` depend on how its module has marked it?  If not, the answer can
 * be given without the module.
 */
bool explain_needs_flags(const struct rpc_policy *policy, const struct rpc_identity *identity,
                         const char *symbol);

struct explain_question {
        const struct rpc_policy *policy;
        const struct config *config;
        const struct rpc_identity *identity;
        const char *user, *symbol;
        uint32_t flags;   /* of the symbol (VMREQ_SYM_*), where explain_needs_flags … */
        bool flags_known; /* … says so, and a module has it */
};

/* Writes the answer: allowed, denied or depends, then each rule that has to do with it. */
void explain_write(const struct explain_question *question, FILE *out);
