/* SPDX-License-Identifier: MIT */
/*
 * The stack is a Treiber stack of indices.  The tag beside the index changes with every put, so
 * that a top that was taken and put back meanwhile is not mistaken for the old one (ABA): a thread
 * would have to sleep through a multiple of 2^32 puts exactly between two of its instructions.
 * Links stand in an array of their own that lives as long as the pool: reading the link of a packet
 * that somebody else has taken by now is harmless, the swap then fails.
 *
 * A ring has one putter, its EMT: it fills an entry, then moves the tail; no swap, and no line that
 * a taker writes.  Takers move `head` by swap.  A taker that read an entry which was overwritten
 * meanwhile finds that head has moved (mod 2^32, as above): the putter overwrites only what was
 * taken.
 *
 * Who finds nothing in its own ring and on the stack looks into a few other rings, at others each
 * time, before it takes an index never used before; into all of them only when there is none of
 * those.  So a get costs the same however many EMTs there are, and while rings hold anything a
 * thread that fills the slab comes by it after at most n_rings / POOL_LOOKS fresh ones.
 * Considered: all rings first (with 256 EMTs 256 looks for each request of a growing backlog), and
 * no ring before what is fresh (submitters to ANY would page in a ring's worth for each EMT).
 *
 * "None left" is said only if there was an instant at which nothing was free.  Stack and rings are
 * looked at one after the other; so if all look empty, what was ever put anywhere is counted, they
 * are looked at again, and it is counted again.  If nothing was put in between, then what looked
 * empty stayed so until the second count, all at once.
 */
#include "vm/pool.h"

#include <errno.h>

#include "vm/pages.h"
#include "vm/step.h"

int pool_init(struct pool *pool, uint32_t capacity, uint32_t rings)
{
        /* Zero pages: empty rings.  What is never used is never paged in. */
        pool->next = pages_map(sizeof(uint32_t) * (size_t)capacity);
        pool->rings = pages_map(sizeof(struct pool_ring) * (size_t)rings);
        pool->capacity = capacity;
        pool->n_rings = rings;
        atomic_init(&pool->top, 0);
        atomic_init(&pool->fresh, 0);
        if (pool->next && pool->rings)
                return 0;
        pool_deinit(pool);
        return -ENOMEM;
}

void pool_deinit(struct pool *pool)
{
        pages_unmap((void *)pool->next, sizeof(uint32_t) * (size_t)pool->capacity);
        pages_unmap(pool->rings, sizeof(struct pool_ring) * (size_t)pool->n_rings);
        pool->next = NULL;
        pool->rings = NULL;
}

static bool get_fresh(struct pool *pool, uint32_t *ret_index)
{
        /* Relaxed: the number itself is all that is handed out; who reads it as a bound
         * (pool_high_water) re-checks each packet's word. */
        VM_STEP(fresh_load);
        uint32_t fresh = atomic_load_explicit(&pool->fresh, memory_order_relaxed);

        do {
                if (fresh >= pool->capacity)
                        return false;
                VM_STEP(fresh_swap);
        } while (!atomic_compare_exchange_weak_explicit(
                &pool->fresh, &fresh, fresh + 1, memory_order_seq_cst, memory_order_relaxed));
        *ret_index = fresh;
        return true;
}

static bool stack_get(struct pool *pool, uint32_t *ret_index)
{
        /* Acquire: pairs with the release in stack_put; what the last owner did to the packet is
         * visible.  seq_cst: who waits for room announces that, then looks here. */
        VM_STEP(get_top);
        uint64_t top = atomic_load_explicit(&pool->top, memory_order_seq_cst);

        while ((uint32_t)top) {
                uint32_t index = (uint32_t)top - 1;
                /* Relaxed: was written before the put that made `index` the top; acquired above. */
                VM_STEP(get_next);
                uint64_t next = atomic_load_explicit(&pool->next[index], memory_order_relaxed);

                VM_STEP(get_swap);
                if (atomic_compare_exchange_weak_explicit(
                            &pool->top, &top, (top & ~0xffffffffull) | next, memory_order_seq_cst,
                            memory_order_seq_cst)) {
                        *ret_index = index;
                        return true;
                }
        }
        return false;
}

static void stack_put(struct pool *pool, uint32_t index)
{
        VM_STEP(put_top);
        uint64_t top = atomic_load_explicit(&pool->top, memory_order_relaxed), next;

        do {
                VM_STEP(put_next);
                atomic_store_explicit(&pool->next[index], (uint32_t)top, memory_order_relaxed);
                next = ((top >> 32) + 1) << 32 | (index + 1);
                /* Release: pairs with the acquire in stack_get.  seq_cst: the putter looks next
                 * whether somebody waits for room. */
                VM_STEP(put_swap);
        } while (!atomic_compare_exchange_weak_explicit(
                &pool->top, &top, next, memory_order_seq_cst, memory_order_relaxed));
}

