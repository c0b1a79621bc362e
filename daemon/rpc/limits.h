/* SPDX-License-Identifier: MIT */
#pragma once
/* The limits as they hold on this host, and their change while the server serves. */

#include <stddef.h>

struct rpc_limits;
struct rpc_server;

/*
 * Raises the soft limit of descriptors to the hard one, and keeps the number of connections clear
 * of it, so that running out of descriptors cannot be caused from outside.
 */
void rpc_limits_fit(struct rpc_limits *limits);

/*
 * What one connection's output may grow to.  Never reached: rpc_peer_over says no before, and there
 * is room for what is said then, an error for each call in flight and each frame of a turn.  A
 * second net under what is appended.
 */
size_t rpc_limits_output(const struct rpc_limits *limits);

/* Other limits from now on: whoever is over one loses nothing, and gets no more.  Loop thread. */
void rpc_limits_change(struct rpc_server *server, const struct rpc_limits *limits);
