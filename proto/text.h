/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Text that has bytes of strangers in it.  Several clients refuse a whole frame for one string that
 * is not UTF-8, so what a message repeats of a request is made readable first.
 */

#include <stddef.h>

/*
 * How many of the first bytes of `text` (`len` bytes) make one character of UTF-8: 1..4; 0 if they
 * make none: a stray or missing continuation, an overlong form, a surrogate, a number beyond
 * U+10FFFF; or if `len` is 0.
 */
size_t proto_utf8_char(const char *text, size_t len);

/* Puts a '?' for each byte of a NUL-terminated text that belongs to no character.  In place. */
void proto_text_clean(char *text);
