/* SPDX-License-Identifier: MIT */
/*
 * What must come out at both ends: of the library, what was said (hostile-said.c); of the server's,
 * what was accepted.
 *
 *   - Each call has at most one reply; the first one counts, and it comes out as it went in.
 *   - What comes out comes in the order in which it was sent, whatever was asked for in between.
 *   - What is no message of the protocol, or cannot be said at that time to be one (an answer to a
 *     call that is not made yet), sets is_broken: from there on the library may hang up, or not.
 *     In front of it, and without it, it may not, and nothing may be missing.
 *   - A connection that is given up leaves a reply for each call: its own if that had come, else
 *     one that is called LOST and knows whether the server can have got the call.
 */
#include "hostile.h"

#include <string.h>

#include "proto/codes.h"
#include "proto/message.h"

/* ---- calls ---- */

struct hostile_call *hostile_find(struct hostile *h, uint32_t msgid)
{
        for (size_t i = h->n_calls; i > 0; i--)
                if (h->calls[i - 1].msgid == msgid)
                        return &h->calls[i - 1];
        return NULL;
}

size_t hostile_n_open(const struct hostile *h)
{
        size_t n = 0;

        for (size_t i = 0; i < h->n_calls; i++)
                n += h->calls[i].fate == HOSTILE_PENDING && !h->calls[i].is_greeting;
        return n;
}

static void add_call(struct hostile *h, uint32_t msgid, bool is_greeting)
{
        FUZZ_CHECK(!hostile_find(h, msgid)); /* an id comes again only after 65536 calls */
        FUZZ_CHECK(h->n_calls < HOSTILE_CALLS_MAX);
        h->calls[h->n_calls++] =
                (struct hostile_call){.msgid = msgid, .link = h->link, .is_greeting = is_greeting};
}

void hostile_accepted(struct hostile *h, const char *method, uint32_t msgid, bool is_notify,
                      const struct fuzz_input *params)
{
        struct hostile_frame *frame = &h->frames[h->n_frames];
        uint32_t count;
        size_t at;

        FUZZ_CHECK(h->n_frames < HOSTILE_CALLS_MAX);
        h->n_frames++;
        *frame = (struct hostile_frame){.is_notify = is_notify, .msgid = msgid};
        (void)snprintf(frame->method, sizeof(frame->method), "%s", method);
        if (params) {
                at = proto_frame_enter(params->data, params->len, 0, &count);
                FUZZ_CHECK(at > 0);
                frame->params_len = params->len - at;
                frame->params = malloc(frame->params_len + 1);
                FUZZ_CHECK(frame->params);
                memcpy(frame->params, params->data + at, frame->params_len);
        }
        if (!is_notify)
                add_call(h, msgid, false);
}

void hostile_forget(struct hostile *h, uint32_t msgid)
{
        struct hostile_call *call = hostile_find(h, msgid);

        FUZZ_CHECK(call && call->fate == HOSTILE_PENDING);
        call->fate = HOSTILE_FORGOTTEN;
        for (size_t i = h->first_item; i < h->n_items; i++)
                if (h->items[i].msgid == msgid && h->items[i].kind <= VMREQ_CLIENT_ROW)
                        h->items[i].gone = true;
}

/* ---- the server's end ---- */

/* The elements of the params of the frame in data[0..len). */
static struct fuzz_input params_of(const struct proto_frame *frame, const uint8_t *data, size_t len)
{
        size_t start = frame->start[frame->n_elements - 1], at;
        uint32_t count;

        at = proto_frame_enter(data, len, start, &count);
        FUZZ_CHECK(at > 0);
        return (struct fuzz_input){data + at, len - at};
}

static void check_frame(const struct hostile_frame *expected, const struct proto_message *message,
                        const struct fuzz_input *params)
{
        FUZZ_CHECK(message->type == (expected->is_notify ? PROTO_NOTIFY : PROTO_REQUEST));
        FUZZ_CHECK(expected->is_notify || message->msgid == expected->msgid);
        FUZZ_CHECK(message->method_len == strlen(expected->method) &&
                   memcmp(message->method, expected->method, message->method_len) == 0);
        if (expected->params)
                FUZZ_CHECK(params->len == expected->params_len &&
                           memcmp(params->data, expected->params, params->len) == 0);
}

