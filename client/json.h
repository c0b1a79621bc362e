/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * msgpack ⇄ JSON, by jansson.  What JSON cannot say:
 *
 *   bytes, and text that is no UTF-8       {"$bytes": "00ff…"}       hex, lower case an ext value
 *   {"$ext": type, "$bytes": "…"} an integer above 2^63-1                a string of its decimal
 *   digits (jansson counts in int64) NaN and the infinities                 the strings "nan",
 *   "inf", "-inf" a map key that is not text             its text form as by render_inline; of
 *   equal keys the last counts
 *
 * In the other direction {"$bytes": "…"} becomes bytes; the rest stays what JSON says it is.
 */

#include <jansson.h>
#include <stddef.h>

struct proto_builder;
struct proto_value;

/*
 * A new reference; NULL if memory is short.  *ret_digits (0 at first) grows to what json_dumps
 * needs as JSON_REAL_PRECISION for every float to read back as itself.
 */
json_t *ctl_json_from_value(const struct proto_value *value, int *ret_digits);

/* Significant digits, 15 to 17, that `value` needs. */
int ctl_json_digits(double value);

/*
 * Puts a document.  0; -1 if it is nested deeper than `depth_max` containers, or a "$bytes" is no
 * hex.
 */
int ctl_json_put(struct proto_builder *out, const json_t *json, unsigned depth_max);

/* Hex digits (an even number, any case) → bytes.  0, or -1. */
int ctl_json_put_hex(struct proto_builder *out, const char *text, size_t len);
