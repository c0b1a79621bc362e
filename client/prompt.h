/* SPDX-License-Identifier: MIT */
#pragma once
/* Lines typed at a terminal: editing, history, completion; by libedit. */

#include <stddef.h>

struct prompt;

/*
 * Completes the word before the cursor: `line` up to there, `len` bytes.  Returns what to insert,
 * allocated, or NULL; may print candidates on stdout, and then sets *ret_printed.
 */
typedef char *(*prompt_completer)(void *arg, const char *line, size_t len, int *ret_printed);

/* NULL without a terminal's editor, or memory.  `history`: a file, or NULL to keep none. */
struct prompt *prompt_new(const char *text, const char *history, prompt_completer complete,
                          void *arg);
/* Saves the history.  NULL is legal. */
void prompt_free(struct prompt *prompt);

/* The next line without its end, borrowed until the next; NULL at the end of the input. */
const char *prompt_read(struct prompt *prompt);
/* Puts a line into the history. */
void prompt_remember(struct prompt *prompt, const char *line);
