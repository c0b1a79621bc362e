/* SPDX-License-Identifier: MIT */
/* vmreq.status: what each EMT runs, for whom, and what waits. */
#include "unit/rpc/look.h"
#include "unit/rpc/two.h"

static const struct proto_value *status(void)
{
        client_send(&d, "[0, 1, 'vmreq.status', []]");
        return &client_receive(&d)->items[3];
}

static void test_idle(void **state)
{
        const struct proto_value *root = status(), *emts;

        (void)state;
        assert_true(look_is(root, "vm", "test"));
        assert_true(look_is(root, "version", "0.test"));
        assert_int_equal(look_number(root, "pid"), getpid());
        assert_int_equal(look_number(root, "clients"), 2);
        assert_int_equal(look_number(root, "calls"), 0);
        assert_false(look(root, "draining")->b);
        emts = look(root, "emts");
        assert_int_equal(emts->count, 2);
        for (uint32_t i = 0; i < 2; i++) {
                assert_int_equal(look_number(&emts->items[i], "cpu"), i);
                assert_true(look_is_nil(&emts->items[i], "symbol"));
                assert_true(look_is_nil(&emts->items[i], "request"));
                assert_true(look_is_nil(&emts->items[i], "caller"));
                assert_int_equal(look_number(&emts->items[i], "queued"), 0);
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
        assert_int_equal(look_number(root, "calls"), 5);
        emt = &look(root, "emts")->items[1];
        assert_true(look_is(emt, "state", "running"));
        assert_true(look_is(emt, "symbol", "t.gate"));
        assert_int_equal(look_number(emt, "request"), id);
        assert_int_equal(look_number(emt, "queued"), 2);
        assert_int_equal(look_number(emt, "queued_priority"), 1);
        caller = look(emt, "caller");
        assert_int_equal(look_number(caller, "uid"), geteuid());
        assert_int_equal(look_number(caller, "pid"), getpid());
        gate_open();
        gate_open();
        for (int i = 0; i < 4; i++)
                assert_non_null(client_receive(&c));
        root = status();
        assert_true(look_number(&look(root, "emts")->items[1], "done") >= 4);
}

/* Answered by TIMEOUT, but still running: it stays visible. */
static void test_overdue(void **state)
{
        const struct proto_value *root;

        (void)state;
        client_overdue(&c, 1);
        root = status();
        assert_int_equal(look_number(root, "calls"), 1);
        assert_true(look_is(&look(root, "emts")->items[0], "symbol", "t.gate"));
        assert_true(look_number(&look(root, "emts")->items[0], "running_ms") >= 1);
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
