/* SPDX-License-Identifier: MIT */
/*
 * Outgoing msgpack, straight into the buffer that will be written.
 *
 * Last but one step of a call's walk: the daemon's reply writer (loop thread) puts messages here,
 * the client its requests (whichever thread uses that connection).  A builder belongs to one thread
 * at a time; nothing here blocks.
 *
 * The encoding is msgpack-c's <msgpack/pack_template.h>, made to append to a struct proto_builder.
 * Its ready-made msgpack_packer calls through a function pointer per piece, which the template form
 * avoids; msgpack_sbuffer has no bound.
 *
 * Invariants:
 *   1. len <= cap, and nothing is appended beyond bytes_max, nor more than bytes_max allocated.
 *   2. An error, once set, stays until reset, rollback or take, and nothing is appended meanwhile.
 *      A value may be there in part then: bytes are only worth sending while `error` is OK.
 *   3. Each put appends exactly one value, or one header, or nothing with an error set.
 */
#include "proto/builder.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/value.h"

/* The first allocation, picked: a small reply or a dozen of pipelined ones. */
#define BUILDER_CAP_MIN 512

/* proto_put_format's buffer, with the terminating NUL. */
#define FORMAT_BYTES 4096

static int builder_fail(struct proto_builder *builder, enum proto_builder_error error)
{
        builder->error = error;
        return -1;
}

/*
 * Room for `n` more bytes, which the budget allows: by doubling, so that all the copying together
 * is in proportion to the length.
 */
static int builder_grow(struct proto_builder *builder, size_t n)
{
        size_t need = builder->len + n, cap;
        uint8_t *data;

        cap = builder->cap <= builder->bytes_max / 2 ? 2 * builder->cap : builder->bytes_max;
        if (cap < BUILDER_CAP_MIN)
                cap = BUILDER_CAP_MIN;
        if (cap < need)
                cap = need;
        if (cap > builder->bytes_max)
                cap = builder->bytes_max;
        data = realloc(builder->data, cap);
        if (!data)
                return builder_fail(builder, PROTO_BUILDER_E_MEMORY);
        builder->data = data;
        builder->cap = cap;
        return 0;
}

static inline int builder_append(struct proto_builder *builder, const void *data, size_t n)
{
        if (builder->error != PROTO_BUILDER_OK)
                return -1;
        /*
         * Not left to builder_grow: an owner may lower bytes_max below what is allocated already.
         */
        if (builder->len > builder->bytes_max || n > builder->bytes_max - builder->len)
                return builder_fail(builder, PROTO_BUILDER_E_BUDGET);
        if (n > builder->cap - builder->len && builder_grow(builder, n) < 0)
                return -1;
        if (n > 0)
                memcpy(builder->data + builder->len, data, n);
        builder->len += n;
        return 0;
}

/* ---- msgpack-c's template -------------------------------------------------------------------- */

/* It is written for laxer flags than ours; many of its functions have no use here. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wunused-function"

#include <msgpack/sysdep.h>
#include <msgpack/timestamp.h>

#define msgpack_pack_inline_func(name)               static inline int pack##name
#define msgpack_pack_inline_func_cint(name)          static inline int pack##name
#define msgpack_pack_inline_func_fixint(name)        static inline int pack_fix##name
#define msgpack_pack_user                            struct proto_builder *
#define msgpack_pack_append_buffer(builder, data, n) return builder_append(builder, data, n)

/* The template's own calls from one of its functions to another. */
#define msgpack_pack_ext pack_ext

#include <msgpack/pack_template.h>

#undef msgpack_pack_ext

#pragma GCC diagnostic pop

/* ---- the buffer ------------------------------------------------------------------------------ */

void proto_builder_init(struct proto_builder *builder, size_t bytes_max)
{
        *builder = (struct proto_builder){.bytes_max = bytes_max};
}

void proto_builder_deinit(struct proto_builder *builder)
{
        free(builder->data);
        proto_builder_init(builder, builder->bytes_max);
}

void proto_builder_reset(struct proto_builder *builder)
{
        proto_builder_rollback(builder, 0);
}

void proto_builder_rollback(struct proto_builder *builder, size_t mark)
{
        assert(mark <= builder->len);
        builder->len = mark;
        builder->error = PROTO_BUILDER_OK;
}

uint8_t *proto_builder_take(struct proto_builder *builder, size_t *ret_len)
{
        uint8_t *data = builder->data;

        *ret_len = builder->len;
        proto_builder_init(builder, builder->bytes_max);
        return data;
}

/* ---- values ---------------------------------------------------------------------------------- */

