/* SPDX-License-Identifier: MIT */
/*
 * One response or notification, made independent of the input buffer: what the caller takes.
 *
 * From receive.c and notice.c, when a frame is complete.  A result stays encoded; an error is read
 * in whichever of the three styles the server uses (protocol: text, pair, map), because a greeting
 * asks for the map but the greeting itself, and servers that are not vmreqd, are answered before or
 * without that.  An error of any other shape is still an error: it is never taken for success, and
 * what it says about `ran` is "maybe".
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/answer.h"
#include "proto/builder.h"
#include "proto/codes.h"
#include "proto/frame.h"
#include "proto/value.h"

#define MSGPACK_NIL    0xc0
#define NAME_BYTES_MAX 32 /* of an error's name; the longest of ours has 16 */

struct text {
        const char *data;
        size_t len;
};

/* The error as read; everything borrowed. */
struct reading {
        struct text name, message;
        uint32_t code, ran;
        const struct proto_value *data; /* NULL: none */
};

static bool is_text(const struct proto_value *value)
{
        return value && (value->type == PROTO_STR || value->type == PROTO_BIN);
}

static struct text text_of(const struct proto_value *value)
{
        return (struct text){value->data, value->count};
}

static uint32_t ran_of(struct text text)
{
        if (text.len == 2 && memcmp(text.data, "no", 2) == 0)
                return VMREQ_CLIENT_RAN_NO;
        if (text.len == 3 && memcmp(text.data, "yes", 3) == 0)
                return VMREQ_CLIENT_RAN_YES;
        return VMREQ_CLIENT_RAN_MAYBE;
}

/* Cuts " (ran: no)" off the end of a message. */
static void cut_ran(struct reading *reading)
{
        static const char mark[] = " (ran: ";
        struct text *message = &reading->message;
        size_t i;

        if (message->len == 0 || message->data[message->len - 1] != ')')
                return;
        for (i = message->len - 1; i > 0 && message->data[i] != '('; i--)
                ;
        if (i == 0 || message->len - i + 1 < sizeof(mark) - 1 ||
            memcmp(message->data + i - 1, mark, sizeof(mark) - 1) != 0)
                return;
        reading->ran = ran_of((struct text){message->data + i + 6, message->len - i - 7});
        message->len = i - 1;
}

/* "NAME: text (ran: no)" */
static void read_text(struct reading *reading, struct text text)
{
        size_t n = 0;

        while (n < text.len && n < NAME_BYTES_MAX &&
               ((text.data[n] >= 'A' && text.data[n] <= 'Z') || text.data[n] == '_'))
                n++;
        reading->message = text;
        if (n > 0 && n + 2 <= text.len && text.data[n] == ':' && text.data[n + 1] == ' ') {
                reading->name = (struct text){text.data, n};
                reading->message = (struct text){text.data + n + 2, text.len - n - 2};
        }
        cut_ran(reading);
}

static void read_map(struct reading *reading, const struct proto_value *map)
{
        const struct proto_value *name = proto_value_map_get(map, "name");
        const struct proto_value *message = proto_value_map_get(map, "message");
        const struct proto_value *ran = proto_value_map_get(map, "ran");

        if (is_text(name) && name->count <= NAME_BYTES_MAX)
                reading->name = text_of(name);
        if (is_text(message))
                reading->message = text_of(message);
        if (is_text(ran))
                reading->ran = ran_of(text_of(ran));
        reading->data = proto_value_map_get(map, "data");
}

static void read_error(struct reading *reading, const struct proto_value *error)
{
        *reading = (struct reading){.name = {"", 0},
                                    .message = {"the server gave no text", 23},
                                    .ran = VMREQ_CLIENT_RAN_MAYBE};
        if (is_text(error))
                read_text(reading, text_of(error));
        else if (error->type == PROTO_ARRAY && error->count >= 2 && is_text(&error->items[1]))
                read_text(reading, text_of(&error->items[1]));
        else if (error->type == PROTO_MAP)
                read_map(reading, error);
        else
                reading->data = error;
        reading->code = (uint32_t)proto_code_from_string(reading->name.data, reading->name.len);
}

/* As a C string: a NUL inside becomes a question mark. */
static char *put_c_string(char *to, struct text text)
{
        for (size_t i = 0; i < text.len; i++)
                to[i] = text.data[i] == '\0' ? '?' : text.data[i];
        to[text.len] = '\0';
        return to + text.len + 1;
}

