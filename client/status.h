/* SPDX-License-Identifier: MIT */
#pragma once
/* The answer of vmreq.status, for people: two lines on the VM, then a table of its EMTs. */

#include <stdio.h>

struct proto_value;

void status_render(FILE *out, const struct proto_value *status);
