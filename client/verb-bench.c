/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl bench': how many calls of a symbol a second, and how long each takes.
 *
 * One call first, alone: what is wrong with it is said as by 'call'.  Then connections as wanted,
 * in one thread over poll(), each of which keeps so many calls in flight, until the time is over or
 * the calls are spent or Ctrl-C is pressed; then what is still in flight is waited for.  A call
 * that fails is counted by the name of its error, and the rest goes on.
 */

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/args.h"
#include "client/await.h"
#include "client/ctl.h"
#include "client/names.h"
#include "client/render.h"
#include "client/report.h"
#include "client/tally.h"
#include "client/verbs.h"

#define CLIENTS_MAX 1000
#define DEPTH_MAX   1000 /* the library's own bound is 1024 */
#define SECONDS     5
#define SECONDS_MAX 86400
#define CALLS_MAX   UINT64_C(1000000000000)
#define TIMEOUT_MS  30000
#define NS_PER_S    UINT64_C(1000000000)
#define ROUNDS_MAX  4
#define PING        "vmreq.ping"

struct flight {
        uint32_t msgid;
        uint64_t sent_ns;
};

struct connection {
        vmreq_client *client;
        struct flight *flights; /* [depth] */
        uint32_t n_flights;
        bool again; /* answers were taken, and their places are not filled yet */
};

struct bench {
        struct ctl *ctl;
        const char *symbol; /* NULL: vmreq.ping */
        struct proto_builder args;
        struct vmreq_client_options library;
        uint64_t calls_max, until_ns;

        struct connection *connections;
        struct flight *flights;
        struct pollfd *pollfds; /* the connections', then the signals' */
        struct await await;

        uint64_t began_ns, n_sent;
        bool over, interrupted;
        uint32_t first_code; /* of the first failure */
        struct tally tally;
};

/* ---- calls ----------------------------------------------------------------------------------- */

static int submit(struct bench *bench, vmreq_client *client, uint32_t *ret_msgid)
{
        if (!bench->symbol)
                return vmreq_client_submit(client, PING, "\x90", 1, ret_msgid);
        return vmreq_client_submit_call(client, bench->symbol, bench->args.data, bench->args.len,
                                        &bench->library, ret_msgid);
}

static int lost(const struct connection *connection, int result)
{
        const char *why = vmreq_client_reason(connection->client);

        fprintf(stderr, "vmreqctl: bench: ");
        if (why[0] == '\0')
                why = vmreq_client_outcome_name(result);
        render_clean(stderr, why, strlen(why), true);
        fputc('\n', stderr);
        return CTL_LOST;
}

static void note_answer(struct bench *bench, struct connection *connection,
                        const struct vmreq_client_answer *answer, uint64_t now)
{
        for (uint32_t i = 0; i < connection->n_flights; i++) {
                struct flight *flight = &connection->flights[i];

                if (flight->msgid != answer->msgid)
                        continue;
                bench->tally.took_ns = now - bench->began_ns;
                if (!answer->failed) {
                        tally_note_result(&bench->tally, now - flight->sent_ns);
                } else {
                        if (bench->tally.n_failed == 0)
                                bench->first_code = answer->code;
                        tally_note_failure(&bench->tally,
                                           answer->name[0] ? answer->name : "UNKNOWN");
                }
                *flight = connection->flights[--connection->n_flights];
                return;
        }
}

/* What has come. */
static int take_answers(struct bench *bench, struct connection *connection)
{
        struct vmreq_client_answer answer;
        uint64_t now = 0;
        int r;

        connection->again = false;
        while ((r = vmreq_client_next(connection->client, 0, &answer)) == 0) {
                if (now == 0)
                        now = ctl_now(); /* all of them were here by then */
                connection->again = true;
                if (answer.kind == VMREQ_CLIENT_REPLY)
                        note_answer(bench, connection, &answer, now);
                vmreq_client_answer_deinit(&answer);
        }
        if (r == VMREQ_CLIENT_E_TIMEOUT || r == VMREQ_CLIENT_E_NOTHING)
                return CTL_DONE;
        return lost(connection, r);
}

/* As many as are wanted, and out with them. */
static int send_calls(struct bench *bench, struct connection *connection)
{
        uint64_t now = ctl_now();
        int r = 0;

        if (now >= bench->until_ns || bench->n_sent >= bench->calls_max)
                bench->over = true;
        while (!bench->over && connection->n_flights < bench->tally.depth) {
                struct flight *flight = &connection->flights[connection->n_flights];

                r = submit(bench, connection->client, &flight->msgid);
                if (r == VMREQ_CLIENT_E_BUSY)
                        break; /* its buffer is full: when there is room again */
                if (r != 0)
                        return lost(connection, r);
                flight->sent_ns = now;
                connection->n_flights++;
                if (++bench->n_sent >= bench->calls_max)
                        bench->over = true;
        }
        r = vmreq_client_process(connection->client);
        return r == 0 ? CTL_DONE : lost(connection, r);
}

