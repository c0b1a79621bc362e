/* SPDX-License-Identifier: MIT */
/*
 * The guest author's two ports.
 *
 * Called by the bus on the accessing vCPU's EMT.  Lines are logged as they end, at most
 * LINES_PER_SECOND of them; a guest that writes without end costs the log no more than that.
 */
#include "machine/debug-ports.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

#define LINES_PER_SECOND 50u

static void lock(struct debug_ports *ports)
{
        CHECK(pthread_mutex_lock(&ports->lock) == 0);
}

static void unlock(struct debug_ports *ports)
{
        CHECK(pthread_mutex_unlock(&ports->lock) == 0);
}

static void end_line(struct debug_ports *ports)
{
        char text[DEBUG_LINE_MAX + 64];
        uint64_t suppressed;

        ports->line[ports->line_len] = '\0';
        ports->line_len = 0;
        if (!log_limit_pass(&ports->limit, LINES_PER_SECOND, clock_now_ns(), &suppressed))
                return;
        if (suppressed)
                (void)snprintf(text, sizeof(text), "guest: (%" PRIu64 " lines left out) %s",
                               suppressed, ports->line);
        else
                (void)snprintf(text, sizeof(text), "guest: %s", ports->line);
        ports->log(ports->ctx, LOG_L_INFO, text);
}

static void add(struct debug_ports *ports, char c)
{
        if (c == '\n' || ports->line_len == sizeof(ports->line) - 1)
                end_line(ports);
        if (c != '\n')
                ports->line[ports->line_len++] = c ? c : ' '; /* a NUL would end the text */
}

/* Reads as its own number, by which guests find out that it is there. */
static void text_read(void *ctx, uint64_t offset, uint8_t *data, uint32_t len)
{
        (void)ctx;
        (void)offset;
        (void)len;
        data[0] = DEBUG_TEXT_PORT;
}

static enum bus_outcome text_write(void *ctx, uint64_t offset, const uint8_t *data, uint32_t len)
{
        struct debug_ports *ports = ctx;

        (void)offset;
        (void)len; /* one byte; the rest of a wider access goes to other ports */
        lock(ports);
        add(ports, (char)data[0]);
        unlock(ports);
        return BUS_DONE;
}

const struct bus_ops debug_text_ops = {
        .read = text_read,
        .write = text_write,
};

static void exit_read(void *ctx, uint64_t offset, uint8_t *data, uint32_t len)
{
        (void)ctx;
        (void)offset;
        memset(data, 0, len);
}

static enum bus_outcome exit_write(void *ctx, uint64_t offset, const uint8_t *data, uint32_t len)
{
        struct debug_ports *ports = ctx;

        (void)offset;
        (void)data;
        (void)len;
        lock(ports);
        if (ports->line_len)
                end_line(ports);
        unlock(ports);
        return BUS_POWER_OFF;
}

const struct bus_ops debug_exit_ops = {
        .read = exit_read,
        .write = exit_write,
};

void debug_ports_reset(struct debug_ports *ports)
{
        lock(ports);
        ports->line_len = 0;
        unlock(ports);
}

int debug_ports_init(struct debug_ports *ports, void (*log)(void *ctx, int level, const char *text),
                     void *ctx)
{
        *ports = (struct debug_ports){.log = log, .ctx = ctx};
        return pthread_mutex_init(&ports->lock, NULL) ? -ENOMEM : 0;
}

void debug_ports_deinit(struct debug_ports *ports)
{
        (void)pthread_mutex_destroy(&ports->lock);
}
