/* SPDX-License-Identifier: MIT */
/*
 * Frames and bytes bound what a connection gets done in a turn (limits.turn_frames, turn_bytes),
 * but frames differ in what they cost, and a uid can have hundreds of connections.  Whoever calls
 * once in a while waits for all that is done in the turn in which his call arrives.  So, while more
 * than one connection is active, each gets SLICE_NS at a stretch; and while more than one uid is,
 * all connections of each get UID_NS of a turn, the rest of them in the next: what one uid can make
 * another wait is that, however many connections it has.
 *
 * Somebody who is alone gets all at once, as far as the limits go: turns cost a look at all sockets
 * and a write to each client.  "Active" is who has sent something within ACTIVE_MS.
 */
#include "rpc/turn.h"

#include "base/clock.h"
#include "base/macros.h"
#include "rpc/peer.h"

/* Some ten frames: what a turn costs by itself is a tenth of it. */
#define SLICE_NS 50000u
/* Of all connections of a uid in one turn; the frame at which it is reached is finished. */
#define UID_NS 100000u
/* How long somebody counts who has sent something. */
#define ACTIVE_MS 20u

/* Frames between two looks at the clock. */
#define LOOK_EACH 4u

void rpc_turn_next(struct rpc_server *server)
{
        server->turn.number++;
}

uint64_t rpc_turn_begin(struct rpc_peer *peer)
{
        struct rpc_turn *turn = &peer->server->turn;
        uint64_t now_ms = uv_now(&peer->server->loop);
        bool recently = now_ms - turn->last_peer_ms < ACTIVE_MS;

        if (turn->last_peer != peer->number && recently)
                turn->peers_until_ms = now_ms + ACTIVE_MS;
        if (turn->last_uid != peer->identity.uid && recently)
                turn->uids_until_ms = now_ms + ACTIVE_MS;
        turn->last_peer = peer->number;
        turn->last_uid = peer->identity.uid;
        turn->last_peer_ms = now_ms;
        return now_ms < turn->peers_until_ms ? clock_now_ns() : 0;
}

void rpc_turn_end(struct rpc_peer *peer, uint64_t began_ns)
{
        struct rpc_account *uid = peer->account.parent;
        uint64_t number = peer->server->turn.number;

        if (!began_ns)
                return;
        if (uid->turn != number) {
                uid->turn = number;
                uid->turn_ns = 0;
        }
        uid->turn_ns += clock_now_ns() - began_ns;
}

bool rpc_turn_is_used_up(unsigned n, uint64_t began_ns)
{
        return n > 0 && began_ns && n % LOOK_EACH == 0 && clock_now_ns() - began_ns >= SLICE_NS;
}

void rpc_turn_serve(struct rpc_server *server)
{
        /* Whoever is left over again, or has to wait, goes to the end. */
        for (uint32_t n = server->n_ready; n > 0; n--) {
                struct rpc_peer *peer = TAILQ_FIRST(&server->ready);

                if (!peer)
                        return; /* one of them has closed another */
                if (rpc_turn_must_wait(peer)) {
                        TAILQ_REMOVE(&server->ready, peer, ready_link);
                        TAILQ_INSERT_TAIL(&server->ready, peer, ready_link);
                } else {
                        rpc_peer_resume(peer);
                }
        }
}

bool rpc_turn_must_wait(const struct rpc_peer *peer)
{
        const struct rpc_account *uid = peer->account.parent;
        const struct rpc_turn *turn = &peer->server->turn;

        return uid->turn == turn->number && uid->turn_ns >= UID_NS &&
               uv_now(&peer->server->loop) < turn->uids_until_ms;
}
