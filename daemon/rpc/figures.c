/* SPDX-License-Identifier: MIT */
#include "rpc/figures.h"

#include "base/clock.h"
#include "rpc/server-internal.h"

static struct rpc_figures figures_now(const struct rpc_server *server)
{
        return (struct rpc_figures){
                .state = vmreq_vm_state(server->config.vm),
                .clients = server->n_peers,
                .calls = server->n_calls,
        };
}

static bool is_told(const struct rpc_server *server, const struct rpc_figures *now)
{
        const struct rpc_figures *told = &server->figures;

        return server->figures_told && now->state == told->state && now->clients == told->clients &&
               now->calls == told->calls;
}

static void tell(struct rpc_server *server, const struct rpc_figures *figures)
{
        server->figures = *figures;
        server->figures_told = true;
        server->figures_ns = clock_now_ns();
        server->config.on_figures(server->config.ctx, figures);
}

/* What has changed back meanwhile is not worth a word. */
static void on_time(uv_timer_t *timer)
{
        struct rpc_server *server = timer->data;
        struct rpc_figures now = figures_now(server);

        if (!is_told(server, &now))
                tell(server, &now);
}

void rpc_figures_look(struct rpc_server *server)
{
        struct rpc_figures now;
        uint64_t due_ns, now_ns;

        if (!server->config.on_figures || uv_is_active((uv_handle_t *)&server->figures_timer))
                return;
        now = figures_now(server);
        if (is_told(server, &now))
                return;
        now_ns = clock_now_ns();
        due_ns = server->figures_ns + RPC_FIGURES_MS * CLOCK_NS_PER_MS;
        if (!server->figures_told || now_ns >= due_ns)
                tell(server, &now);
        else
                (void)uv_timer_start(&server->figures_timer, on_time,
                                     (due_ns - now_ns) / CLOCK_NS_PER_MS + 1, 0);
}
