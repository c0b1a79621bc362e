/* SPDX-License-Identifier: MIT */
/* vmreq.stats: every figure stands where it is said to, and moves with what it counts. */
#include "rpc/peer.h"

#include "unit/rpc/look.h"
#include "unit/rpc/two.h"

static const struct proto_value *stats(void)
{
        client_send(&d, "[0, 1, 'vmreq.stats', []]");
        return look_result(&d, 1);
}

static uint64_t figure(const struct proto_value *root, const char *map, const char *key)
{
        return look_number(look(root, map), key);
}

static void test_counters(void **state)
{
        const struct proto_value *root;

        (void)state;
        client_send(&c, "[0, 1, 't.add', [1, 2]]");
        client_expect(&c, "[1,1,nil,3]");
        client_send(&c, "[0, 2, 't.none', []]");
        client_expect_error(&c, 2, "NOT_FOUND", "no", "");
        client_send(&c, "[0, 3, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 4, 'vmreq.call', ['t.cpu', [], {'cpu': 0}]]");
        client_send(&c, "[0, 5, 'vmreq.cancel', [{'msgid': 4}]]");
        assert_non_null(client_receive(&c));
        assert_non_null(client_receive(&c));
        client_send(&c, "[2, 't.none', []]");
        client_sync(&c);
        root = stats();
        assert_true(look_is(look(root, "vm"), "state", "CREATED"));
        assert_int_equal(figure(root, "requests", "submitted"), 3);
        assert_int_equal(figure(root, "requests", "done"), 1);
        assert_int_equal(figure(root, "requests", "cancelled"), 1);
        assert_int_equal(figure(root, "requests", "expired"), 0);
        assert_int_equal(figure(root, "requests", "killed"), 0);
        assert_int_equal(figure(root, "requests", "refused"), 0);
        assert_int_equal(figure(root, "packets", "total"), 8192);
        assert_int_equal(figure(root, "packets", "in_use"), 1);
        assert_int_equal(figure(root, "packets", "new") + figure(root, "packets", "recycled"), 3);
        assert_int_equal(figure(root, "calls", "accepted"), 3);
        assert_int_equal(figure(root, "calls", "in_flight"), 1);
        assert_int_equal(figure(root, "calls", "refused_notifications"), 1);
        assert_int_equal(look_number(look(look(root, "calls"), "answered_by_error"), "NOT_FOUND"),
                         1);
        assert_int_equal(look_number(look(look(root, "calls"), "answered_by_error"), "CANCELLED"),
                         1);
        assert_int_equal(figure(root, "connections", "now"), 2);
        assert_int_equal(figure(root, "connections", "total"), 2);
        assert_int_equal(figure(root, "connections", "refused"), 0);
        assert_int_equal(figure(root, "connections", "evicted"), 0);
        assert_true(figure(root, "bytes", "now") > 0);
        assert_int_equal(figure(root, "bytes", "limit"), 256u << 20);
        (void)figure(root, "log", "written");
        (void)figure(root, "log", "dropped");
        assert_int_equal(look_number(root, "emts_more"), 0);
}

static void check_histogram(const struct proto_value *histogram, uint64_t expected)
{
        const struct proto_value *bounds = look(histogram, "bounds_us"),
                                 *counts = look(histogram, "counts");
        uint64_t n = 0;

        assert_int_equal(counts->count, bounds->count + 1);
        for (uint32_t i = 1; i < bounds->count; i++)
                assert_true(bounds->items[i].f > bounds->items[i - 1].f);
        for (uint32_t i = 0; i < counts->count; i++)
                n += counts->items[i].u;
        assert_int_equal(n, expected);
        assert_int_equal(look_number(histogram, "count"), expected);
}

static void test_emts(void **state)
{
        const struct proto_value *emt, *lane, *run, *root;

        (void)state;
        for (int i = 0; i < 10; i++) {
                client_send(&c, "[0, 1, 'vmreq.call', ['t.cpu', [], {'cpu': 1}]]");
                client_expect(&c, "[1,1,nil,1]");
        }
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 1, 'priority': true}]]");
        gate_wait();
        client_send(&c, "[0, 3, 'vmreq.call', ['t.cpu', [], {'cpu': 1}]]");
        client_sync(&c);
        root = stats();
        assert_int_equal(look(root, "emts")->count, 2);
        emt = &look(root, "emts")->items[1];
        assert_int_equal(look_number(emt, "cpu"), 1);
        assert_true(look_is(emt, "state", "running"));
        assert_int_equal(look_number(emt, "done"), 10);
        lane = look(look(emt, "lanes"), "normal");
        assert_int_equal(look_number(lane, "submitted"), 11);
        assert_int_equal(look_number(lane, "taken"), 10);
        assert_int_equal(look_number(lane, "depth"), 1);
        lane = look(look(emt, "lanes"), "priority");
        assert_int_equal(look_number(lane, "taken"), 1);
        check_histogram(look(emt, "queued_us"), 10);
        run = look(emt, "run_us");
        check_histogram(run, 10);
        assert_int_equal(look_number(look(look(root, "any"), "normal"), "submitted"), 0);
}

/* Times of a millisecond and more stand where their bounds say. */
static void test_where_times_stand(void **state)
{
        const struct proto_value *run, *counts, *bounds;
        double below = 0;

        (void)state;
        client_overdue(&c, 1); /* at least the time limit of a millisecond */
        gate_open();
        harness_until_calls(&h, 0);
        run = look(&look(stats(), "emts")->items[0], "run_us");
        counts = look(run, "counts");
        bounds = look(run, "bounds_us");
        for (uint32_t i = 0; i < counts->count; i++) {
                if (counts->items[i].u == 0)
                        continue;
                assert_true(look_number(run, "sum_us") >= (uint64_t)below);
                if (i < bounds->count)
                        assert_true((double)look_number(run, "sum_us") <= bounds->items[i].f);
                return;
        }
        fail();
}

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

static void test_many_emts_and_no_byte_left(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;
        const struct proto_value *root;
        unsigned n;

        (void)state;
        options.cpus = 64;
        harness_start(&h, &options);
        client_connect(&c, &h);
        client_connect(&d, &h);
        client_sync(&d);
        assert_int_equal(look(stats(), "emts")->count, 64);
        harness_on_loop(&h, fill_job, NULL);
        root = stats();
        n = look(root, "emts")->count;
        assert_in_range(n, 16, 63);
        assert_int_equal(look_number(root, "emts_more"), 64 - n);
        harness_on_loop(&h, unfill_job, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_counters, start, end),
                cmocka_unit_test_setup_teardown(test_emts, start, end),
                cmocka_unit_test_setup_teardown(test_where_times_stand, start, end),
                cmocka_unit_test_teardown(test_many_emts_and_no_byte_left, end),
        };

        return HARNESS_RUN("stats", tests);
}
