/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How the server is, in a few figures, for who hosts it: told when they have changed, and at most
 * once a second.  Loop thread.
 */

#include <stdint.h>

struct rpc_server;

#define RPC_FIGURES_MS 1000u

/* At the end of each turn: tells config.on_figures, now or when its time has come. */
void rpc_figures_look(struct rpc_server *server);
