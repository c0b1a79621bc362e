/* SPDX-License-Identifier: MIT */
/* Generators: run after run, chunk after chunk, and what they wait for: a reader, a lane, room. */
#include "unit/rpc/stream.h"



/* ---- what comes ---- */

static void test_collected(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'g.count', [3]]");
        client_expect(&c, "[1,1,nil,[0,1,2]]");
        client_send(&c, "[0, 2, 'g.count', [0]]");
        client_expect(&c, "[1,2,nil,[]]");
        client_send(&c, "[0, 3, 'vmreq.call', ['g.patience', [5], {'stream': false}]]");
        client_expect(&c, "[1,3,nil,['at last']]");
        assert_int_equal(atomic_load(&n_runs), 3 + 1 + 6);
}

static void test_streamed(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.count', [3], {'stream': true, 'cpu': 1}]]");
        expect_numbers(1, 0, 3);
        client_expect(&c, "[1,1,nil,3]");
        client_send(&c, "[0, 2, 'vmreq.call', ['g.count', [0], {'stream': true}]]");
        client_expect(&c, "[1,2,nil,0]");
        client_send(&c, "[0, 3, 'vmreq.call', ['g.patience', [5], {'stream': true}]]");
        client_expect(&c, "[2,'vmreq.chunk',[3,0,'at last']]");
        client_expect(&c, "[1,3,nil,1]");
        /* What is no generator has its result as ever. */
        client_send(&c, "[0, 4, 'vmreq.call', ['t.add', [1, 2], {'stream': true}]]");
        client_expect(&c, "[1,4,nil,3]");
        client_send(&c, "[0, 5, 'vmreq.submit', ['g.count', [2], {'stream': true}]]");
        client_expect_error(&c, 5, "INVALID_REQUEST", "no", "vmreq.call only");
}

static void test_default_of_the_connection(void **state)
{
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.hello', [{'stream': true}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[0, 2, 'g.count', [2]]");
        expect_numbers(2, 0, 2);
        client_expect(&c, "[1,2,nil,2]");
        client_send(&c, "[0, 3, 'vmreq.call', ['g.count', [2], {'stream': false}]]");
        client_expect(&c, "[1,3,nil,[0,1]]");
        /* It is not for submit, nor for notifications. */
        client_send(&c, "[0, 4, 'vmreq.submit', ['g.count', [2]]]");
        id = client_receive_uint(&c, 4);
        client_send(&c, "[0, 5, 'vmreq.wait', [%u]]", id);
        client_expect(&c, "[1,5,nil,[0,1]]");
        client_send(&c, "[2, 'g.count', [5]]");
        client_sync(&c);
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_runs), 2 + 2 + 2 + 5);
        client_expect_silence(&c);
        client_send(&c, "[0, 6, 'vmreq.hello', [{'stream': 1}]]");
        client_expect_error(&c, 6, "INVALID_REQUEST", "no", "true or false");
}

static void test_timing(void **state)
{
        const struct proto_value *root;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.count', [3], {'timing': true, 'cpu': 1}]]");
        root = client_receive(&c);
        assert_int_equal(root->items[3].count, 4);
        assert_int_equal(proto_value_map_get(&root->items[3], "cpu")->u, 1);
        assert_int_equal(proto_value_map_get(&root->items[3], "value")->count, 3);
}

static void test_fails_in_the_end(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.fail', [2], {'stream': true}]]");
        client_expect(&c, "[2,'vmreq.chunk',[1,0,0]]"); /* the failing run's is none */
        client_expect_error(&c, 1, "FAILED", "yes", "status -5 (E_END): no more");
        client_send(&c, "[0, 2, 'g.fail', [2]]");
        client_expect_error(&c, 2, "FAILED", "yes", "no more");
}

