/* SPDX-License-Identifier: MIT */
/*
 * One connection.
 *
 * In: a readable socket is read once per turn, at most RPC_READ_BYTES, into the server's scratch buffer when the
 * peer has nothing left over, so that an idle connection holds no buffer.  Whole frames are handled where they
 * stand; the rest is kept, and grows with what has really arrived, never with what a header promises.  After
 * RPC_FRAMES_PER_TURN frames the peer goes to the ready list and others come first.
 *
 * Out: answers are appended to one buffer and written once per turn.  What a client does not read is bounded: over
 * its share of bytes its reads stop; a result that does not fit either is dropped and said so (BUSY, ran: yes);
 * that notice is small, and there are at most calls_per_connection of them.
 *
 * The end: after end of file and all its bytes, a hung-up socket means that the peer is gone, and its calls are
 * cancelled; one that is only half closed (`socat -t`, `printf | nc`) gets its answers first.
 *
 * libuv's stream is not used for the bytes: it would read up to 32 buffers from one peer in one turn, and allocates
 * per write.  uv_poll leaves both to us.
 */
#include "rpc/peer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/macros.h"
#include "rpc/call.h"
#include "rpc/reply.h"
#include "rpc/session.h"

/* A buffer that grew beyond this is given back when it is empty. */
#define KEEP_BYTES 4096u

/* What is thrown away of the input of a peer that is being closed for an error, so that it can read why. */
#define DISCARD_BYTES (1u << 20)

static void on_poll(uv_poll_t *poll, int status, int events);

/* ---- life ---- */

static void refuse(struct rpc_server *server, int fd, const char *why)
{
        uint64_t missed;

        if (log_limit_pass(&server->refused_log, 10, vmreq_now(), &missed))
                log_line(LOG_L_WARNING, "connection refused: %s", why);
        (void)close(fd);
}

static void set_events(struct rpc_peer *peer)
{
        /* PRIORITIZED never comes on a Unix socket: it keeps hang-ups reported while nothing else is wanted. */
        int events = UV_PRIORITIZED;

        if (peer->state == RPC_PEER_CLOSING)
                return;
        if (peer->state == RPC_PEER_OPEN && !peer->paused && !peer->is_ready)
                events |= UV_READABLE;
        if (peer->out.len > peer->out_sent)
                events |= UV_WRITABLE;
        if (events == peer->poll_events)
                return;
        peer->poll_events = events;
        CHECK(uv_poll_start(&peer->poll, events, on_poll) == 0);
}

struct rpc_peer *rpc_peer_new(struct rpc_server *server, int fd)
{
        struct rpc_peer *peer = calloc(1, sizeof(*peer));
        const struct rpc_account *over;

        if (!peer) {
                refuse(server, fd, "out of memory");
                return NULL;
        }
        peer->server = server;
        peer->fd = fd;
        if (rpc_identity_read(fd, &peer->identity)) {
                refuse(server, fd, "its credentials cannot be read");
                free(peer);
                return NULL;
        }
        if (!rpc_quota_open(&server->quota, peer->identity.uid, &peer->account, &over)) {
                refuse(server, fd, over ? "too many connections" : "too many connections of its uid");
                goto fail;
        }
        if (uv_poll_init(&server->loop, &peer->poll, fd)) {
                rpc_quota_close(&server->quota, &peer->account);
                refuse(server, fd, "out of memory");
                goto fail;
        }
        peer->poll.data = peer;
        peer->number = ++server->next_id;
        peer->rights = rpc_policy_rights(&server->policy, &peer->identity);
        proto_builder_init(&peer->out, server->config.limits.bytes_per_connection +
                                               2 * server->config.limits.frame_bytes);
        proto_frame_init(&peer->frame, server->config.limits.frame_bytes);
        TAILQ_INIT(&peer->calls);
        TAILQ_INSERT_TAIL(&server->peers, peer, link);
        server->n_peers++;
        set_events(peer);
        return peer;
fail:
        rpc_identity_deinit(&peer->identity);
        free(peer);
        return NULL;
}

static void on_closed(uv_handle_t *handle)
{
        struct rpc_peer *peer = handle->data;

        free(peer);
}

static void drop_input(struct rpc_peer *peer)
{
        rpc_account_release(&peer->account, RPC_BYTES, peer->in_cap);
        free(peer->in);
        peer->in = NULL;
        peer->in_len = peer->in_cap = 0;
}

