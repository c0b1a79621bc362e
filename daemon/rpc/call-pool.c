/* SPDX-License-Identifier: MIT */
/*
 * Where calls come from: a few that were freed are kept for the next ones.  Loop thread.
 *
 * With an allocation for each call, that and the zeroing of its arguments' places, which are
 * written anyway, were an eighth of what a call costs the loop.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/call-internal.h"

struct rpc_call *rpc_call_take(struct rpc_server *server)
{
        struct rpc_call *call = server->spare_calls.first;

        if (call) {
                server->spare_calls.first = call->bridge_next;
                server->spare_calls.n--;
        } else {
                call = malloc(sizeof(*call));
                if (!call)
                        return NULL;
        }
        memset(call, 0, offsetof(struct rpc_call, args));
        call->server = server;
        rpc_args_init(&call->args);
        return call;
}

void rpc_call_give(struct rpc_call *call)
{
        struct rpc_call_pool *spare = &call->server->spare_calls;
        const uint32_t most = RPC_CALLS_SPARE_MAX; /* perhaps 0 */

        if (spare->n >= most) {
                free(call);
                return;
        }
        call->bridge_next = spare->first;
        spare->first = call;
        spare->n++;
}

void rpc_call_pool_trim(struct rpc_call_pool *spare, uint32_t n)
{
        while (spare->n > n) {
                struct rpc_call *call = spare->first;

                spare->first = call->bridge_next;
                spare->n--;
                free(call);
        }
}
