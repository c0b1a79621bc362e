/* SPDX-License-Identifier: MIT */
/* vmreq.ps: order, pages, filters, and what is no wish. */
#include "rpc/peer.h"

#include "unit/rpc/look.h"
#include "unit/rpc/two.h"

#define CPUS 3

static uint64_t gates[CPUS], queued[6];

static uint64_t submit(const char *symbol, const char *args, const char *options)
{
        char text[256];

        (void)snprintf(text, sizeof(text), "[0, 1, 'vmreq.submit', ['%s', %s, %s]]", symbol, args,
                       options);
        client_send(&c, text);
        return look_result(&c, 1)->u;
}

/* EMTs 2, 1, 0 run gates, begun in this order; six requests are queued. */
static int start_full(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.cpus = CPUS;
        (void)start_with(&options);
        for (int i = 0; i < CPUS; i++) {
                char text[64];

                (void)snprintf(text, sizeof(text), "{'cpu': %d}", CPUS - 1 - i);
                gates[i] = submit("t.gate", "[]", text);
                gate_wait();
        }
        queued[0] = submit("t.add", "[1, 2]", "{'cpu': 1}");
        queued[1] = submit("t.mark", "[1]", "{'cpu': 'any'}");
        queued[2] = submit("t.add", "[1, 2]", "{'cpu': 'any-queue', 'priority': true}");
        queued[3] = submit("t.cpu", "[]", "{'cpu': 0}");
        queued[4] = submit("t.add", "[1, 2]", "{'cpu': 'all'}");
        queued[5] = submit("t.add", "[1, 2]", "{'cpu': 1}");
        return 0;
}

/* The answer to vmreq.ps with that wish shows these ids, and says so many more. */
static const struct proto_value *expect(const char *wish, const uint64_t *ids, unsigned n,
                                        unsigned more)
{
        const struct proto_value *page, *requests;
        char text[256];

        (void)snprintf(text, sizeof(text), "[0, 2, 'vmreq.ps', [%s]]", wish);
        client_send(&d, text);
        page = look_result(&d, 2);
        requests = look(page, "requests");
        assert_int_equal(requests->count, n);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(look_number(&requests->items[i], "id"), ids[i]);
        assert_int_equal(look_number(page, "more"), more);
        assert_int_equal(look_is_nil(page, "next"), more == 0);
        return page;
}

static void all_ids(uint64_t *ids)
{
        memcpy(ids, gates, sizeof(gates));
        memcpy(ids + CPUS, queued, sizeof(queued));
}

static void test_order(void **state)
{
        uint64_t ids[CPUS + 6];

        (void)state;
        all_ids(ids);
        expect("", ids, CPUS + 6, 0);
        expect("nil", ids, CPUS + 6, 0);
        expect("{}", ids, CPUS + 6, 0);
        expect("{'limit': 1000}", ids, CPUS + 6, 0);
        expect("{'limit': nil, 'after': nil, 'filter': nil}", ids, CPUS + 6, 0);
}

/* Pages of every size, put together, are the whole. */
static void test_pages(void **state)
{
        uint64_t ids[CPUS + 6];
        char wish[128], cursor[64];

        (void)state;
        all_ids(ids);
        for (unsigned size = 1; size <= CPUS + 6; size++) {
                (void)snprintf(wish, sizeof(wish), "{'limit': %u}", size);
                for (unsigned at = 0; at < CPUS + 6; at += size) {
                        unsigned n = CPUS + 6 - at < size ? CPUS + 6 - at : size;
                        const struct proto_value *next =
                                look(expect(wish, ids + at, n, CPUS + 6 - at - n), "next");

                        (void)snprintf(cursor, sizeof(cursor), "%.*s",
                                       next->type == PROTO_STR ? (int)next->count : 0,
                                       next->type == PROTO_STR ? next->data : "");
                        (void)snprintf(wish, sizeof(wish), "{'limit': %u, 'after': '%s'}", size,
                                       cursor);
                }
        }
}