static void take_greeting(struct hostile *h, const struct proto_message *message)
{
        FUZZ_CHECK(message->type == PROTO_REQUEST && message->method_len == 11 &&
                   memcmp(message->method, "vmreq.hello", 11) == 0);
        FUZZ_CHECK(message->params->count == 1 && message->params->items[0].type == PROTO_MAP);
        FUZZ_CHECK(proto_value_map_get(&message->params->items[0], "client"));
        add_call(h, message->msgid, true);
        h->calls[h->n_calls - 1].arrived = true;
        h->greeting_due = false;
}

void hostile_arrived(struct hostile *h, const uint8_t *data, size_t len)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        struct proto_message message;
        struct proto_frame frame;
        struct fuzz_input params;

        FUZZ_CHECK(len <= h->frame_bytes_max);
        proto_frame_init(&frame, len);
        FUZZ_CHECK(proto_frame_scan(&frame, data, len) == PROTO_FRAME_DONE && frame.pos == len);
        FUZZ_CHECK(proto_value_decode(&arena, data, len, frame.values, &root) == PROTO_VALUE_OK);
        FUZZ_CHECK(proto_message_parse(root, &message) == PROTO_MESSAGE_OK);
        params = params_of(&frame, data, len);
        if (h->greeting_due) {
                take_greeting(h, &message);
        } else {
                FUZZ_CHECK(h->n_arrived < h->n_frames);
                check_frame(&h->frames[h->n_arrived], &message, &params);
                if (!h->frames[h->n_arrived].is_notify)
                        hostile_find(h, message.msgid)->arrived = true;
                h->n_arrived++;
        }
        proto_arena_deinit(&arena);
}

/* ---- what comes out ---- */

static void check_answer(const struct hostile *h, const struct vmreq_client_answer *answer)
{
        static const uint32_t flags[] = {
                [VMREQ_CLIENT_REPLY] = UINT32_MAX,
                [VMREQ_CLIENT_CHUNK] = VMREQ_CLIENT_TAKE_STREAMS,
                [VMREQ_CLIENT_ROW] = VMREQ_CLIENT_TAKE_STREAMS,
                [VMREQ_CLIENT_COMPLETED] = VMREQ_CLIENT_TAKE_COMPLETED,
                [VMREQ_CLIENT_EVENT] = VMREQ_CLIENT_TAKE_EVENTS,
        };
        uint64_t number;
        int verdict;

        FUZZ_CHECK(answer->kind >= VMREQ_CLIENT_REPLY && answer->kind <= VMREQ_CLIENT_EVENT);
        FUZZ_CHECK(answer->kind == VMREQ_CLIENT_REPLY || (h->flags & flags[answer->kind]));
        FUZZ_CHECK(answer->name && answer->message && answer->value && answer->value_len > 0);
        FUZZ_CHECK(proto_frame_skip(answer->value, answer->value_len, 0) == answer->value_len);
        FUZZ_CHECK(answer->failed <= 1 && answer->ran <= VMREQ_CLIENT_RAN_MAYBE);
        FUZZ_CHECK(answer->failed || (answer->code == 0 && answer->message[0] == 0));
        FUZZ_CHECK(!answer->failed || strlen(answer->name) <= 32);
        FUZZ_CHECK(answer->code == 0 ||
                   proto_code_from_string(answer->name, strlen(answer->name)) ==
                           (enum proto_code)answer->code);
        FUZZ_CHECK(strlen(answer->message) < SIZE_MAX);
        verdict = vmreq_client_answer_verdict(answer);
        FUZZ_CHECK(verdict >= VMREQ_CLIENT_UNKNOWN && verdict <= VMREQ_CLIENT_FINISHED);
        FUZZ_CHECK(verdict == VMREQ_CLIENT_UNKNOWN || answer->value_len >= 6);
        if (vmreq_client_answer_uint(answer, &number) == 0)
                FUZZ_CHECK(!answer->failed &&
                           (number > 0x7f || answer->value_len > 1 || answer->value[0] == number));
}

static bool is_same(const struct hostile_item *item, const struct vmreq_client_answer *answer)
{
        if (item->kind != answer->kind || item->msgid != answer->msgid || item->id != answer->id ||
            item->failed != (answer->failed != 0))
                return false;
        if (item->failed && item->ran != answer->ran)
                return false;
        if ((item->kind == VMREQ_CLIENT_EVENT || item->failed) &&
            strncmp(item->name, answer->name, sizeof(item->name) - 1) != 0)
                return false;
        return !item->value || (item->value_len == answer->value_len &&
                                memcmp(item->value, answer->value, item->value_len) == 0);
}

