/* SPDX-License-Identifier: MIT */
#pragma once
/* A notification → struct vmreq_client_answer.  For this room and its unit tests. */

#include <stdint.h>

#include "client/vmreq-client.h"

struct proto_arena;
struct proto_frame;

/*
 * Reads a scanned frame [2, method, params] whose method is one of those that vmreqd sends, and
 * that `flags` (VMREQ_CLIENT_TAKE_*) want.  1: ret_answer is filled; 0: it is none of them, or its
 * params are not as they should be; -ENOMEM.  `arena` is for scratch.
 */
int client_notice_init(struct vmreq_client_answer *ret_answer, struct proto_arena *arena,
                       const struct proto_frame *frame, const uint8_t *data, uint32_t flags);
