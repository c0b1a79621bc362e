/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The free list of a VM's packets: indices below `capacity`, each handed out to one owner at a
 * time.  Indices never used before come last but for a few looks (pool.c), so that the untouched
 * part of the slab is not paged in.
 *
 * What an EMT gives back goes into a ring of its own, which it alone writes and anybody takes from;
 * so it shares no line with submitters, request by request.  What others give back, or what does
 * not fit there, goes onto a stack.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* Places in an EMT's ring; a power of two.  Where every interleaving is walked through (step.h)
 * there is one, as in the model, so that a ring is full now and then. */
#ifdef VMREQ_STEPS
#define POOL_RING  1u
#define POOL_LOOKS 1u
#else
#define POOL_RING  1024u
#define POOL_LOOKS 4u /* other EMTs' rings that are looked into before an index never used */
#endif

struct pool_ring {
        /* who gives back */
        _Alignas(CACHE_PAIR) _Atomic uint32_t tail; /* how many it has given back, mod 2^32 */
        uint32_t taken_seen;                        /* some earlier value of how many were taken */

        /* who takes: the tail as last seen << 32 | how many were taken */
        _Alignas(CACHE_PAIR) _Atomic uint64_t head;

        _Alignas(CACHE_PAIR) _Atomic uint32_t entries[POOL_RING];
};

struct pool {
        /* fixed after init */
        _Atomic uint32_t *next; /* [i]: index + 1 of the packet below i on the stack */
        struct pool_ring *rings;
        uint32_t n_rings;
        uint32_t capacity;

        _Alignas(CACHE_PAIR) _Atomic uint64_t top; /* of the stack: tag << 32 | index + 1 */
        _Atomic uint32_t fresh;                    /* indices from here on were never handed out */
};

/* 0 or -ENOMEM.  capacity: 1..VMREQ_SLAB_MAX; rings: 1..VMREQ_CPUS_MAX. */
int pool_init(struct pool *pool, uint32_t capacity, uint32_t rings);
void pool_deinit(struct pool *pool);

/* Lock-free.  `ring`: where to look first.  False: all are handed out. */
bool pool_get(struct pool *pool, uint32_t ring, uint32_t *ret_index);
/* Lock-free.  `index` was handed out and is not used any more.  `ring`: the calling EMT's, or
 * POOL_NO_RING. */
#define POOL_NO_RING UINT32_MAX
void pool_put(struct pool *pool, uint32_t ring, uint32_t index);

/* Every index that was ever handed out is below this. */
uint32_t pool_high_water(struct pool *pool);
