/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Turns of the loop: how much of one a connection, and all connections of a uid together, may take
 * while others want something too.  Loop thread.
 */

#include <stdbool.h>
#include <stdint.h>

struct rpc_peer;
struct rpc_server;

/* What a server knows of its present turn, and of who was active lately. */
struct rpc_turn {
        uint64_t number;
        uint64_t last_peer, last_peer_ms; /* whose input was handled last, and when */
        uint32_t last_uid;
        uint64_t peers_until_ms, uids_until_ms; /* there were several, and it counts until then */
        uint64_t light_until_ms; /* there was one who awaits each answer before he goes on */
};

/* The loop has been round. */
void rpc_turn_next(struct rpc_server *server);

/* The peer's input is about to be handled.  Returns when that was. */
uint64_t rpc_turn_begin(struct rpc_peer *peer);
/* It is through, with `n` frames, after what began then. */
void rpc_turn_end(struct rpc_peer *peer, unsigned n, uint64_t began_ns);

/* Has it had enough at a stretch?  Asked before frame `n` (from 0) of what began then. */
bool rpc_turn_is_used_up(const struct rpc_server *server, unsigned n, uint64_t began_ns);

/* Whoever has input at hand, or has had to wait: each once, as far as its uid has time left. */
void rpc_turn_serve(struct rpc_server *server);

/* Has it, or its uid, had its part of this turn, so that it has to wait? */
bool rpc_turn_must_wait(const struct rpc_peer *peer);
