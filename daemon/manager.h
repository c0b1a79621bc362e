/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the service manager is told, from any thread, without waiting for it.  A thread of its own
 * sends it, because the manager's socket blocks whoever writes to it while the manager does not
 * read.  Where nobody wants to be told there is no thread, and all of this does nothing.
 */

#include <stdbool.h>
#include <stdint.h>

/* Longest status text, its NUL included; longer ones are cut. */
#define MANAGER_STATUS_BYTES 256

/* 0, or a negative errno: no thread. */
int manager_start(void);

/* Waits until what was told has been sent, for at most `wait_ns` nanoseconds, and ends the thread.
 * Legal if it never started. */
void manager_stop(uint64_t wait_ns);

/* Calls can be served, or: the reload is over. */
void manager_tell_ready(void);
void manager_tell_reloading(void);
/* Going down; `ms` is how long that may take from now on. */
void manager_tell_stopping(uint64_t ms);
/* One line about how things are; only the newest is sent. */
void manager_tell_status(const char *status);
/* The watchdog: all is well. */
void manager_feed(void);
