/* SPDX-License-Identifier: MIT */
/* Going down: what had arrived is looked at, accepted calls go on for a while, everybody gets
 * exactly one answer. */
#include "unit/rpc/harness.h"

#include <sched.h>
#include <signal.h>

#include "rpc/peer.h"

static struct harness h;
static struct client c, d;

static int start_with(uint64_t drain_ms, uint32_t cpus)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        options.limits.drain_ms = drain_ms;
        options.cpus = cpus;
        harness_start(&h, &options);
        client_connect(&c, &h);
        client_connect(&d, &h);
        client_sync(&c);
        client_sync(&d);
        return 0;
}

static int start(void **state)
{
        (void)state;
        return start_with(60000, 2);
}

static int start_short(void **state)
{
        (void)state;
        return start_with(30, 2);
}

static int end(void **state)
{
        (void)state;
        gates_open();
        client_close(&c);
        client_close(&d);
        harness_end(&h);
        return 0;
}

static void until_stopping(void)
{
        while (!atomic_load(&h.is_stopping))
                (void)sched_yield();
}

static void test_idle(void **state)
{
        (void)state;
        harness_terminate(&h);
        client_expect_end(&c);
        client_expect_end(&d);
        harness_join(&h);
        assert_true(atomic_load(&h.is_stopping));
}

static void test_nobody_there(void **state)
{
        (void)state;
        client_close(&c);
        client_close(&d);
        harness_until_peers(&h, 0);
        harness_drain(&h);
}

static void test_running_calls_are_answered(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.add', [1, 2], {'cpu': 0}]]");
        client_sync(&c);
        harness_terminate(&h);
        until_stopping();
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_expect(&c, "[1,2,nil,3]");
        client_expect_end(&c);
        client_expect_end(&d);
        harness_join(&h);
}

/* At the end of the time: what is queued never runs, what runs is given up. */
static void test_the_time_is_over(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]");
        client_send(&c, "[2, 't.mark', [2]]");
        client_sync(&c);
        harness_terminate(&h);
        client_expect_error(&c, 2, "KILLED", "no", "never ran");
        client_expect_error(&c, 1, "KILLED", "maybe", "while it runs");
        client_expect_end(&c);
        client_expect_end(&d);
        harness_join(&h);
        assert_false(rpc_server_settle(h.server)); /* it still runs: nothing may be freed */
        gate_open();
}

static void test_who_looks_at_cancel_ends(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 't.block', []]");
        while (atomic_load(&n_blocked) == 0)
                client_sync(&c);
        harness_terminate(&h);
        client_expect_error(&c, 1, "KILLED", "maybe", "while it runs");
        client_expect_end(&c);
        harness_join(&h);
}

static void test_broadcast_rows(void **state)
{
        const struct proto_value *rows;

        (void)state;
        client_send(&d, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 1}]]");
        gate_wait();
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 'all', 'parallel': true}]]");
        gate_wait();
        client_sync(&c);
        harness_terminate(&h);
        rows = &client_receive(&c)->items[3];
        assert_int_equal(rows->count, 2);
        assert_true(proto_value_is_text(proto_value_map_get(&rows->items[0], "fate"), "RUNNING"));
        assert_true(proto_value_is_text(proto_value_map_get(&rows->items[1], "fate"), "KILLED"));
        client_expect_end(&c);
        client_expect_error(&d, 1, "KILLED", "maybe", "");
        harness_join(&h);
}

static void test_waiters(void **state)
{
        uint64_t done, stuck;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.submit', ['t.gate', [], {'cpu': 0}]]");
        stuck = client_receive(&c)->items[3].u;
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.submit', ['t.cpu', [], {'cpu': 1}]]");
        done = client_receive(&c)->items[3].u;
        client_send(&c, "[0, 3, 'vmreq.wait', [%u]]", done);
        client_expect(&c, "[1,3,nil,1]");
        client_send(&c, "[0, 4, 'vmreq.wait', [%u]]", stuck);
        client_send(&c, "[0, 5, 'vmreq.wait', [%u, 100000]]", stuck);
        client_sync(&c);
        harness_terminate(&h);
        client_receive(&c);
        assert_true(c.frame.root->items[1].u == 4 || c.frame.root->items[1].u == 5);
        assert_int_equal(c.frame.root->items[2].type, PROTO_STR);
        client_receive(&c);
        assert_int_equal(c.frame.root->items[2].type, PROTO_STR);
        client_expect_end(&c);
        harness_join(&h);
}

static void test_waiters_of_what_ends_in_time(void **state)
{
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.submit', ['t.gate', [], {'cpu': 0}]]");
        id = client_receive(&c)->items[3].u;
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", id);
        client_sync(&c);
        harness_terminate(&h);
        until_stopping();
        gate_open();
        client_expect(&c, "[1,2,nil,0]");
        client_expect_end(&c);
        harness_join(&h);
}

/* Frames that had arrived: methods are answered, calls are refused, in order; the rest of a frame
 * is nothing. */
