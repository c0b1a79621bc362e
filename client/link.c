/* SPDX-License-Identifier: MIT */
/*
 * The descriptor's side of the client library: bytes ⇄ frames.
 *
 * Below client.c, above proto/frame (the scanner) and proto/builder (the output).  Runs on the
 * caller's thread.
 *
 *   1. Nothing here waits, except client_link_open, which has a deadline.
 *   2. Input memory never exceeds the frame cap plus one read: the scanner refuses a frame that
 *      announces more, so a peer cannot make the buffer grow by promising, only by sending.
 *   3. A write that fails does not end the connection: a server that refuses a frame answers, then
 *      closes, and that answer is still to be read.  End of file is what ends it.
 *   4. Bytes leave in order and whole frames only are queued, so a frame is never torn by us.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/link.h"

#define READ_BYTES ((size_t)64 << 10) /* of one read; also what stays allocated between frames */
#define NS_PER_S   UINT64_C(1000000000)

uint64_t client_now(void)
{
        struct timespec now;

        if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
                return 0; /* cannot fail on Linux */
        return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t client_deadline(uint64_t wait_ns)
{
        uint64_t now = client_now();

        return wait_ns > UINT64_MAX - now ? UINT64_MAX : now + wait_ns;
}

uint64_t client_left(uint64_t deadline_ns)
{
        uint64_t now;

        if (deadline_ns == UINT64_MAX)
                return UINT64_MAX;
        now = client_now();
        return now >= deadline_ns ? 0 : deadline_ns - now;
}

/*
 * A full backlog makes a non-blocking connect on a Unix socket fail, and no poll tells when to try
 * again; the send timeout bounds a blocking one.  0 there means no limit, hence the microsecond.
 */
static int limit_connect(int fd, uint64_t left_ns)
{
        struct timeval limit = {0, 0};

        if (left_ns != UINT64_MAX) {
                limit.tv_sec = (time_t)(left_ns / NS_PER_S);
                limit.tv_usec = (suseconds_t)(left_ns % NS_PER_S / 1000);
                if (limit.tv_sec == 0 && limit.tv_usec == 0)
                        limit.tv_usec = 1;
        }
        return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ? -errno : 0;
}

static int connect_until(int fd, const struct sockaddr_un *address, uint64_t deadline_ns)
{
        int r;

        for (;;) {
                r = limit_connect(fd, client_left(deadline_ns));
                if (r < 0)
                        return r;
                if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
                        return 0;
                if (errno == EAGAIN)
                        return -ETIMEDOUT;
                if (errno != EINTR)
                        return -errno;
                if (client_left(deadline_ns) == 0)
                        return -ETIMEDOUT;
        }
}

int client_link_open(const char *path, uint64_t deadline_ns, int *ret_fd)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t len = strlen(path);
        int fd, r;

        if (len == 0)
                return -ENOENT;
        if (len >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, len);

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        r = connect_until(fd, &address, deadline_ns);
        if (r < 0) {
                (void)close(fd); /* nothing was written to it */
                return r;
        }
        *ret_fd = fd;
        return 0;
}

int client_link_init(struct client_link *link, int fd, size_t frame_bytes_max, size_t out_bytes_max)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
            fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        *link = (struct client_link){.fd = fd, .frame_bytes_max = frame_bytes_max};
        proto_frame_init(&link->frame, frame_bytes_max);
        proto_builder_init(&link->out, out_bytes_max);
        return 0;
}

void client_link_deinit(struct client_link *link)
{
        if (link->fd >= 0)
                (void)close(link->fd); /* all that matters was read or given up */
        link->fd = -1;
        free(link->in);
        link->in = NULL;
        link->in_start = link->in_len = link->in_cap = 0;
        proto_builder_deinit(&link->out);
}

void client_link_shutdown(struct client_link *link)
{
        (void)shutdown(link->fd, SHUT_RDWR); /* fails only if the peer was faster */
        link->eof = true;
        link->out_broken = true;
        proto_builder_reset(&link->out);
        link->out_sent = 0;
}

