/* SPDX-License-Identifier: MIT */
#pragma once
/* What 'bench' has counted and measured, and how that is said. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/latency.h"

#define TALLY_FAILURES_MAX 16 /* names of errors; further ones count as the last */
#define TALLY_NAME_BYTES   32

struct ctl;

struct tally {
        const char *name; /* of what was called; not owned */
        uint32_t n_clients, depth;
        uint64_t took_ns;
        uint64_t n_done, n_failed; /* answers; those that were errors */
        struct {
                char name[TALLY_NAME_BYTES];
                uint64_t n;
        } failures[TALLY_FAILURES_MAX];
        size_t n_failures;
        struct latency latency; /* of the others */
};

/* One more answer, which took `ns`. */
void tally_note_result(struct tally *tally, uint64_t ns);
/* `name`: of the error, as the server gives it. */
void tally_note_failure(struct tally *tally, const char *name);

/* For people, to stdout. */
void tally_print(const struct tally *tally, bool histogram);
/* As --json wants it.  An exit status; what is wrong has been said. */
int tally_print_json(struct ctl *ctl, const struct tally *tally);
