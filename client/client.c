/* SPDX-License-Identifier: MIT */
/*
 * libvmreqclient: calls out, answers in, over one connection.
 *
 * The walk of a call from this end: submit puts the frame behind the others in the output (link.c)
 * and gives it a slot of the table (table.c); process (receive.c) or a wait writes, reads, and
 * turns responses into answers; next or wait takes one.  Everything runs on the caller's thread,
 * inside one of the public functions.
 *
 *   1. Bounded: calls by calls_max, output by output_bytes_max, input by the frame cap, answers by
 *      answer_bytes_max (above it we stop reading, so that the server's own limits for slow readers
 *      apply).
 *   2. Every wait compares the clock on each turn, and each turn does a bounded amount of work, so
 *      that a peer that sends without end, or one byte a second, is no different from one that is
 *      silent.
 *   3. A frame is accepted whole or not at all, and what is accepted is in the table: BUSY leaves
 *      no trace.
 */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

#include "client/client-internal.h"
#include "proto/frame.h"
#include "proto/message.h"

#define NS_PER_MS UINT64_C(1000000)

const char *vmreq_client_outcome_name(int outcome)
{
        static const char *const names[] = {
                [VMREQ_CLIENT_OK] = "OK",
                [VMREQ_CLIENT_E_TIMEOUT] = "TIMEOUT",
                [VMREQ_CLIENT_E_LOST] = "LOST",
                [VMREQ_CLIENT_E_PROTOCOL] = "PROTOCOL",
                [VMREQ_CLIENT_E_REFUSED] = "REFUSED",
                [VMREQ_CLIENT_E_BUSY] = "BUSY",
                [VMREQ_CLIENT_E_TOO_LARGE] = "TOO_LARGE",
                [VMREQ_CLIENT_E_UNKNOWN] = "UNKNOWN",
                [VMREQ_CLIENT_E_NOTHING] = "NOTHING",
        };

        if (outcome < 0 || outcome > VMREQ_CLIENT_E_NOTHING)
                return "UNKNOWN";
        return names[outcome];
}

/* ---- what goes out --------------------------------------------------------------------------- */

/*
 * Where the elements of the one array in `params` begin, and how many there are; 0 if it is not one
 * array, or so deep that the frame around it would be deeper than a server reads.
 */
static size_t enter_params(const uint8_t *params, size_t len, uint32_t *ret_count)
{
        struct proto_frame frame;

        if (len == 0 || len > PROTO_FRAME_BYTES_MAX)
                return 0;
        proto_frame_init(&frame, len);
        frame.depth_max = PROTO_DEPTH_MAX - 1;
        if (proto_frame_scan(&frame, params, len) != PROTO_FRAME_DONE || frame.pos != len)
                return 0;
        return proto_frame_enter(params, len, 0, ret_count);
}

/* What submit and notify have in common before anything is put. */
static int may_send(struct vmreq_client *client, const char *method, size_t len)
{
        size_t method_len = strlen(method);

        if (method_len == 0 || method_len > PROTO_NAME_BYTES_MAX)
                return -EINVAL;
        if (client->outcome != 0)
                return client->outcome;
        if (len > client->link.frame_bytes_max ||
            len + CLIENT_HEAD_BYTES_MAX > client->link.frame_bytes_max)
                return VMREQ_CLIENT_E_TOO_LARGE;
        if (client->link.out_broken)
                return VMREQ_CLIENT_E_LOST;
        client_link_compact(&client->link, len + CLIENT_HEAD_BYTES_MAX);
        return 0;
}

/* Whole or not at all. */
static int finish_put(struct proto_builder *out, size_t mark)
{
        enum proto_builder_error error = out->error;

        if (error == PROTO_BUILDER_OK)
                return 0;
        proto_builder_rollback(out, mark);
        return error == PROTO_BUILDER_E_BUDGET ? VMREQ_CLIENT_E_BUSY : -ENOMEM;
}

int vmreq_client_submit(vmreq_client *client, const char *method, const void *params,
                        size_t params_len, uint32_t *ret_msgid)
{
        struct proto_builder *out = &client->link.out;
        uint32_t index = client->table.free_first, msgid, count;
        size_t mark, start;
        int r;

        r = may_send(client, method, params_len);
        if (r != 0)
                return r;
        start = enter_params(params, params_len, &count);
        if (start == 0)
                return -EINVAL;
        if (index == CLIENT_SLOT_NONE)
                return VMREQ_CLIENT_E_BUSY;

        msgid = client_table_msgid(&client->table, index);
        mark = out->len;
        proto_put_request(out, msgid, method, strlen(method), count);
        proto_put_raw(out, (const uint8_t *)params + start, params_len - start);
        r = finish_put(out, mark);
        if (r != 0)
                return r;

        client_table_start(&client->table, client->link.sent + client_link_unsent(&client->link));
        *ret_msgid = msgid;
        return 0;
}

int vmreq_client_notify(vmreq_client *client, const char *method, const void *params,
                        size_t params_len)
{
        struct proto_builder *out = &client->link.out;
        size_t mark, start;
        uint32_t count;
        int r;

        r = may_send(client, method, params_len);
        if (r != 0)
                return r;
        start = enter_params(params, params_len, &count);
        if (start == 0)
                return -EINVAL;
        mark = out->len;
        proto_put_notify(out, method, count);
        proto_put_raw(out, (const uint8_t *)params + start, params_len - start);
        return finish_put(out, mark);
}

