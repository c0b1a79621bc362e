/* SPDX-License-Identifier: MIT */
/*
 * The last step of the walk: answers and notifications, as frames in a connection's output.
 *
 * A frame is written whole or not at all: it is put behind a mark, and what does not fit the frame
 * cap, the depth that clients survive, or the connection's share of bytes, is rolled back and, if
 * an answer was due, answered by an error.
 */
#include "rpc/reply.h"

#include "proto/frame.h"
#include "proto/message.h"
#include "rpc/call.h"
#include "rpc/kept.h"
#include "rpc/outcome.h"
#include "rpc/peer.h"

static struct rpc_addressee response_to(struct rpc_peer *peer, uint32_t msgid)
{
        return (struct rpc_addressee){.peer = peer, .msgid = msgid};
}

/* Up to where error and result follow. */
static void put_head(const struct rpc_addressee *to)
{
        struct proto_builder *out = &to->peer->out;

        if (!to->completed) {
                proto_put_response(out, to->msgid);
                return;
        }
        proto_put_array(out, 3);
        proto_put_uint(out, PROTO_NOTIFY);
        proto_put_text(out, "vmreq.completed");
        proto_put_array(out, 3);
        proto_put_uint(out, to->id);
}

/* ---- errors ---- */

static void say_error(const struct rpc_addressee *to, const struct rpc_error *error)
{
        struct rpc_peer *peer = to->peer;
        struct proto_builder *out = &peer->out;
        size_t mark = out->len;

        if (peer->state == RPC_PEER_CLOSING)
                return;
        peer->server->counted.errors[error->code]++;
        put_head(to);
        rpc_error_put(out, error, peer->style);
        proto_put_nil(out);
        if (out->error) {
                /* No memory, or an output buffer full of such notices: this peer cannot be told any
                 * more, and silence would break the promise of one answer per call. */
                proto_builder_rollback(out, mark);
                peer->state = RPC_PEER_ENDING;
        }
        rpc_peer_touch(peer);
}

void rpc_reply_error_full(struct rpc_peer *peer, uint32_t msgid, const struct rpc_error *error)
{
        struct rpc_addressee to = response_to(peer, msgid);

        say_error(&to, error);
}

void rpc_reply_error(struct rpc_peer *peer, uint32_t msgid, enum proto_code code,
                     enum proto_ran ran, const char *format, ...)
{
        struct rpc_error error;
        va_list args;

        va_start(args, format);
        rpc_error_vset(&error, code, ran, format, args);
        va_end(args);
        rpc_reply_error_full(peer, msgid, &error);
}

/* A result that may not be held until the client reads it. */
static void say_unsent(const struct rpc_addressee *to, enum proto_ran ran,
                       const struct rpc_account *over, const char *what)
{
        struct rpc_error error;

        rpc_error_set(
                &error, PROTO_BUSY, ran,
                "the result was %s: too many bytes of this %s: %llu of %llu; %llu are answers that this "
                "connection has not read",
                what, over->what, (unsigned long long)over->used[RPC_BYTES],
                (unsigned long long)over->max[RPC_BYTES],
                (unsigned long long)(to->peer->out.len - to->peer->out_sent));
        rpc_error_add_word(&error, "limit", "bytes");
        rpc_error_add_word(&error, "of", over->what);
        rpc_error_add_number(&error, "usage", (int64_t)over->used[RPC_BYTES]);
        rpc_error_add_number(&error, "max", (int64_t)over->max[RPC_BYTES]);
        say_error(to, &error);
}

static void say_too_large(const struct rpc_addressee *to, enum proto_ran ran)
{
        struct rpc_error error;

        rpc_error_set(
                &error, PROTO_TOO_LARGE, ran,
                "the result is larger than a frame may be (%llu bytes), or nested deeper than %d levels",
                (unsigned long long)to->peer->server->config.limits.frame_bytes, PROTO_DEPTH_MAX);
        say_error(to, &error);
}

/* ---- results ---- */

/* Modules may nest deeper than clients survive: nvim 0.7.2 aborts at 32 levels. */
static bool is_too_deep(const struct proto_builder *out, size_t mark)
{
        struct proto_frame frame;

        proto_frame_init(&frame, out->len - mark);
        return proto_frame_scan(&frame, out->data + mark, out->len - mark) == PROTO_FRAME_E_DEPTH;
}

