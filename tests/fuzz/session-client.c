/* SPDX-License-Identifier: MIT */
/*
 * A client's side of the bargain.  What was sent is read here a second time, so that it is known
 * which requests are owed an answer; what comes back is checked, frame by frame:
 *
 *   - it is whole, well-formed, at most 28 levels deep, an answer of four elements or, once asked
 *     for, a notification;
 *   - each answer is one that is owed, and there is no second one;
 *   - an error is never nil-like, has no result beside it, is of one of the three styles, says
 *     whether it ran, and its text is UTF-8, whatever bytes the request was made of;
 *   - all that is owed has come when the server ends a connection of which only the client's half
 *     was shut, unless what was sent was no message, or the server said that it closes.
 */
#include "session.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "proto/codes.h"
#include "proto/message.h"
#include "rpc/peer.h"

/* ---- a connection ---- */

/* Of this thread only: glibc's seteuid would stop all of them. */
static void become(uid_t uid)
{
        FUZZ_CHECK(syscall(SYS_setresuid, (uid_t)-1, uid, (uid_t)-1) == 0);
}

static void open_pair(int fds[2], bool as_nobody)
{
        int flags = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, least = 1;

        as_nobody = as_nobody && geteuid() == 0;
        if (as_nobody)
                become(SESSION_NOBODY);
        FUZZ_CHECK(socketpair(AF_UNIX, flags, 0, fds) == 0);
        if (as_nobody)
                become(0);
        /* As little as the kernel allows: who does not read is felt at once. */
        FUZZ_CHECK(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)) == 0);
}

static void start_frame(struct session_client *client)
{
        proto_frame_init(&client->frame, client->frame_bytes_max);
}

void session_client_open(struct session_client *client, struct session_server *server,
                         bool as_nobody)
{
        int fds[2];

        client->shut = client->at_end = client->has_text = client->has_opted = false;
        client->was_answered = client->is_closing = client->is_broken = client->may_say_why =
                client->is_stranger = client->is_late = false;
        client->sent_len = client->in_len = client->n_owed = client->n_unanswered = 0;
        client->frame_bytes_max = server->server->config.limits.frame_bytes;
        start_frame(client);
        open_pair(fds, as_nobody);
        client->fd = fds[0];
        /* At a bound, or going down, it is closed at once. */
        client->is_closing = !rpc_peer_new(server->server, fds[1]);
}

void session_client_close(struct session_client *client)
{
        if (client->fd >= 0)
                (void)close(client->fd);
        client->fd = -1;
        free(client->sent);
        free(client->in);
        client->sent = client->in = NULL;
        client->sent_cap = client->in_cap = 0;
}

/* ---- what was sent ---- */

static void keep(uint8_t **data, size_t *len, size_t *cap, const uint8_t *more, size_t n)
{
        if (n == 0)
                return;
        if (*len + n > *cap) {
                *cap = 2 * (*len + n);
                *data = realloc(*data, *cap);
                FUZZ_CHECK(*data);
        }
        memcpy(*data + *len, more, n);
        *len += n;
}

static void owe(struct session_client *client, uint32_t msgid)
{
        client->n_unanswered++;
        for (size_t i = 0; i < client->n_owed; i++) {
                if (client->owed[i].msgid == msgid) {
                        client->owed[i].n++;
                        return;
                }
        }
        FUZZ_CHECK(client->n_owed < SESSION_OWED_MAX);
        client->owed[client->n_owed++] = (struct session_owed){msgid, 1};
}

static bool is_owed(struct session_client *client, uint32_t msgid)
{
        for (size_t i = 0; i < client->n_owed; i++) {
                if (client->owed[i].msgid == msgid && client->owed[i].n > 0) {
                        client->owed[i].n--;
                        client->n_unanswered--;
                        return true;
                }
        }
        return false;
}

/* The stream ends here for the server; its one error may name a msgid. */
static void broken(struct session_client *client)
{
        client->is_broken = true;
        client->may_say_why = client->frame.has_msgid && client->frame.type == 0;
        client->why_msgid = (uint32_t)client->frame.msgid;
}

/* Which messages ask for notifications need not be known exactly: whoever names one of these may.
 */
