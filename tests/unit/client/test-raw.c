/* SPDX-License-Identifier: MIT */
/* Raw mode on a terminal of our own: what it is, and that each way out puts back what was there. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "client/raw.h"

static int master, slave;

static int start(void **state)
{
        (void)state;
        master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(master >= 0);
        assert_int_equal(grantpt(master), 0);
        assert_int_equal(unlockpt(master), 0);
        slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(slave >= 0);
        return 0;
}

static int end(void **state)
{
        (void)state;
        close(slave);
        close(master);
        return 0;
}

static bool is_raw(void)
{
        struct termios mode;

        assert_int_equal(tcgetattr(slave, &mode), 0);
        assert_true(mode.c_oflag & OPOST);
        return !(mode.c_lflag & (ICANON | ECHO | ISIG)) && !(mode.c_iflag & (ICRNL | IXON));
}

static void test_begin_and_end(void **state)
{
        struct termios before, after;
        char key = 0;

        (void)state;
        assert_int_equal(tcgetattr(slave, &before), 0);
        assert_false(is_raw());
        for (int i = 0; i < 3; i++) {
                assert_int_equal(raw_begin(slave), 0);
                assert_true(is_raw());
                assert_int_equal(write(master, "\x03", 1), 1); /* nobody dies of it */
                assert_int_equal(read(slave, &key, 1), 1);
                assert_int_equal(key, 3);
                raw_end();
                raw_end();
                assert_int_equal(tcgetattr(slave, &after), 0);
                assert_int_equal(before.c_lflag, after.c_lflag);
                assert_int_equal(before.c_iflag, after.c_iflag);
        }
        assert_int_equal(raw_begin(-1), -EBADF);
        assert_false(is_raw());
}

/* A child that is raw until a signal; the end of it, with the terminal as it leaves it. */
static pid_t child(void)
{
        int fds[2];
        pid_t pid;
        char byte;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        if (pid == 0) {
                if (raw_begin(slave) || write(fds[1], "r", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        assert_true(pid > 0);
        assert_int_equal(read(fds[0], &byte, 1), 1);
        close(fds[0]);
        close(fds[1]);
        assert_true(is_raw());
        return pid;
}

static void test_signals(void **state)
{
        static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

        (void)state;
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
                pid_t pid = child();
                int status;

                assert_int_equal(kill(pid, numbers[i]), 0);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status));
                assert_int_equal(WTERMSIG(status), numbers[i]);
                assert_false(is_raw());
        }
}

static void test_stop_and_go_on(void **state)
{
        pid_t pid = child();
        int status;

        (void)state;
        assert_int_equal(kill(pid, SIGTSTP), 0);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        assert_false(is_raw());
        assert_int_equal(kill(pid, SIGCONT), 0);
        while (!is_raw())
                ; /* its handler runs when it likes; the test's alarm is the bound */
        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WTERMSIG(status), SIGTERM);
        assert_false(is_raw());
}

/* nohup means it. */
static void test_what_is_ignored_stays_ignored(void **state)
{
        pid_t pid;
        int status;

        (void)state;
        assert_true(signal(SIGHUP, SIG_IGN) != SIG_ERR);
        pid = child();
        (void)signal(SIGHUP, SIG_DFL);
        assert_int_equal(kill(pid, SIGHUP), 0);
        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WTERMSIG(status), SIGTERM);
        assert_false(is_raw());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_begin_and_end),
                TEST(test_signals),
                TEST(test_stop_and_go_on),
                TEST(test_what_is_ignored_stays_ignored),
        };

        (void)alarm(60);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
