/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The terminal in raw mode: each key as it is pressed, none of them with a meaning of its own.
 * Output goes through the terminal as before.  There is one per process.
 */

/*
 * Begins it on a descriptor that is a terminal.  From now on the mode that was found is put back
 * before a signal ends or stops the process, and raw mode when it goes on.  Waits, as any use of
 * the terminal does, while the process is in the background.  0 or -errno.
 */
int raw_begin(int fd);
/* Puts back mode and signals.  Idempotent; legal without raw_begin. */
void raw_end(void);