/*
 * What the template returns (-1 once an error is set) is left alone everywhere: the error sticks in
 * the builder, and the caller looks there.
 */

void proto_put_nil(struct proto_builder *builder)
{
        (void)pack_nil(builder);
}

void proto_put_bool(struct proto_builder *builder, bool value)
{
        (void)(value ? pack_true(builder) : pack_false(builder));
}

void proto_put_uint(struct proto_builder *builder, uint64_t value)
{
        (void)pack_uint64(builder, value);
}

void proto_put_int(struct proto_builder *builder, int64_t value)
{
        (void)pack_int64(builder, value);
}

void proto_put_float(struct proto_builder *builder, double value)
{
        (void)pack_double(builder, value);
}

/*
 * A body longer than a header can count would be torn; no budget allows it, so it is over budget.
 */
static bool body_fits(struct proto_builder *builder, size_t len)
{
        if (len <= UINT32_MAX)
                return true;
        if (builder->error == PROTO_BUILDER_OK)
                builder->error = PROTO_BUILDER_E_BUDGET;
        return false;
}

void proto_put_str(struct proto_builder *builder, const char *data, size_t len)
{
        if (!body_fits(builder, len))
                return;
        (void)pack_str(builder, len);
        (void)pack_str_body(builder, data, len);
}

void proto_put_text(struct proto_builder *builder, const char *text)
{
        if (text)
                proto_put_str(builder, text, strlen(text));
        else
                proto_put_nil(builder);
}

/*
 * The length without a UTF-8 character that a cut at `len` left torn at the end: clients refuse a
 * whole frame for one such string.  Only the last 3 bytes can belong to one.
 */
static size_t utf8_trim(const char *text, size_t len)
{
        for (size_t back = 1; back <= 3 && back <= len; back++) {
                unsigned char c = (unsigned char)text[len - back];

                if (c >= 0xc0) { /* a first byte: of how many? */
                        size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

                        return n > back ? len - back : len;
                }
                if (c < 0x80)
                        break;
        }
        return len;
}

void proto_put_format(struct proto_builder *builder, const char *format, ...)
{
        char text[FORMAT_BYTES];
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        if (n < 0) /* an unprintable wide character: still one value, so that counts stay right */
                n = 0;
        if ((size_t)n < sizeof(text))
                proto_put_str(builder, text, (size_t)n);
        else
                proto_put_str(builder, text, utf8_trim(text, sizeof(text) - 1));
}

void proto_put_bin(struct proto_builder *builder, const void *data, size_t len)
{
        if (!body_fits(builder, len))
                return;
        (void)pack_bin(builder, len);
        (void)pack_bin_body(builder, data, len);
}

void proto_put_array(struct proto_builder *builder, uint32_t count)
{
        (void)pack_array(builder, count);
}

void proto_put_map(struct proto_builder *builder, uint32_t count)
{
        (void)pack_map(builder, count);
}

void proto_put_raw(struct proto_builder *builder, const void *data, size_t len)
{
        (void)builder_append(builder, data, len);
}

/* Recursion no deeper than a decoded tree: the decoder's stack ends at 32 levels. */
static void put_items(struct proto_builder *builder, const struct proto_value *items, size_t n)
{
        for (size_t i = 0; i < n && builder->error == PROTO_BUILDER_OK; i++)
                proto_put_value(builder, &items[i]);
}

void proto_put_value(struct proto_builder *builder, const struct proto_value *value)
{
        switch ((enum proto_type)value->type) {
        case PROTO_NIL:
                proto_put_nil(builder);
                break;
        case PROTO_BOOL:
                proto_put_bool(builder, value->b);
                break;
        case PROTO_UINT:
                proto_put_uint(builder, value->u);
                break;
        case PROTO_INT:
                proto_put_int(builder, value->i);
                break;
        case PROTO_FLOAT:
                proto_put_float(builder, value->f);
                break;
        case PROTO_STR:
                proto_put_str(builder, value->data, value->count);
                break;
        case PROTO_BIN:
                proto_put_bin(builder, value->data, value->count);
                break;
        case PROTO_ARRAY:
                proto_put_array(builder, value->count);
                put_items(builder, value->items, value->count);
                break;
        case PROTO_MAP:
                proto_put_map(builder, value->count);
                put_items(builder, value->items, 2 * (size_t)value->count);
                break;
        case PROTO_EXT:
                (void)pack_ext(builder, value->count, value->ext_type);
                (void)pack_ext_body(builder, value->data, value->count);
                break;
        case _PROTO_TYPE_N:
                break;
        }
}
