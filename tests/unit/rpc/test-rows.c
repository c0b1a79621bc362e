/* SPDX-License-Identifier: MIT */
/* Rows of broadcasts, sent as they become final; and what a client that does not read gets. */
#include "unit/rpc/one.h"

#include "rpc/peer.h"
#include "rpc/rows.h"

static int start_three(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.cpus = 3;
        options.generators = true;
        return start_with(&options);
}

/* The next frame is a row of that call. */
static const struct proto_value *receive_row(uint32_t msgid)
{
        const struct proto_value *root = client_receive(&c);

        assert_non_null(root);
        assert_int_equal(root->count, 3);
        assert_true(proto_value_is_text(&root->items[1], "vmreq.row"));
        assert_int_equal(root->items[2].count, 2);
        assert_int_equal(root->items[2].items[0].u, msgid);
        return &root->items[2].items[1];
}

static void assert_fate(const struct proto_value *row, const char *fate)
{
        if (!proto_value_is_text(proto_value_map_get(row, "fate"), fate))
                fail_msg("not %s", fate);
}

/* The next frame is the answer: all rows. */
static const struct proto_value *receive_rows(uint32_t msgid)
{
        const struct proto_value *root = client_receive(&c);

        assert_int_equal(root->items[0].u, 1);
        assert_int_equal(root->items[1].u, msgid);
        assert_int_equal(root->items[3].count, 3);
        return &root->items[3];
}

static void test_as_they_come(void **state)
{
        const struct proto_value *row;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 'all', 'stream': true}]]");
        for (uint32_t cpu = 0; cpu < 3; cpu++) {
                gate_wait();
                client_sync(&c);
                gate_open();
                row = receive_row(1); /* while the next one is at its gate */
                assert_fate(row, "DONE");
                assert_int_equal(proto_value_map_get(row, "cpu")->u, cpu);
                assert_int_equal(proto_value_map_get(row, "value")->u, cpu);
        }
        (void)receive_rows(1);
        /* Words, and without being asked to: none. */
        client_send(&c, "[0, 2, 'vmreq.call', ['t.cpu', [], {'cpu': 'all'}]]");
        (void)receive_rows(2);
        client_send(&c,
                    "[0, 3, 'vmreq.call', ['t.cpu', [], {'cpu': 'all-reverse', 'stream': true}]]");
        for (uint32_t i = 0; i < 3; i++)
                assert_int_equal(proto_value_map_get(receive_row(3), "value")->u, 2 - i);
        assert_int_equal(proto_value_map_get(&receive_rows(3)->items[0], "cpu")->u, 2);
}

static void test_default_of_the_connection(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.hello', [{'stream': true}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[0, 2, 't.slow', []]"); /* registered for all */
        for (uint32_t i = 0; i < 3; i++)
                assert_fate(receive_row(2), "DONE");
        (void)receive_rows(2);
}

/* One stuck EMT: the others' rows come at once, its own when the deadline has passed. */
static void test_one_is_stuck(void **state)
{
        const struct proto_value *row;
        bool seen[3] = {0};

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 1}]]");
        gate_wait();
        client_send(
                &c,
                "[0, 2, 'vmreq.call', ['t.cpu', [], {'cpu': 'all', 'parallel': true, 'on_error': "
                "'continue', 'stream': true, 'timeout_ms': 1000}]]");
        for (uint32_t i = 0; i < 2; i++) {
                row = receive_row(2);
                assert_fate(row, "DONE");
                seen[proto_value_map_get(row, "cpu")->u] = true;
        }
        assert_true(seen[0] && seen[2]);
        row = receive_row(2);
        assert_fate(row, "EXPIRED");
        assert_int_equal(proto_value_map_get(row, "cpu")->u, 1);
        row = receive_rows(2);
        assert_fate(&row->items[0], "DONE");
        assert_fate(&row->items[1], "EXPIRED");
        gate_open();
        client_expect(&c, "[1,1,nil,1]");
}

/* Three rows in any order: the fate of each, and what the first one says. */
static void assert_three_rows(uint32_t msgid, const char *const *fates, const char *text)
{
        bool seen[3] = {0};

        for (uint32_t i = 0; i < 3; i++) {
                const struct proto_value *row = receive_row(msgid);
                uint64_t cpu = proto_value_map_get(row, "cpu")->u;

                assert_true(cpu < 3 && !seen[cpu]);
                seen[cpu] = true;
                assert_fate(row, fates[cpu]);
                if (cpu == 0 && text)
                        assert_true(proto_value_is_text(proto_value_map_get(row, "error"), text));
        }
}

