/* SPDX-License-Identifier: MIT */
#pragma once
/* What a symbol's signature means: checked once at registration, shown by describe, used by
 * marshalling. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbols/vmreq-module.h"
#include "vm/vmreq.h"

/* "i32", "str", "any" …; "nil" and "status" for results; "?" outside the list.  Never NULL. */
const char *sym_type_to_string(uint32_t type);

/* True for types that travel as one machine word. */
bool sym_type_is_word(uint32_t type);
bool sym_type_is_signed(uint32_t type);
bool sym_type_is_unsigned(uint32_t type); /* U8..U64 and X64, not BOOL */

/* The values that an integer type can hold: for signed types the bounds as int64_t, for unsigned
 * ones as uint64_t in *ret_max with *ret_min 0. */
void sym_type_bounds(uint32_t type, int64_t *ret_min, uint64_t *ret_max);

/* How the engine calls a word function with this result type; false if it cannot return that. */
bool sym_kind_of_result(uint32_t result, enum vmreq_kind *ret_kind);

/*
 * Is this a symbol that can be called?  Checks sizes, names, types, order of optional parameters,
 * defaults against types and ranges, arity, that a word function declares words only.  False: one
 * line in reterr_text, naming the symbol, the parameter and what was expected.
 */
bool sym_signature_check(const struct vmreq_symbol *symbol, char *reterr_text, size_t size);

/* Its cap of time limits, 0 if it has none: a member that not every module's structure has. */
uint32_t sym_signature_timeout_max(const struct vmreq_symbol *symbol);

/* "add(a: i64, b: i64 = 0) -> i64" - with the full name; for messages and people.  Cut at size. */
void sym_signature_format(const struct vmreq_symbol *symbol, char *ret_text, size_t size);
