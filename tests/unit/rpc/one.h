/* SPDX-License-Identifier: MIT */
#pragma once
/* The usual fixture: a server `h`, and a client `c` whom it has taken but who has said nothing. */

#include "unit/rpc/harness.h"

static struct harness h;
static struct client c;

static inline int start_with(const struct harness_options *options)
{
        harness_start(&h, options);
        client_connect(&c, &h);
        harness_until_peers(&h, 1);
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
        harness_until_idle(&h, 0);
        harness_end(&h);
        return 0;
}

/* The same while results may be kept, which are charged until the server ends. */
static inline int end_kept(void **state)
{
        (void)state;
        gates_open();
        client_close(&c);
        harness_end(&h);
        return 0;
}