static void test_running_and_skipped(void **state)
{
        static const char *const late[] = {"RUNNING", "SKIPPED", "SKIPPED"}, *const failed[] = {
                                                                                     "DONE",
                                                                                     "SKIPPED",
                                                                                     "SKIPPED"};

        (void)state;
        client_send(
                &c,
                "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 'all', 'stream': true, 'timeout_ms': "
                "200}]]");
        gate_wait();
        assert_three_rows(1, late, NULL);
        assert_fate(&receive_rows(1)->items[0], "RUNNING");
        gate_open();
        client_send(
                &c,
                "[0, 2, 'vmreq.call', ['t.fail', [-3, 'E', 'why'], {'cpu': 'all', 'stream': true}]]");
        assert_three_rows(2, failed, "why");
        (void)receive_rows(2);
}

static bool rows_wait(struct rpc_server *server, void *ctx)
{
        const struct rpc_peer *peer;

        (void)ctx;
        TAILQ_FOREACH (peer, &server->peers, link)
                if (!TAILQ_EMPTY(&peer->rows))
                        return true;
        return false;
}

static bool is_full(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        return TAILQ_FIRST(&server->peers)->out.len > 3 * 7000000;
}

/* A broadcast at its first gate, on a connection whose unread answers leave no room for its rows.
 */
static void begin_without_room(void)
{
        client_send(
                &c,
                "[0, 0, 'vmreq.call', ['g.big', [3000000], {'cpu': 'all', 'stream': true, 'timeout_ms': "
                "0}]]");
        gate_wait();
        for (uint64_t i = 1; i <= 3; i++)
                client_put(&c, "[0, %u, 'vmreq.call', ['t.big', [7900000], {'cpu': 2}]]", i);
        client_flush(&c);
        harness_until(&h, is_full, NULL);
}

/* Rows that the connection has no room for wait for its client, as long as the answer is not due.
 */
static void test_wait_for_their_reader(void **state)
{
        (void)state;
        begin_without_room();
        gate_open();
        gate_wait();
        harness_until(&h, rows_wait, NULL);
        for (uint32_t i = 1; i <= 3; i++)
                assert_int_equal(client_receive(&c)->items[3].count, 7900000);
        assert_int_equal(proto_value_map_get(receive_row(0), "value")->count, 3000000);
        gate_open();
        assert_int_equal(proto_value_map_get(receive_row(0), "cpu")->u, 1);
        gate_wait();
        gate_open();
        assert_int_equal(proto_value_map_get(receive_row(0), "cpu")->u, 2);
        client_expect_error(&c, 0, "TOO_LARGE", "yes", "larger than a frame may be");
}

/* When it is due, it comes without them. */
static void test_wait_no_longer_than_the_answer(void **state)
{
        (void)state;
        begin_without_room();
        for (int i = 0; i < 2; i++) {
                gate_open();
                gate_wait();
        }
        harness_until(&h, rows_wait, NULL);
        gate_open();
        harness_until_calls(&h, 0);
        for (uint32_t i = 1; i <= 3; i++)
                assert_int_equal(client_receive(&c)->items[3].count, 7900000);
        client_expect_error(&c, 0, "TOO_LARGE", "yes", "larger than a frame may be");
}

static void test_disconnect_while_they_wait(void **state)
{
        (void)state;
        begin_without_room();
        gate_open();
        gate_wait();
        harness_until(&h, rows_wait, NULL);
        client_close(&c);
        harness_until_peers(&h, 0);
        gate_open();
        harness_until_idle(&h, 0);
}

/* Rows that are fine one by one, and together more than a frame. */
static void test_together_too_large(void **state)
{
        (void)state;
        client_send(&c,
                    "[0, 1, 'vmreq.call', ['t.big', [3000000], {'cpu': 'all', 'stream': true}]]");
        for (uint32_t i = 0; i < 3; i++)
                assert_int_equal(proto_value_map_get(receive_row(1), "value")->count, 3000000);
        client_expect_error(&c, 1, "TOO_LARGE", "yes", "larger than a frame may be");
        /* One that is no frame by itself is not sent. */
        client_send(&c,
                    "[0, 2, 'vmreq.call', ['t.big', [8388590], {'cpu': 'all', 'stream': true}]]");
        client_expect_error(&c, 2, "TOO_LARGE", "yes", "larger than a frame may be");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_three, end)
        const struct CMUnitTest tests[] = {
                TEST(test_as_they_come),
                TEST(test_default_of_the_connection),
                TEST(test_one_is_stuck),
                TEST(test_running_and_skipped),
                TEST(test_wait_for_their_reader),
                TEST(test_wait_no_longer_than_the_answer),
                TEST(test_disconnect_while_they_wait),
                TEST(test_together_too_large),
        };

        return HARNESS_RUN("rows", tests);
}
