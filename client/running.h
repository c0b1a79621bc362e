/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A call that is under way: what it sends before its reply is shown, Ctrl-C cancels it, a terminal
 * sees for how long it has been going on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/ctl.h"
#include "proto/value.h"

#define RUNNING_ROWS_MAX 1024 /* vCPUs whose rows are told apart */

struct running {
        const char *symbol;
        uint32_t msgid;
        bool detached; /* Ctrl-C leaves it alone */

        /* Takes the chunks, if they are not to be shown; an enum ctl_exit, reported. */
        int (*on_chunk)(void *arg, const struct proto_value *chunk);
        void *arg;

        /* What was shown. */
        uint64_t n_chunks, n_rows;
        bool rows[RUNNING_ROWS_MAX]; /* by vCPU */
};

/*
 * Waits for the reply to running->msgid.  CTL_DONE and *ret_value, whose answer may have failed;
 * or, reported, why there is none.
 */
int running_wait(struct ctl *ctl, struct running *running, struct ctl_value *ret_value);
