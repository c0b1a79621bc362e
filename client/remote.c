/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl -H [USER@]HOST …': the bytes of the connection go through an ssh that runs
 * 'vmreqctl … stdio --hang-up' on the other host.
 *
 * From ctl.c, when it connects.  ssh gives the words of a remote command to a shell there, joined
 * by blanks; so each word is either fixed or has passed a check that leaves a shell nothing to do.
 * Host and user may not begin with a dash, and stand behind "--".  What ssh and the remote side say
 * on stderr comes through a pipe, and is cleaned like anything that a server sends; questions of
 * ssh's own go to the terminal by another way, and work.  Ctrl-C is ours: ssh ignores it, so that
 * the connection on which a call is cancelled outlives the key.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/ctl.h"
#include "client/remote.h"
#include "client/render.h"
#include "proto/names.h"

#define HOST_BYTES_MAX 256
#define SAID_BYTES_MAX 4096
#define GRACE_MS       2000 /* for ssh to end by itself */

extern char **environ;

static bool is_word_byte(char c, const char *others)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c != '\0' && strchr(others, c));
}

static bool is_word(const char *word, size_t len, const char *others)
{
        if (len == 0 || word[0] == '-')
                return false;
        for (size_t i = 0; i < len; i++) {
                if (!is_word_byte(word[i], others))
                        return false;
        }
        return true;
}

bool remote_host_valid(const char *host)
{
        const char *at = strchr(host, '@');

        if (strlen(host) >= HOST_BYTES_MAX)
                return false;
        if (at && !is_word(host, (size_t)(at - host), "._-+"))
                return false;
        host = at ? at + 1 : host;
        return is_word(host, strlen(host), "._-:%");
}

bool remote_path_valid(const char *path)
{
        return path[0] == '/' && is_word(path, strlen(path), "/._-");
}

/* The words of ssh's command line. */
struct words {
        const char *words[16];
        size_t n;
};

static void add(struct words *words, const char *word)
{
        words->words[words->n++] = word; /* at most 14, and the NULL */
}

static bool fill_words(struct words *words, const struct options *options)
{
        *words = (struct words){{NULL}, 0};
        if (!remote_host_valid(options->host)) {
                fprintf(stderr,
                        "vmreqctl: -H %.80s: expected HOST or USER@HOST, neither beginning with "
                        "'-'\n",
                        options->host);
                return false;
        }
        if (options->socket && !remote_path_valid(options->socket)) {
                fprintf(stderr,
                        "vmreqctl: -s %.80s: with -H, an absolute path of letters, digits, '/', "
                        "'.', '_', '-'\n",
                        options->socket);
                return false;
        }
        if (options->machine && !proto_vm_name_valid(options->machine)) {
                fprintf(stderr, "vmreqctl: '%.80s' is not a VM's name\n", options->machine);
                return false;
        }
        add(words, "ssh");
        add(words, "-T");
        add(words, "-oClearAllForwardings=yes");
        add(words, "--");
        add(words, options->host);
        add(words, "vmreqctl");
        if (options->socket || options->machine) {
                add(words, options->socket ? "-s" : "-M");
                add(words, options->socket ? options->socket : options->machine);
        }
        add(words, "stdio");
        add(words, "--hang-up");
        return true;
}

static int spawn_attributes(posix_spawnattr_t *attributes)
{
        sigset_t none;
        int r;

        (void)sigemptyset(&none); /* ours may be blocked */
        r = posix_spawnattr_setsigmask(attributes, &none);
        return r == 0 ? posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK) : r;
}

static int spawn_actions(posix_spawn_file_actions_t *actions, int connection, int said)
{
        int r = posix_spawn_file_actions_adddup2(actions, connection, STDIN_FILENO);

        if (r == 0)
                r = posix_spawn_file_actions_adddup2(actions, connection, STDOUT_FILENO);
        return r == 0 ? posix_spawn_file_actions_adddup2(actions, said, STDERR_FILENO) : r;
}

