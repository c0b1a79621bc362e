/* SPDX-License-Identifier: MIT */
/*
 * One connection: its bytes in, however they are cut; its bytes out, read or not; its end, in all
 * the ways a client can go.  Whatever goes wrong with one client must stay its own affair.
 */
#include "unit/rpc/two.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "rpc/call.h"
#include "rpc/peer.h"

#define MIB (1u << 20)

/* ---- input ---- */

static void test_frames_split_anywhere(void **state)
{
        struct proto_builder bytes;

        (void)state;
        proto_builder_init(&bytes, MIB);
        wire_put(&bytes, "[0, 1, 'vmreq.call', ['t.add', [70000, -70000], {'cpu': 0}]]");
        wire_put(&bytes, "[2, 't.mark', [4294967296]]");
        wire_put(&bytes,
                 "[0, 4294967295, 'vmreq.call', ['t.echo', [{'key': ['value', nil, true, 2.5]}], "
                 "{'cpu': 0}]]");
        for (size_t cut = 0; cut <= bytes.len; cut++) {
                client_send_raw(&c, bytes.data, cut);
                client_sync(&d);
                client_send_raw(&c, bytes.data + cut, bytes.len - cut);
                client_expect(&c, "[1,1,nil,0]");
                client_expect(&c, "[1,4294967295,nil,{'key':['value',nil,true,2.5]}]");
        }
        proto_builder_deinit(&bytes);
        client_sync(&c);
        harness_until_calls(&h, 0);
        assert_true(atomic_load(&n_marks) > 70);
}

static void test_byte_by_byte(void **state)
{
        static const char *const frames[][2] = {
                {"[0, 1, 't.echo', ['0123456789012345678901234567890123456789']]",
                 "[1,1,nil,'0123456789012345678901234567890123456789']"},
                {"[0, 2, 'vmreq.ping', nil]", "[1,2,nil,'pong']"},
        };

        (void)state;
        for (size_t f = 0; f < 2; f++) {
                struct proto_builder bytes;

                proto_builder_init(&bytes, MIB);
                wire_put(&bytes, frames[f][0]);
                for (size_t i = 0; i < bytes.len; i++) {
                        client_send_raw(&c, bytes.data + i, 1);
                        client_sync(&d);
                }
                client_expect(&c, frames[f][1]);
                proto_builder_deinit(&bytes);
        }
        harness_until_idle(&h, 2); /* an idle connection holds no input buffer */
}

static void test_pipelined(void **state)
{
        (void)state;
        for (int64_t i = 0; i < 1000; i++)
                client_put(&c, "[0, %d, 'vmreq.ping', []]", i);
        client_flush(&c);
        for (int i = 0; i < 1000; i++) {
                char shown[64];

                (void)snprintf(shown, sizeof(shown), "[1,%d,nil,'pong']", i);
                client_expect(&c, shown);
        }
}

/* A turn is 128 frames; then the others come first. */
static void test_turns(void **state)
{
        uint32_t i, first = 0;

        (void)state;
        harness_loop_hold(&h);
        for (i = 0; i < 2000; i++)
                client_put(&c, "[2, 'vmreq.ping', []]");
        for (i = 0; i < 1000; i++)
                client_put(&c, "[2, 't.mark', [1]]");
        client_flush(&c);
        for (i = 0; i < 5; i++)
                client_put(&d, "[2, 't.mark', [2]]");
        client_flush(&d);
        harness_loop_go();
        client_sync(&c);
        client_sync(&d);
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_marks), 1005);
        for (i = 0; i < 1005; i++)
                if (atomic_load(&marks[i]) == 2)
                        first = i + 1;
        assert_true(first > 0 &&
                    first <= 2 * (5 + h.server->config.limits
                                              .turn_frames)); /* two EMTs may swap neighbours */
}

/* The largest frame there may be, one call with all of it, twice in a row. */
static void test_largest_frames(void **state)
{
        size_t len = 8 * MIB - 64;
        char *bytes = calloc(1, len);

        (void)state;
        assert_non_null(bytes);
        for (int64_t i = 0; i < 2; i++) {
                client_put(&c, "[0, %d, 'vmreq.call', ['t.size', [%b], {'cpu': 0}]]", i, bytes,
                           len);
                client_flush(&c);
        }
        client_expect(&c, "[1,0,nil,8388544]");
        client_expect(&c, "[1,1,nil,8388544]");
        client_put(&c, "[0, 3, 't.echo', [%b]]", bytes, len);
        client_flush(&c);
        assert_int_equal(client_receive(&c)->items[3].count, len);
        free(bytes);
        harness_until_idle(&h, 2);
}

