/* SPDX-License-Identifier: MIT */
#pragma once
/* One whole frame of one peer: what it asks for, and where that goes - a symbol or a method of the
 * broker's own. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"
#include "proto/message.h"

struct rpc_peer;

/*
 * Handles the frame at `data` (frame->pos bytes, scanned).  False: it was no message; the error is
 * written, and the connection ends.
 */
bool rpc_session_frame(struct rpc_peer *peer, const uint8_t *data, const struct proto_frame *frame);

/* The same of one that is decoded: `root` is what the frame holds. */
bool rpc_session_message(struct rpc_peer *peer, const uint8_t *data,
                         const struct proto_frame *frame, const struct proto_value *root);

/* A request for one of the broker's own methods. */
struct rpc_request {
        struct rpc_peer *peer;
        uint32_t msgid;
        const struct proto_value *params; /* an array node */
        const uint8_t *frame;
        size_t frame_len;
        size_t params_offset;
};

/* control.c: the i-th parameter; NULL if it is missing or nil. */
const struct proto_value *rpc_request_param(const struct rpc_request *request, uint32_t i);

typedef void (*rpc_method)(const struct rpc_request *request);

struct rpc_rights;

/* control.c: the method of that name that somebody with these rights may use; NULL. */
rpc_method rpc_control_find(const char *name, size_t len, struct rpc_rights *rights);
/* control.c: may they use what the policy calls `name`: a method, or a part of one such as
 * "vmreq.cancel.others"? */
bool rpc_control_may(struct rpc_rights *rights, const char *name);
/* control.c: the class that `name` has by default, one of RPC_RIGHT_*; 0: there is no such name. */
uint32_t rpc_control_class(const char *name);