static void test_filters(void **state)
{
        (void)state;
        expect("{'filter': {'state': 'running'}}", gates, CPUS, 0);
        expect("{'filter': {'state': 'queued'}, 'limit': 2}", queued, 2, 4);
        expect("{'filter': {'symbol': 't.a*', 'state': 'queued'}}",
               (uint64_t[]){queued[0], queued[2], queued[4], queued[5]}, 4, 0);
        expect("{'filter': {'symbol': 't.none'}}", NULL, 0, 0);
        expect("{'filter': {'cpu': 1}}", (uint64_t[]){gates[1], queued[0], queued[5]}, 3, 0);
        expect("{'filter': {'cpu': 'any'}}", &queued[1], 1, 0);
        expect("{'filter': {'cpu': 'all'}}", &queued[4], 1, 0);
        expect("{'filter': {'on': 2}}", &gates[0], 1, 0);
        expect("{'filter': {'on': 99}}", NULL, 0, 0);
        expect("{'filter': {'uid': 4294967295}}", NULL, 0, 0);
        expect("{'filter': {'uid': nil, 'state': nil, 'on': 0}}", &gates[2], 1, 0);
}

static void test_no_wishes(void **state)
{
        static const char *const wishes[] = {"5",
                                             "'x'",
                                             "{'limit': 0}",
                                             "{'limit': 1001}",
                                             "{'limit': '5'}",
                                             "{'limit': -1}",
                                             "{'after': 5}",
                                             "{'after': ''}",
                                             "{'after': 'q'}",
                                             "{'after': 'q:'}",
                                             "{'after': 'q:1x'}",
                                             "{'after': 'r:1'}",
                                             "{'after': 'r:1:2:3'}",
                                             "{'after': 'x:1'}",
                                             "{'filter': 5}",
                                             "{'filter': {'symbl': 'x'}}",
                                             "{'filter': {'symbol': 5}}",
                                             "{'filter': {'state': 'done'}}",
                                             "{'filter': {'uid': 'root'}}",
                                             "{'filter': {'uid': -1}}",
                                             "{'filter': {'on': 'any'}}",
                                             "{'filter': {'cpu': 'none'}}",
                                             "{'filter': {1: 2}}",
                                             "{'filters': {}}"};

        (void)state;
        for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
                char text[160];

                (void)snprintf(text, sizeof(text), "[0, 3, 'vmreq.ps', [%s]]", wishes[i]);
                client_send(&d, text);
                client_expect_error(&d, 3, "INVALID_REQUEST", "no", "expected vmreq.ps");
        }
}

/* ---- when everything is full ---- */

static void fill_job(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        server->quota.all.max[RPC_BYTES] = 0;
}

static void unfill_job(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        server->quota.all.max[RPC_BYTES] = server->config.limits.bytes;
}

/* With no byte left for anybody a page is as long as what is kept for each connection. */
static void test_every_account_full(void **state)
{
        const struct proto_value *page;
        unsigned n;

        (void)state;
        for (int i = 0; i < 900; i++)
                client_put(&c, "[0, 1, 'vmreq.submit', ['t.mark', [1], {'cpu': 0}]]");
        client_flush(&c);
        for (int i = 0; i < 900; i++)
                (void)look_result(&c, 1);
        client_send(&d, "[0, 2, 'vmreq.ps', [{'limit': 1000}]]");
        assert_int_equal(look(look_result(&d, 2), "requests")->count, CPUS + 6 + 900);
        harness_on_loop(&h, fill_job, NULL);
        client_send(&d, "[0, 3, 'vmreq.ps', [{'limit': 1000}]]");
        page = look_result(&d, 3);
        n = look(page, "requests")->count;
        assert_in_range(n, 100, 500);
        assert_int_equal(look_number(page, "more"), CPUS + 6 + 900 - n);
        assert_false(look_is_nil(page, "next"));
        harness_on_loop(&h, unfill_job, NULL);
}

static void spent_job(struct rpc_server *server, void *ctx)
{
        *(uint64_t *)ctx = TAILQ_LAST(&server->peers, rpc_peer_list)->spent;
}

/* A look at many calls takes as much of a client's turn as many frames. */
static void test_what_it_costs(void **state)
{
        uint64_t spent;

        (void)state;
        client_send(&d, "[0, 2, 'vmreq.ping', []]");
        client_expect(&d, "[1,2,nil,'pong']");
        harness_on_loop(&h, spent_job, &spent);
        assert_int_equal(spent, 0);
        client_send(&d, "[0, 3, 'vmreq.ps', [{'limit': 1}]]");
        (void)look_result(&d, 3);
        harness_on_loop(&h, spent_job, &spent);
        assert_int_equal(spent, CPUS + 6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_full, end)
        const struct CMUnitTest tests[] = {
                TEST(test_order),     TEST(test_pages),         TEST(test_filters),
                TEST(test_no_wishes), TEST(test_what_it_costs), TEST(test_every_account_full),
        };

        return HARNESS_RUN("ps", tests);
}
