/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What only a terminal gets: colours, and a line that says that something is under way.  Until
 * terminal_init, and for tests, there are none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum terminal_paint {
        TERMINAL_PLAIN = 0,
        TERMINAL_GOOD,
        TERMINAL_WARN,
        TERMINAL_BAD,
        TERMINAL_FAINT,
        TERMINAL_HEAD,
};

/* Looks at stdout and stderr, TERM and NO_COLOR. */
void terminal_init(void);

/* Text, cleaned as by render_clean to one line, in a colour if `out` is stdout and a terminal. */
void terminal_put(FILE *out, enum terminal_paint paint, const char *data, size_t len);

/*
 * Flushes stdout.  False if it cannot be written, now or before; the errno of the first time is
 * kept for terminal_error, because stdio keeps only that there was one.
 */
bool terminal_flush(void);
int terminal_error(void);

/* Shows `text` in place of what it showed before, on stderr; NULL takes it away. */
void terminal_progress(const char *text);
