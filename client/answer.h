/* SPDX-License-Identifier: MIT */
#pragma once
/* A response frame → struct vmreq_client_answer.  For this room and its unit tests. */

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