/* It was in flight when the connection was given up.  False: that is not what the answer says. */
static bool was_lost(struct hostile *h, struct hostile_call *call,
                     const struct vmreq_client_answer *answer)
{
        if (call->link == h->link || !answer->failed || strcmp(answer->name, "LOST") != 0)
                return false;
        if (call->arrived)
                FUZZ_CHECK(answer->ran == VMREQ_CLIENT_RAN_MAYBE);
        else if (!h->is_blind)
                FUZZ_CHECK(answer->ran == VMREQ_CLIENT_RAN_NO);
        for (size_t i = h->first_item; i < h->n_items; i++)
                if (h->items[i].msgid == call->msgid && h->items[i].kind == VMREQ_CLIENT_REPLY) {
                        FUZZ_CHECK(h->items[i].gone || h->items[i].may_miss);
                        h->items[i].gone = true;
                }
        return true;
}

static void match(struct hostile *h, const struct vmreq_client_answer *answer, bool by_wait)
{
        bool is_loose = h->is_loose;

        for (size_t i = h->first_item; i < h->n_items; i++) {
                struct hostile_item *item = &h->items[i];

                if (item->gone)
                        continue;
                if (is_same(item, answer)) {
                        item->gone = true;
                        return;
                }
                /* A wait takes its reply from where it stands; what may miss, did. */
                if (by_wait && item->msgid != answer->msgid)
                        continue;
                FUZZ_CHECK(is_loose || item->may_miss ||
                           (by_wait && item->kind != VMREQ_CLIENT_REPLY));
                if (!is_loose && !by_wait)
                        item->gone = true;
        }
        /* Nothing that must come stands in front of it. */
        FUZZ_CHECK(is_loose || h->is_broken);
}

void hostile_taken(struct hostile *h, const struct vmreq_client_answer *answer, bool by_wait)
{
        struct hostile_call *call = NULL;

        check_answer(h, answer);
        if (answer->kind <= VMREQ_CLIENT_ROW) {
                call = hostile_find(h, answer->msgid);
                /* Its pieces may be taken behind it: a wait takes the reply from their midst. */
                FUZZ_CHECK(call && call->fate != HOSTILE_FORGOTTEN);
                FUZZ_CHECK(answer->kind != VMREQ_CLIENT_REPLY || call->fate == HOSTILE_PENDING);
        }
        if (answer->kind == VMREQ_CLIENT_REPLY) {
                FUZZ_CHECK(!call->is_greeting);
                call->fate = HOSTILE_TAKEN;
                if (was_lost(h, call, answer))
                        return;
        }
        match(h, answer, by_wait);
        while (h->first_item < h->n_items && h->items[h->first_item].gone)
                free(h->items[h->first_item++].value);
}

/* ---- connections ---- */

bool hostile_owes(const struct hostile *h)
{
        for (size_t i = h->first_item; i < h->n_items; i++)
                if (!h->items[i].gone && !h->items[i].may_miss)
                        return true;
        return false;
}

void hostile_excuse(struct hostile *h)
{
        for (size_t i = h->first_item; i < h->n_items; i++)
                h->items[i].may_miss = true;
}

void hostile_relink(struct hostile *h, bool greets)
{
        /* How much of what is owed had been read is not known, and two may look the same. */
        h->is_loose |= h->is_broken || hostile_owes(h);
        hostile_excuse(h);
        for (size_t i = 0; i < h->n_calls; i++)
                if (h->calls[i].is_greeting)
                        h->calls[i].fate = HOSTILE_TAKEN;
        h->link++;
        h->n_arrived = h->n_frames; /* what was not sent never is */
        h->greeting_due = greets;
        h->has_ended = h->gave_up = h->is_broken = h->is_deaf = false;
        h->out_sent = 0;
        proto_builder_reset(&h->out);
        proto_builder_reset(&h->in);
        proto_builder_reset(&h->said);
        proto_frame_init(&h->in_frame, h->frame_bytes_max);
        proto_frame_init(&h->said_frame, h->frame_bytes_max);
}

void hostile_model_deinit(struct hostile *h)
{
        for (size_t i = h->first_item; i < h->n_items; i++)
                free(h->items[i].value);
        for (size_t i = 0; i < h->n_frames; i++)
                free(h->frames[i].params);
        proto_builder_deinit(&h->said);
}
