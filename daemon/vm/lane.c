/* SPDX-License-Identifier: MIT */
/*
 * The lane: a ring of 64-bit entries, walked by tickets.
 *
 * A pusher draws ticket t from `tail`, and fills entry t mod size.  A taker takes the ticket at
 * `head`, if its entry is filled, by moving `head`.  An entry says for which lap of the ring it was
 * last written (its cycle = ticket / size) and what: an index, or POISON.
 *
 *      entry = cycle << 23 | index + 1          (0 in the low bits: POISON)
 *
 * Invariants:
 *   1. head <= tail <= head + capacity - reserved, and capacity <= size.  So when ticket t is
 * drawn, ticket t - size has been passed by head: its entry will not be read again.
 *   2. An entry's cycle only grows, and each (entry, cycle) is written at most once, by
 * compare-and-swap: by the pusher that drew the ticket, or as POISON by a taker that met the hole
 * first.
 *   3. Tickets are never reused (52 bits: 14 years at ten million a second), so (lane, ticket)
 * names one push for ever; the packet's `place` repeats it.
 *
 * A preempted pusher hides nobody: a taker that meets a drawn, unfilled ticket waits a bounded
 * time, longer each time in a row, then poisons the hole and goes on.  The late pusher fails its
 * swap and draws anew.  It is lock-free: a pusher is sent round only by a taker that completed a
 * take-or-empty of its own.
 *
 * First-in first-out by take: `tail` hands out growing tickets; a push that returned holds its
 * final ticket, a push that begins later draws a larger one; `head` passes tickets in order.  The
 * linearisation point of a take is the successful swap of `head`.  That of "empty" is the load of
 * `tail` that equals `head`.
 *
 * Considered: a linked list (pins cancelled packets; no first-in first-out with many takers),
 * Vyukov's bounded queue (a preempted pusher blocks all takers), SCQ by R. Nikolaev (DISC 2019),
 * from which the cycles come. SCQ lets takers overrun the tail and so needs a threshold and twice
 * the entries; here takers never pass the tail, at the price of a compare-and-swap instead of a
 * fetch-and-add on `head`.
 */
#include "vm/lane.h"

#include <assert.h>
#include <errno.h>

#include "vm/cpu.h"
#include "vm/pages.h"
#include "vm/step.h"
#include "vm/vmreq.h"

#define POISON 0ull

/* Smallest ring, as a power of two: keeps cycles from wrapping before tickets do. */
#define SIZE_LOG2_MIN 11

/* Looks at a hole before it is poisoned: the first wait, and the longest, in spins. */
#define HOLE_SPINS_MIN 128u
#define HOLE_SPINS_MAX 8192u

static_assert(VMREQ_SLAB_MAX < LANE_INDEX_MASK, "an index fits an entry");
static_assert(LANE_RESERVED_MAX < 1u << (64 - LANE_TICKET_BITS), "reserved places fit their bits");
static_assert(64 - LANE_INDEX_BITS + SIZE_LOG2_MIN >= LANE_TICKET_BITS,
              "a cycle holds a ticket's laps");
static_assert(VMREQ_CPUS_MAX * 2 + 2 <= LANE_IDS_MAX, "each lane has an id");

static uint64_t cycle_of(const struct lane *lane, uint64_t ticket)
{
        return ticket >> lane->size_log2;
}

int lane_init(struct lane *lane, uint32_t capacity, uint32_t id)
{
        lane->id = (uint64_t)id << LANE_TICKET_BITS;
        lane->capacity = capacity;
        lane->size_log2 = SIZE_LOG2_MIN;
        while ((1u << lane->size_log2) < capacity)
                lane->size_log2++;
        /* Fresh zero pages: entries say cycle 0, POISON, so tickets start at lap 1.  Untouched
         * pages of a large lane cost nothing. */
        lane->entries = pages_map(sizeof(uint64_t) << lane->size_log2);
        if (!lane->entries)
                return -ENOMEM;
        atomic_init(&lane->tail, 1ull << lane->size_log2);
        atomic_init(&lane->head_seen, 1ull << lane->size_log2);
        atomic_init(&lane->head, 1ull << lane->size_log2);
        atomic_init(&lane->high_water, 0);
        atomic_init(&lane->poisoned, 0);
        atomic_init(&lane->skipped, 0);
        atomic_init(&lane->refused, 0);
        for (unsigned i = 0; i < ARRAY_SIZE(lane->ended); i++)
                atomic_init(&lane->ended[i], 0);
        return 0;
}

