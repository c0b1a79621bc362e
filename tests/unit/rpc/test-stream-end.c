/* SPDX-License-Identifier: MIT */
/* What ends generators while they run and while they are queued: their client, their deadline, the
 * daemon. */
#include "unit/rpc/stream.h"



/* ---- ends between, before and in runs ---- */

static void test_cancel_while_it_runs(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.gated', [5], {'stream': true}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.cancel', [{'msgid': 1}]]");
        client_expect(&c, "[1,2,nil,'asked']");
        gate_open();
        client_expect(&c, "[2,'vmreq.chunk',[1,0,0]]");
        client_expect_error(&c, 1, "CANCELLED", "yes", "between two of its runs");
        assert_int_equal(atomic_load(&n_runs), 1);
}

static void test_cancel_while_it_is_queued(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.gated', [5], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        client_sync(&c);
        gate_open(); /* the other call is before its second run */
        gate_wait();
        client_sync(&c);
        client_send(&c, "[0, 3, 'vmreq.cancel', [{'msgid': 1}]]");
        client_expect(&c, "[1,3,nil,'removed']");
        client_expect_error(&c, 1, "CANCELLED", "yes", "between two of its runs");
        gate_open();
        client_expect(&c, "[1,2,nil,0]");
        /* Before its first run, nothing has run. */
        client_send(&c, "[0, 4, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 5, 'vmreq.call', ['g.count', [5], {'cpu': 0, 'stream': true}]]");
        client_send(&c, "[0, 6, 'vmreq.cancel', [{'msgid': 5}]]");
        client_expect(&c, "[1,6,nil,'removed']");
        client_expect_error(&c, 5, "CANCELLED", "no", "before it ran");
        gate_open();
        client_expect(&c, "[1,4,nil,0]");
        assert_int_equal(atomic_load(&n_runs), 1);
}

static void test_expires_while_it_is_queued(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.gated', [5], {'cpu': 0, 'timeout_ms': 700}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        client_sync(&c);
        gate_open();
        gate_wait();
        client_expect_error(&c, 1, "TIMEOUT", "yes", "between two of its runs");
        gate_open();
        client_expect(&c, "[1,2,nil,0]");
}

/* Sends `text` and receives what comes, until it is that the time passed while it runs: on a busy
 * machine it may be over before. */
static void until_overdue(const char *text)
{
        char shown[512];

        do {
                client_send(&c, text);
                wire_show(client_receive(&c), shown, sizeof(shown));
                assert_has(shown, "TIMEOUT: g.gated: its time limit of 10 ms passed while it");
        } while (strstr(shown, "(ran: no)"));
        assert_has(shown, "it does not run again (ran: yes)");
        gate_wait();
}

static void test_expires_while_it_runs(void **state)
{
        (void)state;
        until_overdue("[0, 1, 'vmreq.call', ['g.gated', [5], {'timeout_ms': 10}]]");
        gate_open();
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_runs), 1);
}

/* What is kept of it is that its time was over. */
static void test_submitted_expires_while_it_runs(void **state)
{
        char shown[512];
        uint64_t id;

        (void)state;
        do {
                client_send(&c, "[0, 1, 'vmreq.submit', ['g.gated', [5], {'timeout_ms': 10}]]");
                id = client_receive_uint(&c, 1);
                client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", id);
                wire_show(client_receive(&c), shown, sizeof(shown));
                assert_has(shown, "TIMEOUT: g.gated: ");
        } while (strstr(shown, "(ran: no)"));
        gate_wait();
        gate_open();
        do {
                client_send(&c, "[0, 3, 'vmreq.wait', [%u]]", id);
                wire_show(client_receive(&c), shown, sizeof(shown));
        } while (strstr(shown, "does not run again"));
        assert_has(shown, "passed between two of its runs (ran: yes)");
        assert_int_equal(atomic_load(&n_runs), 1);
        assert_int_equal(atomic_load(&n_states), 0); /* while the outcome is kept */
}