static bool opts_in(const uint8_t *data, size_t len)
{
        static const char *const words[] = {"stream", "completed", "subscribe"};

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                if (memmem(data, len, words[i], strlen(words[i])))
                        return true;
        return false;
}

static bool note_frame(struct session_client *client, const uint8_t *data)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        struct proto_message message;
        bool ok;

        FUZZ_CHECK(proto_value_decode(&arena, data, client->frame.pos, client->frame.values,
                                      &root) == PROTO_VALUE_OK);
        ok = proto_message_parse(root, &message) == PROTO_MESSAGE_OK;
        if (ok && message.type == PROTO_REQUEST)
                owe(client, message.msgid);
        client->has_opted |= opts_in(data, client->frame.pos);
        proto_arena_deinit(&arena);
        return ok;
}

/* A frame that will be no message, whatever follows: where there is no room for it, the server need
 * not wait for its end. */
static bool is_hopeless(const struct session_client *client, size_t n)
{
        const struct proto_frame *frame = &client->frame;

        return n > 64 && (!frame->has_type || frame->type > PROTO_NOTIFY ||
                          (frame->type == PROTO_REQUEST && !frame->has_msgid));
}

/* Reads what was sent since, as the server will. */
static void note_sent(struct session_client *client)
{
        size_t at = 0;

        while (at < client->sent_len && !client->is_broken) {
                enum proto_frame_result result =
                        proto_frame_scan(&client->frame, client->sent + at, client->sent_len - at);

                if (result == PROTO_FRAME_MORE) {
                        client->is_broken = is_hopeless(client, client->sent_len - at);
                        break;
                }
                client->is_stranger = result == PROTO_FRAME_E_NOT_ARRAY;
                if (result != PROTO_FRAME_DONE || !note_frame(client, client->sent + at)) {
                        broken(client);
                        return;
                }
                at += client->frame.pos;
                start_frame(client);
        }
        memmove(client->sent, client->sent + at, client->sent_len - at);
        client->sent_len -= at;
}

void session_client_send(struct session_client *client, const uint8_t *data, size_t len)
{
        ssize_t n;

        if (client->fd < 0 || client->shut || len == 0)
                return;
        n = send(client->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
                return;
        keep(&client->sent, &client->sent_len, &client->sent_cap, data, (size_t)n);
        note_sent(client);
        /* The rest of a frame will never come: to go on would be another message. */
        if ((size_t)n < len)
                session_client_shut(client);
}

void session_client_wait(struct session_client *client)
{
        client->is_late |= client->sent_len > 0;
}

void session_client_shut(struct session_client *client)
{
        if (client->fd >= 0 && !client->shut)
                (void)shutdown(client->fd, SHUT_WR);
        client->shut = true;
}

/* ---- what came ---- */

static bool is_utf8(const char *text, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)text[i];
                size_t more = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;

                if (c >= 0x80 && (c < 0xc2 || c > 0xf4 || more > len - 1 - i))
                        return false;
                for (; more > 0; more--)
                        if (((unsigned char)text[++i] & 0xc0) != 0x80)
                                return false;
        }
        return true;
}

static bool ends_with(const struct proto_value *text, const char *end)
{
        size_t n = strlen(end);

        return text->count >= n && memcmp(text->data + text->count - n, end, n) == 0;
}

/* "NAME: text (ran: no)" */
static void check_text(const struct proto_value *text)
{
        const char *colon;

        FUZZ_CHECK(text->type == PROTO_STR && text->count > 0);
        FUZZ_CHECK(is_utf8(text->data, text->count));
        colon = memchr(text->data, ':', text->count);
        FUZZ_CHECK(colon && proto_code_from_string(text->data, (size_t)(colon - text->data)));
        FUZZ_CHECK(ends_with(text, " (ran: no)") || ends_with(text, " (ran: yes)") ||
                   ends_with(text, " (ran: maybe)"));
}

