/* SPDX-License-Identifier: MIT */
/*
 * The table of verbs with their options, their help, and the way into one: options read, operands
 * counted.  Called by main, and by the verb 'shell' for each line.  A verb sets its patience,
 * connects, calls, prints; what it returns is the exit status.
 */

#include <stdio.h>
#include <string.h>

#include "client/ctl.h"
#include "client/verbs.h"
#include "client/words.h"

#define AT(field) offsetof(struct verb_options, field)
#define CPU_WORDS "any any-queue all all-reverse"
#define ROW_END                                                                                    \
        {                                                                                          \
                NULL, 0, 0, 0, NULL, NULL, NULL                                                    \
        }

/* What calls and requests have in common. */
#define WHERE_AND_HOW                                                                              \
        {"cpu",                                                                                    \
         0,                                                                                        \
         OPTION_CPU,                                                                               \
         AT(cpu),                                                                                  \
         "N",                                                                                      \
         CPU_WORDS,                                                                                \
         "the vCPU, or any, any-queue, all, all-reverse"},                                         \
                {"parallel",                                                                       \
                 0,                                                                                \
                 OPTION_FLAG,                                                                      \
                 AT(parallel),                                                                     \
                 NULL,                                                                             \
                 NULL,                                                                             \
                 "to all vCPUs at once, not one after the other"},                                 \
                {"on-error",                                                                       \
                 0,                                                                                \
                 OPTION_CHOICE,                                                                    \
                 AT(on_error),                                                                     \
                 "WHAT",                                                                           \
                 "stop continue",                                                                  \
                 "of a call to all: stop (default) or continue"},                                  \
                {"priority", 0, OPTION_FLAG, AT(priority), NULL, NULL, "use the priority lane"},   \
                {"poke", 0, OPTION_FLAG, AT(poke), NULL, NULL, "interrupt the guest at once"},     \
                {"key",                                                                            \
                 0,                                                                                \
                 OPTION_TEXT,                                                                      \
                 AT(key),                                                                          \
                 "KEY",                                                                            \
                 NULL,                                                                             \
                 "a repeat under the same key gets the first one's result"},                       \
        {                                                                                          \
                "no-wait", 0, OPTION_FLAG, AT(no_wait), NULL, NULL,                                \
                        "only have it accepted; nobody waits for its result"                       \
        }

static const struct option_row call_rows[] = {
        WHERE_AND_HOW,
        {"stream", 0, OPTION_FLAG, AT(stream), NULL, NULL, "show rows and chunks as they come"},
        {"no-stream", 0, OPTION_FLAG, AT(no_stream), NULL, NULL, "all of the result at its end"},
        {"detach", 0, OPTION_FLAG, AT(detach), NULL, NULL, "it goes on when vmreqctl ends"},
        {"timing", 0, OPTION_FLAG, AT(timing), NULL, NULL, "show how long it waited and ran"},
        ROW_END,
};

static const struct option_row submit_rows[] = {WHERE_AND_HOW, ROW_END};

static const struct option_row describe_rows[] = {
        {"markdown", 0, OPTION_FLAG, AT(markdown), NULL, NULL,
         "a reference of all symbols that match"},
        ROW_END,
};

static const struct option_row ps_rows[] = {
        {"limit", 0, OPTION_NUMBER, AT(limit), "N", NULL, "at most so many; default 100"},
        {"all", 0, OPTION_FLAG, AT(all), NULL, NULL, "all of them"},
        {"symbol", 0, OPTION_TEXT, AT(symbol), "GLOB", NULL, "only of these functions"},
        {"state", 0, OPTION_CHOICE, AT(state), "STATE", "queued running", "only in this state"},
        {"uid", 0, OPTION_NUMBER, AT(uid), "UID", NULL, "only of this user"},
        {"cpu", 0, OPTION_CPU, AT(cpu), "N", CPU_WORDS, "only for this vCPU"},
        ROW_END,
};

static const struct option_row stats_rows[] = {
        {"openmetrics", 0, OPTION_FLAG, AT(openmetrics), NULL, NULL, "as OpenMetrics text"},
        ROW_END,
};

static const struct option_row watch_rows[] = {
        {"count", 0, OPTION_NUMBER, AT(count), "N", NULL, "end after so many changes"},
        ROW_END,
};

static const struct option_row console_rows[] = {
        {"escape", 'e', OPTION_TEXT, AT(escape), "KEY", NULL,
         "the key that leaves: ^] (default), ^A, any one character, or none"},
        {"stay", 0, OPTION_FLAG, AT(stay), NULL, NULL, "stay when the VM is off or has failed"},
        {"hang-up", 0, OPTION_FLAG, AT(hang_up), NULL, NULL,
         "leave when all of the input has been typed"},
        ROW_END,
};

