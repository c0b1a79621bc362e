/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Decoded msgpack as a tree of plain nodes, built by msgpack-c's SAX unpack template in one arena
 * that is reused from frame to frame.  Strings and bytes are not copied: they point into the frame.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum proto_type {
        PROTO_NIL,
        PROTO_BOOL,
        PROTO_UINT,  /* any integer >= 0: .u */
        PROTO_INT,   /* any integer <  0: .i */
        PROTO_FLOAT, /* float32 is widened: .f */
        PROTO_STR,   /* .data, count bytes; not NUL-terminated, not checked for UTF-8 */
        PROTO_BIN,   /* .data, count bytes */
        PROTO_ARRAY, /* .items, count nodes */
        PROTO_MAP,   /* .items, 2 * count nodes: key, value, key, value … */
        PROTO_EXT,   /* .data, count bytes of payload; ext_type */
        _PROTO_TYPE_N
};

struct proto_value {
        uint8_t type;    /* enum proto_type */
        int8_t ext_type; /* PROTO_EXT only */
        uint32_t count;
        union {
                bool b;
                uint64_t u;
                int64_t i;
                double f;
                const char *data;
                struct proto_value *items;
        };
};

/* The nodes of the frame being looked at.  Grows to the largest frame seen, up to its own cap. */
struct proto_arena {
        struct proto_value *nodes;
        size_t used, cap;
};

#define PROTO_ARENA_NULL ((struct proto_arena){0})

/* Frees the nodes; the arena is then as PROTO_ARENA_NULL.  Idempotent. */
void proto_arena_deinit(struct proto_arena *arena);

/* Gives back memory beyond `nodes_max` nodes (after a large frame).  The last tree becomes invalid.
 */
void proto_arena_trim(struct proto_arena *arena, size_t nodes_max);

enum proto_value_result {
        PROTO_VALUE_OK = 0,
        PROTO_VALUE_E_MALFORMED, /* not exactly one msgpack value in `len` bytes */
        PROTO_VALUE_E_MEMORY,
};

/*
 * Decodes the one value in data[0..len).  The bytes must have passed proto_frame_scan (or
 * proto_frame_skip), and `values` is the number of values that it counted.  The tree lives until
 * the next decode with this arena, and no longer than the bytes.
 */
enum proto_value_result proto_value_decode(struct proto_arena *arena, const uint8_t *data,
                                           size_t len, size_t values,
                                           const struct proto_value **ret_root);

/*
 * The same for bytes that nothing has looked at, in room that is there: the arena's first `values`
 * nodes, nesting to `depth_max` (at most PROTO_DEPTH_MAX).  Returns the length of the value at
 * data[0]; 0 if it is incomplete, malformed, or needs more than that.  Allocates nothing.
 */
size_t proto_value_try(struct proto_arena *arena, const uint8_t *data, size_t len, size_t values,
                       unsigned depth_max, const struct proto_value **ret_root);

/* True if `value` is a str or bin of exactly these bytes (interop: names come as either). */
bool proto_value_is_text(const struct proto_value *value, const char *text);

/* Copies a str or bin, NUL-terminated.  False if it is neither, has a NUL in it, or does not fit
 * into `size` bytes; ret_text is then as it was. */
bool proto_value_copy_text(const struct proto_value *value, char *ret_text, size_t size);

/* The value of the string (or bin) key `key` in the map `map`; NULL if it has none. */
const struct proto_value *proto_value_map_get(const struct proto_value *map, const char *key);

/* "nil", "bool", "integer", "float", "str", "bin", "array", "map", "ext". */
const char *proto_value_type_to_string(const struct proto_value *value);