static int fill(struct vmreq_client_answer *answer, struct text name, struct text message,
                const uint8_t *value, size_t value_len)
{
        char *memory, *at;

        memory = malloc(name.len + message.len + 2 + value_len);
        if (!memory)
                return -ENOMEM;
        at = put_c_string(memory, name);
        answer->name = memory;
        answer->message = at;
        at = put_c_string(at, message);
        memcpy(at, value, value_len);
        answer->value = (const uint8_t *)at;
        answer->value_len = value_len;
        answer->memory = memory;
        return 0;
}

/* The error's data is encoded anew: the tree does not say where its bytes were. */
static int fill_error(struct vmreq_client_answer *answer, const struct reading *reading,
                      size_t frame_len)
{
        static const uint8_t nil = MSGPACK_NIL;
        struct proto_builder builder;
        int r;

        if (!reading->data)
                return fill(answer, reading->name, reading->message, &nil, 1);
        /* A float32 is encoded as nine bytes instead of five: nothing grows more than that. */
        proto_builder_init(&builder, 2 * frame_len);
        proto_put_value(&builder, reading->data);
        if (builder.error != PROTO_BUILDER_OK)
                r = fill(answer, reading->name, reading->message, &nil, 1);
        else
                r = fill(answer, reading->name, reading->message, builder.data, builder.len);
        proto_builder_deinit(&builder);
        return r;
}

int client_answer_of(struct vmreq_client_answer *answer, struct proto_arena *arena,
                     const struct proto_frame *frame, const uint8_t *data,
                     const struct client_parts *parts)
{
        static const struct text none = {"", 0};
        const struct text name = {parts->name ? parts->name : "", parts->name_len};
        const struct proto_value *root;
        struct reading reading;
        int r;

        if (parts->error == 0 || data[parts->error] == MSGPACK_NIL)
                return fill(answer, name, none, data + parts->value,
                            parts->value_end - parts->value);
        if (proto_value_decode(arena, data, frame->pos, frame->values, &root) != PROTO_VALUE_OK)
                return -ENOMEM; /* the only way to fail for a frame that was scanned */
        read_error(&reading, parts->inside ? &root->items[2].items[1] : &root->items[2]);
        r = fill_error(answer, &reading, frame->pos);
        if (r < 0)
                return r;
        answer->failed = 1;
        answer->code = reading.code;
        answer->ran = reading.ran;
        return 0;
}

int client_answer_init(struct vmreq_client_answer *ret_answer, struct proto_arena *arena,
                       const struct proto_frame *frame, const uint8_t *data)
{
        struct vmreq_client_answer answer = {.kind = VMREQ_CLIENT_REPLY};
        const struct client_parts parts = {
                .error = frame->start[2],
                .value = frame->start[3],
                .value_end = frame->pos,
        };
        int r;

        answer.msgid = (uint32_t)frame->msgid;
        r = client_answer_of(&answer, arena, frame, data, &parts);
        if (r < 0)
                return r;
        *ret_answer = answer;
        return 0;
}

int client_answer_lost(struct vmreq_client_answer *ret_answer, uint32_t msgid, uint32_t ran)
{
        static const uint8_t nil = MSGPACK_NIL;
        struct vmreq_client_answer answer = {
                .kind = VMREQ_CLIENT_REPLY, .msgid = msgid, .failed = 1, .ran = ran};
        int r;

        r = fill(&answer, (struct text){"LOST", 4},
                 (struct text){"the connection was lost before the answer", 41}, &nil, 1);
        if (r < 0)
                return r;
        *ret_answer = answer;
        return 0;
}

bool client_read_uint(const uint8_t *data, size_t len, uint64_t *ret_value)
{
        uint64_t value = 0;

        if (len == 1 && data[0] < 0x80) {
                *ret_value = data[0];
                return true;
        }
        if (len < 2 || data[0] < 0xcc || data[0] > 0xcf || len != 1 + ((size_t)1 << (data[0] & 3)))
                return false;
        for (size_t i = 1; i < len; i++)
                value = value << 8 | data[i];
        *ret_value = value;
        return true;
}

int vmreq_client_answer_uint(const struct vmreq_client_answer *answer, uint64_t *ret_value)
{
        if (answer->failed || !client_read_uint(answer->value, answer->value_len, ret_value))
                return -EINVAL;
        return 0;
}

void vmreq_client_answer_deinit(struct vmreq_client_answer *answer)
{
        free(answer->memory);
        memset(answer, 0, sizeof(*answer));
}
