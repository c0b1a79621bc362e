/* SPDX-License-Identifier: MIT */
/*
 * One connection.
 *
 * In: a readable socket is read once per turn, at most turn_bytes, into the server's scratch
 * buffer when the peer has nothing left over, so that an idle connection holds no buffer.  Whole
 * frames are handled where they stand; the rest is kept, and grows with what has really arrived,
 * never with what a header promises.  After turn_frames frames the peer goes to the ready
 * list and others come first.  A frame for which its uid or the daemon has no bytes left is refused
 * and passed over.
 *
 * Out: answers are appended to one buffer and written once per turn.  What a client does not read
 * is bounded: over its share of bytes its reads stop; a result that does not fit either is dropped
 * and said so (BUSY, ran: yes); that notice is small, and there are at most calls_per_connection of
 * them.  Over its uid's share or the daemon's, a connection with unread answers is treated alike,
 * but for a reserve that keeps the broker's own methods working.
 *
 * The end: after end of file and all its bytes, a hung-up socket means that the peer is gone, and
 * its calls are cancelled; one that is only half closed (`socat -t`, `printf | nc`) gets its
 * answers first.  A client may be gone while bytes of it stand unread: then it is not polled any
 * more, and read to the end in turns, without answers.
 *
 * libuv's stream is not used for the bytes: it would read up to 32 buffers from one peer in one
 * turn, and allocates per write.  uv_poll leaves both to us.
 */
#include "rpc/peer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/macros.h"
#include "proto/message.h"
#include "proto/small.h"
#include "rpc/admit.h"
#include "rpc/call.h"
#include "rpc/input.h"
#include "rpc/limits.h"
#include "rpc/peer-reject.h"
#include "rpc/reply.h"
#include "rpc/session.h"
#include "rpc/stall.h"
#include "rpc/stream.h"
#include "rpc/turn.h"

/* A buffer that grew beyond this is given back when it is empty. */
#define KEEP_BYTES 4096u

/* Unread answers that a connection may have whatever its uid and the daemon hold. */
#define RESERVE_BYTES (64u << 10)

/* What is thrown away of the input of a peer that is being closed for an error, so that it can read
 * why. */
#define DISCARD_BYTES (1u << 20)

/* Looking at so many things (calls, symbols) takes as long as a small frame. */
#define SPENT_PER_FRAME 64u

static void on_poll(uv_poll_t *poll, int status, int events);

/* ---- life ---- */

static void refuse(struct rpc_server *server, const char *why)
{
        uint64_t missed;

        if (log_limit_pass(&server->refused_log, 10, vmreq_now(), &missed))
                log_line(LOG_L_WARNING, "connection refused: %s", why);
}

static void set_events(struct rpc_peer *peer)
{
        /* PRIORITIZED never comes on a Unix socket: it keeps hang-ups reported while nothing else
         * is wanted. */
        int events = UV_PRIORITIZED;

        if (peer->state == RPC_PEER_CLOSING || peer->gone)
                return;
        /* Of one that is ready too: while it is, the loop does not sleep, and a look costs less
         * than telling the kernel twice. */
        if (peer->state == RPC_PEER_OPEN && !peer->paused)
                events |= UV_READABLE;
        if (peer->out.len > peer->out_sent)
                events |= UV_WRITABLE;
        if (events == peer->poll_events)
                return;
        peer->poll_events = events;
        CHECK(uv_poll_start(&peer->poll, events, on_poll) == 0);
}

void rpc_peer_begin_frame(struct rpc_peer *peer)
{
        const struct rpc_limits *limits = &peer->server->config.limits;

        proto_frame_init(&peer->frame, limits->frame_bytes);
        peer->frame.depth_max = (unsigned)limits->depth;
}

void rpc_peer_change_limits(struct rpc_peer *peer)
{
        rpc_account_change(&peer->server->quota, &peer->account);
        /* Never less: what is unread may be more, and answers that are owed come behind it. */
        peer->out.bytes_max =
                MAX(peer->out.bytes_max, rpc_limits_output(&peer->server->config.limits));
}

