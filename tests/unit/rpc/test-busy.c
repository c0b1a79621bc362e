/* SPDX-License-Identifier: MIT */
/* Every bound that a call can meet is refused at once, and names itself, the usage and the limit.
 */
#include "unit/rpc/one.h"

#include <sched.h>

#include "rpc/busy.h"
#include "rpc/call.h"

static int start_small(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.cpus = 1;
        options.limits.calls_per_connection = 4;
        options.limits.calls_per_uid = 6;
        options.limits.calls = 100;
        return start_with(&options);
}

static int start_tight(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.cpus = 1;
        options.slab = 16;
        options.lane = 4;
        return start_with(&options);
}

static void test_calls_per_connection(void **state)
{
        struct client other;

        (void)state;
        client_send(&c, "[0, 1, 't.gate', []]");
        gate_wait();
        for (int64_t i = 2; i <= 4; i++)
                client_send(&c, "[0, %d, 't.mark', [1]]", i);
        client_send(&c, "[0, 5, 't.mark', [2]]");
        client_expect_error(&c, 5, "BUSY", "no", "too many calls of this connection: 4 of 4");
        /* The broker's own methods work all the same. */
        client_sync(&c);
        client_connect(&other, &h);
        client_send(&other, "[0, 6, 't.mark', [3]]");
        client_send(&other, "[0, 7, 't.mark', [4]]");
        client_send(&other, "[0, 8, 't.mark', [5]]");
        client_expect_error(&other, 8, "BUSY", "no", "too many calls of this uid: 6 of 6");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        for (uint32_t i = 2; i <= 4; i++)
                assert_non_null(client_receive(&c));
        client_send(&c, "[0, 9, 't.mark', [6]]");
        client_expect(&c, "[1,9,nil,nil]");
        client_close(&other);
}

static void test_engine_busy(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        for (int64_t i = 2; i <= 5; i++)
                client_send(&c, "[0, %d, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]", i);
        client_send(&c, "[0, 6, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]");
        client_expect_error(&c, 6, "BUSY", "no",
                            "lane of its EMT is full: 4 of 4; the EMT runs t.gate");
        client_send(&c, "[2, 'vmreq.call', []]"); /* ignored */
        client_send(&c, "[0, 7, 'vmreq.submit', ['t.mark', [1], {'cpu': 0}]]");
        client_expect_error(&c, 7, "BUSY", "no", "lane");
        client_send(&c, "[0, 8, 'vmreq.submit', ['t.mark', [1], {'cpu': 0, 'no_wait': true}]]");
        client_expect_error(&c, 8, "BUSY", "no", "lane");
        client_send(&c, "[0, 9, 'vmreq.call', ['t.mark', [1], {'cpu': 'all'}]]");
        client_expect_error(&c, 9, "BUSY", "no", "");
        assert_int_equal(harness_figures(&h).n_open, 5);
        gate_open();
        for (uint32_t i = 1; i <= 5; i++)
                assert_non_null(client_receive(&c));
        harness_until_idle(&h, 1);
}

static void test_slab_busy(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        for (int64_t i = 2; i <= 5; i++) {
                client_send(&c, "[0, %d, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]", i);
                client_send(&c,
                            "[0, %d, 'vmreq.call', ['t.mark', [1], {'cpu': 0, 'priority': true}]]",
                            i);
                client_send(&c, "[0, %d, 'vmreq.call', ['t.mark', [1], {'cpu': 'any'}]]", i);
        }
        for (int64_t i = 6; i <= 8; i++)
                client_send(
                        &c,
                        "[0, %d, 'vmreq.call', ['t.mark', [1], {'cpu': 'any', 'priority': true}]]",
                        i);
        client_send(&c, "[0, 9, 'vmreq.call', ['t.mark', [1], {'cpu': 'any', 'priority': true}]]");
        client_expect_error(&c, 9, "BUSY", "no", "no request packet is free: 16 of 16 in use");
        gate_open();
        for (uint32_t i = 0; i < 16; i++)
                assert_non_null(client_receive(&c));
}

static void test_what_the_error_holds(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.hello', [{'errors': 'map'}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        for (int64_t i = 3; i <= 5; i++)
                client_send(&c, "[0, %d, 't.mark', [1]]", i);
        client_send(&c, "[0, 6, 't.mark', [1]]");
        client_expect(
                &c,
                "[1,6,{'name':'BUSY','code':4,'message':'too many calls of this connection: 4 of 4',"
                "'ran':'no',"
                "'data':{'limit':'calls','of':'connection','usage':4,'max':4}},nil]");
        gate_open();
        for (int i = 0; i < 4; i++)
                assert_non_null(client_receive(&c));
}

/* A broadcast needs a place on each EMT: the full one is named. */
static int start_two(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.lane = 4;
        options.slab = 64;
        return start_with(&options);
}