static const struct option_row dump_rows[] = {
        {"no-suspend", 0, OPTION_FLAG, AT(no_suspend), NULL, NULL,
         "refuse a VM that runs, instead of suspending it for the time"},
        ROW_END,
};

static const struct option_row stdio_rows[] = {
        {"hang-up", 0, OPTION_FLAG, AT(hang_up), NULL, NULL,
         "the end of the input is the end of the client"},
        ROW_END,
};

static const struct option_row bench_rows[] = {
        {"clients", 0, OPTION_NUMBER, AT(clients), "N", NULL, "connections; default 1"},
        {"depth", 0, OPTION_NUMBER, AT(depth), "N", NULL, "calls in flight on each; default 1"},
        {"seconds", 0, OPTION_NUMBER, AT(seconds), "N", NULL, "for so long; default 5"},
        {"calls", 0, OPTION_NUMBER, AT(calls), "N", NULL, "so many calls, instead"},
        {"histogram", 0, OPTION_FLAG, AT(histogram), NULL, NULL, "show how often it took how long"},
        ROW_END,
};

static const char call_notes[] =
        "Options end at SYMBOL, so that an ARGUMENT may begin with a dash.  Arguments are\n"
        "read by the types that 'vmreqctl describe SYMBOL' shows: 42, 0x2a, text; bytes\n"
        "as hex or @FILE; any, array and map as JSON.  NAME=VALUE gives one by its name.\n"
        "Ctrl-C cancels the call and says what became of it; a second one leaves.\n";

static const char bench_notes[] =
        "Without SYMBOL: vmreq.ping, which the daemon answers itself.  ARGUMENTS as for 'call'.\n"
        "Ctrl-C ends it, and shows what was measured until then.\n";

static const char watch_notes[] =
        "Topics: vm.state, emt.stuck, request, console.  Without one: the first three.\n";

static const char console_notes[] =
        "At a terminal Ctrl-] leaves, and every other key goes to the guest, Ctrl-C too.\n"
        "What the guest writes is not cleaned: it drives the terminal, as a console does.\n";

static const char dump_notes[] =
        "FILE is an ELF core, for gdb and readelf; '-' is standard output.  It appears when\n"
        "it is complete.  A VM that runs is suspended meanwhile, and resumed.\n";

static const char shell_notes[] =
        "Each line is a verb and its words, or a symbol and its arguments; quotes and\n"
        "backslashes as in sh.  Tab completes; 'exit' or the end of the input leaves.\n";

