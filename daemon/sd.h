/* SPDX-License-Identifier: MIT */
#pragma once
/* The service manager's door: the only file that knows libsystemd.  Without one, all of this does nothing. */

/*
 * The listening socket that the service manager passed: its descriptor, -1 if it passed none, -2 if what it passed is
 * not exactly one listening Unix stream socket (*ret_error says so).
 */
int sd_inherited_socket(const char **ret_error);

void sd_tell_ready(const char *status);
void sd_tell_stopping(void);

/* Does standard error go to the journal (lines then carry a level prefix)? */
int sd_is_journal(void);
