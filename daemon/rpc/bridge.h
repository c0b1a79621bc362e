/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * EMT → loop thread: calls whose request has something to tell.  Pushing allocates nothing, cannot
 * fail and takes no lock.  A loop that is awake costs a pusher no system call: it looks here itself
 * before it sleeps.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct rpc_call;

struct rpc_bridge {
        /* pushers and loop */
        _Alignas(128) _Atomic(struct rpc_call *) top;
        _Atomic bool asleep; /* the loop sleeps in poll, or is about to */

        /* loop thread */
        _Alignas(128) uint64_t spin_ns; /* for how long it would spin now */
        uint64_t spin_ns_max;           /* 0: never */
        uv_async_t async;
};

/* `drain` runs on the loop thread after pushes that found it asleep.  `spin_ns_max` bounds
 * rpc_bridge_spin; 0: it does nothing. */
int rpc_bridge_init(struct rpc_bridge *bridge, uv_loop_t *loop, uv_async_cb drain,
                    uint64_t spin_ns_max);
/* Any thread.  Consumes the right to the call's bridge link until the drain. */
void rpc_bridge_push(struct rpc_bridge *bridge, struct rpc_call *call);

/* The rest: loop thread. */

/* What was pushed so far, oldest first, linked by bridge_next. */
struct rpc_call *rpc_bridge_take(struct rpc_bridge *bridge);
/* Spins for as long as has paid lately.  True: something was pushed. */
bool rpc_bridge_spin(struct rpc_bridge *bridge);
/* About to sleep.  False: something was pushed, which nobody will wake the loop for. */
bool rpc_bridge_sleep(struct rpc_bridge *bridge);
/* Awake again. */
void rpc_bridge_awake(struct rpc_bridge *bridge);
