/* SPDX-License-Identifier: MIT */
#pragma once
/* The modules "t" and "g" that the harness registers: see harness.h for what they offer. */

#include "symbols/vmreq-module.h"

extern const struct vmreq_module test_module, generator_module;

/* Forgets marks and gates of the last test.  While no server runs. */
void test_module_reset(void);
void generator_module_reset(void);

/* In a function: says that it is at its gate, and waits until that is opened. */
void gate_pass(void);

#define FUNCTION(name)                                                                             \
        static int32_t name(void *ctx, const struct vmreq_value *args, uint32_t argc,              \
                            struct vmreq_writer *reply)
#define SYMBOL(symbol)                                                                             \
        .size = sizeof(struct vmreq_symbol), .name = (symbol), .doc = "A test's.",                 \
        .dest = VMREQ_DEST_ANY
#define PARAMS(array) .params = (array), .n_params = ARRAY_SIZE(array)
