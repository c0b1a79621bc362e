/* SPDX-License-Identifier: MIT */
/*
 * From a scanned frame to what it asks for: decode, read the message, then either a symbol (call.c)
 * or one of the broker's own methods (control.c), which are answered here, on the loop thread.
 *
 * A frame that is no message gets one error, if its msgid is known, and ends its connection; a
 * message that asks for something wrong gets an error, and nothing else happens.
 */
#include "rpc/session.h"

#include <string.h>

#include "base/macros.h"
#include "rpc/call.h"
#include "rpc/peer.h"
#include "rpc/peer-reject.h"
#include "rpc/reply.h"

/* Nodes kept from frame to frame; more is given back. */
#define ARENA_KEEP_NODES 4096u

static bool reject(struct rpc_peer *peer, const struct proto_frame *frame, const char *what)
{
        if (frame->has_msgid && frame->type == PROTO_REQUEST)
                rpc_reply_error(peer, (uint32_t)frame->msgid, PROTO_INVALID_REQUEST, PROTO_RAN_NO,
                                "%s; the connection is closed", what);
        rpc_peer_note_rejected(peer, what);
        return false;
}

/* Notifications of Neovim's client libraries: one tells which error style they read, the rest is
 * noise to us. */
static bool is_foreign_notification(struct rpc_peer *peer, const struct proto_message *message)
{
        static const char info[] = "nvim_set_client_info", prefix[] = "nvim_";

        if (message->method_len == strlen(info) && memcmp(message->method, info, strlen(info)) == 0)
                if (peer->style == RPC_STYLE_TEXT)
                        peer->style = RPC_STYLE_PAIR;
        return message->method_len >= strlen(prefix) &&
               memcmp(message->method, prefix, strlen(prefix)) == 0;
}

static void handle_notification(struct rpc_peer *peer, const struct rpc_call_spec *spec,
                                const struct proto_message *message)
{
        /* No answer ever; the broker's own methods have nothing to say to a notification. */
        if (!is_foreign_notification(peer, message) &&
            !rpc_control_find(message->method, message->method_len, peer->rights))
                (void)rpc_call_begin(peer, spec, NULL);
}

static void handle_request(struct rpc_peer *peer, const struct rpc_call_spec *spec,
                           const struct proto_message *message)
{
        rpc_method method = rpc_control_find(message->method, message->method_len, peer->rights);
        struct rpc_request request = {.peer = peer,
                                      .msgid = message->msgid,
                                      .params = message->params,
                                      .frame = spec->frame,
                                      .frame_len = spec->frame_len,
                                      .params_offset = spec->args_offset};

        if (method)
                method(&request);
        else
                (void)rpc_call_begin(peer, spec, NULL);
}

static void dispatch(struct rpc_peer *peer, const uint8_t *data, const struct proto_frame *frame,
                     const struct proto_message *message)
{
        struct rpc_call_spec spec = {
                .kind = message->type == PROTO_NOTIFY ? RPC_CALL_NO_WAIT : RPC_CALL_REQUEST,
                .msgid = message->msgid,
                .name = message->method,
                .name_len = message->method_len,
                .args = message->params,
                .frame = data,
                .frame_len = frame->pos,
                .args_offset = frame->start[message->type == PROTO_NOTIFY ? 2 : 3],
        };

        switch (message->type) {
        case PROTO_REQUEST:
                handle_request(peer, &spec, message);
                break;
        case PROTO_NOTIFY:
                handle_notification(peer, &spec, message);
                break;
        case PROTO_RESPONSE:
                break; /* we asked nothing; a stray answer harms nobody */
        }
}

bool rpc_session_message(struct rpc_peer *peer, const uint8_t *data,
                         const struct proto_frame *frame, const struct proto_value *root)
{
        struct proto_message message;
        enum proto_message_result result = proto_message_parse(root, &message);

        if (result != PROTO_MESSAGE_OK)
                return reject(peer, frame, proto_message_result_to_string(result));
        dispatch(peer, data, frame, &message);
        return true;
}

bool rpc_session_frame(struct rpc_peer *peer, const uint8_t *data, const struct proto_frame *frame)
{
        struct proto_arena *arena = &peer->server->arena;
        const struct proto_value *root;
        bool ok;

        switch (proto_value_decode(arena, data, frame->pos, frame->values, &root)) {
        case PROTO_VALUE_OK:
                break;
        case PROTO_VALUE_E_MEMORY:
                rpc_peer_reject_for_memory(peer); /* no fault of what it sent */
                rpc_peer_note_rejected(peer, "out of memory");
                return false;
        case PROTO_VALUE_E_MALFORMED:
        default:
                return reject(peer, frame, "malformed frame");
        }
        ok = rpc_session_message(peer, data, frame, root);
        proto_arena_trim(arena, ARENA_KEEP_NODES);
        return ok;
}