/* Who it is, and whether it may stay.  False: logged, and nothing is left. */
static bool admit(struct rpc_peer *peer)
{
        struct rpc_server *server = peer->server;

        if (rpc_identity_read(peer->fd, &peer->identity)) {
                refuse(server, "its credentials cannot be read");
                return false;
        }
        peer->rights = rpc_rights_get(&server->policy, &peer->identity);
        if (!peer->rights) {
                refuse(server, "out of memory");
                rpc_identity_deinit(&peer->identity);
                return false;
        }
        if (rpc_admit(peer))
                return true;
        rpc_rights_put(peer->rights);
        return false;
}

static void give_up(struct rpc_peer *peer)
{
        rpc_admit_spoke(peer);
        rpc_quota_close(&peer->server->quota, &peer->account);
        rpc_rights_put(peer->rights);
}

struct rpc_peer *rpc_peer_new(struct rpc_server *server, int fd)
{
        struct rpc_peer *peer = calloc(1, sizeof(*peer));

        if (!peer) {
                refuse(server, "out of memory");
                goto fail;
        }
        peer->server = server;
        peer->fd = fd;
        if (!admit(peer))
                goto fail;
        if (uv_poll_init(&server->loop, &peer->poll, fd)) {
                refuse(server, "out of memory");
                give_up(peer);
                goto fail;
        }
        peer->poll.data = peer;
        peer->number = ++server->next_id;
        proto_builder_init(&peer->out, rpc_limits_output(&server->config.limits));
        rpc_peer_begin_frame(peer);
        TAILQ_INIT(&peer->calls);
        LIST_INIT(&peer->waiters);
        TAILQ_INIT(&peer->streams);
        TAILQ_INIT(&peer->rows);
        TAILQ_INSERT_TAIL(&server->peers, peer, link);
        server->n_peers++;
        server->counted.peers++;
        set_events(peer);
        return peer;
fail:
        server->counted.peers_refused++;
        free(peer);
        (void)close(fd);
        return NULL;
}

static void on_closed(uv_handle_t *handle)
{
        struct rpc_peer *peer = handle->data;

        free(peer);
}

static void recharge_output(struct rpc_peer *peer)
{
        uint64_t held = peer->out.cap;

        if (held == peer->out_charged)
                return;
        if (held > peer->out_charged)
                rpc_account_force(&peer->account, RPC_BYTES, held - peer->out_charged);
        else
                rpc_account_release(&peer->account, RPC_BYTES, peer->out_charged - held);
        peer->out_charged = held;
}

static void leave_ready(struct rpc_peer *peer)
{
        if (!peer->is_ready)
                return;
        peer->is_ready = false;
        peer->server->n_ready--;
        TAILQ_REMOVE(&peer->server->ready, peer, ready_link);
}

static void unlist(struct rpc_peer *peer)
{
        struct rpc_server *server = peer->server;

        if (peer->is_dirty)
                TAILQ_REMOVE(&server->dirty, peer, dirty_link);
        leave_ready(peer);
        peer->is_dirty = false;
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
        rpc_events_forget(peer);
        rpc_modules_forget(peer);
        proto_builder_deinit(&peer->out);
        recharge_output(peer);
        rpc_input_drop(peer);
        give_up(peer);
        /* In this order: libuv takes the descriptor out of its set once more, and another thread
         * may have the number by then. */
        uv_close((uv_handle_t *)&peer->poll, on_closed);
        (void)close(peer->fd);
        peer->fd = -1;
}

/* Throws away what still stands in the socket: closing with unread input would take our last words
 * with it. */
static void discard_input(struct rpc_peer *peer)
{
        size_t n = 0;
        ssize_t r;

        (void)shutdown(peer->fd, SHUT_WR);
        do {
                r = recv(peer->fd, peer->server->scratch, RPC_TURN_BYTES_MAX, MSG_DONTWAIT);
                n += r > 0 ? (size_t)r : 0;
        } while ((r > 0 && n < DISCARD_BYTES) || (r < 0 && errno == EINTR));
}

