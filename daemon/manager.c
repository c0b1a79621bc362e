/* SPDX-License-Identifier: MIT */
/*
 * A mailbox with one place per kind of message, and the thread that empties it.  A message that was
 * not sent yet is replaced by the next of its kind: the manager wants to know how things are, not
 * how they were.  They go out in a fixed order, RELOADING before READY before STOPPING, which is
 * the order in which they can come true between two looks.
 */
#include "manager.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "sd.h"

enum {
        RELOADING = 0x01,
        READY = 0x02,
        STATUS = 0x04,
        FEED = 0x08,
        STOPPING = 0x10,
        END = 0x20, /* the thread's */
};

static struct {
        pthread_mutex_t lock;
        pthread_cond_t changed; /* told, or sent */
        pthread_t thread;
        bool running; /* between start and stop */
        bool sending; /* the thread has taken messages, and is not back */
        unsigned told;
        uint64_t stopping_ms;
        char status[MANAGER_STATUS_BYTES];
} manager = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What to send for `told`, into `text`. */
static void compose(unsigned told, char *text, size_t size)
{
        size_t n = 0;

        text[0] = '\0';
        if (told & RELOADING)
                n += (size_t)snprintf(text + n, size - n, "RELOADING=1\n");
        if (told & STATUS)
                n += (size_t)snprintf(text + n, size - n, "STATUS=%s\n", manager.status);
        if (told & FEED)
                n += (size_t)snprintf(text + n, size - n, "WATCHDOG=1\n");
        if (told & STOPPING)
                (void)snprintf(text + n, size - n, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\n",
                               manager.stopping_ms * 1000);
}

static void send_all(unsigned told, const char *text)
{
        if (text[0])
                sd_door_tell(text);
        if (told & READY)
                sd_door_tell("READY=1");
}

static void *manager_main(void *arg)
{
        char text[MANAGER_STATUS_BYTES + 128];
        unsigned told;

        (void)arg;
        (void)pthread_mutex_lock(&manager.lock);
        for (;;) {
                while (!manager.told)
                        (void)pthread_cond_wait(&manager.changed, &manager.lock);
                told = manager.told;
                manager.told = 0;
                if (told == END)
                        break;
                compose(told, text, sizeof(text));
                manager.sending = true;
                (void)pthread_mutex_unlock(&manager.lock);
                send_all(told, text);
                (void)pthread_mutex_lock(&manager.lock);
                manager.sending = false;
                manager.told |= told & END;
        }
        manager.running = false;
        (void)pthread_cond_broadcast(&manager.changed);
        (void)pthread_mutex_unlock(&manager.lock);
        return NULL;
}

int manager_start(void)
{
        pthread_condattr_t attr;
        int r;

        if (!sd_door_is_told())
                return 0;
        r = pthread_condattr_init(&attr);
        if (r)
                return -r;
        (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        r = pthread_cond_init(&manager.changed, &attr);
        (void)pthread_condattr_destroy(&attr);
        if (r)
                return -r;
        manager.running = true;
        r = pthread_create(&manager.thread, NULL, manager_main, NULL);
        if (r)
                manager.running = false;
        return -r;
}

static void tell(unsigned what)
{
        if (!manager.running)
                return;
        manager.told |= what;
        (void)pthread_cond_broadcast(&manager.changed);
}

void manager_stop(uint64_t wait_ns)
{
        struct timespec until;
        bool ended;
        int r = 0;

        (void)pthread_mutex_lock(&manager.lock);
        if (!manager.running) {
                (void)pthread_mutex_unlock(&manager.lock);
                return;
        }
        tell(END);
        wait_ns = clock_add(clock_now_ns(), wait_ns);
        until = (struct timespec){.tv_sec = (time_t)(wait_ns / CLOCK_NS_PER_S),
                                  .tv_nsec = (long)(wait_ns % CLOCK_NS_PER_S)};
        while (manager.running && r != ETIMEDOUT)
                r = pthread_cond_timedwait(&manager.changed, &manager.lock, &until);
        ended = !manager.running;
        (void)pthread_mutex_unlock(&manager.lock);
        /* A manager that does not read holds the thread; the process's end takes it along. */
        if (ended)
                (void)pthread_join(manager.thread, NULL);
        else
                (void)pthread_detach(manager.thread);
}

static void tell_locked(unsigned what)
{
        (void)pthread_mutex_lock(&manager.lock);
        tell(what);
        (void)pthread_mutex_unlock(&manager.lock);
}

void manager_tell_ready(void)
{
        tell_locked(READY);
}

void manager_tell_reloading(void)
{
        tell_locked(RELOADING);
}

void manager_feed(void)
{
        tell_locked(FEED);
}

void manager_tell_stopping(uint64_t ms)
{
        (void)pthread_mutex_lock(&manager.lock);
        manager.stopping_ms = ms;
        tell(STOPPING);
        (void)pthread_mutex_unlock(&manager.lock);
}

void manager_tell_status(const char *status)
{
        (void)pthread_mutex_lock(&manager.lock);
        (void)snprintf(manager.status, sizeof(manager.status), "%s", status);
        tell(STATUS);
        (void)pthread_mutex_unlock(&manager.lock);
}
