/* SPDX-License-Identifier: MIT */
/* What is kept of calls, for whom and how long: submitted ones, detached ones. */
#include "unit/rpc/one.h"

#include "rpc/call.h"
#include "rpc/kept.h"
#include "rpc/peer.h"

static void count_kept(struct rpc_server *server, void *ctx)
{
        *(uint32_t *)ctx = server->n_kept;
}

static uint32_t n_kept(void)
{
        uint32_t n;

        harness_on_loop(&h, count_kept, &n);
        return n;
}

/* ---- detached ---- */

static void test_detached_survives(void **state)
{
        struct client other;
        uint64_t id;

        (void)state;
        client_connect(&other, &h);
        id = client_submit(&c, "t.gate", "{'cpu': 0, 'detach': true}");
        gate_wait();
        /* While its connection is there, it is its uid's as well. */
        client_send(&other, "[0, 1, 'vmreq.wait', [%u, 0]]", id);
        client_expect_error(&other, 1, "TIMEOUT", "maybe", "within the wait");
        client_close(&c);
        harness_until_peers(&h, 1);
        client_send(&other, "[0, 2, 'vmreq.wait', [%u]]", id);
        client_sync(&other);
        gate_open();
        client_expect(&other, "[1,2,nil,0]");
        client_send(&other, "[0, 3, 'vmreq.wait', [%u, 0]]", id); /* twice is fine */
        client_expect(&other, "[1,3,nil,0]");
        client_send(&other, "[0, 4, 'vmreq.cancel', [%u]]", id);
        client_expect(&other, "[1,4,nil,'finished']");
        assert_int_equal(n_kept(), 1);
        client_send(&other, "[0, 5, 'vmreq.release', [%u]]", id);
        client_expect(&other, "[1,5,nil,nil]");
        client_send(&other, "[0, 6, 'vmreq.wait', [%u]]", id);
        client_expect_error(&other, 6, "NOT_FOUND", "maybe", "no request");
        harness_until_idle(&h, 1);
        client_connect(&c, &h);
        client_close(&other);
}

/* Queued and running ones, both forms, with and without. */
static void test_what_a_connection_takes_with_it(void **state)
{
        struct client other;

        (void)state;
        client_connect(&other, &h);
        client_send(&other, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_put(&c, "[0, 1, 'vmreq.call', ['t.mark', [1], {'cpu': 0}]]");
        client_put(&c, "[0, 2, 'vmreq.call', ['t.mark', [2], {'cpu': 0, 'detach': true}]]");
        client_put(&c, "[0, 3, 'vmreq.submit', ['t.mark', [3], {'cpu': 0}]]");
        client_put(&c, "[0, 4, 'vmreq.submit', ['t.mark', [4], {'cpu': 0, 'detach': true}]]");
        client_put(&c, "[0, 5, 'vmreq.call', ['t.block', [], {'cpu': 1}]]");
        client_flush(&c);
        while (atomic_load(&n_blocked) == 0)
                client_sync(&other);
        client_close(&c);
        harness_until_peers(&h, 1);
        gate_open();
        client_expect(&other, "[1,1,nil,0]");
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_marks), 2);
        assert_int_equal(atomic_load(&marks[0]), 2);
        assert_int_equal(atomic_load(&marks[1]), 4);
        assert_int_equal(n_kept(), 1); /* the detached id; a vmreq.call has none */
        client_connect(&c, &h);
        client_close(&other);
}

static void test_cancel_of_a_detached_one(void **state)
{
        uint64_t id;

        (void)state;
        id = client_submit(&c, "t.block", "{'detach': true}");
        while (atomic_load(&n_blocked) == 0)
                client_sync(&c);
        client_close(&c);
        harness_until_peers(&h, 0);
        client_connect(&c, &h);
        client_send(&c, "[0, 1, 'vmreq.wait', [%u]]", id);
        client_send(&c, "[0, 2, 'vmreq.cancel', [%u]]", id);
        client_expect(&c, "[1,2,nil,'asked']");
        client_expect_error(&c, 1, "CANCELLED", "yes", "cancelled by uid");
        client_send(&c, "[0, 3, 'vmreq.release', [%u]]", id);
        client_expect(&c, "[1,3,nil,nil]");
        harness_until_idle(&h, 1);
}