static void recharge_output(struct rpc_peer *peer)
{
        uint64_t held = peer->out.cap;

        if (held > peer->out_charged)
                rpc_account_force(&peer->account, RPC_BYTES, held - peer->out_charged);
        else
                rpc_account_release(&peer->account, RPC_BYTES, peer->out_charged - held);
        peer->out_charged = held;
}

static void unlist(struct rpc_peer *peer)
{
        struct rpc_server *server = peer->server;

        if (peer->is_dirty)
                TAILQ_REMOVE(&server->dirty, peer, dirty_link);
        if (peer->is_ready)
                TAILQ_REMOVE(&server->ready, peer, ready_link);
        peer->is_dirty = peer->is_ready = false;
        TAILQ_REMOVE(&server->peers, peer, link);
        server->n_peers--;
}

void rpc_peer_close(struct rpc_peer *peer)
{
        if (peer->state == RPC_PEER_CLOSING)
                return;
        peer->state = RPC_PEER_CLOSING;
        unlist(peer);
        rpc_calls_abandon(peer);
        proto_builder_deinit(&peer->out);
        recharge_output(peer);
        drop_input(peer);
        rpc_quota_close(&peer->server->quota, &peer->account);
        rpc_identity_deinit(&peer->identity);
        (void)uv_poll_stop(&peer->poll);
        (void)close(peer->fd);
        peer->fd = -1;
        uv_close((uv_handle_t *)&peer->poll, on_closed);
}

/* Throws away what still stands in the socket: closing with unread input would take our last words with it. */
static void discard_input(struct rpc_peer *peer)
{
        size_t n = 0;
        ssize_t r;

        (void)shutdown(peer->fd, SHUT_WR);
        do {
                r = recv(peer->fd, peer->server->scratch, RPC_READ_BYTES, MSG_DONTWAIT);
                n += r > 0 ? (size_t)r : 0;
        } while ((r > 0 && n < DISCARD_BYTES) || (r < 0 && errno == EINTR));
}

/* An error was written that ends the connection. */
static void end(struct rpc_peer *peer)
{
        if (peer->state < RPC_PEER_ENDING)
                peer->state = RPC_PEER_ENDING;
        rpc_peer_touch(peer);
}

void rpc_peer_settle(struct rpc_peer *peer)
{
        bool flushed = peer->out.len == peer->out_sent;

        if (peer->state == RPC_PEER_ENDING && flushed) {
                discard_input(peer);
                rpc_peer_close(peer);
        } else if (peer->state == RPC_PEER_HALF && flushed && peer->n_unanswered == 0 && !peer->is_ready) {
                rpc_peer_close(peer);
        }
}

/* ---- output ---- */

void rpc_peer_touch(struct rpc_peer *peer)
{
        if (peer->is_dirty || peer->state == RPC_PEER_CLOSING)
                return;
        peer->is_dirty = true;
        TAILQ_INSERT_TAIL(&peer->server->dirty, peer, dirty_link);
}

bool rpc_peer_has_room(const struct rpc_peer *peer, size_t n)
{
        const struct rpc_limits *limits = &peer->server->config.limits;

        return peer->out.len - peer->out_sent + n <=
               limits->bytes_per_connection + limits->frame_bytes;
}

static void output_sent(struct rpc_peer *peer)
{
        if (peer->out_sent == peer->out.len) {
                if (peer->out.cap > KEEP_BYTES) {
                        size_t max = peer->out.bytes_max;

                        proto_builder_deinit(&peer->out);
                        proto_builder_init(&peer->out, max);
                } else {
                        proto_builder_reset(&peer->out);
                }
                peer->out_sent = 0;
        } else if (peer->out_sent > peer->out.len / 2 && peer->out_sent > KEEP_BYTES) {
                size_t left = peer->out.len - peer->out_sent;

                memmove(peer->out.data, peer->out.data + peer->out_sent, left);
                proto_builder_rollback(&peer->out, left);
                peer->out_sent = 0;
        }
}

/* Over its share of bytes a connection is not read from until it has read. */
static void update_pause(struct rpc_peer *peer)
{
        bool over = peer->account.used[RPC_BYTES] >
                    peer->server->config.limits.bytes_per_connection;

        peer->paused = over && peer->out.len > peer->out_sent;
}

void rpc_peer_flush(struct rpc_peer *peer)
{
        while (peer->out_sent < peer->out.len) {
                ssize_t n = send(peer->fd, peer->out.data + peer->out_sent,
                                 peer->out.len - peer->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        rpc_peer_close(peer);
                        return;
                }
                peer->out_sent += (size_t)n;
        }
        output_sent(peer);
        recharge_output(peer);
        update_pause(peer);
        set_events(peer);
        rpc_peer_settle(peer);
}

