/* SPDX-License-Identifier: MIT */
/*
 * One section "[rule NAME]" is one rule; its keys are the rows of a table below.  A key that may
 * repeat is a list.  Users and groups are looked up here and now: rules hold numbers, so that a
 * name service that hangs later stops nobody.
 *
 * What could only be a mistake is refused, and with it all files: a key that nobody knows, a user
 * who does not exist, a glob that no symbol's name can match, a rule that says nothing about what
 * it does.  Half a policy is worse than the old one.
 */
#include "policy-file.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "conf-file.h"
#include "conf-folder.h"

/* Users and groups whose entry is larger are taken for unknown. */
#define ENTRY_BYTES_MAX (1u << 20)

static bool fail(char *why, size_t size, const char *key, const char *expected, const char *value)
{
        (void)snprintf(why, size, "%s: expected %s, got \"%.80s\"", key, expected, value);
        return false;
}

/* `wrong`: what an adder of rules says. */
static bool added(const char *wrong, char *why, size_t size)
{
        if (wrong)
                (void)snprintf(why, size, "%s", wrong);
        return !wrong;
}

/* ---- values ---- */

/* A number of decimal digits and nothing else. */
static bool read_number(const char *text, const char **ret_end, uint64_t max, uint32_t *ret)
{
        unsigned long long n;
        char *end;

        if (!isdigit((unsigned char)text[0]))
                return false;
        errno = 0;
        n = strtoull(text, &end, 10);
        if (errno || n > max)
                return false;
        *ret = (uint32_t)n;
        *ret_end = end;
        return true;
}

static bool has_only(const char *text, const char *characters)
{
        return text[0] && text[strspn(text, characters)] == 0;
}

/* Of these characters only, and no bracket left open: else it could match nothing. */
static bool is_glob(const char *text, const char *characters)
{
        const char *open = strrchr(text, '[');

        return has_only(text, characters) && (!open || strchr(open, ']'));
}

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool set_vm(struct rpc_rules *rules, const char *value, char *why, size_t size)
{
        if (!is_glob(value, UPPER LOWER DIGITS "_.-*?[]!"))
                return fail(why, size, "vm", "a VM's name, which may have * ? [a-z]", value);
        return added(rpc_rules_add_vm(rules, value), why, size);
}

static bool set_symbols(struct rpc_rules *rules, const char *value, char *why, size_t size)
{
        if (!is_glob(value, LOWER DIGITS "_.-*?[]!"))
                return fail(why, size, "symbols",
                            "a name such as cpu.regs or vmreq.ps, which may have * ? [a-z]", value);
        return added(rpc_rules_add_symbol(rules, value), why, size);
}

/* ---- subjects ---- */

/*
 * 0: found.  ENOENT: there is none.  Else: it cannot be told.  The two calls of libc differ in
 * their structures only.
 */
static int look_up_user(const char *name, char *buffer, size_t size, uint32_t *ret_id)
{
        struct passwd entry, *found = NULL;
        int r = getpwnam_r(name, &entry, buffer, size, &found);

        if (found)
                *ret_id = entry.pw_uid;
        return found ? 0 : r ? r : ENOENT;
}

static int look_up_group(const char *name, char *buffer, size_t size, uint32_t *ret_id)
{
        struct group entry, *found = NULL;
        int r = getgrnam_r(name, &entry, buffer, size, &found);

        if (found)
                *ret_id = entry.gr_gid;
        return found ? 0 : r ? r : ENOENT;
}

static int look_up(const char *name, enum rpc_subject_kind kind, uint32_t *ret_id)
{
        char *buffer = NULL, *larger;
        int r = ERANGE;

        for (size_t size = 16384; r == ERANGE && size <= ENTRY_BYTES_MAX; size *= 2) {
                larger = realloc(buffer, size);
                if (!larger) {
                        r = ENOMEM;
                        break;
                }
                buffer = larger;
                r = kind == RPC_SUBJECT_UID ? look_up_user(name, buffer, size, ret_id)
                                            : look_up_group(name, buffer, size, ret_id);
        }
        free(buffer);
        /* Some name services say so when there is none. */
        return r == ESRCH || r == EBADF || r == EPERM ? ENOENT : r;
}

static bool add_named(struct rpc_rules *rules, enum rpc_subject_kind kind, const char *name,
                      char *why, size_t size)
{
        const char *what = kind == RPC_SUBJECT_UID ? "user" : "group";
        uint32_t id = 0;
        int r = name[0] ? look_up(name, kind, &id) : ENOENT;

        if (r == 0)
                return added(rpc_rules_add_subject(rules, kind, id), why, size);
        if (r == ENOENT)
                (void)snprintf(why, size, "subject: there is no %s \"%.80s\"", what, name);
        else
                (void)snprintf(why, size, "subject: the %s \"%.80s\" cannot be looked up: %s", what,
                               name, strerror(r));
        return false;
}

static bool set_subject(struct rpc_rules *rules, const char *value, char *why, size_t size)
{
        static const char user[] = "user:", group[] = "group:", uid[] = "uid:";
        const char *end;
        uint32_t id;

        if (strncmp(value, user, strlen(user)) == 0)
                return add_named(rules, RPC_SUBJECT_UID, value + strlen(user), why, size);
        if (strncmp(value, group, strlen(group)) == 0)
                return add_named(rules, RPC_SUBJECT_GID, value + strlen(group), why, size);
        /* The largest number is no uid: it says "unchanged" where one is set. */
        if (strncmp(value, uid, strlen(uid)) == 0 &&
            read_number(value + strlen(uid), &end, UINT32_MAX - 1, &id) && !*end)
                return added(rpc_rules_add_subject(rules, RPC_SUBJECT_UID, id), why, size);
        return fail(why, size, "subject", "user:NAME, group:NAME or uid:NUMBER", value);
}

