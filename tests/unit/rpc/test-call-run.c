/* SPDX-License-Identifier: MIT */
/* What becomes of requests: they expire, run late, run everywhere. */
#include "unit/rpc/one.h"

#include "rpc/call.h"
#include "rpc/peer.h"

static void test_expires_in_the_queue(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [1], {'cpu': 0, 'timeout_ms': 5}]]");
        client_expect_error(&c, 2, "TIMEOUT", "no", "queued");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_sync(&c);
        assert_int_equal(atomic_load(&n_marks), 0);
}

static void test_late_completion_is_dropped(void **state)
{
        struct harness_figures figures;

        (void)state;
        client_overdue(&c, 1);
        figures = harness_figures(&h);
        assert_int_equal(figures.n_calls, 1); /* visible and charged until it ends */
        assert_int_equal(figures.calls, 1);
        assert_true(figures.bytes > 0);
        client_send(&c, "[0, 2, 'vmreq.cancel', [{'msgid': 1}]]");
        client_expect(&c, "[1,2,nil,'unknown']");
        gate_open();
        harness_until_calls(&h, 0);
        client_sync(&c);
        client_expect_silence(&c);
        harness_until_idle(&h, 1);
}

static void test_time_limit_of_the_connection(void **state)
{
        const struct proto_value *root;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.hello', [{'timeout_ms': 5, 'errors': 'map'}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[0, 2, 'vmreq.call', ['t.block', []]]");
        root = client_receive(&c);
        assert_true(proto_value_is_text(proto_value_map_get(&root->items[2], "name"), "TIMEOUT"));
        harness_until_calls(&h, 0); /* it looks at the wish to end */
        /* The call's own limit wins, as does the symbol's. */
        client_send(&c, "[0, 3, 'vmreq.call', ['t.gate', [], {'timeout_ms': nil}]]");
        gate_wait();
        client_sync(&c);
        gate_open();
        assert_int_equal(client_receive_uint(&c, 3) < 2, true);
}

static void test_broadcast(void **state)
{
        const struct proto_value *rows;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.cpu', [], {'cpu': 'all-reverse'}]]");
        rows = &client_receive(&c)->items[3];
        assert_int_equal(rows->count, 2);
        for (uint32_t i = 0; i < 2; i++) {
                assert_int_equal(proto_value_map_get(&rows->items[i], "cpu")->u, 1 - i);
                assert_int_equal(proto_value_map_get(&rows->items[i], "value")->u, 1 - i);
                assert_true(
                        proto_value_is_text(proto_value_map_get(&rows->items[i], "fate"), "DONE"));
        }
}

static void assert_fates(const struct proto_value *rows, const char *const *fates, uint32_t n)
{
        assert_int_equal(rows->count, n);
        for (uint32_t i = 0; i < n; i++)
                if (!proto_value_is_text(proto_value_map_get(&rows->items[i], "fate"), fates[i]))
                        fail_msg("row %u: %.*s, not %s", i,
                                 (int)proto_value_map_get(&rows->items[i], "fate")->count,
                                 proto_value_map_get(&rows->items[i], "fate")->data, fates[i]);
}

static void test_broadcast_stops_or_goes_on(void **state)
{
        static const char *const stopped[] = {"DONE", "SKIPPED"}, *const all[] = {"DONE", "DONE"};

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.fail', [-3, 'E', 'why'], {'cpu': 'all'}]]");
        assert_fates(&client_receive(&c)->items[3], stopped, 2);
        assert_true(proto_value_is_text(
                proto_value_map_get(&c.frame.root->items[3].items[0], "error"), "why"));
        client_send(
                &c,
                "[0, 2, 'vmreq.call', ['t.fail', [-3], {'cpu': 'all', 'on_error': 'continue'}]]");
        assert_fates(&client_receive(&c)->items[3], all, 2);
        assert_int_equal(proto_value_map_get(&c.frame.root->items[3].items[1], "status")->i, -3);
}

static void test_broadcast_with_a_stuck_child(void **state)
{
        static const char *const expected[] = {"RUNNING", "EXPIRED"};
        const struct proto_value *rows;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 1}]]");
        gate_wait();
        do {
                client_send(&c,
                            "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 'all', 'parallel': true, "
                            "'timeout_ms': 10}]]");
                rows = &client_receive(&c)->items[3];
        } while (proto_value_is_text(proto_value_map_get(&rows->items[0], "fate"),
                                     "EXPIRED")); /* too busy here */
        gate_wait();
        assert_fates(rows, expected, 2);
        assert_int_equal(harness_figures(&h).n_calls, 2); /* the running child keeps it */
        gate_open();
        gate_open();
        client_expect(&c, "[1,1,nil,1]");
        harness_until_calls(&h, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_expires_in_the_queue),         TEST(test_late_completion_is_dropped),
                TEST(test_time_limit_of_the_connection), TEST(test_broadcast),
                TEST(test_broadcast_stops_or_goes_on),   TEST(test_broadcast_with_a_stuck_child),
        };

        return HARNESS_RUN("call-run", tests);
}
