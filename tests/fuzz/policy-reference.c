/* SPDX-License-Identifier: MIT */
/*
 * Rules and what they mean, as vmreqd.policy(5) says it: one question at a time, all rules from the
 * first on, nothing kept, sets as lists.
 */
#include "policy-reference.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "ini.h"
#include "symbols/vmreq-module.h"

/* ---- users and groups ---- */

int reference_look_up(const char *name, bool is_group, size_t buffer_bytes, uint32_t *ret_id)
{
        static const struct {
                const char *name;
                bool is_group;
                uint32_t id;
        } known[] = {
                {"root", false, 0},       {"vmreqd", false, 990},   {"alice", false, 1000},
                {"bob", false, 1001},     {"nobody", false, 65534}, {"large", false, 1002},
                {"vmreq", true, 77},      {"wheel", true, 10},      {"users", true, 100},
                {"nogroup", true, 65534}, {"large", true, 1002},
        };

        if (strcmp(name, "broken") == 0)
                return EIO;
        if (strcmp(name, "gone") == 0)
                return ESRCH;
        if (strcmp(name, "huge") == 0 || (strcmp(name, "large") == 0 && buffer_bytes < 50000))
                return ERANGE;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                if (known[i].is_group != is_group || strcmp(known[i].name, name) != 0)
                        continue;
                *ret_id = known[i].id;
                return 0;
        }
        return ENOENT;
}

/* ---- reading ---- */

static bool add(struct reference *reference, const struct reference_item *item)
{
        FUZZ_CHECK(reference->n_items < REFERENCE_ITEMS_MAX);
        reference->items[reference->n_items++] = *item;
        reference->rules[reference->n_rules - 1].n_items++;
        return true;
}

/* Only what names and patterns are made of, and each bracket closed. */
static bool is_pattern(const char *text, bool may_be_large)
{
        bool open = false;

        for (const char *c = text; *c; c++) {
                if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) &&
                    !strchr("_.-*?[]!", *c) && !(may_be_large && isupper((unsigned char)*c)))
                        return false;
                open = *c == '[' || (open && *c != ']');
        }
        return text[0] && !open;
}

static bool take_pattern(struct reference *reference, const char *value, bool is_vm)
{
        struct reference_item item = {.kind = is_vm ? REFERENCE_VM : REFERENCE_SYMBOL};

        if (!is_pattern(value, is_vm))
                return false;
        (void)snprintf(item.text, sizeof(item.text), "%s", value);
        return add(reference, &item);
}

/* Digits up to the end or to a `stop`. */
static const char *take_number(const char *text, char stop, uint64_t max, uint32_t *ret)
{
        uint64_t n = 0;
        const char *c;

        for (c = text; isdigit((unsigned char)*c); c++) {
                n = n * 10 + (uint64_t)(*c - '0');
                if (n > max)
                        return NULL;
        }
        if (c == text || (*c && *c != stop))
                return NULL;
        *ret = (uint32_t)n;
        return c;
}

static bool take_subject(struct reference *reference, const char *value)
{
        struct reference_item item = {.kind = REFERENCE_UID};
        uint32_t id = 0;

        if (strncmp(value, "uid:", 4) == 0) {
                if (!take_number(value + 4, 0, UINT32_MAX - 1, &id))
                        return false;
        } else if (strncmp(value, "user:", 5) == 0) {
                if (reference_look_up(value + 5, false, SIZE_MAX, &id))
                        return false;
        } else if (strncmp(value, "group:", 6) == 0) {
                item.kind = REFERENCE_GID;
                if (reference_look_up(value + 6, true, SIZE_MAX, &id))
                        return false;
        } else {
                return false;
        }
        item.first = id;
        return add(reference, &item);
}

static bool take_cpus(struct reference *reference, const char *value)
{
        struct reference_item item = {.kind = REFERENCE_CPUS};
        const char *end = take_number(value, '-', VMREQ_CPUS_MAX - 1, &item.first);

        if (!end)
                return false;
        item.last = item.first;
        if (*end && !take_number(end + 1, 0, VMREQ_CPUS_MAX - 1, &item.last))
                return false;
        return item.first <= item.last && add(reference, &item);
}

static bool take_flag(struct reference *reference, const char *value)
{
        struct reference_item item = {.kind = REFERENCE_FLAG};

        if (strcmp(value, "priority") == 0)
                item.first = VMREQ_PRIORITY;
        else if (strcmp(value, "poke") == 0)
                item.first = VMREQ_POKE;
        return item.first && add(reference, &item);
}

