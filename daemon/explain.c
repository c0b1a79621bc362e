/* SPDX-License-Identifier: MIT */
/*
 * Two gates stand before a call, and both are asked: the socket's mode, as the kernel will see it,
 * and the policy.  The policy's part is rpc/policy's own walk through the rules, so that what is
 * said here is what will happen; this file only finds out who is meant, and puts it into words.
 * Runs alone in its process, before anything serves.
 */
#include "explain.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/names.h"
#include "rpc/session.h"
#include "socket.h"

/* ---- who ---- */

static bool add_groups(const char *name, struct rpc_identity *identity)
{
        int n = 64, r;
        gid_t *groups = NULL, *larger;

        do {
                larger = realloc(groups, (size_t)n * sizeof(*groups));
                if (!larger || (uint32_t)n > RPC_GROUPS_MAX) {
                        free(larger ? larger : groups);
                        return false;
                }
                groups = larger;
                r = getgrouplist(name, identity->gid, groups, &n);
        } while (r < 0);
        identity->groups = groups;
        identity->n_groups = (uint32_t)n;
        rpc_identity_sort(identity);
        return true;
}

bool explain_identity(const char *user, const struct rpc_policy_host *host,
                      struct rpc_identity *ret_identity)
{
        const struct passwd *entry = getpwnam(user);
        char *end;
        unsigned long uid = strtoul(user, &end, 10);

        *ret_identity = (struct rpc_identity){0};
        if (entry) {
                ret_identity->uid = entry->pw_uid;
                ret_identity->gid = entry->pw_gid;
                return add_groups(user, ret_identity);
        }
        if (!isdigit((unsigned char)user[0]) || *end || uid >= UINT32_MAX)
                return false;
        entry = getpwuid((uid_t)uid);
        ret_identity->uid = (uid_t)uid;
        ret_identity->gid = entry ? entry->pw_gid : host->overflow.gid;
        return !entry || add_groups(entry->pw_name, ret_identity);
}

/* ---- the socket ---- */

/* Has the identity one of the three bits of `mode` that are named by their owner's? */
static bool has_mode(const struct rpc_identity *identity, const struct stat *st, mode_t owners)
{
        if (identity->uid == 0)
                return true;
        if (identity->uid == st->st_uid)
                return st->st_mode & owners;
        if (rpc_identity_in_group(identity, st->st_gid))
                return st->st_mode & owners >> 3;
        return st->st_mode & owners >> 6;
}

/* Can it get to the folder that holds the socket? */
static bool reaches(const struct rpc_identity *identity, const char *path)
{
        char folder[CONFIG_PATH_MAX];
        struct stat st;

        (void)snprintf(folder, sizeof(folder), "%s", path);
        do {
                (void)dirname(folder);
                if (stat(folder, &st) == 0 && !has_mode(identity, &st, S_IXUSR))
                        return false;
        } while (strcmp(folder, "/") != 0 && strcmp(folder, ".") != 0);
        return true;
}

/* False: it is refused there, which has been written. */
static bool passes_socket(const struct explain_question *question, FILE *out)
{
        const struct config *config = question->config;
        char path[CONFIG_PATH_MAX];
        struct stat st;

        if (config->socket[0])
                (void)snprintf(path, sizeof(path), "%s", config->socket);
        else if (!listening_default_path(config->name, path, sizeof(path)))
                return true; /* nobody can know where it will be */
        if (stat(path, &st)) /* as it will be made */
                st = (struct stat){
                        .st_mode = config->socket_mode, .st_uid = geteuid(), .st_gid = getegid()};
        if (has_mode(question->identity, &st, S_IWUSR) && reaches(question->identity, path))
                return true;
        (void)fprintf(out,
                      "denied: the socket %s (mode %04o, uid %u, gid %u) does not let %s connect; "
                      "past it:\n",
                      path, (unsigned)(st.st_mode & 07777), (unsigned)st.st_uid,
                      (unsigned)st.st_gid, question->user);
        return false;
}

/* ---- the policy ---- */

static void ask(const struct explain_question *question, uint32_t flags,
                void (*step)(void *ctx, const struct rpc_explanation *step), void *ctx)
{
        uint32_t right = rpc_control_class(question->symbol);

        rpc_policy_explain(question->policy, question->identity, question->symbol, right != 0,
                           right, flags, step, ctx);
}

/* What all steps together come to. */
struct outcome {
        bool some_allow, some_deny;
};

static void sum_up(void *ctx, const struct rpc_explanation *step)
{
        struct outcome *outcome = ctx;

        outcome->some_allow |= step->allow;
        outcome->some_deny |= !step->allow;
}

static struct outcome outcome_of(const struct explain_question *question, uint32_t flags)
{
        struct outcome outcome = {0};

        ask(question, flags, sum_up, &outcome);
        return outcome;
}

bool explain_is_name(const char *name)
{
        size_t len = strlen(name);

        return rpc_control_class(name) ||
               (proto_symbol_name_valid(name, len) && !proto_symbol_name_reserved(name, len));
}

