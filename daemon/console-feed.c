/* SPDX-License-Identifier: MIT */
#include "console-feed.h"

static size_t feed_read(void *ctx, uint64_t *position, void *to, size_t size, uint64_t *ret_lost)
{
        return console_read(ctx, position, to, size, ret_lost);
}

static uint64_t feed_begin(void *ctx)
{
        return console_begin(ctx);
}

static uint64_t feed_end(void *ctx)
{
        return console_end(ctx);
}

void console_feed_init(struct rpc_feed *feed, struct console *console)
{
        *feed = (struct rpc_feed){
                .read = feed_read, .begin = feed_begin, .end = feed_end, .ctx = console};
}
