/* SPDX-License-Identifier: MIT */
/*
 * The table behind 'status', 'ps', 'list' and 'modules'.  Text in a cell may be the server's: it is
 * cut at the cell's size, measured and printed cleaned.  When memory is short the table ends early
 * and says so, which is better than none.
 */

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/grid.h"
#include "client/render.h"

void grid_init(struct grid *grid, const struct grid_column *columns, size_t n_columns)
{
        *grid = (struct grid){.columns = columns, .n_columns = n_columns};
}

void grid_deinit(struct grid *grid)
{
        free(grid->cells);
        grid->cells = NULL;
        grid->n_rows = grid->cap = 0;
}

static bool reserve(struct grid *grid)
{
        size_t cap = grid->cap ? 2 * grid->cap : 16;
        void *cells;

        if (grid->n_rows < grid->cap)
                return true;
        if (grid->n_rows >= GRID_ROWS_MAX)
                return false;
        cells = realloc(grid->cells, cap * grid->n_columns * sizeof(*grid->cells));
        if (!cells)
                return false;
        grid->cells = cells;
        grid->cap = cap;
        return true;
}

void grid_add(struct grid *grid)
{
        if (grid->short_of || !reserve(grid)) {
                grid->short_of = true;
                return;
        }
        memset(&grid->cells[grid->n_rows * grid->n_columns], 0,
               grid->n_columns * sizeof(*grid->cells));
        grid->n_rows++;
}

/* Of the last row; NULL if that is one that is printed nowhere. */
static struct grid_cell *cell_of(struct grid *grid, size_t column)
{
        if (grid->short_of || grid->n_rows == 0)
                return NULL;
        return &grid->cells[(grid->n_rows - 1) * grid->n_columns + column];
}

void grid_put(struct grid *grid, size_t column, const char *format, ...)
{
        struct grid_cell *cell = cell_of(grid, column);
        va_list args;

        if (!cell)
                return;
        va_start(args, format);
        (void)vsnprintf(cell->text, sizeof(cell->text), format, args); /* may be cut */
        va_end(args);
}

void grid_put_text(struct grid *grid, size_t column, struct field_text text)
{
        grid_put(grid, column, "%.*s",
                 (int)(text.len < GRID_CELL_BYTES ? text.len : GRID_CELL_BYTES), text.data);
}

void grid_paint(struct grid *grid, size_t column, enum terminal_paint paint)
{
        struct grid_cell *cell = cell_of(grid, column);

        if (cell)
                cell->paint = (uint8_t)paint;
}

static size_t width_of(const char *text)
{
        return render_width(text, strlen(text));
}

/* Trailing blanks would only get into people's copies. */
static void put_row(FILE *out, const struct grid *grid, const struct grid_cell *cells,
                    const size_t *widths)
{
        size_t pending = 0;

        for (size_t i = 0; i < grid->n_columns; i++) {
                const char *text = cells[i].text;
                size_t pad = widths[i] - width_of(text);
                bool before = grid->columns[i].number && *text != '\0';

                if (before)
                        pending += pad;
                if (*text != '\0') {
                        (void)fprintf(out, "%*s", (int)pending, "");
                        terminal_put(out, cells[i].paint, text, strlen(text));
                        pending = 0;
                }
                if (!before)
                        pending += pad;
                pending += 2;
        }
        (void)fputc('\n', out);
}

void grid_render(FILE *out, const struct grid *grid)
{
        struct grid_cell head[GRID_COLUMNS_MAX];
        size_t widths[GRID_COLUMNS_MAX];

        memset(head, 0, sizeof(head));
        for (size_t i = 0; i < grid->n_columns; i++) {
                (void)snprintf(head[i].text, sizeof(head[i].text), "%s", grid->columns[i].title);
                head[i].paint = TERMINAL_HEAD;
                widths[i] = width_of(head[i].text);
        }
        for (size_t i = 0; i < grid->n_rows * grid->n_columns; i++) {
                size_t width = width_of(grid->cells[i].text);

                if (width > widths[i % grid->n_columns])
                        widths[i % grid->n_columns] = width;
        }
        put_row(out, grid, head, widths);
        for (size_t i = 0; i < grid->n_rows; i++)
                put_row(out, grid, &grid->cells[i * grid->n_columns], widths);
        if (grid->short_of)
                (void)fputs("(and more, left out for want of memory)\n", out);
}
