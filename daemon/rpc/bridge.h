/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * EMT → loop thread: calls whose request has something to tell.  Pushing allocates nothing, cannot
 * fail and takes no lock; wake-ups coalesce, so a drain assumes no count.
 */

#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

struct rpc_call;

struct rpc_bridge {
        _Atomic(struct rpc_call *) top;
        uv_async_t async;
};

/* `drain` runs on the loop thread after pushes. */
int rpc_bridge_init(struct rpc_bridge *bridge, uv_loop_t *loop, uv_async_cb drain);
/* Any thread.  Consumes the right to the call's bridge link until the drain. */
void rpc_bridge_push(struct rpc_bridge *bridge, struct rpc_call *call);
/* Loop thread: what was pushed so far, oldest first, linked by bridge_next. */
struct rpc_call *rpc_bridge_take(struct rpc_bridge *bridge);
