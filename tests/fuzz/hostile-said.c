/* SPDX-License-Identifier: MIT */
/*
 * What the library must make of what the server says, read here a second time: from a decoded tree
 * instead of by offsets, at the moment when it is sent.
 */
#include "hostile.h"

#include <string.h>

#include "proto/message.h"

static struct hostile_item *add_item(struct hostile *h, uint32_t kind, uint32_t msgid)
{
        struct hostile_item *item = &h->items[h->n_items];

        FUZZ_CHECK(h->n_items < HOSTILE_ITEMS_MAX);
        h->n_items++;
        *item = (struct hostile_item){.kind = kind, .msgid = msgid};
        return item;
}

/* Which of the codes, and whether it ran, are told at the ends of a text. */
static void read_error_text(struct hostile_item *item, const char *text, size_t len)
{
        static const char *const rans[] = {" (ran: no)", " (ran: yes)"};
        size_t n = 0;

        while (n < len && n < 32 && ((text[n] >= 'A' && text[n] <= 'Z') || text[n] == '_'))
                n++;
        if (n > 0 && n + 1 < len && text[n] == ':' && text[n + 1] == ' ') {
                memcpy(item->name, text, n);
                text += n + 2;
                len -= n + 2;
        }
        for (uint32_t i = 0; i < 2; i++) {
                size_t at = strlen(rans[i]);

                if (len >= at && memcmp(text + len - at, rans[i], at) == 0)
                        item->ran = i;
        }
}

static bool is_text(const struct proto_value *value)
{
        return value && (value->type == PROTO_STR || value->type == PROTO_BIN);
}

static void read_error_map(struct hostile_item *item, const struct proto_value *map)
{
        const struct proto_value *name = proto_value_map_get(map, "name"),
                                 *ran = proto_value_map_get(map, "ran");

        for (size_t i = 0; is_text(name) && name->count <= 32 && i < name->count; i++)
                item->name[i] = name->data[i] ? name->data[i] : '?';
        if (is_text(ran) && proto_value_is_text(ran, "no"))
                item->ran = VMREQ_CLIENT_RAN_NO;
        else if (is_text(ran) && proto_value_is_text(ran, "yes"))
                item->ran = VMREQ_CLIENT_RAN_YES;
}

/* In each of the three styles; of any other shape it is an error all the same. */
static void set_error(struct hostile_item *item, const struct proto_value *error)
{
        item->failed = error->type != PROTO_NIL;
        if (!item->failed)
                return;
        item->ran = VMREQ_CLIENT_RAN_MAYBE;
        if (error->type == PROTO_ARRAY && error->count >= 2 && is_text(&error->items[1]))
                error = &error->items[1];
        if (is_text(error))
                read_error_text(item, error->data, error->count);
        else if (error->type == PROTO_MAP)
                read_error_map(item, error);
}

static void set_value(struct hostile_item *item, const uint8_t *data, size_t len)
{
        item->value = malloc(len);
        FUZZ_CHECK(item->value);
        memcpy(item->value, data, len);
        item->value_len = len;
}

/* The elements of an array of the frame, as extents: ret_at[i] .. ret_at[i + 1]. */
static void find_elements(const uint8_t *data, size_t len, size_t at, size_t *ret_at, uint32_t n)
{
        uint32_t count;

        ret_at[0] = proto_frame_enter(data, len, at, &count);
        FUZZ_CHECK(ret_at[0] && count == n);
        for (uint32_t i = 0; i < n; i++)
                ret_at[i + 1] = proto_frame_skip(data, len, ret_at[i]);
}

static void said_reply(struct hostile *h, const uint8_t *data, size_t len,
                       const struct proto_frame *frame, const struct proto_message *message)
{
        struct hostile_call *call = hostile_find(h, message->msgid);
        struct hostile_item *item;

        if (!frame->has_msgid || !call || call->answered || call->link != h->link ||
            call->fate == HOSTILE_TAKEN) {
                h->is_broken = true;
                return;
        }
        call->answered = true;
        if (call->fate == HOSTILE_FORGOTTEN || call->is_greeting)
                return;
        item = add_item(h, VMREQ_CLIENT_REPLY, call->msgid);
        set_error(item, message->error);
        if (!item->failed)
                set_value(item, data + frame->start[3], len - frame->start[3]);
}

/* An id has to be written as an unsigned integer, as every encoder does. */
static bool is_id(const struct proto_value *value, const uint8_t *data, uint64_t max)
{
        return value->type == PROTO_UINT && value->u <= max &&
               (*data < 0x80 || (*data >= 0xcc && *data <= 0xcf));
}

