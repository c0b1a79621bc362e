/* SPDX-License-Identifier: MIT */
/*
 * A file that is complete or not there, for verbs that write much.
 *
 *   1. Whoever looks at the name sees the old file or the whole new one: rename(2) is the only
 *      change to it, behind an fsync, because a full disk or quota may show only there.
 *   2. A device, a pipe and standard output have no name to take away: they are written to as they
 *      are, piece by piece, so that who waits for their reader can still be interrupted.
 *   3. Only a file that was made here is removed.
 */
#include "client/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int find_stdout(struct output *output)
{
        if (isatty(STDOUT_FILENO))
                return -ENOTTY;
        output->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        return output->fd < 0 ? -errno : 0;
}

/* The name behind links, so that a link is not replaced by the file. */
static int find_regular(struct output *output, const char *path)
{
        char *real = realpath(path, NULL);
        const char *name = real ? real : path;
        int n, m;

        n = snprintf(output->path, sizeof(output->path), "%s", name);
        m = snprintf(output->temporary, sizeof(output->temporary), "%s.XXXXXX", name);
        free(real);
        if (n < 0 || m < 0 || (size_t)m >= sizeof(output->temporary))
                return -ENAMETOOLONG;
        return 0;
}

int output_find(struct output *output, const char *path)
{
        struct stat st;

        *output = (struct output)OUTPUT_NULL;
        if (strcmp(path, "-") == 0)
                return find_stdout(output);
        if (*path == '\0')
                return -ENOENT;
        if (stat(path, &st))
                return errno == ENOENT ? find_regular(output, path) : -errno;
        if (S_ISREG(st.st_mode))
                return find_regular(output, path);
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (strlen(path) >= sizeof(output->path))
                return -ENAMETOOLONG;
        memcpy(output->path, path, strlen(path) + 1);
        output->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return output->fd < 0 ? -errno : 0;
}

int output_begin(struct output *output)
{
        if (output->fd >= 0)
                return 0;
        output->fd = mkostemp(output->temporary, O_CLOEXEC);
        if (output->fd < 0)
                return -errno;
        output->made = true;
        return 0;
}

/*
 * A pipe takes PIPE_BUF bytes without waiting when poll says so.  Regular files are always ready.
 * False: interrupted first.
 */
static bool wait_room(const struct output *output)
{
        struct pollfd pollfds[2] = {{.fd = output->fd, .events = POLLOUT},
                                    {.fd = output->interrupt, .events = POLLIN}};

        while (poll(pollfds, 2, -1) < 0 && errno == EINTR)
                ;
        return pollfds[0].revents != 0 || !(pollfds[1].revents & POLLIN);
}

int output_write(struct output *output, const void *data, size_t len)
{
        const char *at = data;

        while (len > 0) {
                size_t piece = output->made || len < PIPE_BUF ? len : PIPE_BUF;
                ssize_t n;

                if (!output->made && !wait_room(output))
                        return -EINTR;
                n = write(output->fd, at, piece);
                if (n < 0 && (errno == EINTR || errno == EAGAIN))
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                at += n;
                len -= (size_t)n;
                output->bytes += (uint64_t)n;
        }
        return 0;
}

static int close_it(struct output *output)
{
        int fd = output->fd;

        output->fd = -1;
        return close(fd) && errno != EINTR ? -errno : 0; /* network file systems say it here */
}

int output_commit(struct output *output)
{
        int r = 0;

        if (output->made && fsync(output->fd)) /* what a disk could not keep shows here */
                r = -errno;
        if (r == 0)
                r = close_it(output);
        if (r == 0 && output->made && rename(output->temporary, output->path))
                r = -errno;
        if (r)
                output_abandon(output);
        output->made = false;
        return r;
}

void output_abandon(struct output *output)
{
        if (output->fd >= 0)
                (void)close_it(output); /* nobody wants it */
        if (output->made)
                (void)unlink(output->temporary);
        output->made = false;
}