static bool take_action(struct reference_rule *rule, const char *value)
{
        if (rule->has_action || (strcmp(value, "allow") != 0 && strcmp(value, "deny") != 0))
                return false;
        rule->has_action = true;
        rule->allow = value[0] == 'a';
        return true;
}

static bool on_section(void *ctx, unsigned line, const char *name)
{
        struct reference *reference = ctx;
        struct reference_rule *rule = &reference->rules[reference->n_rules];
        bool is_blank = true;

        if (strncmp(name, "rule ", 5) != 0)
                return false;
        for (const char *c = name + 5; *c; c++)
                is_blank &= *c == ' ';
        for (size_t i = 0; i < reference->n_rules; i++)
                if (strcmp(reference->rules[i].name, name + 5) == 0)
                        return false;
        if (is_blank)
                return false;
        FUZZ_CHECK(reference->n_rules < REFERENCE_RULES_MAX);
        reference->n_rules++;
        *rule = (struct reference_rule){
                .file = reference->file, .line = line, .item = reference->n_items};
        (void)snprintf(rule->name, sizeof(rule->name), "%s", name + 5);
        return true;
}

static bool on_setting(void *ctx, const char *section, const char *key, const char *value)
{
        struct reference *reference = ctx;

        if (!section[0])
                return false;
        if (strcmp(key, "vm") == 0 || strcmp(key, "symbols") == 0)
                return take_pattern(reference, value, key[0] == 'v');
        if (strcmp(key, "subject") == 0)
                return take_subject(reference, value);
        if (strcmp(key, "cpus") == 0)
                return take_cpus(reference, value);
        if (strcmp(key, "flags") == 0)
                return take_flag(reference, value);
        return strcmp(key, "action") == 0 &&
               take_action(&reference->rules[reference->n_rules - 1], value);
}

unsigned reference_read(struct reference *reference, const char *text, size_t len)
{
        struct ini ini = {.section = on_section, .setting = on_setting, .ctx = reference};
        size_t first = reference->n_rules;
        unsigned wrong = ini_read(&ini, text, len);

        for (size_t i = first; wrong == 0 && i < reference->n_rules; i++)
                if (!reference->rules[i].has_action)
                        wrong = reference->rules[i].line;
        reference->file++;
        return wrong;
}

/* ---- patterns ---- */

/* One character against what stands behind a bracket; *end: behind it.  NULL: it is not closed. */
static const char *match_set(const char *pattern, char c, bool *ret_matches)
{
        bool negated = *pattern == '!', found = false;
        const char *p = pattern + negated, *first = p;

        for (; *p && (*p != ']' || p == first); p++) {
                char from = *p, to = *p;

                if (p[1] == '-' && p[2] && p[2] != ']') {
                        to = p[2];
                        p += 2;
                }
                found |= c >= from && c <= to;
        }
        *ret_matches = found != negated;
        return *p ? p + 1 : NULL;
}

static bool match(const char *pattern, const char *text)
{
        const char *behind;
        bool matches;

        for (; *pattern; pattern++, text++) {
                if (*pattern == '*') {
                        for (const char *t = text;; t++) {
                                if (match(pattern + 1, t))
                                        return true;
                                if (!*t)
                                        return false;
                        }
                }
                if (!*text)
                        return false;
                if (*pattern == '?')
                        continue;
                behind = *pattern == '[' ? match_set(pattern + 1, *text, &matches) : NULL;
                if (behind ? !matches : *pattern != *text)
                        return false;
                if (behind)
                        pattern = behind - 1;
        }
        return !*text;
}

/* Patterns whose meaning is a matter of libc's are left to it, and so are those that take long. */
static bool is_matching(const char *pattern, const char *text)
{
        unsigned stars = 0;

        for (const char *c = pattern; *c; c++)
                stars += *c == '*';
        if (strstr(pattern, "[.") || strstr(pattern, "[!]") || strstr(pattern, "[]") ||
            strstr(pattern, "[[") || strstr(pattern, "[!.") || stars > 3)
                return fnmatch(pattern, text, 0) == 0;
        return match(pattern, text);
}

/* ---- deciding ---- */

/* The items of one kind in a rule: none, or one must match. */
static bool one_matches(const struct reference *reference, const struct reference_rule *rule,
                        bool (*matches)(const struct reference_item *item, const void *ctx),
                        const void *ctx, unsigned kinds)
{
        bool any = false;

        for (size_t i = rule->item; i < rule->item + rule->n_items; i++) {
                const struct reference_item *item = &reference->items[i];

                if (!(kinds >> item->kind & 1))
                        continue;
                any = true;
                if (matches(item, ctx))
                        return true;
        }
        return !any;
}

static bool matches_text(const struct reference_item *item, const void *text)
{
        return is_matching(item->text, text);
}

