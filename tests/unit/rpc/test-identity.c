/* SPDX-License-Identifier: MIT */
/* Who is at the other end, as the kernel says. */
#include "unit/rpc/wire.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc/identity.h"

static void test_of_a_socketpair(void **state)
{
        struct rpc_identity identity;
        gid_t *groups;
        int fds[2], n;

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(rpc_identity_read(fds[0], &identity), 0);
        assert_int_equal(identity.uid, geteuid());
        assert_int_equal(identity.gid, getegid());
        assert_int_equal(identity.pid, getpid());
        n = getgroups(0, NULL);
        assert_true(n >= 0);
        assert_int_equal(identity.n_groups, n);
        groups = calloc((size_t)n + 1, sizeof(*groups));
        assert_int_equal(getgroups(n, groups), n);
        for (int i = 0; i < n; i++)
                assert_true(rpc_identity_in_group(&identity, groups[i]));
        free(groups);
        assert_true(rpc_identity_in_group(&identity, getegid()));
        assert_false(rpc_identity_in_group(&identity, (gid_t)-2));
        rpc_identity_deinit(&identity);
        rpc_identity_deinit(&identity); /* idempotent */
        assert_int_equal(identity.n_groups, 0);
        (void)close(fds[0]);
        (void)close(fds[1]);
}

static void test_no_socket(void **state)
{
        struct rpc_identity identity;
        int fds[2];

        (void)state;
        assert_int_equal(rpc_identity_read(-1, &identity), -EBADF);
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(rpc_identity_read(fds[0], &identity), -ENOTSOCK);
        (void)close(fds[0]);
        (void)close(fds[1]);
}

/* More groups than the first buffer holds.  Only root can set some up. */
static int child_with_groups(unsigned n)
{
        struct rpc_identity identity;
        gid_t *groups = calloc(n + 1, sizeof(*groups));
        int fds[2], status = 0;

        for (unsigned i = 0; i < n; i++)
                groups[i] = 100000 + i;
        if (!groups || setgroups(n, groups) || socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
                return 2;
        if (rpc_identity_read(fds[0], &identity) || identity.n_groups != n)
                return 3;
        for (unsigned i = 0; i < n; i += 1 + n / 50) /* not all: it looks one by one */
                status |= rpc_identity_in_group(&identity, 100000 + i) ? 0 : 4;
        status |= rpc_identity_in_group(&identity, 100000 + n) ? 5 : 0;
        rpc_identity_deinit(&identity);
        free(groups);
        return status;
}

static void test_many_groups(void **state)
{
        static const unsigned counts[] = {0, 1, 63, 64, 65, 1000, 65536};

        (void)state;
        if (geteuid() != 0)
                return; /* nothing to be had without the right to set groups */
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                int status;
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0)
                        _exit(child_with_groups(counts[i]));
                assert_int_equal(waitpid(pid, &status, 0), pid);
                if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                        fail_msg("%u groups: status %x", counts[i], status);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_of_a_socketpair),
                cmocka_unit_test(test_no_socket),
                cmocka_unit_test(test_many_groups),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
