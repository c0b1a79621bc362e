/* SPDX-License-Identifier: MIT */
#pragma once
/* What vmreq.describe says about a symbol, for people. */

#include <stdio.h>

struct proto_value;

/* All of it: signature, documentation, parameters, defaults. */
void describe_render(FILE *out, const struct proto_value *description);

/* One line: the signature, and, from `column` on, the first line of the documentation. */
void describe_render_line(FILE *out, const struct proto_value *description, size_t column);

/* Columns that the signature takes. */
size_t describe_width(const struct proto_value *description);
