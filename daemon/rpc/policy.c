/* SPDX-License-Identifier: MIT */
/*
 * From rules and an identity to an answer.
 *
 * Rights are worked out when they are first asked for, symbol by symbol, and kept: two bits each,
 * 0 for "not yet asked".  Working all of them out when a client connects, or for everybody when the
 * rules change, would let one connection or one reload cost the loop symbols × rules × identities.
 * What was kept is dropped when `stamp` is not the policy's and the symbol table's any more; both
 * parts of it only grow, so that one comparison tells.
 *
 * Invariants:
 *   1. Rights are in the hash exactly once, and on the idle list exactly if nobody holds them.
 *   2. An index into the policy's rules is used only while the stamp is the present one.
 *   3. Without memory nobody is let in: an identity whose rules cannot be kept may nothing.
 */
#include "rpc/policy.h"

#include <assert.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Without this it would end the process for lack of memory. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/check.h"
#include "base/macros.h"

#define OVERFLOW_ID_DEFAULT 65534u

#define EVERYTHING                                                                                 \
        (RPC_RIGHT_CONNECTED | RPC_RIGHT_OBSERVE | RPC_RIGHT_CONTROL | RPC_RIGHT_READ |            \
         RPC_RIGHT_ALL)

struct rpc_rights {
        struct rpc_policy *policy;
        struct rpc_identity identity; /* its groups stand in `key` */
        uint32_t *key;                /* uid, gid, groups */
        uint32_t n_holders;
        UT_hash_handle hh;
        TAILQ_ENTRY(rpc_rights) idle_link;

        /* of `stamp`; dropped when that is over */
        uint64_t stamp;
        uint32_t defaults;
        uint16_t *rules; /* of the policy's, those that are for this VM and this identity */
        uint32_t n_rules;
        uint8_t *verdicts; /* two bits a symbol */
        size_t n_symbols;
        uint64_t methods_known, methods_may; /* a bit a slot */
};

static_assert(RPC_RULES_MAX <= UINT16_MAX, "an index of a rule fits");
static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are kept as key words");

/* ---- the host ---- */

static unsigned read_number(const char *path, unsigned fallback)
{
        FILE *file = fopen(path, "re");
        unsigned value = fallback;

        if (file) {
                if (fscanf(file, "%u", &value) != 1)
                        value = fallback;
                (void)fclose(file);
        }
        return value;
}

void rpc_policy_host_read(struct rpc_policy_host *ret_host)
{
        struct group entry, *found = NULL;
        char buffer[16384];

        ret_host->daemon_uid = geteuid();
        ret_host->has_group =
                getgrnam_r("vmreq", &entry, buffer, sizeof(buffer), &found) == 0 && found;
        ret_host->vmreq_group = ret_host->has_group ? entry.gr_gid : 0;
        ret_host->overflow.uid = read_number("/proc/sys/kernel/overflowuid", OVERFLOW_ID_DEFAULT);
        ret_host->overflow.gid = read_number("/proc/sys/kernel/overflowgid", OVERFLOW_ID_DEFAULT);
}

bool rpc_policy_is_privileged(const struct rpc_policy *policy, const struct rpc_identity *identity)
{
        /* Whoever could not be mapped into our user namespace is nobody in particular, also where
         * the daemon itself is such a one. */
        return identity->uid != policy->host.overflow.uid &&
               (identity->uid == 0 || identity->uid == policy->host.daemon_uid);
}

uint32_t rpc_policy_defaults(const struct rpc_policy *policy, const struct rpc_identity *identity)
{
        const struct rpc_policy_host *host = &policy->host;

        if (rpc_policy_is_privileged(policy, identity))
                return EVERYTHING;
        if (identity->uid != host->overflow.uid && host->has_group &&
            host->vmreq_group != host->overflow.gid &&
            rpc_identity_in_group(identity, host->vmreq_group))
                return RPC_RIGHT_CONNECTED | RPC_RIGHT_OBSERVE | RPC_RIGHT_READ;
        return RPC_RIGHT_CONNECTED;
}

/* ---- life of the policy ---- */

void rpc_policy_init(struct rpc_policy *policy, const struct rpc_policy_host *host,
                     const char *vm_name, uint32_t n_cpus, const struct sym_registry *registry)
{
        *policy = (struct rpc_policy){
                .host = *host, .vm_name = vm_name, .n_cpus = n_cpus, .registry = registry};
        TAILQ_INIT(&policy->idle);
}

