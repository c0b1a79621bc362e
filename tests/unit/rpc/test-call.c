/* SPDX-License-Identifier: MIT */
/* A call's begin: plain calls, destinations, refusals. */
#include "unit/rpc/one.h"

#include "rpc/call.h"
#include "rpc/peer.h"

static void test_plain(void **state)
{
        (void)state;
        client_send(&c, "[0, 7, 't.add', [40, 2]]");
        client_expect(&c, "[1,7,nil,42]");
        client_send(&c, "[0, 4294967295, 't.add', [{'b': -2, 'a': 1}]]");
        client_expect(&c, "[1,4294967295,nil,-1]");
        client_send(&c, "[0, 0, 't.echo', [{'deep': [1, 2.5, nil, true, 'x']}]]");
        client_expect(&c, "[1,0,nil,{'deep':[1,2.5,nil,true,'x']}]");
        client_send(
                &c,
                "[0, 1, 'vmreq.call', ['t.add', {'a': 3, 'b': 4}, {'cpu': 1, 'priority': true}]]");
        client_expect(&c, "[1,1,nil,7]");
        client_send(&c, "[0, 2, 't.x64', ['0xffffffffffffffff']]");
        client_expect(&c, "[1,2,nil,'0xffffffffffffffff']");
        client_send(&c, "[0, 3, 't.slow', []]");
        assert_non_null(client_receive(&c));
        assert_int_equal(c.frame.root->items[3].count, 2);
}

static void test_destination(void **state)
{
        (void)state;
        for (int64_t cpu = 0; cpu < 2; cpu++) {
                client_send(&c, "[0, 1, 'vmreq.call', ['t.cpu', [], {'cpu': %d}]]", cpu);
                assert_int_equal(client_receive_uint(&c, 1), cpu);
        }
}

static void test_refused(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 't.none', []]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "\"t.none\"");
        client_send(&c, "[0, 2, 't.add', [1]]");
        client_expect_error(&c, 2, "INVALID_ARGUMENT", "no", "takes 2 arguments, got 1");
        client_send(&c, "[0, 3, 'vmreq.call', ['t.add', [1, 2], {'cpu': 2}]]");
        client_expect_error(&c, 3, "INVALID_REQUEST", "no", "\"cpu\"");
        client_send(&c, "[0, 4, 'vmreq.call', ['t.add', [1, 2], {'stream': 1}]]");
        client_expect_error(&c, 4, "INVALID_REQUEST", "no", "stream");
        client_send(&c, "[0, 5, 'vmreq.call', ['t.add', 1]]");
        client_expect_error(&c, 5, "INVALID_REQUEST", "no", "vmreq.call");
        client_send(&c, "[0, 6, 'Not A Name', []]");
        client_expect_error(&c, 6, "NOT_FOUND", "no", "Not A Name");
        harness_until_idle(&h, 1);
}

static void test_notification_runs_and_is_never_answered(void **state)
{
        (void)state;
        client_send(&c, "[2, 't.mark', [5]]");
        client_send(&c, "[2, 't.mark', ['wrong']]");
        client_send(&c, "[2, 't.nowhere', []]");
        client_send(&c, "[2, 'vmreq.ping', []]");
        client_send(&c, "[2, 'nvim_error_event', [1, 'x']]");
        client_sync(&c);
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_marks), 1);
        assert_int_equal(harness_figures(&h).refused_notifications, 2);
        client_expect_silence(&c);
}

static void test_answers_come_as_they_end(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.add', [1, 1], {'cpu': 1}]]");
        client_expect(&c, "[1,2,nil,2]");
        /* A msgid that is in flight is served all the same. */
        client_send(&c, "[0, 1, 'vmreq.call', ['t.add', [1, 2], {'cpu': 1}]]");
        client_expect(&c, "[1,1,nil,3]");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_plain),
                TEST(test_destination),
                TEST(test_refused),
                TEST(test_notification_runs_and_is_never_answered),
                TEST(test_answers_come_as_they_end),
        };

        return HARNESS_RUN("call", tests);
}
