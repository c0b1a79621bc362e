/* SPDX-License-Identifier: MIT */
/*
 * The incoming half of the client library: bytes → frames → answers, and the end of a connection.
 *
 * Called by the waits of client.c and by the caller's own loop, on the caller's thread, never
 * blocking.
 *
 *   1. An answer that belongs to no call in flight (never made, or answered before) means that the
 *      peer's table and ours differ: the connection is ended at once rather than left to run into
 *      everybody's deadline.
 *   2. A message is told by what the scanner noted in passing; only an error is ever decoded.
 *   3. Once the connection has ended it stays ended, with one reason; answers that had arrived can
 *      be taken.
 *   4. Notifications that were opted in to (notice.c reads them) go on the same list as replies, in
 *      the order of arrival; others, and requests from the peer, are counted and dropped.  A chunk
 *      that is out of order means that one is lost, which ends the connection.
 *   5. When memory is short the frame stays in the input, and the next call tries again.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/answer.h"
#include "client/client-internal.h"
#include "client/notice.h"
#include "proto/frame.h"
#include "proto/message.h"

#define READS_PER_TURN   16
#define ARENA_NODES_KEPT 1024

int client_end(struct vmreq_client *client, int outcome, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(client->reason, sizeof(client->reason), format, args); /* may be cut */
        va_end(args);
        client->outcome = outcome;
        client_link_shutdown(&client->link);
        return outcome;
}

static int take_response(struct vmreq_client *client, const uint8_t *data)
{
        const struct proto_frame *frame = &client->link.frame;
        struct vmreq_client_answer answer;
        uint32_t index;
        int r;

        if (frame->n_elements != 4 || !frame->has_msgid || frame->msgid > UINT32_MAX)
                return client_end(client, VMREQ_CLIENT_E_PROTOCOL,
                                  "the server sent a malformed response");
        index = client_table_find(&client->table, (uint32_t)frame->msgid);
        if (index == CLIENT_SLOT_NONE || client->table.slots[index].state == CLIENT_SLOT_DONE)
                return client_end(client, VMREQ_CLIENT_E_PROTOCOL,
                                  "the server answered call %llu, which is not in flight",
                                  (unsigned long long)frame->msgid);
        if (client->table.slots[index].state == CLIENT_SLOT_FORGOTTEN) {
                client_table_release(&client->table, index);
                return 0;
        }
        r = client_answer_init(&answer, &client->arena, frame, data);
        proto_arena_trim(&client->arena, ARENA_NODES_KEPT);
        if (r < 0)
                return r;
        client_table_complete(&client->table, index, &answer, frame->pos);
        return 0;
}

/* Whether a chunk or row is of a call that is waited for; false to drop it.  Counts chunks. */
static bool is_wanted(struct vmreq_client *client, const struct vmreq_client_answer *answer,
                      bool *ret_gap)
{
        uint32_t index;

        if (answer->kind != VMREQ_CLIENT_CHUNK && answer->kind != VMREQ_CLIENT_ROW)
                return true;
        index = client_table_find(&client->table, answer->msgid);
        if (index == CLIENT_SLOT_NONE || client->table.slots[index].state != CLIENT_SLOT_PENDING)
                return false;
        if (answer->kind == VMREQ_CLIENT_CHUNK)
                *ret_gap = answer->id != client->table.slots[index].n_chunks++;
        return true;
}

