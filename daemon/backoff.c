/* SPDX-License-Identifier: MIT */
/*
 * One line in a file: failed starts in a row, whether the last of them had come to serve calls, and
 * when it began.  Read and written by main alone, before there are other threads and after the last
 * has gone, except for backoff_ready, which the loop thread calls once.  A file that is missing,
 * damaged or cannot be written costs the waiting, never the service.
 */
#include "backoff.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"

#define FREE_STARTS 5u /* in a row, without waiting */
#define FIRST_MS    100u
#define CRASH_MS    1000u  /* longest wait after processes that served … */
#define START_MS    5000u  /* … and after those that never did */
#define FORGET_MS   10000u /* a process that lived for that long was no failure */

/* What the file holds. */
struct record {
        uint32_t failures; /* in a row, the process at hand included until it ends well */
        uint32_t was_ready;
        uint64_t since_ns; /* when the last one began */
};

static char path[PATH_MAX];

/* False: no runtime directory. */
static bool find_path(void)
{
        const char *directory = getenv("RUNTIME_DIRECTORY");
        size_t len = directory ? strcspn(directory, ":") : 0;

        if (!len || directory[0] != '/' || len + sizeof("/starts") > sizeof(path))
                return false;
        (void)snprintf(path, sizeof(path), "%.*s/starts", (int)len, directory);
        return true;
}

static struct record read_record(void)
{
        struct record record = {0};
        char text[96] = "";
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        ssize_t n;

        if (fd < 0)
                return record;
        n = read(fd, text, sizeof(text) - 1);
        (void)close(fd);
        /* Whatever else stands there counts as nothing. */
        if (n <= 0 || sscanf(text, "%" SCNu32 " %" SCNu32 " %" SCNu64, &record.failures,
                             &record.was_ready, &record.since_ns) != 3)
                return (struct record){0};
        return record;
}

/* A file that cannot be written costs the waiting, not the service. */
static void write_record(const struct record *record)
{
        char text[96];
        int n = snprintf(text, sizeof(text), "%" PRIu32 " %" PRIu32 " %" PRIu64 "\n",
                         record->failures, record->was_ready, record->since_ns);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
                return;
        if (write(fd, text, (size_t)n) != n)
                (void)unlink(path);
        (void)close(fd);
}

static uint64_t wait_ms(const struct record *record)
{
        uint64_t most = record->was_ready ? CRASH_MS : START_MS;
        uint32_t over;

        if (record->failures < FREE_STARTS)
                return 0;
        over = MIN(record->failures - FREE_STARTS, 16u);
        return MIN((uint64_t)FIRST_MS << over, most);
}

/* False: asked to stop meanwhile. */
static bool wait_for(uint64_t ms)
{
        struct timespec ts = {.tv_sec = (time_t)(ms / 1000),
                              .tv_nsec = (long)(ms % 1000) * 1000000};
        sigset_t stop, before;
        int r;

        (void)sigemptyset(&stop);
        (void)sigaddset(&stop, SIGTERM);
        (void)sigaddset(&stop, SIGINT);
        if (sigprocmask(SIG_BLOCK, &stop, &before))
                return true;
        do {
                r = sigtimedwait(&stop, NULL, &ts);
        } while (r < 0 && errno == EINTR);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        return r < 0;
}

bool backoff_begin(void)
{
        struct record record;
        uint64_t ms;

        if (!find_path())
                return true;
        record = read_record();
        if (record.failures &&
            clock_now_ns() > clock_add(record.since_ns, FORGET_MS * CLOCK_NS_PER_MS))
                record = (struct record){0};
        ms = wait_ms(&record);
        if (ms) {
                (void)fprintf(stderr,
                              "vmreqd: it failed %" PRIu32 " times in a row; starting in %" PRIu64
                              " ms\n",
                              record.failures, ms);
                if (!wait_for(ms))
                        return false;
        }
        record.failures += record.failures < UINT32_MAX;
        record.was_ready = 0;
        record.since_ns = clock_now_ns();
        write_record(&record);
        return true;
}

void backoff_ready(void)
{
        struct record record;

        if (!path[0])
                return;
        record = read_record();
        record.was_ready = 1;
        write_record(&record);
}

void backoff_end(void)
{
        if (path[0])
                (void)unlink(path);
}
