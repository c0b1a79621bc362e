/* SPDX-License-Identifier: MIT */
#pragma once
/* Descriptions of symbols as a reference in Markdown. */

#include <stdio.h>

struct proto_value;

void markdown_begin(FILE *out);
/* One section: "## `debug.add(a: i64, b: i64) -> i64`", documentation, arguments, properties. */
void markdown_symbol(FILE *out, const struct proto_value *description);