void rpc_peer_end(struct rpc_peer *peer)
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
        } else if (peer->state == RPC_PEER_HALF && flushed && peer->n_unanswered == 0 &&
                   !peer->is_ready) {
                rpc_peer_close(peer);
        }
}

/* ---- output ---- */

void rpc_peer_touch(struct rpc_peer *peer)
{
        if (peer->state == RPC_PEER_CLOSING)
                return;
        recharge_output(peer);
        if (peer->is_dirty)
                return;
        peer->is_dirty = true;
        TAILQ_INSERT_TAIL(&peer->server->dirty, peer, dirty_link);
}

static bool has_unread(const struct rpc_peer *peer)
{
        return peer->out.len > peer->out_sent;
}

const struct rpc_account *rpc_peer_over(const struct rpc_peer *peer, size_t n)
{
        uint64_t more = peer->out.cap - MIN(peer->out.cap, peer->out_charged) + n;
        uint64_t unread = peer->out.len - peer->out_sent + n;

        if (unread > peer->account.max[RPC_BYTES])
                return &peer->account;
        if (unread <= RESERVE_BYTES)
                return NULL;
        for (const struct rpc_account *a = peer->account.parent; a; a = a->parent)
                if (a->used[RPC_BYTES] + more > a->max[RPC_BYTES])
                        return a;
        return NULL;
}

size_t rpc_peer_room(const struct rpc_peer *peer)
{
        size_t most = peer->server->config.limits.frame_bytes / 2,
               unread = peer->out.len - peer->out_sent;

        if (!rpc_peer_over(peer, most))
                return most;
        return MIN(most, RESERVE_BYTES - MIN(unread, (size_t)RESERVE_BYTES));
}

void rpc_peer_spend(struct rpc_peer *peer, uint64_t n)
{
        peer->spent += n;
}

static void drop_output(struct rpc_peer *peer)
{
        proto_builder_deinit(&peer->out);
        peer->out_sent = 0;
        recharge_output(peer);
}

/* Gives back what a large answer, sent in part or dropped, has left unused. */
static void shrink_output(struct rpc_peer *peer)
{
        struct proto_builder *out = &peer->out;
        uint8_t *data;

        if (out->cap <= KEEP_BYTES || out->cap / 4 <= out->len)
                return;
        data = realloc(out->data, MAX(out->len, (size_t)KEEP_BYTES));
        if (!data)
                return; /* the larger block is still good */
        out->data = data;
        out->cap = MAX(out->len, (size_t)KEEP_BYTES);
}

static void output_sent(struct rpc_peer *peer)
{
        size_t left = peer->out.len - peer->out_sent;

        if (left == 0 && peer->out.cap > KEEP_BYTES) {
                drop_output(peer);
                return;
        }
        if (peer->out_sent >= left && (left == 0 || peer->out_sent > KEEP_BYTES)) {
                if (left)
                        memmove(peer->out.data, peer->out.data + peer->out_sent, left);
                proto_builder_rollback(&peer->out, left);
                peer->out_sent = 0;
        }
        shrink_output(peer);
        recharge_output(peer);
}

/* Will some of what it holds be given back without its being read from? */
static bool awaits_relief(const struct rpc_peer *peer)
{
        const struct rpc_call *call;

        if (has_unread(peer))
                return true;
        TAILQ_FOREACH (call, &peer->calls, peer_link)
                if (!call->finished)
                        return true;
        return false;
}

static bool is_over(const struct rpc_account *account)
{
        return account && account->used[RPC_BYTES] > account->max[RPC_BYTES];
}

/* Over its share of bytes a connection is not read from until it has read, or calls of it have
 * ended; over the others' shares, until it has read. */
static void update_pause(struct rpc_peer *peer)
{
        const struct rpc_account *uid = peer->account.parent;

        if (peer->account.used[RPC_BYTES] > peer->server->config.limits.bytes_per_connection)
                peer->paused = !peer->gone && awaits_relief(peer);
        else
                peer->paused =
                        !peer->gone && has_unread(peer) && (is_over(uid) || is_over(uid->parent));
}

/* A turn is over and bytes are left that may hold whole frames, here or in the socket: come back
 * after the others. */
