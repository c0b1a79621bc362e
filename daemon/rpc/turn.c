/* SPDX-License-Identifier: MIT */
/*
 * Frames and bytes bound what a connection gets done in a turn (limits.turn_frames, turn_bytes),
 * but frames differ in what they cost, and a uid can have hundreds of connections.  Whoever calls
 * once in a while waits for all that is done in the turn in which his call arrives.  So, while more
 * than one connection is active, each gets a slice of time at a stretch; and while more than one
 * uid is, all connections of each get a part of a turn, the rest of them in the next: what one uid
 * can make another wait is that, however many connections it has.
 *
 * While somebody is there who awaits each answer before he goes on (he is "light": few frames at a
 * time, few calls under way), slices are short, and who has had one rests for as long as it took.
 * Without that, one who floods would be served again at once, in turn after turn; and what he sends
 * would keep the EMTs' lanes, which are first-in first-out, as long as his window is, for whoever
 * comes behind it.  It costs him up to half of his rate, and only then.  Those who all send much
 * get long slices and no rest: a turn costs a look at all sockets and a write to each client.
 *
 * Somebody who is alone gets all at once, as far as the limits go.  "Active" is who has sent
 * something within ACTIVE_MS.
 */
#include "rpc/turn.h"

#include <sched.h>

#include "base/clock.h"
#include "base/macros.h"
#include "rpc/peer.h"

/* What a turn costs by itself is a tenth of it. */
#define SLICE_NS 50000u
/* Of all connections of a uid in one turn; the frame at which it is reached is finished. */
#define UID_NS 100000u
/* The same beside somebody light, whose own call takes some 15 us when he is alone. */
#define SLICE_LIGHT_NS 20000u
#define UID_LIGHT_NS   40000u

/* How long somebody counts who has sent something. */
#define ACTIVE_MS 20u

/* At most so many frames at a time, and calls under way after them, has somebody who is light. */
#define LIGHT_FRAMES 4u

/* Frames between two looks at the clock. */
#define LOOK_EACH 4u

static bool has_light(const struct rpc_server *server)
{
        return uv_now(&server->loop) < server->turn.light_until_ms;
}

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

/* It has worked from began_ns to now_ns. */
static void take_rest(struct rpc_peer *peer, uint64_t began_ns, uint64_t now_ns)
{
        struct rpc_account *uid = peer->account.parent;

        peer->rest_ns = now_ns + MIN(now_ns - began_ns, (uint64_t)SLICE_LIGHT_NS);
        if (uid->turn_ns >= UID_LIGHT_NS)
                uid->rest_ns = now_ns + UID_LIGHT_NS;
}

void rpc_turn_end(struct rpc_peer *peer, unsigned n, uint64_t began_ns)
{
        struct rpc_turn *turn = &peer->server->turn;
        struct rpc_account *uid = peer->account.parent;
        uint64_t now_ns;

        if (n > 0 && n <= LIGHT_FRAMES && peer->n_unanswered <= LIGHT_FRAMES)
                turn->light_until_ms = uv_now(&peer->server->loop) + ACTIVE_MS;
        if (!began_ns)
                return;
        now_ns = clock_now_ns();
        if (uid->turn != turn->number) {
                uid->turn = turn->number;
                uid->turn_ns = 0;
        }
        uid->turn_ns += now_ns - began_ns;
        if (has_light(peer->server))
                take_rest(peer, began_ns, now_ns);
}

bool rpc_turn_is_used_up(const struct rpc_server *server, unsigned n, uint64_t began_ns)
{
        if (n == 0 || !began_ns || n % LOOK_EACH)
                return false;
        return clock_now_ns() - began_ns >= (has_light(server) ? SLICE_LIGHT_NS : SLICE_NS);
}

void rpc_turn_serve(struct rpc_server *server)
{
        bool any = false;

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
                        any = true;
                }
        }
        if (!any)
                (void)sched_yield(); /* all of them rest: there may be others who do not */
}

static bool rests(const struct rpc_peer *peer)
{
        uint64_t now_ns = clock_now_ns();

        return now_ns < peer->rest_ns ||
               (now_ns < peer->account.parent->rest_ns &&
                uv_now(&peer->server->loop) < peer->server->turn.uids_until_ms);
}

bool rpc_turn_must_wait(const struct rpc_peer *peer)
{
        const struct rpc_server *server = peer->server;
        const struct rpc_account *uid = peer->account.parent;
        const struct rpc_turn *turn = &server->turn;
        uint64_t now_ms = uv_now(&server->loop);
        bool light = has_light(server);

        if (now_ms >= turn->peers_until_ms)
                return false;
        if (now_ms < turn->uids_until_ms && uid->turn == turn->number &&
            uid->turn_ns >= (light ? UID_LIGHT_NS : UID_NS))
                return true;
        return light && rests(peer);
}
