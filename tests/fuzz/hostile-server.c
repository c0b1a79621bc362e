/* SPDX-License-Identifier: MIT */
/*
 * The server's end of the socket.  It moves when the input says so: between two functions of the
 * library, and in the middle of one, whenever that polls - this program's poll takes the place of
 * libc's.  There the server does one thing of the input; when the input is used up, time passes,
 * and a wait without limit is ended by hanging up.  So no wait of the library takes any time, and
 * an input does the same each time.
 */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/message.h"

/* What the server has to say and could not yet. */
#define OUT_BYTES_MAX (320u << 10)

/* Turns of one input; more is a wait that does not end. */
#define TURNS_MAX 200000u

#define NS_PER_MS 1000000ull

static struct hostile *present;
static unsigned n_turns;

/* ---- sockets ---- */

static char listen_path[64];

static void forget_path(void)
{
        (void)unlink(listen_path);
}

const char *hostile_path(void)
{
        return listen_path;
}

static int listen_there(void)
{
        static int fd = -1;
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (fd >= 0)
                return fd;
        (void)snprintf(listen_path, sizeof(listen_path), "/tmp/vmreq-fuzz-client-%d.sock",
                       (int)getpid());
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", listen_path);
        (void)unlink(listen_path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        FUZZ_CHECK(fd >= 0);
        FUZZ_CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
        FUZZ_CHECK(atexit(forget_path) == 0 && listen(fd, 4) == 0);
        return fd;
}

/* As little as the kernel allows: who does not read is felt at once. */
static void make_small(int fd)
{
        int least = 1;

        FUZZ_CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)) == 0);
}

int hostile_pair(struct hostile *h)
{
        int fds[2];

        FUZZ_CHECK(h->fd < 0);
        FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        make_small(fds[0]);
        make_small(fds[1]);
        h->fd = fds[0];
        return fds[1];
}

/* Whoever connected. */
static void take_connection(struct hostile *h)
{
        if (h->fd >= 0 || h->listen_fd < 0)
                return;
        h->fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (h->fd >= 0)
                make_small(h->fd);
}

void hostile_end(struct hostile *h)
{
        take_connection(h);
        if (h->fd >= 0)
                (void)shutdown(h->fd, SHUT_WR);
        h->has_ended = true;
}

void hostile_close(struct hostile *h)
{
        take_connection(h);
        if (h->fd >= 0)
                (void)close(h->fd);
        h->fd = -1;
        h->has_ended = true;
}

/* ---- bytes ---- */

