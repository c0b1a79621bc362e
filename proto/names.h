/* SPDX-License-Identifier: MIT */
#pragma once
/* The two kinds of names that come in from outside, and the one test of each. */

#include <stdbool.h>
#include <stddef.h>

/* A symbol or method: [a-z][a-z0-9_]*(\.[a-z0-9_]+)+, at most PROTO_NAME_BYTES_MAX bytes. */
bool proto_symbol_name_valid(const char *name, size_t len);

/* True for names that modules may not register: "vmreq." and "nvim_" are the broker's own. */
bool proto_symbol_name_reserved(const char *name, size_t len);

/* A VM: [A-Za-z0-9][A-Za-z0-9_.-]{0,63}, not ending in ".sock".  `name` is NUL-terminated. */
bool proto_vm_name_valid(const char *name);
