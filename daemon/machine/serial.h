/* SPDX-License-Identifier: MIT */
#pragma once
/* A 16550A serial port: eight registers on a bus, a console behind it, perhaps an interrupt line.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/console.h"

#define SERIAL_PORT 0x3f8u
#define SERIAL_SIZE 8u
#define SERIAL_IRQ  4u

struct serial {
        struct console *console; /* borrowed */
        /* Raises or lowers the line; NULL: there is none.  Called under the lock; must not block.
         */
        void (*set_irq)(void *ctx, bool level);
        void *ctx;
        pthread_mutex_t lock; /* guards all below */
        uint8_t ier, lcr, mcr, scr, dll, dlm, fcr;
        bool thr_pending; /* "transmitter empty" was not yet told */
        int looped;       /* the byte that loopback holds; -1: none */
        bool level;       /* of the interrupt line */
};

int serial_init(struct serial *serial, struct console *console,
                void (*set_irq)(void *ctx, bool level), void *ctx);
void serial_deinit(struct serial *serial);
/* As after power on.  Any thread. */
void serial_reset(struct serial *serial);
/* Any thread: there may be input on the console. */
void serial_input(struct serial *serial);

extern const struct bus_ops serial_ops; /* ctx: struct serial */