static void test_in_a_broadcast(void **state)
{
        const struct proto_value *row;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.count', [3], {'cpu': 'all'}]]");
        for (uint32_t i = 0; i < 2; i++) {
                row = i ? &c.frame.root->items[3].items[i] : &client_receive(&c)->items[3].items[0];
                assert_int_equal(proto_value_map_get(row, "cpu")->u, i);
                assert_int_equal(proto_value_map_get(row, "value")->count, 3);
                assert_int_equal(proto_value_map_get(row, "value")->items[2].u, 2);
        }
        assert_int_equal(atomic_load(&n_runs), 6);
        client_send(&c, "[0, 2, 'vmreq.call', ['g.odd', [], {'cpu': 'all', 'parallel': true}]]");
        row = &client_receive(&c)->items[3].items[1];
        assert_true(proto_value_is_text(proto_value_map_get(row, "error"),
                                        "the function did not write exactly one result"));
        client_send(&c, "[0, 3, 'vmreq.call', ['g.pour', [1, 262140], {'cpu': 'all'}]]");
        row = &client_receive(&c)->items[3].items[0];
        assert_true(proto_value_is_text(proto_value_map_get(row, "error"),
                                        "a chunk of it is larger than chunks may be (256 KiB)"));
}

/* One that would not end by itself, cancelled: there is no loop between its runs. */
static void test_cancel_in_a_broadcast(void **state)
{
        const struct proto_value *root;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.patience', [4294967295], {'cpu': 'all'}]]");
        while (atomic_load(&n_runs) < 10)
                client_sync(&c);
        client_send(&c, "[0, 2, 'vmreq.cancel', [{'msgid': 1}]]");
        client_expect(&c, "[1,2,nil,'asked']");
        root = client_receive(&c);
        assert_int_equal(root->items[1].u, 1);
        assert_true(proto_value_is_text(proto_value_map_get(&root->items[3].items[0], "error"),
                                        "asked to end between two runs"));
        assert_true(proto_value_is_text(proto_value_map_get(&root->items[3].items[1], "fate"),
                                        "SKIPPED"));
}

/* ---- what does not fit ---- */

static void test_too_large(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'g.pour', [100, 100000]]");
        client_expect_error(&c, 1, "TOO_LARGE", "yes", "the option \"stream\"");
        client_send(&c, "[0, 2, 'g.pour', [1, 262140]]"); /* with its head 262145 */
        client_expect_error(&c, 2, "TOO_LARGE", "yes", "a chunk of it");
        client_send(&c, "[0, 3, 'vmreq.call', ['g.pour', [1, 262140], {'stream': true}]]");
        client_expect_error(&c, 3, "TOO_LARGE", "yes", "a chunk of it");
        client_send(&c, "[0, 4, 'vmreq.call', ['g.pour', [1, 262139], {'stream': true}]]");
        assert_int_equal(client_receive(&c)->items[2].items[2].count, 262139);
        client_expect(&c, "[1,4,nil,1]");
        client_send(&c, "[0, 5, 'vmreq.call', ['g.deep', [27], {'stream': true}]]");
        client_expect_error(&c, 5, "TOO_LARGE", "yes", "nested deeper");
        client_send(&c, "[0, 6, 'g.deep', [27]]");
        client_expect_error(&c, 6, "TOO_LARGE", "yes", "nested deeper");
        client_send(&c, "[0, 7, 'vmreq.call', ['g.odd', [], {'stream': true}]]");
        client_expect_error(&c, 7, "INTERNAL", "yes", "exactly one");
}

static void test_small_frames(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.frame_bytes = 4096;
        (void)start_generating(options);
        client_send(&c, "[0, 1, 'vmreq.call', ['g.pour', [2, 4000], {'stream': true}]]");
        assert_int_equal(client_receive(&c)->items[2].items[2].count, 4000);
        assert_int_equal(client_receive(&c)->items[2].items[2].count, 4000);
        client_expect(&c, "[1,1,nil,2]");
        /* A chunk that a frame holds, and not with what stands around it. */
        client_send(&c, "[0, 2, 'vmreq.call', ['g.pour', [2, 4090], {'stream': true}]]");
        client_expect_error(&c, 2, "TOO_LARGE", "yes", "than a frame may be");
        client_send(&c, "[0, 3, 'g.pour', [2, 4000]]");
        client_expect_error(&c, 3, "TOO_LARGE", "yes", "\"stream\"");
}

