/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How an EMT sleeps, and who wakes it: one word, AWAKE or ASLEEP.
 *
 *   sleeper: word = ASLEEP; look for work; none: futex_wait(word, ASLEEP); …; word = AWAKE
 *   waker:   publish work; if word is ASLEEP: swap ASLEEP → AWAKE, and only the winner makes the system call
 *
 * Argument: both sides store, then load, all seq_cst.  Either the sleeper's look comes after the waker's
 * publication and finds the work, or the waker's load comes after the sleeper's store and finds ASLEEP.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct event {
        _Atomic uint32_t word;
};

/* The sleeper: announces; the look for work must follow. */
void event_prepare(struct event *event);
/* The sleeper: found work after all. */
void event_cancel(struct event *event);
/* The sleeper: sleeps until woken or deadline_ns (UINT64_MAX = no limit).  AWAKE at return. */
void event_sleep(struct event *event, uint64_t deadline_ns);
/* Anybody, after publishing work.  True: it was asleep, and this call woke it. */
bool event_wake(struct event *event);
