/* SPDX-License-Identifier: MIT */
#include "proto/small.h"

#include "proto/limits.h"

/* Where the value at data[at] ends, whose node is `node`; most often that is seen without another
 * look at its header. */
static inline size_t end_of(const struct proto_value *node, const uint8_t *data, size_t len,
                            size_t at)
{
        if (data[at] < 0x80)
                return at + 1;
        if ((node->type == PROTO_STR || node->type == PROTO_BIN) && node->count > 0)
                return (size_t)((const uint8_t *)node->data - data) + node->count;
        return proto_frame_skip(data, len, at);
}

/* What proto_frame_scan would have noted of the frame in data[0..len). */
static void note(struct proto_frame *frame, const struct proto_value *root, const uint8_t *data,
                 size_t len, size_t values)
{
        const struct proto_value *type = &root->items[0], *id = type + 1;
        size_t at = 1;

        frame->pos = len;
        frame->values = values;
        frame->done = true;
        frame->is_array = true;
        frame->n_elements = frame->n_seen = root->count;
        for (uint32_t i = 0; i < root->count; i++) {
                frame->start[i] = at;
                if (i + 1 < root->count) /* the last one is what is long */
                        at = end_of(&root->items[i], data, len, at);
        }
        if (type->type != PROTO_UINT)
                return;
        frame->has_type = true;
        frame->type = type->u;
        if (root->count > 1 && type->u != 2 && id->type == PROTO_UINT && id->u <= UINT32_MAX) {
                frame->has_msgid = true;
                frame->msgid = id->u;
        }
}

const struct proto_value *proto_small_decode(struct proto_arena *arena, struct proto_frame *frame,
                                             const uint8_t *data, size_t len)
{
        size_t most = len < frame->bytes_max ? len : frame->bytes_max, end;
        unsigned depth_max =
                frame->depth_max < PROTO_SMALL_DEPTH ? frame->depth_max : PROTO_SMALL_DEPTH;
        const struct proto_value *root;

        /* Messages have 3 or 4 elements, and no more starts can be noted than there are places. */
        if (most < 2 || data[0] <= 0x90 || data[0] > 0x90 + PROTO_FRAME_ELEMENTS ||
            arena->cap < PROTO_SMALL_VALUES)
                return NULL;
        end = proto_value_try(arena, data, most, PROTO_SMALL_VALUES, depth_max, &root);
        if (end == 0)
                return NULL;
        note(frame, root, data, end, arena->used);
        return root;
}
