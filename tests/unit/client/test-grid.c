/* SPDX-License-Identifier: MIT */
/* Tables: widths, alignment, what is cut and what is cleaned. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/grid.h"

static const struct grid_column columns[] = {{"N", true}, {"NAME", false}, {"X", true}};

static void expect(const struct grid *grid, const char *expected)
{
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);

        assert_non_null(out);
        grid_render(out, grid);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, expected);
        free(text);
}

static void test_layout(void **state)
{
        struct grid grid;

        (void)state;
        grid_init(&grid, columns, 3);
        expect(&grid, "N  NAME  X\n");
        grid_add(&grid);
        grid_put(&grid, 0, "%d", 7);
        grid_put_text(&grid, 1,
                      (struct field_text){"a\x1b"
                                          "b",
                                          3});
        grid_add(&grid);
        grid_put(&grid, 0, "1000");
        grid_put(&grid, 2, "12");
        grid_paint(&grid, 2, TERMINAL_BAD);
        grid_add(&grid);
        expect(&grid, "   N  NAME     X\n   7  a\\x1bb\n1000          12\n\n");
        grid_deinit(&grid);
        grid_deinit(&grid);
}

static void test_bounds(void **state)
{
        static char long_text[500];
        struct grid grid;

        (void)state;
        memset(long_text, 'x', sizeof(long_text));
        grid_init(&grid, columns, 3);
        grid_put(&grid, 0, "before the first row: nowhere");
        grid_add(&grid);
        grid_put_text(&grid, 1, (struct field_text){long_text, sizeof(long_text)});
        assert_int_equal(strlen(grid.cells[1].text), GRID_CELL_BYTES - 1);
        for (int i = 0; i < 1000; i++)
                grid_add(&grid);
        assert_int_equal(grid.n_rows, 1001);
        grid.short_of = true;
        grid_add(&grid);
        grid_put(&grid, 0, "lost");
        assert_int_equal(grid.n_rows, 1001);
        grid_deinit(&grid);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_layout),
                cmocka_unit_test(test_bounds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
