/* SPDX-License-Identifier: MIT */
#pragma once
/* The symbols of cpu.* that ask the guest's vCPU; for mod-cpu.c. */

#include <stddef.h>

#include "symbols/vmreq-module.h"

/* A table, as in mod-cpu.c, and how many it has. */
extern const struct vmreq_symbol cpu_guest_symbols[];
extern const size_t cpu_guest_n_symbols;

/* The host that they answer through; NULL at the end. */
void cpu_guest_set_host(const struct vmreq_host *table);