/* Sends, which also reads, and only then takes: so nothing that was read is left when it returns.
 * A few rounds, then it is the others' turn. */
static int serve(struct bench *bench, struct connection *connection)
{
        int r;

        for (unsigned round = 0; round < ROUNDS_MAX; round++) {
                r = send_calls(bench, connection);
                if (r == CTL_DONE)
                        r = take_answers(bench, connection);
                if (r != CTL_DONE || !connection->again)
                        return r;
        }
        return CTL_DONE;
}

/* ---- the run --------------------------------------------------------------------------------- */

static bool is_done(const struct bench *bench)
{
        return bench->interrupted || (bench->over && bench->tally.n_done == bench->n_sent);
}

/* In ms, until the time is over; then until nobody is waited for any more. */
static int patience(const struct bench *bench)
{
        uint64_t now = ctl_now(), end = bench->over ? bench->ctl->deadline_ns : bench->until_ns;

        if (end == UINT64_MAX)
                return -1;
        return now >= end ? 0 : ctl_poll_ms(end - now);
}

static int one_turn(struct bench *bench)
{
        bool was_over = bench->over, again = false;
        int r = CTL_DONE;

        for (uint32_t i = 0; i < bench->tally.n_clients; i++) {
                const struct connection *connection = &bench->connections[i];

                again |= connection->again;
                bench->pollfds[i] =
                        (struct pollfd){.fd = vmreq_client_fd(connection->client),
                                        .events = vmreq_client_events(connection->client)};
        }
        bench->pollfds[bench->tally.n_clients] =
                (struct pollfd){.fd = bench->await.signals, .events = POLLIN};
        if (poll(bench->pollfds, bench->tally.n_clients + 1, again ? 0 : patience(bench)) < 0)
                return CTL_DONE; /* by a signal: once more */
        bench->interrupted = bench->pollfds[bench->tally.n_clients].revents != 0;
        for (uint32_t i = 0; i < bench->tally.n_clients && r == CTL_DONE; i++) {
                if (!bench->pollfds[i].revents && !bench->connections[i].again)
                        continue;
                r = serve(bench, &bench->connections[i]);
        }
        if (ctl_now() >= bench->until_ns)
                bench->over = true;
        if (bench->over && !was_over)
                ctl_set_patience(bench->ctl, TIMEOUT_MS);
        if (r == CTL_DONE && was_over && !is_done(bench) && ctl_left(bench->ctl) == 0) {
                fprintf(stderr, "vmreqctl: bench: %" PRIu64 " calls were not answered\n",
                        bench->n_sent - bench->tally.n_done);
                r = CTL_TIMEOUT;
        }
        return r;
}

static int run(struct bench *bench)
{
        int r = CTL_DONE;

        bench->began_ns = ctl_now();
        bench->until_ns =
                bench->until_ns == UINT64_MAX ? UINT64_MAX : bench->began_ns + bench->until_ns;
        for (uint32_t i = 0; i < bench->tally.n_clients && r == CTL_DONE; i++)
                r = serve(bench, &bench->connections[i]);
        while (r == CTL_DONE && !is_done(bench))
                r = one_turn(bench);
        return r;
}

/* ---- before and after ------------------------------------------------------------------------ */

static int connect_all(struct bench *bench)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        char text[512];

        config.name = "vmreqctl bench";
        config.version = VMREQ_VERSION;
        bench->connections[0].client = bench->ctl->client;
        for (uint32_t i = 0; i < bench->tally.n_clients; i++)
                bench->connections[i].flights = &bench->flights[(size_t)i * bench->tally.depth];
        for (uint32_t i = 1; i < bench->tally.n_clients; i++) {
                int r = vmreq_client_connect(bench->ctl->socket, &config,
                                             &bench->connections[i].client, text, sizeof(text));

                if (r != 0)
                        return report_connect(bench->ctl, r, text);
        }
        return CTL_DONE;
}

static int prepare(struct bench *bench)
{
        bench->connections = calloc(bench->tally.n_clients, sizeof(*bench->connections));
        bench->flights = calloc((size_t)bench->tally.n_clients * bench->tally.depth,
                                sizeof(*bench->flights));
        bench->pollfds = calloc((size_t)bench->tally.n_clients + 1, sizeof(*bench->pollfds));
        if (!bench->connections || !bench->flights || !bench->pollfds)
                return ctl_no_memory();
        return connect_all(bench);
}

static void clean_up(struct bench *bench)
{
        struct connection *first = bench->connections;

        for (uint32_t i = 1; bench->connections && i < bench->tally.n_clients; i++)
                (void)vmreq_client_free(bench->connections[i].client);
        /* The first one is also the shell's: what it has in flight is nobody's any more. */
        for (uint32_t i = 0; first && i < first->n_flights; i++)
                (void)vmreq_client_forget(first->client, first->flights[i].msgid);
        free(bench->connections);
        free(bench->flights);
        free(bench->pollfds);
}

