/* SPDX-License-Identifier: MIT */
/*
 * One pass over a short frame: borders, bounds and nodes at once.
 *
 * The long way walks a frame twice, because memory for its nodes is only taken once the scanner has
 * counted them.  Here room for all nodes is there before (PROTO_SMALL_VALUES), so a container can
 * take its children's places when its header is seen; whatever does not fit, is incomplete, rare or
 * wrong ends the attempt.  So there is one place that judges frames, frame.c; tests/fuzz holds the
 * two ways against each other.
 *
 * Invariants:
 *   1. Nothing is read at or behind `end`, which bytes_max is part of.
 *   2. free - nodes is the number of nodes promised so far, the root included; each is written once
 *      before the root is returned.
 */
#include "proto/small.h"

#include <string.h>

#include "proto/limits.h"

/* Nodes of one container that are still to be written. */
struct run {
        struct proto_value *next, *end;
};

struct job {
        const uint8_t *at, *end;
        struct proto_value *free, *free_end;
};

static uint64_t load(const uint8_t *bytes, size_t n)
{
        uint64_t x = 0;

        for (size_t i = 0; i < n; i++)
                x = x << 8 | bytes[i];
        return x;
}

static inline void set(struct proto_value *node, enum proto_type type, uint32_t count)
{
        node->type = (uint8_t)type;
        node->ext_type = 0;
        node->count = count;
}

/* `n` bytes behind a header of `head` bytes.  False: they are not all there. */
static inline bool take_bytes(struct job *job, struct proto_value *node, enum proto_type type,
                              size_t head, size_t n)
{
        if ((size_t)(job->end - job->at) < head + n)
                return false;
        set(node, type, (uint32_t)n);
        node->data = n ? (const char *)job->at + head : "";
        job->at += head + n;
        return true;
}

/* An integer of `n` bytes behind its header. */
static bool take_int(struct job *job, struct proto_value *node, size_t n, bool is_signed)
{
        unsigned shift = (unsigned)(64 - 8 * n);
        uint64_t x;

        if ((size_t)(job->end - job->at) < 1 + n)
                return false;
        x = load(job->at + 1, n);
        if (is_signed)
                x = (uint64_t)((int64_t)(x << shift) >> shift);
        set(node, is_signed && (int64_t)x < 0 ? PROTO_INT : PROTO_UINT, 0);
        node->u = x;
        job->at += 1 + n;
        return true;
}

/* A value whose first byte does not hold all of it. */
static bool take_long(struct job *job, struct proto_value *node, uint8_t head)
{
        size_t left = (size_t)(job->end - job->at);

        switch (head) {
        case 0xc0:
                set(node, PROTO_NIL, 0);
                node->u = 0;
                job->at++;
                return true;
        case 0xc2:
        case 0xc3:
                set(node, PROTO_BOOL, 0);
                node->u = 0; /* the rest of the union's bytes too */
                node->b = head & 1;
                job->at++;
                return true;
        case 0xc4:
                return left >= 2 && take_bytes(job, node, PROTO_BIN, 2, job->at[1]);
        case 0xd9:
                return left >= 2 && take_bytes(job, node, PROTO_STR, 2, job->at[1]);
        case 0xcc:
        case 0xcd:
        case 0xce:
        case 0xcf:
                return take_int(job, node, (size_t)1 << (head - 0xcc), false);
        case 0xd0:
        case 0xd1:
        case 0xd2:
        case 0xd3:
                return take_int(job, node, (size_t)1 << (head - 0xd0), true);
        default:
                return false;
        }
}

/* Any value but a container. */
static inline bool take_leaf(struct job *job, struct proto_value *node, uint8_t head)
{
        if (head < 0x80) {
                set(node, PROTO_UINT, 0);
                node->u = head;
                job->at++;
                return true;
        }
        if (head >= 0xa0 && head < 0xc0)
                return take_bytes(job, node, PROTO_STR, 1, head & 0x1f);
        if (head >= 0xe0) {
                set(node, PROTO_INT, 0);
                node->i = (int8_t)head;
                job->at++;
                return true;
        }
        return take_long(job, node, head);
}

/* The header of an array or map of up to 15, and places for what is in it. */
static inline bool take_container(struct job *job, struct proto_value *node, uint8_t head)
{
        bool is_map = head < 0x90;
        uint32_t count = head & 0x0f, n = is_map ? 2 * count : count;

        if (n > (size_t)(job->free_end - job->free))
                return false;
        set(node, is_map ? PROTO_MAP : PROTO_ARRAY, count);
        node->items = n ? job->free : NULL;
        job->free += n;
        job->at++;
        return true;
}

/* All that is in the outer array.  False: it is none for the short way. */
static bool take_content(struct job *job, struct proto_frame *frame, const uint8_t *data,
                         const struct proto_value *root)
{
        struct run run = {root->items, root->items + root->count}, outer[PROTO_SMALL_DEPTH];
        unsigned depth = 0, depth_max = frame->depth_max;

        for (;;) {
                struct proto_value *node;
                uint8_t head;

                while (run.next == run.end) {
                        if (depth == 0)
                                return true;
                        run = outer[--depth];
                }
                if (job->at == job->end)
                        return false;
                node = run.next++;
                if (depth == 0 && node - root->items < PROTO_FRAME_ELEMENTS)
                        frame->start[node - root->items] = (size_t)(job->at - data);
                head = *job->at;
                if (head < 0x80 || head >= 0xa0) {
                        if (!take_leaf(job, node, head))
                                return false;
                        continue;
                }
                if (depth >= PROTO_SMALL_DEPTH || depth + 1 >= depth_max ||
                    !take_container(job, node, head))
                        return false;
                outer[depth++] = run;
                run.next = node->items;
                run.end = job->free;
                if (!node->items)
                        run.next = run.end;
        }
}

/* What proto_frame_scan would have noted. */
static void note(struct proto_frame *frame, const struct proto_value *root, size_t len,
                 size_t values)
{
        const struct proto_value *type = &root->items[0], *id = type + 1;

        frame->pos = len;
        frame->values = values;
        frame->done = true;
        frame->is_array = true;
        frame->n_elements = frame->n_seen = root->count;
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
        size_t most = len < frame->bytes_max ? len : frame->bytes_max;
        struct proto_value *root = arena->nodes;
        struct job job = {.at = data, .end = data + most};

        if (most < 2 || data[0] <= 0x90 || data[0] > 0x9f || arena->cap < PROTO_SMALL_VALUES)
                return NULL;
        job.free = root + 1;
        job.free_end = root + PROTO_SMALL_VALUES;
        if (!take_container(&job, root, data[0]) || !take_content(&job, frame, data, root))
                return NULL;
        arena->used = (size_t)(job.free - root);
        note(frame, root, (size_t)(job.at - data), arena->used);
        return root;
}