static void test_disconnect_while_it_runs(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.gated', [5], {'stream': true}]]");
        gate_wait();
        client_close(&c);
        harness_until_peers(&h, 0);
        gate_open();
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_runs), 1);
}

static void test_detached_goes_on(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.gated', [5], {'stream': true, 'detach': true}]]");
        gate_wait();
        client_close(&c);
        harness_until_peers(&h, 0);
        for (int i = 0; i < 4; i++) {
                gate_open();
                gate_wait();
        }
        gate_open();
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_runs), 5);
}

/* Detached while it waited for a reader that is gone. */
static void test_detached_needs_no_reader(void **state)
{
        (void)state;
        client_send(
                &c,
                "[0, 1, 'vmreq.call', ['g.pour', [200, 100000], {'stream': true, 'detach': true}]]");
        harness_until(&h, some_wait_for_room, NULL);
        client_close(&c);
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_runs), 200);
}

static void test_half_closed(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.gated', [2], {'stream': true}]]");
        gate_wait();
        client_shut(&c);
        gate_open();
        client_expect(&c, "[2,'vmreq.chunk',[1,0,0]]");
        gate_wait();
        gate_open();
        client_expect(&c, "[2,'vmreq.chunk',[1,1,1]]");
        client_expect(&c, "[1,1,nil,2]");
        client_expect_end(&c);
}

/* ---- the end of the daemon ---- */

static int start_for_the_end(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.drain_ms = 50;
        return start_generating(options);
}

static int end_drained(void **state)
{
        (void)state;
        client_close(&c);
        harness_end(&h);
        return 0;
}

static void test_killed_while_it_waits(void **state)
{
        const struct proto_value *root;

        (void)state;
        client_send(&c, POURED, (uint64_t)0);
        harness_until(&h, some_wait_for_room, NULL);
        harness_terminate(&h);
        harness_until_calls(&h, 0);
        while ((root = client_receive(&c)) && root->items[0].u == 2)
                ;
        assert_non_null(root);
        assert_true(proto_value_is_text(
                &root->items[2],
                "KILLED: g.pour: the VM goes away; it does not run again (ran: yes)"));
        client_expect_end(&c);
        harness_join(&h);
}

static void test_killed_while_it_runs(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'g.gated', [5]]");
        gate_wait();
        harness_terminate(&h);
        client_expect_error(&c, 1, "KILLED", "maybe", "while it runs");
        gate_open();
        client_expect_end(&c);
        harness_join(&h);
}

static int end_after_one_run(void **state)
{
        (void)end_drained(state);
        assert_int_equal(atomic_load(&n_runs), 1);
        return 0;
}

static void test_drain_lets_it_end(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'g.gated', [3]]");
        gate_wait();
        harness_terminate(&h);
        for (int i = 0; i < 2; i++) {
                gate_open();
                gate_wait();
        }
        gate_open();
        client_expect(&c, "[1,1,nil,[0,1,2]]");
        harness_join(&h);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_usual, end)
        const struct CMUnitTest tests[] = {
                TEST(test_cancel_while_it_runs),
                TEST(test_cancel_while_it_is_queued),
                TEST(test_expires_while_it_is_queued),
                TEST(test_expires_while_it_runs),
                TEST(test_submitted_expires_while_it_runs),
                TEST(test_disconnect_while_it_runs),
                TEST(test_detached_goes_on),
                TEST(test_detached_needs_no_reader),
                TEST(test_half_closed),
                cmocka_unit_test_setup_teardown(test_killed_while_it_waits, start_for_the_end,
                                                end_drained),
                cmocka_unit_test_setup_teardown(test_killed_while_it_runs, start_for_the_end,
                                                end_after_one_run),
                cmocka_unit_test_setup_teardown(test_drain_lets_it_end, start_usual, end_drained),
        };

        return HARNESS_RUN("stream-end", tests);
}