static void *send_all(void *arg)
{
        struct client *client = arg;

        CHECK(client->out.error == PROTO_BUILDER_OK);
        for (size_t sent = 0; sent < client->out.len;) {
                ssize_t n = send(client->fd, client->out.data + sent, client->out.len - sent,
                                 MSG_NOSIGNAL);

                CHECK(n > 0);
                sent += (size_t)n;
        }
        return NULL;
}

static bool is_paused(struct rpc_server *server, void *ctx)
{
        const struct rpc_peer *peer;

        (void)ctx;
        TAILQ_FOREACH (peer, &server->peers, link)
                if (peer->paused)
                        return true;
        return false;
}

/* Long arguments of calls that wait count against the connection's share: it is not read from until
 * some end. */
static void test_long_arguments_in_flight(void **state)
{
        size_t len = 6 * MIB;
        char *bytes = calloc(1, len);
        pthread_t sender;

        (void)state;
        assert_non_null(bytes);
        client_send(&d, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        for (int64_t i = 0; i < 4; i++)
                client_put(&c, "[0, %d, 'vmreq.call', ['t.size', [%b], {'cpu': 0}]]", i, bytes,
                           len);
        client_put(&c, "[0, 4, 'vmreq.call', ['t.size', ['x'], {'cpu': 0}]]");
        assert_int_equal(pthread_create(&sender, NULL, send_all, &c), 0);
        harness_until(&h, is_paused, NULL);
        client_sync(&d);
        assert_true(harness_figures(&h).bytes <= 24 * MIB + 2 * 65536);
        gate_open();
        client_expect(&d, "[1,1,nil,0]");
        for (int i = 0; i < 4; i++)
                assert_int_equal(client_receive(&c)->items[3].u, len);
        client_expect(&c, "[1,4,nil,1]");
        assert_int_equal(pthread_join(sender, NULL), 0);
        free(bytes);
}

/* What was asked before the mistake is answered as far as it is done; what comes behind is not
 * looked at. */
static void test_nothing_behind_a_mistake(void **state)
{
        (void)state;
        client_put(&c, "[0, 1, 'vmreq.ping', []]");
        client_put(&c, "[0, 2, 3, []]");
        client_put(&c, "[0, 3, 't.mark', [1]]");
        client_flush(&c);
        client_expect(&c, "[1,1,nil,'pong']");
        client_expect_error(&c, 2, "INVALID_REQUEST", "no", "method");
        client_expect_end(&c);
        harness_until_peers(&h, 1);
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_marks), 0);
}

static void test_a_mistake_cancels_what_is_in_flight(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 't.block', []]");
        while (atomic_load(&n_blocked) == 0)
                client_sync(&d);
        client_send(&c, "[7, 8, 9, 10]");
        client_expect_end(&c);
        harness_until_calls(&h, 0);
}

/* ---- the end ---- */

static void test_half_closed_gets_its_answers(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        client_send(&c, "[0, 2, 'vmreq.call', ['t.add', [1, 2], {'cpu': 0}]]");
        client_shut(&c);
        gate_wait();
        client_sync(&d);
        harness_until_peers(&h, 2);
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_expect(&c, "[1,2,nil,3]");
        client_expect_end(&c);
        harness_until_peers(&h, 1);
}

static void test_half_closed_with_nothing_to_say(void **state)
{
        (void)state;
        client_shut(&c);
        client_expect_end(&c);
        client_send_raw(&d, "\x94\x00\x01", 3); /* a frame that will not be completed */
        client_shut(&d);
        client_expect_end(&d);
        harness_until_idle(&h, 0);
}

static void test_half_closed_after_many_frames(void **state)
{
        (void)state;
        for (int64_t i = 0; i < 1000; i++)
                client_put(&c, "[0, %d, 'vmreq.ping', []]", i);
        client_flush(&c);
        client_shut(&c);
        for (int i = 0; i < 1000; i++)
                assert_non_null(client_receive(&c));
        client_expect_end(&c);
}

static void test_half_closed_with_a_waiter(void **state)
{
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.submit', ['t.gate', [], {'cpu': 0}]]");
        id = client_receive(&c)->items[3].u;
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", id);
        client_shut(&c);
        client_sync(&d);
        gate_open();
        client_expect(&c, "[1,2,nil,0]");
        client_expect_end(&c);
        harness_until_calls(&h, 0);
}

static void test_half_closed_then_gone(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 't.block', []]");
        client_shut(&c);
        while (atomic_load(&n_blocked) == 0)
                client_sync(&d);
        harness_until_peers(&h, 2);
        client_close(&c);
        harness_until_peers(&h, 1);
        harness_until_calls(&h, 0);
}

