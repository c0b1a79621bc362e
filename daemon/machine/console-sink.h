/* SPDX-License-Identifier: MIT */
#pragma once
/* Where a console's output goes besides its subscribers: to the log, line by line, or to a file. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/console.h"
#include "machine/text.h"

#define CONSOLE_SINK_LINE 512u /* a longer line is logged in pieces */

struct console_sink {
        struct console *console;
        int fd; /* -1: the log */
        void (*log)(void *ctx, int level, const char *text);
        void *ctx;
        pthread_t thread;
        bool started;
        _Atomic uint32_t ended; /* futex: 1 when the thread is about to return */
        /* the thread's */
        uint64_t position;
        char line[CONSOLE_SINK_LINE];
        size_t line_len;
        bool failed; /* the file: said once until it works again */
};

#define CONSOLE_SINK_NULL ((struct console_sink){.fd = -1})

/*
 * `where`: "none", "log", or the absolute path of a file that is appended to (created with mode
 * 0600).  Starts a thread, which alone waits for the disk.  `log` must not block.
 * Context: init.  Return: 0, or a negative errno.
 */
int console_sink_start(struct console_sink *sink, struct console *console, const char *where,
                       void (*log)(void *ctx, int level, const char *text), void *ctx,
                       struct machine_text *reterr_text);
/*
 * After console_close: what was written is written out, then the thread ends.  False: it has not by
 * deadline_ns (a disk that does not answer), and neither sink nor console may be freed. Idempotent.
 */
bool console_sink_stop(struct console_sink *sink, uint64_t deadline_ns);
