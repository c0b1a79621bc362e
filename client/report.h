/* SPDX-License-Identifier: MIT */
#pragma once
/* Failures, as one line on stderr that says what to do, and as an exit status. */

#include <stdint.h>

struct ctl;
struct vmreq_client_answer;

/* The exit status of an error by its number (enum proto_code; 0: unknown). */
int report_exit_of_code(uint32_t code);

/*
 * "vmreqctl: NOT_FOUND: no symbol x.y; try 'vmreqctl symbols'".  `symbol`: what was called; NULL:
 * it was not about one.  Returns the exit.
 */
int report_answer(const struct vmreq_client_answer *answer, const char *symbol);
/* The same, with the name that was probably meant; it may be NULL. */
int report_unknown_symbol(const struct vmreq_client_answer *answer, const char *symbol,
                          const char *nearest);

/*
 * An argument that could not be converted: exit 4, in the words of the server's INVALID_ARGUMENT.
 */
int report_argument(const char *text, const char *symbol);

/* What a library function returned, other than 0.  Returns the exit. */
int report_client(const struct ctl *ctl, int result);

/* Why there is no connection.  `text` as the library gave it. */
int report_connect(const struct ctl *ctl, int result, const char *text);