/* An answered call whose request still runs does not keep a half-closed connection. */
static void test_half_closed_after_a_timeout(void **state)
{
        (void)state;
        client_overdue(&c, 1);
        client_shut(&c);
        client_expect_end(&c);
        harness_until_peers(&h, 1);
        assert_int_equal(harness_figures(&h).n_calls, 1);
        gate_open();
        harness_until_calls(&h, 0);
}

/* What a client sent before it went is processed, also when it went with answers unread. */
static void test_gone_with_notifications_under_way(void **state)
{
        (void)state;
        for (int unread = 0; unread < 2; unread++) {
                struct client e;

                client_connect(&e, &h);
                if (unread) { /* an answer stands in its socket: its end is then an error of ours */
                        client_send(&e, "[0, 1, 'vmreq.ping', []]");
                        while (recv(e.fd, (char[1]){0}, 1, MSG_PEEK) != 1)
                                ;
                }
                harness_loop_hold(&h);
                client_put(&e, "[0, 2, 'vmreq.ping', []]"); /* its answer finds nobody */
                for (int i = 0; i < 1000; i++)
                        client_put(&e, "[2, 't.mark', [1]]");
                client_flush(&e);
                client_close(&e);
                harness_loop_go();
                harness_until_peers(&h, 2);
                harness_until_calls(&h, 0);
                assert_int_equal(atomic_load(&n_marks), 1000 * (unread + 1));
        }
}

static void test_gone_while_its_frames_wait_for_a_turn(void **state)
{
        (void)state;
        for (int round = 0; round < 20; round++) {
                struct client e;

                client_connect(&e, &h);
                for (int64_t i = 0; i < 500; i++)
                        client_put(&e, "[0, %d, 't.add', [1, 1]]", i);
                client_flush(&e);
                client_close(&e);
        }
        harness_until_peers(&h, 2);
        harness_until_calls(&h, 0);
}

/* ---- output ---- */

struct held {
        uint64_t out, results;
        uint32_t n_calls;
};

static void held_job(struct rpc_server *server, void *ctx)
{
        struct held *held = ctx;
        const struct rpc_peer *peer;
        const struct rpc_call *call;

        memset(held, 0, sizeof(*held));
        TAILQ_FOREACH (peer, &server->peers, link)
                held->out += peer->out.cap;
        TAILQ_FOREACH (call, &server->calls, server_link) {
                held->n_calls++;
                for (uint32_t i = 0; call->finished && i < call->n_writers; i++)
                        held->results += call->writers[i].value.cap;
        }
}

static struct held held_by_server(void)
{
        struct held held;

        harness_on_loop(&h, held_job, &held);
        return held;
}

static void test_who_does_not_read_gets_notices(void **state)
{
        unsigned results = 0, notices = 0;

        (void)state;
        for (int64_t i = 0; i < 20; i++)
                client_send(&c, "[0, %d, 'vmreq.call', ['t.big', [4000000], {'cpu': 0}]]", i);
        harness_until_begun(&h, 20);
        assert_true(held_by_server().out <= 40 * MIB);
        client_sync(&d); /* the others do not notice */
        for (int i = 0; i < 20; i++) {
                const struct proto_value *root = client_receive(&c);

                assert_non_null(root);
                if (root->items[2].type == PROTO_NIL) {
                        assert_int_equal(root->items[3].count, 4000000);
                        results++;
                } else {
                        char text[1024];

                        wire_show(&root->items[2], text, sizeof(text));
                        assert_memory_equal(text, "'BUSY: the result was dropped", 29);
                        assert_has(text, "(ran: yes)");
                        notices++;
                }
        }
        assert_true(results >= 5 && notices > 0);
        client_sync(&c); /* it is read from again */
        harness_until_idle(&h, 2);
}

static void test_who_does_not_read_is_not_read_from(void **state)
{
        (void)state;
        for (int64_t i = 0; i < 5; i++)
                client_send(&c, "[0, %d, 't.big', [4000000]]", i);
        harness_until(&h, is_paused, NULL);
        client_send(&c, "[0, 6, 't.mark', [1]]");
        client_sync(&d);
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_marks), 0);
        for (int i = 0; i < 6; i++)
                assert_non_null(client_receive(&c));
        assert_int_equal(atomic_load(&n_marks), 1);
}

static void test_gone_while_not_read_from(void **state)
{
        (void)state;
        for (int64_t i = 0; i < 5; i++)
                client_send(&c, "[0, %d, 't.big', [4000000]]", i);
        harness_until(&h, is_paused, NULL);
        client_send(&c, "[2, 't.mark', [1]]");
        client_close(&c);
        harness_until_peers(&h, 1);
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_marks), 1);
}

