/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The short way for short frames: decoded without a scan before, into room that was there before.
 * The scan is what bounds the memory for the nodes; here there is a bound without it.  It takes
 * what nearly every call is, and leaves everything else, all errors included, to frame.c and
 * value.c, which say the same of what it takes.
 */

#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"
#include "proto/value.h"

/* Frames of more values are left, and so is nesting beyond this. */
#define PROTO_SMALL_VALUES 64
#define PROTO_SMALL_DEPTH  9

/*
 * The frame that begins at `data`, of which `len` bytes (perhaps of later frames too) are there.
 * `frame` is fresh from proto_frame_init, and gets what proto_frame_scan would tell of a frame that
 * is DONE.  Returns the tree's root, valid like one of proto_value_decode.  NULL: take the long
 * way; `frame` is as fresh as it was, and so is the arena but for its last tree.  An arena that was
 * never used for the long way has no room.
 */
const struct proto_value *proto_small_decode(struct proto_arena *arena, struct proto_frame *frame,
                                             const uint8_t *data, size_t len);
