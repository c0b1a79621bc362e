/* SPDX-License-Identifier: MIT */
#pragma once
/* mem.dump: an ELF core, chunk by chunk. */

#include "machine/machine.h"
#include "symbols/vmreq-module.h"

/* One run of the generator. */
int32_t mem_dump_run(const struct vmreq_host *host, struct machine *machine,
                     struct vmreq_writer *reply);
