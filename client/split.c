/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "client/split.h"

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Writes the word at line[*at] to `to`, without its quotes; returns the end of what it wrote. */
static char *take_word(struct split *split, const char *line, size_t len, size_t *at, char *to)
{
        split->quote = 0;
        for (; *at < len && (split->quote || !is_blank(line[*at])); (*at)++) {
                char c = line[*at];

                if (split->quote == '\'' && c != '\'') {
                        *to++ = c;
                } else if (c == '\\' && *at + 1 < len &&
                           (!split->quote || strchr("\\\"", line[*at + 1]))) {
                        *to++ = line[++*at];
                } else if (split->quote == c) {
                        split->quote = 0;
                } else if (!split->quote && (c == '\'' || c == '"')) {
                        split->quote = c;
                } else {
                        *to++ = c;
                }
        }
        *to++ = '\0';
        return to;
}

bool split_line(struct split *split, const char *line, size_t len)
{
        size_t at = 0;
        char *to;

        *split = (struct split){0};
        /* Each word takes a byte and a blank at least, each byte becomes one at most. */
        split->words = calloc(len / 2 + 2, sizeof(*split->words));
        split->memory = malloc(2 * len + 2);
        if (!split->words || !split->memory) {
                split_deinit(split);
                return false;
        }
        to = split->memory;
        for (;;) {
                while (at < len && is_blank(line[at]))
                        at++;
                if (at >= len)
                        return true;
                split->words[split->n++] = to;
                to = take_word(split, line, len, &at, to);
                split->open = at >= len;
        }
}

void split_deinit(struct split *split)
{
        free(split->words);
        free(split->memory);
        *split = (struct split){0};
}
