/* SPDX-License-Identifier: MIT */
#pragma once
/* The listening socket: one that was passed, or one of our own making under a lock. */

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

struct listening {
        int fd;
        int lock_fd;                /* -1: inherited */
        char path[CONFIG_PATH_MAX]; /* for messages; empty if unknown */
        char lock_path[CONFIG_PATH_MAX + 8];
};

/*
 * Opens it: at config->socket if set, else the inherited one (inherited_fd >= 0), else at the
 * default place of this user.  A stale file of a dead daemon is replaced, a live one's is not.
 * False: one line in reterr_text.
 */
bool listening_open(struct listening *listening, const struct config *config, int inherited_fd,
                    char *reterr_text, size_t size);

/* Where a daemon of this user listens that was told nothing: /run/vmreqd for root, else
 * $XDG_RUNTIME_DIR/vmreqd.  False: there is no such place. */
bool listening_default_path(const char *name, char *ret_path, size_t size);

/* Closes it; removes what it has made, never what it was given. */
void listening_close(struct listening *listening);