void lane_deinit(struct lane *lane)
{
        pages_unmap((void *)lane->entries, sizeof(uint64_t) << lane->size_log2);
        lane->entries = NULL;
}

/* Is there room for one more, with the tail at `word`?  Refreshes head_seen when it looks full. */
static bool has_room(struct lane *lane, uint64_t word)
{
        uint64_t ticket = word & LANE_TICKET_MASK, reserved = word >> LANE_TICKET_BITS;
        /* Relaxed: head only grows, so an old value errs on the side of full; entries are claimed
         * by swap, so nothing else hangs on it. */
        VM_STEP(room_seen);
        uint64_t head = atomic_load_explicit(&lane->head_seen, memory_order_relaxed);

        if (ticket - head + reserved < lane->capacity)
                return true;
        /* seq_cst: who waits for room announces that, then looks here; pairs with the swap in
         * lane_take. */
        VM_STEP(room_head);
        head = atomic_load_explicit(&lane->head, memory_order_seq_cst);
        VM_STEP(room_store);
        atomic_store_explicit(&lane->head_seen, head, memory_order_relaxed);
        /* ticket < head: `word` is old, and the caller's swap will fail. */
        return ticket < head || ticket - head + reserved < lane->capacity;
}

/* Is there none, for sure?  *word: the tail as the caller knows it; as it stands if there is room.
 */
static bool is_full(struct lane *lane, uint64_t *word, bool reserve)
{
        while (!has_room(lane, *word) ||
               (reserve && *word >> LANE_TICKET_BITS >= LANE_RESERVED_MAX)) {
                /* seq_cst: who waits for room announces that, then looks here; pairs with
                 * lane_unreserve. */
                VM_STEP(tail_again);
                uint64_t again = atomic_load_explicit(&lane->tail, memory_order_seq_cst);

                if (again == *word) {
                        atomic_fetch_add_explicit(&lane->refused, 1, memory_order_relaxed);
                        return true;
                }
                *word = again;
        }
        return false;
}

bool lane_full(struct lane *lane)
{
        VM_STEP(full_load);
        uint64_t word = atomic_load_explicit(&lane->tail, memory_order_relaxed);

        return is_full(lane, &word, false);
}

/* Takes room: one ticket drawn, or one place set aside.  False: full. */
static bool tail_take(struct lane *lane, bool reserve, uint64_t *ret_ticket)
{
        VM_STEP(tail_load);
        uint64_t word = atomic_load_explicit(&lane->tail, memory_order_relaxed), step;

        step = reserve ? 1ull << LANE_TICKET_BITS : 1;
        while (!is_full(lane, &word, reserve)) {
                /* seq_cst: a taker that is about to sleep stores its sleep word, then reads tail;
                 * pairs with lane_pending. */
                VM_STEP(tail_swap);
                if (atomic_compare_exchange_weak_explicit(&lane->tail, &word, word + step,
                                                          memory_order_seq_cst,
                                                          memory_order_relaxed)) {
                        *ret_ticket = word & LANE_TICKET_MASK;
                        return true;
                }
        }
        return false;
}

static void note_place(struct lane *lane, uint64_t ticket, _Atomic uint64_t *place)
{
        /* Relaxed: published with the packet, by the release in lane_fill. */
        VM_STEP(fill_place);
        atomic_store_explicit(place, lane->id | ticket, memory_order_relaxed);
}

bool lane_draw(struct lane *lane, _Atomic uint64_t *place)
{
        uint64_t ticket;

        if (!tail_take(lane, false, &ticket))
                return false;
        note_place(lane, ticket, place);
        return true;
}

