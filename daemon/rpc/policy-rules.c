/* SPDX-License-Identifier: MIT */
/*
 * Rules as data, and the meaning of each key.  What the policy does with them - which identity they
 * are compiled for, what stands when none matches - is policy.c's; where they come from is the
 * reader's of policy files.  Nothing here does I/O; it may run on any thread, on a list that is not
 * shared.
 *
 * An allowing rule and a denying one read their lists the other way round: "may, on vCPUs 1 and 2"
 * must not let a call pass that vCPU 0 may come to run, and "may not, on vCPU 0" must catch it.
 */
#include "rpc/policy-rules.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define FLAGS_ALL (VMREQ_PRIORITY | VMREQ_POKE)

static const char no_memory[] = "no memory";

/* ---- building ---- */

struct rpc_rules *rpc_rules_new(void)
{
        return calloc(1, sizeof(struct rpc_rules));
}

static void texts_deinit(struct rpc_texts *texts)
{
        for (uint32_t i = 0; i < texts->n; i++)
                free(texts->items[i]);
        free(texts->items);
}

static bool texts_add(struct rpc_texts *texts, const char *text)
{
        char **items = realloc(texts->items, (texts->n + 1) * sizeof(*items));

        if (!items)
                return false;
        texts->items = items;
        items[texts->n] = strdup(text);
        if (!items[texts->n])
                return false;
        texts->n++;
        return true;
}

struct rpc_rules *rpc_rules_free(struct rpc_rules *rules)
{
        if (!rules)
                return NULL;
        for (uint32_t i = 0; i < rules->n; i++) {
                texts_deinit(&rules->rule[i].vms);
                texts_deinit(&rules->rule[i].symbols);
                free(rules->rule[i].subjects);
        }
        free(rules->rule);
        texts_deinit(&rules->files);
        free(rules);
        return NULL;
}

bool rpc_rules_begin_file(struct rpc_rules *rules, const char *file)
{
        return texts_add(&rules->files, file);
}

struct rpc_rule *rpc_rules_last(struct rpc_rules *rules)
{
        return rules->n ? &rules->rule[rules->n - 1] : NULL;
}

const struct rpc_rule *rpc_rules_find(const struct rpc_rules *rules, const char *name)
{
        for (uint32_t i = 0; i < rules->n; i++)
                if (strcmp(rules->rule[i].name, name) == 0)
                        return &rules->rule[i];
        return NULL;
}

const char *rpc_rules_add(struct rpc_rules *rules, const char *name, unsigned line)
{
        struct rpc_rule *rule;

        CHECK(rules->files.n > 0 && strlen(name) < RPC_RULE_NAME_MAX);
        if (rules->n == RPC_RULES_MAX)
                return "a policy has at most 1024 rules";
        rule = realloc(rules->rule, (rules->n + 1) * sizeof(*rule));
        if (!rule)
                return no_memory;
        rules->rule = rule;
        rule = &rules->rule[rules->n++];
        *rule = (struct rpc_rule){.file = rules->files.items[rules->files.n - 1], .line = line};
        (void)snprintf(rule->name, sizeof(rule->name), "%s", name);
        return NULL;
}

static const char *count_item(struct rpc_rules *rules)
{
        if (rules->n_items == RPC_RULE_ITEMS_MAX)
                return "the rules of a policy list at most 16384 items";
        rules->n_items++;
        return NULL;
}

static const char *add_text(struct rpc_rules *rules, struct rpc_texts *texts, const char *text)
{
        const char *wrong = count_item(rules);

        if (wrong)
                return wrong;
        return texts_add(texts, text) ? NULL : no_memory;
}

const char *rpc_rules_add_vm(struct rpc_rules *rules, const char *glob)
{
        return add_text(rules, &rpc_rules_last(rules)->vms, glob);
}

const char *rpc_rules_add_symbol(struct rpc_rules *rules, const char *glob)
{
        return add_text(rules, &rpc_rules_last(rules)->symbols, glob);
}

const char *rpc_rules_add_subject(struct rpc_rules *rules, enum rpc_subject_kind kind, uint32_t id)
{
        struct rpc_rule *rule = rpc_rules_last(rules);
        const char *wrong = count_item(rules);
        struct rpc_subject *subjects;

        if (wrong)
                return wrong;
        subjects = realloc(rule->subjects, (rule->n_subjects + 1) * sizeof(*subjects));
        if (!subjects)
                return no_memory;
        rule->subjects = subjects;
        subjects[rule->n_subjects++] = (struct rpc_subject){.kind = kind, .id = id};
        return NULL;
}

