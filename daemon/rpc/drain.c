/* SPDX-License-Identifier: MIT */
/*
 * Going down: no new connections; what had arrived is read, symbol calls among it are KILLED,
 * methods answered; accepted calls go on until drain_ms; then what is queued is KILLED (it never
 * ran), what runs is answered KILLED (maybe); output is flushed; connections close.  Every accepted
 * call has had one answer.
 */
#include "base/clock.h"
#include "rpc/call.h"
#include "rpc/peer.h"

/* How long clients get to read their last answers. */
#define FLUSH_MS 2000

static bool all_answered(const struct rpc_server *server)
{
        const struct rpc_peer *peer;

        TAILQ_FOREACH (peer, &server->peers, link)
                if (peer->n_unanswered)
                        return false;
        return server->n_open == 0 && server->modules.n_jobs == 0;
}

static void leave(struct rpc_server *server)
{
        struct rpc_peer *peer;

        server->phase = RPC_LEAVING;
        TAILQ_FOREACH (peer, &server->peers, link) {
                /* Half closed now: whoever is flushed goes. */
                if (peer->state == RPC_PEER_OPEN)
                        peer->state = RPC_PEER_HALF;
                rpc_peer_touch(peer);
        }
        uv_update_time(&server->loop); /* killing, or reading what had arrived, takes time */
        (void)uv_timer_start(&server->drain_timer, rpc_drain_on_timer, FLUSH_MS, 0);
}

/* The drain is over, and calls are left. */
static void kill_calls(struct rpc_server *server)
{
        log_line(LOG_L_NOTICE, "%u calls have not ended within %llu ms: killing what is queued",
                 server->n_open, (unsigned long long)server->config.limits.drain_ms);
        rpc_calls_doom(server);
        (void)vmreq_vm_close(server->config.vm);
        rpc_calls_drain(server);
        rpc_calls_kill(server);
        rpc_modules_kill(server);
}

void rpc_drain_on_timer(uv_timer_t *timer)
{
        struct rpc_server *server = timer->data;
        struct rpc_peer *peer, *next;

        if (server->phase == RPC_DRAINING) {
                kill_calls(server);
                leave(server);
        } else {
                TAILQ_FOREACH_SAFE (peer, &server->peers, link, next)
                        rpc_peer_close(peer);
        }
}

void rpc_drain_begin(struct rpc_server *server)
{
        struct rpc_peer *peer, *next;

        if (server->phase != RPC_SERVING)
                return;
        log_line(LOG_L_NOTICE, "stopping: %u connections, %u calls in flight", server->n_peers,
                 server->n_calls);
        server->phase = RPC_DRAINING;
        if (server->config.on_stopping)
                server->config.on_stopping(server->config.ctx, server->config.limits.drain_ms);
        rpc_listener_stop(server);
        TAILQ_FOREACH_SAFE (peer, &server->peers, link, next)
                rpc_peer_drain_input(peer);
        uv_update_time(&server->loop); /* as in leave */
        (void)uv_timer_start(&server->drain_timer, rpc_drain_on_timer,
                             server->config.limits.drain_ms, 0);
}

void rpc_drain_check(struct rpc_server *server)
{
        if (server->phase == RPC_DRAINING && all_answered(server))
                leave(server);
        if (server->phase == RPC_LEAVING && TAILQ_EMPTY(&server->peers) &&
            TAILQ_EMPTY(&server->dirty))
                uv_stop(&server->loop);
}
