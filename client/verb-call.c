/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl call': describe the symbol, read the words by its types, call it, show what came back;
 * and 'submit', which does the same up to where the request is accepted.
 *
 *   1. The description comes first, so a symbol that may not be called is NOT_FOUND before any file
 *      named by an argument is read.
 *   2. Two limits, one after the other: until the description is there, and then, begun anew, for
 *      the call itself, whose deadline counts from when the daemon has it.
 *   3. --no-wait is vmreq.submit with no_wait, a request, because a notification could not be
 *      refused.
 *   4. A request that 'submit' makes is detached: vmreqctl ends, and 'wait' is another vmreqctl.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/args.h"
#include "client/ctl.h"
#include "client/fields.h"
#include "client/names.h"
#include "client/report.h"
#include "client/rows.h"
#include "client/running.h"
#include "client/verbs.h"

#define TIMEOUT_MS 30000 /* the daemon's default; protocol */

struct call {
        const struct verb_options *options;
        const char *symbol;
        char *const *words;
        size_t n_words;
        const struct proto_value *description;
};

/* ---- what goes out --------------------------------------------------------------------------- */

static bool has_flag(const struct proto_value *description, const char *name)
{
        const struct proto_value *flags = field_array(description, "flags");

        for (uint32_t i = 0; flags && i < flags->count; i++) {
                if (proto_value_is_text(&flags->items[i], name))
                        return true;
        }
        return false;
}

static int32_t cpu_of(const struct options_cpu *cpu)
{
        static const struct {
                const char *name;
                int32_t cpu;
        } names[] = {
                {"any", VMREQ_CLIENT_CPU_ANY},
                {"any-queue", VMREQ_CLIENT_CPU_ANY_QUEUE},
                {"all", VMREQ_CLIENT_CPU_ALL},
                {"all-reverse", VMREQ_CLIENT_CPU_ALL_REVERSE},
        };

        if (!cpu->set)
                return VMREQ_CLIENT_CPU_REGISTERED;
        for (size_t i = 0; cpu->value.name && i < sizeof(names) / sizeof(names[0]); i++) {
                if (strcmp(cpu->value.name, names[i].name) == 0)
                        return names[i].cpu;
        }
        return (int32_t)cpu->value.number;
}

/* Does it answer with rows? */
static bool is_broadcast(const struct call *call)
{
        const struct options_cpu *cpu = &call->options->cpu;
        struct field_text registered = field_text(call->description, "cpu");

        if (cpu->set)
                return cpu->value.name &&
                       words_cpu_is_broadcast(cpu->value.name, strlen(cpu->value.name));
        return words_cpu_is_broadcast(registered.data, registered.len);
}

/* A generator's pieces are shown as they come, unless the whole was asked for. */
static bool streams(const struct ctl *ctl, const struct call *call)
{
        if (call->options->stream || call->options->no_stream)
                return call->options->stream;
        return ctl->options.json == OPTIONS_TEXT && has_flag(call->description, "streaming");
}

static struct vmreq_client_options library_options(const struct ctl *ctl, const struct call *call)
{
        struct vmreq_client_options options = VMREQ_CLIENT_OPTIONS_INIT;
        const struct verb_options *o = call->options;
        bool go_on = o->on_error && strcmp(o->on_error, "continue") == 0;

        options.cpu = cpu_of(&o->cpu);
        options.flags =
                (o->priority ? VMREQ_CLIENT_PRIORITY : 0) | (o->poke ? VMREQ_CLIENT_POKE : 0) |
                (o->parallel ? VMREQ_CLIENT_PARALLEL : 0) | (go_on ? VMREQ_CLIENT_CONTINUE : 0) |
                (o->detach ? VMREQ_CLIENT_DETACH : 0) | (o->no_wait ? VMREQ_CLIENT_NO_WAIT : 0) |
                (o->timing ? VMREQ_CLIENT_TIMING : 0);
        options.key = o->key;
        if (ctl->options.has_timeout)
                options.timeout_ms = (int64_t)ctl->options.timeout_ms;
        return options;
}

/* The arguments as msgpack; CTL_DONE although memory or the budget ran out: that sticks. */
static int put_args(struct proto_builder *args, const struct call *call)
{
        char text[320];

        if (args_put(args, call->description, call->words, call->n_words, text, sizeof(text)) ==
            ARGS_E_INVALID)
                return report_argument(text, call->symbol);
        return CTL_DONE;
}

