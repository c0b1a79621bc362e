/* SPDX-License-Identifier: MIT */
/*
 * Bytes of one scanned value → a tree of plain nodes, and questions to that tree.
 *
 * Third step of a call's walk: frame.c has found a whole frame and counted its values; message.c
 * reads the tree; the daemon's marshalling takes the arguments out of it.  Loop thread in the
 * daemon, any one thread at a time in the client.
 *
 * The decoder is msgpack-c's own state machine in its SAX form: <msgpack/unpack_template.h> is a
 * template that calls back for each value.  The object API on top of it (msgpack_unpack_next) was
 * rejected for its cost: it fills a zone with nodes of its own, which would have to be walked
 * again.
 *
 * Invariants:
 *   1. The arena holds at least as many nodes as the scanner counted values before decoding starts,
 *      and does not grow while a tree is built: no node moves, `items` pointers stay good.
 *   2. Node 0 is the root.  A container takes its children's nodes as one run when its header is
 *      seen, so that they are contiguous whatever is nested in between.  Each value is written
 *      straight to its node: the next one of the innermost run that is not full.
 *   3. The sum of all runs is the number of values less the root.  A frame that was scanned with
 *      other results than it is decoded with cannot write outside the arena: it is E_MALFORMED.
 */
#include "proto/value.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

/* The first allocation: enough for nearly every call, so that an arena seldom grows twice. */
#define ARENA_NODES_MIN 64

static_assert(sizeof(struct proto_value) <= 16, "two words: a frame of n bytes has up to n nodes");

/* ---- msgpack-c's template -------------------------------------------------------------------- */

#include <msgpack/unpack.h>
#include <msgpack/unpack_define.h>

/* A run of nodes that is being filled: the next one, and the end of the run. */
struct run {
        struct proto_value *next, *end;
};

struct unpack_user {
        struct run run;                    /* of the innermost container */
        struct run outer[PROTO_DEPTH_MAX]; /* of those around it, valid below `depth` */
        unsigned depth, depth_max;
        struct proto_value *free, *free_end; /* nodes that belong to no run yet */
};

/*
 * The template passes its "object" around by value, from where a child is read to where its parent
 * takes it.  Nodes are written to their final place at once, so nothing needs to be carried.
 */
typedef char unpack_object;

#define msgpack_unpack_struct(name)    struct unpack##name
#define msgpack_unpack_func(ret, name) static inline ret unpack##name
#define msgpack_unpack_callback(name)  on##name
#define msgpack_unpack_object          unpack_object
#define msgpack_unpack_user            struct unpack_user

static inline unpack_object on_root(struct unpack_user *user)
{
        (void)user;
        return 0;
}

/* The next node, for a value without children; leaves the containers that it completes. */
static inline struct proto_value *take_leaf(struct unpack_user *user, enum proto_type type)
{
        struct proto_value *node = user->run.next++;

        while (user->run.next == user->run.end && user->depth > 0)
                user->run = user->outer[--user->depth];
        node->type = (uint8_t)type;
        node->ext_type = 0;
        node->count = 0;
        return node;
}

/* The next node, for a container, and the run of its `n` children, which are filled next. */
static inline int take_container(struct unpack_user *user, enum proto_type type, size_t count,
                                 size_t n)
{
        struct proto_value *node;

        /* Stands in for trust in the caller's `values`, and in its scan. */
        if (n > (size_t)(user->free_end - user->free) || user->depth >= user->depth_max)
                return -1;
        if (n == 0) {
                take_leaf(user, type)->items = NULL;
                return 0;
        }
        node = user->run.next++;
        node->type = (uint8_t)type;
        node->ext_type = 0;
        node->count = (uint32_t)count;
        node->items = user->free;
        user->free += n;
        /* A run that this container completes is still pushed; it is left together with it. */
        user->outer[user->depth++] = user->run;
        user->run = (struct run){.next = node->items, .end = user->free};
        return 0;
}

static inline int put_uint(struct unpack_user *user, uint64_t number)
{
        take_leaf(user, PROTO_UINT)->u = number;
        return 0;
}

/* Encoders differ in how they write small numbers; the tree does not. */
static inline int put_int(struct unpack_user *user, int64_t number)
{
        if (number >= 0)
                return put_uint(user, (uint64_t)number);
        take_leaf(user, PROTO_INT)->i = number;
        return 0;
}

static inline int put_float(struct unpack_user *user, double number)
{
        take_leaf(user, PROTO_FLOAT)->f = number;
        return 0;
}

