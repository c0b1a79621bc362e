/* SPDX-License-Identifier: MIT */
/* Waits for submitted calls: each answered once, by the end of the call, of its own time, or not at
 * all if its client goes. */
#include "unit/rpc/one.h"

#include "base/clock.h"
#include "rpc/call.h"
#include "rpc/peer.h"
#include "rpc/waiter.h"

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

static void test_waits(void **state)
{
        uint64_t id;

        (void)state;
        id = client_submit(&c, "t.gate", "{'cpu': 0}");
        gate_wait();
        client_send(&c, "[0, 1, 'vmreq.wait', [%u, 0]]", id);
        client_expect_error(&c, 1, "TIMEOUT", "maybe", "it goes on");
        client_send(&c, "[0, 2, 'vmreq.wait', [%u, 3]]", id);
        client_expect_error(&c, 2, "TIMEOUT", "maybe", "it goes on");
        client_send(&c, "[0, 3, 'vmreq.wait', [%u]]", id);
        client_send(&c, "[0, 4, 'vmreq.wait', [%u, 1000000000000]]", id);
        client_sync(&c);
        assert_int_equal(harness_figures(&h).calls, 3); /* waits count like calls */
        gate_open();
        assert_non_null(client_receive(&c));
        assert_non_null(client_receive(&c));
        assert_int_equal(harness_figures(&h).calls, 1);
        client_send(&c, "[0, 5, 'vmreq.wait', [%u, 1000000000001]]", id);
        client_expect_error(&c, 5, "INVALID_REQUEST", "no", "vmreq.wait");
        client_send(&c, "[0, 6, 'vmreq.wait', [-1]]");
        client_expect_error(&c, 6, "INVALID_REQUEST", "no", "vmreq.wait");
}

/* The time limit of the request ends the waits that are there and those that come, until the call
 * has ended. */
static void test_time_limit_while_running(void **state)
{
        char text[512];
        uint64_t id;

        (void)state;
        /* On a busy machine its time may be over before its EMT has come to it: then once more. */
        do {
                id = client_submit(&c, "t.gate", "{'cpu': 0, 'timeout_ms': 20}");
                client_send(&c, "[0, 1, 'vmreq.wait', [%u]]", id);
                client_send(&c, "[0, 1, 'vmreq.wait', [%u, 100000]]", id);
                wire_show(client_receive(&c), text, sizeof(text));
                assert_non_null(client_receive(&c));
                assert_has(text, "[1,1,'TIMEOUT: t.gate: its time limit of 20 ms passed while it ");
                if (strstr(text, "(ran: no)")) {
                        client_send(&c, "[0, 2, 'vmreq.release', [%u]]", id);
                        client_expect(&c, "[1,2,nil,nil]");
                }
        } while (strstr(text, "(ran: no)"));
        gate_wait();
        client_send(&c, "[0, 3, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 3, "TIMEOUT", "yes", "while it runs");
        assert_int_equal(harness_figures(&h).calls, 1);
        gate_open();
        while (harness_figures(&h).n_open)
                ;
        client_send(&c, "[0, 4, 'vmreq.wait', [%u]]", id);
        client_expect(&c, "[1,4,nil,0]"); /* a later one gets its result */
}

static void test_expired_in_the_queue(void **state)
{
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        id = client_submit(&c, "t.cpu", "{'cpu': 0, 'timeout_ms': 5}");
        client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 2, "TIMEOUT", "no", "queued");
        client_send(&c, "[0, 3, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 3, "TIMEOUT", "no", "queued");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
}

static void test_release_while_running(void **state)
{
        uint64_t id;

        (void)state;
        id = client_submit(&c, "t.gate", "{'cpu': 0}");
        gate_wait();
        client_send(&c, "[0, 1, 'vmreq.wait', [%u]]", id);
        client_send(&c, "[0, 2, 'vmreq.release', [%u]]", id);
        client_expect(&c, "[1,2,nil,nil]");
        client_send(&c, "[0, 3, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 3, "NOT_FOUND", "maybe", "no request");
        assert_int_equal(harness_figures(&h).n_calls, 1);
        gate_open();
        client_expect(&c, "[1,1,nil,0]"); /* the wait that was there before */
        harness_until_idle(&h, 1);
}

static void test_disconnect_with_waiters(void **state)
{
        uint64_t id;

        (void)state;
        id = client_submit(&c, "t.gate", "{'cpu': 0}");
        gate_wait();
        for (int64_t i = 0; i < 50; i++)
                client_put(&c,
                           i % 2 ? "[0, %d, 'vmreq.wait', [%u]]"
                                 : "[0, %d, 'vmreq.wait', [%u, 100000]]",
                           i, id);
        client_flush(&c);
        client_sync(&c);
        client_close(&c);
        harness_until_peers(&h, 0);
        assert_int_equal(harness_figures(&h).calls, 1); /* of the uid's account now */
        gate_open();
        harness_until_calls(&h, 0);
}

static void test_waits_are_bounded(void **state)
{
        uint64_t id;

        (void)state;
        id = client_submit(&c, "t.gate", "{}");
        gate_wait();
        for (int64_t i = 1; i <= 3; i++)
                client_send(&c, "[0, %d, 'vmreq.wait', [%u]]", i, id);
        client_send(&c, "[0, 4, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 4, "BUSY", "maybe", "4 of 4");
        /* One that does not wait needs no place. */
        client_send(&c, "[0, 5, 'vmreq.wait', [%u, 0]]", id);
        client_expect_error(&c, 5, "TIMEOUT", "maybe", "it goes on");
        gate_open();
        for (uint32_t i = 0; i < 3; i++)
                assert_non_null(client_receive(&c));
}

/* A wait that begins late in a long turn of the loop: its time counts from there. */
#define TURN_MS 60u
#define WAIT_MS 50u

struct late {
        uint64_t id, begun_ns;
};

static void wait_late(struct rpc_server *server, void *ctx)
{
        struct late *late = ctx;
        uint64_t until = clock_now_ns() + TURN_MS * CLOCK_NS_PER_MS;

        while (clock_now_ns() < until)
                ; /* the turn has work to do */
        late->begun_ns = clock_now_ns();
        rpc_waiter_add(rpc_call_find_any(server, late->id), TAILQ_FIRST(&server->peers), 1,
                       WAIT_MS);
}

static void test_late_in_a_turn(void **state)
{
        struct late late;

        (void)state;
        late.id = client_submit(&c, "t.gate", "{'cpu': 0}");
        gate_wait();
        harness_on_loop(&h, wait_late, &late);
        client_expect_error(&c, 1, "TIMEOUT", "maybe", "it goes on");
        /* libuv's clock has milliseconds. */
        assert_true(clock_now_ns() - late.begun_ns >= (WAIT_MS - 1) * CLOCK_NS_PER_MS);
        gate_open();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_waits, start, end),
                cmocka_unit_test_setup_teardown(test_time_limit_while_running, start, end),
                cmocka_unit_test_setup_teardown(test_expired_in_the_queue, start, end),
                cmocka_unit_test_setup_teardown(test_release_while_running, start, end),
                cmocka_unit_test_setup_teardown(test_disconnect_with_waiters, start, end),
                cmocka_unit_test_setup_teardown(test_waits_are_bounded, start_small, end),
                cmocka_unit_test_setup_teardown(test_late_in_a_turn, start, end),
        };

        return HARNESS_RUN("waiter", tests);
}
