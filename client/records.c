/* SPDX-License-Identifier: MIT */
/*
 * The table of 'vmreqctl ps', and the lines of 'why'.  Records come from the server: what is
 * missing or of another type is an empty cell.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "client/fields.h"
#include "client/grid.h"
#include "client/records.h"
#include "client/render.h"
#include "client/words.h"

enum column { ID, SYMBOL, CPU, STATE, AGE, RUNNING, LEFT, CALLER, NOTES, N_COLUMNS };

static const struct grid_column columns[N_COLUMNS] = {
        {"ID", true},      {"SYMBOL", false}, {"CPU", false},    {"STATE", false}, {"AGE", true},
        {"RUNNING", true}, {"LEFT", true},    {"CALLER", false}, {"NOTES", false},
};

void records_caller(const struct proto_value *caller, char *ret_text, size_t size)
{
        uint64_t uid, pid;

        *ret_text = '\0';
        if (!field_uint(caller, "uid", &uid))
                return;
        if (field_uint(caller, "pid", &pid))
                (void)snprintf(ret_text, size, "uid %" PRIu64 " pid %" PRIu64, uid, pid);
        else
                (void)snprintf(ret_text, size, "uid %" PRIu64, uid);
}

/* A number or a word, as the option `cpu` has them. */
static void put_cpu(struct grid *grid, const struct proto_value *record)
{
        struct field_text name = field_text(record, "cpu");
        uint64_t cpu, on;

        if (name.len > 0)
                grid_put_text(grid, CPU, name);
        else if (field_uint(record, "cpu", &cpu))
                grid_put(grid, CPU, "%" PRIu64, cpu);
        if (name.len > 0 && field_uint(record, "on", &on))
                grid_put(grid, CPU, "%.*s (%" PRIu64 ")", (int)name.len, name.data, on);
}

static void put_time(struct grid *grid, size_t column, const struct proto_value *record,
                     const char *key)
{
        char text[32];
        int64_t ms;

        if (!field_int(record, key, &ms))
                return;
        words_duration(ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms, text, sizeof(text));
        grid_put(grid, column, "%s%s", ms < 0 ? "-" : "", text);
        if (ms < 0)
                grid_paint(grid, column, TERMINAL_WARN);
}

static void put_notes(struct grid *grid, const struct proto_value *record)
{
        static const char *const keys[] = {"priority", "detached", "answered"};
        char text[64] = "";
        size_t at = 0;

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
                if (field_true(record, keys[i]))
                        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s",
                                               at > 0 ? ", " : "", keys[i]);
        }
        grid_put(grid, NOTES, "%s", text);
}

static void put_record(struct grid *grid, const struct proto_value *record)
{
        struct field_text state = field_text(record, "state");
        char caller[64];
        uint64_t id;

        grid_add(grid);
        if (field_uint(record, "id", &id))
                grid_put(grid, ID, "%" PRIu64, id);
        grid_put_text(grid, SYMBOL, field_text(record, "symbol"));
        put_cpu(grid, record);
        grid_put_text(grid, STATE, state);
        if (state.len == 7 && memcmp(state.data, "running", 7) == 0)
                grid_paint(grid, STATE, TERMINAL_GOOD);
        put_time(grid, AGE, record, "age_ms");
        put_time(grid, RUNNING, record, "running_ms");
        put_time(grid, LEFT, record, "deadline_ms");
        records_caller(field_get(record, "caller"), caller, sizeof(caller));
        grid_put(grid, CALLER, "%s", caller);
        put_notes(grid, record);
}

void records_render(FILE *out, const struct proto_value *records)
{
        struct grid grid;

        grid_init(&grid, columns, N_COLUMNS);
        for (uint32_t i = 0; i < records->count; i++)
                put_record(&grid, &records->items[i]);
        grid_render(out, &grid);
        grid_deinit(&grid);
}

/* ---- as a line ------------------------------------------------------------------------------- */

static void put_duration(FILE *out, const char *before, const struct proto_value *record,
                         const char *key)
{
        char text[32];
        uint64_t ms;

        if (!field_uint(record, key, &ms))
                return;
        words_duration(ms, text, sizeof(text));
        (void)fprintf(out, "%s%s", before, text);
}

void records_render_line(FILE *out, const struct proto_value *record)
{
        struct field_text state = field_text(record, "state");
        char caller[64];
        uint64_t id, on;

        if (field_uint(record, "id", &id))
                (void)fprintf(out, "#%" PRIu64, id);
        render_behind(out, " ", field_text(record, "symbol"));
        if (field_uint(record, "on", &on))
                (void)fprintf(out, " on cpu %" PRIu64, on);
        render_behind(out, ", ", state);
        if (field_get(record, "running_ms"))
                put_duration(out, " for ", record, "running_ms");
        else
                put_duration(out, " for ", record, "age_ms");
        records_caller(field_get(record, "caller"), caller, sizeof(caller));
        if (caller[0] != '\0')
                (void)fprintf(out, ", of %s", caller);
}
