/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Where an EMT is that may not be looking for work, and who fetches it: one word, AWAKE, ASLEEP,
 * GUEST or KICKED.
 *
 *   sleeper: word = ASLEEP; look for work; none: futex_wait(word, ASLEEP); …; word = AWAKE
 *   guest:   word = GUEST;  look for work; none: enter the guest; …;         word = AWAKE
 *   waker:   publish work; if word is ASLEEP: swap ASLEEP → AWAKE, and only the winner makes the
 * system call kicker:  publish work; if word is GUEST:  swap GUEST → KICKED, and only the winner
 * kicks
 *
 * Argument: both sides store, then load, all seq_cst.  Either the EMT's look comes after the
 * other's publication and finds the work, or the other's load comes after the EMT's store and finds
 * ASLEEP or GUEST.  The kick may come before the guest is really entered: the backend keeps it
 * until then (KVM: immediate_exit).
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

/* The EMT: is about to enter the guest; the look for work must follow.  And: has left it, or does
 * not enter. */
void event_guest_prepare(struct event *event);
void event_guest_leave(struct event *event);
/* Anybody, after publishing work: is it in the guest? */
bool event_in_guest(struct event *event);
/* True: it is, and it is this caller who shall kick it. */
bool event_kick(struct event *event);
