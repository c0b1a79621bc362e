/* SPDX-License-Identifier: MIT */
/*
 * What stands between a read and the end of a frame.  The buffer grows with what has really arrived
 * and is charged to its connection; a frame for which some account has no room is refused as a call
 * is, and the rest of it thrown away as it comes.
 *
 * While peer->passing, `in` holds at most the beginning of one value (PROTO_FRAME_REST_MAX bytes),
 * and frame.pos is 0.
 */
#include "rpc/input.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/macros.h"
#include "proto/message.h"
#include "rpc/admit.h"
#include "rpc/busy.h"
#include "rpc/call.h"
#include "rpc/peer-reject.h"

void rpc_input_drop(struct rpc_peer *peer)
{
        rpc_account_release(&peer->account, RPC_BYTES, peer->in_cap);
        free(peer->in);
        peer->in = NULL;
        peer->in_len = peer->in_cap = 0;
}

/* The frame under way cannot be kept, for want of bytes of `over`.  True: its caller has been told,
 * as far as he can be.  False: it is no message, and the peer is ending. */
static bool refuse_frame(struct rpc_peer *peer, const struct rpc_account *over)
{
        const struct proto_frame *frame = &peer->frame;
        struct rpc_call_spec spec = {.kind = RPC_CALL_REQUEST, .msgid = (uint32_t)frame->msgid};
        struct rpc_error error;

        if (!frame->has_type || frame->type > PROTO_NOTIFY ||
            (frame->type == PROTO_REQUEST && !frame->has_msgid)) {
                rpc_peer_note_rejected(peer, "a large frame that is no message");
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

size_t rpc_input_pass_over(struct rpc_peer *peer, const uint8_t *data, size_t len)
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
        rpc_peer_note_rejected(peer,
                               "malformed frame, behind a part that was refused for its size");
        rpc_peer_end(peer); /* it has had its answer */
        return len;
}

/* The frame in `in` cannot be kept.  True: all of it but the beginning of a value has been given
 * back.  False: the peer is ending. */
static bool give_up_frame(struct rpc_peer *peer, const struct rpc_account *over)
{
        uint8_t rest[PROTO_FRAME_REST_MAX];
        size_t at = peer->frame.pos, n;

        if (!refuse_frame(peer, over))
                return false;
        at += rpc_input_pass_over(peer, peer->in + at, peer->in_len - at);
        n = peer->in_len - at;
        if (peer->state != RPC_PEER_OPEN)
                return false;
        CHECK(peer->passing && n <= sizeof(rest));
        memcpy(rest, peer->in + at, n);
        rpc_input_drop(peer);
        if (n == 0)
                return true;
        if (!rpc_input_room(peer, n))
                return false;
        memcpy(peer->in, rest, n);
        peer->in_len = n;
        return true;
}

bool rpc_input_room(struct rpc_peer *peer, size_t need)
{
        size_t cap = peer->in_cap ? peer->in_cap : 1024;
        size_t most = peer->server->config.limits.frame_bytes + RPC_TURN_BYTES_MAX;
        const struct rpc_account *over;
        uint8_t *in;

        if (need <= peer->in_cap)
                return true;
        while (cap < need)
                cap *= 2;
        cap = MAX(need, MIN(cap, most));
        if (!rpc_account_charge(&peer->account, RPC_BYTES, cap - peer->in_cap, &over)) {
                /* What one read has brought is kept, whatever the others of its uid hold: it may be
                 * good requests that wait for their turn. */
                if (need > RPC_TURN_BYTES_MAX)
                        return give_up_frame(peer, over);
                rpc_account_force(&peer->account, RPC_BYTES, cap - peer->in_cap);
        }
        in = realloc(peer->in, cap);
        if (!in) {
                rpc_account_release(&peer->account, RPC_BYTES, cap - peer->in_cap);
                rpc_peer_reject_for_memory(peer);
                return false;
        }
        peer->in = in;
        peer->in_cap = cap;
        return true;
}

void rpc_input_keep(struct rpc_peer *peer, const uint8_t *data, size_t len)
{
        if (len == 0) {
                peer->in_len = 0;
                if (peer->in_cap)
                        rpc_input_drop(peer);
                return;
        }
        if (peer->in && data >= peer->in && data < peer->in + peer->in_cap) {
                if (data >
                    peer->in) /* else a byte more of a long frame would cost its whole length */
                        memmove(peer->in, data, len);
                peer->in_len = len;
                return;
        }
        if (!rpc_input_room(peer, len))
                return;
        memcpy(peer->in, data, len);
        peer->in_len = len;
}
