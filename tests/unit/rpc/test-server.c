/* SPDX-License-Identifier: MIT */
/*
 * The loop as a whole: its beginning and end, the deadline service's timer, and the loss of memory
 * at each point of a connection's life.
 */
#include "unit/rpc/harness.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "lib/fail-at.h"

static struct harness h;

static int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        harness_start(&h, &options);
        return 0;
}

static int end(void **state)
{
        (void)state;
        gates_open();
        harness_end(&h);
        return 0;
}

/* ---- life ---- */

static void test_never_run(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.unserved = true;
        harness_start(&h, &options);
        harness_end(&h);
        assert_null(rpc_server_free(NULL));
}

static void test_new_without_memory(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;
        struct rpc_config config;
        struct rpc_server *server;
        int r = -1;

        (void)state;
        options.unserved = true;
        harness_start(&h, &options);
        config = h.server->config;
        for (size_t n = 1; r; n++) {
                fail_at = n;
                r = rpc_server_new(&config, &server);
                if (fail_at == 0)
                        assert_int_equal(r, -ENOMEM);
                fail_at = 0;
                assert_true(n < 100);
        }
        assert_null(rpc_server_free(server));
        harness_end(&h);
}

static void test_limits_stay_below_the_descriptors(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;
        struct rlimit limit;

        (void)state;
        options.unserved = true;
        options.limits.connections = 1u << 30;
        harness_start(&h, &options);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(limit.rlim_cur, limit.rlim_max); /* raised */
        if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur > 128)
                assert_true(h.server->config.limits.connections <= limit.rlim_cur - 64);
        harness_end(&h);
}

/* ---- the deadline service ---- */

static void test_the_nearest_deadline_comes_first(void **state)
{
        struct client c;

        (void)state;
        client_connect(&c, &h);
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        /* Far, near, far, nearer: none puts off another. */
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [2], {'cpu': 0, 'timeout_ms': 3600000}]]");
        client_send(&c, "[0, 3, 'vmreq.call', ['t.mark', [3], {'cpu': 0, 'timeout_ms': 40}]]");
        client_send(&c, "[0, 4, 'vmreq.call', ['t.mark', [4], {'cpu': 0, 'timeout_ms': 3600000}]]");
        client_send(&c, "[0, 5, 'vmreq.call', ['t.mark', [5], {'cpu': 0, 'timeout_ms': 5}]]");
        for (int i = 0; i < 2; i++) {
                uint64_t msgid = client_receive(&c)->items[1].u;

                assert_true(msgid == 3 || msgid == 5);
        }
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_expect(&c, "[1,2,nil,nil]");
        client_expect(&c, "[1,4,nil,nil]");
        client_close(&c);
}

/* A later due time that comes from another thread does not put off a nearer one. */
static void test_wakes_of_other_threads(void **state)
{
        struct client c;

        (void)state;
        client_connect(&c, &h);
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [1], {'cpu': 0, 'timeout_ms': 50}]]");
        client_sync(&c);
        rpc_service_wake(h.service, clock_now_ns() + 3600 * CLOCK_NS_PER_S);
        (void)harness_figures(&h); /* the loop has seen it */
        client_expect_error(&c, 2, "TIMEOUT", "no", "queued");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_close(&c);
}

static void *waker(void *arg)
{
        struct rpc_service *service = arg;

        for (unsigned i = 0; i < 2000; i++)
                rpc_service_wake(service, clock_now_ns() + (i * 7919) % 1000000);
        return NULL;
}

static void test_many_wakers(void **state)
{
        pthread_t threads[4];
        struct client c;

        (void)state;
        client_connect(&c, &h);
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, waker, h.service), 0);
        for (int i = 0; i < 200; i++)
                client_sync(&c);
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        client_close(&c);
}

static void test_wake_before_there_is_a_server(void **state)
{
        struct rpc_service *service = rpc_service_new();

        (void)state;
        assert_non_null(service);
        rpc_service_wake(service, 5);
        rpc_service_wake(service, 3);
        rpc_service_free(service);
        rpc_service_free(NULL);
        fail_at = 1;
        assert_null(rpc_service_new());
        fail_at = 0;
}

/* ---- memory ---- */

static void set_job(struct rpc_server *server, void *ctx)
{
        size_t *n = ctx, left = fail_at;

        (void)server;
        fail_at = *n;
        *n = left;
}

/* Sets the loop thread's counter; returns what was left of it. */
static size_t loop_fails_at(size_t n)
{
        harness_on_loop(&h, set_job, &n);
        return n;
}

/* All kinds of calls, on a connection that shuts its sending side behind them: so it ends when all
 * is answered. */
