/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Outgoing msgpack, appended to one growing buffer under a byte budget.  Errors stick: after one,
 * all further puts do nothing, so that a caller checks once at the end, and rolls back to its mark:
 * a frame is emitted whole or not at all.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum proto_builder_error {
        PROTO_BUILDER_OK = 0,
        PROTO_BUILDER_E_BUDGET, /* bytes_max would be exceeded */
        PROTO_BUILDER_E_MEMORY,
};

struct proto_builder {
        uint8_t *data;
        size_t len, cap;
        size_t bytes_max; /* cap on len */
        enum proto_builder_error error;
};

/* An empty builder; allocates at the first put. */
void proto_builder_init(struct proto_builder *builder, size_t bytes_max);
/* Frees the buffer.  Idempotent. */
void proto_builder_deinit(struct proto_builder *builder);
/* Empties it, keeps the memory, forgets the error. */
void proto_builder_reset(struct proto_builder *builder);
/* Cuts back to `mark`, an earlier `len`, and forgets the error. */
void proto_builder_rollback(struct proto_builder *builder, size_t mark);
/* Hands the buffer to the caller (free with free()), leaving the builder empty. */
uint8_t *proto_builder_take(struct proto_builder *builder, size_t *ret_len);

void proto_put_nil(struct proto_builder *builder);
void proto_put_bool(struct proto_builder *builder, bool value);
void proto_put_uint(struct proto_builder *builder, uint64_t value);
void proto_put_int(struct proto_builder *builder, int64_t value);
void proto_put_float(struct proto_builder *builder, double value);
void proto_put_str(struct proto_builder *builder, const char *data, size_t len);
/* A NUL-terminated string; NULL puts nil. */
void proto_put_text(struct proto_builder *builder, const char *text);
/* A string made as by printf, at most 4095 bytes of it. */
void proto_put_format(struct proto_builder *builder, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void proto_put_bin(struct proto_builder *builder, const void *data, size_t len);
/* Headers: exactly `count` elements (for a map: pairs) must follow. */
void proto_put_array(struct proto_builder *builder, uint32_t count);
void proto_put_map(struct proto_builder *builder, uint32_t count);
/* Bytes that are msgpack already. */
void proto_put_raw(struct proto_builder *builder, const void *data, size_t len);
/* A decoded tree, encoded again (ext included). */
struct proto_value;
void proto_put_value(struct proto_builder *builder, const struct proto_value *value);
