/* SPDX-License-Identifier: MIT */
/*
 * What a module's callback calls when it writes its result, on the EMT.  Nothing can fail there in
 * a way that the module would have to handle: the builder keeps the first error, and the loop looks
 * at it (rpc_writer_check) when it answers.  The budget is the frame cap, so a runaway callback
 * costs no more than that.
 */
#include "rpc/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "proto/frame.h"
#include "proto/text.h"
#include "rpc/result-type.h"
#include "symbols/vmreq-module.h"

static struct proto_builder *out(struct vmreq_writer *writer)
{
        return &container_of(writer, struct rpc_writer, base)->value;
}

static void put_nil(struct vmreq_writer *writer)
{
        proto_put_nil(out(writer));
}

static void put_bool(struct vmreq_writer *writer, int value)
{
        proto_put_bool(out(writer), value != 0);
}

static void put_int(struct vmreq_writer *writer, int64_t value)
{
        proto_put_int(out(writer), value);
}

static void put_uint(struct vmreq_writer *writer, uint64_t value)
{
        proto_put_uint(out(writer), value);
}

static void put_x64(struct vmreq_writer *writer, uint64_t value)
{
        rpc_put_x64(out(writer), value);
}

static void put_float(struct vmreq_writer *writer, double value)
{
        proto_put_float(out(writer), value);
}

static void put_str(struct vmreq_writer *writer, const char *data, size_t len)
{
        proto_put_str(out(writer), data, len);
}

static void put_bytes(struct vmreq_writer *writer, const void *data, size_t len)
{
        proto_put_bin(out(writer), data, len);
}

static void put_array(struct vmreq_writer *writer, uint32_t count)
{
        proto_put_array(out(writer), count);
}

static void put_map(struct vmreq_writer *writer, uint32_t pairs)
{
        proto_put_map(out(writer), pairs);
}

static void put_raw(struct vmreq_writer *writer, const void *data, size_t len)
{
        proto_put_raw(out(writer), data, len);
}

static void put_failure(struct vmreq_writer *base, const char *name, const char *text)
{
        struct rpc_writer *writer = container_of(base, struct rpc_writer, base);

        if (!writer->failure)
                writer->failure = calloc(1, sizeof(*writer->failure));
        if (!writer->failure)
                return; /* the number alone must do */
        (void)snprintf(writer->failure->name, sizeof(writer->failure->name), "%s",
                       name ? name : "");
        (void)snprintf(writer->failure->text, sizeof(writer->failure->text), "%s",
                       text ? text : "");
        proto_text_clean(writer->failure->name);
        proto_text_clean(writer->failure->text);
}

static void *get_state(struct vmreq_writer *writer)
{
        return container_of(writer, struct rpc_writer, base)->state;
}

static void set_state(struct vmreq_writer *base, void *state, void (*release)(void *state))
{
        struct rpc_writer *writer = container_of(base, struct rpc_writer, base);

        writer->state = state;
        writer->release = release;
}

static const struct vmreq_writer_ops writer_ops = {
        .put_nil = put_nil,
        .put_bool = put_bool,
        .put_int = put_int,
        .put_uint = put_uint,
        .put_x64 = put_x64,
        .put_float = put_float,
        .put_str = put_str,
        .put_bytes = put_bytes,
        .put_array = put_array,
        .put_map = put_map,
        .put_raw = put_raw,
        .put_failure = put_failure,
        .state = get_state,
        .set_state = set_state,
};

void rpc_writer_init(struct rpc_writer *writer, uint32_t type, size_t bytes_max)
{
        writer->type = type;
        writer->base.ops = &writer_ops;
        writer->failure = NULL;
        writer->held = 0;
        writer->refused = false;
        writer->n_chunks = 0;
        writer->chunk = RPC_WRITER_OK;
        writer->state = NULL;
        writer->release = NULL;
        proto_builder_init(&writer->value, bytes_max);
}

void rpc_writer_deinit(struct rpc_writer *writer)
{
        rpc_writer_end_state(writer);
        proto_builder_deinit(&writer->value);
        free(writer->failure);
        writer->failure = NULL;
}

void rpc_writer_end_state(struct rpc_writer *writer)
{
        if (writer->state && writer->release)
                writer->release(writer->state);
        writer->state = NULL;
        writer->release = NULL;
}

/* What a client may rely on is checked where it costs nobody: with assertions. */
static bool has_type(const struct rpc_writer *writer, size_t mark)
{
#ifdef NDEBUG
        (void)writer, (void)mark;
        return true;
#else
        return rpc_result_has_type(writer->type, writer->value.data + mark,
                                   writer->value.len - mark);
#endif
}

enum rpc_writer_result rpc_writer_check(const struct rpc_writer *writer)
{
        const struct proto_builder *value = &writer->value;
        bool may_be_none = writer->type == VMREQ_T_NIL || writer->type == VMREQ_T_STATUS;

        if (value->error == PROTO_BUILDER_E_BUDGET)
                return RPC_WRITER_E_BUDGET;
        if (value->error)
                return RPC_WRITER_E_MEMORY;
        if (value->len == 0)
                return may_be_none ? RPC_WRITER_OK : RPC_WRITER_E_BALANCE;
        if (proto_frame_skip(value->data, value->len, 0) != value->len)
                return RPC_WRITER_E_BALANCE;
        return has_type(writer, 0) ? RPC_WRITER_OK : RPC_WRITER_E_TYPE;
}

enum rpc_writer_result rpc_writer_end_chunk(struct rpc_writer *writer, size_t mark)
{
        const struct proto_builder *value = &writer->value;

        if (value->error == PROTO_BUILDER_E_BUDGET)
                return RPC_WRITER_E_BUDGET;
        if (value->error)
                return RPC_WRITER_E_MEMORY;
        if (value->len == mark)
                return RPC_WRITER_OK;
        if (value->len - mark > VMREQ_CHUNK_BYTES_MAX)
                return RPC_WRITER_E_CHUNK;
        if (proto_frame_skip(value->data, value->len, mark) != value->len)
                return RPC_WRITER_E_BALANCE;
        if (!has_type(writer, mark))
                return RPC_WRITER_E_TYPE;
        writer->n_chunks++;
        return RPC_WRITER_OK;
}

void rpc_put_x64(struct proto_builder *builder, uint64_t value)
{
        char text[24];
        int n = snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);

        proto_put_str(builder, text, (size_t)n);
}
