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

/*
 * Values that need no places for others, into [node, end); returns the first node that was not
 * written: `end`, or one whose value is a container, or none for the short way.  `start`, unless it
 * is NULL, gets where each value begins, and the one that ended it.
 *
 * This loop is most of what a frame costs: inlined, so that what is the same for all of its turns
 * is known, and where it reads is kept in a register.
 */
static inline __attribute__((always_inline)) struct proto_value *
take_leaves(struct job *job, struct proto_value *node, const struct proto_value *end, size_t *start,
            const uint8_t *data)
{
        const uint8_t *at = job->at, *most = job->end;

        for (; node < end && at < most; node++) {
                uint8_t head = *at;

                if (start)
                        *start++ = (size_t)(at - data);
                if (head < 0x80) {
                        set(node, PROTO_UINT, 0);
                        node->u = head;
                        at++;
                } else if (head >= 0xa0 && head < 0xc0) {
                        size_t n = head & 0x1f;

                        if ((size_t)(most - at) <= n)
                                break;
                        set(node, PROTO_STR, (uint32_t)n);
                        node->data = n ? (const char *)at + 1 : "";
                        at += 1 + n;
                } else if (head >= 0xe0) {
                        set(node, PROTO_INT, 0);
                        node->i = (int8_t)head;
                        at++;
                } else {
                        job->at = at;
                        if (head < 0xa0 || !take_long(job, node, head))
                                return node;
                        at = job->at;
                }
        }
        job->at = at;
        return node;
}

/* Does a container of up to 15 come next? */
static inline bool is_container(const struct job *job)
{
        return job->at < job->end && *job->at >= 0x80 && *job->at <= 0x9f;
}

/* A container in the outer array and all that is in it, the innermost first.  False: it is none for
 * the short way. */
static inline bool take_nested(struct job *job, struct proto_value *node, unsigned depth_max)
{
        struct run outer[PROTO_SMALL_DEPTH], run;
        unsigned depth = 0;

        for (;;) {
                /* The outer array is open, and `depth` of these. */
                if (!is_container(job) || depth >= PROTO_SMALL_DEPTH || depth + 2 > depth_max ||
                    !take_container(job, node, *job->at))
                        return false;
                outer[depth++] = run;
                run.end = job->free;
                run.next = node->items ? node->items : run.end;
                while ((run.next = take_leaves(job, run.next, run.end, NULL, NULL)) == run.end) {
                        if (--depth == 0)
                                return true;
                        run = outer[depth];
                }
                node = run.next++;
        }
}

/* All that is in the outer array, which is noted where it begins. */
static inline bool take_content(struct job *job, struct proto_frame *frame, const uint8_t *data,
                                const struct proto_value *root)
{
        struct proto_value *first = root->items, *node = first, *end = first + root->count;

        for (;;) {
                node = take_leaves(job, node, end, frame->start + (node - first), data);
                if (node == end)
                        return true;
                if (!take_nested(job, node++, frame->depth_max))
                        return false;
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

        /* Messages have 3 or 4 elements, and no more starts can be noted than there are places. */
        if (most < 2 || data[0] <= 0x90 || data[0] > 0x90 + PROTO_FRAME_ELEMENTS ||
            arena->cap < PROTO_SMALL_VALUES)
                return NULL;
        job.free = root + 1;
        job.free_end = root + PROTO_SMALL_VALUES;
        if (!take_container(&job, root, data[0]) || !take_content(&job, frame, data, root))
                return NULL;
        arena->used = (size_t)(job.free - root);
        note(frame, root, (size_t)(job.at - data), arena->used);
        return root;
}