typedef int (*submitter)(vmreq_client *client, const char *symbol, const void *args,
                         size_t args_len, const struct vmreq_client_options *options,
                         uint32_t *ret_msgid);

static int send_call(struct ctl *ctl, const struct call *call, submitter submit,
                     const struct vmreq_client_options *options, uint32_t *ret_msgid)
{
        struct proto_builder args;
        int r;

        proto_builder_init(&args, CTL_PARAMS_MAX);
        r = put_args(&args, call);
        if (r == CTL_DONE && args.error == PROTO_BUILDER_E_BUDGET)
                r = report_client(ctl, VMREQ_CLIENT_E_TOO_LARGE);
        else if (r == CTL_DONE && args.error != PROTO_BUILDER_OK)
                r = ctl_no_memory();
        if (r == CTL_DONE) {
                r = submit(ctl->client, call->symbol, args.data, args.len, options, ret_msgid);
                r = r == 0 ? CTL_DONE : report_client(ctl, r);
        }
        proto_builder_deinit(&args);
        return r;
}

/* ---- what comes back ------------------------------------------------------------------------- */

/* The rows that were not shown when they came: SKIPPED ones never do. */
static void print_other_rows(const struct running *running, const struct proto_value *rows)
{
        for (uint32_t i = 0; i < rows->count; i++) {
                uint64_t cpu = RUNNING_ROWS_MAX;

                if (running->n_rows > 0 && field_uint(&rows->items[i], "cpu", &cpu) &&
                    cpu < RUNNING_ROWS_MAX && running->rows[cpu])
                        continue;
                rows_render_one(stdout, &rows->items[i]);
        }
}

static int print_rows(const struct ctl *ctl, const struct running *running,
                      const struct proto_value *rows, bool streamed)
{
        int r = CTL_DONE;

        if (ctl->options.json == OPTIONS_TEXT)
                print_other_rows(running, rows);
        else
                r = streamed ? ctl_print_entry(ctl, "result", rows) : ctl_print(ctl, rows);
        return r == CTL_DONE ? rows_exit(rows) : r;
}

static void put_us(FILE *out, const char *before, const struct proto_value *map, const char *key)
{
        uint64_t us;

        if (field_uint(map, key, &us))
                (void)fprintf(out, "%s%" PRIu64 ".%03" PRIu64 " ms", before, us / 1000, us % 1000);
}

/*
 * {value, cpu, queued_us, run_us}: the value where it always is, unless its pieces were shown, the
 * rest for who watches.
 */
static int print_timing(const struct ctl *ctl, const struct proto_value *result, bool shown)
{
        const struct proto_value *value = field_get(result, "value");
        uint64_t cpu;
        int r = CTL_DONE;

        if (ctl->options.json != OPTIONS_TEXT || result->type != PROTO_MAP)
                return ctl_print(ctl, result);
        if (value && !shown)
                r = rows_are(value) ? (rows_render(stdout, value), rows_exit(value))
                                    : ctl_print(ctl, value);
        (void)fflush(stdout); /* in this order also when both are one file */
        if (field_uint(result, "cpu", &cpu))
                fprintf(stderr, "cpu %" PRIu64, cpu);
        put_us(stderr, "  queued ", result, "queued_us");
        put_us(stderr, "  ran ", result, "run_us");
        fputc('\n', stderr);
        return r;
}

static int print_result(const struct ctl *ctl, const struct call *call,
                        const struct running *running, const struct proto_value *result)
{
        bool streamed = streams(ctl, call);

        if (result->type == PROTO_ARRAY && is_broadcast(call))
                return print_rows(ctl, running, result, streamed);
        if (call->options->timing)
                return print_timing(ctl, result, running->n_chunks > 0);
        if (streamed && ctl->options.json != OPTIONS_TEXT)
                return ctl_print_entry(ctl, "result", result);
        if (running->n_chunks > 0)
                return CTL_DONE; /* it is their number */
        return ctl_print(ctl, result);
}

static int print_request(const struct ctl *ctl, const struct proto_value *id, bool no_wait)
{
        if (ctl->options.json != OPTIONS_TEXT)
                return ctl_print_entry(ctl, "request", id);
        if (!no_wait)
                return ctl_print(ctl, id);
        if (id->type != PROTO_UINT)
                printf("accepted; nobody waits for its result\n");
        else
                printf("accepted, request %" PRIu64 "; nobody waits for its result\n", id->u);
        return CTL_DONE;
}

