/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Records of requests {id, symbol, cpu, state, on, age_ms, running_ms, deadline_ms, caller, …}, as
 * vmreq.ps, vmreq.why and vmreq.status have them, for people.
 */

#include <stddef.h>
#include <stdio.h>

struct proto_value;

/* A table of an array of records. */
void records_render(FILE *out, const struct proto_value *records);
/* "#17 debug.sleep on cpu 1, running 1.2 s, for uid 0 pid 12" and no newline. */
void records_render_line(FILE *out, const struct proto_value *record);

/* "uid 0 pid 12"; "" if there is none. */
void records_caller(const struct proto_value *caller, char *ret_text, size_t size);
