/* SPDX-License-Identifier: MIT */
#include "rpc/idle.h"

#include "rpc/server-internal.h"

static bool is_idle(const struct rpc_server *server)
{
        enum vmreq_vm_state state = vmreq_vm_state(server->config.vm);

        return server->n_peers == 0 && server->n_calls == 0 && server->n_kept == 0 &&
               server->phase == RPC_SERVING && (state == VMREQ_VM_CREATED || state == VMREQ_VM_OFF);
}

static void on_idle_for_long(uv_timer_t *timer)
{
        struct rpc_server *server = timer->data;

        if (!is_idle(server))
                return;
        log_line(LOG_L_NOTICE, "nobody was connected for %llu ms, and no guest runs: leaving",
                 (unsigned long long)server->config.exit_idle_ms);
        rpc_drain_begin(server);
}

void rpc_idle_look(struct rpc_server *server)
{
        uv_handle_t *timer = (uv_handle_t *)&server->idle_timer;

        if (!server->config.exit_idle_ms || is_idle(server) == (bool)uv_is_active(timer))
                return;
        if (uv_is_active(timer))
                (void)uv_timer_stop(&server->idle_timer);
        else
                (void)uv_timer_start(&server->idle_timer, on_idle_for_long,
                                     server->config.exit_idle_ms, 0);
}