static void enlist_ready(struct rpc_peer *peer)
{
        if (peer->is_ready)
                return;
        peer->is_ready = true;
        peer->server->n_ready++;
        TAILQ_INSERT_TAIL(&peer->server->ready, peer, ready_link);
}

/* The client reads nothing any more.  What it sent before is still to be handled, in turns; see
 * rpc_peer_resume. */
static void lose(struct rpc_peer *peer)
{
        if (peer->state != RPC_PEER_OPEN) {
                rpc_peer_close(peer);
                return;
        }
        if (peer->gone)
                return;
        peer->gone = true;
        peer->paused = false;
        (void)uv_poll_stop(&peer->poll);
        drop_output(peer);
        enlist_ready(peer);
}

void rpc_peer_flush(struct rpc_peer *peer)
{
        if (peer->gone)
                drop_output(peer);
        while (peer->out_sent < peer->out.len) {
                ssize_t n = send(peer->fd, peer->out.data + peer->out_sent,
                                 peer->out.len - peer->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        lose(peer);
                        return;
                }
                peer->out_sent += (size_t)n;
        }
        output_sent(peer);
        rpc_streams_resume(peer);
        rpc_rows_resume(peer);
        rpc_events_resume(peer);
        update_pause(peer);
        set_events(peer);
        rpc_peer_settle(peer);
}

/* ---- input ---- */

/* A short frame that is there as a whole: one pass.  MORE: it is none. */
static enum proto_frame_result handle_small(struct rpc_peer *peer, const uint8_t *data, size_t len)
{
        const struct proto_value *root = NULL;

        if (peer->frame.pos == 0)
                root = proto_small_decode(&peer->server->arena, &peer->frame, data, len);
        if (!root)
                return PROTO_FRAME_MORE;
        rpc_admit_spoke(peer);
        if (!rpc_session_message(peer, data, &peer->frame, root))
                rpc_peer_end(peer);
        return PROTO_FRAME_DONE;
}

static enum proto_frame_result handle_any(struct rpc_peer *peer, const uint8_t *data, size_t len)
{
        enum proto_frame_result result = proto_frame_scan(&peer->frame, data, len);

        if (result != PROTO_FRAME_DONE)
                return result;
        rpc_admit_spoke(peer);
        if (!rpc_session_frame(peer, data, &peer->frame))
                rpc_peer_end(peer);
        return result;
}

/* Whole frames in data[0..len): handles them, at most a turn's worth; returns the bytes used up. */
static size_t handle_frames(struct rpc_peer *peer, uint8_t *data, size_t len)
{
        uint64_t began_ns = rpc_turn_begin(peer);
        size_t used = 0;
        unsigned n = 0;

        /* One look at the clock for all of them: they have been here since. */
        peer->server->input_ns = began_ns ? began_ns : clock_now_ns();
        peer->spent = 0;
        if (peer->passing)
                used = rpc_input_pass_over(peer, data, len);
        while (used < len && peer->state == RPC_PEER_OPEN && !peer->passing &&
               n + peer->spent / SPENT_PER_FRAME < peer->server->config.limits.turn_frames &&
               !rpc_turn_is_used_up(peer->server, n, began_ns)) {
                enum proto_frame_result result = handle_small(peer, data + used, len - used);

                if (result == PROTO_FRAME_MORE)
                        result = handle_any(peer, data + used, len - used);
                if (result == PROTO_FRAME_MORE)
                        break;
                if (result == PROTO_FRAME_E_NOT_ARRAY)
                        rpc_peer_reject_stranger(peer, data + used, len - used);
                else if (result != PROTO_FRAME_DONE)
                        rpc_peer_reject_frame(peer, result);
                if (result != PROTO_FRAME_DONE) {
                        used = len;
                        break;
                }
                used += peer->frame.pos;
                rpc_peer_begin_frame(peer);
                n++;
        }
        peer->server->input_ns = 0;
        if (peer->state != RPC_PEER_CLOSING)
                rpc_turn_end(peer, n, began_ns);
        return used;
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
        if (peer->gone || is_hung_up(peer)) {
                rpc_peer_close(peer);
                return;
        }
        peer->state = RPC_PEER_HALF;
        rpc_input_drop(peer); /* a frame that was cut short will not be completed */
        set_events(peer);
        if (!peer->is_dirty)
                rpc_peer_settle(peer);
}

