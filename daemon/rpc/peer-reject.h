/* SPDX-License-Identifier: MIT */
#pragma once
/* Input that ends its connection: what is said about it, where there is somebody to say it to. */

#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"

struct rpc_peer;

/* The first byte starts no array: somebody who speaks something else.  One readable line. */
void rpc_peer_reject_stranger(struct rpc_peer *peer, const uint8_t *data, size_t len);

/* The frame at hand is none, or over a limit. */
void rpc_peer_reject_frame(struct rpc_peer *peer, enum proto_frame_result result);

/* It is closed for what it sent: that goes to the log, where its user can still find it who cannot
 * be told, for want of a msgid. */
void rpc_peer_note_rejected(const struct rpc_peer *peer, const char *what);

/* There is no memory for its bytes. */
void rpc_peer_reject_for_memory(struct rpc_peer *peer);
