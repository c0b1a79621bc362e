/* SPDX-License-Identifier: MIT */
/*
 * Policy files and what they decide, read and asked twice: by policy-file.c and policy.c, and by
 * policy-reference.c, which takes the man page by its word.  Both must accept or refuse alike, name
 * the same file and line, and give the same answer to every question: may this identity call that
 * symbol, with this destination and these flags; may it use that method.
 *
 * Input: 5 bytes that say who asks and on which host, then up to three files, a form feed between
 * them.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "policy-file.h"
#include "policy-reference.h"
#include "symbols/registry.h"

#define TEXT_MAX 4096u

/* ---- the host: users and groups of the reference's, for the code under test too ---- */

__attribute__((visibility("default"))) int
getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **ret)
{
        uint32_t id = 0;
        int r = reference_look_up(name, false, size, &id);

        memset(entry, 0, sizeof(*entry));
        buffer[0] = 0;
        entry->pw_uid = id;
        *ret = r ? NULL : entry;
        return r == ENOENT ? 0 : r;
}

__attribute__((visibility("default"))) int getgrnam_r(const char *name, struct group *entry,
                                                      char *buffer, size_t size, struct group **ret)
{
        uint32_t id = 0;
        int r = reference_look_up(name, true, size, &id);

        memset(entry, 0, sizeof(*entry));
        buffer[0] = 0;
        entry->gr_gid = id;
        *ret = r ? NULL : entry;
        return r == ENOENT ? 0 : r;
}

/* ---- symbols to ask for ---- */

static int32_t nothing(void)
{
        return 0;
}

#define SYMBOL(symbol, symbol_flags)                                                               \
        {                                                                                          \
                .size = sizeof(struct vmreq_symbol), .name = symbol, .doc = "-",                   \
                .flags = symbol_flags, .result = VMREQ_T_STATUS, .dest = VMREQ_DEST_ANY,           \
                .words = (vmreq_words)nothing                                                      \
        }

static const struct vmreq_symbol symbols[] = {
        SYMBOL("cpu.regs", VMREQ_SYM_READ_ONLY | VMREQ_SYM_CONFIDENTIAL),
        SYMBOL("cpu.state", VMREQ_SYM_READ_ONLY),
        SYMBOL("debug.add", 0),
        SYMBOL("vm.power_on", VMREQ_SYM_CHANGES_STATE),
        SYMBOL("vm.state", VMREQ_SYM_READ_ONLY),
};

/* A module's symbols begin with its name; each finds its own among those above. */
static int init_of(const struct vmreq_host *host, const char *prefix)
{
        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++)
                if (strncmp(symbols[i].name, prefix, strlen(prefix)) == 0 &&
                    host->add_symbol(host, &symbols[i]))
                        return -EINVAL;
        return 0;
}

#define MODULE(module)                                                                             \
        static int init_##module(const struct vmreq_host *host, uint32_t abi,                      \
                                 const struct vmreq_setting *settings, size_t n)                   \
        {                                                                                          \
                (void)abi, (void)settings, (void)n;                                                \
                return init_of(host, #module ".");                                                 \
        }                                                                                          \
        static const struct vmreq_module module_##module = {                                       \
                .size = sizeof(struct vmreq_module),                                               \
                .abi = VMREQ_MODULE_ABI,                                                           \
                .name = #module,                                                                   \
                .version = "1",                                                                    \
                .doc = "-",                                                                        \
                .init = init_##module,                                                             \
        }

MODULE(cpu);
MODULE(debug);
MODULE(vm);

static struct sym_registry *new_registry(void)
{
        static const struct vmreq_module *const modules[] = {&module_cpu, &module_debug,
                                                             &module_vm};
        struct sym_registry *registry;
        char text[256] = "";

        FUZZ_CHECK(sym_registry_new((vmreq_vm){0}, NULL, NULL, &registry) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
                FUZZ_CHECK(sym_registry_add_builtin(registry, modules[i], NULL, 0, text,
                                                    sizeof(text)) == SYM_LOAD_OK);
        return registry;
}

/* ---- reading ---- */

struct files {
        struct fuzz_input file[REFERENCE_FILES_MAX];
        size_t n;
};

static struct files split(struct fuzz_input input)
{
        struct files files = {.n = 0};
        const uint8_t *end = NULL;