void rpc_policy_replace(struct rpc_policy *policy, const struct rpc_policy_host *host,
                        struct rpc_rules *rules)
{
        (void)rpc_rules_free(policy->rules);
        policy->rules = rules;
        policy->host = *host;
        policy->generation++;
}

/* ---- life of rights ---- */

static void rights_free(struct rpc_rights *rights)
{
        free(rights->key);
        free(rights->rules);
        free(rights->verdicts);
        free(rights);
}

static void drop_oldest_idle(struct rpc_policy *policy)
{
        struct rpc_rights *rights = TAILQ_FIRST(&policy->idle);

        TAILQ_REMOVE(&policy->idle, rights, idle_link);
        policy->n_idle--;
        HASH_DEL(policy->by_identity, rights);
        rights_free(rights);
}

void rpc_policy_deinit(struct rpc_policy *policy)
{
        while (!TAILQ_EMPTY(&policy->idle))
                drop_oldest_idle(policy);
        CHECK(!policy->by_identity);
        policy->rules = rpc_rules_free(policy->rules);
}

static size_t key_bytes(const struct rpc_identity *identity)
{
        return (2 + (size_t)identity->n_groups) * sizeof(uint32_t);
}

static uint32_t *key_of(const struct rpc_identity *identity)
{
        uint32_t *key = malloc(key_bytes(identity));

        if (!key)
                return NULL;
        key[0] = identity->uid;
        key[1] = identity->gid;
        if (identity->n_groups)
                memcpy(key + 2, identity->groups, identity->n_groups * sizeof(*key));
        return key;
}

/* `key` is consumed on success. */
static struct rpc_rights *rights_new(struct rpc_policy *policy, const struct rpc_identity *identity,
                                     uint32_t *key)
{
        struct rpc_rights *rights = calloc(1, sizeof(*rights));

        if (!rights)
                return NULL;
        rights->policy = policy;
        rights->identity = *identity;
        rights->identity.pid = 0;
        rights->identity.groups = key + 2;
        rights->stamp = UINT64_MAX;
        rights->key = key;
        HASH_ADD_KEYPTR(hh, policy->by_identity, key, key_bytes(identity), rights);
        if (!rights->hh.tbl) { /* no memory for the table */
                free(rights);
                return NULL;
        }
        return rights;
}

struct rpc_rights *rpc_rights_get(struct rpc_policy *policy, struct rpc_identity *identity)
{
        uint32_t *key = key_of(identity);
        struct rpc_rights *rights;

        if (!key)
                return NULL;
        HASH_FIND(hh, policy->by_identity, key, key_bytes(identity), rights);
        if (rights) {
                free(key);
                if (rights->n_holders == 0) {
                        TAILQ_REMOVE(&policy->idle, rights, idle_link);
                        policy->n_idle--;
                }
        } else {
                rights = rights_new(policy, identity, key);
                if (!rights) {
                        free(key);
                        return NULL;
                }
        }
        rights->n_holders++;
        free(identity->groups);
        identity->groups = rights->identity.groups;
        return rights;
}

void rpc_rights_put(struct rpc_rights *rights)
{
        struct rpc_policy *policy = rights->policy;

        CHECK(rights->n_holders > 0);
        if (--rights->n_holders)
                return;
        TAILQ_INSERT_TAIL(&policy->idle, rights, idle_link);
        if (++policy->n_idle > RPC_RIGHTS_IDLE_MAX)
                drop_oldest_idle(policy);
}

/* ---- which rules are for an identity ---- */

static const struct rpc_rule *rule_for(const struct rpc_policy *policy, uint32_t i,
                                       const struct rpc_identity *identity)
{
        const struct rpc_rule *rule = &policy->rules->rule[i];
        bool matches;

        if (!rpc_rule_is_for_vm(rule, policy->vm_name) ||
            !rpc_rule_is_for_identity(rule, identity, &policy->host.overflow))
                return NULL;
        return rpc_rule_looks_at_call(rule, policy->n_cpus, &matches) || matches ? rule : NULL;
}

static uint64_t present_stamp(const struct rpc_policy *policy)
{
        return policy->generation +
               (policy->registry ? sym_registry_generation(policy->registry) : 0);
}

