/* SPDX-License-Identifier: MIT */
/*
 * A call's way and its end: submit, cancel, complete, expire, disconnect, in the orders that race;
 * the accounts that go with them are checked at the end of each test.
 */
#include "unit/rpc/harness.h"

#include "rpc/call.h"
#include "rpc/peer.h"

static struct harness h;
static struct client c;

static int start_with(const struct harness_options *options)
{
        harness_start(&h, options);
        client_connect(&c, &h);
        return 0;
}

static int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        return start_with(&options);
}

static int end(void **state)
{
        (void)state;
        gates_open();
        client_close(&c);
        harness_until_idle(&h, 0);
        harness_end(&h);
        return 0;
}

/* The value of the answer to msgid, which must be an unsigned integer. */
static uint64_t receive_uint(uint32_t msgid)
{
        const struct proto_value *root = client_receive(&c);

        assert_non_null(root);
        assert_int_equal(root->items[1].u, msgid);
        assert_int_equal(root->items[2].type, PROTO_NIL);
        assert_int_equal(root->items[3].type, PROTO_UINT);
        return root->items[3].u;
}

static uint64_t submit(const char *symbol, const char *options)
{
        char text[256];

        (void)snprintf(text, sizeof(text), "[0, 900, 'vmreq.submit', ['%s', [], %s]]", symbol,
                       options);
        client_send(&c, text);
        return receive_uint(900);
}

/* ---- plain calls ---- */

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
                assert_int_equal(receive_uint(1), cpu);
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
        client_send(&c, "[0, 4, 'vmreq.call', ['t.add', [1, 2], {'stream': true}]]");
        client_expect_error(&c, 4, "UNSUPPORTED", "no", "stream");
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

/* ---- cancel ---- */

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
        client_send(&other, "[0, 3, 'vmreq.cancel', [%u]]", receive_uint(900));
        client_expect(&other, "[1,3,nil,'removed']");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_close(&other);
}

/* ---- time limits ---- */

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
        assert_int_equal(receive_uint(3) < 2, true);
}

/* ---- broadcasts ---- */

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

/* Rows that together are more than a frame: the one error that a broadcast answers with. */
static void test_broadcast_too_large(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.big', [4194304], {'cpu': 'all'}]]");
        client_expect_error(&c, 1, "TOO_LARGE", "yes",
                            "larger than a frame may be (8388608 bytes)");
        client_send(&c, "[0, 2, 'vmreq.call', ['t.big', [4000000], {'cpu': 'all'}]]");
        assert_int_equal(client_receive(&c)->items[3].count, 2);
        client_send(&c, "[0, 3, 't.big', [8388608]]");
        client_expect_error(&c, 3, "TOO_LARGE", "yes", "larger than a frame may be");
}

/* ---- submit ---- */

static void test_submit_wait_release(void **state)
{
        uint64_t id;

        (void)state;
        id = submit("t.cpu", "{'cpu': 1, 'timing': false}");
        client_send(&c, "[0, 1, 'vmreq.wait', [%u]]", id);
        client_expect(&c, "[1,1,nil,1]");
        client_send(&c, "[0, 2, 'vmreq.wait', [%u, 0]]", id); /* twice is fine */
        client_expect(&c, "[1,2,nil,1]");
        client_send(&c, "[0, 3, 'vmreq.cancel', [%u]]", id);
        client_expect(&c, "[1,3,nil,'finished']");
        assert_int_equal(harness_figures(&h).calls, 1);
        client_send(&c, "[0, 4, 'vmreq.release', [%u]]", id);
        client_expect(&c, "[1,4,nil,nil]");
        client_send(&c, "[0, 5, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 5, "NOT_FOUND", "maybe", "no request");
        client_send(&c, "[0, 6, 'vmreq.release', [%u]]", id);
        client_expect_error(&c, 6, "NOT_FOUND", "maybe", "no request");
        harness_until_idle(&h, 1);
}

static void test_ids_belong_to_their_connection(void **state)
{
        struct client other;
        uint64_t id;

        (void)state;
        id = submit("t.cpu", "{}");
        client_connect(&other, &h);
        client_send(&other, "[0, 1, 'vmreq.wait', [%u]]", id);
        client_expect_error(&other, 1, "NOT_FOUND", "maybe", "no request");
        client_send(&other, "[0, 2, 'vmreq.release', [%u]]", id);
        client_expect_error(&other, 2, "NOT_FOUND", "maybe", "no request");
        client_close(&other);
}

static void test_submit_no_wait(void **state)
{
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 900, 'vmreq.submit', ['t.gate', [], {'cpu': 0, 'no_wait': true}]]");
        id = receive_uint(900);
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
                (void)submit("t.cpu", "{}");
        assert_int_equal(harness_figures(&h).calls, 20);
        client_close(&c);
        harness_until_idle(&h, 0);
}

/* ---- disconnect ---- */

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
#define TEST(name)             cmocka_unit_test_setup_teardown(name, start, end)
#define TEST_WITH(name, start) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_plain),
                TEST(test_destination),
                TEST(test_refused),
                TEST(test_notification_runs_and_is_never_answered),
                TEST(test_answers_come_as_they_end),
                TEST(test_cancel_queued),
                TEST(test_cancel_running),
                TEST(test_cancel_means_the_newest),
                TEST(test_cancel_of_others),
                TEST(test_expires_in_the_queue),
                TEST(test_late_completion_is_dropped),
                TEST(test_time_limit_of_the_connection),
                TEST(test_broadcast),
                TEST(test_broadcast_stops_or_goes_on),
                TEST(test_broadcast_with_a_stuck_child),
                TEST(test_broadcast_abandoned_while_a_child_runs),
                TEST(test_broadcast_too_large),
                TEST(test_submit_wait_release),
                TEST(test_ids_belong_to_their_connection),
                TEST(test_submit_no_wait),
                TEST(test_kept_results_go_with_their_connection),
                TEST(test_disconnect_cancels_queued_asks_running),
        };

        return HARNESS_RUN("call", tests);
}
