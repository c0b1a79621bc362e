/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The free list of a VM's packets: indices below `capacity`, each handed out to one owner at a
 * time.  Last in, first out, so that the packets in use stay few and warm; indices never used
 * before come last, so that the untouched part of the slab is never paged in.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct pool {
        _Atomic uint32_t
                *next; /* fixed after init; [i]: index + 1 of the packet below i on the stack */
        uint32_t capacity;
        _Alignas(CACHE_PAIR) _Atomic uint64_t top; /* tag << 32 | index + 1 */
        _Atomic uint32_t fresh;                    /* indices from here on were never handed out */
};

/* 0 or -ENOMEM.  capacity: 1..VMREQ_SLAB_MAX. */
int pool_init(struct pool *pool, uint32_t capacity);
void pool_deinit(struct pool *pool);

/* Lock-free.  False: all are handed out. */
bool pool_get(struct pool *pool, uint32_t *ret_index);
/* Lock-free.  `index` was handed out and is not used any more. */
void pool_put(struct pool *pool, uint32_t index);

/* Every index that was ever handed out is below this. */
uint32_t pool_high_water(struct pool *pool);