/* False: no memory, and the stamp says that it is still to be done. */
static bool refresh(struct rpc_rights *rights, uint64_t stamp)
{
        const struct rpc_policy *policy = rights->policy;
        uint32_t n = policy->rules ? policy->rules->n : 0;
        size_t n_symbols = 0;
        uint16_t *rules = calloc((size_t)n + 1, sizeof(*rules));
        uint8_t *verdicts;

        if (policy->registry)
                (void)sym_registry_list(policy->registry, &n_symbols);
        verdicts = calloc(n_symbols / 4 + 1, 1);
        if (!rules || !verdicts) {
                free(rules);
                free(verdicts);
                return false;
        }
        free(rights->rules);
        free(rights->verdicts);
        rights->rules = rules;
        rights->n_rules = 0;
        for (uint32_t i = 0; i < n; i++)
                if (rule_for(policy, i, &rights->identity))
                        rules[rights->n_rules++] = (uint16_t)i;
        rights->verdicts = verdicts;
        rights->n_symbols = n_symbols;
        rights->methods_known = rights->methods_may = 0;
        rights->stamp = stamp;
        return true;
}

static bool is_fresh(struct rpc_rights *rights)
{
        uint64_t stamp = present_stamp(rights->policy);

        if (rights->stamp == stamp)
                return true;
        rights->defaults = rpc_policy_defaults(rights->policy, &rights->identity);
        if (!(rights->defaults & RPC_RIGHT_ALL))
                return refresh(rights, stamp);
        rights->stamp = stamp;
        return true;
}

uint32_t rpc_rights_defaults(struct rpc_rights *rights)
{
        (void)is_fresh(rights); /* sets them in any case */
        return rights->defaults;
}

/* ---- symbols ---- */

static bool default_for_symbol(uint32_t defaults, uint32_t flags)
{
        return (defaults & RPC_RIGHT_ALL) ||
               ((defaults & RPC_RIGHT_READ) && (flags & VMREQ_SYM_READ_ONLY) &&
                !(flags & VMREQ_SYM_CONFIDENTIAL));
}

/*
 * Every way in which a symbol can be called, as far as no rule has decided about it: on one vCPU,
 * or on whichever or all of them, with each set of flags.
 */
#define N_FLAG_SETS 4u
static const uint32_t flag_sets[N_FLAG_SETS] = {0, VMREQ_PRIORITY, VMREQ_POKE,
                                                VMREQ_PRIORITY | VMREQ_POKE};

struct ways {
        struct rpc_cpu_set one[N_FLAG_SETS];
        bool several[N_FLAG_SETS];
};

/* Takes those ways out that the rule decides about.  True: there were some. */
static bool decide_ways(struct ways *ways, const struct rpc_rule *rule,
                        const struct rpc_cpu_set *all)
{
        bool any = false;

        for (unsigned f = 0; f < N_FLAG_SETS; f++) {
                if (!rpc_rule_is_for_flags(rule, flag_sets[f]))
                        continue;
                for (size_t i = 0; i < RPC_CPU_WORDS; i++) {
                        uint64_t mask = rule->has_cpus ? rule->cpus.word[i] : UINT64_MAX;

                        any |= (ways->one[f].word[i] & mask) != 0;
                        ways->one[f].word[i] &= ~mask;
                }
                if (ways->several[f] && rpc_rule_is_for_call(rule, all, flag_sets[f])) {
                        any = true;
                        ways->several[f] = false;
                }
        }
        return any;
}

static bool some_undecided(const struct ways *ways)
{
        for (unsigned f = 0; f < N_FLAG_SETS; f++) {
                if (ways->several[f])
                        return true;
                for (size_t i = 0; i < RPC_CPU_WORDS; i++)
                        if (ways->one[f].word[i])
                                return true;
        }
        return false;
}

static enum rpc_verdict judge(const struct rpc_rights *rights, const struct sym_symbol *symbol)
{
        const struct rpc_policy *policy = rights->policy;
        struct rpc_cpu_set all = rpc_cpu_set_of(VMREQ_CPU_ALL, policy->n_cpus);
        bool allowed = false, denied = false;
        struct ways ways;

        for (unsigned f = 0; f < N_FLAG_SETS; f++) {
                ways.one[f] = all;
                ways.several[f] = true;
        }
        for (uint32_t i = 0; i < rights->n_rules && some_undecided(&ways); i++) {
                const struct rpc_rule *rule = &policy->rules->rule[rights->rules[i]];

                if (!rpc_rule_is_for_symbol(rule, symbol->def->name) ||
                    !decide_ways(&ways, rule, &all))
                        continue;
                allowed |= rule->allow;
                denied |= !rule->allow;
        }
        if (some_undecided(&ways)) {
                bool allow = default_for_symbol(rights->defaults, symbol->def->flags);

                allowed |= allow;
                denied |= !allow;
        }
        if (allowed && denied)
                return RPC_VERDICT_LOOK;
        return allowed ? RPC_VERDICT_ALLOW : RPC_VERDICT_DENY;
}

