/* SPDX-License-Identifier: MIT */
#pragma once
/* The usual fixture of the engine's tests: a VM of so many EMTs, and what has run on them. */

#include "lib/engine.h"

static vmreq_vm id;
static struct log ran;

static inline int setup_n(uint32_t cpus)
{
        id = engine_new(cpus);
        memset(&ran, 0, sizeof(ran));
        return 0;
}

static inline int setup1(void **state)
{
        (void)state;
        return setup_n(1);
}

static inline int setup2(void **state)
{
        (void)state;
        return setup_n(2);
}

static inline int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}