void explain_dead_names(const struct rpc_rules *rules, FILE *out)
{
        for (uint32_t i = 0; i < rules->n; i++) {
                const struct rpc_rule *rule = &rules->rule[i];

                for (uint32_t k = 0; k < rule->symbols.n; k++) {
                        const char *name = rule->symbols.items[k];

                        if (!strpbrk(name, "*?[") && !explain_is_name(name))
                                (void)fprintf(out,
                                              "vmreqd: %s:%u: warning: the rule \"%s\" names "
                                              "\"%s\", which is no method and no symbol's name\n",
                                              rule->file, rule->line, rule->name, name);
                }
        }
}

bool explain_needs_flags(const struct rpc_policy *policy, const struct rpc_identity *identity,
                         const char *symbol)
{
        const struct explain_question question = {
                .policy = policy, .identity = identity, .symbol = symbol};
        struct outcome plain = outcome_of(&question, 0),
                       marked = outcome_of(&question, VMREQ_SYM_READ_ONLY);

        return plain.some_allow != marked.some_allow || plain.some_deny != marked.some_deny;
}

static void write_cpus(const struct rpc_cpu_set *cpus, FILE *out)
{
        const char *separator = " ";

        for (uint32_t first = 0; first < VMREQ_CPUS_MAX; first++) {
                uint32_t last = first;

                if (!(cpus->word[first / 64] >> first % 64 & 1))
                        continue;
                while (last + 1 < VMREQ_CPUS_MAX &&
                       (cpus->word[(last + 1) / 64] >> (last + 1) % 64 & 1))
                        last++;
                (void)fprintf(out, last > first ? "%s%u-%u" : "%s%u", separator, first, last);
                separator = ",";
                first = last;
        }
}

static void write_rule(const struct rpc_explanation *step, FILE *out)
{
        const struct rpc_rule *rule = step->rule;
        const char *word = ", if ";

        (void)fprintf(out, "%s:%u: [rule %s] %s", rule->file, rule->line, rule->name,
                      rule->allow ? "allow" : "deny");
        if (step->conditional && rule->has_cpus) {
                (void)fprintf(out, "%s%svCPU", word, rule->allow ? "nothing but " : "");
                write_cpus(&rule->cpus, out);
                (void)fprintf(out, " can come to run it");
                word = " and ";
        }
        if (step->conditional && rule->has_flags)
                (void)fprintf(out, "%sit uses %s%s%s%s", word, rule->allow ? "no flag but " : "",
                              rule->flags & VMREQ_PRIORITY ? "priority" : "",
                              rule->flags == (VMREQ_PRIORITY | VMREQ_POKE) ? " or " : "",
                              rule->flags & VMREQ_POKE ? "poke" : "");
        (void)fputc('\n', out);
}

/* Why it is as it is where no rule matches. */
static const char *default_reason(const struct explain_question *question)
{
        const struct rpc_policy *policy = question->policy;
        uint32_t right = rpc_control_class(question->symbol),
                 defaults = rpc_policy_defaults(policy, question->identity);

        if (defaults & RPC_RIGHT_ALL)
                return "root and the daemon's user may do everything, whatever the rules say";
        if (right == RPC_RIGHT_CONNECTED)
                return "everybody who is connected may";
        if (right & (RPC_RIGHT_CONTROL | RPC_RIGHT_ALL))
                return "only root and the daemon's user may";
        if (right)
                return "root, the daemon's user and the group vmreq may";
        if (!(defaults & RPC_RIGHT_READ))
                return question->identity->uid == policy->host.overflow.uid
                               ? "this uid is nobody in particular, and no rule allows it anything"
                               : "others than root, the daemon's user and the group vmreq may "
                                 "call nothing";
        return question->flags_known
                       ? "the group vmreq may call what is read-only and not confidential"
                       : "the group vmreq may call what is read-only and not confidential; no "
                         "module that is loaded has this symbol";
}

struct writing {
        const struct explain_question *question;
        FILE *out;
};

static void write_step(void *ctx, const struct rpc_explanation *step)
{
        const struct writing *writing = ctx;

        if (step->rule)
                write_rule(step, writing->out);
        else
                (void)fprintf(writing->out, "default: %s: %s\n", step->allow ? "allow" : "deny",
                              default_reason(writing->question));
}

void explain_write(const struct explain_question *question, FILE *out)
{
        struct outcome outcome = outcome_of(question, question->flags);
        struct writing writing = {question, out};
        bool both = outcome.some_allow && outcome.some_deny;

        (void)passes_socket(question, out);
        (void)fprintf(out, "%s: %s (uid %u), %s on VM %s%s\n",
                      both                 ? "depends"
                      : outcome.some_allow ? "allowed"
                                           : "denied",
                      question->user, (unsigned)question->identity->uid, question->symbol,
                      question->policy->vm_name,
                      both ? "; the first that matches the call decides" : "");
        ask(question, question->flags, write_step, &writing);
}
