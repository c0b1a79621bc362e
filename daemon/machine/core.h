/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * An ELF core of the guest: one thread for each vCPU, one segment for each range of memory.  It is
 * never whole in our memory: what stands before the guest's memory is made once, the rest is read
 * where it is.
 */

#include <stddef.h>
#include <stdint.h>

#include "machine/memory.h"
#include "machine/regs.h"

struct core_cpu {
        struct machine_regs regs;
        struct machine_sregs sregs;
        struct machine_fxsave fxsave;
};

struct core;

/* `memory` is borrowed for the core's life; `cpus` is read before return.  0 or -ENOMEM. */
int core_new(const struct memory *memory, const struct core_cpu *cpus, uint32_t n_cpus,
             struct core **ret_core);
/* NULL is legal. */
struct core *core_free(struct core *core);

uint64_t core_size(const struct core *core);
/* At most `len` bytes from `offset` on; how many: 0 only at its end. */
size_t core_read(const struct core *core, uint64_t offset, void *to, size_t len);
