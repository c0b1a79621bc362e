/* SPDX-License-Identifier: MIT */
/*
 * Entries stand one behind the other, each whole: where one does not fit before the end of the
 * memory, an empty entry fills the rest.  Sizes are multiples of an entry's head, so that a head
 * always fits.  Positions only grow; `begin` moves when room is needed, over whole entries.
 *
 * Events are numbered, so that a reader finds out what it has missed by comparing numbers, whatever
 * the reason: overwritten, too long, or never put.
 */
#include "rpc/event-ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define FILLER UINT32_MAX

struct entry {
        uint64_t number;
        uint32_t len;  /* of the event behind this; FILLER: there is none */
        uint32_t size; /* with this, rounded up */
};

static size_t size_of(size_t len)
{
        return sizeof(struct entry) +
               (len + sizeof(struct entry) - 1) / sizeof(struct entry) * sizeof(struct entry);
}

bool rpc_event_ring_init(struct rpc_event_ring *ring, size_t cap)
{
        CHECK(cap % 64 == 0 && cap <= UINT32_MAX / 2);
        *ring = (struct rpc_event_ring){.data = malloc(cap), .cap = cap};
        return ring->data != NULL;
}

void rpc_event_ring_deinit(struct rpc_event_ring *ring)
{
        free(ring->data);
        ring->data = NULL;
}

/* Half of it, so that an event and the filler before it fit in any case. */
size_t rpc_event_ring_max(const struct rpc_event_ring *ring)
{
        return ring->cap / 2 - sizeof(struct entry);
}

static struct entry entry_at(const struct rpc_event_ring *ring, uint64_t at)
{
        struct entry entry;

        memcpy(&entry, ring->data + at % ring->cap, sizeof(entry));
        return entry;
}

static void append(struct rpc_event_ring *ring, struct entry entry, const void *event, size_t len)
{
        uint8_t *to = ring->data + ring->end % ring->cap;

        while (ring->end + entry.size - ring->begin > ring->cap)
                ring->begin += entry_at(ring, ring->begin).size;
        memcpy(to, &entry, sizeof(entry));
        if (len)
                memcpy(to + sizeof(entry), event, len);
        ring->end += entry.size;
}

void rpc_event_ring_put(struct rpc_event_ring *ring, const void *event, size_t len)
{
        size_t left = ring->cap - ring->end % ring->cap;
        struct entry entry = {.number = ring->next, .len = (uint32_t)len};

        ring->next++;
        if (len > rpc_event_ring_max(ring))
                return;
        entry.size = (uint32_t)size_of(len);
        if (entry.size > left)
                append(ring, (struct entry){.len = FILLER, .size = (uint32_t)left}, NULL, 0);
        append(ring, entry, event, len);
}

void rpc_event_ring_skip(struct rpc_event_ring *ring, uint64_t n)
{
        ring->next += n;
}

struct rpc_event_cursor rpc_event_ring_now(const struct rpc_event_ring *ring)
{
        return (struct rpc_event_cursor){.at = ring->end, .next = ring->next};
}

const uint8_t *rpc_event_ring_read(const struct rpc_event_ring *ring,
                                   struct rpc_event_cursor *cursor, size_t *ret_len,
                                   uint64_t *ret_lost)
{
        if (cursor->at < ring->begin)
                cursor->at = ring->begin;
        while (cursor->at < ring->end) {
                struct entry entry = entry_at(ring, cursor->at);
                const uint8_t *event = ring->data + cursor->at % ring->cap + sizeof(entry);

                cursor->at += entry.size;
                if (entry.len == FILLER)
                        continue;
                *ret_len = entry.len;
                *ret_lost = entry.number - cursor->next;
                cursor->next = entry.number + 1;
                return event;
        }
        *ret_lost = ring->next - cursor->next;
        cursor->next = ring->next;
        return NULL;
}