/* ---- input ---- */

static int scan_code(enum proto_frame_result result)
{
        return result == PROTO_FRAME_E_BYTES || result == PROTO_FRAME_E_DEPTH ? PROTO_TOO_LARGE
                                                                              : PROTO_INVALID_REQUEST;
}

/* The first byte starts no array: somebody who speaks something else.  One readable line. */
static void reject_stranger(struct rpc_peer *peer, const uint8_t *data, size_t len)
{
        static const char http[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
                                   "Content-Length: 58\r\nConnection: close\r\n\r\n"
                                   "this is a msgpack-RPC socket of vmreqd; it speaks no HTTP\n";
        static const char plain[] = "vmreqd: this socket speaks msgpack-RPC: a frame is an array, "
                                    "[0, msgid, method, params]\n";
        static const char *const verbs[] = {"GET ", "PUT ", "POST ", "HEAD ", "DELETE ", "OPTIONS ", "PATCH "};
        const char *answer = plain;

        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (len >= strlen(verbs[i]) && memcmp(data, verbs[i], strlen(verbs[i])) == 0)
                        answer = http;
        proto_put_raw(&peer->out, answer, strlen(answer));
        end(peer);
}

static void reject_frame(struct rpc_peer *peer, enum proto_frame_result result)
{
        static const char *const texts[] = {
                [PROTO_FRAME_E_MALFORMED] = "malformed frame: a byte that msgpack does not define",
                [PROTO_FRAME_E_DEPTH] = "frame nested deeper than 28 levels",
                [PROTO_FRAME_E_BYTES] = "frame larger than the limit, or promises more than fits",
        };

        /* An answer only where it can be addressed. */
        if (peer->frame.has_msgid && peer->frame.has_type && peer->frame.type == 0 &&
            peer->frame.msgid <= UINT32_MAX)
                rpc_reply_error(peer, (uint32_t)peer->frame.msgid, scan_code(result), PROTO_RAN_NO,
                                "%s; the connection is closed", texts[result]);
        else if (!peer->frame.has_msgid && peer->out.len == 0 && peer->n_unanswered == 0)
                proto_put_format(&peer->out, "vmreqd: %s", texts[result]);
        end(peer);
}

/* Whole frames in data[0..len): handles them, at most a turn's worth; returns the bytes used up. */
static size_t handle_frames(struct rpc_peer *peer, uint8_t *data, size_t len)
{
        size_t used = 0;
        unsigned n = 0;

        while (used < len && peer->state == RPC_PEER_OPEN && n < RPC_FRAMES_PER_TURN) {
                enum proto_frame_result result = proto_frame_scan(&peer->frame, data + used, len - used);

                if (result == PROTO_FRAME_MORE)
                        break;
                if (result == PROTO_FRAME_E_NOT_ARRAY)
                        reject_stranger(peer, data + used, len - used);
                else if (result != PROTO_FRAME_DONE)
                        reject_frame(peer, result);
                if (result != PROTO_FRAME_DONE)
                        return len;
                if (!rpc_session_frame(peer, data + used, &peer->frame))
                        end(peer);
                used += peer->frame.pos;
                proto_frame_init(&peer->frame, peer->server->config.limits.frame_bytes);
                n++;
        }
        return used;
}

static bool grow_input(struct rpc_peer *peer, size_t need)
{
        size_t cap = peer->in_cap ? peer->in_cap : 1024;
        const struct rpc_account *over;
        uint8_t *in;

        if (need <= peer->in_cap)
                return true;
        while (cap < need)
                cap *= 2;
        if (!rpc_account_charge(&peer->account, RPC_BYTES, cap - peer->in_cap, &over))
                return false;
        in = realloc(peer->in, cap);
        if (!in) {
                rpc_account_release(&peer->account, RPC_BYTES, cap - peer->in_cap);
                return false;
        }
        peer->in = in;
        peer->in_cap = cap;
        return true;
}

/* A turn is over and bytes are left that may hold whole frames: come back after the others. */
static void enlist_ready(struct rpc_peer *peer)
{
        if (peer->is_ready)
                return;
        peer->is_ready = true;
        TAILQ_INSERT_TAIL(&peer->server->ready, peer, ready_link);
}

/* Keeps data[0..len), which may stand in `in` itself. */
static void keep_input(struct rpc_peer *peer, const uint8_t *data, size_t len)
{
        if (len == 0) {
                peer->in_len = 0;
                if (peer->in_cap)
                        drop_input(peer);
                return;
        }
        if (peer->in && data >= peer->in && data < peer->in + peer->in_cap) {
                memmove(peer->in, data, len);
                peer->in_len = len;
                return;
        }
        if (!grow_input(peer, len)) {
                rpc_peer_close(peer);
                return;
        }
        memcpy(peer->in, data, len);
        peer->in_len = len;
}

/* Has the client gone, or has it only stopped sending? */
static bool is_hung_up(const struct rpc_peer *peer)
{
        struct pollfd p = {.fd = peer->fd, .events = 0};

        return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* All bytes before the end of file are handled. */
static void input_ended(struct rpc_peer *peer)
{
        if (peer->state != RPC_PEER_OPEN)
                return;
        if (is_hung_up(peer)) {
                rpc_peer_close(peer);
                return;
        }
        peer->state = RPC_PEER_HALF;
        drop_input(peer); /* a frame that was cut short will not be completed */
        set_events(peer);
        if (!peer->is_dirty)
                rpc_peer_settle(peer);
}

static void handle_input(struct rpc_peer *peer, uint8_t *data, size_t len)
{
        size_t used = handle_frames(peer, data, len);
        bool again = used < len && peer->state == RPC_PEER_OPEN && peer->frame.pos == 0 && used > 0;

        if (peer->state != RPC_PEER_OPEN && peer->state != RPC_PEER_HALF)
                used = len;
        keep_input(peer, data + used, len - used);
        if (peer->state == RPC_PEER_CLOSING)
                return;
        /* Either the turn's number of frames is reached, or what is left is the beginning of one. */
        if (again)
                enlist_ready(peer);
        else if (peer->eof)
                input_ended(peer);
        if (peer->state != RPC_PEER_CLOSING)
                set_events(peer);
}

void rpc_peer_resume(struct rpc_peer *peer)
{
        TAILQ_REMOVE(&peer->server->ready, peer, ready_link);
        peer->is_ready = false;
        handle_input(peer, peer->in, peer->in_len);
}

/* One read.  False: nothing more to be had now. */
static bool read_some(struct rpc_peer *peer)
{
        uint8_t *data = peer->server->scratch;
        size_t room = RPC_READ_BYTES, before = peer->in_len;
        ssize_t n;

        if (before) {
                if (!grow_input(peer, MIN(before + RPC_READ_BYTES, MAX(before * 2, (size_t)1024)))) {
                        rpc_peer_close(peer);
                        return false;
                }
                data = peer->in;
                room = MIN(peer->in_cap - before, (size_t)RPC_READ_BYTES);
        }
        do {
                n = recv(peer->fd, data + before, room, MSG_DONTWAIT);
        } while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN)
                return false;
        if (n < 0) {
                rpc_peer_close(peer);
                return false;
        }
        if (n == 0)
                peer->eof = true;
        handle_input(peer, data, before + (size_t)n);
        return n > 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
        struct rpc_peer *peer = poll->data;

        if (status < 0) {
                rpc_peer_close(peer);
                return;
        }
        if (events & UV_WRITABLE)
                rpc_peer_flush(peer);
        if (peer->state == RPC_PEER_OPEN && (events & UV_READABLE))
                (void)read_some(peer);
        if (peer->state == RPC_PEER_CLOSING || (events & (UV_READABLE | UV_WRITABLE)))
                return;
        /* A hang-up and nothing else. */
        if (!is_hung_up(peer))
                return;
        if (peer->state != RPC_PEER_OPEN) {
                rpc_peer_close(peer);
                return;
        }
        /* Its reads had stopped.  It reads nothing any more; what it sent before is still to be handled. */
        proto_builder_reset(&peer->out);
        peer->out_sent = 0;
        rpc_peer_flush(peer);
}

void rpc_peer_drain_input(struct rpc_peer *peer)
{
        if (peer->state != RPC_PEER_OPEN)
                return;
        (void)shutdown(peer->fd, SHUT_RD);
        /* Bounded by what the kernel holds: the reading side is shut. */
        while (peer->state == RPC_PEER_OPEN && !peer->eof)
                if (!read_some(peer) && !peer->eof)
                        break;
        while (peer->is_ready && peer->state == RPC_PEER_OPEN)
                rpc_peer_resume(peer);
}
