/* SPDX-License-Identifier: MIT */
#pragma once
/* The service manager's door.  Without one, all of this does nothing. */

/*
 * The listening socket that the service manager passed: its descriptor, -1 if it passed none, -2 if
 * what it passed is not exactly one listening Unix stream socket (*ret_error says so).
 */
int manager_socket(const char **ret_error);

void manager_tell_ready(const char *status);
void manager_tell_stopping(void);
