/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out at each allocation of the library in turn: an error or another try, never a
 * crash, a leak or a lost answer.  malloc and its kin are wrapped by the linker.
 */

#include <errno.h>

#include "lib/fail-at.h"
#include "unit/client/peer.h"

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text)
{
        return fails_now() ? NULL : __real_strdup(text);
}

static const char error[] = "\x82\xa4name\xa4"
                            "BUSY\xa7message\xa3why";
static const char event[] = "\x93\x02\xabvmreq.event\x92\xa1x\x01";
static const char chunk[] = "\x93\x02\xabvmreq.chunk\x93\xce\x00\x01\x00\x00\x00\x01";

/* Takes the next answer, trying again where memory was short: once, since each failure is one. */
static void take(vmreq_client *client, uint32_t kind, unsigned *n_short)
{
        struct vmreq_client_answer answer;
        int r = vmreq_client_next(client, PATIENCE, &answer);

        if (r == -ENOMEM) {
                (*n_short)++;
                r = vmreq_client_next(client, PATIENCE, &answer);
        }
        assert_int_equal(r, 0);
        assert_int_equal(answer.kind, kind);
        vmreq_client_answer_deinit(&answer);
}

static int submit(vmreq_client *client, uint32_t *ret_msgid, unsigned *n_short)
{
        struct vmreq_client_options options = VMREQ_CLIENT_OPTIONS_INIT;
        int r = vmreq_client_submit_call(client, "x.y", "\x90", 1, &options, ret_msgid);

        if (r != -ENOMEM)
                return r;
        (*n_short)++;
        return vmreq_client_submit_call(client, "x.y", "\x90", 1, &options, ret_msgid);
}

/* One life of a client, with its `n`th allocation failing.  Returns how often that was noticed. */
static unsigned scenario(size_t n)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        vmreq_client *client = NULL;
        unsigned n_short = 0;
        uint32_t a, b;
        int fds[2], again[2], r;

        config.flags = VMREQ_CLIENT_NO_HELLO | VMREQ_CLIENT_TAKE_STREAMS | VMREQ_CLIENT_TAKE_EVENTS;
        config.name = "n";
        config.version = "v";
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, again), 0);
        fail_at = n;
        r = vmreq_client_adopt(fds[0], &config, &client, NULL, 0);
        if (r != 0) {
                assert_int_equal(r, -ENOMEM);
                fail_at = 0;
                close(fds[1]);
                close(again[0]);
                close(again[1]);
                return 1;
        }
        assert_int_equal(submit(client, &a, &n_short), 0);
        assert_int_equal(submit(client, &b, &n_short), 0);
        peer_send(fds[1], chunk, sizeof(chunk) - 1);
        peer_send(fds[1], event, sizeof(event) - 1);
        n = fail_at;
        fail_at = 0;
        peer_error(fds[1], a, error, sizeof(error) - 1);
        fail_at = n;
        take(client, VMREQ_CLIENT_CHUNK, &n_short);
        take(client, VMREQ_CLIENT_EVENT, &n_short);
        take(client, VMREQ_CLIENT_REPLY, &n_short);

        r = vmreq_client_reconnect(client, again[0], NULL, 0);
        if (r != 0) {
                assert_int_equal(r, -ENOMEM);
                n_short++;
                assert_int_equal(send(again[1], "x", 1, MSG_NOSIGNAL), -1); /* closed */
                close(again[1]);
                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, again), 0);
                assert_int_equal(vmreq_client_reconnect(client, again[0], NULL, 0), 0);
        }
        take(client, VMREQ_CLIENT_REPLY, &n_short); /* b, as lost */
        vmreq_client_free(client);
        fail_at = 0;
        close(fds[1]);
        close(again[1]);
        return n_short;
}

static void test_each_allocation(void **state)
{
        size_t n = 1;

        (void)state;
        assert_int_equal(scenario(0), 0);
        while (scenario(n) > 0)
                n++;
        /* The texts, the table, the client itself, buffers, answers: they are there to be missed.
         */
        assert_true(n > 8);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_allocation),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
