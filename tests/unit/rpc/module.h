/* SPDX-License-Identifier: MIT */
#pragma once
/* The module "t" that the harness registers: see harness.h for what it offers. */

#include "symbols/vmreq-module.h"

extern const struct vmreq_module test_module;

/* Forgets marks and gates of the last test.  While no server runs. */
void test_module_reset(void);
