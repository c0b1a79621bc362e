/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Leaving when nobody needs us: no connection, no call, and a VM that is CREATED or OFF, for
 * config.exit_idle_ms.  Who connects later is served by the next process, if a service manager
 * keeps the socket.  Loop thread.
 */

struct rpc_server;

/* At the end of each turn: starts the countdown, or stops it. */
void rpc_idle_look(struct rpc_server *server);
