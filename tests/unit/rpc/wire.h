/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * msgpack as text, both ways, so that a test shows what goes over the wire:
 *
 *     wire_put(&builder, "[0, 7, 'debug.add', [%d, 2]]", 40);
 *     assert_wire(&value, "[1,7,nil,42]");
 *
 * Written: nil true false, integers, floats (with a point), 'text', [ ], { 'key': value }.
 * Conversions: %d int64_t   %u uint64_t   %f double   %s NUL-terminated   %b bytes (pointer,
 * size_t) %S str (pointer, size_t)   %r msgpack as it is (pointer, size_t) Shown: the same without
 * spaces; bin as h'0a0b', ext as x5'0a0b', long texts and bins as 'abcdefgh…'(n).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/builder.h"
#include "proto/frame.h"
#include "proto/value.h"

/* Appends one value.  A mistake in the text fails the test. */
void wire_put(struct proto_builder *builder, const char *text, ...);
void wire_vput(struct proto_builder *builder, const char *text, va_list args);

/* One value as text, cut at size. */
void wire_show(const struct proto_value *value, char *text, size_t size);

/* A value that was written as text, decoded: bytes and tree live until wire_free. */
struct wire_value {
        struct proto_builder bytes;
        struct proto_arena arena;
        const struct proto_value *root;
};

struct wire_value wire_new(const char *text, ...);
void wire_free(struct wire_value *value);

/* The same for bytes that stand somewhere. */
void wire_decode(struct wire_value *value, const void *data, size_t len);

/* The whole of a builder, shown: must be one value. */
void assert_wire_bytes(const void *data, size_t len, const char *expected);
#define assert_wire_builder(builder, expected)                                                     \
        assert_wire_bytes((builder)->data, (builder)->len, expected)

static inline void assert_has(const char *text, const char *part)
{
        if (!strstr(text, part))
                fail_msg("expected \"%s\" in \"%s\"", part, text);
}
