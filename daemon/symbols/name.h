/* SPDX-License-Identifier: MIT */
#pragma once
/* The names that a module brings in, and the one test of each.  This room only: it must not know
 * the wire's. */

#include <stdbool.h>
#include <stddef.h>

#define SYM_NAME_BYTES_MAX        64 /* a symbol's or a parameter's, without the NUL */
#define SYM_MODULE_NAME_BYTES_MAX 32 /* a module's, without the NUL */

/* The length of `name`, or one more than SYM_NAME_BYTES_MAX if it is longer.  NULL has length 0. */
size_t sym_name_len(const char *name);

/* [a-z][a-z0-9_]*(\.[a-z0-9_]+)+, at most SYM_NAME_BYTES_MAX bytes.  `name` need not end in a
 * NUL. */
bool sym_name_is_symbol(const char *name, size_t len);

/* [a-z][a-z0-9_]*, at most SYM_NAME_BYTES_MAX bytes. */
bool sym_name_is_param(const char *name, size_t len);

/* [a-z][a-z0-9_]{0,31}. */
bool sym_name_is_module(const char *name, size_t len);

/* True for modules whose symbols would be the broker's own: "vmreq" and "nvim_…". */
bool sym_name_is_reserved_module(const char *name, size_t len);
