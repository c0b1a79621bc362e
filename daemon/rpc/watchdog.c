/* SPDX-License-Identifier: MIT */
/*
 * An EMT is fresh if one of these holds:
 *
 *   - it has turned its loop since the last look (the engine's heartbeat);
 *   - it has run its request for less than the default time limit of that symbol, or for less than
 *     emt_stuck_ms if it has none;
 *   - it is parked in a rendezvous: then the one that has not come is to blame.
 *
 * With no watchdog there is no heartbeat, and an idle daemon makes no system call.
 */
#include "rpc/watchdog.h"

#include "base/clock.h"
#include "rpc/call.h"
#include "rpc/server-internal.h"
#include "rpc/stuck.h"

static bool is_fresh(struct rpc_server *server, uint32_t cpu, uint64_t now)
{
        struct vmreq_emt_info info = {.state = VMREQ_EMT_ENDED};
        uint64_t limit_ms;

        if (vmreq_emt_info(server->config.vm, cpu, &info) || info.beats ||
            info.state == VMREQ_EMT_PARKED)
                return true;
        limit_ms = rpc_stuck_limit_ms(server, rpc_call_find(server, info.tag));
        return info.handle.generation && now < clock_add(info.since_ns, limit_ms * CLOCK_NS_PER_MS);
}

static bool are_fresh(struct rpc_server *server)
{
        uint32_t cpus = vmreq_vm_cpus(server->config.vm);
        uint64_t now = clock_now_ns();

        for (uint32_t cpu = 0; cpu < cpus; cpu++)
                if (!is_fresh(server, cpu, now))
                        return false;
        return true;
}

static void on_look(uv_timer_t *timer)
{
        struct rpc_server *server = timer->data;
        bool fed = !server->config.watchdog_emts || are_fresh(server);

        if (fed)
                server->config.on_alive(server->config.ctx);
        else if (!server->watchdog_hungry)
                log_line(LOG_L_ERROR, "an EMT is stuck: the watchdog is not fed until it is back");
        server->watchdog_hungry = !fed;
        if (server->config.watchdog_emts)
                (void)vmreq_vm_heartbeat(server->config.vm);
}

void rpc_watchdog_start(struct rpc_server *server)
{
        uint64_t half = server->config.watchdog_ms / 2;

        if (server->config.watchdog_ms)
                (void)uv_timer_start(&server->watchdog_timer, on_look, 0, half ? half : 1);
}