void rpc_rules_add_cpus(struct rpc_rules *rules, uint32_t first, uint32_t last)
{
        struct rpc_rule *rule = rpc_rules_last(rules);

        CHECK(last < VMREQ_CPUS_MAX);
        rule->has_cpus = true;
        for (uint32_t cpu = first; cpu <= last; cpu++)
                rule->cpus.word[cpu / 64] |= 1ull << cpu % 64;
}

void rpc_rules_add_flag(struct rpc_rules *rules, uint32_t flag)
{
        struct rpc_rule *rule = rpc_rules_last(rules);

        rule->has_flags = true;
        rule->flags |= flag;
}

void rpc_rules_set_action(struct rpc_rules *rules, bool allow)
{
        struct rpc_rule *rule = rpc_rules_last(rules);

        rule->has_action = true;
        rule->allow = allow;
}

/* ---- matching ---- */

static bool texts_match(const struct rpc_texts *texts, const char *text)
{
        for (uint32_t i = 0; i < texts->n; i++)
                if (fnmatch(texts->items[i], text, 0) == 0)
                        return true;
        return texts->n == 0;
}

bool rpc_rule_is_for_vm(const struct rpc_rule *rule, const char *vm_name)
{
        return texts_match(&rule->vms, vm_name);
}

bool rpc_rule_is_for_symbol(const struct rpc_rule *rule, const char *name)
{
        return texts_match(&rule->symbols, name);
}

bool rpc_rule_is_for_identity(const struct rpc_rule *rule, const struct rpc_identity *identity,
                              const struct rpc_overflow *overflow)
{
        if (rule->allow && identity->uid == overflow->uid)
                return false;
        for (uint32_t i = 0; i < rule->n_subjects; i++) {
                const struct rpc_subject *subject = &rule->subjects[i];

                if (subject->kind == RPC_SUBJECT_UID && subject->id == identity->uid)
                        return true;
                if (subject->kind == RPC_SUBJECT_GID &&
                    !(rule->allow && subject->id == overflow->gid) &&
                    rpc_identity_in_group(identity, subject->id))
                        return true;
        }
        return rule->n_subjects == 0;
}

struct rpc_cpu_set rpc_cpu_set_of(uint32_t cpu, uint32_t n_cpus)
{
        struct rpc_cpu_set set = {{0}};

        for (uint32_t i = 0; i < n_cpus; i++)
                if (cpu >= VMREQ_CPUS_MAX || cpu == i)
                        set.word[i / 64] |= 1ull << i % 64;
        return set;
}

/* Is each element of `a` in `b`? */
static bool is_subset(const struct rpc_cpu_set *a, const struct rpc_cpu_set *b)
{
        for (size_t i = 0; i < RPC_CPU_WORDS; i++)
                if (a->word[i] & ~b->word[i])
                        return false;
        return true;
}

static bool intersects(const struct rpc_cpu_set *a, const struct rpc_cpu_set *b)
{
        for (size_t i = 0; i < RPC_CPU_WORDS; i++)
                if (a->word[i] & b->word[i])
                        return true;
        return false;
}

bool rpc_rule_is_for_flags(const struct rpc_rule *rule, uint32_t flags)
{
        flags &= FLAGS_ALL;
        if (!rule->has_flags)
                return true;
        return rule->allow ? (flags & ~rule->flags) == 0 : (flags & rule->flags) != 0;
}

static bool is_for_cpus(const struct rpc_rule *rule, const struct rpc_cpu_set *may_run)
{
        if (!rule->has_cpus)
                return true;
        return rule->allow ? is_subset(may_run, &rule->cpus) : intersects(may_run, &rule->cpus);
}

bool rpc_rule_is_for_call(const struct rpc_rule *rule, const struct rpc_cpu_set *may_run,
                          uint32_t flags)
{
        return is_for_cpus(rule, may_run) && rpc_rule_is_for_flags(rule, flags);
}

bool rpc_rule_looks_at_call(const struct rpc_rule *rule, uint32_t n_cpus, bool *ret_matches)
{
        struct rpc_cpu_set all = rpc_cpu_set_of(VMREQ_CPU_ALL, n_cpus);

        *ret_matches = true;
        if (rule->has_cpus && !intersects(&all, &rule->cpus)) {
                *ret_matches = false; /* speaks of vCPUs that this VM does not have */
                return false;
        }
        if (rule->has_cpus && !is_subset(&all, &rule->cpus))
                return true;
        return rule->has_flags && !(rule->allow && rule->flags == FLAGS_ALL);
}