bool lane_fill(struct lane *lane, uint32_t index, uint64_t place)
{
        uint64_t ticket = place & LANE_TICKET_MASK, cycle = cycle_of(lane, ticket);
        _Atomic uint64_t *entry = lane_entry(lane, ticket);
        VM_STEP(fill_load);
        uint64_t old = atomic_load_explicit(entry, memory_order_relaxed);

        /* Poisoned; and if this pusher was away for a lap or more, it is somebody else's by now. */
        if (old >> LANE_INDEX_BITS >= cycle)
                return false;
        /* Release publishes the packet; pairs with the acquire load in lane_take.  seq_cst because
         * the pusher reads the taker's sleep word next. */
        VM_STEP(fill_swap);
        return atomic_compare_exchange_strong_explicit(entry, &old,
                                                       cycle << LANE_INDEX_BITS | (index + 1),
                                                       memory_order_seq_cst, memory_order_relaxed);
}

bool lane_reserve(struct lane *lane)
{
        uint64_t ticket;

        return tail_take(lane, true, &ticket);
}

void lane_unreserve(struct lane *lane)
{
        /* seq_cst: who gives a place back looks next whether somebody waits for room; pairs with
         * tail_take. */
        VM_STEP(tail_unreserve);
        atomic_fetch_sub_explicit(&lane->tail, 1ull << LANE_TICKET_BITS, memory_order_seq_cst);
}

void lane_push_reserved(struct lane *lane, uint32_t index, _Atomic uint64_t *place)
{
        uint64_t ticket;

        /* The reservation is kept until an entry is filled, so that a poisoned ticket costs no
         * room.  With k such pushes under way, tail - head <= capacity - reserved + k <= capacity:
         * invariant 1 holds. */
        do {
                /* seq_cst: as in tail_take. */
                VM_STEP(tail_add);
                ticket = atomic_fetch_add_explicit(&lane->tail, 1, memory_order_seq_cst) &
                         LANE_TICKET_MASK;
                note_place(lane, ticket, place);
        } while (!lane_fill(lane, index, ticket));
        lane_unreserve(lane);
}

/* Waits for the pusher of the hole at `ticket`, `spins` looks long.  True: it is no hole any more.
 */
static bool hole_wait(_Atomic uint64_t *entry, uint64_t cycle, uint32_t spins)
{
        while (spins--) {
                VM_STEP(hole_look);
                if (atomic_load_explicit(entry, memory_order_relaxed) >> LANE_INDEX_BITS == cycle)
                        return true;
                cpu_relax();
        }
        return false;
}

/*
 * How many stand here, if there were never so many when `head`, which is written, was passed; else
 * 0.  More than N stand here if ticket head + N is written: so the pushers' line is read only for a
 * new maximum.
 */
static uint64_t new_depth(const struct lane *lane, uint64_t head)
{
        /* Relaxed: statistics. */
        uint64_t ticket = head + atomic_load_explicit(&lane->high_water, memory_order_relaxed);
        uint64_t value = atomic_load_explicit(lane_entry(lane, ticket), memory_order_relaxed);

        if (!lane_is_written(lane, value, ticket))
                return 0;
        return (atomic_load_explicit(&lane->tail, memory_order_relaxed) & LANE_TICKET_MASK) - head;
}

void lane_note_depth(struct lane *lane, uint64_t depth)
{
        /* Relaxed: statistics. */
        uint64_t most = atomic_load_explicit(&lane->high_water, memory_order_relaxed);

        while (depth > most)
                if (atomic_compare_exchange_weak_explicit(&lane->high_water, &most, depth,
                                                          memory_order_relaxed,
                                                          memory_order_relaxed))
                        return;
}

/* Passes the ticket at `head`, which is written.  False: somebody else has. */
static bool pass(struct lane *lane, uint64_t head)
{
        /* Looked at before the swap, which proves that head stood so far. */
        uint64_t depth = new_depth(lane, head);

        /* Takers of one lane pass each other what they know, so that `head` read before is never
         * older than what this thread has seen.  seq_cst: the taker looks next whether somebody
         * waits for room; pairs with has_room. */
        VM_STEP(take_swap);
        if (!atomic_compare_exchange_strong_explicit(&lane->head, &head, head + 1,
                                                     memory_order_seq_cst, memory_order_relaxed))
                return false;
        if (depth)
                lane_note_depth(lane, depth);
        return true;
}

