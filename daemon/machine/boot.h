/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The state in which a vCPU begins: registers, and for a 64-bit image the structures in memory that
 * they need.  daemon/machine/README.md says it in words for authors of guests.
 */

#include <stdint.h>

#include "machine/image.h"
#include "machine/memory.h"
#include "machine/regs.h"
#include "machine/text.h"

/* Where the structures of a 64-bit image lie: no segment of it may. */
#define BOOT_START        0x1000ull
#define BOOT_GDT          0x1000ull
#define BOOT_PML4         0x2000ull
#define BOOT_PDPT         0x3000ull
#define BOOT_PD           0x4000ull /* four pages: 4 GiB in pages of 2 MiB */
#define BOOT_COMMAND_LINE 0x8000ull
#define BOOT_END          0x9000ull
#define BOOT_MAPPED       (4ull << 30)

/* With its NUL. */
#define BOOT_COMMAND_LINE_MAX (BOOT_END - BOOT_COMMAND_LINE)

struct boot {
        const struct image
                *image; /* NULL: nothing to run, a vCPU begins at the PC's reset vector */
        const char *command_line;
        uint32_t cpus;
};

/* Does it fit?  0, or -EINVAL. */
int boot_check(const struct boot *boot, struct machine_text *reterr_text);
/* Lays image and structures into memory that is all zero. */
void boot_place(const struct boot *boot, struct memory *memory);
/* What vCPU `cpu` begins with.  Both are filled wholly. */
void boot_registers(const struct boot *boot, const struct memory *memory, uint32_t cpu,
                    struct machine_regs *ret_regs, struct machine_sregs *ret_sregs);
