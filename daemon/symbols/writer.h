/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The reply writer's door.  A module's callback writes through struct vmreq_host's put_* functions;
 * what they do is given here by the front end, because this room knows symbols and not the wire.  A
 * writer is any object whose first member is this ops pointer.
 */

#include <stddef.h>
#include <stdint.h>

struct vmreq_writer;

struct vmreq_writer_ops {
        void (*put_nil)(struct vmreq_writer *writer);
        void (*put_bool)(struct vmreq_writer *writer, int value);
        void (*put_int)(struct vmreq_writer *writer, int64_t value);
        void (*put_uint)(struct vmreq_writer *writer, uint64_t value);
        void (*put_x64)(struct vmreq_writer *writer, uint64_t value);
        void (*put_float)(struct vmreq_writer *writer, double value);
        void (*put_str)(struct vmreq_writer *writer, const char *data, size_t len);
        void (*put_bytes)(struct vmreq_writer *writer, const void *data, size_t len);
        void (*put_array)(struct vmreq_writer *writer, uint32_t count);
        void (*put_map)(struct vmreq_writer *writer, uint32_t pairs);
        void (*put_raw)(struct vmreq_writer *writer, const void *data, size_t len);
        void (*put_failure)(struct vmreq_writer *writer, const char *name, const char *text);
        void *(*state)(struct vmreq_writer *writer);
        void (*set_state)(struct vmreq_writer *writer, void *state, void (*release)(void *state));
};

struct vmreq_writer {
        const struct vmreq_writer_ops *ops; /* never NULL */
};
