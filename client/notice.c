/* SPDX-License-Identifier: MIT */
/*
 * What a server sends on its own: pieces of a result, rows, the end of a request, events.
 *
 * From receive.c, on a frame that was scanned: its extents can be walked without a check, and what
 * is read of it is only the few small values that say whose it is.  The value itself is copied as
 * bytes, like a result.  Whether a chunk belongs to a call is for receive.c to say.
 */

#include <string.h>

#include "client/answer.h"
#include "client/notice.h"
#include "proto/frame.h"

#define PARTS_MAX 3

/* A method, and what its params are. */
struct notice {
        const char *method;
        uint32_t kind, flag;
        uint32_t n_params;
};

static const struct notice notices[] = {
        {"vmreq.chunk", VMREQ_CLIENT_CHUNK, VMREQ_CLIENT_TAKE_STREAMS, 3},
        {"vmreq.row", VMREQ_CLIENT_ROW, VMREQ_CLIENT_TAKE_STREAMS, 2},
        {"vmreq.completed", VMREQ_CLIENT_COMPLETED, VMREQ_CLIENT_TAKE_COMPLETED, 3},
        {"vmreq.event", VMREQ_CLIENT_EVENT, VMREQ_CLIENT_TAKE_EVENTS, 2},
};

/* The text (str or bin) in data[0..len), which is whole; false if it is none. */
static bool read_text(const uint8_t *data, size_t len, const char **ret_text, size_t *ret_len)
{
        size_t head;

        if (data[0] >= 0xa0 && data[0] <= 0xbf)
                head = 1;
        else if (data[0] == 0xd9 || data[0] == 0xc4)
                head = 2;
        else if (data[0] == 0xda || data[0] == 0xc5)
                head = 3;
        else if (data[0] == 0xdb || data[0] == 0xc6)
                head = 5;
        else
                return false;
        *ret_text = (const char *)data + head;
        *ret_len = len - head;
        return true;
}

static const struct notice *find_notice(const char *method, size_t len, uint32_t flags)
{
        for (size_t i = 0; i < sizeof(notices) / sizeof(notices[0]); i++) {
                if (strlen(notices[i].method) == len && memcmp(notices[i].method, method, len) == 0)
                        return flags & notices[i].flag ? &notices[i] : NULL;
        }
        return NULL;
}

/* Where the params begin, and, behind the last, where they end; false if their number is wrong. */
static bool find_params(const struct proto_frame *frame, const uint8_t *data, uint32_t n,
                        size_t ret_at[PARTS_MAX + 1])
{
        uint32_t count;
        uint8_t head = data[frame->start[2]];

        if ((head & 0xf0) != 0x90 && head != 0xdc && head != 0xdd)
                return false; /* a map of as many would be entered as well */
        ret_at[0] = proto_frame_enter(data, frame->pos, frame->start[2], &count);
        if (ret_at[0] == 0 || count != n)
                return false;
        for (uint32_t i = 0; i < n; i++)
                ret_at[i + 1] = proto_frame_skip(data, frame->pos, ret_at[i]);
        return true;
}

/* The params in front of the value. */
static bool read_params(struct vmreq_client_answer *answer, struct client_parts *parts,
                        const uint8_t *data, const size_t *at)
{
        uint64_t msgid;

        switch (answer->kind) {
        case VMREQ_CLIENT_EVENT:
                return read_text(data + at[0], at[1] - at[0], &parts->name, &parts->name_len);
        case VMREQ_CLIENT_COMPLETED:
                parts->error = at[1];
                parts->inside = true;
                return client_read_uint(data + at[0], at[1] - at[0], &answer->id);
        default:
                if (!client_read_uint(data + at[0], at[1] - at[0], &msgid) || msgid > UINT32_MAX)
                        return false;
                answer->msgid = (uint32_t)msgid;
                return answer->kind == VMREQ_CLIENT_ROW ||
                       client_read_uint(data + at[1], at[2] - at[1], &answer->id);
        }
}

int client_notice_init(struct vmreq_client_answer *ret_answer, struct proto_arena *arena,
                       const struct proto_frame *frame, const uint8_t *data, uint32_t flags)
{
        struct vmreq_client_answer answer = {0};
        struct client_parts parts = {0};
        const struct notice *notice;
        size_t at[PARTS_MAX + 1], method_len;
        const char *method;
        int r;

        if (!read_text(data + frame->start[1], frame->start[2] - frame->start[1], &method,
                       &method_len))
                return 0;
        notice = find_notice(method, method_len, flags);
        if (!notice || !find_params(frame, data, notice->n_params, at))
                return 0;
        answer.kind = notice->kind;
        parts.value = at[notice->n_params - 1];
        parts.value_end = at[notice->n_params];
        if (!read_params(&answer, &parts, data, at))
                return 0;
        r = client_answer_of(&answer, arena, frame, data, &parts);
        if (r < 0)
                return r;
        *ret_answer = answer;
        return 1;
}
