/* SPDX-License-Identifier: MIT */
/* Whose a call is: its connection's, then its uid's; each test ends with every charge at home. */
#include "unit/rpc/one.h"

#include "rpc/call.h"
#include "rpc/peer.h"

static void test_submit_no_wait(void **state)
{
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 900, 'vmreq.submit', ['t.gate', [], {'cpu': 0, 'no_wait': true}]]");
        id = client_receive_uint(&c, 900);
        gate_wait();
        client_send(&c, "[0, 1, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 1, "NOT_FOUND", "maybe", "no request");
        client_close(&c);
        harness_until_peers(&h, 0);
        assert_int_equal(harness_figures(&h).n_calls, 1); /* goes on */
        gate_open();
        harness_until_calls(&h, 0);
}

static void test_kept_results_go_with_their_connection(void **state)
{
        (void)state;
        for (int i = 0; i < 20; i++)
                (void)client_submit(&c, "t.cpu", "{}");
        assert_int_equal(harness_figures(&h).calls, 20);
        client_close(&c);
        harness_until_idle(&h, 0);
}

static void test_broadcast_abandoned_while_a_child_runs(void **state)
{
        (void)state;
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 'all', 'parallel': true}]]");
        gate_wait();
        gate_wait();
        client_close(&c);
        harness_until_peers(&h, 0);
        assert_int_equal(harness_figures(&h).n_calls, 1);
        gate_open();
        gate_open();
        harness_until_calls(&h, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_submit_no_wait),
                TEST(test_kept_results_go_with_their_connection),
                TEST(test_broadcast_abandoned_while_a_child_runs),
        };

        return HARNESS_RUN("call-account", tests);
}
