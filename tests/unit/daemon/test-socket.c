/* SPDX-License-Identifier: MIT */
/* The listening socket: under a lock, stale ones replaced, live ones and other files left alone. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "socket.h"

static struct config config;
static struct listening listening;
static char dir[64], text[2048];

static int start(void **state)
{
        (void)state;
        (void)snprintf(dir, sizeof(dir), "/tmp/vmreq-socket-XXXXXX");
        if (!mkdtemp(dir))
                return -1;
        config_init(&config);
        (void)snprintf(config.socket, sizeof(config.socket), "%s/vm.sock", dir);
        text[0] = 0;
        return 0;
}

static const char *in_dir(const char *name)
{
        static char paths[2][128];
        static unsigned turn;
        char *path = paths[turn++ % 2];

        (void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
        return path;
}

static int end(void **state)
{
        (void)state;
        listening_close(&listening);
        (void)unlink(in_dir("vm.sock"));
        (void)unlink(in_dir("vm.sock.lock"));
        (void)unlink(in_dir("other"));
        return rmdir(dir);
}

static bool open_it(void)
{
        return listening_open(&listening, &config, -1, text, sizeof(text));
}

static struct sockaddr_un address_of(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        assert_true(strlen(path) < sizeof(address.sun_path));
        memcpy(address.sun_path, path, strlen(path));
        return address;
}

static int connect_to(const char *path, int type)
{
        struct sockaddr_un address = address_of(path);
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
                int error = errno;

                (void)close(fd);
                return -error;
        }
        return fd;
}

static int bind_at(const char *path, int type)
{
        struct sockaddr_un address = address_of(path);
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

static bool exists(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0;
}

#define assert_refused(part)                                                                       \
        do {                                                                                       \
                if (open_it())                                                                     \
                        fail_msg("taken");                                                         \
                if (!strstr(text, part) || strchr(text, '\n'))                                     \
                        fail_msg("expected \"%s\" in \"%s\"", part, text);                         \
                assert_int_equal(listening.fd, -1);                                                \
                assert_int_equal(listening.lock_fd, -1);                                           \
        } while (0)

static void test_opens_and_closes(void **state)
{
        struct stat st;
        int fd;

        (void)state;
        config.socket_mode = 0640;
        if (!open_it())
                fail_msg("%s", text);
        assert_string_equal(listening.path, config.socket);
        assert_int_equal(stat(config.socket, &st), 0);
        assert_true(S_ISSOCK(st.st_mode));
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(stat(in_dir("vm.sock.lock"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_true(fcntl(listening.fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(listening.fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(listening.lock_fd, F_GETFD) & FD_CLOEXEC);
        fd = connect_to(config.socket, SOCK_STREAM);
        assert_true(fd >= 0);
        (void)close(fd);
        listening_close(&listening);
        assert_false(exists(config.socket));
        assert_false(exists(in_dir("vm.sock.lock")));
        listening_close(&listening); /* idempotent */
        if (!open_it())
                fail_msg("%s", text); /* again */
}

static void test_the_umask_does_not_matter(void **state)
{
        struct stat st;
        mode_t old = umask(0777);

        (void)state;
        config.socket_mode = 0666;
        assert_true(open_it());
        assert_int_equal(umask(old), 0777); /* and is left as it was */
        assert_int_equal(stat(config.socket, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0666);
}

static void test_stale_is_replaced(void **state)
{
        int fd;

        (void)state;
        (void)close(bind_at(config.socket, SOCK_STREAM));
        assert_true(exists(config.socket));
        if (!open_it())
                fail_msg("%s", text);
        fd = connect_to(config.socket, SOCK_STREAM);
        assert_true(fd >= 0);
        (void)close(fd);
}

static void test_live_is_refused(void **state)
{
        int other = bind_at(config.socket, SOCK_STREAM), fd;

        (void)state;
        assert_int_equal(listen(other, 1), 0);
        assert_refused("another process serves this socket");
        assert_true(exists(config.socket)); /* it is theirs */
        assert_false(exists(in_dir("vm.sock.lock")));
        fd = connect_to(config.socket, SOCK_STREAM);
        assert_true(fd >= 0);
        (void)close(fd);
        (void)close(other);
}

static void test_live_with_a_full_backlog(void **state)
{
        int other = bind_at(config.socket, SOCK_STREAM), fds[8];

        (void)state;
        assert_int_equal(listen(other, 0), 0);
        for (unsigned i = 0; i < 8; i++) {
                struct sockaddr_un address = address_of(config.socket);

                fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                (void)connect(fds[i], (struct sockaddr *)&address, sizeof(address));
        }
        assert_refused("another process serves this socket");
        for (unsigned i = 0; i < 8; i++)
                (void)close(fds[i]);
        (void)close(other);
}

static void test_two_daemons(void **state)
{
        struct listening second;
        char why[512];

        (void)state;
        assert_true(open_it());
        assert_false(listening_open(&second, &config, -1, why, sizeof(why)));
        assert_non_null(strstr(why, "another vmreqd serves this socket"));
        assert_true(exists(config.socket));
        assert_true(exists(in_dir("vm.sock.lock"))); /* the loser removes nothing */
        listening_close(&second);
        assert_true(exists(config.socket));
}

/* Somebody makes a socket there between our look and our bind: it is not ours to remove. */
static bool intrude;
int __real_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
        if (intrude) {
                intrude = false;
                (void)close(bind_at(config.socket, SOCK_STREAM));
        }
        return __real_bind(fd, address, len);
}

