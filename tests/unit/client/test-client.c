/* SPDX-License-Identifier: MIT */
/* Calls and answers in every order, timeouts, forgetting, and each bound of a client. */

#include <errno.h>
#include <poll.h>

#include "unit/client/peer.h"

static void test_out_of_order(void **state)
{
        struct vmreq_client_answer answer;
        uint32_t a, b, c;
        vmreq_client *client;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        a = peer_submit(client);
        b = peer_submit(client);
        c = peer_submit(client);
        assert_true(a != b && b != c && a != c);
        assert_int_equal(vmreq_client_events(client), POLLIN | POLLOUT);
        assert_int_equal(vmreq_client_next(client, 0, &answer), VMREQ_CLIENT_E_TIMEOUT);
        assert_int_equal(vmreq_client_events(client), POLLIN);

        peer_reply(fd, c, 3);
        peer_reply(fd, a, 1);
        peer_reply(fd, b, 2);
        assert_int_equal(vmreq_client_wait(client, b, PATIENCE, &answer), 0);
        peer_expect(&answer, b, 2);
        vmreq_client_answer_deinit(&answer);
        vmreq_client_answer_deinit(&answer);
        assert_int_equal(vmreq_client_next(client, 0, &answer), 0);
        peer_expect(&answer, c, 3);
        vmreq_client_answer_deinit(&answer);
        assert_int_equal(vmreq_client_next(client, 0, &answer), 0);
        peer_expect(&answer, a, 1);
        vmreq_client_answer_deinit(&answer);
        assert_int_equal(vmreq_client_next(client, PATIENCE, &answer), VMREQ_CLIENT_E_NOTHING);
        assert_int_equal(vmreq_client_wait(client, a, PATIENCE, &answer), VMREQ_CLIENT_E_UNKNOWN);
        vmreq_client_free(client);
        close(fd);
}

static void test_what_is_sent(void **state)
{
        uint8_t bytes[64];
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        assert_int_equal(vmreq_client_submit(client, "debug.add", "\x92\x28\x02", 3, &msgid), 0);
        assert_int_equal(vmreq_client_notify(client, "n.n", "\x90", 1), 0);
        assert_int_equal(vmreq_client_process(client), 0);
        assert_int_equal(msgid, 0x10000);
        assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 27);
        assert_memory_equal(bytes,
                            "\x94\x00\xce\x00\x01\x00\x00\xa9"
                            "debug.add\x92\x28\x02",
                            20);
        assert_memory_equal(bytes + 20, "\x93\x02\xa3n.n\x90", 7);
        vmreq_client_free(client);
        close(fd);
}

/* Params that are not one array, methods that are none. */
static void test_bad_calls(void **state)
{
        static const struct {
                const char *method, *params;
                size_t len;
                int expected;
        } cases[] = {
                {"x.y", "", 0, -EINVAL},
                {"x.y", "\xc0", 1, -EINVAL},
                {"x.y", "\x91", 1, -EINVAL},
                {"x.y", "\x90\x90", 2, -EINVAL},
                {"x.y", "\xdd\xff\xff\xff\xff", 5, -EINVAL},
                {"", "\x90", 1, -EINVAL},
                {"01234567890123456789012345678901234567890123456789012345678901234", "\x90", 1,
                 -EINVAL},
        };
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_int_equal(vmreq_client_submit(client, cases[i].method, cases[i].params,
                                                     cases[i].len, &msgid),
                                 cases[i].expected);
        assert_int_equal(vmreq_client_events(client), POLLIN);
        vmreq_client_free(client);
        close(fd);
}

/* The frame is one level of the 28 that a server reads: what would be the 29th is not sent. */
static void test_deep_params(void **state)
{
        uint8_t params[28];
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        memset(params, 0x91, sizeof(params));
        params[27] = 0x90;
        client = peer_client(NULL, &fd);
        assert_int_equal(vmreq_client_submit(client, "x.y", params, 28, &msgid), -EINVAL);
        assert_int_equal(vmreq_client_notify(client, "x.y", params, 28), -EINVAL);
        assert_int_equal(vmreq_client_submit_call(client, "x.y", params + 1, 27, NULL, &msgid),
                         -EINVAL);
        assert_int_equal(vmreq_client_events(client), POLLIN);
        assert_int_equal(vmreq_client_submit(client, "x.y", params + 1, 27, &msgid), 0);
        assert_int_equal(vmreq_client_submit_call(client, "x.y", params + 2, 26, NULL, &msgid), 0);
        vmreq_client_free(client);
        close(fd);
}

static void test_forget(void **state)
{
        struct vmreq_client_answer answer;
        uint32_t a, b, c;
        vmreq_client *client;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        a = peer_submit(client);
        b = peer_submit(client);
        assert_int_equal(vmreq_client_forget(client, a), 0);
        assert_int_equal(vmreq_client_forget(client, a), VMREQ_CLIENT_E_UNKNOWN);
        assert_int_equal(vmreq_client_wait(client, a, 0, &answer), VMREQ_CLIENT_E_UNKNOWN);
        peer_reply(fd, a, 1);
        peer_reply(fd, b, 2);
        assert_int_equal(vmreq_client_next(client, PATIENCE, &answer), 0);
        peer_expect(&answer, b, 2);
        vmreq_client_answer_deinit(&answer);
        assert_int_equal(vmreq_client_next(client, PATIENCE, &answer), VMREQ_CLIENT_E_NOTHING);

        c = peer_submit(client);
        peer_reply(fd, c, 3);
        assert_int_equal(vmreq_client_process(client), 0);
        assert_int_equal(vmreq_client_forget(client, c), 0);
        assert_int_equal(vmreq_client_next(client, 0, &answer), VMREQ_CLIENT_E_NOTHING);
        vmreq_client_free(client);
        close(fd);
}

