/* SPDX-License-Identifier: MIT */
/*
 * A flat binary: the file as it is, at an address, entered at its first byte in 16-bit real mode.
 *
 * Real mode reaches addresses below 1 MiB; the entry is a segment and an offset, so the address may
 * be any of those, and CS:IP is made so that the segment is a multiple of 64 KiB (boot.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "machine/image.h"

#define REAL_MODE_END (1ull << 20)

static bool probe(const struct image *image)
{
        (void)image;
        return true; /* there is nothing in it to know it by */
}

static int check(struct image *image, const struct memory *memory, struct machine_text *text)
{
        if (image->load_address >= REAL_MODE_END)
                return machine_fail(text, -ENOEXEC,
                                    "image %s: load_address 0x%" PRIx64
                                    ": a flat image is entered in real mode, below 0x100000",
                                    image->path, image->load_address);
        if (!memory_at(memory, image->load_address, image->size))
                return machine_fail(text, -E2BIG,
                                    "image %s: %zu bytes at load_address 0x%" PRIx64
                                    " do not fit the guest's memory of %" PRIu64
                                    " bytes ([kvm] memory_mib)",
                                    image->path, image->size, image->load_address, memory->size);
        image->mode = IMAGE_MODE_REAL;
        image->entry = image->load_address;
        return 0;
}

static void place(const struct image *image, struct memory *memory)
{
        memcpy(memory_at(memory, image->load_address, image->size), image->data, image->size);
}

const struct image_loader image_flat = {
        .name = "flat",
        .probe = probe,
        .check = check,
        .place = place,
};