static void check_error(struct session_client *client, const struct proto_value *error)
{
        static const char closing[] = "the connection is closed";
        const struct proto_value *text = error, *ran;

        if (error->type == PROTO_ARRAY) {
                FUZZ_CHECK(error->count == 2 && error->items[0].type == PROTO_UINT &&
                           error->items[0].u <= 1);
                text = &error->items[1];
        }
        if (error->type == PROTO_MAP) {
                text = proto_value_map_get(error, "message");
                ran = proto_value_map_get(error, "ran");
                FUZZ_CHECK(text && text->type == PROTO_STR && is_utf8(text->data, text->count));
                FUZZ_CHECK(ran &&
                           (proto_value_is_text(ran, "no") || proto_value_is_text(ran, "yes") ||
                            proto_value_is_text(ran, "maybe")));
                FUZZ_CHECK(proto_value_map_get(error, "name") &&
                           proto_value_map_get(error, "code"));
        } else {
                check_text(text);
        }
        if (memmem(text->data, text->count, closing, strlen(closing)))
                client->is_closing = true;
}

static void take_answer(struct session_client *client, const struct proto_message *message)
{
        if (!is_owed(client, message->msgid)) {
                /*
                 * The one error for what was no message, or was no whole one in time; or, if that
                 * has come already, the answer to a good request of the same msgid.
                 */
                FUZZ_CHECK(client->is_broken ? client->may_say_why : client->frame.has_msgid);
                FUZZ_CHECK(message->msgid ==
                           (client->is_broken ? client->why_msgid : (uint32_t)client->frame.msgid));
                client->may_say_why = false;
                client->is_closing = true;
        }
        client->was_answered = true;
        if (message->error->type == PROTO_NIL)
                return;
        FUZZ_CHECK(message->result->type == PROTO_NIL);
        check_error(client, message->error);
}

static void take_frame(struct session_client *client, const uint8_t *data,
                       const struct proto_frame *frame)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        struct proto_message message;

        FUZZ_CHECK(proto_value_decode(&arena, data, frame->pos, frame->values, &root) ==
                   PROTO_VALUE_OK);
        FUZZ_CHECK(proto_message_parse(root, &message) == PROTO_MESSAGE_OK);
        FUZZ_CHECK(message.type != PROTO_REQUEST);
        if (message.type == PROTO_NOTIFY)
                FUZZ_CHECK(client->has_opted);
        else
                take_answer(client, &message);
        proto_arena_deinit(&arena);
}

static void take_frames(struct session_client *client)
{
        size_t at = 0;

        while (at < client->in_len && !client->has_text) {
                enum proto_frame_result result;
                struct proto_frame frame;

                proto_frame_init(&frame, PROTO_FRAME_BYTES_MAX);
                result = proto_frame_scan(&frame, client->in + at, client->in_len - at);
                if (result == PROTO_FRAME_MORE)
                        break;
                if (result == PROTO_FRAME_E_NOT_ARRAY) {
                        /* A readable line, for who speaks no message. */
                        FUZZ_CHECK(client->is_stranger && client->in[at] >= ' ' &&
                                   client->in[at] < 0x7f);
                        client->has_text = true;
                        break;
                }
                FUZZ_CHECK(result == PROTO_FRAME_DONE);
                take_frame(client, client->in + at, &frame);
                at += frame.pos;
        }
        memmove(client->in, client->in + at, client->in_len - at);
        client->in_len -= at;
}

/* The server has ended it. */
static void take_end(struct session_client *client)
{
        bool may_end = client->is_broken || client->is_closing || client->is_late;

        client->at_end = true;
        FUZZ_CHECK(client->shut || may_end);
        if (may_end)
                return;
        FUZZ_CHECK(client->n_unanswered == 0);
        FUZZ_CHECK(client->in_len == 0);
}

void session_client_read(struct session_client *client, size_t max)
{
        uint8_t buffer[16384];
        ssize_t n;

        while (client->fd >= 0 && !client->at_end && max > 0) {
                n = recv(client->fd, buffer, MIN(sizeof(buffer), max), MSG_DONTWAIT);
                if (n > 0) {
                        max -= (size_t)n;
                        keep(&client->in, &client->in_len, &client->in_cap, buffer, (size_t)n);
                        take_frames(client);
                } else if (n < 0 && errno == EAGAIN) {
                        return;
                } else {
                        take_end(client);
                }
        }
}
