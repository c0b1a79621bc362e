/* SPDX-License-Identifier: MIT */
#pragma once
/* What came → struct vmreq_client_answer.  For this room and its unit tests. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/vmreq-client.h"

struct proto_arena;
struct proto_frame;

/*
 * Fills `ret_answer` from a scanned response frame [1, msgid, error, result].  `arena` is for
 * scratch.  0, or -ENOMEM.
 */
int client_answer_init(struct vmreq_client_answer *ret_answer, struct proto_arena *arena,
                       const struct proto_frame *frame, const uint8_t *data);

/* Where in a scanned frame the parts of an answer are, as offsets. */
struct client_parts {
        size_t error; /* 0: there is none; nil there means the same */
        bool inside;  /* the error is the second element of the third, not the third */
        size_t value, value_end;
        const char *name; /* of what is no error; may be NULL */
        size_t name_len;
};

/* Fills name, message, value and, if there is an error, failed, code and ran.  0, or -ENOMEM. */
int client_answer_of(struct vmreq_client_answer *answer, struct proto_arena *arena,
                     const struct proto_frame *frame, const uint8_t *data,
                     const struct client_parts *parts);

/* The reply of a call whose connection went away.  0, or -ENOMEM. */
int client_answer_lost(struct vmreq_client_answer *ret_answer, uint32_t msgid, uint32_t ran);

/* The one msgpack value in data[0..len) as an unsigned integer; false if it is none. */
bool client_read_uint(const uint8_t *data, size_t len, uint64_t *ret_value);
