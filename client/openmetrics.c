/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl stats --openmetrics', for whatever collects metrics from a program's output or a file.
 *
 * One table says for each figure where it is in the answer and what its family is called; what the
 * server does not have, or sends as another type, is a family that is not there.  Times are
 * seconds, as the format wants them.  Histograms come as counts of each bucket and leave as running
 * sums.
 */

#include <inttypes.h>
#include <string.h>

#include "client/fields.h"
#include "client/openmetrics.h"
#include "client/render.h"

#define US_PER_S   1e6
#define BOUNDS_MAX 256

struct family {
        const char *group; /* the map that it is in; NULL: the answer itself */
        const char *key;
        const char *name; /* without "vmreqd_" and "_total" */
        const char *type; /* counter, gauge */
        const char *help;
};

static const struct family plain[] = {
        {"requests", "submitted", "requests_submitted", "counter",
         "Requests accepted by the engine."},
        {"requests", "refused", "requests_refused", "counter",
         "Requests refused because a lane or all packets were in use."},
        {"packets", "total", "packets_limit", "gauge", "Packets that requests can be made of."},
        {"packets", "in_use", "packets_in_use", "gauge", "Packets that hold a request."},
        {"packets", "new", "packets_new", "counter", "Packets used for the first time."},
        {"packets", "recycled", "packets_recycled", "counter", "Packets used again."},
        {"calls", "in_flight", "calls_in_flight", "gauge", "Calls of clients that have not ended."},
        {"calls", "accepted", "calls_accepted", "counter", "Calls of clients that were accepted."},
        {"calls", "refused_notifications", "notifications_refused", "counter",
         "Notifications that were refused, of which no client was told."},
        {"connections", "now", "connections", "gauge", "Clients connected."},
        {"connections", "limit", "connections_limit", "gauge", "Clients that can be connected."},
        {"connections", "total", "connections_accepted", "counter", "Connections accepted."},
        {"connections", "refused", "connections_refused", "counter",
         "Connections closed because a limit was reached."},
        {"connections", "evicted", "connections_evicted", "counter",
         "Connections that had sent nothing, and were closed for another's sake."},
        {"bytes", "now", "held_bytes", "gauge", "Bytes held for clients."},
        {"bytes", "limit", "held_limit_bytes", "gauge", "Bytes that can be held for clients."},
        {"log", "written", "log_records_written", "counter", "Log records written."},
        {"log", "dropped", "log_records_dropped", "counter", "Log records dropped."},
        {"events", "lost", "events_lost", "counter",
         "Events that subscribers did not read in time."},
};

static const struct family of_emt[] = {
        {NULL, "done", "emt_requests_done", "counter", "Requests that an EMT has run."},
        {NULL, "skipped", "emt_requests_skipped", "counter",
         "Requests that an EMT took and that were over already."},
        {NULL, "batches", "emt_batches", "counter", "Times an EMT served its lanes."},
        {NULL, "sleeps", "emt_sleeps", "counter", "Times an EMT slept for want of work."},
        {NULL, "wakes", "emt_wakes", "counter", "Times an EMT was woken."},
        {NULL, "spins_paid", "emt_spins_paid", "counter", "Times that spinning saved a sleep."},
        {NULL, "exits", "emt_guest_exits", "counter", "Exits from guest execution."},
        {NULL, "kicks", "emt_kicks", "counter", "Times an EMT was kicked out of guest execution."},
};

static const struct family of_lane[] = {
        {NULL, "submitted", "lane_requests_submitted", "counter", "Requests put on a lane."},
        {NULL, "refused", "lane_requests_refused", "counter", "Requests that found a lane full."},
        {NULL, "taken", "lane_requests_taken", "counter", "Requests taken off a lane."},
        {NULL, "skipped", "lane_requests_skipped", "counter", "Dead places taken off a lane."},
        {NULL, "cancelled", "lane_requests_cancelled", "counter", "Requests cancelled on a lane."},
        {NULL, "expired", "lane_requests_expired", "counter", "Requests that expired on a lane."},
        {NULL, "killed", "lane_requests_killed", "counter", "Requests killed on a lane."},
        {NULL, "depth", "lane_depth", "gauge", "Places in use on a lane, dead ones included."},
        {NULL, "dead", "lane_dead", "gauge", "Places of requests that are over already."},
        {NULL, "high_water", "lane_high_water", "gauge", "The most places that were in use."},
};

static const struct family histograms[] = {
        {NULL, "queued_us", "request_queued_seconds", "histogram", "Time requests were queued."},
        {NULL, "run_us", "request_run_seconds", "histogram", "Time requests ran."},
};

static const char *const lanes[] = {"normal", "priority"};

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* ---- lines ----------------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *suffix)
{
        size_t n = strlen(name), m = strlen(suffix);

        return n >= m && strcmp(name + n - m, suffix) == 0;
}

