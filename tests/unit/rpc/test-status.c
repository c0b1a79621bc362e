/* SPDX-License-Identifier: MIT */
/* vmreq.status: what each EMT runs, for whom, and what waits. */
#include "unit/rpc/harness.h"

static struct harness h;
static struct client c, d;

static int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        harness_start(&h, &options);
        client_connect(&c, &h);
        client_connect(&d, &h);
        client_sync(&d);
        return 0;
}

static int end(void **state)
{
        (void)state;
        gates_open();
        client_close(&c);
        client_close(&d);
        harness_until_idle(&h, 0);
        harness_end(&h);
        return 0;
}

static const struct proto_value *status(void)
{
        client_send(&d, "[0, 1, 'vmreq.status', []]");
        return &client_receive(&d)->items[3];
}

static uint64_t number(const struct proto_value *map, const char *key)
{
        const struct proto_value *value = proto_value_map_get(map, key);

        assert_non_null(value);
        assert_int_equal(value->type, PROTO_UINT);
        return value->u;
}

static void test_idle(void **state)
{
        const struct proto_value *root = status(), *emts;

        (void)state;
        assert_true(proto_value_is_text(proto_value_map_get(root, "vm"), "test"));
        assert_true(proto_value_is_text(proto_value_map_get(root, "version"), "0.test"));
        assert_int_equal(number(root, "pid"), getpid());
        assert_int_equal(number(root, "clients"), 2);
        assert_int_equal(number(root, "calls"), 0);
        assert_false(proto_value_map_get(root, "draining")->b);
        emts = proto_value_map_get(root, "emts");
        assert_int_equal(emts->count, 2);
        for (uint32_t i = 0; i < 2; i++) {
                assert_int_equal(number(&emts->items[i], "cpu"), i);
                assert_int_equal(proto_value_map_get(&emts->items[i], "symbol")->type, PROTO_NIL);
                assert_int_equal(proto_value_map_get(&emts->items[i], "request")->type, PROTO_NIL);
                assert_int_equal(proto_value_map_get(&emts->items[i], "caller")->type, PROTO_NIL);
                assert_int_equal(number(&emts->items[i], "queued"), 0);
        }
}

/* It answers while every EMT is stuck. */
static void test_busy(void **state)
{
        const struct proto_value *root, *emt, *caller;
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 2, 'vmreq.submit', ['t.gate', [], {'cpu': 1}]]");
        id = client_receive(&c)->items[3].u;
        client_send(&c, "[0, 3, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        gate_wait();
        client_send(&c, "[0, 4, 'vmreq.call', ['t.mark', [1], {'cpu': 1}]]");
        client_send(&c, "[0, 5, 'vmreq.call', ['t.mark', [1], {'cpu': 1, 'priority': true}]]");
        client_send(&c, "[0, 6, 'vmreq.call', ['t.mark', [1], {'cpu': 1}]]");
        client_sync(&c);
        root = status();
        assert_int_equal(number(root, "calls"), 5);
        emt = &proto_value_map_get(root, "emts")->items[1];
        assert_true(proto_value_is_text(proto_value_map_get(emt, "state"), "running"));
        assert_true(proto_value_is_text(proto_value_map_get(emt, "symbol"), "t.gate"));
        assert_int_equal(number(emt, "request"), id);
        assert_int_equal(number(emt, "queued"), 2);
        assert_int_equal(number(emt, "queued_priority"), 1);
        caller = proto_value_map_get(emt, "caller");
        assert_int_equal(number(caller, "uid"), geteuid());
        assert_int_equal(number(caller, "pid"), getpid());
        gate_open();
        gate_open();
        for (int i = 0; i < 4; i++)
                assert_non_null(client_receive(&c));
        root = status();
        assert_true(number(&proto_value_map_get(root, "emts")->items[1], "done") >= 4);
}

/* Answered by TIMEOUT, but still running: it stays visible. */
static void test_overdue(void **state)
{
        const struct proto_value *root;

        (void)state;
        client_overdue(&c, 1);
        root = status();
        assert_int_equal(number(root, "calls"), 1);
        assert_true(proto_value_is_text(
                proto_value_map_get(&proto_value_map_get(root, "emts")->items[0], "symbol"),
                "t.gate"));
        assert_true(number(&proto_value_map_get(root, "emts")->items[0], "running_ms") >= 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_idle, start, end),
                cmocka_unit_test_setup_teardown(test_busy, start, end),
                cmocka_unit_test_setup_teardown(test_overdue, start, end),
        };

        return HARNESS_RUN("status", tests);
}
