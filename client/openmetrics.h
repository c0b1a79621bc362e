/* SPDX-License-Identifier: MIT */
#pragma once
/* The answer of vmreq.stats as OpenMetrics text (openmetrics.io, version 1.0.0). */

#include <stdio.h>

struct proto_value;

void openmetrics_render(FILE *out, const struct proto_value *stats);