void hostile_flush(struct hostile *h)
{
        size_t left = h->out.len - h->out_sent;
        ssize_t n;

        take_connection(h);
        if (h->fd < 0 || h->has_ended || left == 0)
                return;
        /* Of much, larger pieces: an input should not take a second. */
        if (h->piece && left > h->piece * (1 + h->out.len / 2048))
                left = h->piece * (1 + h->out.len / 2048);
        n = send(h->fd, h->out.data + h->out_sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
                return;
        hostile_said(h, h->out.data + h->out_sent, (size_t)n);
        h->out_sent += (size_t)n;
        if (h->out_sent < h->out.len)
                return;
        proto_builder_reset(&h->out);
        h->out_sent = 0;
}

static void take_frames(struct hostile *h)
{
        size_t at = 0;

        while (at < h->in.len) {
                enum proto_frame_result result =
                        proto_frame_scan(&h->in_frame, h->in.data + at, h->in.len - at);

                if (result == PROTO_FRAME_MORE)
                        break;
                FUZZ_CHECK(result == PROTO_FRAME_DONE);
                hostile_arrived(h, h->in.data + at, h->in_frame.pos);
                at += h->in_frame.pos;
                proto_frame_init(&h->in_frame, h->frame_bytes_max);
        }
        memmove(h->in.data, h->in.data + at, h->in.len - at);
        proto_builder_rollback(&h->in, h->in.len - at);
}

void hostile_read(struct hostile *h)
{
        uint8_t buffer[16384];
        ssize_t n;

        take_connection(h);
        while (h->fd >= 0) {
                n = recv(h->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
                if (n <= 0)
                        return;
                proto_put_raw(&h->in, buffer, (size_t)n);
                FUZZ_CHECK(!h->in.error);
                take_frames(h);
        }
}

/* ---- what it says ---- */

/* The next value of the input; where there is none, nil. */
static void put_value(struct hostile *h, struct proto_builder *out)
{
        size_t n = proto_frame_skip(h->input.data, h->input.len, 0);
        struct fuzz_input value = fuzz_take(&h->input, n);

        if (n)
                proto_put_raw(out, value.data, value.len);
        else
                proto_put_nil(out);
}

/* A call that the server knows, or may guess. */
static uint32_t draw_msgid(struct hostile *h)
{
        uint8_t which = fuzz_byte(&h->input);

        return h->n_calls ? h->calls[h->n_calls - 1 - which % h->n_calls].msgid : 1u << 16 | which;
}

static void put_reply(struct hostile *h, bool failed)
{
        proto_put_response(&h->out, draw_msgid(h));
        if (failed) {
                put_value(h, &h->out);
                proto_put_nil(&h->out);
        } else {
                proto_put_nil(&h->out);
                put_value(h, &h->out);
        }
}

static void put_all_replies(struct hostile *h)
{
        for (size_t i = 0; i < h->n_calls; i++) {
                const struct hostile_call *call = &h->calls[i];

                if (call->answered || call->link != h->link || call->fate == HOSTILE_TAKEN)
                        continue;
                proto_put_response(&h->out, call->msgid);
                proto_put_nil(&h->out);
                proto_put_uint(&h->out, i);
        }
}

/* A result of up to 255 KiB. */
static void put_large(struct hostile *h)
{
        static const uint8_t bytes[255u << 10];

        proto_put_response(&h->out, draw_msgid(h));
        proto_put_nil(&h->out);
        proto_put_bin(&h->out, bytes, (size_t)fuzz_byte(&h->input) << 10);
}

/* To the call that waits for its greeting. */
static void put_greeting(struct hostile *h)
{
        hostile_read(h);
        proto_put_response(&h->out, h->n_calls ? h->calls[h->n_calls - 1].msgid : 1u << 16);
        proto_put_nil(&h->out);
        proto_put_map(&h->out, 1);
        proto_put_text(&h->out, "name");
        proto_put_text(&h->out, "vm1");
}

static void put_piece(struct hostile *h, bool is_row)
{
        uint32_t msgid = draw_msgid(h);
        const struct hostile_call *call = hostile_find(h, msgid);

        proto_put_notify(&h->out, is_row ? "vmreq.row" : "vmreq.chunk", is_row ? 2 : 3);
        proto_put_uint(&h->out, msgid);
        if (!is_row)
                proto_put_uint(&h->out, call ? call->n_chunks : 0);
        put_value(h, &h->out);
}

static void put_completed(struct hostile *h, bool failed)
{
        proto_put_notify(&h->out, "vmreq.completed", 3);
        proto_put_uint(&h->out, fuzz_byte(&h->input));
        if (failed)
                put_value(h, &h->out);
        else
                proto_put_nil(&h->out);
        put_value(h, &h->out);
}

static void put_event(struct hostile *h)
{
        static const char *const topics[] = {"vm.state", "emt.stuck", "request", ""};

        proto_put_notify(&h->out, "vmreq.event", 2);
        proto_put_text(&h->out, topics[fuzz_byte(&h->input) % 4]);
        put_value(h, &h->out);
}

static void put_bytes(struct hostile *h, size_t n)
{
        struct fuzz_input piece = fuzz_take(&h->input, n);

        proto_put_raw(&h->out, piece.data, piece.len);
}

/* Puts what it has to say behind the rest.  False: something else is its turn. */
static bool speak(struct hostile *h, uint8_t op)
{
        switch (op & 15) {
        case 0:
                put_value(h, &h->out);
                return true;
        case 1:
                put_bytes(h, fuzz_byte(&h->input));
                return true;
        case 2:
        case 3:
                put_reply(h, op & 1);
                return true;
        case 4:
                if (op & 0x80)
                        put_large(h);
                else
                        put_all_replies(h);
                return true;
        case 5:
                put_greeting(h);
                return true;
        case 6:
        case 7:
                put_piece(h, op & 1);
                return true;
        case 8:
        case 9:
                put_completed(h, op & 1);
                return true;
        case 10:
                put_event(h);
                return true;
        default:
                return false;
        }
}

/* Says the same a few times more. */
static void repeat(struct hostile *h, size_t mark, unsigned times)
{
        size_t len = h->out.len - mark;
        uint8_t *copy = len ? malloc(len) : NULL;

        if (len == 0)
                return;
        FUZZ_CHECK(copy);
        memcpy(copy, h->out.data + mark, len);
        while (times-- > 0)
                proto_put_raw(&h->out, copy, len);
        free(copy);
}

static void act(struct hostile *h, uint8_t op)
{
        switch (op & 15) {
        case 11:
                h->piece = fuzz_byte(&h->input);
                break;
        case 12:
                h->is_deaf = !h->is_deaf;
                break;
        case 13:
                hostile_end(h);
                break;
        case 14:
                if (h->is_deaf)
                        h->is_blind = true;
                else
                        hostile_read(h);
                hostile_close(h);
                break;
        default:
                fuzz_pass((uint64_t)fuzz_byte(&h->input) * NS_PER_MS / 16);
                break;
        }
}

void hostile_serve(struct hostile *h, uint8_t op)
{
        size_t mark = h->out.len;

        take_connection(h);
        if (!h->is_deaf)
                hostile_read(h);
        if (speak(h, op)) {
                if (h->out.error) /* enough said */
                        proto_builder_rollback(&h->out, mark);
                else if (op & 0x20)
                        repeat(h, mark, op >> 6 & 3 ? 3 : 40);
                if (h->out.error)
                        proto_builder_rollback(&h->out, mark);
        } else {
                act(h, op);
        }
        hostile_flush(h);
}

/* ---- the library waits ---- */

void hostile_set_present(struct hostile *h)
{
        present = h;
        n_turns = 0;
        if (!h)
                return;
        proto_builder_init(&h->out, OUT_BYTES_MAX);
        proto_builder_init(&h->in, SIZE_MAX);
        proto_builder_init(&h->said, SIZE_MAX);
        proto_frame_init(&h->in_frame, h->frame_bytes_max);
        proto_frame_init(&h->said_frame, h->frame_bytes_max);
        if (h->listen_fd < 0)
                return;
        h->listen_fd = listen_there();
        for (take_connection(h); h->fd >= 0; take_connection(h)) { /* of the input before */
                (void)close(h->fd);
                h->fd = -1;
        }
}

static int poll_now(struct pollfd *fds, nfds_t n, int timeout_ms)
{
        struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

        return (int)syscall(SYS_ppoll, fds, n, timeout_ms < 0 ? NULL : &limit, NULL, 0);
}

/* Nothing is there for the library: what happens meanwhile. */
static void turn(struct hostile *h, int timeout_ms)
{
        FUZZ_CHECK(++n_turns < TURNS_MAX);
        if (!h->is_deaf)
                hostile_read(h);
        if (h->fd >= 0 && !h->has_ended && h->out.len > h->out_sent)
                hostile_flush(h);
        else if (h->input.len > 0)
                hostile_serve(h, fuzz_byte(&h->input));
        else if (timeout_ms >= 0)
                fuzz_pass((uint64_t)timeout_ms * NS_PER_MS);
        else
                hostile_close(h);
}

/* The library's only way to wait. */
__attribute__((visibility("default"))) int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
        uint64_t end = fuzz_now() + (timeout_ms < 0 ? 0 : (uint64_t)timeout_ms * NS_PER_MS);
        int ready;

        if (!present)
                return poll_now(fds, n, timeout_ms);
        FUZZ_CHECK(n == 1);
        for (;;) {
                ready = poll_now(fds, n, 0);
                if (ready != 0 || (timeout_ms >= 0 && fuzz_now() >= end))
                        return ready;
                /* Whoever waits without limit is told when the other end is gone. */
                FUZZ_CHECK(timeout_ms >= 0 || !present->has_ended);
                turn(present, timeout_ms < 0 ? -1 : (int)((end - fuzz_now()) / NS_PER_MS + 1));
        }
}
