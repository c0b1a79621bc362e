/* SPDX-License-Identifier: MIT */
#pragma once
/* The bytes of a frame that is under way: kept, or, where there is no room for them, passed over.
 * Loop thread. */

#include "rpc/peer.h"

/*
 * Room for `need` bytes in `in`: by doubling, but not beyond what a frame and a read can fill. True
 * with peer->passing: the frame cannot be kept; its caller has been told BUSY, what there was of it
 * has been given back but for the beginning of a value, and what comes goes to rpc_input_pass_over.
 * False: the peer is ending.
 */
bool rpc_input_room(struct rpc_peer *peer, size_t need);

/* Keeps data[0..len), which may stand in `in` itself. */
void rpc_input_keep(struct rpc_peer *peer, const uint8_t *data, size_t len);

/* Gives all of it back. */
void rpc_input_drop(struct rpc_peer *peer);

/*
 * While peer->passing: takes data[0..len), which begins with what was left the last time.  Returns
 * how much of it is done with: all, but for a part of a value (see proto_frame_pass) or what is
 * behind the frame, when peer->passing is false again.
 */
size_t rpc_input_pass_over(struct rpc_peer *peer, const uint8_t *data, size_t len);
