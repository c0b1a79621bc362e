/* SPDX-License-Identifier: MIT */
/* Answers, ticks, deadlines, Ctrl-C, in one thread with both ends of the connection. */

#include <signal.h>
#include <sys/wait.h>

#include "client/await.h"
#include "unit/client/peer.h"

static struct ctl ctl;

static void test_order(void **state)
{
        struct vmreq_client_answer answer;
        struct await await;
        uint32_t msgid;
        int fd, error = 0;

        (void)state;
        ctl.client = peer_client(NULL, &fd);
        ctl_set_endless(&ctl);
        msgid = peer_submit(ctl.client);
        await_begin(&await, &ctl);
        assert_int_equal(await_next(&await, 1000000, &answer, &error), AWAIT_TICK);
        peer_reply(fd, msgid, 5);
        assert_int_equal(await_next(&await, UINT64_MAX, &answer, &error), AWAIT_ANSWER);
        peer_expect(&answer, msgid, 5);
        vmreq_client_answer_deinit(&answer);

        msgid = peer_submit(ctl.client);
        ctl_set_limit(&ctl, 1);
        assert_int_equal(await_next(&await, UINT64_MAX, &answer, &error), AWAIT_DEADLINE);

        /* Ctrl-C goes before what has come. */
        peer_reply(fd, msgid, 6);
        raise(SIGINT);
        assert_int_equal(await_next(&await, UINT64_MAX, &answer, &error), AWAIT_INTERRUPT);
        assert_int_equal(await_next(&await, UINT64_MAX, &answer, &error), AWAIT_ANSWER);
        vmreq_client_answer_deinit(&answer);

        msgid = peer_submit(ctl.client);
        close(fd);
        assert_int_equal(await_next(&await, UINT64_MAX, &answer, &error), AWAIT_ERROR);
        assert_int_equal(error, VMREQ_CLIENT_E_LOST);

        /* What comes behind the last look is taken along, and kills nobody. */
        raise(SIGINT);
        await_end(&await);
        await_end(&await);
        ctl.client = vmreq_client_free(ctl.client);
}

static void test_leave(void **state)
{
        struct await await;
        sigset_t set;

        (void)state;
        ctl.shell = true;
        await_begin(&await, &ctl);
        assert_int_equal(await_leave(&await), CTL_CANCELLED);
        sigprocmask(SIG_BLOCK, NULL, &set);
        assert_false(sigismember(&set, SIGINT));
        ctl.shell = false;
}

/* ---- signals that are held ---- */

/* Ctrl-C while nobody waits for an answer, but for a slow disk or a full pipe. */
static void test_interrupt_while_held(void **state)
{
        struct await_held held;
        sigset_t set;

        (void)state;
        ctl.shell = true;
        await_hold(&ctl, &held);
        raise(SIGINT);
        await_settle(&ctl, &held); /* and this process goes on */
        ctl.shell = false;
        assert_false(ctl.held);
        sigprocmask(SIG_BLOCK, NULL, &set);
        assert_false(sigismember(&set, SIGINT));
        sigpending(&set);
        assert_false(sigismember(&set, SIGINT));
}

/* What ends a process that raises them, in this order, while it holds them. */
static int ended_by(bool shell, const int *numbers, size_t n)
{
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                struct await_held held;

                ctl.shell = shell;
                await_hold(&ctl, &held);
                for (size_t i = 0; i < n; i++)
                        raise(numbers[i]);
                await_settle(&ctl, &held);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_end_while_held(void **state)
{
        (void)state;
        assert_int_equal(ended_by(false, (int[]){SIGINT}, 1), SIGINT);
        assert_int_equal(ended_by(false, (int[]){SIGHUP}, 1), SIGHUP);
        assert_int_equal(ended_by(true, (int[]){SIGINT}, 1), 0);
        assert_int_equal(ended_by(true, (int[]){SIGTERM}, 1), SIGTERM);
        assert_int_equal(ended_by(true, (int[]){SIGINT, SIGTERM}, 2), SIGTERM);
        assert_int_equal(ended_by(true, (int[]){SIGHUP, SIGINT}, 2), SIGHUP);
}

/* As nohup and a shell's & begin it. */
static void test_ignored(void **state)
{
        struct vmreq_client_answer answer;
        struct await_held held;
        struct await await;
        int fd, error = 0;

        (void)state;
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        ctl.client = peer_client(NULL, &fd);
        ctl_set_endless(&ctl);
        (void)peer_submit(ctl.client);
        await_begin(&await, &ctl);
        raise(SIGINT);
        assert_int_equal(await_next(&await, 1000000, &answer, &error), AWAIT_TICK);
        await_end(&await);
        await_hold(&ctl, &held);
        await_begin(&await, &ctl);
        raise(SIGHUP);
        assert_int_equal(await_next(&await, 1000000, &answer, &error), AWAIT_TICK);
        await_end(&await);
        raise(SIGHUP);
        await_settle(&ctl, &held);
        assert_int_equal(ctl.signal, 0);
        signal(SIGINT, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        close(fd);
        ctl.client = vmreq_client_free(ctl.client);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_leave),
                cmocka_unit_test(test_interrupt_while_held),
                cmocka_unit_test(test_end_while_held),
                cmocka_unit_test(test_ignored),
        };

        signal(SIGINT, SIG_DFL); /* whoever runs this may ignore them */
        signal(SIGHUP, SIG_DFL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
