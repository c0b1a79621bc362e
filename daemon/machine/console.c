/* SPDX-License-Identifier: MIT */
/*
 * Two rings under one lock, which is held for a copy and nothing else.
 *
 * Written by the serial port on the accessing vCPU's EMT; read by the front end's loop (for the
 * topic `console`), by the thread that writes it to a file or the log (console-sink.c), and by
 * requests.  The hook tells the loop once, and again only after it has read: a guest that writes
 * byte by byte does not wake it byte by byte.
 *
 * Argument for the hook: the writer puts bytes under the lock, then swaps `told` to true; a reader
 * swaps it to false, then reads under the lock.  If the writer found it true, a reader has yet to
 * swap it, and will then find the bytes.
 */
#include "machine/console.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/macros.h"

static_assert((CONSOLE_OUTPUT_BYTES & (CONSOLE_OUTPUT_BYTES - 1)) == 0, "positions wrap by a mask");
static_assert((CONSOLE_INPUT_BYTES & (CONSOLE_INPUT_BYTES - 1)) == 0, "positions wrap by a mask");

int console_init(struct console *console, void (*on_output)(void *ctx), void *ctx)
{
        memset(console, 0, sizeof(*console));
        atomic_init(&console->told, false);
        console->on_output = on_output;
        console->ctx = ctx;
        if (pthread_mutex_init(&console->lock, NULL))
                return -ENOMEM;
        if (pthread_cond_init(&console->more, NULL)) {
                (void)pthread_mutex_destroy(&console->lock);
                return -ENOMEM;
        }
        return 0;
}

void console_deinit(struct console *console)
{
        (void)pthread_cond_destroy(&console->more);
        (void)pthread_mutex_destroy(&console->lock);
}

static void lock(struct console *console)
{
        CHECK(pthread_mutex_lock(&console->lock) == 0);
}

static void unlock(struct console *console)
{
        CHECK(pthread_mutex_unlock(&console->lock) == 0);
}

void console_close(struct console *console)
{
        lock(console);
        console->closed = true;
        CHECK(pthread_cond_broadcast(&console->more) == 0);
        unlock(console);
}

/* Into a ring of `size` bytes at `position`; the caller knows that it fits. */
static void ring_put(uint8_t *ring, size_t size, uint64_t position, const uint8_t *data, size_t len)
{
        size_t at = position & (size - 1), first = MIN(len, size - at);

        memcpy(ring + at, data, first);
        memcpy(ring, data + first, len - first);
}

void console_write(struct console *console, const uint8_t *data, size_t len)
{
        size_t skip = len > CONSOLE_OUTPUT_BYTES ? len - CONSOLE_OUTPUT_BYTES : 0;

        if (len == 0)
                return;
        lock(console);
        ring_put(console->output, CONSOLE_OUTPUT_BYTES, console->written + skip, data + skip,
                 len - skip);
        console->written += len;
        CHECK(pthread_cond_signal(&console->more) == 0);
        unlock(console);
        /* acq_rel: pairs with the swap in console_read. */
        if (console->on_output &&
            !atomic_exchange_explicit(&console->told, true, memory_order_acq_rel))
                console->on_output(console->ctx);
}

/* Under the lock. */
static uint64_t oldest(const struct console *console)
{
        return console->written > CONSOLE_OUTPUT_BYTES ? console->written - CONSOLE_OUTPUT_BYTES
                                                       : 0;
}

size_t console_read(struct console *console, uint64_t *position, void *to, size_t size,
                    uint64_t *ret_lost)
{
        uint64_t from = *position;
        size_t at, len, first;

        /* acq_rel: pairs with the swap in console_write. */
        (void)atomic_exchange_explicit(&console->told, false, memory_order_acq_rel);
        lock(console);
        from = MIN(from, console->written);
        from = MAX(from, oldest(console));
        len = (size_t)MIN(console->written - from, (uint64_t)size);
        at = from & (CONSOLE_OUTPUT_BYTES - 1);
        first = MIN(len, CONSOLE_OUTPUT_BYTES - at);
        memcpy(to, console->output + at, first);
        memcpy((uint8_t *)to + first, console->output, len - first);
        unlock(console);
        *ret_lost = from > *position ? from - *position : 0;
        *position = from + len;
        return len;
}

uint64_t console_end(struct console *console)
{
        uint64_t end;

        lock(console);
        end = console->written;
        unlock(console);
        return end;
}

uint64_t console_begin(struct console *console)
{
        uint64_t begin;

        lock(console);
        begin = oldest(console);
        unlock(console);
        return begin;
}

bool console_wait(struct console *console, uint64_t position)
{
        bool more;

        lock(console);
        while (console->written <= position && !console->closed)
                CHECK(pthread_cond_wait(&console->more, &console->lock) == 0);
        more = console->written > position;
        unlock(console);
        return more;
}

size_t console_type(struct console *console, const uint8_t *data, size_t len)
{
        size_t room;

        lock(console);
        room = CONSOLE_INPUT_BYTES - (size_t)(console->typed - console->taken);
        len = MIN(len, room);
        ring_put(console->input, CONSOLE_INPUT_BYTES, console->typed, data, len);
        console->typed += len;
        unlock(console);
        return len;
}

int console_take(struct console *console)
{
        int byte = -1;

        lock(console);
        if (console->taken < console->typed)
                byte = console->input[console->taken++ & (CONSOLE_INPUT_BYTES - 1)];
        unlock(console);
        return byte;
}

bool console_has_input(struct console *console)
{
        bool has;

        lock(console);
        has = console->taken < console->typed;
        unlock(console);
        return has;
}
