/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A bounded ring of records, each of them bytes that stand together.  No lock of its own: whoever
 * uses it holds one.  The log's only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_ring {
        uint8_t *data; /* owned */
        size_t cap, begin, used;
        uint64_t dropped; /* records that did not fit */
        uint32_t untold;  /* of these, since the last one that did */
};

/* What stands before each record. */
struct log_entry {
        uint32_t size;        /* of the record behind this */
        uint32_t lost_before; /* records that did not fit between the last one and this one */
        uint64_t number;      /* the caller's; records of several rings are ordered by it */
};

/* False: no memory. */
bool log_ring_init(struct log_ring *ring, size_t cap);
void log_ring_deinit(struct log_ring *ring);

/* False: it did not fit, and is counted. */
bool log_ring_put(struct log_ring *ring, uint64_t number, const void *record, size_t size);

/* The oldest record's entry; false: there is none. */
bool log_ring_peek(const struct log_ring *ring, struct log_entry *ret_entry);

/* Takes it out; `record` has room for ret_entry->size bytes, as peek said.  There must be one. */
void log_ring_take(struct log_ring *ring, struct log_entry *ret_entry, void *record);

/* How many were lost behind the last record; told with this. */
uint32_t log_ring_take_untold(struct log_ring *ring);
