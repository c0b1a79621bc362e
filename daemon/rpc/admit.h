/* SPDX-License-Identifier: MIT */
#pragma once
/* The door: who gets a connection when there are many.  Loop thread. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct rpc_peer;
struct rpc_server;

/*
 * Gives the peer, whose identity is known, its account.  At a bound the connection that has waited
 * longest without ever completing a frame is closed for it.  False: refused, which was logged.
 */
bool rpc_admit(struct rpc_peer *peer);

/* It has completed its first frame, or goes. */
void rpc_admit_spoke(struct rpc_peer *peer);