static void put_head(FILE *out, const struct family *family)
{
        (void)fprintf(out, "# TYPE vmreqd_%s %s\n", family->name, family->type);
        if (ends_in(family->name, "_seconds"))
                (void)fprintf(out, "# UNIT vmreqd_%s seconds\n", family->name);
        else if (ends_in(family->name, "_bytes"))
                (void)fprintf(out, "# UNIT vmreqd_%s bytes\n", family->name);
        (void)fprintf(out, "# HELP vmreqd_%s %s\n", family->name, family->help);
}

/* A counter's sample has another name than its family. */
static const char *suffix_of(const struct family *family)
{
        return strcmp(family->type, "counter") == 0 ? "_total" : "";
}

/* The value of a label: what the format escapes, and no control bytes. */
static void put_label(FILE *out, struct field_text text)
{
        for (size_t i = 0; i < text.len; i++) {
                if (text.data[i] == '"' || text.data[i] == '\\')
                        (void)fprintf(out, "\\%c", text.data[i]);
                else if ((unsigned char)text.data[i] < 0x20 || (unsigned char)text.data[i] > 0x7e)
                        (void)fputc('?', out);
                else
                        (void)fputc(text.data[i], out);
        }
}

/* ---- single figures -------------------------------------------------------------------------- */

static void put_plain(FILE *out, const struct proto_value *stats, const struct family *family)
{
        uint64_t value;

        if (!field_uint(field_get(stats, family->group), family->key, &value))
                return;
        put_head(out, family);
        (void)fprintf(out, "vmreqd_%s%s %" PRIu64 "\n", family->name, suffix_of(family), value);
}

static void put_uptime(FILE *out, const struct proto_value *stats)
{
        static const struct family family = {NULL, NULL, "uptime_seconds", "gauge",
                                             "Time since the daemon started."};
        uint64_t ms;

        if (!field_uint(stats, "uptime_ms", &ms))
                return;
        put_head(out, &family);
        (void)fprintf(out, "vmreqd_uptime_seconds %" PRIu64 ".%03" PRIu64 "\n", ms / 1000,
                      ms % 1000);
}

static void put_state(FILE *out, const struct proto_value *stats)
{
        static const struct family family = {NULL, NULL, "vm_state", "stateset",
                                             "The state that the VM is in."};
        static const char *const states[] = {
                "CREATED",   "POWERING_ON",  "RUNNING", "SUSPENDING", "SUSPENDED", "RESUMING",
                "RESETTING", "POWERING_OFF", "OFF",     "FAILED",     "DESTROYED",
        };
        struct field_text state = field_text(field_get(stats, "vm"), "state");

        if (state.len == 0)
                return;
        put_head(out, &family);
        for (size_t i = 0; i < N(states); i++) {
                bool is = strlen(states[i]) == state.len &&
                          memcmp(states[i], state.data, state.len) == 0;

                (void)fprintf(out, "vmreqd_vm_state{vmreqd_vm_state=\"%s\"} %d\n", states[i], is);
        }
}

static void put_fates(FILE *out, const struct proto_value *stats)
{
        static const struct family family = {NULL, NULL, "requests_ended", "counter",
                                             "Requests that are over, by how they ended."};
        static const char *const fates[] = {"done", "cancelled", "expired", "killed"};
        const struct proto_value *requests = field_get(stats, "requests");
        uint64_t value;

        if (!field_uint(requests, fates[0], &value))
                return;
        put_head(out, &family);
        for (size_t i = 0; i < N(fates); i++) {
                if (field_uint(requests, fates[i], &value))
                        (void)fprintf(out, "vmreqd_requests_ended_total{fate=\"%s\"} %" PRIu64 "\n",
                                      fates[i], value);
        }
}

static void put_errors(FILE *out, const struct proto_value *stats)
{
        static const struct family family = {NULL, NULL, "calls_failed", "counter",
                                             "Calls answered with an error, by its name."};
        const struct proto_value *errors =
                field_get(field_get(stats, "calls"), "answered_by_error");

        if (!errors || errors->type != PROTO_MAP || errors->count == 0)
                return;
        put_head(out, &family);
        for (uint32_t i = 0; i < errors->count; i++) {
                const struct proto_value *entry = &errors->items[2 * i];

                if (entry[1].type != PROTO_UINT)
                        continue;
                (void)fputs("vmreqd_calls_failed_total{error=\"", out);
                put_label(out, field_text_of(&entry[0]));
                (void)fprintf(out, "\"} %" PRIu64 "\n", entry[1].u);
        }
}

/* ---- by EMT and lane ------------------------------------------------------------------------- */

static void put_of_emt(FILE *out, const struct proto_value *emts, const struct family *family)
{
        uint64_t value, cpu;
        bool any = false;

        for (uint32_t i = 0; i < emts->count; i++) {
                if (!field_uint(&emts->items[i], family->key, &value) ||
                    !field_uint(&emts->items[i], "cpu", &cpu))
                        continue;
                if (!any)
                        put_head(out, family);
                any = true;
                (void)fprintf(out, "vmreqd_%s%s{cpu=\"%" PRIu64 "\"} %" PRIu64 "\n", family->name,
                              suffix_of(family), cpu, value);
        }
}