const struct verb verbs[] = {
        {"list", "", "list the VMs of this host", NULL, 0, 0, false, verb_list, NULL},
        {"call", " [OPTION...] SYMBOL [ARGUMENT...]",
         "call a function on the VM's emulation threads", call_rows, 1, -1, true, verb_call,
         call_notes},
        {"submit", " [OPTION...] SYMBOL [ARGUMENT...]",
         "have a call accepted, for 'wait' to collect its result", submit_rows, 1, -1, true,
         verb_submit, call_notes},
        {"wait", " REQUEST", "wait for a request's result", NULL, 1, 1, false, verb_wait, NULL},
        {"cancel", " REQUEST", "cancel a request", NULL, 1, 1, false, verb_cancel, NULL},
        {"release", " REQUEST", "drop a request's result", NULL, 1, 1, false, verb_release, NULL},
        {"symbols", " [GLOB]", "list what can be called", NULL, 0, 1, false, verb_symbols, NULL},
        {"describe", " SYMBOL | --markdown [GLOB]",
         "show a function's parameters and documentation", describe_rows, 0, 1, false,
         verb_describe, NULL},
        {"status", "", "show the VM and what its emulation threads do", NULL, 0, 0, false,
         verb_status, NULL},
        {"ps", " [OPTION...]", "list the requests that are queued or run", ps_rows, 0, 0, false,
         verb_ps, NULL},
        {"why", " REQUEST", "show what a request waits for", NULL, 1, 1, false, verb_why, NULL},
        {"stats", " [--openmetrics]", "show counters and times", stats_rows, 0, 0, false,
         verb_stats, NULL},
        {"watch", " [OPTION...] [TOPIC...]", "show what happens, as it happens", watch_rows, 0, -1,
         false, verb_watch, watch_notes},
        {"wait-state", " STATE...", "wait until the VM is in a state", NULL, 1, -1, false,
         verb_wait_state, NULL},
        {"console", " [OPTION...]", "the guest's serial console, to read and to type", console_rows,
         0, 0, false, verb_console, console_notes},
        {"dump", " [--no-suspend] FILE", "write the guest's memory and registers to a core file",
         dump_rows, 1, 1, false, verb_dump, dump_notes},
        {"bench", " [OPTION...] [SYMBOL [ARGUMENT...]]",
         "call a function again and again, and see how long it takes", bench_rows, 0, -1, true,
         verb_bench, bench_notes},
        {"ping", "", "see whether the daemon answers", NULL, 0, 0, false, verb_ping, NULL},
        {"load", " MODULE", "load a module", NULL, 1, 1, false, verb_load, NULL},
        {"unload", " MODULE", "unload a module when its calls have ended", NULL, 1, 1, false,
         verb_unload, NULL},
        {"modules", "", "list the modules", NULL, 0, 0, false, verb_modules, NULL},
        {"shell", "", "a prompt with history and completion", NULL, 0, 0, false, verb_shell,
         shell_notes},
        {"stdio", " [--hang-up]", "pass bytes between the socket and standard input and output",
         stdio_rows, 0, 0, false, verb_stdio, NULL},
        {"help", " [VERB]", "show this, or how a verb is used", NULL, 0, 1, false, verb_help, NULL},
        {"complete", " [WORD...]", NULL, NULL, 0, -1, true, verb_complete, NULL},
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

int verbs_unknown(const char *name)
{
        const char *names[sizeof(verbs) / sizeof(verbs[0])];
        const char *nearest;
        size_t n = 0;

        for (size_t i = 0; i < n_verbs; i++) {
                if (verbs[i].summary)
                        names[n++] = verbs[i].name;
        }
        if (name) {
                fprintf(stderr, "vmreqctl: unknown verb '%.80s'", name);
                nearest = words_nearest(name, names, n);
                if (nearest)
                        fprintf(stderr, "; did you mean '%s'?", nearest);
                else if (strchr(name, '.'))
                        fprintf(stderr, "; did you mean 'call %.64s'?", name);
                fprintf(stderr, "; there are:");
        } else {
                fprintf(stderr, "vmreqctl: which verb?  There are:");
        }
        for (size_t i = 0; i < n; i++)
                fprintf(stderr, " %s", names[i]);
        fprintf(stderr, name ? "\n" : "; see 'vmreqctl --help'\n");
        return CTL_USAGE;
}

bool verbs_read_id(const char *verb, const char *word, uint64_t *ret_id)
{
        struct words_integer integer;

        if (words_integer(word, &integer) && !integer.negative) {
                *ret_id = integer.magnitude;
                return true;
        }
        fprintf(stderr,
                "vmreqctl: %s: '%.40s' is not a request's number; 'vmreqctl ps' shows them\n", verb,
                word);
        return false;
}

/* ---- help ------------------------------------------------------------------------------------ */

static void print_all(void)
{
        printf("usage: vmreqctl [OPTION...] VERB [...]\n\n");
        for (size_t i = 0; i < n_verbs; i++) {
                if (verbs[i].summary)
                        printf("  %-10s %s\n", verbs[i].name, verbs[i].summary);
        }
        printf("\n");
        options_print_help(options_global);
        printf("\n'vmreqctl VERB --help' says more, and so does man vmreqctl.\n");
}

void verbs_print_help(const struct verb *verb)
{
        if (!verb) {
                print_all();
                return;
        }
        printf("usage: vmreqctl [OPTION...] %s%s\n\n%s\n\n", verb->name, verb->operands,
               verb->summary ? verb->summary : "for the completion of shells");
        if (verb->rows) {
                options_print_help(verb->rows);
                printf("\n");
        }
        options_print_help(options_global);
        if (verb->notes)
                printf("\n%s", verb->notes);
}

void verbs_print_version(void)
{
        printf("vmreqctl %s\n", VMREQ_VERSION);
}

int verb_help(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        const struct verb *verb = argc > 0 ? verbs_find(argv[0]) : NULL;

        (void)ctl;
        (void)options;
        if (argc > 0 && !verb)
                return verbs_unknown(argv[0]);
        verbs_print_help(verb);
        return CTL_DONE;
}

/* ---- running --------------------------------------------------------------------------------- */

static int usage(const struct verb *verb, const char *complaint)
{
        fprintf(stderr, "vmreqctl: %s: %s; usage: vmreqctl [OPTION...] %s%s\n", verb->name,
                complaint, verb->name, verb->operands);
        return CTL_USAGE;
}

int verbs_run(struct ctl *ctl, const struct verb *verb, int argc, char **argv)
{
        struct verb_options options;
        int next;

        if (!options_parse_verb(argc, argv, verb->rows, verb->strict, &ctl->options, &options,
                                &next))
                return CTL_USAGE;
        if (ctl->options.help || ctl->options.version) {
                if (ctl->options.help)
                        verbs_print_help(verb);
                else
                        verbs_print_version();
                return CTL_DONE;
        }
        if (argc - next < verb->min)
                return usage(verb, "something is missing");
        if (verb->max >= 0 && argc - next > verb->max)
                return usage(verb, "too many words");
        return verb->run(ctl, &options, argc - next, argv + next);
}