static int take_notice(struct vmreq_client *client, const uint8_t *data)
{
        struct vmreq_client_answer answer;
        bool gap = false, wanted;
        int r;

        r = client_notice_init(&answer, &client->arena, &client->link.frame, data,
                               client->config.flags);
        proto_arena_trim(&client->arena, ARENA_NODES_KEPT);
        if (r <= 0) {
                client->strays += r == 0;
                return r;
        }
        wanted = is_wanted(client, &answer, &gap);
        if (wanted && !gap) {
                r = client_table_add(&client->table, &answer, client->link.frame.pos);
                if (r < 0 && answer.kind == VMREQ_CLIENT_CHUNK) /* the frame comes again */
                        client->table.slots[answer.msgid & 0xffff].n_chunks--;
                if (r == 0)
                        return 0;
        } else {
                r = 0;
                client->strays++;
        }
        vmreq_client_answer_deinit(&answer);
        return gap ? client_end(client, VMREQ_CLIENT_E_PROTOCOL,
                                "the server left out a piece of a result")
                   : r;
}

static int take_frame(struct vmreq_client *client, const uint8_t *data)
{
        const struct proto_frame *frame = &client->link.frame;

        if (frame->has_type && frame->type == PROTO_RESPONSE)
                return take_response(client, data);
        if (frame->has_type && frame->type == PROTO_NOTIFY && frame->n_elements == 3)
                return take_notice(client, data);
        if (frame->has_type && frame->type == PROTO_REQUEST && frame->n_elements == 4) {
                client->strays++;
                return 0;
        }
        return client_end(client, VMREQ_CLIENT_E_PROTOCOL,
                          "the server sent something that is no msgpack-RPC message");
}

static int end_bad_frame(struct vmreq_client *client, enum proto_frame_result result)
{
        switch (result) {
        case PROTO_FRAME_E_NOT_ARRAY:
                return client_end(client, VMREQ_CLIENT_E_PROTOCOL,
                                  "the server does not speak msgpack-RPC");
        case PROTO_FRAME_E_DEPTH:
                return client_end(client, VMREQ_CLIENT_E_PROTOCOL,
                                  "the server sent a frame nested deeper than %u levels",
                                  (unsigned)PROTO_DEPTH_MAX);
        case PROTO_FRAME_E_BYTES:
                return client_end(client, VMREQ_CLIENT_E_PROTOCOL,
                                  "the server sent a frame larger than %zu bytes",
                                  client->link.frame_bytes_max);
        default:
                return client_end(client, VMREQ_CLIENT_E_PROTOCOL,
                                  "the server sent a malformed frame");
        }
}

bool client_is_full(const struct vmreq_client *client)
{
        return client->table.held_bytes >= client->config.answer_bytes_max;
}

/* All complete frames of the input, as long as there is room for answers. */
static int take_frames(struct vmreq_client *client)
{
        enum proto_frame_result result;
        const uint8_t *data;
        size_t len;
        int r;

        while (!client_is_full(client)) {
                result = client_link_frame(&client->link, &data, &len);
                if (result == PROTO_FRAME_MORE)
                        break;
                if (result != PROTO_FRAME_DONE)
                        return end_bad_frame(client, result);
                r = take_frame(client, data);
                if (r != 0)
                        return r;
                client_link_consume(&client->link);
        }
        return 0;
}

static int end_of_file(struct vmreq_client *client)
{
        const struct client_link *link = &client->link;

        if (client_link_torn(link))
                return client_end(client, VMREQ_CLIENT_E_LOST,
                                  "the server closed the connection in the middle of an answer");
        if (link->error != 0)
                return client_end(client, VMREQ_CLIENT_E_LOST, "the connection is lost: %s",
                                  strerror(link->error));
        return client_end(client, VMREQ_CLIENT_E_LOST, "the server closed the connection");
}

int vmreq_client_process(vmreq_client *client)
{
        int r;

        if (client->outcome != 0)
                return client->outcome;
        client_link_write(&client->link);
        for (int i = 0; i < READS_PER_TURN; i++) {
                r = take_frames(client);
                if (r != 0)
                        return r;
                if (client_is_full(client))
                        return 0; /* whatever is behind waits until answers are taken */
                r = client_link_read(&client->link);
                if (r < 0)
                        return r;
                if (r == 0)
                        return client->link.eof ? end_of_file(client) : 0;
        }
        return take_frames(client);
}
