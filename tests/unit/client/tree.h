/* SPDX-License-Identifier: MIT */
#pragma once
/* Values for tests of what prints them: from JSON, or from msgpack bytes written by hand. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/json.h"
#include "proto/builder.h"
#include "proto/frame.h"
#include "proto/value.h"

struct tree {
        uint8_t *bytes;
        struct proto_arena arena;
        const struct proto_value *root;
};

/* `bytes`: one value. */
static inline void tree_from_bytes(struct tree *tree, const void *bytes, size_t len)
{
        const struct proto_value *root;
        struct proto_frame frame;

        *tree = (struct tree){.bytes = malloc(len + 1)};
        assert_non_null(tree->bytes);
        tree->bytes[0] = 0x91;
        memcpy(tree->bytes + 1, bytes, len);
        proto_frame_init(&frame, len + 1);
        assert_int_equal(proto_frame_scan(&frame, tree->bytes, len + 1), PROTO_FRAME_DONE);
        assert_int_equal(frame.pos, len + 1);
        assert_int_equal(
                proto_value_decode(&tree->arena, tree->bytes, len + 1, frame.values, &root),
                PROTO_VALUE_OK);
        tree->root = &root->items[0];
}

static inline void tree_from_json(struct tree *tree, const char *text)
{
        struct proto_builder builder;
        json_error_t error;
        json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

        assert_non_null(json);
        proto_builder_init(&builder, 1 << 20);
        assert_int_equal(ctl_json_put(&builder, json, 24), 0);
        assert_int_equal(builder.error, PROTO_BUILDER_OK);
        tree_from_bytes(tree, builder.data, builder.len);
        proto_builder_deinit(&builder);
        json_decref(json);
}

static inline void tree_deinit(struct tree *tree)
{
        proto_arena_deinit(&tree->arena);
        free(tree->bytes);
}

/* What `render` writes about the value; compared with `expected`. */
static inline void expect_render(void (*render)(FILE *, const struct proto_value *),
                                 const struct tree *tree, const char *expected)
{
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);

        assert_non_null(out);
        render(out, tree->root);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, expected);
        free(text);
}

static inline void expect_json_render(void (*render)(FILE *, const struct proto_value *),
                                      const char *json, const char *expected)
{
        struct tree tree;

        tree_from_json(&tree, json);
        expect_render(render, &tree, expected);
        tree_deinit(&tree);
}

static inline void expect_bytes_render(void (*render)(FILE *, const struct proto_value *),
                                       const char *bytes, size_t len, const char *expected)
{
        struct tree tree;

        tree_from_bytes(&tree, bytes, len);
        expect_render(render, &tree, expected);
        tree_deinit(&tree);
}