/* ---- what a call must be like ---- */

static bool set_cpus(struct rpc_rules *rules, const char *value, char *why, size_t size)
{
        static const char expected[] = "a vCPU 0..255, or a range such as 2-5";
        uint32_t first, last;
        const char *end;

        if (!read_number(value, &end, VMREQ_CPUS_MAX - 1, &first))
                return fail(why, size, "cpus", expected, value);
        last = first;
        if (*end == '-' && !read_number(end + 1, &end, VMREQ_CPUS_MAX - 1, &last))
                return fail(why, size, "cpus", expected, value);
        if (*end || last < first)
                return fail(why, size, "cpus", expected, value);
        rpc_rules_add_cpus(rules, first, last);
        return true;
}

static bool set_flags(struct rpc_rules *rules, const char *value, char *why, size_t size)
{
        if (strcmp(value, "priority") == 0)
                rpc_rules_add_flag(rules, VMREQ_PRIORITY);
        else if (strcmp(value, "poke") == 0)
                rpc_rules_add_flag(rules, VMREQ_POKE);
        else
                return fail(why, size, "flags", "priority or poke", value);
        return true;
}

static bool set_action(struct rpc_rules *rules, const char *value, char *why, size_t size)
{
        bool allow = strcmp(value, "allow") == 0;

        if (rpc_rules_last(rules)->has_action)
                return fail(why, size, "action", "one action in a rule", value);
        if (!allow && strcmp(value, "deny") != 0)
                return fail(why, size, "action", "allow or deny", value);
        rpc_rules_set_action(rules, allow);
        return true;
}

static const struct {
        const char *key;
        bool (*set)(struct rpc_rules *rules, const char *value, char *why, size_t size);
} keys[] = {
        {"vm", set_vm},     {"subject", set_subject}, {"symbols", set_symbols},
        {"cpus", set_cpus}, {"flags", set_flags},     {"action", set_action},
};

/* ---- files ---- */

static bool on_section(void *ctx, unsigned line, const char *name, char *why, size_t size)
{
        static const char prefix[] = "rule ";
        struct rpc_rules *rules = ctx;
        const struct rpc_rule *twin;
        const char *rule = name + strlen(prefix);

        if (strncmp(name, prefix, strlen(prefix)) != 0 || rule[strspn(rule, " ")] == 0) {
                (void)snprintf(why, size, "expected [rule NAME], got [%s]", name);
                return false;
        }
        twin = rpc_rules_find(rules, rule);
        if (twin) {
                (void)snprintf(why, size, "there is a rule \"%s\" already, at %s:%u", rule,
                               twin->file, twin->line);
                return false;
        }
        return added(rpc_rules_add(rules, rule, line), why, size);
}

static bool on_setting(void *ctx, unsigned line, const char *section, const char *key,
                       const char *value, char *why, size_t size)
{
        struct rpc_rules *rules = ctx;

        (void)line;
        if (!section[0]) {
                (void)snprintf(why, size, "\"%.64s\" stands above the first [rule NAME]", key);
                return false;
        }
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (strcmp(keys[i].key, key) == 0)
                        return keys[i].set(rules, value, why, size);
        (void)snprintf(why, size,
                       "unknown key \"%.64s\"; a rule has vm, subject, symbols, cpus, flags, "
                       "action",
                       key);
        return false;
}

/* The rules from `first` on are whole. */
static bool check_rules(const struct rpc_rules *rules, uint32_t first, char *text, size_t size)
{
        for (uint32_t i = first; i < rules->n; i++) {
                const struct rpc_rule *rule = &rules->rule[i];

                if (rule->has_action)
                        continue;
                (void)snprintf(text, size, "%s:%u: the rule \"%s\" has no action=", rule->file,
                               rule->line, rule->name);
                return false;
        }
        return true;
}

/* `file`: its text; NULL: it is still to be opened. */
static bool read_rules(FILE *file, const char *name, struct rpc_rules *rules, char *text,
                       size_t size)
{
        const struct conf_handler handler = {
                .section = on_section, .setting = on_setting, .ctx = rules};
        uint32_t first = rules->n;
        bool ok;

        if (!rpc_rules_begin_file(rules, name)) {
                (void)snprintf(text, size, "%s: no memory", name);
                return false;
        }
        ok = file ? conf_read(file, name, &handler, text, size)
                  : conf_read_file(name, &handler, text, size);
        return ok && check_rules(rules, first, text, size);
}

bool policy_read(FILE *file, const char *name, struct rpc_rules *rules, char *reterr_text,
                 size_t size)
{
        return read_rules(file, name, rules, reterr_text, size);
}

bool policy_read_folder(const char *path, bool may_miss, struct rpc_rules **ret_rules,
                        char *reterr_text, size_t size)
{
        struct rpc_rules *rules;
        struct conf_folder folder;
        bool ok = true;

        if (!conf_folder_list(path, &folder, reterr_text, size))
                return false;
        if (folder.missing && !may_miss) {
                (void)snprintf(reterr_text, size, "%s: no such folder", path);
                return false;
        }
        rules = rpc_rules_new();
        if (!rules) {
                (void)snprintf(reterr_text, size, "%s: no memory", path);
                ok = false;
        }
        for (size_t i = 0; ok && i < folder.n; i++)
                ok = read_rules(NULL, folder.paths[i], rules, reterr_text, size);
        conf_folder_deinit(&folder);
        if (ok)
                *ret_rules = rules;
        else
                (void)rpc_rules_free(rules);
        return ok;
}
