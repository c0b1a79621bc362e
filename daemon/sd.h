/* SPDX-License-Identifier: MIT */
#pragma once
/* The service manager's door.  Without one, all of this does nothing. */

#include <stdbool.h>
#include <stdint.h>

/*
 * The listening socket that the service manager passed: its descriptor, -1 if it passed none, -2 if
 * what it passed is not exactly one listening Unix stream socket (*ret_error says so).
 */
int sd_door_socket(const char **ret_error);

/* Is there a service manager that wants to be told how we are? */
bool sd_door_is_told(void);

/* Sends "KEY=VALUE\n…" to it.  May block for as long as it does not read: manager.c's thread only.
 */
void sd_door_tell(const char *state);

/* How often it wants to hear from us, in microseconds; 0: never. */
uint64_t sd_door_watchdog_us(void);