/* Their time begins when they have ended and their connection is gone, whichever comes last. */
static void test_their_time(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;
        uint64_t id, other_id;

        (void)state;
        options.limits.kept_ms = 20;
        (void)start_with(&options);
        id = client_submit(&c, "t.cpu", "{'cpu': 1, 'detach': true}");
        other_id = client_submit(&c, "t.gate", "{'cpu': 0, 'detach': true}");
        gate_wait();
        harness_until_calls(&h, 1);
        client_send(&c, "[0, 1, 'vmreq.call', ['t.block', [], {'cpu': 1, 'timeout_ms': 60}]]");
        client_expect_error(&c, 1, "TIMEOUT", "yes", "");
        client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", id);
        client_expect(&c, "[1,2,nil,1]"); /* long after, its connection is still there */
        client_close(&c);
        harness_until_peers(&h, 0);
        gate_open();
        harness_until_idle(&h, 0); /* both are gone */
        client_connect(&c, &h);
        client_send(&c, "[0, 1, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 1, "NOT_FOUND", "maybe", "no request");
        client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", other_id);
        client_expect_error(&c, 2, "NOT_FOUND", "maybe", "no request");
}

/* A waiter that comes before the end of its time holds nothing up. */
static void test_waiter_on_the_last_day(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;
        struct client other;
        uint64_t id;

        (void)state;
        options.limits.kept_ms = 1;
        (void)start_with(&options);
        client_connect(&other, &h);
        id = client_submit(&c, "t.gate", "{'cpu': 0, 'detach': true}");
        gate_wait();
        client_send(&other, "[0, 1, 'vmreq.wait', [%u]]", id);
        client_sync(&other);
        client_close(&c);
        harness_until_peers(&h, 1);
        gate_open();
        client_expect(&other, "[1,1,nil,0]");
        harness_until_idle(&h, 1);
        client_connect(&c, &h);
        client_close(&other);
}

/* ---- what is kept ---- */

static bool is_unpinned(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        return server->n_calls == 0 && server->n_kept == 6;
}

/* Every kind of outcome, when its function's module may be gone. */
static void test_outcomes(void **state)
{
        static const struct {
                const char *symbol, *args, *options, *shown;
        } calls[] = {
                {"t.add", "[1, 2]", "{}", "[1,2,nil,3]"},
                {"t.echo", "[{'k': [1, nil]}]", "{}", "[1,2,nil,{'k':[1,nil]}]"},
                {"t.mark", "[1]", "{}", "[1,2,nil,nil]"},
                {"t.fail", "[-3, 'E', 'why']", "{}",
                 "[1,2,'FAILED: t.fail: status -3 (E): why (ran: yes)',nil]"},
                {"t.twice", "[]", "{}",
                 "[1,2,'INTERNAL: t.twice: the function did not write exactly one result (request 0); "
                 "fault 1 of the log (ran: yes)',nil]"},
                {"t.cpu", "[]", "{'cpu': 'all'}", NULL},
        };
        uint64_t ids[6];

        (void)state;
        for (size_t i = 0; i < 6; i++) {
                char text[256];

                (void)snprintf(text, sizeof(text), "[0, 1, 'vmreq.submit', ['%s', %s, %s]]",
                               calls[i].symbol, calls[i].args, calls[i].options);
                client_send(&c, text);
                ids[i] = client_receive_uint(&c, 1);
        }
        harness_until(&h, is_unpinned, NULL);
        for (int twice = 0; twice < 2; twice++) {
                for (size_t i = 0; i < 6; i++) {
                        client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", ids[i]);
                        if (i == 4)
                                client_expect_error(&c, 2, "INTERNAL", "yes", "fault 1 of the log");
                        else if (calls[i].shown)
                                client_expect(&c, calls[i].shown);
                        else
                                assert_int_equal(client_receive(&c)->items[3].count, 2);
                }
        }
}

/* The style is the one of who asks. */
static void test_styles(void **state)
{
        uint64_t id;

        (void)state;
        id = client_submit(&c, "t.nothing", "{}");
        client_send(&c, "[0, 1, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 1, "INTERNAL", "yes", "exactly one");
        client_send(&c, "[0, 2, 'vmreq.hello', [{'errors': 'map'}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[0, 3, 'vmreq.wait', [%u]]", id);
        assert_int_equal(client_receive(&c)->items[2].type, PROTO_MAP);
        client_send(&c, "[0, 4, 'vmreq.hello', [{'errors': 'pair'}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[0, 5, 'vmreq.wait', [%u]]", id);
        assert_int_equal(client_receive(&c)->items[2].type, PROTO_ARRAY);
}

static void test_completed(void **state)
{
        char shown[128];
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.hello', [{'completed': true}]]");
        assert_non_null(client_receive(&c));
        id = client_submit(&c, "t.cpu", "{'cpu': 1}");
        (void)snprintf(shown, sizeof(shown), "[2,'vmreq.completed',[%llu,nil,1]]",
                       (unsigned long long)id);
        client_expect(&c, shown);
        client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", id);
        client_expect(&c, "[1,2,nil,1]");
        /* Not for calls, nor for what nobody collects. */
        client_send(&c, "[0, 3, 't.cpu', []]");
        assert_int_equal(client_receive(&c)->items[0].u, 1);
        client_send(&c, "[0, 4, 'vmreq.submit', ['t.cpu', [], {'no_wait': true}]]");
        (void)client_receive_uint(&c, 4);
        harness_until_calls(&h, 0);
        client_sync(&c);
        client_expect_silence(&c);
}

/* Results over the connection's share are dropped, and said so, each time. */
static void test_over_the_share(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;
        uint64_t id;

        (void)state;
        options.limits.bytes_per_connection = 65536;
        (void)start_with(&options);
        client_send(&c, "[0, 900, 'vmreq.submit', ['t.big', [100000]]]");
        id = client_receive_uint(&c, 900);
        harness_until_calls(&h, 0);
        for (int i = 0; i < 2; i++) {
                client_send(&c, "[0, 1, 'vmreq.wait', [%u]]", id);
                client_expect_error(&c, 1, "BUSY", "yes", "the result was dropped");
        }
        /* One that fits: not if it is not read, and it is there afterwards. */
        client_send(&c, "[0, 900, 'vmreq.submit', ['t.big', [30000]]]");
        id = client_receive_uint(&c, 900);
        client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", id);
        assert_int_equal(client_receive(&c)->items[3].count, 30000);
        client_send(&c, "[0, 3, 'vmreq.release', [%u]]", id);
        client_expect(&c, "[1,3,nil,nil]");
}

/* What is charged for a kept outcome is about what it takes. */
static void test_charges(void **state)
{
        uint64_t id, before, with;

        (void)state;
        client_sync(&c);
        before = harness_figures(&h).bytes;
        client_send(&c, "[0, 900, 'vmreq.submit', ['t.echo', [%b]]]", "0123456789", (size_t)10);
        id = client_receive_uint(&c, 900);
        harness_until_calls(&h, 0);
        client_sync(&c);
        with = harness_figures(&h).bytes;
        assert_true(with > before && with < before + sizeof(struct rpc_call) + 1024);
        assert_int_equal(harness_figures(&h).calls, 1);
        client_send(&c, "[0, 1, 'vmreq.release', [%u]]", id);
        client_expect(&c, "[1,1,nil,nil]");
        harness_until_idle(&h, 1);
        /* A detached one counts as kept, and not as a call in flight. */
        (void)client_submit(&c, "t.cpu", "{'detach': true}");
        harness_until_calls(&h, 0);
        assert_int_equal(harness_figures(&h).calls, 0);
}

int main(void)
{
#define TEST(name)      cmocka_unit_test_setup_teardown(name, start, end_kept)
#define TEST_BARE(name) cmocka_unit_test_setup_teardown(name, NULL, end_kept)
        const struct CMUnitTest tests[] = {
                TEST(test_detached_survives),
                TEST(test_what_a_connection_takes_with_it),
                TEST(test_cancel_of_a_detached_one),
                TEST_BARE(test_their_time),
                TEST_BARE(test_waiter_on_the_last_day),
                TEST(test_outcomes),
                TEST(test_styles),
                TEST(test_completed),
                TEST_BARE(test_over_the_share),
                TEST(test_charges),
        };

        return HARNESS_RUN("kept", tests);
}