/* `flat`: what was put nests less deep than any bound. */
static void end_result(const struct rpc_addressee *to, size_t mark, enum proto_ran ran, bool flat)
{
        struct rpc_peer *peer = to->peer;
        const struct rpc_limits *limits = &peer->server->config.limits;
        struct proto_builder *out = &peer->out;
        const struct rpc_account *over = rpc_peer_over(peer, 0);
        size_t len = out->len - mark;
        struct rpc_error error;

        if (out->error == PROTO_BUILDER_OK && len <= limits->frame_bytes && !over &&
            (flat || !is_too_deep(out, mark))) {
                rpc_peer_touch(peer);
                return;
        }
        if (out->error == PROTO_BUILDER_E_MEMORY) {
                proto_builder_rollback(out, mark);
                rpc_error_fault(&error, peer->server, ran, "out of memory for the answer");
                say_error(to, &error);
        } else if (len > limits->frame_bytes || (out->error == 0 && !over)) {
                proto_builder_rollback(out, mark);
                say_too_large(to, ran);
        } else {
                proto_builder_rollback(out, mark);
                say_unsent(to, ran, over ? over : &peer->account, "dropped");
        }
}

struct proto_builder *rpc_reply_begin(struct rpc_peer *peer, uint32_t msgid, size_t *ret_mark)
{
        *ret_mark = peer->out.len;
        proto_put_response(&peer->out, msgid);
        proto_put_nil(&peer->out);
        return &peer->out;
}

void rpc_reply_end(struct rpc_peer *peer, uint32_t msgid, size_t mark, enum proto_ran ran)
{
        struct rpc_addressee to = response_to(peer, msgid);

        end_result(&to, mark, ran, false);
}

/* From what is kept of it. */
static void say_kept(const struct rpc_addressee *to, const struct rpc_call *call)
{
        const struct rpc_kept *kept = call->kept;
        struct proto_builder *out = &to->peer->out;
        const struct rpc_account *over;
        struct rpc_error error;
        size_t mark = out->len;

        if (!kept) {
                rpc_error_fault(&error, call->server, PROTO_RAN_YES,
                                "out of memory for the result");
                say_error(to, &error);
                return;
        }
        over = kept->error ? NULL : rpc_peer_over(to->peer, kept->len);
        if (kept->error) {
                say_error(to, kept->error);
        } else if (over) {
                say_unsent(to, PROTO_RAN_YES, over, "not sent, it is kept");
        } else {
                put_head(to);
                proto_put_nil(out);
                proto_put_raw(out, kept->value, kept->len);
                end_result(to, mark, PROTO_RAN_YES, false);
        }
}

void rpc_reply_call(const struct rpc_addressee *to, struct rpc_call *call)
{
        struct rpc_peer *peer = to->peer;
        const struct rpc_account *over;
        struct rpc_error error;
        size_t mark = peer->out.len, size;

        if (peer->state == RPC_PEER_CLOSING)
                return;
        if (call->kept || call->is_reduced) {
                say_kept(to, call);
                return;
        }
        if (rpc_outcome_failed(call, &error)) {
                say_error(to, &error);
                return;
        }
        /* Looked at before it is copied: who does not read could have us copy for nothing, again
         * and again. */
        size = rpc_outcome_size(call);
        over = rpc_peer_over(peer, size);
        if (size > peer->server->config.limits.frame_bytes) {
                say_too_large(to, PROTO_RAN_YES);
        } else if (over) {
                say_unsent(to, PROTO_RAN_YES, over, "dropped");
        } else {
                put_head(to);
                proto_put_nil(&peer->out);
                rpc_outcome_put(&peer->out, call);
                /* Nothing but a module's writer can nest. */
                end_result(to, mark, PROTO_RAN_YES, call->n_writers == 0);
        }
}

/* ---- notifications ---- */

struct proto_builder *rpc_notify_begin(struct rpc_peer *peer, const char *method, size_t *ret_mark)
{
        *ret_mark = peer->out.len;
        proto_put_array(&peer->out, 3);
        proto_put_uint(&peer->out, PROTO_NOTIFY);
        proto_put_text(&peer->out, method);
        return &peer->out;
}

bool rpc_notify_end(struct rpc_peer *peer, size_t mark, bool *ret_full)
{
        struct proto_builder *out = &peer->out;
        size_t len = out->len - mark;
        bool full = out->error || rpc_peer_over(peer, 0);

        if (ret_full)
                *ret_full = full;
        if (peer->state < RPC_PEER_ENDING && !full &&
            len <= peer->server->config.limits.frame_bytes && !is_too_deep(out, mark)) {
                rpc_peer_touch(peer);
                return true;
        }
        proto_builder_rollback(out, mark);
        return false;
}
