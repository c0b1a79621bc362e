/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A frame for which there is no room is refused as a call is, with BUSY, and its bytes are taken
 * from the socket and thrown away as they come; what comes behind it is served.  Loop thread.
 */

#include "rpc/peer.h"

struct rpc_account;

/* The frame under way cannot be kept, for want of bytes of `over`.  True: its caller has been told,
 * as far as he can be, and from now on its bytes go to rpc_pass_over.  False: it is no message, and
 * the peer is ending. */
bool rpc_pass_over_begin(struct rpc_peer *peer, const struct rpc_account *over);

/*
 * Takes data[0..len), which begins with what the last call of this left; the first time, at the
 * frame's `pos`.  Returns how much of it is done with: all, but for a part of a value (see
 * proto_frame_pass) or what is behind the frame, when peer->passing is false again.
 */
size_t rpc_pass_over(struct rpc_peer *peer, const uint8_t *data, size_t len);
