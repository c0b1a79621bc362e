/* SPDX-License-Identifier: MIT */
#pragma once
/* The futex door: the only place where a thread of the engine sleeps, mutexes of rare paths aside.
 */

#include <stdatomic.h>
#include <stdint.h>

/*
 * Sleeps while *word == expected, until a wake or deadline_ns (absolute, CLOCK_MONOTONIC;
 * UINT64_MAX = no limit).  May return early for no reason: callers re-check.  Returns 0, or 1 if
 * the deadline has passed.
 */
int futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/* Wakes up to `n` sleepers. */
void futex_wake(_Atomic uint32_t *word, int n);

/* The half of a 64-bit word that holds its low 32 bits: what a futex can watch of it. */
static inline _Atomic uint32_t *futex_low_half(_Atomic uint64_t *word)
{
        _Atomic uint32_t *halves = (_Atomic uint32_t *)(void *)word;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        return &halves[0];
#else
        return &halves[1];
#endif
}
