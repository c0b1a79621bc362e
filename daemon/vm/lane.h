/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A lane: a bounded first-in first-out ring of packet indices, any number of pushers, any number of
 * takers. It holds no reference: what is taken may be dead, the taker finds out from the packet.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "vm/cpu.h"
#include "vm/step.h"

/* Places set aside for broadcasts' children, at most, at one time in one lane. */
#define LANE_RESERVED_MAX 4095u

struct lane {
        /* fixed after init */
        _Atomic uint64_t *entries;
        uint32_t size_log2; /* entries: a power of two, >= capacity */
        uint32_t capacity;

        uint64_t id; /* in the upper 12 bits: makes a place unique among the lanes of a VM */

        /* pushers: ticket to give out next (52 bits) and places reserved (12 bits), changed
         * together */
        _Alignas(CACHE_PAIR) _Atomic uint64_t tail;
        _Atomic uint64_t
                head_seen;         /* some earlier value of head: spares pushers the takers' line */
        _Atomic uint64_t refused;  /* statistics, like what is below */
        _Atomic uint64_t ended[3]; /* cancelled, expired, killed while they stood here */

        /* takers: ticket to take next */
        _Alignas(CACHE_PAIR) _Atomic uint64_t head;
        _Atomic uint64_t
                high_water; /* statistics, like the two below: the most that were seen here */
        _Atomic uint64_t poisoned, skipped;
};

/*
 * A place is where a push stands: the lane's id and the ticket.  Places are never used twice, so a
 * packet that repeats its place tells a taker for certain whether it still stands where it was
 * pushed.
 */
#define LANE_TICKET_BITS 52
#define LANE_TICKET_MASK ((1ull << LANE_TICKET_BITS) - 1)
#define LANE_IDS_MAX     (1u << (64 - LANE_TICKET_BITS))

/* An entry, see lane.c: cycle << LANE_INDEX_BITS | index + 1. */
#define LANE_INDEX_BITS 23
#define LANE_INDEX_MASK ((1ull << LANE_INDEX_BITS) - 1)

/* Allocates a ring for `capacity` (1..VMREQ_LANE_MAX) places.  `id` < LANE_IDS_MAX.  0 or -ENOMEM.
 */
int lane_init(struct lane *lane, uint32_t capacity, uint32_t id);
void lane_deinit(struct lane *lane);

/*
 * A push in two steps, both lock-free.  draw: a place of one's own, stored into *place; false:
 * full. fill: puts packet `index` there, where takers see it; false: a taker was there first, and
 * found nothing: draw again.  Who has drawn must fill soon: takers that come to the place wait for
 * it, a bounded time.
 */
bool lane_draw(struct lane *lane, _Atomic uint64_t *place);
bool lane_fill(struct lane *lane, uint32_t index, uint64_t place);

/* Would a draw find it full?  Counts as a refusal if so. */
bool lane_full(struct lane *lane);

/* Sets a place aside / gives it back / pushes into one that was set aside (cannot fail). */
bool lane_reserve(struct lane *lane);
void lane_unreserve(struct lane *lane);
void lane_push_reserved(struct lane *lane, uint32_t index, _Atomic uint64_t *place);

/*
 * Takes the oldest.  True: *ret_index, and *ret_place is where it stood.  False: there was
 * an instant at which the lane held no completed push.
 */
bool lane_take(struct lane *lane, uint32_t *ret_index, uint64_t *ret_place);

/* What an entry says: has ticket `ticket` been filled, or poisoned? */
static inline bool lane_is_written(const struct lane *lane, uint64_t value, uint64_t ticket)
{
        return value >> LANE_INDEX_BITS == ticket >> lane->size_log2;
}

static inline _Atomic uint64_t *lane_entry(const struct lane *lane, uint64_t ticket)
{
        return &lane->entries[ticket & ((1ull << lane->size_log2) - 1)];
}

/*
 * Does a look at the next entry say that there is something to take?  For who looks often: it
 * leaves the pushers' line alone.  It does not see a push that is under way, nor what stands behind
 * such a one; so nobody sleeps because of it.
 */
static inline bool lane_filled(const struct lane *lane)
{
        /* Relaxed: lane_take looks again. */
        uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);

        return lane_is_written(
                lane, atomic_load_explicit(lane_entry(lane, head), memory_order_relaxed), head);
}

/*
 * Is there something to take?  Never false when a completed push has not been taken; true for a
 * push that is still under way, until lane_take has looked at it once.
 */
static inline bool lane_pending(const struct lane *lane)
{
        /* Relaxed: head only grows, so an old one errs on the side of something. */
        VM_STEP(pending_head);
        uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);

        /* Relaxed: what was written for this ticket stands until head has passed it. */
        VM_STEP(pending_entry);
        if (lane_is_written(
                    lane, atomic_load_explicit(lane_entry(lane, head), memory_order_relaxed), head))
                return true;
        /* seq_cst: pairs with the swap in tail_take (a sleeper stores its sleep word, then looks
         * here; a pusher moves tail, then looks at the sleep word). */
        VM_STEP(pending_tail);
        return head != (atomic_load_explicit(&lane->tail, memory_order_seq_cst) & LANE_TICKET_MASK);
}

/* Somebody is about to push here: the line of `tail` may come. */
static inline void lane_will_push(const struct lane *lane)
{
        cpu_will_write((const void *)&lane->tail);
}

/* Will the packet behind the one that was taken at `place` be the next?  False: not known. */
static inline bool lane_next(struct lane *lane, uint64_t place, uint32_t *ret_index)
{
        uint64_t ticket = (place & LANE_TICKET_MASK) + 1;
        /* Relaxed: a hint, for who wants to have it in the cache by then. */
        uint64_t value = atomic_load_explicit(lane_entry(lane, ticket), memory_order_relaxed);

        *ret_index = (uint32_t)(value & LANE_INDEX_MASK) - 1;
        return lane_is_written(lane, value, ticket) && (value & LANE_INDEX_MASK);
}

/* The same of the next to be taken, whatever stood before it. */
static inline bool lane_first(struct lane *lane, uint32_t *ret_index)
{
        return lane_next(lane, atomic_load_explicit(&lane->head, memory_order_relaxed) - 1,
                         ret_index);
}

/* The ticket in a place: its position in the order of takes from its lane, from 1 on. */
static inline uint64_t lane_take_seq(const struct lane *lane, uint64_t place)
{
        return (place & LANE_TICKET_MASK) - (1ull << lane->size_log2) + 1;
}

/* Has what was pushed there not been taken yet? */
static inline bool lane_stands(struct lane *lane, uint64_t place)
{
        /* Relaxed: a hint. */
        return (place & LANE_TICKET_MASK) >=
               atomic_load_explicit(&lane->head, memory_order_relaxed);
}

/* The oldest first: calls fn for what is pushed and not taken, as far as a look from outside can
 * tell. */
void lane_look(struct lane *lane, void (*fn)(void *ctx, uint32_t index, uint64_t place), void *ctx);

/* Tickets given out since the lane was made. */
uint64_t lane_tickets(struct lane *lane);

/* Places taken up now: live, dead and under way, without the reserved ones. */
uint32_t lane_depth(struct lane *lane);
/* `depth` places were taken up at some time: high_water is at least that. */
void lane_note_depth(struct lane *lane, uint64_t depth);
