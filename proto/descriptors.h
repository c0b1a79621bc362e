/* SPDX-License-Identifier: MIT */
#pragma once
/* The descriptors that a program writes its own words to. */

#include <stdbool.h>

/*
 * Makes sure that 0, 1 and 2 are open, so that no socket ever has one of these numbers and what is
 * written for a person does not end up between two frames.  One that is closed is opened the wrong
 * way round: reading from it, or writing to it, still fails as it did (EBADF).  The first thing
 * that a program does.  False: they cannot be opened; errno says why.
 */
bool proto_descriptors_reserve(void);
