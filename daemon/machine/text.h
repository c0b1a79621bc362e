/* SPDX-License-Identifier: MIT */
#pragma once
/* What went wrong, in words for the person who configured it: one line, cut where it does not fit.
 */

#include <stdarg.h>
#include <stdio.h>

#define MACHINE_TEXT_MAX 512

struct machine_text {
        char line[MACHINE_TEXT_MAX];
};

/* Sets the line.  Returns `fault`, so that "return machine_fail(text, -EINVAL, …)" says both. */
static inline int __attribute__((format(printf, 3, 4)))
machine_fail(struct machine_text *text, int fault, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text->line, sizeof(text->line), format, args);
        va_end(args);
        return fault;
}
