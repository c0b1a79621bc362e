/* SPDX-License-Identifier: MIT */
/*
 * A broadcast's rows, printed by the verbs 'call' and 'wait', and what they come to as an exit
 * status.  A broadcast that was accepted never answers with an error, so that the rows are all
 * there is to tell how it went.  They come from the server: a row that is no map, or lacks a field,
 * is shown as far as it goes and counts as failed.
 */

#include <inttypes.h>
#include <string.h>

#include "client/ctl.h"
#include "client/fields.h"
#include "client/render.h"
#include "client/rows.h"
#include "client/terminal.h"

static bool is_fate(struct field_text fate, const char *name)
{
        return fate.len == strlen(name) && memcmp(fate.data, name, fate.len) == 0;
}

/*
 * Only what ran can have failed: other fates have a status of the engine's, which the fate says
 * better.
 */
static bool row_failed(const struct proto_value *row)
{
        int64_t status;

        return is_fate(field_text(row, "fate"), "DONE") && field_int(row, "status", &status) &&
               status < 0;
}

/* The number, and the name and text that the module gave with it, in the row or in its error. */
static void put_failure(FILE *out, const struct proto_value *row)
{
        const struct proto_value *error = field_get(row, "error");
        int64_t status = 0;

        (void)field_int(row, "status", &status); /* it is there: row_failed */
        (void)fprintf(out, "  failed with status %" PRId64, status);
        if (!error)
                error = row;
        render_behind(out, " ", field_text(error, "name"));
        render_behind(out, ": ", field_text_of(error));
        render_behind(out, ": ", field_text(error, "message"));
        render_behind(out, ": ", field_text(error, "text"));
}

static enum terminal_paint paint_of(const struct proto_value *row)
{
        struct field_text fate = field_text(row, "fate");

        if (is_fate(fate, "DONE"))
                return row_failed(row) ? TERMINAL_BAD : TERMINAL_GOOD;
        return is_fate(fate, "SKIPPED") ? TERMINAL_FAINT : TERMINAL_WARN;
}

void rows_render_one(FILE *out, const struct proto_value *row)
{
        const struct proto_value *value = field_get(row, "value");
        struct field_text fate = field_text(row, "fate");
        uint64_t cpu;

        if (field_uint(row, "cpu", &cpu))
                (void)fprintf(out, "cpu %" PRIu64, cpu);
        else
                (void)fputs("cpu -", out);
        if (fate.len == 0)
                fate = (struct field_text){"?", 1};
        (void)fputs("  ", out);
        terminal_put(out, paint_of(row), fate.data, fate.len);
        if (row_failed(row)) {
                put_failure(out, row);
        } else if (value) {
                (void)fputs("  ", out);
                render_inline(out, value);
        }
        (void)fputc('\n', out);
}

void rows_render(FILE *out, const struct proto_value *rows)
{
        for (uint32_t i = 0; i < rows->count; i++)
                rows_render_one(out, &rows->items[i]);
}

bool rows_are(const struct proto_value *value)
{
        uint64_t cpu;

        for (uint32_t i = 0; value->type == PROTO_ARRAY && i < value->count; i++) {
                if (!field_uint(&value->items[i], "cpu", &cpu) ||
                    field_text(&value->items[i], "fate").len == 0)
                        return false;
        }
        return value->type == PROTO_ARRAY && value->count > 0;
}

static int row_exit(const struct proto_value *row)
{
        struct field_text fate = field_text(row, "fate");

        if (is_fate(fate, "DONE"))
                return row_failed(row) ? CTL_FAILED : CTL_DONE;
        if (is_fate(fate, "EXPIRED") || is_fate(fate, "RUNNING"))
                return CTL_TIMEOUT;
        if (is_fate(fate, "CANCELLED") || is_fate(fate, "KILLED"))
                return CTL_CANCELLED;
        return CTL_FAILED; /* SKIPPED, and what is not known here */
}

int rows_exit(const struct proto_value *rows)
{
        int worst = CTL_DONE;

        for (uint32_t i = 0; i < rows->count; i++) {
                int status = row_exit(&rows->items[i]);

                if (status > worst)
                        worst = status;
        }
        return worst;
}
