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
#include <unistd.h>

#include "client/args.h"
#include "client/await.h"
#include "client/ctl.h"
#include "client/fields.h"
#include "client/latency.h"
#include "client/names.h"
#include "client/render.h"
#include "client/report.h"
#include "client/verbs.h"

#define CLIENTS_MAX  1000
#define DEPTH_MAX    1000 /* the library's own bound is 1024 */
#define SECONDS      5
#define SECONDS_MAX  86400
#define CALLS_MAX    UINT64_C(1000000000000)
#define TIMEOUT_MS   30000
#define FAILURES_MAX 16 /* names of errors; further ones count as the last */
#define NAME_BYTES   32
#define NS_PER_S     UINT64_C(1000000000)
#define BAR          40
#define ROUNDS_MAX   4
#define PING         "vmreq.ping"

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

struct failure {
        char name[NAME_BYTES];
        uint64_t n;
};

struct bench {
        struct ctl *ctl;
        const char *symbol; /* NULL: vmreq.ping */
        struct proto_builder args;
        struct vmreq_client_options library;
        uint32_t n_clients, depth;
        uint64_t calls_max, until_ns;

        struct connection *connections;
        struct flight *flights;
        struct pollfd *pollfds; /* the connections', then the signals' */
        struct await await;

        uint64_t began_ns, ended_ns;
        uint64_t n_sent, n_done, n_failed;
        bool over, interrupted;
        uint32_t first_code; /* of the first failure */
        struct failure failures[FAILURES_MAX];
        size_t n_failures;
        struct latency latency;
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

static void note_failure(struct bench *bench, const struct vmreq_client_answer *answer)
{
        const char *name = answer->name[0] ? answer->name : "UNKNOWN";
        size_t i = 0;

        if (bench->n_failed++ == 0)
                bench->first_code = answer->code;
        while (i < bench->n_failures && strncmp(bench->failures[i].name, name, NAME_BYTES - 1) != 0)
                i++;
        if (i == FAILURES_MAX)
                i--;
        else if (i == bench->n_failures)
                (void)snprintf(bench->failures[bench->n_failures++].name, NAME_BYTES, "%s", name);
        bench->failures[i].n++;
}

static void note_answer(struct bench *bench, struct connection *connection,
                        const struct vmreq_client_answer *answer, uint64_t now)
{
        for (uint32_t i = 0; i < connection->n_flights; i++) {
                struct flight *flight = &connection->flights[i];

                if (flight->msgid != answer->msgid)
                        continue;
                bench->n_done++;
                bench->ended_ns = now;
                if (answer->failed)
                        note_failure(bench, answer);
                else
                        latency_note(&bench->latency, now - flight->sent_ns);
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
        while (!bench->over && connection->n_flights < bench->depth) {
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
        return bench->interrupted || (bench->over && bench->n_done == bench->n_sent);
}

/* In ms, until the time is over; then until nobody is waited for any more. */
static int patience(const struct bench *bench)
{
        uint64_t now = ctl_now(), end = bench->over ? bench->ctl->deadline_ns : bench->until_ns;
        uint64_t ms;

        if (end == UINT64_MAX)
                return -1;
        ms = now >= end ? 0 : (end - now) / 1000000 + 1;
        return ms > 3600000 ? 3600000 : (int)ms;
}

static int one_turn(struct bench *bench)
{
        bool was_over = bench->over, again = false;
        int r = CTL_DONE;

        for (uint32_t i = 0; i < bench->n_clients; i++) {
                const struct connection *connection = &bench->connections[i];

                again |= connection->again;
                bench->pollfds[i] =
                        (struct pollfd){.fd = vmreq_client_fd(connection->client),
                                        .events = vmreq_client_events(connection->client)};
        }
        bench->pollfds[bench->n_clients] =
                (struct pollfd){.fd = bench->await.signals, .events = POLLIN};
        if (poll(bench->pollfds, bench->n_clients + 1, again ? 0 : patience(bench)) < 0)
                return CTL_DONE; /* by a signal: once more */
        bench->interrupted = bench->pollfds[bench->n_clients].revents != 0;
        for (uint32_t i = 0; i < bench->n_clients && r == CTL_DONE; i++) {
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
                        bench->n_sent - bench->n_done);
                r = CTL_TIMEOUT;
        }
        return r;
}

static int run(struct bench *bench)
{
        int r = CTL_DONE;

        bench->began_ns = bench->ended_ns = ctl_now();
        bench->until_ns =
                bench->until_ns == UINT64_MAX ? UINT64_MAX : bench->began_ns + bench->until_ns;
        for (uint32_t i = 0; i < bench->n_clients && r == CTL_DONE; i++)
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
        for (uint32_t i = 0; i < bench->n_clients; i++)
                bench->connections[i].flights = &bench->flights[(size_t)i * bench->depth];
        for (uint32_t i = 1; i < bench->n_clients; i++) {
                int r = vmreq_client_connect(bench->ctl->socket, &config,
                                             &bench->connections[i].client, text, sizeof(text));

                if (r != 0)
                        return report_connect(bench->ctl, r, text);
        }
        return CTL_DONE;
}

static int prepare(struct bench *bench)
{
        bench->connections = calloc(bench->n_clients, sizeof(*bench->connections));
        bench->flights = calloc((size_t)bench->n_clients * bench->depth, sizeof(*bench->flights));
        bench->pollfds = calloc((size_t)bench->n_clients + 1, sizeof(*bench->pollfds));
        if (!bench->connections || !bench->flights || !bench->pollfds)
                return ctl_no_memory();
        return connect_all(bench);
}

static void clean_up(struct bench *bench)
{
        struct connection *first = bench->connections;

        for (uint32_t i = 1; bench->connections && i < bench->n_clients; i++)
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

/* ---- what is said ---------------------------------------------------------------------------- */

static double seconds_of(const struct bench *bench)
{
        return (double)(bench->ended_ns - bench->began_ns) / (double)NS_PER_S;
}

static double rate_of(const struct bench *bench)
{
        double seconds = seconds_of(bench);

        return seconds > 0 ? (double)bench->n_done / seconds : 0;
}

static const struct {
        const char *key, *text;
        double part;
} parts[] = {
        {"p50", "50 %", 0.5},
        {"p90", "90 %", 0.9},
        {"p99", "99 %", 0.99},
        {"p999", "99.9 %", 0.999},
};
#define N_PARTS (sizeof(parts) / sizeof(parts[0]))

static void print_time(uint64_t ns)
{
        if (ns < 1000000)
                printf("%.1f us", (double)ns / 1e3);
        else if (ns < NS_PER_S)
                printf("%.2f ms", (double)ns / 1e6);
        else
                printf("%.2f s", (double)ns / 1e9);
}

static void print_histogram(const struct latency *latency)
{
        uint64_t most = 0;

        for (unsigned i = 0; i < LATENCY_OCTAVES; i++)
                most = latency_octave(latency, i) > most ? latency_octave(latency, i) : most;
        for (unsigned i = 0; i < LATENCY_OCTAVES; i++) {
                uint64_t n = latency_octave(latency, i);
                uint64_t bar = most ? n * BAR / most : 0;

                if (n == 0)
                        continue;
                printf("%14.1f us  %12" PRIu64 "%s", (double)(UINT64_C(1) << i) / 1e3, n,
                       bar ? "  " : "");
                for (uint64_t k = 0; k < bar; k++)
                        fputc('#', stdout);
                fputc('\n', stdout);
        }
}

static void print_text(const struct bench *bench, bool histogram)
{
        const struct latency *latency = &bench->latency;

        printf("%s: %u connection%s, %u call%s in flight on each\n",
               bench->symbol ? bench->symbol : PING, (unsigned)bench->n_clients,
               bench->n_clients == 1 ? "" : "s", (unsigned)bench->depth,
               bench->depth == 1 ? "" : "s");
        printf("%" PRIu64 " calls in %.2f s, %.0f per second\n", bench->n_done, seconds_of(bench),
               rate_of(bench));
        for (size_t i = 0; i < bench->n_failures; i++) {
                printf("%" PRIu64 " failed: ", bench->failures[i].n);
                render_clean(stdout, bench->failures[i].name, strlen(bench->failures[i].name),
                             true);
                fputc('\n', stdout);
        }
        if (latency->n == 0)
                return;
        (void)fputs("least ", stdout);
        print_time(latency->least_ns);
        (void)fputs(", mean ", stdout);
        print_time(latency_mean(latency));
        for (size_t i = 0; i < N_PARTS; i++) {
                printf(", %s ", parts[i].text);
                print_time(latency_part(latency, parts[i].part));
        }
        (void)fputs(", most ", stdout);
        print_time(latency->most_ns);
        fputc('\n', stdout);
        if (histogram)
                print_histogram(latency);
}

static void put_us(struct proto_builder *out, const char *key, uint64_t ns)
{
        proto_put_text(out, key);
        proto_put_float(out, (double)ns / 1e3);
}

static void put_histogram(struct proto_builder *out, const struct latency *latency)
{
        uint32_t n = 0;

        for (unsigned i = 0; i < LATENCY_OCTAVES; i++)
                n += latency_octave(latency, i) > 0;
        proto_put_text(out, "histogram");
        proto_put_array(out, n);
        for (unsigned i = 0; i < LATENCY_OCTAVES; i++) {
                if (latency_octave(latency, i) == 0)
                        continue;
                proto_put_map(out, 2);
                put_us(out, "from_us", i ? UINT64_C(1) << i : 0);
                proto_put_text(out, "calls");
                proto_put_uint(out, latency_octave(latency, i));
        }
}

static void put_all(struct proto_builder *out, const struct bench *bench)
{
        const struct latency *latency = &bench->latency;

        proto_put_map(out, 9);
        proto_put_text(out, "symbol");
        proto_put_text(out, bench->symbol ? bench->symbol : PING);
        proto_put_text(out, "clients");
        proto_put_uint(out, bench->n_clients);
        proto_put_text(out, "depth");
        proto_put_uint(out, bench->depth);
        proto_put_text(out, "seconds");
        proto_put_float(out, seconds_of(bench));
        proto_put_text(out, "calls");
        proto_put_uint(out, bench->n_done);
        proto_put_text(out, "rate");
        proto_put_float(out, rate_of(bench));
        proto_put_text(out, "failed");
        proto_put_map(out, (uint32_t)bench->n_failures);
        for (size_t i = 0; i < bench->n_failures; i++) {
                proto_put_text(out, bench->failures[i].name);
                proto_put_uint(out, bench->failures[i].n);
        }
        proto_put_text(out, "latency_us");
        proto_put_map(out, (uint32_t)N_PARTS + 3);
        put_us(out, "least", latency->n ? latency->least_ns : 0);
        put_us(out, "mean", latency_mean(latency));
        for (size_t i = 0; i < N_PARTS; i++)
                put_us(out, parts[i].key, latency_part(latency, parts[i].part));
        put_us(out, "most", latency->most_ns);
        put_histogram(out, latency);
}

static int print_json(const struct bench *bench)
{
        struct ctl_value value = CTL_VALUE_NULL;
        struct proto_builder out;
        int r;

        proto_builder_init(&out, 1 << 16);
        put_all(&out, bench);
        value.answer.value = out.data;
        value.answer.value_len = out.len;
        r = out.error == PROTO_BUILDER_OK && ctl_decode(&value) ? ctl_print(bench->ctl, value.root)
                                                                : ctl_no_memory();
        value.answer.value = NULL;
        ctl_value_deinit(&value);
        proto_builder_deinit(&out);
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
        bench->n_clients = (uint32_t)clients;
        bench->depth = (uint32_t)depth;
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
                r = print_json(bench);
        else if (r == CTL_DONE)
                print_text(bench, histogram);
        if (r == CTL_DONE && bench->n_failed)
                r = report_exit_of_code(bench->first_code);
        clean_up(bench);
        return r;
}

int verb_bench(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct bench bench = {.ctl = ctl,
                              .symbol = argc > 0 ? argv[0] : NULL,
                              .library = VMREQ_CLIENT_OPTIONS_INIT,
                              .latency = LATENCY_NULL};
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
