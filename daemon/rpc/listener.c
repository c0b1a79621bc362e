/* SPDX-License-Identifier: MIT */
/*
 * Accepts connections: socket → peer.  Through uv_poll and accept4, not uv_pipe: libuv's own accept
 * answers a lack of descriptors by accepting and closing the waiting clients without a word; here
 * they wait in the backlog.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/peer.h"

/* Connections taken in one turn: each costs as much as some ten calls, and a storm of them must not
 * keep the others waiting. */
#define ACCEPT_PER_TURN 4

/* How long to leave the backlog alone after descriptors or memory ran out. */
#define ACCEPT_PAUSE_MS 100

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
        struct rpc_server *server = timer->data;

        if (server->phase == RPC_SERVING)
                (void)uv_poll_start(&server->listener, UV_READABLE, on_acceptable);
}

static void pause_accepting(struct rpc_server *server, int error)
{
        uint64_t missed;

        if (log_limit_pass(&server->refused_log, 10, vmreq_now(), &missed))
                log_line(LOG_L_WARNING, "cannot accept a connection: %s; trying again in %d ms",
                         strerror(error), ACCEPT_PAUSE_MS);
        (void)uv_poll_stop(&server->listener);
        (void)uv_timer_start(&server->accept_timer, on_pause_over, ACCEPT_PAUSE_MS, 0);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
        struct rpc_server *server = poll->data;

        (void)events;
        if (status < 0)
                return;
        for (int i = 0; i < ACCEPT_PER_TURN; i++) {
                int fd =
                        accept4(server->config.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0) {
                        (void)rpc_peer_new(server, fd);
                        continue;
                }
                if (errno == EINTR || errno == ECONNABORTED)
                        continue;
                if (errno != EAGAIN)
                        pause_accepting(server, errno);
                return;
        }
}

int rpc_listener_start(struct rpc_server *server)
{
        int r = uv_poll_init(&server->loop, &server->listener, server->config.listen_fd);

        if (r)
                return r;
        server->listener.data = server;
        return uv_poll_start(&server->listener, UV_READABLE, on_acceptable);
}

void rpc_listener_stop(struct rpc_server *server)
{
        (void)uv_timer_stop(&server->accept_timer);
        (void)uv_poll_stop(&server->listener);
}