static void test_frames_that_had_arrived(void **state)
{
        unsigned n_results = 0, n_killed = 0;

        (void)state;
        harness_loop_hold(&h);
        for (int64_t i = 0; i < 1000; i++)
                client_put(&c,
                           i % 2 ? "[0, %d, 'vmreq.ping', []]"
                                 : "[0, %d, 'vmreq.call', ['t.add', [1, 1], {'cpu': 0}]]",
                           i);
        client_put(&c, "[2, 't.mark', [1]]");
        client_put(&c, "[0, 2000, 'vmreq.submit', ['t.mark', [1]]]");
        client_flush(&c);
        client_send_raw(&c, "\x94\x00\x01", 3);
        assert_int_equal(kill(getpid(), SIGTERM), 0);
        harness_loop_go();
        for (int i = 0; i < 1001; i++) {
                const struct proto_value *root = client_receive(&c);
                char text[256];

                assert_non_null(root);
                if (root->items[1].u % 2) {
                        assert_true(proto_value_is_text(&root->items[3], "pong"));
                } else if (root->items[2].type == PROTO_NIL) {
                        assert_int_equal(root->items[3].u, 2);
                        n_results++;
                } else {
                        wire_show(&root->items[2], text, sizeof(text));
                        assert_string_equal(text, "'KILLED: the daemon is going down (ran: no)'");
                        n_killed++;
                }
        }
        client_expect_end(&c);
        assert_int_equal(n_results + n_killed, 501);
        assert_true(n_killed > 0);
        harness_join(&h);
        assert_int_equal(atomic_load(&n_marks), 0);
}

static void test_who_is_half_closed_already(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        client_shut(&c);
        gate_wait();
        client_sync(&d);
        harness_terminate(&h);
        until_stopping();
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_expect_end(&c);
        harness_join(&h);
}

static void test_kept_results(void **state)
{
        (void)state;
        for (int i = 0; i < 5; i++) {
                client_send(&c, "[0, 1, 'vmreq.submit', ['t.big', [100000]]]");
                assert_non_null(client_receive(&c));
        }
        harness_drain(&h);
        client_expect_end(&c);
}

static void test_twice(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        harness_terminate(&h);
        until_stopping();
        harness_terminate(&h);
        assert_int_equal(kill(getpid(), SIGINT), 0);
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_expect_end(&c);
        harness_join(&h);
}

/* A client that does not read its last answers holds nobody up for long. */
static void test_who_does_not_read(void **state)
{
        (void)state;
        for (int64_t i = 0; i < 4; i++)
                client_send(&c, "[0, %d, 't.big', [3000000]]", i);
        harness_until_begun(&h, 4);
        harness_drain(&h);
}

static bool is_paused(struct rpc_server *server, void *ctx)
{
        const struct rpc_peer *peer;

        (void)ctx;
        TAILQ_FOREACH (peer, &server->peers, link)
                if (peer->paused)
                        return true;
        return false;
}

/* One that was not read from because it did not read: its input is looked at all the same, and it
 * reads in time. */
static void test_who_was_not_read_from(void **state)
{
        (void)state;
        for (int64_t i = 0; i < 5; i++)
                client_send(&c, "[0, %d, 't.big', [4000000]]", i);
        harness_until(&h, is_paused, NULL);
        client_send(&c, "[0, 5, 't.mark', [1]]");
        client_send(&c, "[0, 6, 'vmreq.ping', []]");
        harness_terminate(&h);
        until_stopping();
        for (int i = 0; i < 5; i++)
                assert_non_null(client_receive(&c));
        client_expect_error(&c, 5, "KILLED", "no", "going down");
        client_expect(&c, "[1,6,nil,'pong']");
        client_expect_end(&c);
        harness_join(&h);
        assert_int_equal(atomic_load(&n_marks), 0);
}

static void test_clients_come_and_go(void **state)
{
        struct client e;

        (void)state;
        client_connect(&e, &h);
        client_send(&e, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 1, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]");
        client_sync(&c);
        harness_terminate(&h);
        until_stopping();
        client_close(&c); /* goes in the middle of it */
        gate_open();
        client_expect(&e, "[1,1,nil,0]");
        client_expect_end(&e);
        client_close(&e);
        harness_join(&h);
}

int main(void)
{
#define TEST(name)       cmocka_unit_test_setup_teardown(name, start, end)
#define TEST_SHORT(name) cmocka_unit_test_setup_teardown(name, start_short, end)
        const struct CMUnitTest tests[] = {
                TEST(test_idle),
                TEST(test_nobody_there),
                TEST(test_running_calls_are_answered),
                TEST_SHORT(test_the_time_is_over),
                TEST_SHORT(test_who_looks_at_cancel_ends),
                TEST_SHORT(test_broadcast_rows),
                TEST_SHORT(test_waiters),
                TEST(test_waiters_of_what_ends_in_time),
                TEST(test_frames_that_had_arrived),
                TEST(test_who_is_half_closed_already),
                TEST(test_kept_results),
                TEST(test_twice),
                TEST(test_who_does_not_read),
                TEST(test_who_was_not_read_from),
                TEST(test_clients_come_and_go),
        };

        return HARNESS_RUN("drain", tests);
}
