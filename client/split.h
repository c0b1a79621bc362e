/* SPDX-License-Identifier: MIT */
#pragma once
/* A line of our shell → words, with the quotes and backslashes of sh, and nothing else of it. */

#include <stdbool.h>
#include <stddef.h>

struct split {
        char **words; /* NULL behind the last */
        size_t n;
        bool open;  /* the last word goes on: no blank behind it */
        char quote; /* the quote that was not closed; 0: none */
        char *memory;
};

/* False: out of memory.  A quote that is not closed is closed at the end. */
bool split_line(struct split *split, const char *line, size_t len);
/* Idempotent. */
void split_deinit(struct split *split);