#define ON_NUMBER(name, ctype, put)                                                                \
        static inline int on_##name(struct unpack_user *user, ctype number, unpack_object *object) \
        {                                                                                          \
                *object = 0;                                                                       \
                return put(user, number);                                                          \
        }

ON_NUMBER(uint8, uint8_t, put_uint)
ON_NUMBER(uint16, uint16_t, put_uint)
ON_NUMBER(uint32, uint32_t, put_uint)
ON_NUMBER(uint64, uint64_t, put_uint)
ON_NUMBER(int8, int8_t, put_int)
ON_NUMBER(int16, int16_t, put_int)
ON_NUMBER(int32, int32_t, put_int)
ON_NUMBER(int64, int64_t, put_int)
ON_NUMBER(float, float, put_float)
ON_NUMBER(double, double, put_float)

static inline int on_nil(struct unpack_user *user, unpack_object *object)
{
        *object = 0;
        take_leaf(user, PROTO_NIL)->u = 0;
        return 0;
}

static inline int put_bool(struct unpack_user *user, bool value, unpack_object *object)
{
        struct proto_value *node = take_leaf(user, PROTO_BOOL);

        *object = 0;
        node->u = 0; /* the rest of the union's bytes too */
        node->b = value;
        return 0;
}

static inline int on_false(struct unpack_user *user, unpack_object *object)
{
        return put_bool(user, false, object);
}

static inline int on_true(struct unpack_user *user, unpack_object *object)
{
        return put_bool(user, true, object);
}

/* `bytes` means nothing when there are none: the template then has a stale pointer, or NULL. */
static inline struct proto_value *put_bytes(struct unpack_user *user, enum proto_type type,
                                            const char *bytes, unsigned len)
{
        struct proto_value *node = take_leaf(user, type);

        node->count = len;
        node->data = len > 0 ? bytes : "";
        return node;
}

static inline int on_str(struct unpack_user *user, const char *base, const char *bytes,
                         unsigned len, unpack_object *object)
{
        (void)base;
        *object = 0;
        put_bytes(user, PROTO_STR, bytes, len);
        return 0;
}

static inline int on_bin(struct unpack_user *user, const char *base, const char *bytes,
                         unsigned len, unpack_object *object)
{
        (void)base;
        *object = 0;
        put_bytes(user, PROTO_BIN, bytes, len);
        return 0;
}

/*
 * `bytes` begins with the ext's type and `len` counts it; 0 is a length of 2^32 - 1, wrapped round.
 */
static inline int on_ext(struct unpack_user *user, const char *base, const char *bytes,
                         unsigned len, unpack_object *object)
{
        (void)base;
        *object = 0;
        if (len == 0)
                return -1;
        put_bytes(user, PROTO_EXT, bytes + 1, len - 1)->ext_type = (int8_t)bytes[0];
        return 0;
}

static inline int on_array(struct unpack_user *user, size_t n, unpack_object *object)
{
        *object = 0;
        return take_container(user, PROTO_ARRAY, n, n);
}

static inline int on_map(struct unpack_user *user, size_t n, unpack_object *object)
{
        *object = 0;
        return n > SIZE_MAX / 2 ? -1 : take_container(user, PROTO_MAP, n, 2 * n);
}

/* Nothing to do: the item is in its place. */
static inline int on_array_item(struct unpack_user *user, unpack_object *array, unpack_object item)
{
        (void)user, (void)array, (void)item;
        return 0;
}

static inline int on_map_item(struct unpack_user *user, unpack_object *map, unpack_object key,
                              unpack_object item)
{
        (void)user, (void)map, (void)key, (void)item;
        return 0;
}

/* It is written for laxer flags than ours, and with GNU's case ranges. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"

#include <msgpack/unpack_template.h>

#pragma GCC diagnostic pop

static_assert(PROTO_DEPTH_MAX <= MSGPACK_EMBED_STACK_SIZE, "each scanned frame fits in its stack");

/* ---- the arena ------------------------------------------------------------------------------- */

void proto_arena_deinit(struct proto_arena *arena)
{
        free(arena->nodes);
        *arena = PROTO_ARENA_NULL;
}

void proto_arena_trim(struct proto_arena *arena, size_t nodes_max)
{
        struct proto_value *nodes;

        if (arena->cap <= nodes_max)
                return;
        arena->used = 0;
        if (nodes_max == 0) {
                proto_arena_deinit(arena);
                return;
        }
        nodes = realloc(arena->nodes, nodes_max * sizeof(*nodes));
        if (!nodes)
                return; /* the larger block is still good */
        arena->nodes = nodes;
        arena->cap = nodes_max;
}