static void handle_input(struct rpc_peer *peer, uint8_t *data, size_t len)
{
        bool was_passing = peer->passing;
        size_t used = handle_frames(peer, data, len);
        bool again = used < len && peer->state == RPC_PEER_OPEN && peer->frame.pos == 0 &&
                     used > 0 && !peer->passing;

        if (peer->state != RPC_PEER_OPEN && peer->state != RPC_PEER_HALF)
                used = len;
        rpc_input_keep(peer, used < len ? data + used : NULL, len - used);
        if (peer->state == RPC_PEER_CLOSING)
                return;
        /* Either the turn's number of frames is reached, or what is left is the beginning of one.
         */
        if (again)
                enlist_ready(peer);
        else if (peer->eof)
                input_ended(peer);
        if (peer->state == RPC_PEER_CLOSING)
                return;
        rpc_stall_watch(peer, used > 0 && !(was_passing && peer->passing));
        update_pause(peer);
        set_events(peer);
}

/* One read.  False: nothing more to be had now. */
static bool read_some(struct rpc_peer *peer)
{
        uint8_t *data = peer->server->scratch;
        size_t turn_bytes = peer->server->config.limits.turn_bytes, room = turn_bytes,
               before = peer->in_len;
        ssize_t n;

        if (before &&
            !rpc_input_room(peer, MIN(before + turn_bytes, MAX(before * 2, (size_t)1024))))
                return false;
        before = peer->in_len;
        if (peer->passing && before) {
                memcpy(data, peer->in, before);
                room -= before;
        } else if (before) {
                data = peer->in;
                room = MIN(peer->in_cap - before, turn_bytes);
        }
        do {
                n = recv(peer->fd, data + before, room, MSG_DONTWAIT);
        } while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN && !peer->gone)
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

void rpc_peer_resume(struct rpc_peer *peer)
{
        leave_ready(peer);
        if (peer->in_len || peer->gone)
                handle_input(peer, peer->in, peer->in_len);
        else if (peer->state == RPC_PEER_OPEN && !peer->paused)
                (void)read_some(peer);
        if (peer->gone && peer->state == RPC_PEER_OPEN && !peer->is_ready) {
                (void)read_some(peer);
                if (peer->state == RPC_PEER_OPEN)
                        enlist_ready(peer);
        }
        if (peer->state == RPC_PEER_CLOSING)
                return;
        set_events(peer);
        if (!peer->is_dirty)
                rpc_peer_settle(peer);
}

/* The client has sent something. */
static void on_readable(struct rpc_peer *peer)
{
        if (peer->is_ready)
                return; /* its turn comes */
        if (rpc_turn_must_wait(peer))
                enlist_ready(peer);
        else
                (void)read_some(peer);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
        struct rpc_peer *peer = poll->data;

        if (status < 0) { /* it went with answers unread, or worse */
                lose(peer);
                return;
        }
        if (events & UV_WRITABLE)
                rpc_peer_flush(peer);
        if (peer->state == RPC_PEER_OPEN && !peer->gone && (events & UV_READABLE))
                on_readable(peer);
        if (peer->state == RPC_PEER_CLOSING || peer->gone || (events & (UV_READABLE | UV_WRITABLE)))
                return;
        /* Neither is asked for, so this may be a hang-up. */
        if (is_hung_up(peer))
                lose(peer);
}

void rpc_peer_drain_input(struct rpc_peer *peer)
{
        if (peer->state != RPC_PEER_OPEN)
                return;
        (void)shutdown(peer->fd, SHUT_RD);
        /* Bounded by what the kernel holds: the reading side is shut. */
        while (peer->state == RPC_PEER_OPEN && (peer->is_ready || !peer->eof)) {
                if (peer->is_ready)
                        rpc_peer_resume(peer); /* first what is here */
                else if (!read_some(peer) && !peer->eof)
                        break;
        }
}
