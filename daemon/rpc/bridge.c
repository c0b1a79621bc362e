/* SPDX-License-Identifier: MIT */
#include "rpc/bridge.h"

#include "rpc/call.h"

int rpc_bridge_init(struct rpc_bridge *bridge, uv_loop_t *loop, uv_async_cb drain)
{
        atomic_init(&bridge->top, NULL);
        return uv_async_init(loop, &bridge->async, drain);
}

void rpc_bridge_push(struct rpc_bridge *bridge, struct rpc_call *call)
{
        /* Relaxed: only a guess for the swap. */
        struct rpc_call *top = atomic_load_explicit(&bridge->top, memory_order_relaxed);

        do {
                call->bridge_next = top;
                /* Release: pairs with the acquire in rpc_bridge_take; the result is visible. */
        } while (!atomic_compare_exchange_weak_explicit(
                &bridge->top, &top, call, memory_order_release, memory_order_relaxed));
        /* Who pushed on an empty stack wakes the loop; a drain that takes the stack takes all that
         * came on top of it, so no other wake-up is needed. */
        if (!top)
                (void)uv_async_send(&bridge->async);
}

struct rpc_call *rpc_bridge_take(struct rpc_bridge *bridge)
{
        /* Acquire: pairs with the push. */
        struct rpc_call *call = atomic_exchange_explicit(&bridge->top, NULL, memory_order_acquire);
        struct rpc_call *oldest = NULL;

        while (call) {
                struct rpc_call *next = call->bridge_next;

                call->bridge_next = oldest;
                oldest = call;
                call = next;
        }
        return oldest;
}