/* ---- the two ways ---------------------------------------------------------------------------- */

/* As a request: done when it is accepted. */
static int request(struct ctl *ctl, const struct call *call,
                   const struct vmreq_client_options *options)
{
        struct ctl_value value = CTL_VALUE_NULL;
        uint32_t msgid;
        int r;

        ctl_set_patience(ctl, 0);
        r = send_call(ctl, call, vmreq_client_submit_request, options, &msgid);
        if (r == CTL_DONE)
                r = ctl_wait(ctl, msgid, &value);
        if (r != CTL_DONE)
                return r;
        if (value.answer.failed)
                r = report_answer(&value.answer, call->symbol);
        else
                r = print_request(ctl, value.root, call->options->no_wait);
        ctl_value_deinit(&value);
        return r;
}

/* The daemon's own limit, so that it is the one who says that it passed. */
static void set_call_patience(struct ctl *ctl, const struct call *call)
{
        uint64_t timeout_ms = 0;

        (void)field_uint(call->description, "timeout_ms", &timeout_ms); /* 0 if it has none */
        if (timeout_ms > WORDS_MS_MAX)
                timeout_ms = WORDS_MS_MAX;
        ctl_set_patience(ctl, timeout_ms > TIMEOUT_MS ? timeout_ms : TIMEOUT_MS);
}

static int call_and_wait(struct ctl *ctl, const struct call *call,
                         struct vmreq_client_options *options)
{
        struct running running = {.symbol = call->symbol, .detached = call->options->detach};
        struct ctl_value value = CTL_VALUE_NULL;
        int r;

        if (streams(ctl, call))
                options->flags |= VMREQ_CLIENT_STREAM;
        set_call_patience(ctl, call);
        r = send_call(ctl, call, vmreq_client_submit_call, options, &running.msgid);
        if (r != CTL_DONE)
                return r;
        ctl->calling = true;
        r = running_wait(ctl, &running, &value);
        ctl->calling = false;
        if (r != CTL_DONE)
                return r;
        if (value.answer.failed)
                r = report_answer(&value.answer, call->symbol);
        else
                r = print_result(ctl, call, &running, value.root);
        ctl_value_deinit(&value);
        return r;
}

/* ---- the verbs ------------------------------------------------------------------------------- */

static void note_sensitive(struct ctl *ctl, const struct proto_value *description)
{
        const struct proto_value *params = field_array(description, "params");

        ctl->sensitive = false;
        for (uint32_t i = 0; params && i < params->count; i++)
                ctl->sensitive |= field_true(&params->items[i], "sensitive");
}

static int begin(struct ctl *ctl, const struct verb_options *options, char **argv, bool detach)
{
        struct ctl_value description = CTL_VALUE_NULL;
        struct vmreq_client_options library;
        struct call call = {.options = options, .symbol = argv[0], .words = argv + 1};
        int r;

        while (call.words[call.n_words])
                call.n_words++;
        ctl_set_patience(ctl, TIMEOUT_MS);
        r = ctl_connect(ctl);
        if (r == CTL_DONE)
                r = names_describe(ctl, call.symbol, &description);
        if (r != CTL_DONE)
                return r;
        call.description = description.root;
        note_sensitive(ctl, description.root);
        library = library_options(ctl, &call);
        if (detach && !options->no_wait)
                library.flags |= VMREQ_CLIENT_DETACH;
        r = detach || options->no_wait ? request(ctl, &call, &library)
                                       : call_and_wait(ctl, &call, &library);
        ctl_value_deinit(&description);
        return r;
}

static int conflict(const char *text)
{
        fprintf(stderr, "vmreqctl: call: %s\n", text);
        return CTL_USAGE;
}

int verb_call(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        (void)argc;
        if (options->stream && options->no_stream)
                return conflict("--stream and --no-stream exclude each other");
        if (options->no_wait && (options->stream || options->timing))
                return conflict("--no-wait leaves no result for --stream or --timing");
        return begin(ctl, options, argv, false);
}

int verb_submit(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        (void)argc;
        return begin(ctl, options, argv, true);
}
