/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The frame scanner: bytes → the extent of one complete msgpack value, before anything decodes it.
 * Iterative, allocates nothing, resumes where it stopped, so a frame that arrives byte by byte
 * costs O(bytes).  It bounds total size, depth, and the elements that containers promise against
 * the bytes that the frame may still hold, because msgpack-c would reserve memory for the promise.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "proto/value.h"

/* A msgpack-RPC message has 3 or 4 elements; the starts of the first few are kept for diagnosis. */
#define PROTO_FRAME_ELEMENTS 5

/* The longest value that has no length of its own (a fixstr), less a byte. */
#define PROTO_FRAME_REST_MAX 31u

struct proto_frame {
        size_t bytes_max;   /* cap for this frame, set by proto_frame_init */
        unsigned depth_max; /* set by it to PROTO_DEPTH_MAX; may be lowered, not below 1 */
        size_t pos;         /* bytes of the frame examined so far, always at a value's border */
        size_t values;      /* values seen so far, containers and their content alike */
        uint64_t owed;      /* elements promised by open containers and not yet seen */
        unsigned depth;     /* containers open */
        bool done;
        size_t passing; /* bytes still to come of a value that is passed over: proto_frame_pass */
        uint32_t left[PROTO_DEPTH_MAX]; /* per open container: elements still to come */

        /* The outer array, as far as it has been seen. */
        bool is_array;
        uint32_t n_elements;                /* as its header says */
        uint32_t n_seen;                    /* elements begun */
        size_t start[PROTO_FRAME_ELEMENTS]; /* offset of element i, valid for i < n_seen */

        /* The frame's type and msgid as soon as they were seen as plain unsigned integers. */
        bool has_type, has_msgid;
        uint64_t type, msgid;
};

enum proto_frame_result {
        PROTO_FRAME_MORE = 0,    /* not complete: call again with more bytes */
        PROTO_FRAME_DONE,        /* complete: `pos` is its length, `values` what decoding needs */
        PROTO_FRAME_E_NOT_ARRAY, /* the first byte starts no array: not our protocol */
        PROTO_FRAME_E_MALFORMED, /* a byte that msgpack does not define (0xc1) */
        PROTO_FRAME_E_DEPTH,     /* nested deeper than depth_max */
        PROTO_FRAME_E_BYTES,     /* larger than bytes_max, or promises more than could fit */
};

/* Prepares for a new frame.  `bytes_max` in 1..PROTO_FRAME_BYTES_MAX. */
void proto_frame_init(struct proto_frame *frame, size_t bytes_max);

/*
 * Examines what is there of a frame.  `data` is the frame's first byte, the same at each call,
 * `len` all bytes at hand so far (bytes after the end of the frame are not touched).  After any
 * error the result is final; has_msgid tells whether an answer can be addressed.
 */
enum proto_frame_result proto_frame_scan(struct proto_frame *frame, const uint8_t *data,
                                         size_t len);

/*
 * In place of proto_frame_scan, for the rest of a frame that is not kept: examines data[0..len),
 * which at the first of these calls begins at `pos`, and stores how much of it is done with; what
 * is left is at most PROTO_FRAME_REST_MAX bytes, and comes again at the beginning of the next
 * call's.  The verdicts are those of proto_frame_scan; `start` and `pos` mean nothing any more.
 */
enum proto_frame_result proto_frame_pass(struct proto_frame *frame, const uint8_t *data, size_t len,
                                         size_t *ret_used);

/*
 * The extent of the single value at data[offset]: returns the offset just behind it, or 0 when it
 * is incomplete within `len` or malformed.  For frames that were scanned this cannot fail.
 */
size_t proto_frame_skip(const uint8_t *data, size_t len, size_t offset);

/*
 * Steps into the array or map at data[offset]: stores its element count (a map counts keys and
 * values: 2 per pair) and returns the offset of its first element; 0 if it is no container.
 */
size_t proto_frame_enter(const uint8_t *data, size_t len, size_t offset, uint32_t *ret_count);

/* The type of the single value at data[offset], a PROTO_* of proto/value.h; _PROTO_TYPE_N where
 * there is none.  Only its first byte is looked at, so for an integer whether it is negative is not
 * known: PROTO_UINT. */
enum proto_type proto_frame_type(const uint8_t *data, size_t len, size_t offset);
