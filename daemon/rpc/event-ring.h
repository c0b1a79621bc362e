/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A bounded ring of events that many readers read, each at its own pace.  An event is written once;
 * a reader is a cursor.  Whoever is too slow finds the oldest ones gone, and learns how many.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_event_ring {
        uint8_t *data; /* owned */
        size_t cap;
        uint64_t begin, end; /* of what is kept, as bytes since the beginning */
        uint64_t next;       /* number of the next event */
};

struct rpc_event_cursor {
        uint64_t at;   /* bytes since the beginning */
        uint64_t next; /* number of the event that it expects */
};

/* `cap`: a multiple of 64.  False: no memory. */
bool rpc_event_ring_init(struct rpc_event_ring *ring, size_t cap);
/* Idempotent. */
void rpc_event_ring_deinit(struct rpc_event_ring *ring);

/* The longest event that is kept; longer ones are lost for everybody. */
size_t rpc_event_ring_max(const struct rpc_event_ring *ring);

void rpc_event_ring_put(struct rpc_event_ring *ring, const void *event, size_t len);
/* `n` events that happened but cannot be put. */
void rpc_event_ring_skip(struct rpc_event_ring *ring, uint64_t n);

/* A cursor behind the last event. */
struct rpc_event_cursor rpc_event_ring_now(const struct rpc_event_ring *ring);

/*
 * The next event, borrowed until the next put; NULL: none.  *ret_lost: how many are missing before
 * it (or, with NULL, before what comes).  Moves the cursor behind both.
 */
const uint8_t *rpc_event_ring_read(const struct rpc_event_ring *ring,
                                   struct rpc_event_cursor *cursor, size_t *ret_len,
                                   uint64_t *ret_lost);
