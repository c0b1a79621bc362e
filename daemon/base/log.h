/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Log lines.  One line a record, at most LOG_LINE_MAX bytes, written by whoever logs, without ever
 * waiting: a sink that cannot take a line now loses it, and the loss is counted and told in the
 * next line that passes. The engine (vm/) does not log.
 */

#include <stdarg.h>
#include <stdint.h>

#define LOG_LINE_MAX 1024

/* Levels, as syslog's. */
enum {
        LOG_L_ERROR = 3,
        LOG_L_WARNING = 4,
        LOG_L_NOTICE = 5,
        LOG_L_INFO = 6,
        LOG_L_DEBUG = 7,
};

/*
 * Where lines go: a descriptor, borrowed.  `prefix_levels`: each line begins with "<6>" as a
 * service manager wants it.  Lines above `max_level` are dropped.  Before any other thread exists.
 */
void log_init(int fd, int max_level, int prefix_levels);

/* Any thread. */
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Lines lost so far. */
uint64_t log_lost(void);

/* A bound on how often one source may log: `n_max` lines per second, counted by the caller's
 * thread. */
struct log_limit {
        uint64_t window_ns; /* start of the present second */
        uint32_t n;
        uint64_t suppressed;
};

/* True: may log now; *ret_suppressed lines of this source were not, since the last one that was. */
int log_limit_pass(struct log_limit *limit, uint32_t n_max, uint64_t now_ns,
                   uint64_t *ret_suppressed);
