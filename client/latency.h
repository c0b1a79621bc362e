/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How long many things took: a histogram whose buckets are a sixteenth of a power of two wide, so
 * that what is read out of it is off by a sixteenth at most; least, most and mean are exact.
 */

#include <stddef.h>
#include <stdint.h>

#define LATENCY_OCTAVES 44u /* up to 2^44 ns, about 5 hours; longer ones count as that */
#define LATENCY_STEPS   16u

struct latency {
        uint64_t n, sum_ns, least_ns, most_ns;
        uint64_t buckets[LATENCY_OCTAVES * LATENCY_STEPS];
};

#define LATENCY_NULL ((struct latency){.least_ns = UINT64_MAX})

void latency_note(struct latency *latency, uint64_t ns);

/* What `part` (0..1) of them took at most, in ns; 0 if there are none. */
uint64_t latency_part(const struct latency *latency, double part);
uint64_t latency_mean(const struct latency *latency);

/* How many took from 2^octave ns to less than twice that; octave 0 begins at 0. */
uint64_t latency_octave(const struct latency *latency, unsigned octave);
