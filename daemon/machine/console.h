/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The guest's console: what its serial port says, kept in a ring that anybody may read, and what is
 * typed for it.
 *
 * Output has positions: the number of bytes that came before.  A reader keeps its own; one that is
 * slower than the guest learns how many bytes it has lost.  The guest never waits for a reader.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_OUTPUT_BYTES 65536u /* a power of two */
#define CONSOLE_INPUT_BYTES  4096u  /* likewise */

struct console {
        pthread_mutex_t lock;  /* guards all below but `told`; never held across a hook or a wait */
        pthread_cond_t more;   /* output came, or closed */
        uint64_t written;      /* bytes of output since the beginning */
        uint64_t typed, taken; /* bytes of input */
        bool closed;
        uint8_t output[CONSOLE_OUTPUT_BYTES];
        uint8_t input[CONSOLE_INPUT_BYTES];

        _Atomic bool told; /* on_output was called, and nobody has read since */
        /* Fixed after init.  Output has come: any thread, an EMT mostly; must not block.  Not
         * called again before console_read. */
        void (*on_output)(void *ctx);
        void *ctx;
};

/* `on_output` may be NULL.  0, or -ENOMEM. */
int console_init(struct console *console, void (*on_output)(void *ctx), void *ctx);
/* Nobody uses or waits for it any more. */
void console_deinit(struct console *console);
/* Wakes whoever waits; console_wait returns false once all was read. */
void console_close(struct console *console);

/* Any thread.  Output. */
void console_write(struct console *console, const uint8_t *data, size_t len);
/*
 * Any thread.  Output from position *position on, or from the oldest that is kept (*ret_lost bytes
 * later); at most `size` bytes.  Moves *position behind what was read.  Returns how many bytes.
 */
size_t console_read(struct console *console, uint64_t *position, void *to, size_t size,
                    uint64_t *ret_lost);
/* The position behind the last byte; and that of the oldest byte that is kept. */
uint64_t console_end(struct console *console);
uint64_t console_begin(struct console *console);
/* Blocks until there is output behind `position`.  False: closed, and there is none. */
bool console_wait(struct console *console, uint64_t position);

/* Any thread.  Input: how many of the bytes fitted. */
size_t console_type(struct console *console, const uint8_t *data, size_t len);
/* The serial port.  The next byte of input; -1: none.  And: is there one? */
int console_take(struct console *console);
bool console_has_input(struct console *console);