static void said_piece(struct hostile *h, const uint8_t *data, const struct proto_value *params,
                       const size_t *at, uint32_t kind)
{
        struct hostile_call *call;
        struct hostile_item *item;
        uint32_t n = kind == VMREQ_CLIENT_CHUNK ? 3 : 2;

        if (!is_id(&params->items[0], data + at[0], UINT32_MAX) ||
            (n == 3 && !is_id(&params->items[1], data + at[1], UINT64_MAX)))
                return;
        call = hostile_find(h, (uint32_t)params->items[0].u);
        if (!call) {
                h->is_broken = true; /* it may be made before this is read */
                return;
        }
        if (call->fate != HOSTILE_PENDING || call->answered || call->link != h->link)
                return;
        if (n == 3 && params->items[1].u != call->n_chunks++) {
                h->is_broken = true;
                return;
        }
        if (call->is_greeting) {
                h->is_broken =
                        true; /* nobody can ask for pieces of it; they come out all the same */
                return;
        }
        item = add_item(h, kind, call->msgid);
        item->id = n == 3 ? params->items[1].u : 0;
        set_value(item, data + at[n - 1], at[n] - at[n - 1]);
}

static void said_completed(struct hostile *h, const uint8_t *data, const struct proto_value *params,
                           const size_t *at)
{
        struct hostile_item *item;

        if (!is_id(&params->items[0], data + at[0], UINT64_MAX))
                return;
        item = add_item(h, VMREQ_CLIENT_COMPLETED, 0);
        item->id = params->items[0].u;
        set_error(item, &params->items[1]);
        if (!item->failed)
                set_value(item, data + at[2], at[3] - at[2]);
}

static void said_event(struct hostile *h, const uint8_t *data, const struct proto_value *params,
                       const size_t *at)
{
        const struct proto_value *topic = &params->items[0];
        struct hostile_item *item;

        if (topic->type != PROTO_STR && topic->type != PROTO_BIN)
                return;
        item = add_item(h, VMREQ_CLIENT_EVENT, 0);
        for (size_t i = 0; i < topic->count && i < sizeof(item->name) - 1; i++)
                item->name[i] = topic->data[i] ? topic->data[i] : '?';
        set_value(item, data + at[1], at[2] - at[1]);
}

static void said_notice(struct hostile *h, const uint8_t *data, size_t len,
                        const struct proto_frame *frame, const struct proto_message *message)
{
        static const struct {
                const char *method;
                uint32_t kind, flag, n;
        } notices[] = {
                {"vmreq.chunk", VMREQ_CLIENT_CHUNK, VMREQ_CLIENT_TAKE_STREAMS, 3},
                {"vmreq.row", VMREQ_CLIENT_ROW, VMREQ_CLIENT_TAKE_STREAMS, 2},
                {"vmreq.completed", VMREQ_CLIENT_COMPLETED, VMREQ_CLIENT_TAKE_COMPLETED, 3},
                {"vmreq.event", VMREQ_CLIENT_EVENT, VMREQ_CLIENT_TAKE_EVENTS, 2},
        };
        size_t at[4];
        unsigned i = 0;

        while (i < 4 && (strlen(notices[i].method) != message->method_len ||
                         memcmp(notices[i].method, message->method, message->method_len) != 0))
                i++;
        if (i == 4 || !(h->flags & notices[i].flag) || message->params->count != notices[i].n)
                return;
        find_elements(data, len, frame->start[2], at, notices[i].n);
        if (notices[i].kind == VMREQ_CLIENT_EVENT)
                said_event(h, data, message->params, at);
        else if (notices[i].kind == VMREQ_CLIENT_COMPLETED)
                said_completed(h, data, message->params, at);
        else
                said_piece(h, data, message->params, at, notices[i].kind);
}

static void said_frame(struct hostile *h, const uint8_t *data, const struct proto_frame *frame)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        struct proto_message message;

        FUZZ_CHECK(proto_value_decode(&arena, data, frame->pos, frame->values, &root) ==
                   PROTO_VALUE_OK);
        if (!frame->has_type || proto_message_parse(root, &message) != PROTO_MESSAGE_OK)
                h->is_broken = true;
        else if (message.type == PROTO_RESPONSE)
                said_reply(h, data, frame->pos, frame, &message);
        else if (message.type == PROTO_NOTIFY)
                said_notice(h, data, frame->pos, frame, &message);
        proto_arena_deinit(&arena);
}

void hostile_said(struct hostile *h, const uint8_t *data, size_t len)
{
        size_t at = 0;

        proto_put_raw(&h->said, data, len);
        FUZZ_CHECK(!h->said.error);
        while (!h->is_broken && at < h->said.len) {
                enum proto_frame_result result =
                        proto_frame_scan(&h->said_frame, h->said.data + at, h->said.len - at);

                if (result == PROTO_FRAME_MORE)
                        break;
                h->is_broken = result != PROTO_FRAME_DONE;
                if (!h->is_broken)
                        said_frame(h, h->said.data + at, &h->said_frame);
                at += h->said_frame.pos;
                proto_frame_init(&h->said_frame, h->frame_bytes_max);
        }
        if (h->is_broken)
                at = h->said.len;
        memmove(h->said.data, h->said.data + at, h->said.len - at);
        proto_builder_rollback(&h->said, h->said.len - at);
}
