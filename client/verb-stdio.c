/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl stdio': standard input → the daemon's socket → standard output, bytes as they are.  It
 * is the far end of 'vmreqctl -H', and a socat for who has none.
 *
 * Two bounded buffers; what cannot be written is not read any more, so that a slow side slows the
 * other one down.  The end of the input half-closes the socket, and the daemon finishes what it was
 * asked; with --hang-up it ends the connection, because that is how the end of a client looks from
 * behind an ssh, and calls of a client that is gone are cancelled.  When nobody can read the output
 * any more, the connection ends in any case.
 */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/ctl.h"
#include "client/render.h"
#include "client/report.h"
#include "client/sockets.h"
#include "client/verbs.h"

#define BUFFER_BYTES 65536

/* One direction. */
struct flow {
        int from, to;
        char bytes[BUFFER_BYTES];
        size_t start, len;
        bool ended;  /* `from` has no more */
        bool broken; /* `to` takes no more */
};

static int connect_socket(struct ctl *ctl)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct timeval limit = {.tv_sec = 5};
        int fd, error;

        if (strlen(ctl->socket) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, ctl->socket, strlen(ctl->socket));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* bounds connect */
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
                return fd;
        error = errno == EAGAIN ? ETIMEDOUT : errno;
        (void)close(fd); /* nothing was written to it */
        return -error;
}

/* Reads once; poll said that there is something. */
static void flow_read(struct flow *flow)
{
        ssize_t n = read(flow->from, flow->bytes, sizeof(flow->bytes));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        flow->start = 0;
        flow->len = n > 0 ? (size_t)n : 0;
        flow->ended = n <= 0;
}

/* Writes once, no more than goes without waiting: poll promises a pipe's PIPE_BUF. */
static void flow_write(struct flow *flow)
{
        const char *data = flow->bytes + flow->start;
        ssize_t n = send(flow->to, data, flow->len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == ENOTSOCK)
                n = write(flow->to, data, flow->len < PIPE_BUF ? flow->len : PIPE_BUF);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
                flow->broken = true;
        if (n > 0) {
                flow->start += (size_t)n;
                flow->len -= (size_t)n;
        }
}

static short events_of(const struct flow *flow, bool reading)
{
        if (reading)
                return flow->len == 0 && !flow->ended && !flow->broken ? POLLIN : 0;
        return flow->len > 0 && !flow->broken ? POLLOUT : 0;
}

/* True while there is something to do. */
static bool turn(struct flow *in, struct flow *out)
{
        struct pollfd pollfds[4] = {
                {.fd = in->from, .events = events_of(in, true)},
                {.fd = in->to, .events = events_of(in, false)},
                {.fd = out->from, .events = events_of(out, true)},
                {.fd = out->to, .events = events_of(out, false)},
        };

        if (pollfds[0].events == 0)
                pollfds[0].fd = -1; /* its hang-up would wake us again and again */
        if (pollfds[1].events == 0)
                pollfds[1].fd = -1;
        if (pollfds[2].events == 0)
                pollfds[2].fd = -1;
        if (poll(pollfds, 4, -1) < 0)
                return errno == EINTR;
        if (pollfds[0].revents)
                flow_read(in);
        if (pollfds[1].revents)
                flow_write(in);
        if (pollfds[2].revents)
                flow_read(out);
        if (pollfds[3].revents & POLLOUT)
                flow_write(out);
        else if (pollfds[3].revents)
                out->broken = true;
        return !out->broken && !(out->ended && out->len == 0);
}

static void pump(int fd, bool hang_up)
{
        static struct flow in, out;
        bool half_closed = false;

        in = (struct flow){.from = STDIN_FILENO, .to = fd};
        out = (struct flow){.from = fd, .to = STDOUT_FILENO};
        while (turn(&in, &out)) {
                if (!(in.ended || in.broken) || in.len > 0)
                        continue;
                if (hang_up && in.ended)
                        return;
                if (!half_closed)
                        (void)shutdown(fd, SHUT_WR); /* fails only if the peer was faster */
                half_closed = true;
        }
}

int verb_stdio(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct sockets_places places = sockets_places();
        enum sockets_result found;
        char text[768];
        int fd;

        (void)argc;
        (void)argv;
        if (ctl->options.host || ctl->shell) {
                fprintf(stderr, "vmreqctl: stdio: it is for a socket of this host, by itself\n");
                return CTL_USAGE;
        }
        found = sockets_find(&places, ctl->options.socket, ctl->options.machine, ctl->socket,
                             sizeof(ctl->socket), text, sizeof(text));
        if (found != SOCKETS_OK) {
                fprintf(stderr, "vmreqctl: ");
                render_clean(stderr, text, strlen(text), true);
                fputc('\n', stderr);
                return found == SOCKETS_E_NONE ? CTL_LOST : CTL_USAGE;
        }
        fd = connect_socket(ctl);
        if (fd < 0)
                return report_connect(ctl, fd, strerror(-fd));
        pump(fd, options->hang_up);
        (void)close(fd); /* all that could be written was */
        return CTL_DONE;
}
