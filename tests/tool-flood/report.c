/* SPDX-License-Identifier: MIT */
/* What was seen, for people or as one JSON object. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "flood.h"
#include "proto/codes.h"

static_assert(_PROTO_CODE_N <= FLOOD_ERRORS, "one counter for each code");

/* Class 16 * e + m holds what is at least 2^e * (1 + m / 16). */
static unsigned class_of(uint64_t ns)
{
        unsigned e = ns ? 63 - (unsigned)__builtin_clzll(ns) : 0;

        if (e > 40)
                return FLOOD_CLASSES - 1;
        return 16 * e + (unsigned)(e >= 4 ? (ns >> (e - 4)) & 15 : (ns << (4 - e)) & 15);
}

static double upper_us(unsigned class)
{
        double base = (double)(1ull << (class / 16));

        return base * (1.0 + (class % 16 + 1) / 16.0) / 1000.0;
}

void flood_count_latency(struct flood_counters *counters, uint64_t ns)
{
        counters->latency[class_of(ns)]++;
        if (ns > counters->latency_max)
                counters->latency_max = ns;
}

/* The bound below which a share of all latencies lies, in microseconds. */
static double quantile(const struct flood_counters *counters, double share)
{
        uint64_t total = 0, seen = 0;

        for (unsigned i = 0; i < FLOOD_CLASSES; i++)
                total += counters->latency[i];
        for (unsigned i = 0; i < FLOOD_CLASSES; i++) {
                seen += counters->latency[i];
                if (total && (double)seen >= share * (double)total)
                        return upper_us(i);
        }
        return 0;
}

static uint64_t all_errors(const struct flood_counters *counters)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < FLOOD_ERRORS; i++)
                n += counters->errors[i];
        return n;
}

bool flood_is_defect(const struct flood_counters *counters)
{
        return counters->unowed || counters->malformed;
}

static void print_errors(const struct flood_counters *counters, bool json)
{
        const char *separator = "";

        for (unsigned i = 0; i < FLOOD_ERRORS; i++) {
                if (!counters->errors[i])
                        continue;
                printf(json ? "%s\"%s\": %" PRIu64 : "%s%s %" PRIu64, separator,
                       i ? proto_code_to_string((enum proto_code)i) : "other", counters->errors[i]);
                separator = ", ";
        }
}

static void report_json(const struct flood *flood, double seconds)
{
        const struct flood_counters *c = &flood->counters;

        printf("{\"pattern\": \"%s\", \"links\": %u, \"seconds\": %.3f, \"connected\": %" PRIu64
               ", \"refused\": %" PRIu64 ", \"not_connected\": %" PRIu64
               ", \"closed_by_daemon\": %" PRIu64 ", \"open\": %u, \"operations\": %" PRIu64
               ", \"bytes_sent\": %" PRIu64 ", \"bytes_received\": %" PRIu64
               ", \"answers\": %" PRIu64 ", \"errors\": {",
               flood->options.pattern->name, flood->options.links, seconds, c->connected,
               c->refused, c->not_connected, c->closed_by_daemon, flood->n_open, c->operations,
               c->bytes_sent, c->bytes_received, c->answers);
        print_errors(c, true);
        printf("}, \"notifications\": %" PRIu64 ", \"text_answers\": %" PRIu64
               ", \"unanswered\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"unowed\": %" PRIu64
               ", \"malformed\": %" PRIu64
               ", \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}}\n",
               c->notifications, c->text_answers, flood->n_in_flight, c->lost, c->unowed,
               c->malformed, quantile(c, 0.5), quantile(c, 0.99), (double)c->latency_max / 1000.0);
}

static void report_text(const struct flood *flood, double seconds)
{
        const struct flood_counters *c = &flood->counters;

        printf("%s: %u links, %.1f s\n", flood->options.pattern->name, flood->options.links,
               seconds);
        printf("  connections  %" PRIu64 " made, %" PRIu64 " refused, %" PRIu64
               " closed by the daemon, %u open at the end\n",
               c->connected, c->refused, c->closed_by_daemon, flood->n_open);
        printf("  sent         %" PRIu64 " operations (%.0f/s), %" PRIu64 " bytes\n", c->operations,
               (double)c->operations / seconds, c->bytes_sent);
        printf("  received     %" PRIu64 " bytes, %" PRIu64 " answers, %" PRIu64
               " notifications, %" PRIu64 " in text\n",
               c->bytes_received, c->answers, c->notifications, c->text_answers);
        if (all_errors(c)) {
                printf("  errors       ");
                print_errors(c, false);
                printf("\n");
        }
        if (c->latency_max)
                printf("  latency      p50 %.1f us, p99 %.1f us, max %.1f us\n", quantile(c, 0.5),
                       quantile(c, 0.99), (double)c->latency_max / 1000.0);
        printf("  unanswered   %" PRIu64 " at the end, %" PRIu64 " on connections that ended\n",
               flood->n_in_flight, c->lost);
        if (flood_is_defect(c))
                printf("  DEFECT       %" PRIu64 " answers that were not owed, %" PRIu64
                       " malformed frames\n",
                       c->unowed, c->malformed);
}

void flood_report(const struct flood *flood, uint64_t elapsed_ns)
{
        double seconds = elapsed_ns ? (double)elapsed_ns / 1e9 : 1e-9;

        if (flood->options.json)
                report_json(flood, seconds);
        else
                report_text(flood, seconds);
        (void)fflush(stdout);
}