/* What is known of when there will be room again. */
static void test_when_to_retry(void **state)
{
        const struct proto_value *data, *ms;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.hello', [{'errors': 'map'}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 0, 'timeout_ms': 100000}]]");
        gate_wait();
        for (int64_t i = 3; i <= 6; i++)
                client_send(&c, "[0, %d, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]", i);
        client_send(&c, "[0, 7, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]");
        data = proto_value_map_get(&client_receive(&c)->items[2], "data");
        assert_non_null(data);
        ms = proto_value_map_get(data, "retry_after_ms");
        assert_non_null(ms);
        assert_true(ms->u > 0 && ms->u <= 100001);
        gate_open();
        for (int i = 2; i <= 6; i++)
                assert_non_null(client_receive(&c));
        /* Of one without a time limit nothing is known. */
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 0, 'timeout_ms': 0}]]");
        gate_wait();
        for (int64_t i = 3; i <= 6; i++)
                client_send(&c, "[0, %d, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]", i);
        client_send(&c, "[0, 7, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]");
        data = proto_value_map_get(&client_receive(&c)->items[2], "data");
        assert_non_null(proto_value_map_get(data, "running_ms"));
        assert_null(proto_value_map_get(data, "retry_after_ms"));
        gate_open();
        for (int i = 2; i <= 6; i++)
                assert_non_null(client_receive(&c));
}

static void test_broadcast(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 1}]]");
        gate_wait();
        for (int64_t i = 2; i <= 5; i++)
                client_send(&c, "[0, %d, 'vmreq.call', ['t.mark', [1], {'cpu': 1}]]", i);
        client_send(&c, "[0, 6, 'vmreq.call', ['t.mark', [1], {'cpu': 'all'}]]");
        client_expect_error(&c, 6, "BUSY", "no",
                            "lane of its EMT is full: 4 of 4; the EMT runs t.gate");
        gate_open();
        for (int i = 0; i < 5; i++)
                assert_non_null(client_receive(&c));
}

/* The EMTs may have gone on before it is said what was full. */
static void ask_why(struct rpc_server *server, void *ctx)
{
        struct rpc_error *error = ctx;

        rpc_busy_engine(error, TAILQ_FIRST(&server->calls));
}

static void test_room_by_now(void **state)
{
        struct rpc_error error;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 1}]]");
        gate_wait();
        harness_on_loop(&h, ask_why, &error);
        assert_int_equal(error.code, PROTO_BUSY);
        assert_string_equal(error.text, "there was no room; by now the lane of its EMT holds 0 of "
                                        "4, and 1 of 64 request packets are in use");
        gate_open();
        client_expect(&c, "[1,1,nil,1]");
}

/* Results that the loop has not come to: over the bound functions are refused, not run. */
static int start_little(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.cpus = 1;
        options.limits.bytes = 8u << 20;
        return start_with(&options);
}

static void test_results_on_their_way(void **state)
{
        unsigned ran = 0, refused = 0;

        (void)state;
        client_send(&c, "[0, 0, 't.gate', []]");
        gate_wait();
        for (int64_t i = 1; i <= 40; i++)
                client_send(&c, "[0, %d, 't.big', [1000000]]", i);
        client_send(&c, "[0, 41, 't.mark', [1]]");
        client_sync(&c);
        harness_loop_hold(&h);
        gate_open();
        while (atomic_load(&n_marks) == 0)
                (void)sched_yield();
        harness_loop_go();
        for (int i = 0; i < 42; i++) {
                const struct proto_value *root = client_receive(&c);
                char text[1024];

                wire_show(&root->items[2], text, sizeof(text));
                if (strstr(text, "t.big: not run: more than 8388608 bytes of results")) {
                        assert_has(text, "(ran: no)");
                        refused++;
                } else if (root->items[1].u >= 1 && root->items[1].u <= 40) {
                        ran++; /* and answered with the result, or with word of its being dropped */
                }
        }
        assert_int_equal(ran + refused, 40);
        assert_true(ran >= 8 && ran <= 10);
        client_send(&c, "[0, 50, 't.big', [10]]"); /* it is over when they have gone */
        assert_int_equal(client_receive(&c)->items[3].count, 10);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_calls_per_connection, start_small, end),
                cmocka_unit_test_setup_teardown(test_what_the_error_holds, start_small, end),
                cmocka_unit_test_setup_teardown(test_engine_busy, start_tight, end),
                cmocka_unit_test_setup_teardown(test_when_to_retry, start_tight, end),
                cmocka_unit_test_setup_teardown(test_slab_busy, start_tight, end),
                cmocka_unit_test_setup_teardown(test_broadcast, start_two, end),
                cmocka_unit_test_setup_teardown(test_room_by_now, start_two, end),
                cmocka_unit_test_setup_teardown(test_results_on_their_way, start_little, end),
        };

        return HARNESS_RUN("busy", tests);
}
