/* SPDX-License-Identifier: MIT */
#include "rpc/pass-over.h"

#include "proto/message.h"
#include "rpc/admit.h"
#include "rpc/busy.h"
#include "rpc/call.h"

bool rpc_pass_over_begin(struct rpc_peer *peer, const struct rpc_account *over)
{
        const struct proto_frame *frame = &peer->frame;
        struct rpc_call_spec spec = {.kind = RPC_CALL_REQUEST, .msgid = (uint32_t)frame->msgid};
        struct rpc_error error;

        if (!frame->has_type || frame->type > PROTO_NOTIFY ||
            (frame->type == PROTO_REQUEST && !frame->has_msgid)) {
                rpc_peer_end(peer);
                return false;
        }
        if (frame->type == PROTO_NOTIFY)
                spec.kind = RPC_CALL_NO_WAIT;
        rpc_busy_account(&error, RPC_BYTES, over);
        if (frame->type != PROTO_RESPONSE)
                rpc_call_refuse(peer, &spec, &error);
        peer->passing = true;
        peer->passed = frame->pos;
        return true;
}

size_t rpc_pass_over(struct rpc_peer *peer, const uint8_t *data, size_t len)
{
        enum proto_frame_result result;
        size_t used;

        result = proto_frame_pass(&peer->frame, data, len, &used);
        peer->passed += used;
        if (result == PROTO_FRAME_MORE)
                return used;
        peer->passing = false;
        peer->passed = 0;
        if (result == PROTO_FRAME_DONE) {
                rpc_admit_spoke(peer);
                rpc_peer_begin_frame(peer);
                return used;
        }
        rpc_peer_end(peer); /* malformed, after all; it has had its answer */
        return len;
}
