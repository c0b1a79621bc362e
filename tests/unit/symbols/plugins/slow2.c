/* SPDX-License-Identifier: MIT */
/* Another one like it. */
#define NAME "slow2"
#include "unit/symbols/plugins/slow.c"