static void put_lanes(FILE *out, const struct proto_value *pair, const char *cpu,
                      const struct family *family, bool *any)
{
        uint64_t value;

        for (size_t i = 0; i < N(lanes); i++) {
                if (!field_uint(field_get(pair, lanes[i]), family->key, &value))
                        continue;
                if (!*any)
                        put_head(out, family);
                *any = true;
                (void)fprintf(out, "vmreqd_%s%s{cpu=\"%s\",lane=\"%s\"} %" PRIu64 "\n",
                              family->name, suffix_of(family), cpu, lanes[i], value);
        }
}

static void put_of_lane(FILE *out, const struct proto_value *stats, const struct proto_value *emts,
                        const struct family *family)
{
        bool any = false;
        char text[24];
        uint64_t cpu;

        put_lanes(out, field_get(stats, "any"), "any", family, &any);
        for (uint32_t i = 0; i < emts->count; i++) {
                if (!field_uint(&emts->items[i], "cpu", &cpu))
                        continue;
                (void)snprintf(text, sizeof(text), "%" PRIu64, cpu);
                put_lanes(out, field_get(&emts->items[i], "lanes"), text, family, &any);
        }
}

/* ---- histograms ------------------------------------------------------------------------------ */

static double number_of(const struct proto_value *value)
{
        if (value->type == PROTO_UINT)
                return (double)value->u;
        return value->type == PROTO_FLOAT ? value->f : -1;
}

/* Bounds that rise and one count more than bounds; else it is none. */
static bool is_histogram(const struct proto_value *histogram)
{
        const struct proto_value *bounds = field_array(histogram, "bounds_us");
        const struct proto_value *counts = field_array(histogram, "counts");
        double before = -1;

        if (!bounds || !counts || bounds->count > BOUNDS_MAX || counts->count != bounds->count + 1)
                return false;
        for (uint32_t i = 0; i < counts->count; i++) {
                if (counts->items[i].type != PROTO_UINT)
                        return false;
        }
        for (uint32_t i = 0; i < bounds->count; i++) {
                double bound = number_of(&bounds->items[i]);

                if (!(bound > before) || bound > 1e18)
                        return false;
                before = bound;
        }
        return true;
}

static void put_histogram(FILE *out, const char *name, uint64_t cpu,
                          const struct proto_value *histogram)
{
        const struct proto_value *bounds = field_array(histogram, "bounds_us");
        const struct proto_value *counts = field_array(histogram, "counts");
        uint64_t sum = 0, sum_us = 0;

        for (uint32_t i = 0; i < counts->count; i++) {
                sum += counts->items[i].u;
                (void)fprintf(out, "vmreqd_%s_bucket{cpu=\"%" PRIu64 "\",le=\"", name, cpu);
                if (i < bounds->count)
                        (void)fprintf(out, "%.9g", number_of(&bounds->items[i]) / US_PER_S);
                else
                        (void)fputs("+Inf", out);
                (void)fprintf(out, "\"} %" PRIu64 "\n", sum);
        }
        (void)field_uint(histogram, "sum_us", &sum_us); /* 0 if it is not there */
        (void)fprintf(out, "vmreqd_%s_sum{cpu=\"%" PRIu64 "\"} %" PRIu64 ".%06" PRIu64 "\n", name,
                      cpu, sum_us / 1000000, sum_us % 1000000);
        (void)fprintf(out, "vmreqd_%s_count{cpu=\"%" PRIu64 "\"} %" PRIu64 "\n", name, cpu, sum);
}

static void put_histograms(FILE *out, const struct proto_value *emts, const struct family *family)
{
        uint64_t cpu;
        bool any = false;

        for (uint32_t i = 0; i < emts->count; i++) {
                const struct proto_value *histogram = field_get(&emts->items[i], family->key);

                if (!is_histogram(histogram) || !field_uint(&emts->items[i], "cpu", &cpu))
                        continue;
                if (!any)
                        put_head(out, family);
                any = true;
                put_histogram(out, family->name, cpu, histogram);
        }
}

void openmetrics_render(FILE *out, const struct proto_value *stats)
{
        static const struct proto_value nothing = {.type = PROTO_ARRAY};
        const struct proto_value *emts = field_array(stats, "emts");

        if (!emts)
                emts = &nothing;
        put_uptime(out, stats);
        put_state(out, stats);
        for (size_t i = 0; i < N(plain); i++)
                put_plain(out, stats, &plain[i]);
        put_fates(out, stats);
        put_errors(out, stats);
        for (size_t i = 0; i < N(of_emt); i++)
                put_of_emt(out, emts, &of_emt[i]);
        for (size_t i = 0; i < N(of_lane); i++)
                put_of_lane(out, stats, emts, &of_lane[i]);
        for (size_t i = 0; i < N(histograms); i++)
                put_histograms(out, emts, &histograms[i]);
        (void)fputs("# EOF\n", out);
}
