/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Feeds whoever watches this process, twice per period.  Plainly (emt_stuck = event): while the
 * loop turns.  With config.watchdog_emts (emt_stuck = restart): only while every EMT is fresh, too.
 * Loop thread.
 */

struct rpc_server;

/* Does nothing without config.watchdog_ms. */
void rpc_watchdog_start(struct rpc_server *server);
