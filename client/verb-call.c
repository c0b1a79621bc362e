/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl call': describe the symbol, read the words by its types, call it, show what came back.
 *
 *   1. The description comes first, so a symbol that may not be called is NOT_FOUND before any file
 *      named by an argument is read.
 *   2. Two limits, one after the other: until the description is there, and then, begun anew, for
 *      the call itself, whose deadline counts from when the daemon has it.
 *   3. --no-wait is vmreq.submit with no_wait, a request, because a notification could not be
 *      refused.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/args.h"
#include "client/ctl.h"
#include "client/fields.h"
#include "client/options.h"
#include "client/report.h"
#include "client/rows.h"
#include "client/verbs.h"

#define TIMEOUT_MS 30000 /* the daemon's default; protocol */

struct call {
        struct options_call options;
        const char *symbol;
        char *const *words;
        size_t n_words;
};

static int fetch_description(struct ctl *ctl, const char *symbol, struct ctl_value *ret_value)
{
        struct proto_builder params;
        int r;

        proto_builder_init(&params, CTL_PARAMS_MAX);
        proto_put_array(&params, 1);
        proto_put_text(&params, symbol);
        r = ctl_call(ctl, "vmreq.describe", &params, symbol, ret_value);
        proto_builder_deinit(&params);
        return r;
}

static void put_flag(struct proto_builder *params, const char *name, bool set)
{
        if (!set)
                return;
        proto_put_text(params, name);
        proto_put_bool(params, true);
}

/* Only what was asked for: the rest stays as registered. */
static void put_options(struct proto_builder *params, const struct options_call *call,
                        const struct options *global)
{
        proto_put_map(params, (uint32_t)call->has_cpu + call->priority + call->poke +
                                      call->no_wait + global->has_timeout);
        if (call->has_cpu) {
                proto_put_text(params, "cpu");
                if (call->cpu.name)
                        proto_put_text(params, call->cpu.name);
                else
                        proto_put_uint(params, call->cpu.number);
        }
        put_flag(params, "priority", call->priority);
        put_flag(params, "poke", call->poke);
        put_flag(params, "no_wait", call->no_wait);
        if (global->has_timeout) {
                proto_put_text(params, "timeout_ms");
                proto_put_uint(params, global->timeout_ms);
        }
}

/* [symbol, args, options] */
static int put_params(struct proto_builder *params, const struct ctl *ctl, const struct call *call,
                      const struct proto_value *description)
{
        char text[320];

        proto_put_array(params, 3);
        proto_put_text(params, call->symbol);
        switch (args_put(params, description, call->words, call->n_words, text, sizeof(text))) {
        case ARGS_OK:
                break;
        case ARGS_E_INVALID:
                return report_argument(text, call->symbol);
        case ARGS_E_TOO_LARGE:
        case ARGS_E_MEMORY:
                return CTL_DONE; /* sticks to the builder; ctl_submit says so */
        }
        put_options(params, &call->options, &ctl->options);
        return CTL_DONE;
}

/* Does the call answer with rows? */
static bool is_broadcast(const struct options_call *options, const struct proto_value *description)
{
        struct field_text cpu;

        if (options->has_cpu)
                return options->cpu.name &&
                       words_cpu_is_broadcast(options->cpu.name, strlen(options->cpu.name));
        cpu = field_text(description, "cpu");
        return words_cpu_is_broadcast(cpu.data, cpu.len);
}

static int print_rows(const struct ctl *ctl, const struct proto_value *rows)
{
        int r = CTL_DONE;

        if (ctl->options.json == OPTIONS_TEXT)
                rows_render(stdout, rows);
        else
                r = ctl_print(ctl, rows);
        return r == CTL_DONE ? rows_exit(rows) : r;
}

static int print_request(const struct ctl *ctl, const struct proto_value *id)
{
        struct proto_value pair[2] = {{.type = PROTO_STR, .count = 7, .data = "request"}, *id};
        struct proto_value map = {.type = PROTO_MAP, .count = 1, .items = pair};

        if (ctl->options.json != OPTIONS_TEXT)
                return ctl_print(ctl, &map);
        if (id->type != PROTO_UINT)
                printf("accepted; nobody waits for its result\n");
        else
                printf("accepted, request %" PRIu64 "; nobody waits for its result\n", id->u);
        return CTL_DONE;
}

static int call_described(struct ctl *ctl, const struct call *call,
                          const struct proto_value *description)
{
        const char *method = call->options.no_wait ? "vmreq.submit" : "vmreq.call";
        struct ctl_value value = CTL_VALUE_NULL;
        uint64_t timeout_ms = 0;
        struct proto_builder params;
        int r;

        proto_builder_init(&params, CTL_PARAMS_MAX);
        r = put_params(&params, ctl, call, description);
        if (r == CTL_DONE) {
                (void)field_uint(description, "timeout_ms", &timeout_ms); /* 0 if it has none */
                if (timeout_ms > WORDS_MS_MAX)
                        timeout_ms = WORDS_MS_MAX;
                ctl_set_patience(ctl, timeout_ms > TIMEOUT_MS ? timeout_ms : TIMEOUT_MS);
                ctl->calling = true;
                r = ctl_call(ctl, method, &params, call->symbol, &value);
        }
        proto_builder_deinit(&params);
        if (r != CTL_DONE)
                return r;
        if (call->options.no_wait)
                r = print_request(ctl, value.root);
        else if (value.root->type == PROTO_ARRAY && is_broadcast(&call->options, description))
                r = print_rows(ctl, value.root);
        else
                r = ctl_print(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}

int verb_call(struct ctl *ctl, const struct verb *verb, int argc, char **argv)
{
        struct ctl_value description = CTL_VALUE_NULL;
        struct call call;
        int next, r;

        if (!options_parse_call(argc, argv, &call.options, &next))
                return CTL_USAGE;
        if (call.options.help || call.options.version) {
                if (call.options.help)
                        verbs_print_help(verb);
                else
                        verbs_print_version();
                return CTL_DONE;
        }
        if (next >= argc)
                return verbs_usage(verb, "which symbol? ('vmreqctl symbols' lists them)");
        call.symbol = argv[next];
        call.words = argv + next + 1;
        call.n_words = (size_t)(argc - next - 1);

        ctl_set_patience(ctl, TIMEOUT_MS);
        r = ctl_connect(ctl);
        if (r == CTL_DONE)
                r = fetch_description(ctl, call.symbol, &description);
        if (r == CTL_DONE)
                r = call_described(ctl, &call, description.root);
        ctl_value_deinit(&description);
        return r;
}
