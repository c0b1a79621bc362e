/* SPDX-License-Identifier: MIT */
/* One request as others see it: its states, its times, its caller; never its arguments. */
#include "rpc/record.h"

#include "unit/rpc/look.h"
#include "unit/rpc/two.h"

/* The only request in flight. */
static const struct proto_value *only(void)
{
        const struct proto_value *page;

        client_send(&d, "[0, 9, 'vmreq.ps', []]");
        page = look_result(&d, 9);
        assert_int_equal(look(page, "requests")->count, 1);
        return &look(page, "requests")->items[0];
}

static void test_running(void **state)
{
        const struct proto_value *record;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 1, 'timeout_ms': 60000, "
                        "'priority': true}]]");
        gate_wait();
        record = only();
        assert_int_equal(record->count, RPC_RECORD_KEYS);
        assert_true(look_number(record, "id") > 0);
        assert_true(look_is(record, "symbol", "t.gate"));
        assert_int_equal(look_number(record, "cpu"), 1);
        assert_true(look_is(record, "state", "running"));
        assert_int_equal(look_number(record, "on"), 1);
        assert_true(look_number(record, "age_ms") >= look_number(record, "running_ms"));
        assert_in_range(look_number(record, "deadline_ms"), 1, 60000);
        assert_int_equal(look_number(look(record, "caller"), "uid"), geteuid());
        assert_int_equal(look_number(look(record, "caller"), "pid"), getpid());
        assert_true(look(record, "priority")->b);
        assert_false(look(record, "detached")->b);
        assert_false(look(record, "answered")->b);
        gate_open();
        client_expect(&c, "[1,1,nil,1]");
}

/* Answered by TIMEOUT, and still there. */
static void test_answered(void **state)
{
        const struct proto_value *record, *deadline;

        (void)state;
        client_overdue(&c, 1);
        record = only();
        assert_true(look_is(record, "state", "running"));
        assert_true(look(record, "answered")->b);
        deadline = look(record, "deadline_ms");
        assert_true(deadline->type == PROTO_INT || deadline->u == 0); /* passed */
        gate_open();
        harness_until_calls(&h, 0);
}

static void test_queued(void **state)
{
        const struct proto_value *record;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c,
                    "[0, 2, 'vmreq.call', ['t.echo', ['a secret'], {'cpu': 0, 'timeout_ms': 0}]]");
        client_sync(&c);
        client_send(&d, "[0, 9, 'vmreq.ps', [{'filter': {'state': 'queued'}}]]");
        record = &look(look_result(&d, 9), "requests")->items[0];
        assert_true(look_is(record, "symbol", "t.echo"));
        assert_true(look_is(record, "state", "queued"));
        assert_true(look_is_nil(record, "on"));
        assert_true(look_is_nil(record, "running_ms"));
        assert_true(look_is_nil(record, "deadline_ms"));
        assert_int_equal(record->count, RPC_RECORD_KEYS); /* and so no argument */
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_expect(&c, "[1,2,nil,'a secret']");
}

/* A broadcast runs where its child runs, and stays visible after its rows were answered. */
static void test_broadcast(void **state)
{
        const struct proto_value *record;

        (void)state;
        client_send(
                &c,
                "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 'all-reverse', 'timeout_ms': 0}]]");
        gate_wait();
        record = only();
        assert_true(look_is(record, "cpu", "all-reverse"));
        assert_true(look_is(record, "state", "running"));
        assert_int_equal(look_number(record, "on"), 1);
        gate_open();
        gate_wait();
        record = only();
        assert_int_equal(look_number(record, "on"), 0);
        gate_open();
        assert_non_null(client_receive(&c));
        harness_until_calls(&h, 0);
}

static void test_broadcast_answered(void **state)
{
        const struct proto_value *record;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 'all', 'parallel': true, "
                        "'timeout_ms': 300}]]");
        gate_wait();
        gate_wait();
        record = only();
        assert_true(look_is(record, "state", "running"));
        assert_true(look_is_nil(record, "on")); /* on both */
        assert_non_null(client_receive(&c));
        record = only();
        assert_true(look(record, "answered")->b);
        assert_true(look_is(record, "state", "running"));
        gate_open();
        gate_open();
        harness_until_calls(&h, 0);
        client_send(&d, "[0, 9, 'vmreq.ps', []]");
        client_expect(&d, "[1,9,nil,{'requests':[],'more':0,'next':nil}]");
}

/* A kept result is no request in flight. */
static void test_kept(void **state)
{
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.submit', ['t.add', [1, 2]]]");
        id = client_receive(&c)->items[3].u;
        client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", id);
        client_expect(&c, "[1,2,nil,3]");
        client_send(&d, "[0, 9, 'vmreq.ps', []]");
        client_expect(&d, "[1,9,nil,{'requests':[],'more':0,'next':nil}]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_running),   TEST(test_answered),           TEST(test_queued),
                TEST(test_broadcast), TEST(test_broadcast_answered), TEST(test_kept),
        };

        return HARNESS_RUN("record", tests);
}
