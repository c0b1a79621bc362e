/* SPDX-License-Identifier: MIT */
/* The service manager's door: what LISTEN_FDS passes, and the datagrams to NOTIFY_SOCKET. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sd.h"

static char dir[64], path[80];

static int start(void **state)
{
        (void)state;
        (void)snprintf(dir, sizeof(dir), "/tmp/vmreq-sd-XXXXXX");
        if (!mkdtemp(dir))
                return -1;
        (void)snprintf(path, sizeof(path), "%s/s", dir);
        (void)unsetenv("LISTEN_PID");
        (void)unsetenv("LISTEN_FDS");
        (void)unsetenv("NOTIFY_SOCKET");
        return 0;
}

static int end(void **state)
{
        (void)state;
        (void)unlink(path);
        return rmdir(dir);
}

static int make_socket(int type, bool listening)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, type, 0);

        memcpy(address.sun_path, path, strlen(path) + 1);
        (void)unlink(path);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
            (listening && listen(fd, 1)))
                return -1;
        return fd;
}

struct passing {
        int fds[3];
        int n;             /* of these are passed, from descriptor 3 on */
        const char *count; /* as LISTEN_FDS says; NULL: the number of them */
        bool other_pid;    /* meant for another process */
};

/* In a child, because the descriptors begin at 3.  Its answer, with bit 6 set if there was an error
 * text. */
static int passed(const struct passing *passing)
{
        char pid[32], count[32];
        int status, safe[3];
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
                const char *error = NULL;
                int r;

                for (int i = 0; i < passing->n; i++)
                        safe[i] = fcntl(passing->fds[i], F_DUPFD, 50);
                for (int i = 0; i < passing->n; i++)
                        (void)dup2(safe[i], 3 + i);
                (void)snprintf(pid, sizeof(pid), "%d",
                               (int)getpid() + (passing->other_pid ? 1 : 0));
                (void)snprintf(count, sizeof(count), "%d", passing->n);
                (void)setenv("LISTEN_PID", pid, 1);
                (void)setenv("LISTEN_FDS", passing->count ? passing->count : count, 1);
                r = sd_door_socket(&error);
                /* Children of ours must not take them for theirs. */
                if (getenv("LISTEN_FDS"))
                        _exit(99);
                if (r >= 0 && !(fcntl(r, F_GETFD) & FD_CLOEXEC))
                        _exit(98);
                _exit((r & 0x3f) | (error ? 0x40 : 0));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

#define NONE  (-1 & 0x3f)
#define WRONG ((-2 & 0x3f) | 0x40)

static void test_one_socket(void **state)
{
        struct passing passing = {.fds = {make_socket(SOCK_STREAM, true)}, .n = 1};

        (void)state;
        assert_int_equal(passed(&passing), 3);
        passing.other_pid = true;
        assert_int_equal(passed(&passing), NONE); /* meant for somebody else */
        (void)close(passing.fds[0]);
}

static void test_none(void **state)
{
        const char *error = NULL;
        struct passing passing = {.n = 0};

        (void)state;
        assert_int_equal(sd_door_socket(&error), -1);
        assert_null(error);
        assert_int_equal(passed(&passing), NONE);
}

static void test_wrong_ones(void **state)
{
        struct passing passing = {.n = 1};

        (void)state;
        passing.fds[0] = make_socket(SOCK_STREAM, false); /* bound, not listening */
        assert_int_equal(passed(&passing), WRONG);
        (void)close(passing.fds[0]);
        passing.fds[0] = make_socket(SOCK_DGRAM, false);
        assert_int_equal(passed(&passing), WRONG);
        (void)close(passing.fds[0]);
        passing.fds[0] = make_socket(SOCK_SEQPACKET, true);
        assert_int_equal(passed(&passing), WRONG);
        (void)close(passing.fds[0]);
        passing.fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
        assert_int_equal(passed(&passing), WRONG);
        (void)close(passing.fds[0]);
        passing.fds[0] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(passed(&passing), WRONG);
        (void)close(passing.fds[0]);
}

static void test_more_than_one(void **state)
{
        int fd = make_socket(SOCK_STREAM, true);
        struct passing passing = {.fds = {fd, fd}, .n = 2};

        (void)state;
        assert_int_equal(passed(&passing), WRONG);
        (void)close(fd);
}

static void test_notifications(void **state)
{
        int fd = make_socket(SOCK_DGRAM, false);
        char text[256];
        ssize_t n;

        (void)state;
        assert_false(sd_door_is_told());
        assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
        assert_true(sd_door_is_told());
        sd_door_tell("READY=1\nSTATUS=here");
        n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
        assert_true(n > 0);
        text[n] = 0;
        assert_string_equal(text, "READY=1\nSTATUS=here");
        assert_non_null(getenv("NOTIFY_SOCKET")); /* there is more to tell later */
        (void)close(fd);
}

static void test_nobody_to_tell(void **state)
{
        (void)state;
        sd_door_tell("READY=1");
        assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0); /* nobody is there */
        sd_door_tell("READY=1");
}

static void test_watchdog(void **state)
{
        char pid[32];

        (void)state;
        (void)unsetenv("WATCHDOG_PID");
        (void)unsetenv("WATCHDOG_USEC");
        assert_int_equal(sd_door_watchdog_us(), 0);
        assert_int_equal(setenv("WATCHDOG_USEC", "2000000", 1), 0);
        assert_int_equal(sd_door_watchdog_us(), 2000000);
        (void)snprintf(pid, sizeof(pid), "%d", (int)getppid());
        assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0); /* meant for another process */
        assert_int_equal(sd_door_watchdog_us(), 0);
        assert_int_equal(setenv("WATCHDOG_USEC", "soon", 1), 0);
        assert_int_equal(sd_door_watchdog_us(), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_one_socket, start, end),
                cmocka_unit_test_setup_teardown(test_none, start, end),
                cmocka_unit_test_setup_teardown(test_wrong_ones, start, end),
                cmocka_unit_test_setup_teardown(test_more_than_one, start, end),
                cmocka_unit_test_setup_teardown(test_notifications, start, end),
                cmocka_unit_test_setup_teardown(test_nobody_to_tell, start, end),
                cmocka_unit_test_setup_teardown(test_watchdog, start, end),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("sd", tests, NULL, NULL);
}
