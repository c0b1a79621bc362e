/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What is typed on its way to the guest's console: a bounded buffer, and one call of console.write
 * at a time.  Bytes arrive in their order, each once; what the guest has no room for waits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/ctl.h"

#define TYPING_BYTES 4096u

struct typing {
        uint8_t bytes[TYPING_BYTES];
        size_t len;          /* not taken by the guest yet; the first `sent` are in the call */
        size_t sent;         /* 0: no call is under way */
        uint32_t msgid;      /* of the call */
        uint64_t next_ns;    /* when to try again; CLOCK_MONOTONIC, 0: at once */
        uint64_t backoff_ms; /* 0: the last call had everything taken */
};

/* Adds bytes; how many there was room for. */
size_t typing_put(struct typing *typing, const uint8_t *bytes, size_t n);
size_t typing_room(const struct typing *typing);

/*
 * Begins a call if one is due at `now_ns`.  CTL_DONE, or why the connection is of no use any more,
 * reported.
 */
int typing_send(struct typing *typing, struct ctl *ctl, uint64_t now_ns);

/*
 * Takes the reply of the call.  CTL_DONE; or, reported, why what was typed cannot reach the guest:
 * it is dropped then.
 */
int typing_replied(struct typing *typing, const struct vmreq_client_answer *answer,
                   uint64_t now_ns);

/* When typing_send is due; UINT64_MAX: not before something happens. */
uint64_t typing_due(const struct typing *typing);
