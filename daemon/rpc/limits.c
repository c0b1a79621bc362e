/* SPDX-License-Identifier: MIT */
#include "rpc/limits.h"

#include <sys/resource.h>

#include "base/macros.h"
#include "rpc/error.h"
#include "rpc/peer.h"

/* Descriptors that are not connections: the loop's, the log's, modules', vCPUs'. */
#define DESCRIPTORS_KEPT 64u

/* An error as it is written, at most. */
#define NOTICE_BYTES (RPC_ERROR_TEXT_MAX + 1024u)

void rpc_limits_fit(struct rpc_limits *limits)
{
        struct rlimit limit;
        uint64_t room;

        if (getrlimit(RLIMIT_NOFILE, &limit))
                return;
        if (limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
                (void)getrlimit(RLIMIT_NOFILE, &limit);
        }
        if (limit.rlim_cur == RLIM_INFINITY)
                return;
        room = limit.rlim_cur > DESCRIPTORS_KEPT ? limit.rlim_cur - DESCRIPTORS_KEPT : 0;
        limits->connections = MIN(limits->connections, MAX(room, 1u));
}

size_t rpc_limits_output(const struct rpc_limits *limits)
{
        size_t notices = limits->calls_per_connection + limits->turn_frames;

        return limits->bytes_per_connection + 2 * limits->frame_bytes + notices * NOTICE_BYTES;
}

void rpc_limits_change(struct rpc_server *server, const struct rpc_limits *limits)
{
        struct rpc_peer *peer;

        server->config.limits = *limits;
        rpc_limits_fit(&server->config.limits);
        atomic_store_explicit(&server->results_max, server->config.limits.bytes,
                              memory_order_relaxed);
        rpc_quota_change(&server->quota, &server->config.limits);
        TAILQ_FOREACH (peer, &server->peers, link)
                rpc_peer_change_limits(peer);
}
