/* SPDX-License-Identifier: MIT */
/*
 * Connections are bounded by uid and in all (quota.c).  Who says nothing holds his place only until
 * somebody else wants it: the list of the silent is in order of arrival, and at a bound its oldest
 * one that stands in the way goes.  So a crowd of silent connections keeps out nobody, not even of
 * its own uid, and whoever has spoken once is never closed for another's sake.
 *
 * Strangers do not close connections of root or the daemon's user.
 */
#include "rpc/admit.h"

#include "base/clock.h"
#include "rpc/peer.h"

static bool is_in_the_way(const struct rpc_peer *silent, const struct rpc_peer *peer,
                          enum rpc_quota_result bound, bool privileged)
{
        return (privileged || !silent->account.privileged) &&
               (bound == RPC_QUOTA_E_ALL || silent->identity.uid == peer->identity.uid);
}

/* It sees the end of file only: the journal says why. */
static void evict(struct rpc_peer *silent)
{
        struct rpc_server *server = silent->server;
        uint64_t missed;

        if (log_limit_pass(&server->refused_log, 10, clock_now_ns(), &missed))
                log_line(
                        LOG_L_WARNING,
                        "connection of uid %u, pid %d closed: it had never sent a whole frame, and "
                        "another one wanted its place (%llu more were not logged)",
                        (unsigned)silent->identity.uid, (int)silent->identity.pid,
                        (unsigned long long)missed);
        server->counted.peers_evicted++;
        rpc_peer_close(silent);
}

/* False: there is none that could go. */
static bool make_room(const struct rpc_peer *peer, enum rpc_quota_result bound, bool privileged)
{
        struct rpc_server *server = peer->server;
        struct rpc_peer *silent;

        TAILQ_FOREACH (silent, &server->silent, silent_link) {
                if (!is_in_the_way(silent, peer, bound, privileged))
                        continue;
                evict(silent);
                return true;
        }
        return false;
}

static void refuse(const struct rpc_peer *peer, enum rpc_quota_result bound)
{
        struct rpc_server *server = peer->server;
        const struct rpc_limits *limits = &server->config.limits;
        unsigned uid = (unsigned)peer->identity.uid;
        uint64_t missed;

        if (!log_limit_pass(&server->refused_log, 10, clock_now_ns(), &missed))
                return;
        switch (bound) {
        case RPC_QUOTA_E_UID:
                log_line(LOG_L_WARNING,
                         "connection of uid %u refused: its uid has as many as it may, %llu", uid,
                         (unsigned long long)limits->connections_per_uid);
                break;
        case RPC_QUOTA_E_ALL:
                log_line(LOG_L_WARNING,
                         "connection of uid %u refused: there are %llu of %llu, %llu of them kept "
                         "for root and the daemon's user",
                         uid, (unsigned long long)server->quota.all.used[RPC_CONNECTIONS],
                         (unsigned long long)limits->connections,
                         (unsigned long long)server->quota.reserved);
                break;
        default:
                log_line(LOG_L_WARNING, "connection of uid %u refused: out of memory", uid);
                break;
        }
}

bool rpc_admit(struct rpc_peer *peer)
{
        struct rpc_server *server = peer->server;
        bool privileged = rpc_policy_is_privileged(&server->policy, &peer->identity);
        enum rpc_quota_result result;

        do {
                result = rpc_quota_open(&server->quota, peer->identity.uid, privileged,
                                        &peer->account);
        } while ((result == RPC_QUOTA_E_UID || result == RPC_QUOTA_E_ALL) &&
                 make_room(peer, result, privileged));
        if (result != RPC_QUOTA_OK) {
                refuse(peer, result);
                return false;
        }
        peer->is_silent = true;
        TAILQ_INSERT_TAIL(&server->silent, peer, silent_link);
        return true;
}

void rpc_admit_spoke(struct rpc_peer *peer)
{
        if (!peer->is_silent)
                return;
        peer->is_silent = false;
        TAILQ_REMOVE(&peer->server->silent, peer, silent_link);
}