struct who {
        const struct reference_question *question;
        bool allow;
};

static bool matches_subject(const struct reference_item *item, const void *ctx)
{
        const struct who *who = ctx;
        const struct rpc_identity *identity = who->question->identity;

        if (item->kind == REFERENCE_UID)
                return item->first == identity->uid;
        if (who->allow && item->first == who->question->host->overflow.gid)
                return false;
        for (uint32_t i = 0; i < identity->n_groups; i++)
                if (identity->groups[i] == item->first)
                        return true;
        return identity->gid == item->first;
}

static bool matches_cpu(const struct reference_item *item, const void *ctx)
{
        uint32_t cpu = *(const uint32_t *)ctx;

        return cpu >= item->first && cpu <= item->last;
}

static bool matches_flag(const struct reference_item *item, const void *ctx)
{
        return item->first == *(const uint32_t *)ctx;
}

static bool has(const struct reference *reference, const struct reference_rule *rule, unsigned kind)
{
        for (size_t i = rule->item; i < rule->item + rule->n_items; i++)
                if ((unsigned)reference->items[i].kind == kind)
                        return true;
        return false;
}

/* Allowing: every vCPU that may run it is listed; denying: any. */
static bool is_for_cpus(const struct reference *reference, const struct reference_rule *rule,
                        const struct reference_question *question)
{
        bool all = true, any = false;

        if (!has(reference, rule, REFERENCE_CPUS))
                return true;
        for (uint32_t cpu = 0; cpu < question->n_cpus; cpu++) {
                bool listed;

                if (question->cpu < VMREQ_CPUS_MAX && question->cpu != cpu)
                        continue;
                listed = one_matches(reference, rule, matches_cpu, &cpu, 1u << REFERENCE_CPUS);
                all &= listed;
                any |= listed;
        }
        return rule->allow ? all : any;
}

/* Allowing: every flag that it uses is listed; denying: any. */
static bool is_for_flags(const struct reference *reference, const struct reference_rule *rule,
                         uint32_t flags)
{
        static const uint32_t each[] = {VMREQ_PRIORITY, VMREQ_POKE};
        bool all = true, any = false;

        if (!has(reference, rule, REFERENCE_FLAG))
                return true;
        for (size_t i = 0; i < 2; i++) {
                bool listed;

                if (!(flags & each[i]))
                        continue;
                listed = one_matches(reference, rule, matches_flag, &each[i], 1u << REFERENCE_FLAG);
                all &= listed;
                any |= listed;
        }
        return rule->allow ? all : any;
}

static bool is_for(const struct reference *reference, const struct reference_rule *rule,
                   const struct reference_question *question)
{
        struct who who = {question, rule->allow};

        if (rule->allow && question->identity->uid == question->host->overflow.uid)
                return false;
        if (!one_matches(reference, rule, matches_text, question->vm_name, 1u << REFERENCE_VM) ||
            !one_matches(reference, rule, matches_text, question->name, 1u << REFERENCE_SYMBOL) ||
            !one_matches(reference, rule, matches_subject, &who,
                         1u << REFERENCE_UID | 1u << REFERENCE_GID))
                return false;
        if (question->is_method)
                return !has(reference, rule, REFERENCE_CPUS) &&
                       !has(reference, rule, REFERENCE_FLAG);
        return is_for_cpus(reference, rule, question) &&
               is_for_flags(reference, rule, question->flags);
}

static bool by_default(const struct reference_question *question)
{
        const struct rpc_policy_host *host = question->host;
        const struct rpc_identity *identity = question->identity;
        bool in_group = host->has_group && identity->gid == host->vmreq_group;

        for (uint32_t i = 0; host->has_group && i < identity->n_groups; i++)
                in_group |= identity->groups[i] == host->vmreq_group;
        if (identity->uid == host->overflow.uid || host->vmreq_group == host->overflow.gid)
                in_group = false;
        if (question->is_method)
                return question->right == RPC_RIGHT_CONNECTED ||
                       (question->right == RPC_RIGHT_OBSERVE && in_group);
        return in_group && (question->sym_flags & VMREQ_SYM_READ_ONLY) &&
               !(question->sym_flags & VMREQ_SYM_CONFIDENTIAL);
}

bool reference_may(const struct reference *reference, const struct reference_question *question)
{
        uid_t uid = question->identity->uid;

        if (uid != question->host->overflow.uid && (uid == 0 || uid == question->host->daemon_uid))
                return true;
        for (size_t i = 0; i < reference->n_rules; i++)
                if (is_for(reference, &reference->rules[i], question))
                        return reference->rules[i].allow;
        return by_default(question);
}
