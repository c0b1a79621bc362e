/* SPDX-License-Identifier: MIT */
/*
 * The table of verbs, their help, and the shortest of them.  Called by main with the words behind
 * the global options.  A verb reads its options, sets its patience, connects, calls, prints; what
 * it returns is the exit status.
 */

#include <stdio.h>
#include <string.h>

#include "client/ctl.h"
#include "client/options.h"
#include "client/status.h"
#include "client/verbs.h"
#include "client/words.h"

static int verb_status(struct ctl *ctl, const struct verb *verb, int argc, char **argv);
static int verb_ping(struct ctl *ctl, const struct verb *verb, int argc, char **argv);

const struct verb verbs[] = {
        {"call", " [OPTION...] SYMBOL [ARGUMENT...]",
         "call a function on the VM's emulation threads", verb_call},
        {"symbols", " [GLOB]", "list what can be called", verb_symbols},
        {"describe", " SYMBOL", "show a function's parameters and documentation", verb_describe},
        {"status", "", "show the VM and what its emulation threads do", verb_status},
        {"ping", "", "see whether the daemon answers", verb_ping},
};
const size_t n_verbs = sizeof(verbs) / sizeof(verbs[0]);

const struct verb *verbs_find(const char *name)
{
        for (size_t i = 0; i < n_verbs; i++) {
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        }
        return NULL;
}

const char *verbs_nearest(const char *name)
{
        const char *names[sizeof(verbs) / sizeof(verbs[0])];

        for (size_t i = 0; i < n_verbs; i++)
                names[i] = verbs[i].name;
        return words_nearest(name, names, n_verbs);
}

/* ---- help ------------------------------------------------------------------------------------ */

static const char global_help[] =
        "  -s, --socket=SOCKET    the daemon's socket\n"
        "  -M, --machine=NAME     the VM whose socket to use\n"
        "      --json[=HOW]       print JSON: short (one line) or pretty\n"
        "      --timeout=T        seconds, or with a unit: 500ms, 1.5s, 2min; 0 is no limit\n"
        "  -h, --help             show this\n"
        "  -V, --version          show the version\n";

static const char call_help[] =
        "      --cpu=N            the vCPU, or any, any-queue, all, all-reverse\n"
        "      --priority         use the priority lane\n"
        "      --poke             interrupt the guest at once\n"
        "      --no-wait          only have it accepted; nobody waits for its result\n"
        "  -h, --help             show this\n"
        "  -V, --version          show the version\n"
        "\n"
        "Options end at SYMBOL, so that an ARGUMENT may begin with a dash.  Arguments are\n"
        "read by the types that 'vmreqctl describe SYMBOL' shows: 42, 0x2a, text; bytes\n"
        "as hex or @FILE; any, array and map as JSON.\n";

static void print_verbs(void)
{
        for (size_t i = 0; i < n_verbs; i++)
                printf("  %-10s %s\n", verbs[i].name, verbs[i].summary);
}

void verbs_print_help(const struct verb *verb)
{
        if (!verb) {
                printf("usage: vmreqctl [OPTION...] VERB [...]\n\n");
                print_verbs();
                printf("\n%s\n'vmreqctl VERB --help' says more, and so does man vmreqctl.\n",
                       global_help);
                return;
        }
        printf("usage: vmreqctl [OPTION...] %s%s\n\n%s\n", verb->name, verb->operands,
               verb->summary);
        if (verb->run == verb_call)
                printf("\n%s", call_help);
}

void verbs_print_version(void)
{
        printf("vmreqctl %s\n", VMREQ_VERSION);
}

int verbs_usage(const struct verb *verb, const char *complaint)
{
        fprintf(stderr, "vmreqctl: %s: %s; usage: vmreqctl [OPTION...] %s%s\n", verb->name,
                complaint, verb->name, verb->operands);
        return CTL_USAGE;
}

int verbs_begin(const struct verb *verb, int argc, char **argv, struct verbs_operands operands,
                int *ret_next)
{
        struct options_plain options;
        int next;

        if (!options_parse_plain(argc, argv, &options, &next))
                return CTL_USAGE;
        if (options.help || options.version) {
                if (options.help)
                        verbs_print_help(verb);
                else
                        verbs_print_version();
                return CTL_DONE;
        }
        if (argc - next < operands.min)
                return verbs_usage(verb, "something is missing");
        if (argc - next > operands.max)
                return verbs_usage(verb, "too many words");
        *ret_next = next;
        return VERBS_GO_ON;
}

/* ---- the shortest verbs ---------------------------------------------------------------------- */

/* A control method without parameters. */
static int call_plain(struct ctl *ctl, const char *method, struct ctl_value *ret_value)
{
        struct proto_builder params;
        int r;

        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r != CTL_DONE)
                return r;
        proto_builder_init(&params, CTL_PARAMS_MAX);
        proto_put_array(&params, 0);
        r = ctl_call(ctl, method, &params, NULL, ret_value);
        proto_builder_deinit(&params);
        return r;
}

static int verb_status(struct ctl *ctl, const struct verb *verb, int argc, char **argv)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int next, r;

        r = verbs_begin(verb, argc, argv, (struct verbs_operands){0, 0}, &next);
        if (r != VERBS_GO_ON)
                return r;
        r = call_plain(ctl, "vmreq.status", &value);
        if (r != CTL_DONE)
                return r;
        if (ctl->options.json == OPTIONS_TEXT)
                status_render(stdout, value.root);
        else
                r = ctl_print(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}

static int verb_ping(struct ctl *ctl, const struct verb *verb, int argc, char **argv)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int next, r;

        r = verbs_begin(verb, argc, argv, (struct verbs_operands){0, 0}, &next);
        if (r != VERBS_GO_ON)
                return r;
        r = call_plain(ctl, "vmreq.ping", &value);
        if (r == CTL_DONE)
                r = ctl_print(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}
