/* SPDX-License-Identifier: MIT */
/*
 * The table of devices on a bus, and how it changes while vCPUs use it.
 *
 * A table is never written after it was published: a change makes a new one and swaps the pointer.
 * Which table a vCPU is using stands in a word of its own, so that who retires a table can see it.
 *
 *   vCPU:    uses = now; again, unless now is still the same; … call the device …; uses = NULL;
 *            tables retired?  free those that nobody uses
 *   change:  now = new; retired += old; free those that nobody uses
 *
 * Argument, all accesses seq_cst: the vCPU stores `uses`, then loads `now`; the change stores
 * `now`, then loads `uses`.  Either the vCPU finds the new table and starts over, or the change
 * finds the vCPU at the old one and keeps it.  At the end the vCPU stores `uses`, then loads
 * n_retired; the change stores n_retired, then loads `uses`: one of the two sees the other, so no
 * retired table is forgotten.
 *
 * Progress: an access never waits, neither for a change nor for another vCPU; it starts over only
 * if a change was made meanwhile.  Retired tables that are kept are at most one per vCPU. Rejected:
 * a lock around each call (a device that removes itself would wait for itself), and changes only in
 * a rendezvous (every EMT would stop for one device).
 */
#include "machine/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct handler {
        struct bus_range range;
        uint32_t tables;      /* that name it; under the lock */
        struct handler *next; /* among the dead */
};

struct bus_table {
        struct bus_table *next; /* among the retired; under the lock */
        uint32_t n;
        struct handler *handlers[BUS_RANGES_MAX]; /* by address, disjoint */
};

/* ---- use ---- */

static struct bus_table *enter(struct bus *bus, struct bus_reader *reader)
{
        struct bus_table *table;

        do {
                table = atomic_load_explicit(&bus->now, memory_order_seq_cst);
                /* seq_cst: pairs with the look in collect(). */
                atomic_store_explicit(&reader->uses, table, memory_order_seq_cst);
        } while (atomic_load_explicit(&bus->now, memory_order_seq_cst) != table);
        return table;
}

static bool in_use(struct bus *bus, const struct bus_table *table)
{
        for (uint32_t i = 0; i < bus->n_readers; i++)
                /* seq_cst: pairs with enter and leave; a vCPU that is past has finished with it. */
                if (atomic_load_explicit(&bus->readers[i].uses, memory_order_seq_cst) == table)
                        return true;
        return false;
}

static void drop_handlers(struct bus_table *table, struct handler **dead)
{
        for (uint32_t i = 0; i < table->n; i++) {
                struct handler *handler = table->handlers[i];

                if (--handler->tables)
                        continue;
                handler->next = *dead;
                *dead = handler;
        }
        free(table);
}

/* Under the lock: frees retired tables that nobody uses; devices that went with them come out. */
static struct handler *collect(struct bus *bus)
{
        struct bus_table **at = &bus->retired, *table;
        struct handler *dead = NULL;

        while ((table = *at)) {
                if (in_use(bus, table)) {
                        at = &table->next;
                        continue;
                }
                *at = table->next;
                atomic_fetch_sub_explicit(&bus->n_retired, 1, memory_order_seq_cst);
                drop_handlers(table, &dead);
        }
        return dead;
}

static void release(struct handler *dead)
{
        while (dead) {
                struct handler *handler = dead;

                dead = handler->next;
                if (handler->range.ops->release)
                        handler->range.ops->release(handler->range.ctx);
                free(handler);
        }
}

static void lock(struct bus *bus)
{
        CHECK(pthread_mutex_lock(&bus->lock) == 0);
}

static void unlock(struct bus *bus)
{
        CHECK(pthread_mutex_unlock(&bus->lock) == 0);
}

static void leave(struct bus *bus, struct bus_reader *reader)
{
        struct handler *dead;

        /* seq_cst: pairs with publish(). */
        atomic_store_explicit(&reader->uses, NULL, memory_order_seq_cst);
        if (!atomic_load_explicit(&bus->n_retired, memory_order_seq_cst))
                return;
        lock(bus);
        dead = collect(bus);
        unlock(bus);
        release(dead);
}

