/* SPDX-License-Identifier: MIT */
/* Ends of calls: cancel, disconnect, in the orders that race. */
#include "unit/rpc/one.h"

#include "rpc/call.h"
#include "rpc/peer.h"

static void test_cancel_queued(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [9], {'cpu': 0}]]");
        client_send(&c, "[0, 3, 'vmreq.cancel', [{'msgid': 2}]]");
        client_expect(&c, "[1,3,nil,'removed']");
        client_expect_error(&c, 2, "CANCELLED", "no", "by its caller");
        client_send(&c, "[0, 4, 'vmreq.cancel', [{'msgid': 2}]]");
        client_expect(&c, "[1,4,nil,'unknown']");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        assert_int_equal(atomic_load(&n_marks), 0);
}

static void test_cancel_running(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.cancel', [{'msgid': 1}]]");
        client_expect(&c, "[1,2,nil,'running']");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");

        client_send(&c, "[0, 3, 't.block', []]");
        while (atomic_load(&n_blocked) == 0)
                client_sync(&c);
        client_send(&c, "[0, 4, 'vmreq.cancel', [{'msgid': 3}]]");
        client_expect(&c, "[1,4,nil,'asked']");
        client_expect_error(&c, 3, "CANCELLED", "yes", "by its caller while it ran");

        /* One that does not look at it fails for reasons of its own. */
        client_send(&c, "[0, 5, 't.gated_fail', [-7, 'E', 'its own']]");
        gate_wait();
        client_send(&c, "[0, 6, 'vmreq.cancel', [{'msgid': 5}]]");
        client_expect(&c, "[1,6,nil,'running']");
        gate_open();
        client_expect_error(&c, 5, "FAILED", "yes", "status -7 (E): its own");
}

static void test_cancel_means_the_newest(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]");
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [2], {'cpu': 0}]]");
        client_send(&c, "[0, 3, 'vmreq.cancel', [{'msgid': 2}]]");
        client_expect(&c, "[1,3,nil,'removed']");
        client_expect_error(&c, 2, "CANCELLED", "no", "t.mark");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_expect(&c, "[1,2,nil,nil]");
        assert_int_equal(atomic_load(&n_marks), 1);
        assert_int_equal(atomic_load(&marks[0]), 1);
}

static void test_cancel_of_others(void **state)
{
        struct client other;

        (void)state;
        client_connect(&other, &h);
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        /* By msgid only one's own; by id whoever has the right to. */
        client_send(&other, "[0, 2, 'vmreq.cancel', [{'msgid': 1}]]");
        client_expect(&other, "[1,2,nil,'unknown']");
        client_send(&c, "[0, 900, 'vmreq.submit', ['t.mark', [3], {'cpu': 0}]]");
        client_send(&other, "[0, 3, 'vmreq.cancel', [%u]]", client_receive_uint(&c, 900));
        client_expect(&other, "[1,3,nil,'removed']");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_close(&other);
}

static void test_ids_belong_to_their_connection(void **state)
{
        struct client other;
        uint64_t id;

        (void)state;
        id = client_submit(&c, "t.cpu", "{}");
        client_connect(&other, &h);
        client_send(&other, "[0, 1, 'vmreq.wait', [%u]]", id);
        client_expect_error(&other, 1, "NOT_FOUND", "maybe", "no request");
        client_send(&other, "[0, 2, 'vmreq.release', [%u]]", id);
        client_expect_error(&other, 2, "NOT_FOUND", "maybe", "no request");
        client_close(&other);
}

static void test_disconnect_cancels_queued_asks_running(void **state)
{
        struct client other;

        (void)state;
        client_connect(&other, &h);
        client_send(&other, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 1, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]");
        client_send(&c, "[2, 't.mark', [2]]"); /* NO_WAIT: goes on */
        client_send(&c, "[0, 2, 'vmreq.call', ['t.block', [], {'cpu': 1}]]");
        client_sync(&c);
        while (atomic_load(&n_blocked) == 0)
                client_sync(&c);
        client_close(&c);
        harness_until_peers(&h, 1);
        gate_open();
        client_expect(&other, "[1,1,nil,0]");
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_marks), 1);
        assert_int_equal(atomic_load(&marks[0]), 2);
        client_close(&other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_cancel_queued),
                TEST(test_cancel_running),
                TEST(test_cancel_means_the_newest),
                TEST(test_cancel_of_others),
                TEST(test_ids_belong_to_their_connection),
                TEST(test_disconnect_cancels_queued_asks_running),
        };

        return HARNESS_RUN("call-end", tests);
}
