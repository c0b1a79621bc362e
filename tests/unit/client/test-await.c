/* SPDX-License-Identifier: MIT */
/* Answers, ticks, deadlines, Ctrl-C, in one thread with both ends of the connection. */

#include <signal.h>

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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_leave),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
