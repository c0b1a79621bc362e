/* SPDX-License-Identifier: MIT */
/*
 * Servers of every malice, torn and lost ones: nothing crashes, nothing waits for ever, nothing is
 * misread.
 */

#include "unit/client/peer.h"

static void test_byte_by_byte(void **state)
{
        static const char frame[] = "\x94\x01\xce\x00\x01\x00\x00\xc0\x92\xa3"
                                    "abc\xcd\x01\x00";
        struct vmreq_client_answer answer;
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        msgid = peer_submit(client);
        assert_int_equal(msgid, 0x10000);
        for (size_t i = 0; i < sizeof(frame) - 1; i++) {
                assert_int_equal(vmreq_client_next(client, 0, &answer), VMREQ_CLIENT_E_TIMEOUT);
                peer_send(fd, frame + i, 1);
        }
        assert_int_equal(vmreq_client_next(client, 0, &answer), 0);
        assert_int_equal(answer.value_len, 8);
        assert_memory_equal(answer.value,
                            "\x92\xa3"
                            "abc\xcd\x01\x00",
                            8);
        vmreq_client_answer_deinit(&answer);
        vmreq_client_free(client);
        close(fd);
}

/* Several frames in one write, the last one torn. */
static void test_torn(void **state)
{
        struct vmreq_client_answer answer;
        vmreq_client *client;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        (void)peer_submit(client);
        (void)peer_submit(client);
        peer_send(fd, "\x94\x01\xce\x00\x01\x00\x00\xc0\x05\x94\x01\xce\x00", 13);
        close(fd);
        assert_int_equal(vmreq_client_next(client, PATIENCE, &answer), 0);
        peer_expect(&answer, 0x10000, 5);
        vmreq_client_answer_deinit(&answer);
        assert_int_equal(vmreq_client_next(client, PATIENCE, &answer), VMREQ_CLIENT_E_LOST);
        assert_non_null(strstr(vmreq_client_reason(client), "middle"));
        assert_int_equal(vmreq_client_process(client), VMREQ_CLIENT_E_LOST);
        assert_int_equal(vmreq_client_events(client), 0);
        vmreq_client_free(client);
}

static void test_lost(void **state)
{
        struct vmreq_client_answer answer;
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        msgid = peer_submit(client);
        close(fd);
        assert_int_equal(vmreq_client_wait(client, msgid, PATIENCE, &answer), VMREQ_CLIENT_E_LOST);
        assert_int_equal(vmreq_client_wait(client, msgid, PATIENCE, &answer), VMREQ_CLIENT_E_LOST);
        assert_int_equal(vmreq_client_submit(client, "x.y", "\x90", 1, &msgid),
                         VMREQ_CLIENT_E_LOST);
        assert_int_equal(vmreq_client_call(client, "x.y", "\x90", 1, PATIENCE, &answer),
                         VMREQ_CLIENT_E_LOST);
        assert_true(vmreq_client_reason(client)[0] != '\0');
        vmreq_client_free(client);
}

/* What a server says before it closes is still read, although our writes fail. */
static void test_last_words(void **state)
{
        struct vmreq_client_answer answer;
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        msgid = peer_submit(client);
        peer_reply(fd, msgid, 9);
        close(fd);
        assert_int_equal(vmreq_client_wait(client, msgid, PATIENCE, &answer), 0);
        peer_expect(&answer, msgid, 9);
        vmreq_client_answer_deinit(&answer);
        vmreq_client_free(client);
}