/* The arguments, by the symbol's description. */
static int read_args(struct bench *bench, char **words, int n)
{
        struct ctl_value description = CTL_VALUE_NULL;
        char text[320];
        int r = names_describe(bench->ctl, bench->symbol, &description);

        if (r != CTL_DONE)
                return r;
        if (args_put(&bench->args, description.root, words, (size_t)n, text, sizeof(text)) ==
            ARGS_E_INVALID)
                r = report_argument(text, bench->symbol);
        else if (bench->args.error == PROTO_BUILDER_E_BUDGET)
                r = report_client(bench->ctl, VMREQ_CLIENT_E_TOO_LARGE);
        else if (bench->args.error != PROTO_BUILDER_OK)
                r = ctl_no_memory();
        ctl_value_deinit(&description);
        return r;
}

/* One call alone, which says what is wrong with it. */
static int try_one(struct bench *bench)
{
        struct ctl_value value = CTL_VALUE_NULL;
        uint32_t msgid;
        int r = submit(bench, bench->ctl->client, &msgid);

        if (r != 0)
                return report_client(bench->ctl, r);
        ctl_set_patience(bench->ctl, TIMEOUT_MS);
        r = ctl_wait(bench->ctl, msgid, &value);
        if (r == CTL_DONE && value.answer.failed)
                r = report_answer(&value.answer, bench->symbol);
        ctl_value_deinit(&value);
        return r;
}

/* ---- the verb -------------------------------------------------------------------------------- */

/* A number of the command line, 1..max.  False: reported. */
static bool take(const struct options_number *number, const char *name, uint64_t fallback,
                 uint64_t max, uint64_t *ret)
{
        *ret = number->set ? number->value : fallback;
        if (*ret >= 1 && *ret <= max)
                return true;
        fprintf(stderr, "vmreqctl: bench: --%s is 1 to %" PRIu64 ", not %" PRIu64 "\n", name, max,
                *ret);
        return false;
}

static bool read_options(struct bench *bench, const struct verb_options *options)
{
        uint64_t clients, depth, seconds;

        if (!take(&options->clients, "clients", 1, CLIENTS_MAX, &clients) ||
            !take(&options->depth, "depth", 1, DEPTH_MAX, &depth) ||
            !take(&options->seconds, "seconds", SECONDS, SECONDS_MAX, &seconds) ||
            !take(&options->calls, "calls", CALLS_MAX, CALLS_MAX, &bench->calls_max))
                return false;
        if (bench->ctl->options.host && clients > 1) {
                fprintf(stderr, "vmreqctl: bench: over ssh there is one connection\n");
                return false;
        }
        bench->tally.n_clients = (uint32_t)clients;
        bench->tally.depth = (uint32_t)depth;
        /* Calls that were counted off are made, however long that takes. */
        bench->until_ns =
                options->calls.set && !options->seconds.set ? UINT64_MAX : seconds * NS_PER_S;
        return true;
}

static int measure(struct bench *bench, bool histogram)
{
        int r = prepare(bench);

        await_begin(&bench->await, bench->ctl);
        if (r == CTL_DONE)
                r = run(bench);
        await_end(&bench->await);
        if (r == CTL_DONE && bench->ctl->options.json != OPTIONS_TEXT)
                r = tally_print_json(bench->ctl, &bench->tally);
        else if (r == CTL_DONE)
                tally_print(&bench->tally, histogram);
        if (r == CTL_DONE && bench->tally.n_failed)
                r = report_exit_of_code(bench->first_code);
        clean_up(bench);
        return r;
}

int verb_bench(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct bench bench = {.ctl = ctl,
                              .symbol = argc > 0 ? argv[0] : NULL,
                              .library = VMREQ_CLIENT_OPTIONS_INIT,
                              .tally.name = argc > 0 ? argv[0] : PING,
                              .tally.latency = LATENCY_NULL};
        int r;

        if (!read_options(&bench, options))
                return CTL_USAGE;
        bench.library.flags = VMREQ_CLIENT_NO_STREAM;
        if (ctl->options.has_timeout)
                bench.library.timeout_ms = (int64_t)ctl->options.timeout_ms;
        proto_builder_init(&bench.args, CTL_PARAMS_MAX);
        ctl_set_patience(ctl, TIMEOUT_MS);
        r = ctl_connect(ctl);
        if (r == CTL_DONE && bench.symbol)
                r = read_args(&bench, argv + 1, argc - 1);
        if (r == CTL_DONE)
                r = try_one(&bench);
        if (r == CTL_DONE)
                r = measure(&bench, options->histogram);
        proto_builder_deinit(&bench.args);
        return r;
}
