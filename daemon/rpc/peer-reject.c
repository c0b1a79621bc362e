/* SPDX-License-Identifier: MIT */
/*
 * What is said to who sends no frame, or one that cannot be taken (steps 2 to 4 of a call's walk);
 * loop thread.  An answer needs a msgid to be addressed to; anything else between frames would be
 * noise to a client, so the one readable line for strangers comes only where nothing else has.  The
 * log has all of it.  What is written here is flushed before the connection is closed: rpc_peer_end.
 */
#include "rpc/peer-reject.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "proto/message.h"
#include "rpc/peer.h"
#include "rpc/reply.h"

/* Records of this in one second. */
#define NOTED_PER_SECOND 10

void rpc_peer_note_rejected(const struct rpc_peer *peer, const char *what)
{
        const struct log_meta meta = {
                .level = LOG_L_NOTICE,
                LOG_FIELDS(LOG_NUMBER("VMREQ_CALLER_UID", peer->identity.uid),
                           LOG_NUMBER("VMREQ_CALLER_PID", peer->identity.pid))};
        uint64_t missed;

        if (log_limit_pass(&peer->server->rejected_log, NOTED_PER_SECOND, clock_now_ns(), &missed))
                log_write(&meta,
                          "connection of uid %u, pid %d closed: %s (%llu more were not logged)",
                          (unsigned)peer->identity.uid, (int)peer->identity.pid, what,
                          (unsigned long long)missed);
}

static int scan_code(enum proto_frame_result result)
{
        return result == PROTO_FRAME_E_BYTES || result == PROTO_FRAME_E_DEPTH
                       ? PROTO_TOO_LARGE
                       : PROTO_INVALID_REQUEST;
}

void rpc_peer_reject_stranger(struct rpc_peer *peer, const uint8_t *data, size_t len)
{
        static const char http[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
                                   "Content-Length: 58\r\nConnection: close\r\n\r\n"
                                   "this is a msgpack-RPC socket of vmreqd; it speaks no HTTP\n";
        static const char plain[] = "vmreqd: this socket speaks msgpack-RPC: a frame is an array, "
                                    "[0, msgid, method, params]\n";
        static const char *const verbs[] = {"GET ",    "PUT ",     "POST ", "HEAD ",
                                            "DELETE ", "OPTIONS ", "PATCH "};
        const char *answer = plain;

        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (len >= strlen(verbs[i]) && memcmp(data, verbs[i], strlen(verbs[i])) == 0)
                        answer = http;
        /* In the middle of a conversation that would be noise between frames. */
        if (peer->out.len == 0 && peer->n_unanswered == 0)
                proto_put_raw(&peer->out, answer, strlen(answer));
        rpc_peer_note_rejected(peer, "what it sent is no frame: its first byte begins no array");
        rpc_peer_end(peer);
}

static void describe_fault(const struct rpc_limits *limits, enum proto_frame_result result,
                           char *text, size_t size)
{
        switch (result) {
        case PROTO_FRAME_E_DEPTH:
                (void)snprintf(text, size, "frame nested deeper than %llu levels",
                               (unsigned long long)limits->depth);
                break;
        case PROTO_FRAME_E_BYTES:
                (void)snprintf(text, size,
                               "frame larger than %llu bytes, or promises more than could fit",
                               (unsigned long long)limits->frame_bytes);
                break;
        default:
                (void)snprintf(text, size, "malformed frame: a byte that msgpack does not define");
                break;
        }
}

void rpc_peer_reject_frame(struct rpc_peer *peer, enum proto_frame_result result)
{
        char text[128];

        describe_fault(&peer->server->config.limits, result, text, sizeof(text));
        /* An answer only where it can be addressed; anything else would be noise between frames. */
        if (peer->frame.has_msgid && peer->frame.has_type && peer->frame.type == 0 &&
            peer->frame.msgid <= UINT32_MAX)
                rpc_reply_error(peer, (uint32_t)peer->frame.msgid, scan_code(result), PROTO_RAN_NO,
                                "%s; the connection is closed", text);
        rpc_peer_note_rejected(peer, text);
        rpc_peer_end(peer);
}

void rpc_peer_reject_for_memory(struct rpc_peer *peer)
{
        const struct proto_frame *frame = &peer->frame;
        struct rpc_error error;

        if (frame->has_msgid && frame->has_type && frame->type == PROTO_REQUEST && !peer->passing) {
                rpc_error_fault(&error, peer->server, PROTO_RAN_NO,
                                "out of memory; the connection is closed");
                rpc_reply_error_full(peer, (uint32_t)frame->msgid, &error);
        }
        rpc_peer_end(peer);
}
