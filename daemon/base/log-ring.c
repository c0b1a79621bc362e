/* SPDX-License-Identifier: MIT */
#include "base/log-ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/macros.h"

bool log_ring_init(struct log_ring *ring, size_t cap)
{
        *ring = (struct log_ring){.data = malloc(cap), .cap = cap};
        return ring->data != NULL;
}

void log_ring_deinit(struct log_ring *ring)
{
        free(ring->data);
        *ring = (struct log_ring){0};
}

static void copy_in(struct log_ring *ring, const void *from, size_t size)
{
        size_t at = (ring->begin + ring->used) % ring->cap, first = MIN(size, ring->cap - at);

        if (!size)
                return; /* `from` may be NULL then, which memcpy may not be given */
        memcpy(ring->data + at, from, first);
        memcpy(ring->data, (const uint8_t *)from + first, size - first);
        ring->used += size;
}

/* `offset` bytes behind the oldest one. */
static void copy_out(const struct log_ring *ring, size_t offset, void *to, size_t size)
{
        size_t at = (ring->begin + offset) % ring->cap, first = MIN(size, ring->cap - at);

        memcpy(to, ring->data + at, first);
        memcpy((uint8_t *)to + first, ring->data, size - first);
}

bool log_ring_put(struct log_ring *ring, uint64_t number, const void *record, size_t size)
{
        struct log_entry entry = {
                .size = (uint32_t)size, .lost_before = ring->untold, .number = number};

        if (size > ring->cap || sizeof(entry) + size > ring->cap - ring->used) {
                ring->dropped++;
                ring->untold++;
                return false;
        }
        copy_in(ring, &entry, sizeof(entry));
        copy_in(ring, record, size);
        ring->untold = 0;
        return true;
}

bool log_ring_peek(const struct log_ring *ring, struct log_entry *ret_entry)
{
        if (ring->used == 0)
                return false;
        copy_out(ring, 0, ret_entry, sizeof(*ret_entry));
        return true;
}

void log_ring_take(struct log_ring *ring, struct log_entry *ret_entry, void *record)
{
        size_t size;

        CHECK(log_ring_peek(ring, ret_entry));
        copy_out(ring, sizeof(*ret_entry), record, ret_entry->size);
        size = sizeof(*ret_entry) + ret_entry->size;
        ring->used -= size;
        /* An empty ring begins anew, so that a quiet log touches few of its pages. */
        ring->begin = ring->used ? (ring->begin + size) % ring->cap : 0;
}

uint32_t log_ring_take_untold(struct log_ring *ring)
{
        uint32_t n = ring->untold;

        ring->untold = 0;
        return n;
}
