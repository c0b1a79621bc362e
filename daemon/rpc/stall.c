/* SPDX-License-Identifier: MIT */
/*
 * One timer for all: it runs while some peer has a frame under way, and then looks at everybody.
 * What a peer has to keep is when it was last looked at, and how much of its frame was there.
 */
#include "rpc/stall.h"

#include <poll.h>

#include "base/clock.h"
#include "base/macros.h"
#include "rpc/peer.h"
#include "rpc/peer-reject.h"
#include "rpc/reply.h"

static void on_timer(uv_timer_t *timer)
{
        struct rpc_server *server = timer->data;
        uint64_t now = clock_now_ns(), next = UINT64_MAX;
        struct rpc_peer *peer;

        TAILQ_FOREACH (peer, &server->peers, link) {
                uint64_t due = rpc_stall_check(peer, now);

                next = MIN(next, due);
        }
        if (next != UINT64_MAX)
                (void)uv_timer_start(timer, on_timer, (next - now) / CLOCK_NS_PER_MS + 1, 0);
}

int rpc_stall_init(struct rpc_server *server)
{
        int r = uv_timer_init(&server->loop, &server->stall_timer);

        server->stall_timer.data = server;
        return r;
}

static void look_later(struct rpc_server *server)
{
        if (!uv_is_active((uv_handle_t *)&server->stall_timer))
                (void)uv_timer_start(&server->stall_timer, on_timer,
                                     server->config.limits.frame_stall_ms, 0);
}

/* How much has come of the frame under way. */
static uint64_t progress(const struct rpc_peer *peer)
{
        return peer->in_len + peer->passed;
}

void rpc_stall_watch(struct rpc_peer *peer, bool is_new)
{
        bool is_begun = peer->in_len > 0 || peer->passing;

        if (!is_begun || peer->is_ready || peer->state != RPC_PEER_OPEN) {
                peer->stall_ns = 0;
        } else if (peer->stall_ns == 0 || is_new) {
                peer->stall_ns = clock_now_ns();
                peer->stall_len = progress(peer);
                look_later(peer->server);
        }
}

static void end_stalled(struct rpc_peer *peer)
{
        const struct rpc_limits *limits = &peer->server->config.limits;

        if (peer->frame.has_msgid && peer->frame.has_type && peer->frame.type == PROTO_REQUEST &&
            !peer->passing)
                rpc_reply_error(peer, (uint32_t)peer->frame.msgid, PROTO_INVALID_REQUEST,
                                PROTO_RAN_NO,
                                "the frame was not completed: it gained less than %llu bytes in "
                                "%llu ms; the connection is closed",
                                (unsigned long long)limits->frame_stall_bytes,
                                (unsigned long long)limits->frame_stall_ms);
        rpc_peer_note_rejected(peer, "a frame that it began was not completed in time");
        peer->stall_ns = 0; /* once */
        rpc_peer_end(peer);
}

static bool has_waiting_input(const struct rpc_peer *peer)
{
        struct pollfd p = {.fd = peer->fd, .events = POLLIN};

        return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

uint64_t rpc_stall_check(struct rpc_peer *peer, uint64_t now_ns)
{
        const struct rpc_limits *limits = &peer->server->config.limits;
        uint64_t limit_ns = limits->frame_stall_ms * CLOCK_NS_PER_MS;

        if (peer->stall_ns == 0)
                return UINT64_MAX;
        if (now_ns < peer->stall_ns + limit_ns)
                return peer->stall_ns + limit_ns;
        /* Whom we do not read from cannot get on, be it on purpose or because this process did not
         * run for a while. */
        if (!peer->paused && progress(peer) - peer->stall_len < limits->frame_stall_bytes &&
            !has_waiting_input(peer)) {
                end_stalled(peer);
                return UINT64_MAX;
        }
        peer->stall_ns = now_ns;
        peer->stall_len = progress(peer);
        return now_ns + limit_ns;
}
