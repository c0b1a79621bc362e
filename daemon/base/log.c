/* SPDX-License-Identifier: MIT */
/*
 * The sink is asked before it is written to: a pipe, terminal or socket that poll() calls writable
 * takes PIPE_BUF bytes without blocking, and no line is longer.  So a reader of our standard error
 * that has stopped costs lines, never a thread.
 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line fits what poll() promises");

static int log_fd = STDERR_FILENO;
static int log_max_level = LOG_L_INFO;
static int log_prefix;
static _Atomic uint64_t lost, untold;

void log_init(int fd, int max_level, int prefix_levels)
{
        log_fd = fd;
        log_max_level = max_level;
        log_prefix = prefix_levels;
}

uint64_t log_lost(void)
{
        /* Relaxed: a statistic. */
        return atomic_load_explicit(&lost, memory_order_relaxed);
}

/* `told`: how many lost lines this one speaks of; if it is lost itself, they are still untold. */
static void emit(const char *line, size_t len, uint64_t told)
{
        struct pollfd p = {.fd = log_fd, .events = POLLOUT};

        if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) &&
            write(log_fd, line, len) == (ssize_t)len)
                return;
        /* Relaxed: statistics. */
        atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&untold, told + 1, memory_order_relaxed);
}

/* Control bytes would let whoever chose a name forge lines. */
static void make_printable(char *line, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
                        line[i] = '?';
}

void log_line(int level, const char *format, ...)
{
        char line[LOG_LINE_MAX];
        int saved = errno, n = 0, m;
        uint64_t missed;
        va_list args;

        if (level > log_max_level)
                return;
        if (log_prefix)
                n = snprintf(line, sizeof(line), "<%d>", level);
        missed = atomic_exchange_explicit(&untold, 0, memory_order_relaxed);
        if (missed)
                n += snprintf(line + n, sizeof(line) - (size_t)n, "(%llu lines lost) ",
                              (unsigned long long)missed);
        errno = saved;
        va_start(args, format);
        m = vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
        va_end(args);
        if (m < 0)
                m = 0;
        n = n + m < (int)sizeof(line) ? n + m : (int)sizeof(line) - 1;
        make_printable(line, (size_t)n);
        line[n] = '\n';
        emit(line, (size_t)n + 1, missed);
        errno = saved;
}

int log_limit_pass(struct log_limit *limit, uint32_t n_max, uint64_t now_ns,
                   uint64_t *ret_suppressed)
{
        if (now_ns - limit->window_ns >= CLOCK_NS_PER_S) {
                limit->window_ns = now_ns;
                limit->n = 0;
        }
        if (limit->n >= n_max) {
                limit->suppressed++;
                return 0;
        }
        limit->n++;
        *ret_suppressed = limit->suppressed;
        limit->suppressed = 0;
        return 1;
}
