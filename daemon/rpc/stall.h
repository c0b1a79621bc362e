/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A frame that was begun must gain limits.frame_stall_bytes, or end, every limits.frame_stall_ms;
 * else its connection is closed.  Whoever has begun none may be idle for ever.  Loop thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct rpc_peer;
struct rpc_server;

/* 0, or a negative errno. */
int rpc_stall_init(struct rpc_server *server);

/* The peer's input has changed.  `is_new`: a frame has ended, so that what stands there now, if
 * anything, is another one. */
void rpc_stall_watch(struct rpc_peer *peer, bool is_new);

/* Looks whether it gets on, and ends it if not.  Returns when to look again, UINT64_MAX if no frame
 * is begun. */
uint64_t rpc_stall_check(struct rpc_peer *peer, uint64_t now_ns);
