/* SPDX-License-Identifier: MIT */
/* What is typed: in order, once, one call at a time; what was not taken comes again, later. */

#include "client/typing.h"
#include "proto/value.h"
#include "unit/client/peer.h"

static struct ctl ctl;
static struct typing typing;
static int peer;

static int start(void **state)
{
        (void)state;
        memset(&typing, 0, sizeof(typing));
        ctl.client = peer_client(NULL, &peer);
        return 0;
}

static int end(void **state)
{
        (void)state;
        ctl.client = vmreq_client_free(ctl.client);
        close(peer);
        return 0;
}

static void type(const char *text)
{
        assert_int_equal(typing_put(&typing, (const uint8_t *)text, strlen(text)), strlen(text));
}

/* The call that arrives: vmreq.call ["console.write", [bytes], …]; the bytes must be these. */
static void expect_call(const char *text)
{
        uint8_t bytes[8192];
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root, *params;
        struct proto_frame frame;
        ssize_t n;

        assert_int_equal(vmreq_client_process(ctl.client), 0);
        n = recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT);
        assert_true(n > 0);
        proto_frame_init(&frame, sizeof(bytes));
        assert_int_equal(proto_frame_scan(&frame, bytes, (size_t)n), PROTO_FRAME_DONE);
        assert_int_equal(frame.pos, n);
        assert_int_equal(proto_value_decode(&arena, bytes, frame.pos, frame.values, &root),
                         PROTO_VALUE_OK);
        params = &root->items[3];
        assert_true(proto_value_is_text(&root->items[2], "vmreq.call"));
        assert_true(proto_value_is_text(&params->items[0], "console.write"));
        assert_int_equal(params->items[1].items[0].type, PROTO_BIN);
        assert_int_equal(params->items[1].items[0].count, strlen(text));
        assert_memory_equal(params->items[1].items[0].data, text, strlen(text));
        proto_arena_deinit(&arena);
}

static void expect_no_call(void)
{
        uint8_t byte;

        assert_int_equal(vmreq_client_process(ctl.client), 0);
        assert_int_equal(recv(peer, &byte, 1, MSG_DONTWAIT), -1);
}

static int reply(uint64_t taken, uint64_t now_ns)
{
        struct vmreq_client_answer answer;
        int r;

        peer_reply(peer, typing.msgid, taken);
        assert_int_equal(vmreq_client_next(ctl.client, PATIENCE, &answer), 0);
        assert_int_equal(answer.msgid, typing.msgid);
        r = typing_replied(&typing, &answer, now_ns);
        vmreq_client_answer_deinit(&answer);
        return r;
}

static int refuse(const char *name, size_t len, uint64_t now_ns)
{
        struct vmreq_client_answer answer;
        int r;

        peer_error(peer, typing.msgid, name, len);
        assert_int_equal(vmreq_client_next(ctl.client, PATIENCE, &answer), 0);
        r = typing_replied(&typing, &answer, now_ns);
        vmreq_client_answer_deinit(&answer);
        return r;
}

static void test_one_at_a_time(void **state)
{
        (void)state;
        assert_int_equal(typing_due(&typing), UINT64_MAX);
        assert_int_equal(typing_send(&typing, &ctl, 1), CTL_DONE);
        expect_no_call();
        type("ab");
        assert_int_equal(typing_due(&typing), 0);
        assert_int_equal(typing_send(&typing, &ctl, 1), CTL_DONE);
        expect_call("ab");
        type("cd");
        assert_int_equal(typing_due(&typing), UINT64_MAX);
        assert_int_equal(typing_send(&typing, &ctl, 1), CTL_DONE);
        expect_no_call();
        assert_int_equal(reply(2, 1), CTL_DONE);
        assert_int_equal(typing_send(&typing, &ctl, 1), CTL_DONE);
        expect_call("cd");
        assert_int_equal(reply(2, 1), CTL_DONE);
        assert_int_equal(typing.len, 0);
}

static void test_what_is_not_taken(void **state)
{
        uint64_t now = 1000, due;

        (void)state;
        type("abcdef");
        assert_int_equal(typing_send(&typing, &ctl, now), CTL_DONE);
        expect_call("abcdef");
        type("gh");
        assert_int_equal(reply(2, now), CTL_DONE);
        for (uint64_t last = 0, n = 0; n < 10; n++) { /* ever longer, up to a bound */
                due = typing_due(&typing);
                assert_true(due > now && due < now + 1000000000);
                assert_true(due - now >= last);
                last = due - now;
                assert_int_equal(typing_send(&typing, &ctl, due - 1), CTL_DONE);
                expect_no_call();
                now = due;
                assert_int_equal(typing_send(&typing, &ctl, now), CTL_DONE);
                expect_call("cdefgh");
                if (n % 2)
                        assert_int_equal(reply(0, now), CTL_DONE);
                else
                        assert_int_equal(refuse("\xa9"
                                                "BUSY: now",
                                                10, now),
                                         CTL_DONE);
        }
        now = typing_due(&typing);
        assert_int_equal(typing_send(&typing, &ctl, now), CTL_DONE);
        expect_call("cdefgh");
        assert_int_equal(reply(99, now), CTL_DONE); /* more than there was: all of it */
        assert_int_equal(typing.len, 0);
        assert_int_equal(typing.backoff_ms, 0);
}

static void test_bounded(void **state)
{
        static uint8_t much[2 * TYPING_BYTES];

        (void)state;
        assert_int_equal(typing_put(&typing, much, sizeof(much)), TYPING_BYTES);
        assert_int_equal(typing_room(&typing), 0);
        assert_int_equal(typing_put(&typing, much, 1), 0);
}

static void test_failure_drops(void **state)
{
        (void)state;
        type("abc");
        assert_int_equal(typing_send(&typing, &ctl, 1), CTL_DONE);
        expect_call("abc");
        type("de");
        assert_int_equal(refuse("\xb0"
                                "NOT_FOUND: x.y z",
                                17, 1),
                         CTL_REFUSED);
        assert_int_equal(typing.len, 0);
        assert_int_equal(typing_due(&typing), UINT64_MAX);
        type("f");
        assert_int_equal(typing_send(&typing, &ctl, 1), CTL_DONE);
        expect_call("f");
        close(peer);
        peer = -1;
        assert_int_equal(vmreq_client_process(ctl.client), VMREQ_CLIENT_E_LOST);
        typing.sent = 0;
        assert_int_equal(typing_send(&typing, &ctl, 1), CTL_LOST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_one_at_a_time),
                TEST(test_what_is_not_taken),
                TEST(test_bounded),
                TEST(test_failure_drops),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
