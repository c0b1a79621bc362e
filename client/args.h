/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Words of a command line → the typed arguments of a symbol, by what vmreq.describe says about it.
 *
 *   bool             true false yes no on off 1 0
 *   i8..i64 u8..u64  42 -7 0x2a
 *   x64              42 0x2a; travels as the string "0x2a"
 *   f64              1.5 1e3 inf nan
 *   str              the word itself
 *   bytes            hex digits, or @FILE; @- is the standard input
 *   array, map       JSON, or @FILE with JSON in it
 *   any              the same; a word that is no JSON and starts like none is text
 */

#include <stddef.h>

struct proto_builder;
struct proto_value;

enum args_result {
        ARGS_OK = 0,
        ARGS_E_INVALID,   /* reterr_text names the argument and what was expected */
        ARGS_E_TOO_LARGE, /* over the builder's budget */
        ARGS_E_MEMORY,
};

/*
 * Puts one array of `n_words` arguments; or, if one is written NAME=VALUE with a parameter's name,
 * a map of all of them by name (an array, where a map would be taken for the first argument). Those
 * without a name come first, and stand for the parameters in their order.  `description` is the
 * answer of vmreq.describe; a parameter whose type is not known here is read as `any`.  Words
 * beyond the described parameters are sent as text: that their number is wrong is for the server to
 * say.  Files are read up to the builder's budget.
 */
enum args_result args_put(struct proto_builder *out, const struct proto_value *description,
                          char *const *words, size_t n_words, char *reterr_text, size_t size);