static void test_hostile(void **state)
{
#define BYTES(text) text, sizeof(text) - 1
        static const struct {
                const char *bytes;
                size_t len;
                const char *reason;
        } cases[] = {
                {BYTES("HTTP/1.1 400 Bad Request\r\n"), "does not speak"},
                {BYTES("\xc1"), ""},
                {BYTES("\x90"), "no msgpack-RPC"},
                {BYTES("\x94\x07\x01\xc0\xc0"), "no msgpack-RPC"},
                {BYTES("\x93\x01\x01\xc0"), "malformed response"},
                {BYTES("\x95\x01\x01\xc0\xc0\xc0"), "malformed response"},
                {BYTES("\x94\x01\xa1x\xc0\xc0"), "malformed response"},
                {BYTES("\x94\x01\xff\xc0\xc0"), "malformed response"},
                {BYTES("\x94\x01\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xc0\xc0"),
                 "malformed response"},
                {BYTES("\x94\x01\x07\xc0\xc0"), "not in flight"},
                {BYTES("\x94\x01\xce\x00\x02\x00\x00\xc0\xc0"), "not in flight"},
                {BYTES("\x94\x01\xce\x00\x01\xff\xff\xc0\xc0"), "not in flight"},
                {BYTES("\xdd\xff\xff\xff\xff"), "larger"},
                {BYTES("\x94\x01\x01\xc0\xdd\xff\xff\xff\xff"), "larger"},
                {BYTES("\x94\x01\x01\xc0\xdf\xff\xff\xff\xff"), "larger"},
                {BYTES("\x94\x01\x01\xc0\xc6\xff\xff\xff\xff"), "larger"},
                {BYTES("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
                       "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"),
                 "deeper"},
        };
#undef BYTES

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct vmreq_client_answer answer;
                vmreq_client *client;
                int fd;

                client = peer_client(NULL, &fd);
                (void)peer_submit(client);
                peer_send(fd, cases[i].bytes, cases[i].len);
                assert_int_equal(vmreq_client_next(client, PATIENCE, &answer),
                                 VMREQ_CLIENT_E_PROTOCOL);
                assert_non_null(strstr(vmreq_client_reason(client), cases[i].reason));
                assert_int_equal(vmreq_client_next(client, PATIENCE, &answer),
                                 VMREQ_CLIENT_E_PROTOCOL);
                vmreq_client_free(client);
                close(fd);
        }
}

/* A second answer to a call, before and after the first was taken. */
static void test_answered_twice(void **state)
{
        (void)state;
        for (int taken = 0; taken < 2; taken++) {
                struct vmreq_client_answer answer;
                vmreq_client *client;
                uint32_t a, b;
                int fd;

                client = peer_client(NULL, &fd);
                a = peer_submit(client);
                b = peer_submit(client);
                peer_reply(fd, a, 1);
                if (taken) {
                        assert_int_equal(vmreq_client_wait(client, a, PATIENCE, &answer), 0);
                        vmreq_client_answer_deinit(&answer);
                }
                peer_reply(fd, a, 1);
                assert_int_equal(vmreq_client_wait(client, b, PATIENCE, &answer),
                                 VMREQ_CLIENT_E_PROTOCOL);
                vmreq_client_free(client);
                close(fd);
        }
}

/* Notifications and requests are dropped, and waiting through them ends at the deadline. */
static void test_strays(void **state)
{
        struct vmreq_client_answer answer;
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        msgid = peer_submit(client);
        peer_send(fd, "\x93\x02\xa1x\x90\x94\x00\x01\xa1x\x90", 11);
        assert_int_equal(vmreq_client_wait(client, msgid, 1000000, &answer),
                         VMREQ_CLIENT_E_TIMEOUT);
        assert_int_equal(vmreq_client_strays(client), 2);
        peer_reply(fd, msgid, 1);
        assert_int_equal(vmreq_client_wait(client, msgid, PATIENCE, &answer), 0);
        vmreq_client_answer_deinit(&answer);
        vmreq_client_free(client);
        close(fd);
}

/* A peer that always has more: one process does a bounded amount and comes back. */
static void test_flood(void **state)
{
        static char flood[200000];
        vmreq_client *client;
        uint64_t before;
        ssize_t n;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        (void)peer_submit(client);
        for (size_t i = 0; i + 5 <= sizeof(flood); i += 5)
                memcpy(flood + i, "\x93\x02\xa1x\x90", 5);
        for (int i = 0; i < 50; i++) {
                n = send(fd, flood, sizeof(flood), MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n > 0 && n % 5 != 0)
                        peer_send(fd, flood + n % 5, (size_t)(5 - n % 5));
                before = vmreq_client_strays(client);
                assert_int_equal(vmreq_client_process(client), 0);
                assert_true(vmreq_client_strays(client) > before);
        }
        vmreq_client_free(client);
        close(fd);
}

