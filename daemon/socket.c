/* SPDX-License-Identifier: MIT */
/*
 * PATH.lock is locked for the daemon's life, so that two daemons that start at once do not both
 * find the other's socket stale.  The lock file is removed at the end with the lock held; who
 * opened it just before finds, once it has the lock, that the name means another file, and starts
 * over.
 */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 512

static bool fail(char *text, size_t size, const char *path, const char *what, int error)
{
        (void)snprintf(text, size, "%s: %s%s%s", path, what, error ? ": " : "",
                       error ? strerror(error) : "");
        return false;
}

bool listening_default_path(const char *name, char *ret_path, size_t size)
{
        const char *runtime = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");

        return runtime && runtime[0] == '/' &&
               (size_t)snprintf(ret_path, size, "%s/vmreqd/%s.sock", runtime, name) < size;
}

/* The default place; the folder is made if it is missing. */
static bool default_path(const char *name, char *path, size_t path_size, char *text, size_t size)
{
        char *slash;
        bool made;

        if (!listening_default_path(name, path, path_size)) {
                (void)snprintf(text, size,
                               "no place for the socket: XDG_RUNTIME_DIR is not set; use --socket");
                return false;
        }
        slash = strrchr(path, '/');
        *slash = 0;
        made = mkdir(path, geteuid() == 0 ? 0755 : 0700) == 0 || errno == EEXIST;
        if (!made)
                (void)fail(text, size, path, "cannot make the folder", errno);
        *slash = '/';
        return made;
}

/* True: locked.  False with *ret_retry: the file was removed under us. */
static bool lock_once(struct listening *listening, bool *ret_retry, char *text, size_t size)
{
        struct stat ours, named;
        int fd = open(listening->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        *ret_retry = false;
        if (fd < 0)
                return fail(text, size, listening->lock_path, "cannot open the lock file", errno);
        if (flock(fd, LOCK_EX | LOCK_NB)) {
                int error = errno;

                (void)close(fd);
                if (error == EWOULDBLOCK)
                        return fail(
                                text, size, listening->path,
                                "another vmreqd serves this socket; stop it, or choose another --socket "
                                "or --name",
                                0);
                return fail(text, size, listening->lock_path, "cannot lock", error);
        }
        if (fstat(fd, &ours) || stat(listening->lock_path, &named) || ours.st_ino != named.st_ino) {
                *ret_retry = true;
                (void)close(fd);
                return false;
        }
        listening->lock_fd = fd;
        return true;
}

static bool take_lock(struct listening *listening, char *text, size_t size)
{
        bool retry = true;

        for (int i = 0; i < 100 && retry; i++)
                if (lock_once(listening, &retry, text, size))
                        return true;
        return retry ? fail(text, size, listening->lock_path, "keeps changing", 0) : false;
}

/* What stands at the path: nothing or a dead socket (removed), else an error. */
static bool clear_path(const struct sockaddr_un *address, char *text, size_t size)
{
        const char *path = address->sun_path;
        struct stat st;
        int fd, r, error;

        if (lstat(path, &st))
                return errno == ENOENT ? true : fail(text, size, path, "cannot look at it", errno);
        if (!S_ISSOCK(st.st_mode))
                return fail(text, size, path, "exists and is no socket; it is left alone", 0);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return fail(text, size, path, "cannot make a socket", errno);
        r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
        error = errno;
        (void)close(fd);
        if (r == 0 || error == EAGAIN)
                return fail(text, size, path,
                            "another process serves this socket; stop it, or choose another "
                            "--socket or --name",
                            0);
        if (error != ECONNREFUSED)
                return fail(text, size, path, "cannot tell whether it is in use", error);
        if (unlink(path) && errno != ENOENT)
                return fail(text, size, path, "cannot remove the stale socket", errno);
        return true;
}

static bool bind_own(struct listening *listening, const struct config *config, char *text,
                     size_t size)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        mode_t old;
        int r;

        if (strlen(listening->path) >= sizeof(address.sun_path))
                return fail(text, size, listening->path,
                            "longer than the 107 bytes that a socket path may have", 0);
        (void)snprintf(listening->lock_path, sizeof(listening->lock_path), "%s.lock",
                       listening->path);
        memcpy(address.sun_path, listening->path, strlen(listening->path) + 1);
        if (!take_lock(listening, text, size) || !clear_path(&address, text, size))
                return false;
        listening->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (listening->fd < 0)
                return fail(text, size, listening->path, "cannot make a socket", errno);
        /* Nobody gets in before the mode is what it shall be. */
        old = umask(0177);
        r = bind(listening->fd, (const struct sockaddr *)&address, sizeof(address));
        (void)umask(old);
        if (r) {
                int error = errno;

                /* What stands there is not ours to remove. */
                (void)close(listening->fd);
                listening->fd = -1;
                return fail(text, size, listening->path, "cannot bind", error);
        }
        if (listen(listening->fd, BACKLOG))
                return fail(text, size, listening->path, "cannot listen", errno);
        if (chmod(listening->path, config->socket_mode))
                return fail(text, size, listening->path, "cannot set its mode", errno);
        return true;
}

static bool take_inherited(struct listening *listening, int fd, char *text, size_t size)
{
        struct sockaddr_un address = {0};
        socklen_t len = sizeof(address);
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
                return fail(text, size, "inherited socket", "cannot make it non-blocking", errno);
        if (getsockname(fd, (struct sockaddr *)&address, &len) == 0)
                (void)snprintf(listening->path, sizeof(listening->path), "%.107s",
                               address.sun_path);
        listening->fd = fd;
        return true;
}

bool listening_open(struct listening *listening, const struct config *config, int inherited_fd,
                    char *text, size_t size)
{
        bool ok;

        *listening = (struct listening){.fd = -1, .lock_fd = -1};
        if (!config->socket[0] && inherited_fd >= 0)
                return take_inherited(listening, inherited_fd, text, size);
        if (config->socket[0])
                (void)snprintf(listening->path, sizeof(listening->path), "%s", config->socket);
        else if (!default_path(config->name, listening->path, sizeof(listening->path), text, size))
                return false;
        ok = bind_own(listening, config, text, size);
        if (!ok)
                listening_close(listening);
        return ok;
}

void listening_close(struct listening *listening)
{
        if (listening->lock_fd >= 0) {
                if (listening->fd >= 0)
                        (void)unlink(listening->path);
                (void)unlink(listening->lock_path);
                (void)close(listening->lock_fd);
        }
        if (listening->fd >= 0)
                (void)close(listening->fd);
        listening->fd = listening->lock_fd = -1;
}
