/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a word of a command line can be: verbs, options, symbols, names of arguments.  Asks the
 * daemon where that helps, briefly, and says nothing when there is none.
 */

#include <stdbool.h>
#include <stddef.h>

struct ctl;

struct complete_list {
        char **items; /* whole words, ready to stand on a command line */
        size_t n, cap;
        bool files; /* names of files fit as well */
};

/*
 * Fills `list`, which was {0}, with what words[n - 1], which may be empty, can become; the words
 * before it are as typed, without "vmreqctl".  Within a shell the connection that it has is used.
 */
void complete_words(struct ctl *ctl, const char *const *words, size_t n,
                    struct complete_list *list);
/* Idempotent. */
void complete_deinit(struct complete_list *list);