/* Kept results count against the connection's share too. */
static void test_kept_results_are_bounded(void **state)
{
        struct held held;
        unsigned results = 0, notices = 0;
        uint64_t ids[20];

        (void)state;
        for (int64_t i = 0; i < 20; i++) {
                client_send(&c, "[0, %d, 'vmreq.submit', ['t.big', [4000000]]]", i);
                ids[i] = client_receive(&c)->items[3].u;
        }
        for (int64_t i = 0; i < 20; i++) {
                const struct proto_value *root;

                client_send(&c, "[0, 99, 'vmreq.wait', [%u]]", ids[i]);
                root = client_receive(&c);
                if (root->items[2].type == PROTO_NIL)
                        results++;
                else
                        notices++;
        }
        held = held_by_server();
        assert_true(held.results <= 16 * MIB + 65536);
        assert_true(results >= 2 && notices > 0);
        for (int64_t i = 0; i < 20; i++) {
                client_send(&c, "[0, 98, 'vmreq.release', [%u]]", ids[i]);
                client_expect(&c, "[1,98,nil,nil]");
        }
        harness_until_idle(&h, 2);
}

/* Also the broker's own answers, of many connections of one uid that do not read. */
static int start_narrow(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.bytes_per_uid = 4 * MIB;
        options.limits.bytes = 8 * MIB;
        return start_with(&options);
}

#define N_GREEDY 12

static void test_unread_answers_of_many_connections(void **state)
{
        struct client greedy[N_GREEDY];
        struct held held;

        (void)state;
        for (int i = 0; i < N_GREEDY; i++) {
                client_connect(&greedy[i], &h);
                for (int64_t k = 0; k < 1500; k++)
                        client_put(&greedy[i], "[0, %d, 'nvim_get_api_info', []]", k);
                client_flush(&greedy[i]);
        }
        for (int i = 0; i < 50; i++)
                client_sync(&d); /* the broker's own methods work all the same */
        held = held_by_server();
        if (held.out > 16 * MIB)
                fail_msg("%llu bytes held", (unsigned long long)held.out);
        for (int i = 0; i < N_GREEDY; i++)
                client_close(&greedy[i]);
        harness_until_peers(&h, 2);
}

static int start_few_calls(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.frame_bytes = 65536;
        options.limits.bytes_per_connection = 65536;
        return start_with(&options);
}

/* Small shares: the same machinery, at the edge where not even notices fit. */
static void test_small_shares(void **state)
{
        const struct proto_value *root;
        unsigned n = 0;

        (void)state;
        for (int64_t i = 0; i < 3000; i++)
                client_put(&c, "[0, %d, 't.nowhere', []]", i);
        client_flush(&c);
        client_shut(&c);
        while ((root = client_receive(&c))) {
                assert_int_equal(root->items[1].u, n);
                n++;
        }
        assert_int_equal(n, 3000);
        for (int64_t i = 0; i < 50; i++)
                client_send(&d, "[0, %d, 't.big', [60000]]", i);
        for (int i = 0; i < 50; i++)
                assert_non_null(client_receive(&d));
        client_sync(&d);
}

int main(void)
{
#define TEST(name)             cmocka_unit_test_setup_teardown(name, start, end)
#define TEST_WITH(name, start) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_frames_split_anywhere),
                TEST(test_byte_by_byte),
                TEST(test_pipelined),
                TEST(test_turns),
                TEST(test_largest_frames),
                TEST(test_long_arguments_in_flight),
                TEST(test_nothing_behind_a_mistake),
                TEST(test_a_mistake_cancels_what_is_in_flight),
                TEST(test_half_closed_gets_its_answers),
                TEST(test_half_closed_with_nothing_to_say),
                TEST(test_half_closed_after_many_frames),
                TEST(test_half_closed_with_a_waiter),
                TEST(test_half_closed_then_gone),
                TEST(test_half_closed_after_a_timeout),
                TEST(test_gone_with_notifications_under_way),
                TEST(test_gone_while_its_frames_wait_for_a_turn),
                TEST(test_who_does_not_read_gets_notices),
                TEST(test_who_does_not_read_is_not_read_from),
                TEST(test_gone_while_not_read_from),
                TEST(test_kept_results_are_bounded),
                TEST_WITH(test_unread_answers_of_many_connections, start_narrow),
                TEST_WITH(test_small_shares, start_few_calls),
        };

        return HARNESS_RUN("peer", tests);
}
