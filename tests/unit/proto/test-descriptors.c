/* SPDX-License-Identifier: MIT */
/* Whatever of 0, 1 and 2 was closed: no later descriptor has such a number, and what is written
 * there fails as before.  Each case in a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/descriptors.h"

/* The number of what is opened next; 0: something is wrong. */
static int look(unsigned closed)
{
        char byte = 0;
        int fd;

        for (fd = 0; fd <= 2; fd++)
                if (closed & (1u << fd))
                        (void)close(fd);
        if (!proto_descriptors_reserve())
                return 0;
        if ((closed & 1) && (read(0, &byte, 1) != -1 || errno != EBADF))
                return 0;
        for (fd = 1; fd <= 2; fd++)
                if ((closed & (1u << fd)) && (write(fd, &byte, 1) != -1 || errno != EBADF))
                        return 0;
        return open("/dev/null", O_RDWR);
}

static int in_a_child(int (*function)(unsigned), unsigned closed)
{
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(function(closed));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void test_each_of_them(void **state)
{
        (void)state;
        for (unsigned closed = 0; closed < 8; closed++)
                assert_true(in_a_child(look, closed) > 2);
}

static int without_descriptors(unsigned closed)
{
        struct rlimit none = {0, 0};

        (void)closed;
        (void)close(2);
        if (setrlimit(RLIMIT_NOFILE, &none))
                return 1;
        return proto_descriptors_reserve() ? 1 : errno == EMFILE ? 0 : 2;
}

static void test_none_to_be_had(void **state)
{
        (void)state;
        assert_int_equal(in_a_child(without_descriptors, 0), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_of_them),
                cmocka_unit_test(test_none_to_be_had),
        };

        return cmocka_run_group_tests_name("proto/descriptors", tests, NULL, NULL);
}
