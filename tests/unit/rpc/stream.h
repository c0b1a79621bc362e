/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The fixture of tests of generators.  That each state is released, and every charge at home, is
 * checked at the end of each test.
 */
#include "unit/rpc/one.h"

#include "rpc/stream.h"

/* So many that neither the socket nor the connection's share holds them. */
#define POURED "[0, 1, 'vmreq.call', ['g.pour', [200, 100000], {'stream': true, 'timeout_ms': %u}]]"

static inline int start_generating(struct harness_options options)
{
        options.generators = true;
        return start_with(&options);
}

static inline int start_usual(void **state)
{
        (void)state;
        return start_generating((struct harness_options)HARNESS_OPTIONS_INIT);
}

static inline bool some_wait_for_room(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        return !TAILQ_EMPTY(&server->streams.room);
}

static inline bool some_retry(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        return !TAILQ_EMPTY(&server->streams.retry);
}

static inline void expect_numbers(uint32_t msgid, uint64_t from, uint64_t to)
{
        for (uint64_t i = from; i < to; i++) {
                char shown[80];

                (void)snprintf(shown, sizeof(shown), "[2,'vmreq.chunk',[%u,%llu,%llu]]", msgid,
                               (unsigned long long)i, (unsigned long long)i);
                client_expect(&c, shown);
        }
}
