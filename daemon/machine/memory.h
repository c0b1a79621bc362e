/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The guest's memory: one memfd of a sealed size, mapped once.  What does not fit below the hole
 * that PCs keep for devices (3 GiB to 4 GiB) is found from 4 GiB on.
 *
 * The guest, its devices and requests on several EMTs use it at the same time; nobody locks it, as
 * nobody locks a machine's memory.  What goes through memory_read and memory_write is copied in
 * relaxed atomic words: an aligned u64 is never torn.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/text.h"

#define MEMORY_HOLE_START 0xc0000000ull /* 3 GiB */
#define MEMORY_HOLE_END   0x100000000ull
#define MEMORY_SIZE_MIN   (1ull << 20)
#define MEMORY_SIZE_MAX   (1ull << 40)
#define MEMORY_RANGES_MAX 2u
#define MEMORY_HUGE_PAGE  (2ull << 20)

/* A stretch of guest-physical addresses with memory behind it. */
struct memory_range {
        uint64_t start, size;
        uint8_t *host; /* borrowed from the mapping */
};

struct memory {
        int fd; /* -1: none */
        uint8_t *base;
        uint64_t size;
        bool huge;
        uint32_t n_ranges;
        struct memory_range ranges[MEMORY_RANGES_MAX]; /* by address */
};

#define MEMORY_NULL ((struct memory){.fd = -1})

/*
 * Allocates `size` bytes, a multiple of a page (of a huge page with `huge`), MEMORY_SIZE_MIN..MAX;
 * all zero.  Huge pages are reserved here and now, so that no access can fail later.
 * Context: init.  Return: 0, or a negative errno with the reason in *reterr_text.
 */
int memory_init(struct memory *memory, uint64_t size, bool huge, struct machine_text *reterr_text);
/* Idempotent. */
void memory_deinit(struct memory *memory);

/* The host's view of `len` bytes at a guest-physical address; NULL unless all of them are memory.
 * For who knows that nobody else uses them (placing an image); others read and write. */
void *memory_at(const struct memory *memory, uint64_t address, uint64_t len);

/* Any thread.  False: not all of it is memory, and nothing was copied. */
bool memory_read(const struct memory *memory, uint64_t address, void *to, size_t len);
bool memory_write(struct memory *memory, uint64_t address, const void *from, size_t len);

/* All zero again; plain pages are given back to the host.  While no guest runs.  0 or a negative
 * errno. */
int memory_clear(struct memory *memory);
