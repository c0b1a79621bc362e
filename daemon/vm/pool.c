/* SPDX-License-Identifier: MIT */
/*
 * A Treiber stack of indices.  The tag beside the index changes with every put, so that a top that
 * was taken and put back meanwhile is not mistaken for the old one (ABA): a thread would have to
 * sleep through a multiple of 2^32 puts exactly between two of its instructions.  Links stand in an
 * array of their own that lives as long as the pool: reading the link of a packet that somebody
 * else has taken by now is harmless, the swap then fails.
 */
#include "vm/pool.h"

#include <errno.h>
#include <sys/mman.h>

#include "vm/step.h"

int pool_init(struct pool *pool, uint32_t capacity)
{
        void *pages = mmap(NULL, sizeof(uint32_t) * (size_t)capacity, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (pages == MAP_FAILED) {
                pool->next = NULL;
                return -ENOMEM;
        }
        pool->next = pages;
        pool->capacity = capacity;
        atomic_init(&pool->top, 0);
        atomic_init(&pool->fresh, 0);
        return 0;
}

void pool_deinit(struct pool *pool)
{
        if (pool->next)
                (void)munmap((void *)pool->next, sizeof(uint32_t) * (size_t)pool->capacity);
        pool->next = NULL;
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

bool pool_get(struct pool *pool, uint32_t *ret_index)
{
        /* Acquire: pairs with the release in pool_put; what the last owner did to the packet is
         * visible. */
        VM_STEP(get_top);
        uint64_t top = atomic_load_explicit(&pool->top, memory_order_acquire);

        for (;;) {
                uint32_t index = (uint32_t)top - 1;
                uint64_t next;

                if ((uint32_t)top == 0) {
                        if (get_fresh(pool, ret_index))
                                return true;
                        /* seq_cst: who waits for room announces that, then looks here; pairs with
                         * pool_put. */
                        VM_STEP(get_again);
                        top = atomic_load_explicit(&pool->top, memory_order_seq_cst);
                        if ((uint32_t)top == 0)
                                return false;
                        continue;
                }
                /* Relaxed: was written before the put that made `index` the top; acquired above. */
                VM_STEP(get_next);
                next = atomic_load_explicit(&pool->next[index], memory_order_relaxed);
                VM_STEP(get_swap);
                if (atomic_compare_exchange_weak_explicit(
                            &pool->top, &top, (top & ~0xffffffffull) | next, memory_order_acquire,
                            memory_order_acquire)) {
                        *ret_index = index;
                        return true;
                }
        }
}

void pool_put(struct pool *pool, uint32_t index)
{
        VM_STEP(put_top);
        uint64_t top = atomic_load_explicit(&pool->top, memory_order_relaxed), next;

        do {
                VM_STEP(put_next);
                atomic_store_explicit(&pool->next[index], (uint32_t)top, memory_order_relaxed);
                next = ((top >> 32) + 1) << 32 | (index + 1);
                /* Release: pairs with the acquire in pool_get.  seq_cst: the putter looks next
                 * whether somebody waits for room. */
                VM_STEP(put_swap);
        } while (!atomic_compare_exchange_weak_explicit(
                &pool->top, &top, next, memory_order_seq_cst, memory_order_relaxed));
}

uint32_t pool_high_water(struct pool *pool)
{
        /* seq_cst: a scan for queued packets after closing the VM must see the index of every
         * packet that was handed out before; pairs with get_fresh. */
        return atomic_load_explicit(&pool->fresh, memory_order_seq_cst);
}
