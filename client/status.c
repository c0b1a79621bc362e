/* SPDX-License-Identifier: MIT */
/*
 * The table that 'vmreqctl status' prints.  Cells are made as text first, because a column is as
 * wide as its widest cell; whatever the server leaves out, or sends as another type, becomes an
 * empty cell or a dash.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/fields.h"
#include "client/render.h"
#include "client/status.h"
#include "client/words.h"

#define COLUMNS    8
#define CELL_BYTES 192
#define ROWS_MAX   1024 /* more EMTs than any VM has */

enum column {
        COLUMN_CPU,
        COLUMN_STATE,
        COLUMN_RUNNING,
        COLUMN_FOR,
        COLUMN_CALLER,
        COLUMN_QUEUED,
        COLUMN_PRIORITY,
        COLUMN_DONE,
};

struct row {
        char cells[COLUMNS][CELL_BYTES];
};

static const struct row head = {
        {"CPU", "STATE", "RUNNING", "FOR", "CALLER", "QUEUED", "PRIORITY", "DONE"}};

static bool is_number(enum column column)
{
        return column == COLUMN_CPU || column >= COLUMN_QUEUED;
}

static void put_number(char *cell, const struct proto_value *map, const char *key)
{
        uint64_t value;

        if (field_uint(map, key, &value))
                (void)snprintf(cell, CELL_BYTES, "%" PRIu64, value);
}

static void put_caller(char *cell, const struct proto_value *caller)
{
        uint64_t uid, pid;

        if (!field_uint(caller, "uid", &uid))
                return;
        if (field_uint(caller, "pid", &pid))
                (void)snprintf(cell, CELL_BYTES, "uid %" PRIu64 " pid %" PRIu64, uid, pid);
        else
                (void)snprintf(cell, CELL_BYTES, "uid %" PRIu64, uid);
}

static void put_running(char *cell, const struct proto_value *emt)
{
        struct field_text symbol = field_text(emt, "symbol");
        uint64_t request;

        if (symbol.len == 0)
                return;
        if (field_uint(emt, "request", &request))
                (void)snprintf(cell, CELL_BYTES, "%.*s #%" PRIu64, (int)symbol.len, symbol.data,
                               request);
        else
                (void)snprintf(cell, CELL_BYTES, "%.*s", (int)symbol.len, symbol.data);
}

static void fill_row(struct row *row, const struct proto_value *emt)
{
        struct field_text state = field_text(emt, "state");
        uint64_t ms;

        memset(row, 0, sizeof(*row));
        put_number(row->cells[COLUMN_CPU], emt, "cpu");
        (void)snprintf(row->cells[COLUMN_STATE], CELL_BYTES, "%.*s", (int)state.len, state.data);
        put_running(row->cells[COLUMN_RUNNING], emt);
        if (row->cells[COLUMN_RUNNING][0] != '\0' && field_uint(emt, "running_ms", &ms))
                words_duration(ms, row->cells[COLUMN_FOR], CELL_BYTES);
        put_caller(row->cells[COLUMN_CALLER], field_get(emt, "caller"));
        put_number(row->cells[COLUMN_QUEUED], emt, "queued");
        put_number(row->cells[COLUMN_PRIORITY], emt, "queued_priority");
        put_number(row->cells[COLUMN_DONE], emt, "done");
}

static void measure(size_t *widths, const struct row *row)
{
        for (int i = 0; i < COLUMNS; i++) {
                size_t width = render_width(row->cells[i], strlen(row->cells[i]));

                if (width > widths[i])
                        widths[i] = width;
        }
}

/* Trailing blanks would only get into people's copies. */
static void put_row(FILE *out, const struct row *row, const size_t *widths)
{
        size_t pending = 0;

        for (int i = 0; i < COLUMNS; i++) {
                const char *cell = row->cells[i];
                size_t pad = widths[i] - render_width(cell, strlen(cell));

                if (is_number((enum column)i) && *cell != '\0')
                        pending += pad;
                if (*cell != '\0') {
                        (void)fprintf(out, "%*s", (int)pending, "");
                        render_clean(out, cell, strlen(cell), true);
                        pending = 0;
                }
                if (!is_number((enum column)i) || *cell == '\0')
                        pending += pad;
                pending += 2;
        }
        (void)fputc('\n', out);
}

static void put_table(FILE *out, const struct proto_value *emts)
{
        uint32_t n = emts->count < ROWS_MAX ? emts->count : ROWS_MAX;
        size_t widths[COLUMNS] = {0};
        struct row *rows = calloc(n ? n : 1, sizeof(*rows));

        if (!rows) {
                (void)fputs("(out of memory)\n", out);
                return;
        }
        measure(widths, &head);
        for (uint32_t i = 0; i < n; i++) {
                fill_row(&rows[i], &emts->items[i]);
                measure(widths, &rows[i]);
        }
        put_row(out, &head, widths);
        for (uint32_t i = 0; i < n; i++)
                put_row(out, &rows[i], widths);
        free(rows);
}

static void put_text(FILE *out, const char *before, struct field_text text)
{
        if (text.len == 0)
                return;
        (void)fputs(before, out);
        render_clean(out, text.data, text.len, true);
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

        put_text(out, "", field_text(status, "vm"));
        put_text(out, ": ", field_text(status, "state"));
        if (field_true(status, "draining"))
                (void)fputs(", draining", out);
        if (field_uint(status, "uptime_ms", &ms)) {
                words_duration(ms, uptime, sizeof(uptime));
                (void)fprintf(out, ", up %s", uptime);
        }
        put_text(out, ", vmreqd ", field_text(status, "version"));
        put_count(out, ", pid ", status, "pid");
        put_count(out, "\nclients ", status, "clients");
        put_count(out, ", calls ", status, "calls");
        (void)fputc('\n', out);
        if (emts && emts->count > 0) {
                (void)fputc('\n', out);
                put_table(out, emts);
        }
}