/* An answer of several MiB, as the socket takes it; freed with the client, not taken. */
static void test_large_answer(void **state)
{
        const size_t len = (size_t)5 << 20;
        struct vmreq_client_answer answer;
        uint8_t *frame = calloc(1, len);
        vmreq_client *client;
        uint32_t msgid;
        size_t sent = 0;
        ssize_t n;
        int fd;

        (void)state;
        assert_non_null(frame);
        memcpy(frame, "\x94\x01\xce\x00\x01\x00\x00\xc0\xc6\x00\x4f\xff\xf3", 13);
        client = peer_client(NULL, &fd);
        msgid = peer_submit(client);
        while (sent < len) {
                n = send(fd, frame + sent, len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n > 0)
                        sent += (size_t)n;
                assert_int_equal(vmreq_client_process(client), 0);
        }
        assert_int_equal(vmreq_client_wait(client, msgid, PATIENCE, &answer), 0);
        assert_int_equal(answer.value_len, len - 8);
        vmreq_client_answer_deinit(&answer);
        msgid = peer_submit(client);
        peer_reply(fd, msgid, 1);
        assert_int_equal(vmreq_client_process(client), 0);
        vmreq_client_free(client);
        close(fd);
        free(frame);
}

/* [2, "vmreq.chunk", [0x10000, seq, seq]] */
static void send_chunk(int fd, uint8_t seq)
{
        char frame[] = "\x93\x02\xabvmreq.chunk\x93\xce\x00\x01\x00\x00\x00\x00";

        frame[sizeof(frame) - 3] = (char)seq;
        frame[sizeof(frame) - 2] = (char)seq;
        peer_send(fd, frame, sizeof(frame) - 1);
}

static vmreq_client *streaming_client(int *ret_fd)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;

        config.flags = VMREQ_CLIENT_TAKE_STREAMS;
        return peer_client(&config, ret_fd);
}

/* Chunks come before their reply, in order, beside the replies of other calls. */
static void test_stream(void **state)
{
        struct vmreq_client_answer answer;
        vmreq_client *client;
        uint32_t a, b;
        int fd;

        (void)state;
        client = streaming_client(&fd);
        a = peer_submit(client);
        b = peer_submit(client);
        send_chunk(fd, 0);
        peer_reply(fd, b, 7);
        send_chunk(fd, 1);
        peer_reply(fd, a, 2);
        for (uint8_t i = 0; i < 4; i++) {
                assert_int_equal(vmreq_client_next(client, PATIENCE, &answer), 0);
                if (i == 1) {
                        peer_expect(&answer, b, 7);
                } else if (i == 3) {
                        peer_expect(&answer, a, 2);
                } else {
                        assert_int_equal(answer.kind, VMREQ_CLIENT_CHUNK);
                        assert_int_equal(answer.msgid, a);
                        assert_int_equal(answer.id, i / 2);
                        assert_int_equal(answer.value[0], i / 2);
                }
                vmreq_client_answer_deinit(&answer);
        }
        assert_int_equal(vmreq_client_strays(client), 0);
        vmreq_client_free(client);
        close(fd);
}

/* A chunk that is missing, or comes twice, is not passed over. */
static void test_stream_gap(void **state)
{
        static const uint8_t sequences[2][2] = {{0, 2}, {0, 0}};

        (void)state;
        for (int i = 0; i < 2; i++) {
                struct vmreq_client_answer answer;
                vmreq_client *client;
                int fd;

                client = streaming_client(&fd);
                (void)peer_submit(client);
                send_chunk(fd, sequences[i][0]);
                send_chunk(fd, sequences[i][1]);
                assert_int_equal(vmreq_client_next(client, PATIENCE, &answer), 0);
                vmreq_client_answer_deinit(&answer);
                assert_int_equal(vmreq_client_next(client, PATIENCE, &answer),
                                 VMREQ_CLIENT_E_PROTOCOL);
                assert_non_null(strstr(vmreq_client_reason(client), "left out"));
                vmreq_client_free(client);
                close(fd);
        }
}

