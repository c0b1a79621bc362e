/* SPDX-License-Identifier: MIT */
#pragma once
/* The rows of a broadcast: {cpu, fate, status, value, …}, one per vCPU. */

#include <stdbool.h>
#include <stdio.h>

struct proto_value;

/* One line per row, in the order given: "cpu 3  DONE  42". */
void rows_render(FILE *out, const struct proto_value *rows);
void rows_render_one(FILE *out, const struct proto_value *row);

/* Are these the rows of a broadcast, as far as can be told by their looks? */
bool rows_are(const struct proto_value *value);

/*
 * The exit status of a broadcast: the highest of its rows'.  DONE 0, or 3 if its status is failing;
 * SKIPPED 3; EXPIRED, RUNNING 5; CANCELLED, KILLED 6; anything else 3.
 */
int rows_exit(const struct proto_value *rows);