/* Room for `values` nodes.  The last tree is dead by contract, so nothing is copied. */
static bool arena_reserve(struct proto_arena *arena, size_t values)
{
        size_t cap = values < ARENA_NODES_MIN ? ARENA_NODES_MIN : values;

        if (arena->cap >= values)
                return true;
        proto_arena_deinit(arena);
        if (cap > SIZE_MAX / sizeof(*arena->nodes))
                return false;
        arena->nodes = malloc(cap * sizeof(*arena->nodes));
        if (!arena->nodes)
                return false;
        arena->cap = cap;
        return true;
}

/* Into the arena's first `values` nodes.  1: *ret_end is behind the value; 0: it is incomplete;
 * else there is no such value, or not with so few nodes or at this depth. */
static int decode(struct proto_arena *arena, const uint8_t *data, size_t len, size_t values,
                  unsigned depth_max, size_t *ret_end)
{
        struct unpack_context context;
        int r;

        /* Not an initialiser: that would clear the stack, which costs as much as a small frame. */
        context.user.run = (struct run){.next = arena->nodes, .end = arena->nodes + 1};
        context.user.depth = 0;
        context.user.depth_max = depth_max;
        context.user.free = arena->nodes + 1;
        context.user.free_end = arena->nodes + values;
        unpack_init(&context);
        *ret_end = 0;
        r = unpack_execute(&context, (const char *)data, len, ret_end);
        arena->used = (size_t)(context.user.free - arena->nodes);
        return r;
}

enum proto_value_result proto_value_decode(struct proto_arena *arena, const uint8_t *data,
                                           size_t len, size_t values,
                                           const struct proto_value **ret_root)
{
        size_t end;

        /* Each value takes at least a byte: no count, however wrong, reserves more than that. */
        if (values == 0 || values > len || len > PROTO_FRAME_BYTES_MAX)
                return PROTO_VALUE_E_MALFORMED;
        if (!arena_reserve(arena, values))
                return PROTO_VALUE_E_MEMORY;
        if (decode(arena, data, len, values, PROTO_DEPTH_MAX, &end) != 1 || end != len)
                return PROTO_VALUE_E_MALFORMED;
        *ret_root = &arena->nodes[0];
        return PROTO_VALUE_OK;
}

size_t proto_value_try(struct proto_arena *arena, const uint8_t *data, size_t len, size_t values,
                       unsigned depth_max, const struct proto_value **ret_root)
{
        size_t end;

        if (values == 0 || values > arena->cap || len > PROTO_FRAME_BYTES_MAX ||
            depth_max > PROTO_DEPTH_MAX || decode(arena, data, len, values, depth_max, &end) != 1)
                return 0;
        *ret_root = &arena->nodes[0];
        return end;
}

/* ---- questions ------------------------------------------------------------------------------- */

static bool is_text(const struct proto_value *value, const char *text, size_t len)
{
        if (value->type != PROTO_STR && value->type != PROTO_BIN)
                return false;
        return value->count == len && memcmp(value->data, text, len) == 0;
}

bool proto_value_is_text(const struct proto_value *value, const char *text)
{
        return is_text(value, text, strlen(text));
}

bool proto_value_copy_text(const struct proto_value *value, char *ret_text, size_t size)
{
        if ((value->type != PROTO_STR && value->type != PROTO_BIN) || value->count >= size ||
            memchr(value->data, 0, value->count))
                return false;
        memcpy(ret_text, value->data, value->count);
        ret_text[value->count] = 0;
        return true;
}

/* A key that occurs twice counts where it comes first, for each reader alike. */
const struct proto_value *proto_value_map_get(const struct proto_value *map, const char *key)
{
        size_t len = strlen(key);

        if (map->type != PROTO_MAP)
                return NULL;
        for (size_t i = 0; i < map->count; i++) {
                if (is_text(&map->items[2 * i], key, len))
                        return &map->items[2 * i + 1];
        }
        return NULL;
}

const char *proto_value_type_to_string(const struct proto_value *value)
{
        static const char *const names[] = {
                [PROTO_NIL] = "nil",     [PROTO_BOOL] = "bool",   [PROTO_UINT] = "integer",
                [PROTO_INT] = "integer", [PROTO_FLOAT] = "float", [PROTO_STR] = "str",
                [PROTO_BIN] = "bin",     [PROTO_ARRAY] = "array", [PROTO_MAP] = "map",
                [PROTO_EXT] = "ext",
        };

        static_assert(sizeof(names) / sizeof(names[0]) == _PROTO_TYPE_N, "one name per type");
        return value->type < _PROTO_TYPE_N ? names[value->type] : "unknown";
}
