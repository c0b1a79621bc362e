/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The fixture with two clients: a server `h`, and `c` and `d`, whom it has taken in this order but
 * who have said nothing.
 */

#include "unit/rpc/harness.h"

static struct harness h;
static struct client c, d;

static inline int start_with(const struct harness_options *options)
{
        harness_start(&h, options);
        client_connect(&c, &h);
        client_connect(&d, &h);
        harness_until_peers(&h, 2);
        return 0;
}

static inline int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        return start_with(&options);
}

static inline int end(void **state)
{
        (void)state;
        gates_open();
        client_close(&c);
        client_close(&d);
        harness_until_idle(&h, 0);
        harness_end(&h);
        return 0;
}
