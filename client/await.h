/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Waiting for what the server sends while Ctrl-C means something: it is read from a descriptor, so
 * that it can neither be missed nor interrupt anything.
 */

#include <signal.h>
#include <stdint.h>

#include "client/ctl.h"

enum await_result {
        AWAIT_ANSWER,
        AWAIT_INTERRUPT, /* Ctrl-C, or, for who has something to put in order, await->signal */
        AWAIT_TICK,      /* `tick_ns` has passed since the last result */
        AWAIT_DEADLINE,  /* ctl->deadline_ns */
        AWAIT_ERROR,     /* *ret_error is what the library returned */
};

struct await {
        struct ctl *ctl;
        int signals;     /* -1: none, Ctrl-C does what it does */
        int signal;      /* the last one that came */
        sigset_t before; /* the mask to go back to */
};

void await_begin(struct await *await, struct ctl *ctl);
void await_end(struct await *await);

/* The next thing that happens.  `tick_ns` UINT64_MAX: no ticks. */
enum await_result await_next(struct await *await, uint64_t tick_ns,
                             struct vmreq_client_answer *ret_answer, int *ret_error);

/*
 * For a verb that has something to put in order whatever happens: from here on signals that end
 * programs wait, Ctrl-C, a hang-up and SIGTERM alike, and await_leave only notes them; until
 * await_settle, which lets them have their way: but for Ctrl-C within our own shell, which meant
 * the verb.
 */
struct await_held {
        sigset_t before;
        int fd; /* readable when one of them has come; -1: none could be had */
};

void await_hold(struct ctl *ctl, struct await_held *ret_held);
void await_settle(struct ctl *ctl, struct await_held *held);

/*
 * Ends as Ctrl-C ends a program that does nothing about it, so that a shell that runs a script sees
 * that; within our own shell only the verb ends: CTL_CANCELLED.
 */
int await_leave(struct await *await);