        do {
                if (files.n < REFERENCE_FILES_MAX - 1)
                        end = input.len ? memchr(input.data, '\f', input.len) : NULL;
                else
                        end = NULL;
                files.file[files.n++] =
                        fuzz_take(&input, end ? (size_t)(end - input.data) : input.len);
                if (end)
                        (void)fuzz_byte(&input);
        } while (end);
        return files;
}

/* The three names of files, and what is said of them. */
static const char *const names[] = {"a.conf", "b.conf", "c.conf"};

static struct rpc_rules *read_each(const struct files *files, char *text, size_t size)
{
        struct rpc_rules *rules = rpc_rules_new();
        bool ok = true;

        FUZZ_CHECK(rules);
        for (size_t i = 0; i < files->n && ok; i++) {
                const struct fuzz_input *file = &files->file[i];
                FILE *stream = file->len ? fmemopen((void *)(uintptr_t)file->data, file->len, "r")
                                         : fopen("/dev/null", "re");

                FUZZ_CHECK(stream);
                ok = policy_read(stream, names[i], rules, text, size);
                (void)fclose(stream);
        }
        return ok ? rules : rpc_rules_free(rules);
}

static char folder[64];

static void remove_folder(void)
{
        char path[128];

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
                (void)unlink(path);
        }
        (void)rmdir(folder);
}

/* The same from a real folder: slower, so only now and then. */
static struct rpc_rules *read_folder(const struct files *files, char *text, size_t size)
{
        struct rpc_rules *rules = NULL;
        char path[128], missing[160];