/* Collected chunks count against the connection's bytes. */
static void test_over_the_share(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.frame_bytes = 1u << 20;
        options.limits.bytes_per_connection = 64u << 10;
        options.limits.bytes_per_uid = 600u << 10;
        (void)start_generating(options);
        client_send(&c, "[0, 1, 'g.pour', [10, 90000]]");
        client_expect_error(&c, 1, "BUSY", "yes", "the result was dropped");
        harness_until_idle(&h, 1);
}

/* ---- a client that does not read ---- */

static void test_waits_for_its_reader(void **state)
{
        struct client other;
        uint32_t runs;

        (void)state;
        client_connect(&other, &h);
        client_send(&c, POURED, (uint64_t)0);
        harness_until(&h, some_wait_for_room, NULL);
        runs = atomic_load(&n_runs);
        assert_true(runs < 100);
        assert_true(harness_figures(&h).bytes < 4 * RPC_STREAM_BYTES);
        for (int i = 0; i < 50; i++) {
                client_send(&other, "[0, 1, 't.add', [40, 2]]");
                client_expect(&other, "[1,1,nil,42]");
        }
        assert_int_equal(atomic_load(&n_runs), runs);
        client_close(&other);
        for (uint32_t i = 0; i < 200; i++) {
                const struct proto_value *root = client_receive(&c);

                assert_int_equal(root->items[2].items[1].u, i);
                assert_int_equal(root->items[2].items[2].count, 100000);
        }
        client_expect(&c, "[1,1,nil,200]");
}

static void test_cancel_while_it_waits(void **state)
{
        const struct proto_value *root;
        bool verdict = false;

        (void)state;
        client_send(&c, POURED, (uint64_t)0);
        harness_until(&h, some_wait_for_room, NULL);
        client_send(&c, "[0, 2, 'vmreq.cancel', [{'msgid': 1}]]");
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_states), 0);
        while ((root = client_receive(&c)) && (root->items[0].u == 2 || root->items[1].u == 2))
                if (root->items[0].u == 1) {
                        assert_true(proto_value_is_text(&root->items[3], "removed"));
                        verdict = true;
                }
        assert_true(verdict);
        assert_int_equal(root->items[1].u, 1);
        assert_true(proto_value_is_text(&root->items[2],
                                        "CANCELLED: g.pour: cancelled by its caller between two of "
                                        "its runs (ran: yes)"));
}

/* What its error says, once all chunks before it are read. */
static const struct proto_value *receive_error_map(const char *name)
{
        const struct proto_value *root;

        while ((root = client_receive(&c)) && root->items[0].u == 2)
                ;
        assert_non_null(root);
        assert_true(proto_value_is_text(proto_value_map_get(&root->items[2], "name"), name));
        return &root->items[2];
}

static void test_expires_while_it_waits(void **state)
{
        const struct proto_value *error, *data;
        uint64_t n_begun = 0;

        (void)state;
        client_send(&c, "[0, 0, 'vmreq.hello', [{'errors': 'map'}]]");
        assert_non_null(client_receive(&c));
        /* On a busy machine its time may be over before it has filled the socket: then once more.
         */
        do {
                client_send(&c, POURED, (uint64_t)200);
                harness_until_begun(&h, ++n_begun);
                assert_int_equal(atomic_load(&n_states), 0);
                error = receive_error_map("TIMEOUT");
                data = proto_value_map_get(error, "data");
                assert_true(proto_value_is_text(proto_value_map_get(data, "scope"), "request"));
        } while (!proto_value_map_get(data, "chunks") ||
                 proto_value_map_get(data, "chunks")->u == 0);
        assert_true(proto_value_is_text(proto_value_map_get(error, "ran"), "yes"));
        assert_true(proto_value_is_text(proto_value_map_get(data, "state"), "queued"));
}

static void test_disconnect_while_it_waits(void **state)
{
        (void)state;
        client_send(&c, POURED, (uint64_t)0);
        harness_until(&h, some_wait_for_room, NULL);
        client_close(&c);
        harness_until_idle(&h, 0);
        assert_int_equal(atomic_load(&n_states), 0);
}

/* Many on one connection: together they have no more on their way, each gets its turn, and the
 * first run waits like any other. */
