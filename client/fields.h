/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Looking things up in maps that a server sent, believing nothing: what is missing or of another
 * type reads as absent.  `map` may be anything, NULL included.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/value.h"

/* Borrowed bytes, never NULL, not NUL-terminated: print with %.*s and (int)len. */
struct field_text {
        const char *data;
        size_t len;
};

/* NULL if there is none, or it is nil. */
const struct proto_value *field_get(const struct proto_value *map, const char *key);
/* "" (len 0) if there is none. */
struct field_text field_text(const struct proto_value *map, const char *key);
bool field_uint(const struct proto_value *map, const char *key, uint64_t *ret_value);
bool field_int(const struct proto_value *map, const char *key, int64_t *ret_value);
/* True only for a bool that is true. */
bool field_true(const struct proto_value *map, const char *key);
/* NULL unless it is an array. */
const struct proto_value *field_array(const struct proto_value *map, const char *key);
/* A str or bin value as text; "" for anything else. */
struct field_text field_text_of(const struct proto_value *value);
