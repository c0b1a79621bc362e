/* SPDX-License-Identifier: MIT */
#pragma once
/* Looking into answers that are maps.  What is missing fails the test. */

#include "unit/rpc/harness.h"

static inline const struct proto_value *look(const struct proto_value *map, const char *key)
{
        const struct proto_value *value = proto_value_map_get(map, key);

        if (!value)
                fail_msg("no %s", key);
        return value;
}

static inline uint64_t look_number(const struct proto_value *map, const char *key)
{
        const struct proto_value *value = look(map, key);

        if (value->type != PROTO_UINT)
                fail_msg("%s is no number", key);
        return value->u;
}

static inline bool look_is(const struct proto_value *map, const char *key, const char *text)
{
        return proto_value_is_text(look(map, key), text);
}

static inline bool look_is_nil(const struct proto_value *map, const char *key)
{
        return look(map, key)->type == PROTO_NIL;
}

/* The result of the next frame, which must be the answer to msgid. */
static inline const struct proto_value *look_result(struct client *client, uint32_t msgid)
{
        const struct proto_value *root = client_receive(client);

        assert_non_null(root);
        assert_int_equal(root->count, 4);
        assert_int_equal(root->items[1].u, msgid);
        if (root->items[2].type != PROTO_NIL) {
                char text[1024];

                wire_show(&root->items[2], text, sizeof(text));
                fail_msg("an error: %s", text);
        }
        return &root->items[3];
}