/* posix_spawn cannot say "ignored" to a child, but what we ignore it inherits. */
static int spawn(const struct words *words, int connection, int said, pid_t *ret_pid)
{
        struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return r;
        r = posix_spawnattr_init(&attributes);
        if (r == 0) {
                r = spawn_attributes(&attributes);
                if (r == 0)
                        r = spawn_actions(&actions, connection, said);
                (void)sigaction(SIGINT, &ignore, &before); /* cannot fail for this signal */
                if (r == 0)
                        r = posix_spawnp(ret_pid, words->words[0], &actions, &attributes,
                                         (char *const *)(uintptr_t)words->words, environ);
                (void)sigaction(SIGINT, &before, NULL);
                (void)posix_spawnattr_destroy(&attributes);
        }
        (void)posix_spawn_file_actions_destroy(&actions);
        return r;
}

int remote_open(struct remote *remote, const struct options *options, int *ret_fd)
{
        struct words words;
        int pair[2], said[2], r;

        if (!fill_words(&words, options))
                return CTL_USAGE;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
                fprintf(stderr, "vmreqctl: no socket for ssh: %s\n", strerror(errno));
                return CTL_LOST;
        }
        if (pipe2(said, O_CLOEXEC) < 0) {
                fprintf(stderr, "vmreqctl: no pipe for ssh: %s\n", strerror(errno));
                (void)close(pair[0]);
                (void)close(pair[1]);
                return CTL_LOST;
        }
        r = spawn(&words, pair[1], said[1], &remote->pid);
        (void)close(pair[1]);
        (void)close(said[1]);
        if (r != 0) {
                fprintf(stderr, "vmreqctl: cannot run ssh: %s; is openssh-client installed?\n",
                        strerror(r));
                (void)close(pair[0]);
                (void)close(said[0]);
                remote->pid = 0;
                return CTL_LOST;
        }
        remote->said = said[0];
        *ret_fd = pair[0];
        return CTL_DONE;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Lines of what ssh said, each with its name in front. */
static void show_said(const char *said, size_t len)
{
        while (len > 0) {
                size_t n = 0;

                while (n < len && said[n] != '\n' && said[n] != '\r')
                        n++;
                if (n > 0) {
                        fprintf(stderr, "ssh: ");
                        render_clean(stderr, said, n, true);
                        fputc('\n', stderr);
                }
                n += n < len;
                said += n;
                len -= n;
        }
}

/* Until ssh ends or the time of grace is over; a process that it left behind may keep the pipe. */
static void take_said(int fd, int process)
{
        struct pollfd pollfds[2] = {{.fd = fd, .events = POLLIN},
                                    {.fd = process, .events = POLLIN}};
        uint64_t deadline_ns = ctl_now() + GRACE_MS * UINT64_C(1000000);
        char said[SAID_BYTES_MAX], drop[512];
        size_t len = 0;
        ssize_t n = 1;

        while (n > 0 && ctl_now() < deadline_ns) {
                if (poll(pollfds, process >= 0 ? 2 : 1, GRACE_MS) <= 0 || pollfds[0].revents == 0)
                        break;
                if (len < sizeof(said))
                        n = read(fd, said + len, sizeof(said) - len);
                else
                        n = read(fd, drop, sizeof(drop));
                if (n > 0 && len < sizeof(said))
                        len += (size_t)n;
        }
        show_said(said, len);
}

void remote_close(struct remote *remote)
{
        int process;

        if (remote->pid == 0)
                return;
        process = pidfd_open(remote->pid, 0);
        take_said(remote->said, process);
        if (process >= 0)
                (void)close(process); /* nothing was written to either */
        (void)close(remote->said);
        (void)kill(remote->pid, SIGKILL); /* in vain if it has ended, as it should have */
        while (waitpid(remote->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        remote->pid = 0;
}