/*
 * A ticket that is not written, whose entry says `value`: the tail, or a hole.  Waits for its
 * pusher, longer each time in a row, then poisons it.
 */
enum hole {
        HOLE_EMPTY, /* it is the tail */
        HOLE_MOVED, /* look again */
        HOLE_POISONED,
};

static enum hole hole_at(struct lane *lane, uint64_t head, uint64_t value, uint32_t *spins)
{
        _Atomic uint64_t *entry = lane_entry(lane, head);
        uint64_t cycle = cycle_of(lane, head);

        /* seq_cst: who is about to sleep has announced that, and looks here; as in lane_pending. */
        VM_STEP(take_tail);
        if (head == (atomic_load_explicit(&lane->tail, memory_order_seq_cst) & LANE_TICKET_MASK))
                return HOLE_EMPTY;
        if (hole_wait(entry, cycle, *spins))
                return HOLE_MOVED;
        VM_STEP(hole_head);
        if (atomic_load_explicit(&lane->head, memory_order_relaxed) != head)
                return HOLE_MOVED;
        if (*spins < HOLE_SPINS_MAX)
                *spins *= 2;
        /* Release order is not needed: POISON carries nothing. */
        VM_STEP(hole_poison);
        return atomic_compare_exchange_strong_explicit(entry, &value,
                                                       cycle << LANE_INDEX_BITS | POISON,
                                                       memory_order_relaxed, memory_order_relaxed)
                       ? HOLE_POISONED
                       : HOLE_MOVED;
}

bool lane_take(struct lane *lane, uint32_t *ret_index, uint64_t *ret_place)
{
        uint32_t spins = HOLE_SPINS_MIN;

        for (;;) {
                VM_STEP(take_head);
                uint64_t head = atomic_load_explicit(&lane->head, memory_order_acquire);
                /* Acquire: pairs with the release in lane_fill, so the packet's fields are there.
                 */
                VM_STEP(take_entry);
                uint64_t value = atomic_load_explicit(lane_entry(lane, head), memory_order_acquire);

                /* head has moved on, and the entry is a lap ahead */
                if (value >> LANE_INDEX_BITS > cycle_of(lane, head))
                        continue;
                if (!lane_is_written(lane, value, head)) {
                        enum hole hole = hole_at(lane, head, value, &spins);

                        if (hole == HOLE_EMPTY)
                                return false;
                        if (hole == HOLE_MOVED)
                                continue;
                        value = POISON;
                }
                if (!pass(lane, head))
                        continue;
                if ((value & LANE_INDEX_MASK) == POISON) {
                        atomic_fetch_add_explicit(&lane->poisoned, 1, memory_order_relaxed);
                        continue;
                }
                *ret_index = (uint32_t)(value & LANE_INDEX_MASK) - 1;
                *ret_place = lane->id | head;
                return true;
        }
}

void lane_look(struct lane *lane, void (*fn)(void *ctx, uint32_t index, uint64_t place), void *ctx)
{
        /* Relaxed: what has been taken meanwhile shows an old cycle or a stale index; the caller
         * checks what it is told against the packet. */
        uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
        uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed) & LANE_TICKET_MASK;

        for (; head < tail; head++) {
                uint64_t value = atomic_load_explicit(lane_entry(lane, head), memory_order_acquire);

                if (value >> LANE_INDEX_BITS == cycle_of(lane, head) &&
                    (value & LANE_INDEX_MASK) != POISON)
                        fn(ctx, (uint32_t)(value & LANE_INDEX_MASK) - 1, lane->id | head);
        }
}

uint32_t lane_depth(struct lane *lane)
{
        uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
        uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed) & LANE_TICKET_MASK;

        return tail < head ? 0 : (uint32_t)MIN(tail - head, (uint64_t)lane->capacity);
}

uint64_t lane_tickets(struct lane *lane)
{
        return (atomic_load_explicit(&lane->tail, memory_order_relaxed) & LANE_TICKET_MASK) -
               (1ull << lane->size_log2);
}
