/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Two ports for guests that are being written.  0xe9: text for the daemon's log, a line at a time.
 * 0xf4: turns the machine off; whoever makes the access tells the value written as the reason.
 */

#include <pthread.h>
#include <stdint.h>

#include "base/log.h"
#include "machine/bus.h"

#define DEBUG_TEXT_PORT 0xe9u
#define DEBUG_EXIT_PORT 0xf4u
#define DEBUG_EXIT_SIZE 4u
#define DEBUG_LINE_MAX  256u

struct debug_ports {
        void (*log)(void *ctx, int level, const char *text); /* must not block */
        void *ctx;
        pthread_mutex_t lock; /* guards all below */
        char line[DEBUG_LINE_MAX];
        size_t line_len;
        struct log_limit limit;
};

int debug_ports_init(struct debug_ports *ports, void (*log)(void *ctx, int level, const char *text),
                     void *ctx);
void debug_ports_deinit(struct debug_ports *ports);
void debug_ports_reset(struct debug_ports *ports);

extern const struct bus_ops debug_text_ops, debug_exit_ops; /* ctx: struct debug_ports */
