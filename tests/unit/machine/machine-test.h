/* SPDX-License-Identifier: MIT */
#pragma once
/* What the machine's tests share: cmocka, an alarm, files of their own, a log that is kept. */

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/macros.h"

/* After this a test program has hung. */
#define MACHINE_ALARM_S 55u

#define RUN_TESTS(tests)                                                                           \
        ((void)alarm(MACHINE_ALARM_S),                                                             \
         _cmocka_run_group_tests("machine", tests, ARRAY_SIZE(tests), NULL, NULL))

/* Gives the processor away until the condition holds; the alarm bounds it. */
#define UNTIL(condition)                                                                           \
        do {                                                                                       \
                while (!(condition))                                                               \
                        (void)sched_yield();                                                       \
        } while (0)

static char test_files[16][40];

static inline void unlink_test_files(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(test_files); i++)
                if (test_files[i][0])
                        (void)unlink(test_files[i]);
}

/* A file with these bytes, until the program ends or makes 16 more. */
static inline const char *file_with(const void *data, size_t len)
{
        static unsigned n;
        char *path = test_files[n % ARRAY_SIZE(test_files)];
        int fd;

        if (n++ == 0)
                CHECK(atexit(unlink_test_files) == 0);
        if (path[0])
                (void)unlink(path);
        (void)snprintf(path, sizeof(test_files[0]), "/tmp/vmreq-machine-XXXXXX");
        fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, len), (ssize_t)len);
        assert_int_equal(close(fd), 0);
        return path;
}

/* What was logged: lines joined by '|'. */
static char logged[1 << 16];
static pthread_mutex_t logged_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void log_kept(void *ctx, int level, const char *text)
{
        size_t len;

        (void)ctx;
        (void)level;
        CHECK(pthread_mutex_lock(&logged_lock) == 0);
        len = strlen(logged);
        (void)snprintf(logged + len, sizeof(logged) - len, "%s|", text);
        CHECK(pthread_mutex_unlock(&logged_lock) == 0);
}

static inline bool has_logged(void)
{
        bool has;

        CHECK(pthread_mutex_lock(&logged_lock) == 0);
        has = logged[0] != '\0';
        CHECK(pthread_mutex_unlock(&logged_lock) == 0);
        return has;
}

/* The line says all of these words. */
#define assert_says(text, ...) assert_words((text).line, (const char *const[]){__VA_ARGS__, NULL})

static inline void assert_words(const char *line, const char *const *words)
{
        for (; *words; words++)
                if (!strstr(line, *words))
                        fail_msg("\"%s\" does not say \"%s\"", line, *words);
}
