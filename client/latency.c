/* SPDX-License-Identifier: MIT */
#include "client/latency.h"

#define STEP_BITS 4u

/* Below 2^STEP_BITS ns there is a bucket for each nanosecond, in the places of the first octaves.
 */
static unsigned bucket_of(uint64_t ns)
{
        unsigned octave;

        if (ns < LATENCY_STEPS)
                return (unsigned)ns;
        octave = 63u - (unsigned)__builtin_clzll(ns);
        if (octave >= LATENCY_OCTAVES)
                return LATENCY_OCTAVES * LATENCY_STEPS - 1;
        return octave * LATENCY_STEPS +
               (unsigned)(ns >> (octave - STEP_BITS) & (LATENCY_STEPS - 1));
}

/* The longest time that is counted in it. */
static uint64_t bucket_end(unsigned bucket)
{
        unsigned octave = bucket / LATENCY_STEPS, step = bucket % LATENCY_STEPS;

        if (octave < STEP_BITS)
                return bucket;
        return (((uint64_t)LATENCY_STEPS + step + 1) << (octave - STEP_BITS)) - 1;
}

void latency_note(struct latency *latency, uint64_t ns)
{
        latency->buckets[bucket_of(ns)]++;
        latency->n++;
        latency->sum_ns += ns;
        if (ns < latency->least_ns)
                latency->least_ns = ns;
        if (ns > latency->most_ns)
                latency->most_ns = ns;
}

uint64_t latency_part(const struct latency *latency, double part)
{
        uint64_t rank = (uint64_t)((double)latency->n * part), seen = 0;

        for (unsigned i = 0; i < LATENCY_OCTAVES * LATENCY_STEPS; i++) {
                seen += latency->buckets[i];
                if (seen > rank || (seen && seen == latency->n)) {
                        uint64_t end = bucket_end(i);

                        return end < latency->most_ns ? end : latency->most_ns;
                }
        }
        return 0;
}

uint64_t latency_mean(const struct latency *latency)
{
        return latency->n ? latency->sum_ns / latency->n : 0;
}

uint64_t latency_octave(const struct latency *latency, unsigned octave)
{
        uint64_t n = 0;

        /* The nanoseconds below 16 stand one by one. */
        if (octave < STEP_BITS) {
                for (unsigned ns = octave ? 1u << octave : 0; ns < 2u << octave; ns++)
                        n += latency->buckets[ns];
                return n;
        }
        for (unsigned i = 0; i < LATENCY_STEPS && octave < LATENCY_OCTAVES; i++)
                n += latency->buckets[octave * LATENCY_STEPS + i];
        return n;
}