enum rpc_verdict rpc_policy_verdict(struct rpc_rights *rights, const struct sym_symbol *symbol)
{
        size_t at = symbol->index / 4;
        unsigned shift = symbol->index % 4 * 2, known;
        enum rpc_verdict verdict;

        if (!is_fresh(rights))
                return RPC_VERDICT_DENY; /* no memory */
        if (rights->defaults & RPC_RIGHT_ALL)
                return RPC_VERDICT_ALLOW;
        if (symbol->index >= rights->n_symbols)
                return judge(rights, symbol);
        known = rights->verdicts[at] >> shift & 3u;
        if (known)
                return (enum rpc_verdict)known;
        verdict = judge(rights, symbol);
        rights->verdicts[at] |= (uint8_t)((unsigned)verdict << shift);
        return verdict;
}

bool rpc_policy_may_call(struct rpc_rights *rights, const struct sym_symbol *symbol)
{
        return rpc_policy_verdict(rights, symbol) != RPC_VERDICT_DENY;
}

bool rpc_policy_may_call_so(struct rpc_rights *rights, const struct sym_symbol *symbol,
                            uint32_t cpu, uint32_t flags)
{
        const struct rpc_policy *policy = rights->policy;
        struct rpc_cpu_set may_run = rpc_cpu_set_of(cpu, policy->n_cpus);

        if (!is_fresh(rights))
                return false;
        if (rights->defaults & RPC_RIGHT_ALL)
                return true;
        for (uint32_t i = 0; i < rights->n_rules; i++) {
                const struct rpc_rule *rule = &policy->rules->rule[rights->rules[i]];

                if (rpc_rule_is_for_call(rule, &may_run, flags) &&
                    rpc_rule_is_for_symbol(rule, symbol->def->name))
                        return rule->allow;
        }
        return default_for_symbol(rights->defaults, symbol->def->flags);
}

/* ---- methods ---- */

/* A method runs on no vCPU and takes no flags: rules that speak of these do not speak of it. */
static bool is_for_method(const struct rpc_rule *rule, const char *name)
{
        return !rule->has_cpus && !rule->has_flags && rpc_rule_is_for_symbol(rule, name);
}

static bool judge_method(const struct rpc_rights *rights, const char *name, uint32_t right)
{
        for (uint32_t i = 0; i < rights->n_rules; i++) {
                const struct rpc_rule *rule = &rights->policy->rules->rule[rights->rules[i]];

                if (is_for_method(rule, name))
                        return rule->allow;
        }
        return rights->defaults & right;
}

bool rpc_policy_may_use(struct rpc_rights *rights, unsigned slot, const char *name, uint32_t right)
{
        uint64_t bit = 1ull << slot;

        CHECK(slot < RPC_METHODS_MAX);
        if (!is_fresh(rights))
                return false;
        if (rights->defaults & RPC_RIGHT_ALL)
                return true;
        if (!(rights->methods_known & bit)) {
                rights->methods_known |= bit;
                if (judge_method(rights, name, right))
                        rights->methods_may |= bit;
        }
        return rights->methods_may & bit;
}

/* ---- why ---- */

void rpc_policy_explain(const struct rpc_policy *policy, const struct rpc_identity *identity,
                        const char *name, bool is_method, uint32_t right, uint32_t flags,
                        void (*step)(void *ctx, const struct rpc_explanation *step), void *ctx)
{
        uint32_t defaults = rpc_policy_defaults(policy, identity);
        uint32_t n = policy->rules && !(defaults & RPC_RIGHT_ALL) ? policy->rules->n : 0;

        for (uint32_t i = 0; i < n; i++) {
                const struct rpc_rule *rule = rule_for(policy, i, identity);
                struct rpc_explanation explanation = {.rule = rule};
                bool matches;

                if (!rule ||
                    !(is_method ? is_for_method(rule, name) : rpc_rule_is_for_symbol(rule, name)))
                        continue;
                explanation.allow = rule->allow;
                explanation.conditional = rpc_rule_looks_at_call(rule, policy->n_cpus, &matches);
                step(ctx, &explanation);
                if (!explanation.conditional)
                        return;
        }
        step(ctx,
             &(struct rpc_explanation){.allow = is_method ? (defaults & right) != 0
                                                          : default_for_symbol(defaults, flags)});
}