static bool ring_get(struct pool_ring *ring, uint32_t *ret_index)
{
        /* Acquire: pairs with the release in the swap below, by a taker that had acquired the
         * tail; so the entries up to that tail are there. */
        VM_STEP(ring_head);
        uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);

        for (;;) {
                uint32_t taken = (uint32_t)head, tail = (uint32_t)(head >> 32), index;

                if (taken == tail) {
                        /* Acquire: pairs with the release in ring_put.  seq_cst: who waits for room
                         * announces that, then looks here. */
                        VM_STEP(ring_tail);
                        tail = atomic_load_explicit(&ring->tail, memory_order_seq_cst);
                        if (taken == tail)
                                return false;
                }
                VM_STEP(ring_entry);
                index = atomic_load_explicit(&ring->entries[taken % POOL_RING],
                                             memory_order_relaxed);
                /* Release also for ring_put: it overwrites an entry only after this read of it. */
                VM_STEP(ring_swap);
                if (atomic_compare_exchange_weak_explicit(
                            &ring->head, &head, (uint64_t)tail << 32 | (uint32_t)(taken + 1),
                            memory_order_acq_rel, memory_order_acquire)) {
                        *ret_index = index;
                        return true;
                }
        }
}

/* By the ring's EMT alone.  False: it is full. */
static bool ring_put(struct pool_ring *ring, uint32_t index)
{
        uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

        if (tail - ring->taken_seen >= POOL_RING) {
                /* Acquire: pairs with the release in ring_get. */
                VM_STEP(put_head);
                ring->taken_seen =
                        (uint32_t)atomic_load_explicit(&ring->head, memory_order_acquire);
                if (tail - ring->taken_seen >= POOL_RING)
                        return false;
        }
        VM_STEP(put_entry);
        atomic_store_explicit(&ring->entries[tail % POOL_RING], index, memory_order_relaxed);
        /* Release: pairs with the acquire in ring_get.  seq_cst: the putter looks next whether
         * somebody waits for room. */
        VM_STEP(put_tail);
        atomic_store_explicit(&ring->tail, tail + 1, memory_order_seq_cst);
        return true;
}

/* How often something was put, anywhere, mod 2^32. */
static uint32_t count_puts(struct pool *pool)
{
        VM_STEP(puts_top);
        uint32_t n = (uint32_t)(atomic_load_explicit(&pool->top, memory_order_seq_cst) >> 32);

        for (uint32_t i = 0; i < pool->n_rings; i++) {
                VM_STEP(puts_tail);
                n += atomic_load_explicit(&pool->rings[i].tail, memory_order_seq_cst);
        }
        return n;
}

/* From `n` rings, `first` and those that follow, without `own`. */
static bool rings_get(struct pool *pool, uint32_t own, uint32_t first, uint32_t n,
                      uint32_t *ret_index)
{
        for (uint32_t i = first; n; n--, i = i + 1 < pool->n_rings ? i + 1 : 0)
                if (i != own && ring_get(&pool->rings[i], ret_index))
                        return true;
        return false;
}

/* Into which of the other rings to look now: other ones after each index that was fresh. */
static uint32_t first_look(struct pool *pool)
{
        /* Relaxed: any will do. */
        uint64_t fresh = atomic_load_explicit(&pool->fresh, memory_order_relaxed);

        return pool->n_rings <= POOL_LOOKS ? 0 : (uint32_t)(fresh * POOL_LOOKS % pool->n_rings);
}

/* Neither the ring `own` nor the stack had one.  Not inlined: those have one nearly always. */
static bool __attribute__((noinline))
get_elsewhere(struct pool *pool, uint32_t own, uint32_t *ret_index)
{
        return rings_get(pool, own, first_look(pool), MIN(pool->n_rings, POOL_LOOKS), ret_index) ||
               get_fresh(pool, ret_index) || rings_get(pool, own, 0, pool->n_rings, ret_index);
}

static bool get(struct pool *pool, uint32_t ring, uint32_t *ret_index)
{
        return (ring < pool->n_rings && ring_get(&pool->rings[ring], ret_index)) ||
               stack_get(pool, ret_index) || get_elsewhere(pool, ring, ret_index);
}

bool pool_get(struct pool *pool, uint32_t ring, uint32_t *ret_index)
{
        uint32_t puts;

        if (get(pool, ring, ret_index))
                return true;
        do {
                puts = count_puts(pool);
                if (get(pool, ring, ret_index))
                        return true;
        } while (count_puts(pool) != puts);
        return false;
}

void pool_put(struct pool *pool, uint32_t ring, uint32_t index)
{
        if (ring == POOL_NO_RING || !ring_put(&pool->rings[ring], index))
                stack_put(pool, index);
}

uint32_t pool_high_water(struct pool *pool)
{
        /* seq_cst: a scan for queued packets after closing the VM must see the index of every
         * packet that was handed out before; pairs with get_fresh. */
        return atomic_load_explicit(&pool->fresh, memory_order_seq_cst);
}
