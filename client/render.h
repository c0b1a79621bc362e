/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A decoded value → text for people, or JSON.  Text is cleaned: control characters and bytes that
 * are no UTF-8 come out as \xNN, so that a server's string cannot drive the reader's terminal.
 * JSON loses nothing (see json.h for what has no counterpart there).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "client/fields.h"

struct proto_value;

/*
 * As lines: a scalar bare; nil nothing at all; a map one aligned "key: value" line per entry,
 * nested ones indented; an array one line per element.  Ends in a newline if anything was written.
 */
void render_text(FILE *out, const struct proto_value *value);

/* The same value inside one line, no newline: 42, text, [1, 2], {a: 1}; nil is "nil". */
void render_inline(FILE *out, const struct proto_value *value);

/* The same with quotes around text that would else read as something else, as inside a list. */
void render_element(FILE *out, const struct proto_value *value);

/* Text, cleaned; with `one_line` newlines and tabs are escaped too. */
void render_clean(FILE *out, const char *data, size_t len, bool one_line);

/* `before` and the text, cleaned, on one line; nothing if the text is empty. */
void render_behind(FILE *out, const char *before, struct field_text text);

/* One JSON document and a newline.  0 or -ENOMEM. */
int render_json(FILE *out, const struct proto_value *value, bool pretty);

/* How many columns cleaned text takes, one per character. */
size_t render_width(const char *data, size_t len);
