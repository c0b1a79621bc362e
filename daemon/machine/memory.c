/* SPDX-License-Identifier: MIT */
/*
 * Guest memory.
 *
 * Built by machine.c before any thread of the VM exists, handed to the backend as ranges, cleared
 * in the rendezvous of a reset, read and written by requests on any EMT.
 *
 *   1. The size is sealed: nobody who gets hold of the descriptor can shrink the file and turn an
 *      access of ours into a SIGBUS.
 *   2. It is left out of core dumps of the daemon: what a guest holds is confidential, and may be
 *      larger than the disk.
 *   3. A range check never adds: addresses come from clients and guests, and sums of them wrap.
 */
#include "machine/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"

static void add_range(struct memory *memory, uint64_t start, uint64_t size, uint64_t offset)
{
        memory->ranges[memory->n_ranges++] =
                (struct memory_range){.start = start, .size = size, .host = memory->base + offset};
}

static int create_file(uint64_t size, bool huge, struct machine_text *text)
{
        unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0);
        int fd = memfd_create("vmreqd-guest-memory", flags), fault;

        if (fd < 0)
                return machine_fail(text, -errno, "guest memory: memfd_create: %s",
                                    strerror(errno));
        if (ftruncate(fd, (off_t)size) == 0 &&
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
                return fd;
        fault = machine_fail(text, -errno, "guest memory: %" PRIu64 " MiB: %s", size >> 20,
                             strerror(errno));
        (void)close(fd);
        return fault;
}

int memory_init(struct memory *memory, uint64_t size, bool huge, struct machine_text *text)
{
        uint64_t granule = huge ? MEMORY_HUGE_PAGE : (uint64_t)sysconf(_SC_PAGESIZE);
        /* Huge pages are reserved by the mapping; plain ones come as they are touched. */
        int flags = MAP_SHARED | (huge ? 0 : MAP_NORESERVE), fault;
        uint64_t low = MIN(size, MEMORY_HOLE_START);

        *memory = MEMORY_NULL;
        if (size < MEMORY_SIZE_MIN || size > MEMORY_SIZE_MAX || size % granule)
                return machine_fail(text, -EINVAL,
                                    "guest memory: %" PRIu64
                                    " bytes: expected 1 MiB to 1 TiB in steps of %" PRIu64 " KiB",
                                    size, granule >> 10);
        memory->fd = create_file(size, huge, text);
        if (memory->fd < 0)
                return memory->fd;
        memory->base = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, memory->fd, 0);
        if (memory->base == MAP_FAILED) {
                memory->base = NULL;
                fault = machine_fail(text, -errno, "guest memory: %" PRIu64 " MiB%s: %s",
                                     size >> 20,
                                     huge ? " in huge pages (see /proc/sys/vm/nr_hugepages)" : "",
                                     strerror(errno));
                memory_deinit(memory);
                return fault;
        }
        memory->size = size;
        memory->huge = huge;
        (void)madvise(memory->base, size, MADV_DONTDUMP); /* only a wish */
        add_range(memory, 0, low, 0);
        if (size > low)
                add_range(memory, MEMORY_HOLE_END, size - low, low);
        return 0;
}

void memory_deinit(struct memory *memory)
{
        if (memory->base)
                (void)munmap(memory->base, memory->size);
        if (memory->fd >= 0)
                (void)close(memory->fd);
        *memory = MEMORY_NULL;
}

void *memory_at(const struct memory *memory, uint64_t address, uint64_t len)
{
        for (uint32_t i = 0; i < memory->n_ranges; i++) {
                const struct memory_range *range = &memory->ranges[i];

                if (address >= range->start && address - range->start <= range->size &&
                    len <= range->size - (address - range->start))
                        return range->host + (address - range->start);
        }
        return NULL;
}

/* Relaxed throughout: the guest on the other side keeps no order with us either. */
static void load(uint8_t *to, uint8_t *from, size_t len)
{
        for (; len && (uintptr_t)from % sizeof(uint64_t); len--)
                *to++ = atomic_load_explicit((_Atomic uint8_t *)from++, memory_order_relaxed);
        for (; len >= sizeof(uint64_t); len -= sizeof(uint64_t)) {
                uint64_t word = atomic_load_explicit((_Atomic uint64_t *)(void *)from,
                                                     memory_order_relaxed);

                memcpy(to, &word, sizeof(word));
                to += sizeof(word);
                from += sizeof(word);
        }
        for (; len; len--)
                *to++ = atomic_load_explicit((_Atomic uint8_t *)from++, memory_order_relaxed);
}

static void store(uint8_t *to, const uint8_t *from, size_t len)
{
        for (; len && (uintptr_t)to % sizeof(uint64_t); len--)
                atomic_store_explicit((_Atomic uint8_t *)to++, *from++, memory_order_relaxed);
        for (; len >= sizeof(uint64_t); len -= sizeof(uint64_t)) {
                uint64_t word;

                memcpy(&word, from, sizeof(word));
                atomic_store_explicit((_Atomic uint64_t *)(void *)to, word, memory_order_relaxed);
                to += sizeof(word);
                from += sizeof(word);
        }
        for (; len; len--)
                atomic_store_explicit((_Atomic uint8_t *)to++, *from++, memory_order_relaxed);
}

bool memory_read(const struct memory *memory, uint64_t address, void *to, size_t len)
{
        uint8_t *from = memory_at(memory, address, len);

        if (!from)
                return false;
        load(to, from, len);
        return true;
}

bool memory_write(struct memory *memory, uint64_t address, const void *from, size_t len)
{
        uint8_t *to = memory_at(memory, address, len);

        if (!to)
                return false;
        store(to, from, len);
        return true;
}

int memory_clear(struct memory *memory)
{
        int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

        /* Huge pages that are given back are not reserved any more, and a later access could find
         * none. */
        if (memory->huge) {
                memset(memory->base, 0, memory->size);
                return 0;
        }
        return fallocate(memory->fd, mode, 0, (off_t)memory->size) ? -errno : 0;
}
