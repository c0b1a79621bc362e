/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the guest begins with: a file, read and checked before the daemon is ready, kept, and laid
 * into memory at each power_on and reset.
 *
 * A format is a row of image_loaders (image.c) with its own file; booting Linux would be one more.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/memory.h"
#include "machine/text.h"

struct image;

/* How a vCPU is to begin; boot.h makes registers of it. */
enum image_mode {
        IMAGE_MODE_REAL, /* 16-bit real mode */
        IMAGE_MODE_LONG, /* 64-bit mode on an identity map */
};

struct image_loader {
        const char *name; /* as in the configuration */
        /* Would it take this file?  Asked in order, where the configuration says "auto". */
        bool (*probe)(const struct image *image);
        /* Everything that can be wrong with it, for a guest with that memory; sets mode and entry.
         * 0, or -ENOEXEC with the file and the field in *reterr_text. */
        int (*check)(struct image *image, const struct memory *memory,
                     struct machine_text *reterr_text);
        /* After a check that succeeded; cannot fail.  `memory` is all zero. */
        void (*place)(const struct image *image, struct memory *memory);
};

struct image {
        const char *path; /* borrowed */
        uint8_t *data;    /* the whole file */
        size_t size;
        uint64_t load_address; /* flat only */
        const struct image_loader *loader;
        enum image_mode mode;
        uint64_t entry;
};

#define IMAGE_NULL ((struct image){0})

/* NULL-terminated; the last one takes whatever is left. */
extern const struct image_loader *const image_loaders[];
extern const struct image_loader image_elf, image_flat;

/*
 * Reads the file at `path` (borrowed for the image's life) and checks it.  `format`: a loader's
 * name, or "auto".  Context: init, may block on the disk.  Return: 0, or a negative errno.
 */
int image_open(struct image *image, const char *path, const char *format, uint64_t load_address,
               const struct memory *memory, struct machine_text *reterr_text);
/* Idempotent. */
void image_close(struct image *image);
