/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl stats': the answer of vmreq.stats for people, a few lines and a table of the EMTs; with
 * --openmetrics for programs (openmetrics.c).  From each histogram two figures are taken: the
 * bounds that half of all, and all but one in a hundred, stayed below.
 */

#include <inttypes.h>
#include <stdio.h>

#include "client/ctl.h"
#include "client/fields.h"
#include "client/grid.h"
#include "client/openmetrics.h"
#include "client/verbs.h"
#include "client/words.h"

enum column { CPU, STATE, RUN, DEPTH, HIGH, SLEEPS, EXITS, KICKS, QUEUED, RAN, N_COLUMNS };

/* "12 us", "1.5 ms", "2.0 s" */
static void put_us(char *text, size_t size, double us)
{
        if (us < 1000)
                (void)snprintf(text, size, "%.0f us", us);
        else if (us < 1000000)
                (void)snprintf(text, size, "%.1f ms", us / 1000);
        else
                (void)snprintf(text, size, "%.1f s", us / 1000000);
}

/* The least bound that `share` of all counts stay below; negative if there is none. */
static double quantile(const struct proto_value *bounds, const struct proto_value *counts,
                       double share)
{
        double all = 0, sum = 0;

        for (uint32_t i = 0; i < counts->count; i++)
                all += counts->items[i].type == PROTO_UINT ? (double)counts->items[i].u : 0;
        for (uint32_t i = 0; all > 0 && i < counts->count && i < bounds->count; i++) {
                const struct proto_value *bound = &bounds->items[i];

                sum += counts->items[i].type == PROTO_UINT ? (double)counts->items[i].u : 0;
                if (sum < share * all)
                        continue;
                if (bound->type == PROTO_UINT)
                        return (double)bound->u;
                return bound->type == PROTO_FLOAT ? bound->f : -1;
        }
        return -1;
}

static void put_quantiles(struct grid *grid, size_t column, const struct proto_value *histogram)
{
        const struct proto_value *bounds = field_array(histogram, "bounds_us");
        const struct proto_value *counts = field_array(histogram, "counts");
        char half[32] = "-", most[32] = "-";
        double us;

        if (!bounds || !counts)
                return;
        us = quantile(bounds, counts, 0.5);
        if (us >= 0)
                put_us(half, sizeof(half), us);
        us = quantile(bounds, counts, 0.99);
        if (us >= 0)
                put_us(most, sizeof(most), us);
        grid_put(grid, column, "%s / %s", half, most);
}

static void put_count(struct grid *grid, size_t column, const struct proto_value *map,
                      const char *key)
{
        uint64_t value;

        if (field_uint(map, key, &value))
                grid_put(grid, column, "%" PRIu64, value);
}

/* Of both lanes together. */
static void put_lanes(struct grid *grid, size_t column, const struct proto_value *lanes,
                      const char *key)
{
        uint64_t normal = 0, priority = 0;

        if (!field_uint(field_get(lanes, "normal"), key, &normal))
                return;
        (void)field_uint(field_get(lanes, "priority"), key, &priority); /* 0 without */
        grid_put(grid, column, "%" PRIu64, normal + priority);
}

static void put_emt(struct grid *grid, const struct proto_value *emt)
{
        grid_add(grid);
        put_count(grid, CPU, emt, "cpu");
        grid_put_text(grid, STATE, field_text(emt, "state"));
        put_count(grid, RUN, emt, "done");
        put_lanes(grid, DEPTH, field_get(emt, "lanes"), "depth");
        put_lanes(grid, HIGH, field_get(emt, "lanes"), "high_water");
        put_count(grid, SLEEPS, emt, "sleeps");
        put_count(grid, EXITS, emt, "exits");
        put_count(grid, KICKS, emt, "kicks");
        put_quantiles(grid, QUEUED, field_get(emt, "queued_us"));
        put_quantiles(grid, RAN, field_get(emt, "run_us"));
}

static void put_table(const struct proto_value *stats)
{
        static const struct grid_column columns[N_COLUMNS] = {
                {"CPU", true},
                {"STATE", false},
                {"DONE", true},
                {"DEPTH", true},
                {"MOST", true},
                {"SLEEPS", true},
                {"EXITS", true},
                {"KICKS", true},
                {"QUEUED 50 / 99 %", false},
                {"RAN 50 / 99 %", false},
        };
        const struct proto_value *emts = field_array(stats, "emts"), *any = field_get(stats, "any");
        struct grid grid;

        grid_init(&grid, columns, N_COLUMNS);
        for (uint32_t i = 0; emts && i < emts->count; i++)
                put_emt(&grid, &emts->items[i]);
        if (any) {
                grid_add(&grid);
                grid_put(&grid, CPU, "any");
                put_lanes(&grid, DEPTH, any, "depth");
                put_lanes(&grid, HIGH, any, "high_water");
        }
        grid_render(stdout, &grid);
        grid_deinit(&grid);
}

/* "requests   submitted 12, done 12" of a map of numbers */
static void put_line(const struct proto_value *stats, const char *key, const char *label)
{
        const struct proto_value *map = field_get(stats, key);
        unsigned n = 0;

        if (!map || map->type != PROTO_MAP)
                return;
        for (uint32_t i = 0; i < map->count; i++) {
                const struct proto_value *entry = &map->items[2 * i];
                struct field_text name = field_text_of(&entry[0]);

                if (entry[1].type != PROTO_UINT || name.len == 0)
                        continue;
                if (n++ == 0)
                        printf("%-12s", label);
                else
                        (void)fputs(", ", stdout);
                terminal_put(stdout, TERMINAL_PLAIN, name.data, name.len);
                printf(" %" PRIu64, entry[1].u);
        }
        if (n > 0)
                (void)fputc('\n', stdout);
}

static void stats_render(const struct proto_value *stats)
{
        static const char *const lines[] = {"requests", "packets", "calls", "connections",
                                            "bytes",    "log",     "events"};
        struct field_text state = field_text(field_get(stats, "vm"), "state");
        char uptime[32];
        uint64_t ms;

        terminal_put(stdout, TERMINAL_HEAD, state.data, state.len);
        if (field_uint(stats, "uptime_ms", &ms)) {
                words_duration(ms, uptime, sizeof(uptime));
                printf(", up %s", uptime);
        }
        (void)fputc('\n', stdout);
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
                put_line(stats, lines[i], lines[i]);
        put_line(field_get(stats, "calls"), "answered_by_error", "errors");
        (void)fputc('\n', stdout);
        put_table(stats);
}

int verb_stats(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int r;

        (void)argc;
        (void)argv;
        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r == CTL_DONE)
                r = ctl_call_plain(ctl, "vmreq.stats", &value);
        if (r != CTL_DONE)
                return r;
        if (options->openmetrics)
                openmetrics_render(stdout, value.root);
        else if (ctl->options.json == OPTIONS_TEXT)
                stats_render(value.root);
        else
                r = ctl_print(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}
