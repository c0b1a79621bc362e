/* SPDX-License-Identifier: MIT */
/* What the methods with options send, what is refused before, and how their answers read. */

#include <errno.h>

#include "unit/client/peer.h"

#define BYTES(text) text, sizeof(text) - 1
#define HEAD        7 /* array, type, message id */

/* What went out: `tail` behind the message id. */
static void expect_sent(vmreq_client *client, int fd, const char *tail, size_t len)
{
        uint8_t bytes[256];

        assert_int_equal(vmreq_client_process(client), 0);
        assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), (ssize_t)len + HEAD);
        assert_memory_equal(bytes + HEAD, tail, len);
}

static void test_plain(void **state)
{
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        assert_int_equal(
                vmreq_client_submit_call(client, "debug.add", "\x92\x28\x02", 3, NULL, &msgid), 0);
        expect_sent(client, fd,
                    BYTES("\xaavmreq.call\x93\xa9"
                          "debug.add\x92\x28\x02\x80"));
        assert_int_equal(
                vmreq_client_submit_request(client, "a.b", "\x81\xa1x\x01", 4, NULL, &msgid), 0);
        expect_sent(client, fd,
                    BYTES("\xacvmreq.submit\x93\xa3"
                          "a.b\x81\xa1x\x01\x80"));
        vmreq_client_free(client);
        close(fd);
}

static void test_options(void **state)
{
        struct vmreq_client_options options = VMREQ_CLIENT_OPTIONS_INIT;
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        options.cpu = VMREQ_CLIENT_CPU_ALL_REVERSE;
        options.flags = VMREQ_CLIENT_PRIORITY | VMREQ_CLIENT_PARALLEL | VMREQ_CLIENT_STREAM |
                        VMREQ_CLIENT_CONTINUE | VMREQ_CLIENT_TIMING;
        options.timeout_ms = 500;
        options.key = "k";
        assert_int_equal(vmreq_client_submit_call(client, "a.b", "\x90", 1, &options, &msgid), 0);
        expect_sent(client, fd,
                    BYTES("\xaavmreq.call\x93\xa3"
                          "a.b\x90\x88\xa3"
                          "cpu\xab"
                          "all-reverse\xa8priority\xc3\xa8"
                          "parallel\xc3\xa6stream\xc3\xa6timing\xc3\xa8on_error\xa8"
                          "continue\xaatimeout_ms"
                          "\xcd\x01\xf4\xa3key\xa1k"));
        options = (struct vmreq_client_options)VMREQ_CLIENT_OPTIONS_INIT;
        options.cpu = 3;
        options.flags = VMREQ_CLIENT_POKE | VMREQ_CLIENT_NO_STREAM | VMREQ_CLIENT_DETACH |
                        VMREQ_CLIENT_NO_WAIT;
        options.timeout_ms = 0;
        assert_int_equal(vmreq_client_submit_request(client, "a.b", "\x90", 1, &options, &msgid),
                         0);
        expect_sent(client, fd,
                    BYTES("\xacvmreq.submit\x93\xa3"
                          "a.b\x90\x86\xa3"
                          "cpu\x03\xa4poke\xc3\xa6stream\xc2\xa6"
                          "detach\xc3\xa7no_wait\xc3\xaatimeout_ms\x00"));
        vmreq_client_free(client);
        close(fd);
}

