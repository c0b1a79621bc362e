/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A table for people: cells are made as text first, because a column is as wide as its widest cell.
 * Whatever is in them is cleaned when it is printed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/fields.h"
#include "client/terminal.h"

#define GRID_COLUMNS_MAX 12
#define GRID_CELL_BYTES  192
#define GRID_ROWS_MAX    100000 /* more are left out, and said to be */

struct grid_column {
        const char *title;
        bool number; /* flush right */
};

struct grid_cell {
        char text[GRID_CELL_BYTES];
        uint8_t paint; /* enum terminal_paint */
};

struct grid {
        const struct grid_column *columns;
        size_t n_columns, n_rows, cap;
        struct grid_cell *cells; /* row by row */
        bool short_of;           /* rows are missing: memory, or GRID_ROWS_MAX */
};

void grid_init(struct grid *grid, const struct grid_column *columns, size_t n_columns);
void grid_deinit(struct grid *grid);

/* A new last row, its cells empty.  If there is no memory for it, a row that is printed nowhere. */
void grid_add(struct grid *grid);

/* Fill a cell of the last row. */
void grid_put(struct grid *grid, size_t column, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void grid_put_text(struct grid *grid, size_t column, struct field_text text);
void grid_paint(struct grid *grid, size_t column, enum terminal_paint paint);

/* Head and rows. */
void grid_render(FILE *out, const struct grid *grid);