static void put_scenario(struct client *c, const char *bytes, size_t len)
{
        client_put(c, "[0, 1, 'vmreq.hello', [{'errors': 'map'}]]");
        client_put(c, "[0, 2, 't.add', [1, 2]]");
        client_put(c, "[0, 3, 't.size', [%b]]", bytes, len);
        client_put(c, "[0, 4, 'vmreq.call', ['t.echo', [%b], {'cpu': 'all', 'parallel': true}]]",
                   bytes, len / 4);
        client_put(c, "[2, 't.mark', [1]]");
        client_put(c, "[0, 5, 'vmreq.submit', ['t.big', [100000]]]");
        client_put(c, "[0, 6, 'vmreq.symbols', []]");
        client_put(c, "[0, 7, 'vmreq.describe', ['t.fail']]");
        client_put(c, "[0, 8, 'vmreq.status', []]");
        client_put(c, "[0, 9, 't.fail', [-3, 'E', 'text']]");
        client_put(c, "[0, 10, 'nvim_get_api_info', []]");
        client_put(c, "[0, 11, 't.nowhere', [{'long': %b}]]", bytes, len / 8);
}

#define N_ANSWERS 11

/* Each answer whole and once; all of them unless the connection was given up. */
static void read_answers(struct client *c)
{
        const struct proto_value *root;
        bool seen[N_ANSWERS + 1] = {0};
        uint8_t rest;

        while ((root = client_receive(c))) {
                assert_int_equal(root->count, 4);
                assert_int_equal(root->items[0].u, 1);
                assert_true(root->items[1].u >= 1 && root->items[1].u <= N_ANSWERS);
                assert_false(seen[root->items[1].u]);
                seen[root->items[1].u] = true;
        }
        assert_true(recv(c->fd, &rest, 1, 0) <= 0);
}

static void send_what_it_takes(struct client *c)
{
        size_t sent = 0;
        ssize_t n;

        do {
                n = send(c->fd, c->out.data + sent, c->out.len - sent, MSG_NOSIGNAL);
                sent += n > 0 ? (size_t)n : 0;
        } while (n > 0 && sent < c->out.len);
        (void)shutdown(c->fd, SHUT_WR);
}

/* Whatever allocation fails, one connection pays, all charges come home, and the next client is
 * served. */
static void test_every_allocation_fails_once(void **state)
{
        static char bytes[200000];
        size_t left = 0, n;

        (void)state;
        log_init(-1, LOG_L_ERROR);
        for (n = 1; left == 0; n++) {
                struct client c, after;

                (void)loop_fails_at(n);
                client_connect(&c, &h);
                put_scenario(&c, bytes, sizeof(bytes));
                send_what_it_takes(&c);
                read_answers(&c);
                client_close(&c);
                harness_until_peers(&h, 0);
                harness_until_calls(&h, 0);
                left = loop_fails_at(0);
                client_connect(&after, &h);
                client_send(&after, "[0, 1, 't.add', [20, 22]]");
                client_expect(&after, "[1,1,nil,42]");
                client_close(&after);
                harness_until_idle(&h, 0);
                assert_true(n < 1000);
        }
        assert_true(n > 10);
}

/* Waits, cancels and releases, each without memory at each point. */
static void test_waits_without_memory(void **state)
{
        static const char *const asks[] = {
                "[0, 2, 'vmreq.wait', [%u]]",         "[0, 2, 'vmreq.wait', [%u, 0]]",
                "[0, 2, 'vmreq.wait', [%u, 100000]]", "[0, 2, 'vmreq.cancel', [%u]]",
                "[0, 2, 'vmreq.release', [%u]]",
        };

        (void)state;
        for (size_t ask = 0; ask < sizeof(asks) / sizeof(asks[0]); ask++) {
                size_t left = 0;

                for (size_t n = 1; left == 0; n++) {
                        struct client c;
                        uint64_t id;

                        client_connect(&c, &h);
                        client_send(&c, "[0, 1, 'vmreq.submit', ['t.gate', []]]");
                        id = client_receive(&c)->items[3].u;
                        gate_wait();
                        (void)loop_fails_at(n);
                        client_put(&c, asks[ask], id);
                        client_put(&c, "[0, 3, 't.add', [1, 2]]");
                        client_flush(&c);
                        (void)shutdown(c.fd, SHUT_WR);
                        while (client_receive(&c) && c.frame.root->items[1].u != 3)
                                ;
                        left = loop_fails_at(0);
                        gate_open();
                        while (client_receive(&c))
                                ;
                        client_close(&c);
                        harness_until_idle(&h, 0);
                        assert_true(n < 100);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_never_run),
                cmocka_unit_test(test_new_without_memory),
                cmocka_unit_test(test_limits_stay_below_the_descriptors),
                cmocka_unit_test_setup_teardown(test_the_nearest_deadline_comes_first, start, end),
                cmocka_unit_test_setup_teardown(test_wakes_of_other_threads, start, end),
                cmocka_unit_test_setup_teardown(test_many_wakers, start, end),
                cmocka_unit_test(test_wake_before_there_is_a_server),
                cmocka_unit_test_setup_teardown(test_every_allocation_fails_once, start, end),
                cmocka_unit_test_setup_teardown(test_waits_without_memory, start, end),
        };

        return HARNESS_RUN("server", tests);
}