/* Where `address` is, or would be inserted: the first range that ends above it. */
static uint32_t find(const struct bus_table *table, uint64_t address)
{
        uint32_t low = 0, high = table->n;

        while (low < high) {
                uint32_t middle = low + (high - low) / 2;
                const struct bus_range *range = &table->handlers[middle]->range;

                if (address >= range->start && address - range->start >= range->size)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static const struct bus_range *lookup(const struct bus_table *table, uint64_t address)
{
        uint32_t i = find(table, address);

        return i < table->n && table->handlers[i]->range.start <= address
                       ? &table->handlers[i]->range
                       : NULL;
}

void bus_read(struct bus *bus, uint32_t reader, uint64_t address, uint8_t *data, uint32_t len,
              bool *ret_found)
{
        const struct bus_range *range = lookup(enter(bus, &bus->readers[reader]), address);

        memset(data, 0xff, len);
        *ret_found = range != NULL;
        if (range)
                range->ops->read(range->ctx, address - range->start, data, len);
        leave(bus, &bus->readers[reader]);
}

enum bus_outcome bus_write(struct bus *bus, uint32_t reader, uint64_t address, const uint8_t *data,
                           uint32_t len, bool *ret_found)
{
        const struct bus_range *range = lookup(enter(bus, &bus->readers[reader]), address);
        enum bus_outcome outcome = BUS_DONE;

        *ret_found = range != NULL;
        if (range)
                outcome = range->ops->write(range->ctx, address - range->start, data, len);
        leave(bus, &bus->readers[reader]);
        return outcome;
}

/* ---- change ---- */

static struct bus_table *table_of(struct bus *bus)
{
        /* Relaxed: under the lock nobody else stores it. */
        return atomic_load_explicit(&bus->now, memory_order_relaxed);
}

/* Under the lock. */
static struct handler *publish(struct bus *bus, struct bus_table *table)
{
        struct bus_table *old = table_of(bus);

        for (uint32_t i = 0; i < table->n; i++)
                table->handlers[i]->tables++;
        atomic_store_explicit(&bus->now, table, memory_order_seq_cst);
        old->next = bus->retired;
        bus->retired = old;
        atomic_fetch_add_explicit(&bus->n_retired, 1, memory_order_seq_cst);
        return collect(bus);
}

static bool overlaps(const struct bus_table *table, uint32_t i, const struct bus_range *range)
{
        return i < table->n && table->handlers[i]->range.start - range->start < range->size;
}

/* Under the lock.  `table` and `handler` are consumed on success. */
static int insert(struct bus *bus, struct bus_table *table, struct handler *handler,
                  struct handler **ret_dead)
{
        const struct bus_table *old = table_of(bus);
        uint32_t i = find(old, handler->range.start);

        if (lookup(old, handler->range.start) || overlaps(old, i, &handler->range))
                return -EEXIST;
        if (old->n == BUS_RANGES_MAX)
                return -ENOSPC;
        table->n = old->n + 1;
        memcpy(table->handlers, old->handlers, i * sizeof(table->handlers[0]));
        table->handlers[i] = handler;
        memcpy(table->handlers + i + 1, old->handlers + i,
               (old->n - i) * sizeof(table->handlers[0]));
        *ret_dead = publish(bus, table);
        return 0;
}

int bus_add(struct bus *bus, const struct bus_range *range)
{
        struct bus_table *table = calloc(1, sizeof(*table));
        struct handler *handler = calloc(1, sizeof(*handler)), *dead = NULL;
        int r = -ENOMEM;

        if (range->size == 0 || range->start + (range->size - 1) < range->start)
                r = -EINVAL;
        else if (table && handler) {
                handler->range = *range;
                lock(bus);
                r = insert(bus, table, handler, &dead);
                unlock(bus);
        }
        if (r) {
                free(table);
                free(handler);
        }
        release(dead);
        return r;
}

int bus_remove(struct bus *bus, uint64_t start)
{
        struct bus_table *table = calloc(1, sizeof(*table));
        const struct bus_table *old;
        struct handler *dead = NULL;
        int r = 0;
        uint32_t i;

        if (!table)
                return -ENOMEM;
        lock(bus);
        old = table_of(bus);
        i = find(old, start);
        if (i < old->n && old->handlers[i]->range.start == start) {
                table->n = old->n - 1;
                memcpy(table->handlers, old->handlers, i * sizeof(table->handlers[0]));
                memcpy(table->handlers + i, old->handlers + i + 1,
                       (table->n - i) * sizeof(table->handlers[0]));
                dead = publish(bus, table);
        } else {
                r = -ENOENT;
        }
        unlock(bus);
        if (r)
                free(table);
        release(dead);
        return r;
}

uint32_t bus_list(struct bus *bus, struct bus_range *ret_ranges, uint32_t max)
{
        const struct bus_table *table;
        uint32_t n;

        /* A table is freed under the lock only. */
        lock(bus);
        table = table_of(bus);
        n = table->n;
        for (uint32_t i = 0; i < n && i < max; i++)
                ret_ranges[i] = table->handlers[i]->range;
        unlock(bus);
        return n;
}

/* ---- life ---- */

int bus_init(struct bus *bus, uint32_t n_readers)
{
        struct bus_table *table = calloc(1, sizeof(*table));

        *bus = (struct bus){.n_readers = n_readers};
        bus->readers = aligned_alloc(CACHE_PAIR, n_readers * sizeof(bus->readers[0]));
        if (!table || !bus->readers || pthread_mutex_init(&bus->lock, NULL)) {
                free(table);
                free(bus->readers);
                bus->readers = NULL;
                return -ENOMEM;
        }
        for (uint32_t i = 0; i < n_readers; i++)
                atomic_init(&bus->readers[i].uses, NULL);
        atomic_init(&bus->now, table);
        return 0;
}

void bus_deinit(struct bus *bus)
{
        struct handler *dead = NULL;

        if (!bus->readers)
                return;
        lock(bus);
        dead = collect(bus);
        CHECK(!bus->retired); /* no call is under way */
        drop_handlers(table_of(bus), &dead);
        unlock(bus);
        release(dead);
        (void)pthread_mutex_destroy(&bus->lock);
        free(bus->readers);
        bus->readers = NULL;
}
