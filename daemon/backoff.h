/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Restarts slow themselves down.  A start limit of the service manager would fail the socket unit
 * along with the service, and so refuse every client for ever; instead a daemon that keeps failing
 * waits before it starts, while clients wait in the socket's backlog.
 *
 * The count lives in a file of the unit's runtime directory, which the unit keeps across restarts.
 * Without one ($RUNTIME_DIRECTORY) all of this does nothing.
 */

#include <stdbool.h>

/* First thing in main.  Waits if earlier processes have failed; false: SIGTERM or SIGINT came
 * meanwhile. */
bool backoff_begin(void);

/* Calls can be served: if this process fails later, that was no failed start. */
void backoff_ready(void);

/* It ends because it was asked to. */
void backoff_end(void);