static void test_an_intruder(void **state)
{
        (void)state;
        intrude = true;
        assert_refused("cannot bind: Address already in use");
        assert_true(exists(config.socket));
        assert_false(exists(in_dir("vm.sock.lock")));
}

static void test_lock_is_held(void **state)
{
        int fd = open(in_dir("vm.sock.lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
        assert_refused("another vmreqd serves this socket");
        (void)close(fd);
        if (!open_it()) /* the file alone does not matter */
                fail_msg("%s", text);
}

static void test_other_files_are_left_alone(void **state)
{
        int fd = open(config.socket, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        (void)state;
        assert_int_equal(write(fd, "x", 1), 1);
        (void)close(fd);
        assert_refused("exists and is no socket");
        assert_true(exists(config.socket));
        assert_int_equal(unlink(config.socket), 0);
        assert_int_equal(mkdir(config.socket, 0700), 0);
        assert_refused("exists and is no socket");
        assert_int_equal(rmdir(config.socket), 0);
}

static void test_symlinks(void **state)
{
        (void)state;
        /* To a stale socket, to nothing: whoever put it there does not choose what we replace. */
        (void)close(bind_at(in_dir("other"), SOCK_STREAM));
        assert_int_equal(symlink(in_dir("other"), config.socket), 0);
        assert_refused("exists and is no socket");
        assert_true(exists(in_dir("other")));
        assert_int_equal(unlink(config.socket), 0);
        assert_int_equal(symlink("/nowhere/at/all", config.socket), 0);
        assert_refused("exists and is no socket");
        assert_int_equal(unlink(config.socket), 0);
        /* A lock file that is a link is not followed. */
        assert_int_equal(symlink(in_dir("other"), in_dir("vm.sock.lock")), 0);
        assert_refused("cannot open the lock file");
        assert_int_equal(unlink(in_dir("vm.sock.lock")), 0);
}

static void test_another_kind_of_socket(void **state)
{
        int fd = bind_at(config.socket, SOCK_DGRAM);

        (void)state;
        assert_refused("cannot tell whether it is in use");
        assert_true(exists(config.socket));
        (void)close(fd);
}

static void test_path_length(void **state)
{
        (void)state;
        memset(config.socket, 'x', 200);
        config.socket[0] = '/';
        config.socket[200] = 0;
        assert_refused("longer than the 107 bytes");
        /* 107 fit. */
        (void)snprintf(config.socket, sizeof(config.socket), "%s/", dir);
        memset(config.socket + strlen(config.socket), 'y', 107);
        config.socket[107] = 0;
        if (!open_it())
                fail_msg("%s", text);
        listening_close(&listening);
        config.socket[107] = 'y';
        config.socket[108] = 0;
        assert_refused("longer than the 107 bytes");
        (void)snprintf(config.socket, sizeof(config.socket), "%s", in_dir("vm.sock"));
}

static void test_no_such_folder(void **state)
{
        (void)state;
        (void)snprintf(config.socket, sizeof(config.socket), "%s/no/vm.sock", dir);
        assert_refused("cannot open the lock file: No such file or directory");
}

static void test_inherited(void **state)
{
        int fd = bind_at(in_dir("other"), SOCK_STREAM);
        bool r;

        (void)state;
        assert_int_equal(listen(fd, 1), 0);
        config.socket[0] = 0;
        r = listening_open(&listening, &config, fd, text, sizeof(text));
        assert_true(r);
        assert_int_equal(listening.fd, fd);
        assert_string_equal(listening.path, in_dir("other"));
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        listening_close(&listening);
        assert_true(exists(in_dir("other"))); /* never what it was given */
        assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_default_place(void **state)
{
        char path[128];
        struct stat st;

        (void)state;
        if (geteuid() == 0)
                return; /* that would be /run/vmreqd */
        config.socket[0] = 0;
        assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
        assert_refused("XDG_RUNTIME_DIR is not set");
        assert_int_equal(setenv("XDG_RUNTIME_DIR", dir, 1), 0);
        assert_true(open_it());
        (void)snprintf(path, sizeof(path), "%s/vmreqd/default.sock", dir);
        assert_string_equal(listening.path, path);
        (void)snprintf(path, sizeof(path), "%s/vmreqd", dir);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        listening_close(&listening);
        assert_int_equal(rmdir(path), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_opens_and_closes, start, end),
                cmocka_unit_test_setup_teardown(test_the_umask_does_not_matter, start, end),
                cmocka_unit_test_setup_teardown(test_stale_is_replaced, start, end),
                cmocka_unit_test_setup_teardown(test_live_is_refused, start, end),
                cmocka_unit_test_setup_teardown(test_live_with_a_full_backlog, start, end),
                cmocka_unit_test_setup_teardown(test_two_daemons, start, end),
                cmocka_unit_test_setup_teardown(test_an_intruder, start, end),
                cmocka_unit_test_setup_teardown(test_lock_is_held, start, end),
                cmocka_unit_test_setup_teardown(test_other_files_are_left_alone, start, end),
                cmocka_unit_test_setup_teardown(test_symlinks, start, end),
                cmocka_unit_test_setup_teardown(test_another_kind_of_socket, start, end),
                cmocka_unit_test_setup_teardown(test_path_length, start, end),
                cmocka_unit_test_setup_teardown(test_no_such_folder, start, end),
                cmocka_unit_test_setup_teardown(test_inherited, start, end),
                cmocka_unit_test_setup_teardown(test_default_place, start, end),
        };

        listening.fd = listening.lock_fd = -1;
        (void)alarm(50);
        return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
