/* SPDX-License-Identifier: MIT */
#pragma once
/* What can be asked of every VM: the built-in modules, in load order, visible at a glance. */

#include <stddef.h>

#include "symbols/vmreq-module.h"

/* The list, NULL-terminated. */
extern const struct vmreq_module *const modules_builtin[];

/* One per mod-*.c.  Each serves one VM at a time: a second init without a fini between is
 * refused. */
extern const struct vmreq_module mod_vm;
extern const struct vmreq_module mod_cpu;
extern const struct vmreq_module mod_mem;
extern const struct vmreq_module mod_io;
extern const struct vmreq_module mod_console;

/* For their init: registers n symbols, in order.  0, or what the host said to the first that it
 * refused; those before it end with the init that fails. */
int modules_add_symbols(const struct vmreq_host *host, const struct vmreq_symbol *symbols,
                        size_t n);

struct machine;

/* Which machine they ask; before they are loaded, and NULL after they have ended. */
void modules_set_machine(struct machine *machine);
