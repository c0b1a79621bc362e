/* SPDX-License-Identifier: MIT */
/*
 * What 'vmreqctl status' prints: two lines on the VM, and the table of its EMTs.  Whatever the
 * server leaves out, or sends as another type, becomes an empty cell.
 */

#include <inttypes.h>
#include <stdio.h>

#include "client/fields.h"
#include "client/grid.h"
#include "client/records.h"
#include "client/render.h"
#include "client/status.h"
#include "client/words.h"

enum column { CPU, STATE, RUNNING, FOR, CALLER, QUEUED, PRIORITY, EMT_DONE, N_COLUMNS };

static const struct grid_column columns[N_COLUMNS] = {
        {"CPU", true},     {"STATE", false}, {"RUNNING", false}, {"FOR", false},
        {"CALLER", false}, {"QUEUED", true}, {"PRIORITY", true}, {"DONE", true},
};

static void put_number(struct grid *grid, size_t column, const struct proto_value *map,
                       const char *key)
{
        uint64_t value;

        if (field_uint(map, key, &value))
                grid_put(grid, column, "%" PRIu64, value);
}

/* "debug.sleep #17" */
static void put_running(struct grid *grid, const struct proto_value *emt)
{
        struct field_text symbol = field_text(emt, "symbol");
        char text[64];
        uint64_t id, ms;

        if (symbol.len == 0)
                return;
        if (field_uint(emt, "request", &id) || field_uint(emt, "id", &id))
                grid_put(grid, RUNNING, "%.*s #%" PRIu64, (int)symbol.len, symbol.data, id);
        else
                grid_put_text(grid, RUNNING, symbol);
        if (field_uint(emt, "running_ms", &ms)) {
                words_duration(ms, text, sizeof(text));
                grid_put(grid, FOR, "%s", text);
        }
        records_caller(field_get(emt, "caller"), text, sizeof(text));
        grid_put(grid, CALLER, "%s", text);
}

static void put_emt(struct grid *grid, const struct proto_value *emt)
{
        struct field_text state = field_text(emt, "state");

        grid_add(grid);
        put_number(grid, CPU, emt, "cpu");
        grid_put_text(grid, STATE, state);
        if (field_true(emt, "stuck")) {
                grid_put(grid, STATE, "%.*s, stuck", (int)state.len, state.data);
                grid_paint(grid, STATE, TERMINAL_BAD);
        }
        put_running(grid, emt);
        put_number(grid, QUEUED, emt, "queued");
        put_number(grid, PRIORITY, emt, "queued_priority");
        put_number(grid, EMT_DONE, emt, "done");
}

static void put_table(FILE *out, const struct proto_value *emts)
{
        struct grid grid;

        grid_init(&grid, columns, N_COLUMNS);
        for (uint32_t i = 0; i < emts->count; i++)
                put_emt(&grid, &emts->items[i]);
        grid_render(out, &grid);
        grid_deinit(&grid);
}

static void put_count(FILE *out, const char *before, const struct proto_value *map, const char *key)
{
        uint64_t value;

        if (field_uint(map, key, &value))
                (void)fprintf(out, "%s%" PRIu64, before, value);
}

void status_render(FILE *out, const struct proto_value *status)
{
        const struct proto_value *emts = field_array(status, "emts");
        char uptime[32];
        uint64_t ms;

        render_behind(out, "", field_text(status, "vm"));
        render_behind(out, ": ", field_text(status, "state"));
        if (field_true(status, "draining"))
                (void)fputs(", draining", out);
        if (field_uint(status, "uptime_ms", &ms)) {
                words_duration(ms, uptime, sizeof(uptime));
                (void)fprintf(out, ", up %s", uptime);
        }
        render_behind(out, ", vmreqd ", field_text(status, "version"));
        put_count(out, ", pid ", status, "pid");
        put_count(out, "\nclients ", status, "clients");
        put_count(out, ", calls ", status, "calls");
        (void)fputc('\n', out);
        if (emts && emts->count > 0) {
                (void)fputc('\n', out);
                put_table(out, emts);
        }
}
