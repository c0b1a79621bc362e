/* SPDX-License-Identifier: MIT */
/*
 * What 'vmreqctl bench' says at its end.  verb-bench.c notes each answer as it comes, and prints
 * once; all in its one thread.  Names of errors are the server's: their number is bounded, their
 * length cut, and nothing of them reaches a terminal unescaped.
 */
#include "client/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl.h"
#include "client/render.h"

#define NS_PER_S UINT64_C(1000000000)
#define BAR      40

/* ---- counting -------------------------------------------------------------------------------- */

void tally_note_result(struct tally *tally, uint64_t ns)
{
        tally->n_done++;
        latency_note(&tally->latency, ns);
}

void tally_note_failure(struct tally *tally, const char *name)
{
        size_t i = 0;

        tally->n_done++;
        tally->n_failed++;
        while (i < tally->n_failures &&
               strncmp(tally->failures[i].name, name, TALLY_NAME_BYTES - 1) != 0)
                i++;
        if (i == TALLY_FAILURES_MAX)
                i--;
        else if (i == tally->n_failures)
                (void)snprintf(tally->failures[tally->n_failures++].name, TALLY_NAME_BYTES, "%s",
                               name);
        tally->failures[i].n++;
}

/* ---- as text --------------------------------------------------------------------------------- */

static double seconds_of(const struct tally *tally)
{
        return (double)tally->took_ns / (double)NS_PER_S;
}

static double rate_of(const struct tally *tally)
{
        double seconds = seconds_of(tally);

        return seconds > 0 ? (double)tally->n_done / seconds : 0;
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

void tally_print(const struct tally *tally, bool histogram)
{
        const struct latency *latency = &tally->latency;

        printf("%s: %u connection%s, %u call%s in flight on each\n", tally->name,
               (unsigned)tally->n_clients, tally->n_clients == 1 ? "" : "s", (unsigned)tally->depth,
               tally->depth == 1 ? "" : "s");
        printf("%" PRIu64 " calls in %.2f s, %.0f per second\n", tally->n_done, seconds_of(tally),
               rate_of(tally));
        for (size_t i = 0; i < tally->n_failures; i++) {
                printf("%" PRIu64 " failed: ", tally->failures[i].n);
                render_clean(stdout, tally->failures[i].name, strlen(tally->failures[i].name),
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

/* ---- as JSON --------------------------------------------------------------------------------- */

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

static void put_all(struct proto_builder *out, const struct tally *tally)
{
        const struct latency *latency = &tally->latency;

        proto_put_map(out, 9);
        proto_put_text(out, "symbol");
        proto_put_text(out, tally->name);
        proto_put_text(out, "clients");
        proto_put_uint(out, tally->n_clients);
        proto_put_text(out, "depth");
        proto_put_uint(out, tally->depth);
        proto_put_text(out, "seconds");
        proto_put_float(out, seconds_of(tally));
        proto_put_text(out, "calls");
        proto_put_uint(out, tally->n_done);
        proto_put_text(out, "rate");
        proto_put_float(out, rate_of(tally));
        proto_put_text(out, "failed");
        proto_put_map(out, (uint32_t)tally->n_failures);
        for (size_t i = 0; i < tally->n_failures; i++) {
                proto_put_text(out, tally->failures[i].name);
                proto_put_uint(out, tally->failures[i].n);
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

int tally_print_json(struct ctl *ctl, const struct tally *tally)
{
        struct ctl_value value = CTL_VALUE_NULL;
        struct proto_builder out;
        int r;

        proto_builder_init(&out, 1 << 16);
        put_all(&out, tally);
        value.answer.value = out.data;
        value.answer.value_len = out.len;
        r = out.error == PROTO_BUILDER_OK && ctl_decode(&value) ? ctl_print(ctl, value.root)
                                                                : ctl_no_memory();
        value.answer.value = NULL;
        ctl_value_deinit(&value);
        proto_builder_deinit(&out);
        return r;
}