static void test_many_take_turns(void **state)
{
        enum { N = 64 };
        uint64_t next[N] = {0}, most = 0, least;
        uint32_t ended = 0;

        (void)state;
        for (uint64_t i = 0; i < N; i++)
                client_put(&c, "[0, %u, 'vmreq.call', ['g.pour', [10, 100000], {'stream': true}]]",
                           i);
        client_flush(&c);
        harness_until(&h, some_wait_for_room, NULL);
        assert_true(harness_figures(&h).bytes < 4 * RPC_STREAM_BYTES + N * 4096);
        while (ended < N) {
                const struct proto_value *root = client_receive(&c);

                if (root->items[0].u == 1) {
                        assert_int_equal(root->items[3].u, 10);
                        assert_int_equal(next[root->items[1].u], 10);
                        ended++;
                        continue;
                }
                assert_int_equal(root->items[2].items[1].u, next[root->items[2].items[0].u]);
                next[root->items[2].items[0].u]++;
                most = MAX(most, next[root->items[2].items[0].u]);
                least = UINT64_MAX;
                for (uint32_t i = 0; i < N; i++)
                        least = MIN(least, next[i]);
                assert_true(most - least <= 4);
        }
}

/* ---- lanes and bytes of others ---- */

static void test_waits_for_its_lane(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;
        struct vmreq_spec spec = VMREQ_SPEC_INIT;

        (void)state;
        options.lane = 4;
        (void)start_generating(options);
        client_send(&c, "[0, 1, 'vmreq.call', ['g.gated', [2], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        client_sync(&c);
        harness_loop_hold(&h);
        gate_open();
        gate_wait(); /* the other call; the first one's end waits on the bridge */
        spec.cpu = 0;
        spec.kind = VMREQ_FN_VOID;
        spec.flags = VMREQ_NO_WAIT;
        spec.fn = (vmreq_fn)gate_nothing;
        while (vmreq_submit(h.vm, &spec, NULL) == 0)
                ;
        harness_loop_go();
        harness_until(&h, some_retry, NULL);
        gate_open();
        client_expect(&c, "[1,2,nil,0]");
        gate_wait();
        gate_open();
        client_expect(&c, "[1,1,nil,[0,1]]");
}

static void hold_results(struct rpc_server *server, void *ctx)
{
        atomic_fetch_add(&server->results_held, *(uint64_t *)ctx);
}

static void test_waits_for_results_of_others(void **state)
{
        uint64_t more = 1ull << 40, less = -more;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['g.gated', [2], {'stream': true}]]");
        gate_wait();
        harness_on_loop(&h, hold_results, &more);
        gate_open();
        client_expect(&c, "[2,'vmreq.chunk',[1,0,0]]");
        harness_until(&h, some_retry, NULL);
        client_send(&c, "[0, 2, 't.echo', [1]]");
        client_expect_error(&c, 2, "BUSY", "no", "results are on their way");
        harness_on_loop(&h, hold_results, &less);
        gate_wait();
        gate_open();
        client_expect(&c, "[2,'vmreq.chunk',[1,1,1]]");
        client_expect(&c, "[1,1,nil,2]");
}

int main(void)
{
#define TEST(name)      cmocka_unit_test_setup_teardown(name, start_usual, end)
#define TEST_BARE(name) cmocka_unit_test_setup_teardown(name, NULL, end)
        const struct CMUnitTest tests[] = {
                TEST(test_collected),
                TEST(test_streamed),
                TEST(test_default_of_the_connection),
                TEST(test_timing),
                TEST(test_fails_in_the_end),
                TEST(test_in_a_broadcast),
                TEST(test_cancel_in_a_broadcast),
                TEST(test_too_large),
                TEST_BARE(test_small_frames),
                TEST_BARE(test_over_the_share),
                TEST(test_waits_for_its_reader),
                TEST(test_cancel_while_it_waits),
                TEST(test_expires_while_it_waits),
                TEST(test_disconnect_while_it_waits),
                TEST(test_many_take_turns),
                TEST_BARE(test_waits_for_its_lane),
                TEST(test_waits_for_results_of_others),
        };

        return HARNESS_RUN("stream", tests);
}