/* A call that timed out keeps its id from being given again until its answer has come. */
static void test_call_timeout(void **state)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        struct vmreq_client_answer answer;
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        config.calls_max = 1;
        client = peer_client(&config, &fd);
        assert_int_equal(vmreq_client_call(client, "x.y", "\x90", 1, 1000000, &answer),
                         VMREQ_CLIENT_E_TIMEOUT);
        assert_int_equal(vmreq_client_submit(client, "x.y", "\x90", 1, &msgid),
                         VMREQ_CLIENT_E_BUSY);
        peer_reply(fd, 0x10000, 1);
        assert_int_equal(vmreq_client_process(client), 0);
        msgid = peer_submit(client);
        assert_int_not_equal(msgid, 0x10000);
        peer_reply(fd, msgid, 2);
        assert_int_equal(vmreq_client_wait(client, msgid, PATIENCE, &answer), 0);
        peer_expect(&answer, msgid, 2);
        vmreq_client_answer_deinit(&answer);
        vmreq_client_free(client);
        close(fd);
}

static void test_output_bound(void **state)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        static uint8_t params[4096] = {0x91, 0xc5, 0x0f, 0x00};
        vmreq_client *client;
        uint32_t msgid;
        int fd, r, n = 0;

        (void)state;
        config.frame_bytes_max = 4096;
        config.output_bytes_max = 65536;
        client = peer_client(&config, &fd);
        assert_int_equal(vmreq_client_submit(client, "x.y", params, sizeof(params), &msgid),
                         VMREQ_CLIENT_E_TOO_LARGE);
        while ((r = vmreq_client_submit(client, "x.y", params, 3844, &msgid)) == 0)
                n++;
        assert_int_equal(r, VMREQ_CLIENT_E_BUSY);
        assert_int_equal(n, 65536 / (3844 + 10));
        assert_int_equal(vmreq_client_process(client), 0);
        assert_int_equal(vmreq_client_submit(client, "x.y", params, 3844, &msgid), 0);
        vmreq_client_free(client);
        close(fd);
}

/*
 * Above answer_bytes_max reading stops; taking answers starts it again; waiting for another one
 * says so.
 */
static void test_answer_bound(void **state)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        static uint8_t reply[8 + 3 + 600] = {0x94, 0x01, 0xce, 0, 1, 0, 0, 0xc0, 0xc5, 0x02, 0x58};
        struct vmreq_client_answer answer;
        vmreq_client *client;
        uint32_t msgids[4];
        int fd;

        (void)state;
        config.frame_bytes_max = 4096;
        config.answer_bytes_max = 1024;
        client = peer_client(&config, &fd);
        for (uint8_t i = 0; i < 4; i++) {
                msgids[i] = peer_submit(client);
                reply[6] = i;
                peer_send(fd, reply, sizeof(reply));
        }
        assert_int_equal(vmreq_client_process(client), 0);
        assert_int_equal(vmreq_client_events(client) & POLLIN, 0);
        assert_int_equal(vmreq_client_wait(client, msgids[3], PATIENCE, &answer),
                         VMREQ_CLIENT_E_BUSY);
        for (int i = 0; i < 4; i++) {
                assert_int_equal(vmreq_client_next(client, PATIENCE, &answer), 0);
                assert_int_equal(answer.msgid, msgids[i]);
                assert_int_equal(answer.value_len, 603);
                vmreq_client_answer_deinit(&answer);
        }
        vmreq_client_free(client);
        close(fd);
}

/* More calls than the socket's buffer holds, each answered: nothing is lost, nothing mixed up. */
static void test_many(void **state)
{
        enum { CALLS = 1000 };
        struct vmreq_client_answer answer;
        static uint32_t msgids[CALLS];
        vmreq_client *client;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        for (int round = 0; round < 70; round++) {
                for (int i = 0; i < CALLS; i++)
                        msgids[i] = peer_submit(client);
                assert_int_equal(vmreq_client_process(client), 0);
                for (int i = CALLS; i > 0; i--) {
                        char drop[64];

                        assert_int_equal(recv(fd, drop, 12, 0), 12);
                        peer_reply(fd, msgids[i - 1], (uint64_t)(i - 1) % 128);
                        assert_int_equal(vmreq_client_process(client), 0);
                }
                for (int i = 0; i < CALLS; i++) {
                        assert_int_equal(vmreq_client_wait(client, msgids[i], 0, &answer), 0);
                        peer_expect(&answer, msgids[i], (uint8_t)(i % 128));
                        vmreq_client_answer_deinit(&answer);
                }
        }
        vmreq_client_free(client);
        close(fd);
}

static void test_names(void **state)
{
        (void)state;
        assert_string_equal(vmreq_client_outcome_name(VMREQ_CLIENT_OK), "OK");
        assert_string_equal(vmreq_client_outcome_name(VMREQ_CLIENT_E_NOTHING), "NOTHING");
        assert_string_equal(vmreq_client_outcome_name(VMREQ_CLIENT_E_NOTHING + 1), "UNKNOWN");
        assert_string_equal(vmreq_client_outcome_name(-1), "UNKNOWN");
        assert_null(vmreq_client_free(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_out_of_order), cmocka_unit_test(test_what_is_sent),
                cmocka_unit_test(test_bad_calls),    cmocka_unit_test(test_deep_params),
                cmocka_unit_test(test_forget),       cmocka_unit_test(test_call_timeout),
                cmocka_unit_test(test_output_bound), cmocka_unit_test(test_answer_bound),
                cmocka_unit_test(test_many),         cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