static void test_refused(void **state)
{
        struct vmreq_client_options options = VMREQ_CLIENT_OPTIONS_INIT;
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        assert_int_equal(vmreq_client_submit_call(client, "a.b", "", 0, NULL, &msgid), -EINVAL);
        assert_int_equal(vmreq_client_submit_call(client, "a.b", "\x91", 1, NULL, &msgid), -EINVAL);
        assert_int_equal(vmreq_client_submit_call(client, "a.b", "\x90\x80", 2, NULL, &msgid),
                         -EINVAL);
        options.size--;
        assert_int_equal(vmreq_client_submit_call(client, "a.b", "\x90", 1, &options, &msgid),
                         -EINVAL);
        options.size++;
        options.flags = 0x8000;
        assert_int_equal(vmreq_client_submit_call(client, "a.b", "\x90", 1, &options, &msgid),
                         -EINVAL);
        options.flags = VMREQ_CLIENT_STREAM | VMREQ_CLIENT_NO_STREAM;
        assert_int_equal(vmreq_client_submit_call(client, "a.b", "\x90", 1, &options, &msgid),
                         -EINVAL);
        options.flags = 0;
        options.cpu = -6;
        assert_int_equal(vmreq_client_submit_call(client, "a.b", "\x90", 1, &options, &msgid),
                         -EINVAL);
        options.cpu = 0;
        options.timeout_ms = -2;
        assert_int_equal(vmreq_client_submit_call(client, "a.b", "\x90", 1, &options, &msgid),
                         -EINVAL);
        assert_int_equal(vmreq_client_next(client, 0, NULL), VMREQ_CLIENT_E_NOTHING);
        vmreq_client_free(client);
        close(fd);
}

static void test_ids(void **state)
{
        vmreq_client *client;
        uint32_t msgid;
        int fd;

        (void)state;
        client = peer_client(NULL, &fd);
        assert_int_equal(vmreq_client_submit_wait(client, 5, UINT64_MAX, &msgid), 0);
        expect_sent(client, fd, BYTES("\xaavmreq.wait\x91\x05"));
        assert_int_equal(vmreq_client_submit_wait(client, 5, 0, &msgid), 0);
        expect_sent(client, fd, BYTES("\xaavmreq.wait\x92\x05\x00"));
        assert_int_equal(vmreq_client_submit_release(client, 300, &msgid), 0);
        expect_sent(client, fd, BYTES("\xadvmreq.release\x91\xcd\x01\x2c"));
        assert_int_equal(vmreq_client_submit_cancel_request(client, 5, &msgid), 0);
        expect_sent(client, fd, BYTES("\xacvmreq.cancel\x91\x05"));
        assert_int_equal(vmreq_client_submit_cancel(client, 0x10000, &msgid), 0);
        expect_sent(client, fd, BYTES("\xacvmreq.cancel\x91\x81\xa5msgid\xce\x00\x01\x00\x00"));
        vmreq_client_free(client);
        close(fd);
}

static void test_answers(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                bool is_uint;
                uint64_t value;
                int verdict;
        } cases[] = {
                {BYTES("\x05"), true, 5, VMREQ_CLIENT_UNKNOWN},
                {BYTES("\xcc\xff"), true, 255, VMREQ_CLIENT_UNKNOWN},
                {BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), true, UINT64_MAX,
                 VMREQ_CLIENT_UNKNOWN},
                {BYTES("\xff"), false, 0, VMREQ_CLIENT_UNKNOWN},
                {BYTES("\xc0"), false, 0, VMREQ_CLIENT_UNKNOWN},
                {BYTES("\xa7removed"), false, 0, VMREQ_CLIENT_REMOVED},
                {BYTES("\xa5"
                       "asked"),
                 false, 0, VMREQ_CLIENT_ASKED},
                {BYTES("\xa7running"), false, 0, VMREQ_CLIENT_RUNNING},
                {BYTES("\xa8"
                       "finished"),
                 false, 0, VMREQ_CLIENT_FINISHED},
                {BYTES("\xa7unknown"), false, 0, VMREQ_CLIENT_UNKNOWN},
        };
        struct vmreq_client_answer answer = {0};
        uint64_t value;

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                answer.failed = 0;
                answer.value = (const uint8_t *)cases[i].bytes;
                answer.value_len = cases[i].len;
                value = 0;
                assert_int_equal(vmreq_client_answer_uint(&answer, &value),
                                 cases[i].is_uint ? 0 : -EINVAL);
                assert_true(value == cases[i].value);
                assert_int_equal(vmreq_client_answer_verdict(&answer), cases[i].verdict);
                answer.failed = 1;
                assert_int_equal(vmreq_client_answer_uint(&answer, &value), -EINVAL);
                assert_int_equal(vmreq_client_answer_verdict(&answer), VMREQ_CLIENT_UNKNOWN);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plain),   cmocka_unit_test(test_options),
                cmocka_unit_test(test_refused), cmocka_unit_test(test_ids),
                cmocka_unit_test(test_answers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
