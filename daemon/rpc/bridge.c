/* SPDX-License-Identifier: MIT */
#include "rpc/bridge.h"

#include "base/clock.h"
#include "base/macros.h"
#include "rpc/call.h"
#include "vm/cpu.h"

/* Bound of the loop's own estimate of what pays. */
#define SPIN_NS_MIN 500u

int rpc_bridge_init(struct rpc_bridge *bridge, uv_loop_t *loop, uv_async_cb drain,
                    uint64_t spin_ns_max)
{
        atomic_init(&bridge->top, NULL);
        atomic_init(&bridge->asleep, true);
        bridge->spin_ns = bridge->spin_ns_max = spin_ns_max;
        return uv_async_init(loop, &bridge->async, drain);
}

void rpc_bridge_push(struct rpc_bridge *bridge, struct rpc_call *call)
{
        /* Relaxed: only a guess for the swap. */
        struct rpc_call *top = atomic_load_explicit(&bridge->top, memory_order_relaxed);

        do {
                call->bridge_next = top;
                /* Release: pairs with the acquire in rpc_bridge_take; the result is visible.
                 * seq_cst: before the look at `asleep`; pairs with rpc_bridge_sleep, which does the
                 * two the other way round, so one of them sees the other. */
        } while (!atomic_compare_exchange_weak_explicit(
                &bridge->top, &top, call, memory_order_seq_cst, memory_order_relaxed));
        /* Who pushed on an empty stack wakes the loop; a drain that takes the stack takes all that
         * came on top of it, so no other wake-up is needed. */
        if (!top && atomic_load_explicit(&bridge->asleep, memory_order_seq_cst))
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

bool rpc_bridge_spin(struct rpc_bridge *bridge)
{
        uint64_t end;

        if (!bridge->spin_ns)
                return false;
        end = clock_now_ns() + bridge->spin_ns;
        do {
                for (unsigned i = 0; i < 32; i++) {
                        /* Relaxed: rpc_bridge_take acquires. */
                        if (atomic_load_explicit(&bridge->top, memory_order_relaxed)) {
                                bridge->spin_ns = MIN(bridge->spin_ns * 2, bridge->spin_ns_max);
                                return true;
                        }
                        cpu_relax();
                }
        } while (clock_now_ns() < end);
        bridge->spin_ns = MAX(bridge->spin_ns / 2, (uint64_t)SPIN_NS_MIN);
        return false;
}

bool rpc_bridge_sleep(struct rpc_bridge *bridge)
{
        /* Both seq_cst: pair with rpc_bridge_push. */
        atomic_store_explicit(&bridge->asleep, true, memory_order_seq_cst);
        return !atomic_load_explicit(&bridge->top, memory_order_seq_cst);
}

void rpc_bridge_awake(struct rpc_bridge *bridge)
{
        /* Relaxed: who still sees it asleep makes one system call too many. */
        atomic_store_explicit(&bridge->asleep, false, memory_order_relaxed);
}
