/* SPDX-License-Identifier: MIT */
#pragma once
/* The guest's console as the front end takes it: the topic `console`. */

#include "machine/console.h"
#include "rpc/server.h"

/* Both are borrowed for the server's life. */
void console_feed_init(struct rpc_feed *feed, struct console *console);
