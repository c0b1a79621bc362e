/* SPDX-License-Identifier: MIT */
#pragma once
/* The command line of vmreqd. */

#include <stdbool.h>

#include "config.h"

enum {
        EXIT_USAGE = 2, /* the command line is wrong; EXIT_FAILURE: it could not start */
};

/* True: go on.  False: leave with *ret_status (help, version, or a mistake that was reported). */
bool options_read(int argc, char **argv, struct config *config, bool *ret_check_only,
                  int *ret_status);
