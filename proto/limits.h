/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Every hard cap of the wire in one place.  What is a setting of the daemon has its default here
 * and its upper bound beside it; the rest is fixed by the protocol.
 */

#include <assert.h>

/* A frame: default of the daemon's setting, in bytes, from the first byte of the outer array. */
#define PROTO_FRAME_BYTES_DEFAULT (8u << 20)
#define PROTO_FRAME_BYTES_MAX     (256u << 20)

/*
 * Depth of nesting, the frame's outer array counted as 1.  nvim 0.7.2 aborts at 32 levels of value,
 * msgpack-c 4.0's templates stop at 32; 28 keeps clear of both.
 */
#define PROTO_DEPTH_MAX 28

/* A method or symbol name, in bytes, without a terminating NUL. */
#define PROTO_NAME_BYTES_MAX 64

/* A VM name, in bytes. */
#define PROTO_VM_NAME_BYTES_MAX 64

/* Words that a callee can take. */
#define PROTO_ARITY_MAX 15

static_assert(PROTO_DEPTH_MAX < 32, "msgpack-c's embedded stack holds 32 levels");
