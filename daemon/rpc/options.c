/* SPDX-License-Identifier: MIT */
/*
 * The options of one call.  Registered defaults first, then the map's entries one by one; an
 * unknown option, or one with a value of the wrong kind, refuses the call and names what was
 * expected: doing something else than was asked for would be worse.
 */
#include "rpc/options.h"

#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "rpc/destination.h"
#include "vm/vmreq.h"

/* Longest time limit that is taken literally: about 31 years, far from any overflow in nanoseconds.
 */
#define TIMEOUT_MS_MAX 1000000000000ull

void rpc_options_init(struct rpc_options *options, const struct vmreq_symbol *symbol,
                      uint64_t timeout_ms)
{
        *options = (struct rpc_options){.cpu = symbol->dest, .timeout_ms = timeout_ms};
        if (symbol->timeout_ms)
                options->timeout_ms =
                        symbol->timeout_ms == VMREQ_TIMEOUT_NONE ? 0 : symbol->timeout_ms;
        if (symbol->flags & VMREQ_SYM_PRIORITY)
                options->flags |= VMREQ_PRIORITY;
        if (symbol->flags & VMREQ_SYM_POKE)
                options->flags |= VMREQ_POKE;
}

struct reader {
        struct rpc_options *options;
        uint32_t cpus;
        bool submit;
        const char *expected; /* set when a value is not what it should be */
        char *room;           /* for an expectation with figures in it, EXPECTED_BYTES */
};

#define EXPECTED_BYTES 128

static void set_flag(struct reader *reader, const struct proto_value *value, uint32_t flag)
{
        if (value->type != PROTO_BOOL)
                reader->expected = "a bool";
        else if (value->b)
                reader->options->flags |= flag;
        else
                reader->options->flags &= ~flag;
}

static void read_cpu(struct reader *reader, const struct proto_value *value)
{
        if (rpc_destination_read(value, reader->cpus, &reader->options->cpu))
                return;
        (void)snprintf(reader->room, EXPECTED_BYTES, RPC_DESTINATION_EXPECTED, reader->cpus - 1);
        reader->expected = reader->room;
}

static void read_timeout(struct reader *reader, const struct proto_value *value)
{
        if (value->type == PROTO_NIL)
                reader->options->timeout_ms = 0;
        else if (value->type == PROTO_UINT && value->u <= TIMEOUT_MS_MAX)
                reader->options->timeout_ms = value->u;
        else
                reader->expected = "milliseconds 0..10^12, or nil for none";
}

static void read_on_error(struct reader *reader, const struct proto_value *value)
{
        if (proto_value_is_text(value, "continue"))
                reader->options->flags |= VMREQ_CONTINUE;
        else if (proto_value_is_text(value, "stop"))
                reader->options->flags &= ~VMREQ_CONTINUE;
        else
                reader->expected = "\"stop\" or \"continue\"";
}

static void read_bool(struct reader *reader, const struct proto_value *value, bool *ret_bool)
{
        if (value->type != PROTO_BOOL)
                reader->expected = "a bool";
        else
                *ret_bool = value->b;
}

static void read_key(struct reader *reader, const struct proto_value *value)
{
        if ((value->type != PROTO_STR && value->type != PROTO_BIN) || value->count == 0 ||
            value->count > RPC_KEY_BYTES_MAX) {
                reader->expected = "a string of 1 to 128 bytes";
                return;
        }
        reader->options->key = value->data;
        reader->options->key_len = value->count;
}

static void read_stream(struct reader *reader, const struct proto_value *value)
{
        read_bool(reader, value, &reader->options->stream);
        if (reader->submit && reader->options->stream)
                reader->expected = "false: chunks and rows are streamed to vmreq.call only";
}

/* False: no such option. */
static bool read_one(struct reader *reader, const struct proto_value *key,
                     const struct proto_value *value)
{
        struct rpc_options *options = reader->options;

        if (proto_value_is_text(key, "cpu"))
                read_cpu(reader, value);
        else if (proto_value_is_text(key, "priority"))
                set_flag(reader, value, VMREQ_PRIORITY);
        else if (proto_value_is_text(key, "poke"))
                set_flag(reader, value, VMREQ_POKE);
        else if (proto_value_is_text(key, "parallel"))
                set_flag(reader, value, VMREQ_PARALLEL);
        else if (proto_value_is_text(key, "on_error"))
                read_on_error(reader, value);
        else if (proto_value_is_text(key, "timeout_ms"))
                read_timeout(reader, value);
        else if (proto_value_is_text(key, "timing"))
                read_bool(reader, value, &options->timing);
        else if (proto_value_is_text(key, "no_wait") && reader->submit)
                read_bool(reader, value, &options->no_wait);
        else if (proto_value_is_text(key, "stream"))
                read_stream(reader, value);
        else if (proto_value_is_text(key, "detach"))
                read_bool(reader, value, &options->detach);
        else if (proto_value_is_text(key, "key"))
                read_key(reader, value);
        else
                return false;
        return true;
}

enum proto_code rpc_options_read(struct rpc_options *options, const struct proto_value *map,
                                 uint32_t cpus, bool submit, char *reterr_text, size_t size)
{
        char room[EXPECTED_BYTES];
        struct reader reader = {.options = options, .cpus = cpus, .submit = submit, .room = room};

        if (!map || map->type == PROTO_NIL)
                return PROTO_OK;
        if (map->type != PROTO_MAP) {
                (void)snprintf(reterr_text, size, "options: expected a map, got %s",
                               proto_value_type_to_string(map));
                return PROTO_INVALID_REQUEST;
        }
        for (uint32_t i = 0; i < map->count; i++) {
                const struct proto_value *key = &map->items[2 * i], *value = key + 1;
                bool is_text = key->type == PROTO_STR || key->type == PROTO_BIN;
                int len = is_text ? (int)MIN(key->count, 32u) : 0;

                if (!read_one(&reader, key, value)) {
                        (void)snprintf(
                                reterr_text, size,
                                "unknown option \"%.*s\"; there are cpu, priority, poke, timeout_ms, "
                                "parallel, on_error, timing, stream, detach, key%s",
                                len, is_text ? key->data : "", submit ? ", no_wait" : "");
                        return PROTO_INVALID_REQUEST;
                }
                if (reader.expected) {
                        (void)snprintf(reterr_text, size, "option \"%.*s\": expected %s", len,
                                       key->data, reader.expected);
                        return PROTO_INVALID_REQUEST;
                }
        }
        if (options->flags & (VMREQ_PARALLEL | VMREQ_CONTINUE) && options->cpu != VMREQ_CPU_ALL &&
            options->cpu != VMREQ_CPU_ALL_REVERSE) {
                (void)snprintf(
                        reterr_text, size,
                        "options \"parallel\" and \"on_error\" need cpu \"all\" or \"all-reverse\"");
                return PROTO_INVALID_REQUEST;
        }
        return PROTO_OK;
}

void rpc_options_cap(struct rpc_options *options, uint32_t timeout_max_ms)
{
        if (timeout_max_ms && (options->timeout_ms == 0 || options->timeout_ms > timeout_max_ms))
                options->timeout_ms = timeout_max_ms;
}