        if (!folder[0]) {
                (void)snprintf(folder, sizeof(folder), "/tmp/vmreq-fuzz-policy-XXXXXX");
                FUZZ_CHECK(mkdtemp(folder) && atexit(remove_folder) == 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                FILE *file;

                (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
                (void)unlink(path);
                if (i >= files->n)
                        continue;
                file = fopen(path, "we");
                FUZZ_CHECK(file);
                FUZZ_CHECK(fwrite(files->file[i].data, 1, files->file[i].len, file) ==
                           files->file[i].len);
                FUZZ_CHECK(fclose(file) == 0);
        }
        FUZZ_CHECK(policy_read_folder(folder, false, &rules, text, size) == (rules != NULL));
        (void)snprintf(missing, sizeof(missing), "%s/missing", folder);
        if (rules) {
                struct rpc_rules *none = NULL;
                char why[256] = "";

                FUZZ_CHECK(!policy_read_folder(missing, false, &none, why, sizeof(why)) && why[0]);
                FUZZ_CHECK(policy_read_folder(missing, true, &none, why, sizeof(why)));
                (void)rpc_rules_free(none);
        }
        return rules;
}

/* "…b.conf:7: …" → the second file, 7. */
static void check_place(const char *text, unsigned file, unsigned line)
{
        char expected[64];
        const char *at;

        (void)snprintf(expected, sizeof(expected), "%s:%u: ", names[file], line);
        at = strstr(text, expected);
        FUZZ_CHECK(at && (at == text || at[-1] == '/') && at[strlen(expected)]);
}

/* NULL: it was refused, by both. */
static struct rpc_rules *read_both(const struct files *files, bool from_folder,
                                   struct reference *reference)
{
        char text[1024] = "";
        struct rpc_rules *rules = from_folder ? read_folder(files, text, sizeof(text))
                                              : read_each(files, text, sizeof(text));
        unsigned wrong = 0;

        reference->n_rules = reference->n_items = 0;
        reference->file = 0;
        for (size_t i = 0; i < files->n && !wrong; i++)
                wrong = reference_read(reference, (const char *)files->file[i].data,
                                       files->file[i].len);
        FUZZ_CHECK((rules == NULL) == (wrong != 0));
        if (wrong)
                check_place(text, reference->file - 1, wrong);
        FUZZ_CHECK(!rules || rules->n == reference->n_rules);
        return rules;
}

/* ---- asking ---- */

static struct rpc_policy_host draw_host(uint8_t settings)
{
        return (struct rpc_policy_host){
                .daemon_uid = 990,
                .has_group = settings & 1,
                .vmreq_group = settings & 2 ? 65534 : 77,
                .overflow = {65534, 65534},
        };
}

static struct rpc_identity draw_identity(uint8_t who, uint8_t groups)
{
        static const uint32_t uids[] = {1000, 1001, 1002, 65534, 0, 990, 5, 77};
        static const uint32_t gids[] = {100, 77, 10, 65534, 1002, 5, 0, 1000};
        struct rpc_identity identity = {
                .uid = uids[who & 7], .gid = gids[who >> 3 & 7], .pid = 5, .n_groups = who >> 6};

        identity.groups = calloc(identity.n_groups + 1, sizeof(gid_t));
        FUZZ_CHECK(identity.groups);
        for (uint32_t i = 0; i < identity.n_groups; i++)
                identity.groups[i] = gids[groups >> 2 * i & 7];
        rpc_identity_sort(&identity);
        return identity;
}

struct asking {
        struct rpc_policy *policy;
        struct rpc_rights *rights;
        const struct reference *reference;
        struct reference_question question;
};

static const uint32_t flag_sets[] = {0, VMREQ_PRIORITY, VMREQ_POKE, VMREQ_PRIORITY | VMREQ_POKE};

/* Each way to call a symbol, with the first and the last few vCPUs, and all of them. */
static void ask_symbol(struct asking *asking, const struct sym_symbol *symbol)
{
        static const uint32_t sets[] = {VMREQ_CPU_ANY, VMREQ_CPU_ANY_QUEUE, VMREQ_CPU_ALL,
                                        VMREQ_CPU_ALL_REVERSE};
        struct reference_question *question = &asking->question;
        enum rpc_verdict verdict = rpc_policy_verdict(asking->rights, symbol);
        uint32_t n = question->n_cpus;
        unsigned yes = 0, no = 0;

        question->name = symbol->def->name;
        question->is_method = false;
        question->sym_flags = symbol->def->flags;
        FUZZ_CHECK(rpc_policy_verdict(asking->rights, symbol) == verdict);
        FUZZ_CHECK(rpc_policy_may_call(asking->rights, symbol) == (verdict != RPC_VERDICT_DENY));
        for (uint32_t i = 0; i < n + ARRAY_SIZE(sets); i++) {
                if (i >= 6 && i + 3 < n)
                        continue;
                question->cpu = i < n ? i : sets[i - n];
                for (size_t f = 0; f < ARRAY_SIZE(flag_sets); f++) {
                        bool may;

                        question->flags = flag_sets[f];
                        may = reference_may(asking->reference, question);
                        FUZZ_CHECK(rpc_policy_may_call_so(asking->rights, symbol, question->cpu,
                                                          question->flags) == may);
                        yes += may;
                        no += !may;
                }
        }
        FUZZ_CHECK(verdict != RPC_VERDICT_ALLOW || no == 0);
        FUZZ_CHECK(verdict != RPC_VERDICT_DENY || yes == 0);
        /* With few vCPUs all ways were tried. */
        FUZZ_CHECK(n > 9 || verdict != RPC_VERDICT_LOOK || (yes && no));
}

static void ask_methods(struct asking *asking)
{
        static const struct {
                const char *name;
                uint32_t right;
        } methods[] = {
                {"vmreq.ping", RPC_RIGHT_CONNECTED},        {"vmreq.ps", RPC_RIGHT_OBSERVE},
                {"vmreq.stats", RPC_RIGHT_OBSERVE},         {"vmreq.load", RPC_RIGHT_CONTROL},
                {"vmreq.cancel.others", RPC_RIGHT_CONTROL},
        };
        struct reference_question *question = &asking->question;

        question->is_method = true;
        for (unsigned i = 0; i < ARRAY_SIZE(methods); i++) {
                bool may;

                question->name = methods[i].name;
                question->right = methods[i].right;
                may = reference_may(asking->reference, question);
                for (unsigned twice = 0; twice < 2; twice++)
                        FUZZ_CHECK(rpc_policy_may_use(asking->rights, i, methods[i].name,
                                                      methods[i].right) == may);
        }
}

struct explained {
        unsigned steps;
        bool is_first_final, is_last_final, allow; /* allow: of the last */
};

static void on_step(void *ctx, const struct rpc_explanation *step)
{
        struct explained *explained = ctx;

        if (explained->steps++ == 0)
                explained->is_first_final = !step->conditional;
        FUZZ_CHECK(!explained->is_last_final);
        explained->is_last_final = !step->conditional;
        explained->allow = step->allow;
        FUZZ_CHECK(step->rule || !step->conditional);
}

/* What is explained is what is decided. */
static void ask_why(struct asking *asking, const struct sym_symbol *symbol)
{
        enum rpc_verdict verdict = rpc_policy_verdict(asking->rights, symbol);
        struct explained explained = {0};

        rpc_policy_explain(asking->policy, asking->question.identity, symbol->def->name, false, 0,
                           symbol->def->flags, on_step, &explained);
        FUZZ_CHECK(explained.steps > 0 && explained.is_last_final);
        if (explained.is_first_final)
                FUZZ_CHECK(verdict == (explained.allow ? RPC_VERDICT_ALLOW : RPC_VERDICT_DENY));
        explained = (struct explained){0};
        rpc_policy_explain(asking->policy, asking->question.identity, "vmreq.ps", true,
                           RPC_RIGHT_OBSERVE, 0, on_step, &explained);
        FUZZ_CHECK(explained.steps == 1 &&
                   explained.allow ==
                           rpc_policy_may_use(asking->rights, 1, "vmreq.ps", RPC_RIGHT_OBSERVE));
}

static void ask(struct asking *asking, const struct sym_registry *registry)
{
        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
                const char *name = symbols[i].name;
                const struct sym_symbol *symbol = sym_registry_find(registry, name, strlen(name));

                FUZZ_CHECK(symbol);
                ask_symbol(asking, symbol);
                ask_why(asking, symbol);
        }
        ask_methods(asking);
}

/* ---- the whole ---- */

/* Whoever comes with the same credentials has the same rights, also after a while alone. */
static void come_again(struct asking *asking, const uint8_t settings[5], bool at_once)
{
        struct rpc_identity identity = draw_identity(settings[2], settings[3]);
        struct rpc_rights *rights;

        if (!at_once)
                rpc_rights_put(asking->rights);
        rights = rpc_rights_get(asking->policy, &identity);
        FUZZ_CHECK(rights == asking->rights);
        if (at_once)
                rpc_rights_put(rights);
}

/* One identity asks under these rules, and again once there are none any more. */
static void try_rules(struct rpc_rules *rules, const struct reference *reference,
                      const uint8_t settings[5])
{
        static const struct reference no_rules;
        static const uint32_t cpus[] = {1, 2, 4, 9, 64, 65, 200, VMREQ_CPUS_MAX};
        static struct sym_registry *registry;
        struct rpc_policy_host host = draw_host(settings[1]);
        struct rpc_identity identity = draw_identity(settings[2], settings[3]);
        struct rpc_policy policy;
        struct asking asking = {.policy = &policy, .reference = reference};

        if (!registry)
                registry = new_registry();
        asking.question =
                (struct reference_question){.host = &host,
                                            .vm_name = settings[4] & 1 ? "demo" : "Vm-2.a",
                                            .n_cpus = cpus[settings[4] >> 1 & 7],
                                            .identity = &identity};
        rpc_policy_init(&policy, &host, asking.question.vm_name, asking.question.n_cpus,
                        settings[4] & 0x10 ? registry : NULL);
        asking.rights = rpc_rights_get(&policy, &identity);
        FUZZ_CHECK(asking.rights);
        come_again(&asking, settings, true);
        rpc_policy_replace(&policy, &host, rules);
        ask(&asking, registry);
        come_again(&asking, settings, false);
        rpc_policy_replace(&policy, &host, NULL);
        asking.reference = &no_rules;
        ask(&asking, registry);
        FUZZ_CHECK(((rpc_rights_defaults(asking.rights) & RPC_RIGHT_ALL) != 0) ==
                   rpc_policy_is_privileged(&policy, &identity));
        rpc_rights_put(asking.rights);
        rpc_policy_deinit(&policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static struct reference reference;
        struct fuzz_input input = {data, len};
        struct rpc_rules *rules;
        struct files files;
        uint8_t settings[5];

        if (len > TEXT_MAX)
                return 0;
        for (size_t i = 0; i < sizeof(settings); i++)
                settings[i] = fuzz_byte(&input);
        files = split(input);
        rules = read_both(&files, settings[0] == 'f', &reference);
        if (rules)
                try_rules(rules, &reference, settings);
        return 0;
}