size_t client_link_unsent(const struct client_link *link)
{
        return link->out.len - link->out_sent;
}

void client_link_compact(struct client_link *link, size_t need)
{
        size_t left = client_link_unsent(link);

        /* Moving no more than was sent keeps the cost of this proportional to the bytes sent. */
        if (link->out_sent < left && link->out.len + need <= link->out.bytes_max)
                return;
        if (left > 0)
                memmove(link->out.data, link->out.data + link->out_sent, left);
        proto_builder_rollback(&link->out, left);
        link->out_sent = 0;
}

void client_link_write(struct client_link *link)
{
        while (!link->out_broken && client_link_unsent(link) > 0) {
                ssize_t n = send(link->fd, link->out.data + link->out_sent,
                                 client_link_unsent(link), MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n >= 0) {
                        link->out_sent += (size_t)n;
                        link->sent += (uint64_t)n;
                } else if (errno == EAGAIN) {
                        return;
                } else if (errno != EINTR) {
                        link->error = errno;
                        link->out_broken = true;
                }
        }
        proto_builder_reset(&link->out);
        link->out_sent = 0;
}

/* Room for at least one more byte behind the input. */
static int make_room(struct client_link *link)
{
        size_t cap = link->in_cap, end = link->in_start + link->in_len;
        uint8_t *in;

        if (end < cap)
                return 0;
        if (link->in_start > 0) {
                memmove(link->in, link->in + link->in_start, link->in_len);
                link->in_start = 0;
                return 0;
        }
        if (cap >= link->frame_bytes_max + READ_BYTES)
                return -ENOMEM; /* the scanner would have refused the frame before */
        cap = cap == 0 ? READ_BYTES : 2 * cap;
        if (cap > link->frame_bytes_max + READ_BYTES)
                cap = link->frame_bytes_max + READ_BYTES;
        in = realloc(link->in, cap);
        if (!in)
                return -ENOMEM;
        link->in = in;
        link->in_cap = cap;
        return 0;
}

int client_link_read(struct client_link *link)
{
        size_t end;
        ssize_t n;
        int r;

        if (link->eof)
                return 0;
        r = make_room(link);
        if (r < 0)
                return r;
        end = link->in_start + link->in_len;
        do {
                n = recv(link->fd, link->in + end, link->in_cap - end, MSG_DONTWAIT);
        } while (n < 0 && errno == EINTR);

        if (n > 0) {
                link->in_len += (size_t)n;
                return 1;
        }
        if (n < 0 && errno == EAGAIN)
                return 0;
        if (n < 0)
                link->error = errno;
        link->eof = true;
        return 0;
}

enum proto_frame_result client_link_frame(struct client_link *link, const uint8_t **ret_data,
                                          size_t *ret_len)
{
        enum proto_frame_result result;
        const uint8_t *data;

        if (link->in_len == 0)
                return PROTO_FRAME_MORE;
        data = link->in + link->in_start;
        result = proto_frame_scan(&link->frame, data, link->in_len);
        if (result == PROTO_FRAME_MORE && link->in_len > link->frame_bytes_max)
                return PROTO_FRAME_E_BYTES;
        if (result == PROTO_FRAME_DONE) {
                *ret_data = data;
                *ret_len = link->frame.pos;
        }
        return result;
}

void client_link_consume(struct client_link *link)
{
        link->in_start += link->frame.pos;
        link->in_len -= link->frame.pos;
        proto_frame_init(&link->frame, link->frame_bytes_max);
        if (link->in_len > 0)
                return;
        link->in_start = 0;
        if (link->in_cap > READ_BYTES) {
                free(link->in);
                link->in = NULL;
                link->in_cap = 0;
        }
}

bool client_link_torn(const struct client_link *link)
{
        return link->in_len > 0;
}