/* Nobody waits for them: chunks of no call, of a forgotten one, or behind the reply. */
static void test_stream_unwanted(void **state)
{
        struct vmreq_client_answer answer;
        vmreq_client *client;
        uint32_t a;
        int fd;

        (void)state;
        client = streaming_client(&fd);
        send_chunk(fd, 0);
        assert_int_equal(vmreq_client_process(client), 0);
        assert_int_equal(vmreq_client_strays(client), 1);
        a = peer_submit(client);
        send_chunk(fd, 0);
        assert_int_equal(vmreq_client_process(client), 0);
        assert_int_equal(vmreq_client_forget(client, a), 0);
        send_chunk(fd, 1);
        assert_int_equal(vmreq_client_next(client, 0, &answer), VMREQ_CLIENT_E_NOTHING);
        assert_int_equal(vmreq_client_strays(client), 2);
        peer_reply(fd, a, 1);
        send_chunk(fd, 2);
        assert_int_equal(vmreq_client_next(client, 0, &answer), VMREQ_CLIENT_E_NOTHING);
        assert_int_equal(vmreq_client_strays(client), 3);
        vmreq_client_free(client);
        close(fd);
}

/* Waiting for the reply of a call leaves its chunks where they are, for next. */
static void test_stream_waited(void **state)
{
        struct vmreq_client_answer answer;
        vmreq_client *client;
        uint32_t a;
        int fd;

        (void)state;
        client = streaming_client(&fd);
        a = peer_submit(client);
        send_chunk(fd, 0);
        peer_reply(fd, a, 1);
        assert_int_equal(vmreq_client_wait(client, a, PATIENCE, &answer), 0);
        peer_expect(&answer, a, 1);
        vmreq_client_answer_deinit(&answer);
        assert_int_equal(vmreq_client_next(client, PATIENCE, &answer), 0);
        assert_int_equal(answer.kind, VMREQ_CLIENT_CHUNK);
        vmreq_client_answer_deinit(&answer);
        vmreq_client_free(client);
        close(fd);
}

/*
 * Events are waited for without a call in flight, and a flood of them stops at the bound: what is
 * held is counted with what holding costs.
 */
static void test_events_bounded(void **state)
{
        static const char event[] = "\x93\x02\xabvmreq.event\x92\xa1x\x01";
        static char flood[1000 * (sizeof(event) - 1)];
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        struct vmreq_client_answer answer;
        vmreq_client *client;
        size_t n = 0;
        int fd;

        (void)state;
        config.flags = VMREQ_CLIENT_TAKE_EVENTS;
        config.answer_bytes_max = 65536;
        client = peer_client(&config, &fd);
        assert_int_equal(vmreq_client_next(client, 0, &answer), VMREQ_CLIENT_E_TIMEOUT);
        for (size_t i = 0; i < 1000; i++)
                memcpy(flood + i * (sizeof(event) - 1), event, sizeof(event) - 1);
        peer_send(fd, flood, sizeof(flood));
        assert_int_equal(vmreq_client_process(client), 0);
        assert_int_equal(vmreq_client_events(client), 0);
        while (vmreq_client_events(client) == 0) {
                assert_int_equal(vmreq_client_next(client, 0, &answer), 0);
                assert_int_equal(answer.kind, VMREQ_CLIENT_EVENT);
                assert_string_equal(answer.name, "x");
                vmreq_client_answer_deinit(&answer);
                n++;
        }
        assert_true(n > 0 && n < 1000);
        for (; vmreq_client_next(client, 0, &answer) == 0; n++)
                vmreq_client_answer_deinit(&answer);
        assert_int_equal(n, 1000);
        vmreq_client_free(client);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_byte_by_byte),  cmocka_unit_test(test_torn),
                cmocka_unit_test(test_lost),          cmocka_unit_test(test_last_words),
                cmocka_unit_test(test_hostile),       cmocka_unit_test(test_answered_twice),
                cmocka_unit_test(test_strays),        cmocka_unit_test(test_flood),
                cmocka_unit_test(test_large_answer),  cmocka_unit_test(test_stream),
                cmocka_unit_test(test_stream_gap),    cmocka_unit_test(test_stream_unwanted),
                cmocka_unit_test(test_stream_waited), cmocka_unit_test(test_events_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