/* ---- waiting --------------------------------------------------------------------------------- */

int vmreq_client_fd(const vmreq_client *client)
{
        return client->link.fd;
}

short vmreq_client_events(const vmreq_client *client)
{
        int events = 0;

        if (client->outcome != 0)
                return 0;
        if (!client_is_full(client))
                events |= POLLIN;
        if (!client->link.out_broken && client_link_unsent(&client->link) > 0)
                events |= POLLOUT;
        return (short)events;
}

/* For poll: rounded up, so that a wait does not end early and spin. */
static int poll_ms(uint64_t left_ns)
{
        uint64_t ms = left_ns / NS_PER_MS + (left_ns % NS_PER_MS != 0);

        if (left_ns == UINT64_MAX)
                return -1;
        return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* One turn of a wait, after a process that brought nothing. */
static int wait_turn(struct vmreq_client *client, uint64_t deadline_ns)
{
        struct pollfd pollfd = {.fd = client->link.fd, .events = vmreq_client_events(client)};
        uint64_t left_ns = client_left(deadline_ns);

        if (left_ns == 0)
                return VMREQ_CLIENT_E_TIMEOUT;
        if (poll(&pollfd, 1, poll_ms(left_ns)) < 0 && errno != EINTR)
                return -errno;
        return 0;
}

int vmreq_client_next(vmreq_client *client, uint64_t wait_ns,
                      struct vmreq_client_answer *ret_answer)
{
        uint64_t deadline_ns = client_deadline(wait_ns);
        int r;

        for (;;) {
                r = client->table.first ? 0 : vmreq_client_process(client);
                if (client->table.first) {
                        client_table_take(&client->table, client->table.first, ret_answer);
                        return 0;
                }
                if (r != 0)
                        return r;
                if (client->table.n_pending == 0 && !client_takes_messages(client))
                        return VMREQ_CLIENT_E_NOTHING;
                r = wait_turn(client, deadline_ns);
                if (r != 0)
                        return r;
        }
}

int vmreq_client_wait(vmreq_client *client, uint32_t msgid, uint64_t wait_ns,
                      struct vmreq_client_answer *ret_answer)
{
        uint64_t deadline_ns = client_deadline(wait_ns);
        uint32_t index = client_table_find(&client->table, msgid);
        struct client_slot *slot;
        int r;

        if (index == CLIENT_SLOT_NONE || client->table.slots[index].state == CLIENT_SLOT_FORGOTTEN)
                return VMREQ_CLIENT_E_UNKNOWN;
        slot = &client->table.slots[index];
        for (;;) {
                r = slot->state == CLIENT_SLOT_DONE ? 0 : vmreq_client_process(client);
                if (slot->state == CLIENT_SLOT_DONE) {
                        client_table_take(&client->table, &slot->item, ret_answer);
                        return 0;
                }
                if (r != 0)
                        return r;
                if (client_is_full(client))
                        return VMREQ_CLIENT_E_BUSY;
                r = wait_turn(client, deadline_ns);
                if (r != 0)
                        return r;
        }
}

/* What has arrived of a call and nobody will take. */
static void drop_items(struct vmreq_client *client, uint32_t msgid)
{
        struct vmreq_client_answer answer;
        struct client_item *next;

        for (struct client_item *item = client->table.first; item; item = next) {
                next = item->next;
                if (item->answer.msgid != msgid || (item->answer.kind != VMREQ_CLIENT_REPLY &&
                                                    item->answer.kind != VMREQ_CLIENT_CHUNK &&
                                                    item->answer.kind != VMREQ_CLIENT_ROW))
                        continue;
                client_table_take(&client->table, item, &answer);
                vmreq_client_answer_deinit(&answer);
        }
}

int vmreq_client_forget(vmreq_client *client, uint32_t msgid)
{
        uint32_t index = client_table_find(&client->table, msgid);

        if (index == CLIENT_SLOT_NONE || client->table.slots[index].state == CLIENT_SLOT_FORGOTTEN)
                return VMREQ_CLIENT_E_UNKNOWN;
        if (client->table.slots[index].state == CLIENT_SLOT_PENDING)
                client_table_forget(&client->table, index);
        drop_items(client, msgid); /* the reply among them frees the slot */
        return 0;
}

int vmreq_client_finish(vmreq_client *client, uint32_t msgid, uint64_t wait_ns,
                        struct vmreq_client_answer *ret_answer)
{
        int r;

        r = vmreq_client_wait(client, msgid, wait_ns, ret_answer);
        if (r != 0)
                (void)vmreq_client_forget(client, msgid); /* UNKNOWN is what r says already */
        return r;
}

int vmreq_client_call(vmreq_client *client, const char *method, const void *params,
                      size_t params_len, uint64_t wait_ns, struct vmreq_client_answer *ret_answer)
{
        uint32_t msgid;
        int r;

        r = vmreq_client_submit(client, method, params, params_len, &msgid);
        return r == 0 ? vmreq_client_finish(client, msgid, wait_ns, ret_answer) : r;
}

/* ---- looking --------------------------------------------------------------------------------- */

const uint8_t *vmreq_client_greeting(const vmreq_client *client, size_t *ret_len)
{
        *ret_len = client->greeting.value_len;
        return client->greeting.value;
}

const char *vmreq_client_reason(const vmreq_client *client)
{
        return client->reason;
}

uint64_t vmreq_client_strays(const vmreq_client *client)
{
        return client->strays;
}
