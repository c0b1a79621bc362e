/* SPDX-License-Identifier: MIT */
/*
 * The thread that writes the console out.
 *
 * It exists because nobody else may do this: an EMT waits for no disk, and neither does the loop.
 * What it is too slow for is lost to it (the ring goes on), and it writes down how much.
 *
 * To the log go whole lines; what is longer than CONSOLE_SINK_LINE goes in pieces, and what has no
 * end when the guest is silent waits for more.  At most LINES_PER_SECOND: a guest may not bury
 * the daemon's own words in the journal.
 */
#include "machine/console-sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "vm/futex.h"

#define LINES_PER_SECOND 200u
#define READ_BYTES       4096u

/* ---- the log ---- */

static void log_one(struct console_sink *sink, struct log_limit *limit)
{
        uint64_t suppressed;
        char text[CONSOLE_SINK_LINE + 64];

        if (!log_limit_pass(limit, LINES_PER_SECOND, clock_now_ns(), &suppressed))
                return;
        if (suppressed)
                (void)snprintf(text, sizeof(text), "console: (%" PRIu64 " lines left out) %s",
                               suppressed, sink->line);
        else
                (void)snprintf(text, sizeof(text), "console: %s", sink->line);
        sink->log(sink->ctx, LOG_L_INFO, text);
}

static void end_line(struct console_sink *sink, struct log_limit *limit)
{
        if (sink->line_len && sink->line[sink->line_len - 1] == '\r')
                sink->line_len--;
        sink->line[sink->line_len] = '\0';
        if (sink->line_len)
                log_one(sink, limit);
        sink->line_len = 0;
}

static void log_bytes(struct console_sink *sink, struct log_limit *limit, const char *data,
                      size_t len)
{
        for (size_t i = 0; i < len; i++) {
                if (data[i] == '\n') {
                        end_line(sink, limit);
                        continue;
                }
                if (sink->line_len == sizeof(sink->line) - 1)
                        end_line(sink, limit);
                /* A NUL would end the text; the log makes other control bytes visible. */
                sink->line[sink->line_len++] = data[i] ? data[i] : ' ';
        }
}

/* ---- the file ---- */

static void file_bytes(struct console_sink *sink, const char *data, size_t len)
{
        char text[128];

        while (len) {
                ssize_t n = write(sink->fd, data, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        (void)snprintf(text, sizeof(text), "console file: %s; output is lost",
                                       n < 0 ? strerror(errno) : "nothing was written");
                        if (!sink->failed)
                                sink->log(sink->ctx, LOG_L_ERROR, text);
                        sink->failed = true;
                        return;
                }
                sink->failed = false;
                data += n;
                len -= (size_t)n;
        }
}

/* ---- the thread ---- */

static void put(struct console_sink *sink, struct log_limit *limit, const char *data, size_t len)
{
        if (sink->fd >= 0)
                file_bytes(sink, data, len);
        else
                log_bytes(sink, limit, data, len);
}

static void *sink_main(void *arg)
{
        struct console_sink *sink = arg;
        struct log_limit limit = {0};
        char data[READ_BYTES], notice[64];

        while (console_wait(sink->console, sink->position)) {
                uint64_t lost;
                size_t n = console_read(sink->console, &sink->position, data, sizeof(data), &lost);

                if (lost) {
                        int len = snprintf(notice, sizeof(notice), "\n[%" PRIu64 " bytes lost]\n",
                                           lost);

                        put(sink, &limit, notice, (size_t)len);
                }
                put(sink, &limit, data, n);
        }
        if (sink->fd < 0)
                end_line(sink, &limit);
        /* Release: pairs with console_sink_stop. */
        atomic_store_explicit(&sink->ended, 1, memory_order_release);
        futex_wake(&sink->ended, INT_MAX);
        return NULL;
}

static int open_file(struct console_sink *sink, const char *path, struct machine_text *text)
{
        struct stat st;

        /* NONBLOCK: for what turns out to be no file.  NOFOLLOW: the folder may be somebody else's.
         */
        sink->fd =
                open(path,
                     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                     0600);
        if (sink->fd < 0)
                return machine_fail(text, -errno, "console file %s: %s", path, strerror(errno));
        if (fstat(sink->fd, &st) == 0 && S_ISREG(st.st_mode))
                return 0;
        (void)close(sink->fd);
        sink->fd = -1;
        return machine_fail(text, -EINVAL, "console file %s: not a regular file", path);
}

static int start_thread(struct console_sink *sink, struct machine_text *text)
{
        sigset_t all, old;
        int r;

        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&sink->thread, NULL, sink_main, sink);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r)
                return machine_fail(text, -r, "console: no thread: %s", strerror(r));
        (void)pthread_setname_np(sink->thread, "vmreq-console");
        sink->started = true;
        return 0;
}

int console_sink_start(struct console_sink *sink, struct console *console, const char *where,
                       void (*log)(void *ctx, int level, const char *text), void *ctx,
                       struct machine_text *text)
{
        int r = 0;

        *sink = (struct console_sink){.console = console, .fd = -1, .log = log, .ctx = ctx};
        if (strcmp(where, "none") == 0)
                return 0;
        if (strcmp(where, "log") != 0)
                r = open_file(sink, where, text);
        if (r == 0)
                r = start_thread(sink, text);
        if (r && sink->fd >= 0) {
                (void)close(sink->fd);
                sink->fd = -1;
        }
        return r;
}

bool console_sink_stop(struct console_sink *sink, uint64_t deadline_ns)
{
        /* Acquire: pairs with the end of sink_main. */
        while (sink->started && !atomic_load_explicit(&sink->ended, memory_order_acquire)) {
                if (clock_now_ns() >= deadline_ns)
                        return false;
                (void)futex_wait(&sink->ended, 0, deadline_ns);
        }
        if (sink->started)
                (void)pthread_join(sink->thread, NULL);
        sink->started = false;
        if (sink->fd >= 0)
                (void)close(sink->fd);
        sink->fd = -1;
        return true;
}
