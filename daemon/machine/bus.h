/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A bus: which device answers at which address.  Ports and memory-mapped registers are two buses.
 *
 * vCPUs look up and call without a lock, each under its own number; requests add and remove ranges
 * meanwhile.  A removed device may still be inside a call that began before; its release hook runs
 * when the last such call has ended, on the thread that notices.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

#define BUS_RANGES_MAX 64u

/* What a write asks of the machine. */
enum bus_outcome {
        BUS_DONE,
        BUS_POWER_OFF, /* the guest turns itself off */
};

/* Called on the accessing vCPU's EMT, several at once.  May not block.  `len` is 1, 2, 4 or 8;
 * `offset` + `len` may lead past the range's end. */
struct bus_ops {
        /* Fills `len` bytes; they hold 0xff at entry. */
        void (*read)(void *ctx, uint64_t offset, uint8_t *data, uint32_t len);
        enum bus_outcome (*write)(void *ctx, uint64_t offset, const uint8_t *data, uint32_t len);
        void (*release)(void *ctx); /* NULL: nothing to release */
};

struct bus_range {
        const char *name; /* static */
        uint64_t start, size;
        const struct bus_ops *ops;
        void *ctx;
};

struct bus_table;

struct bus_reader {
        _Alignas(CACHE_PAIR) _Atomic(struct bus_table *) uses;
};

struct bus {
        _Atomic(struct bus_table *) now;
        uint32_t n_readers; /* fixed after init */
        struct bus_reader *readers;
        _Atomic uint32_t n_retired;
        pthread_mutex_t lock; /* guards changes and what is below; not held across a hook */
        struct bus_table *retired;
};

/* `n_readers` vCPUs.  0 or -ENOMEM. */
int bus_init(struct bus *bus, uint32_t n_readers);
/* Releases every device.  No call may be under way.  Idempotent after bus_init. */
void bus_deinit(struct bus *bus);

/*
 * Any thread.  `range` is copied; its ctx lives until release.  0; -EINVAL: empty or wrapping;
 * -EEXIST: overlaps another; -ENOSPC: BUS_RANGES_MAX; -ENOMEM.
 */
int bus_add(struct bus *bus, const struct bus_range *range);
/* Any thread, a handler of that very range included.  0; -ENOENT: nothing starts there; -ENOMEM. */
int bus_remove(struct bus *bus, uint64_t start);

/*
 * One access by vCPU `reader`, on its EMT, not from inside another.  A read finds 0xff in every
 * byte where nobody answers.  *ret_found: somebody does.
 */
void bus_read(struct bus *bus, uint32_t reader, uint64_t address, uint8_t *data, uint32_t len,
              bool *ret_found);
enum bus_outcome bus_write(struct bus *bus, uint32_t reader, uint64_t address, const uint8_t *data,
                           uint32_t len, bool *ret_found);

/* The ranges now, by address: at most `max` are copied; how many there are. */
uint32_t bus_list(struct bus *bus, struct bus_range *ret_ranges, uint32_t max);
