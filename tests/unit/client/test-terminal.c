/* SPDX-License-Identifier: MIT */
/* Not on a terminal: no colours, no line that says that something is under way. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/terminal.h"

static void test_plain(void **state)
{
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);

        (void)state;
        assert_non_null(out);
        terminal_init();
        terminal_put(out, TERMINAL_BAD, "a\033[31mb\n", 8);
        terminal_put(out, TERMINAL_GOOD, "", 0);
        terminal_progress("not shown");
        terminal_progress(NULL);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, "a\\x1b[31mb\\n");
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plain),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
