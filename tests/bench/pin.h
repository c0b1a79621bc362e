/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Both sides of a row on the same two processors, the first two that this process may use.  Threads
 * that are made later inherit the mask of whoever makes them.
 */

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static cpu_set_t pin_allowed;
static int pin_to[2]; /* the same twice where there is only one */

static inline void pin_set(const cpu_set_t *set)
{
        if (sched_setaffinity(0, sizeof(*set), set)) {
                perror("sched_setaffinity");
                exit(1);
        }
}

/* First of all.  How many there are: 1, or 2 for two and more. */
static inline int pin_begin(void)
{
        int n = 0;

        if (sched_getaffinity(0, sizeof(pin_allowed), &pin_allowed)) {
                perror("sched_getaffinity");
                exit(1);
        }
        for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
                if (CPU_ISSET(cpu, &pin_allowed))
                        pin_to[n++] = cpu;
        if (n == 1)
                pin_to[1] = pin_to[0];
        return n;
}

/* The calling thread to the first (0) or the second (1) of them. */
static inline void pin(int which)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(pin_to[which], &set);
        pin_set(&set);
}

/* To wherever it might be at the beginning: a VM counts the processors of whoever makes it, to know
 * whether its waiters may spin. */
static inline void unpin(void)
{
        pin_set(&pin_allowed);
}
