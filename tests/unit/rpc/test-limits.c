/* SPDX-License-Identifier: MIT */
/* Limits against the host's, and their change under connections that are there. */
#include "unit/rpc/one.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "rpc/limits.h"
#include "rpc/peer.h"

/* ---- descriptors ---- */

/* What of `connections` is left with these limits of descriptors; and the soft one is the hard one.
 */
static unsigned fitted(rlim_t soft, rlim_t hard, uint64_t connections)
{
        struct rpc_limits limits = RPC_LIMITS_INIT;
        struct rlimit limit = {soft, hard};
        int status;
        pid_t pid;

        limits.connections = connections;
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (setrlimit(RLIMIT_NOFILE, &limit))
                        _exit(255);
                rpc_limits_fit(&limits);
                if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur != hard ||
                    limits.connections > 250)
                        _exit(254);
                _exit((int)limits.connections);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return (unsigned)WEXITSTATUS(status);
}

static void test_descriptors(void **state)
{
        (void)state;
        assert_int_equal(fitted(100, 200, 4096), 136);
        assert_int_equal(fitted(200, 200, 4096), 136);
        assert_int_equal(fitted(100, 200, 77), 77);
        assert_int_equal(fitted(65, 65, 4096), 1);
        assert_int_equal(fitted(20, 64, 4096), 1); /* no room: one may always come */
}

/* ---- changes ---- */

static void change_job(struct rpc_server *server, void *ctx)
{
        rpc_limits_change(server, ctx);
}

static void change(struct rpc_limits *limits)
{
        harness_on_loop(&h, change_job, limits);
}

static void test_calls(void **state)
{
        struct rpc_limits limits = RPC_LIMITS_INIT;

        (void)state;
        for (unsigned i = 1; i <= 3; i++)
                client_send(&c, "[0, %u, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]", i);
        gate_wait();
        /* Fewer than there are: these go on, no further one begins. */
        limits.calls_per_connection = 2;
        change(&limits);
        client_send(&c, "[0, 4, 't.add', [1, 2]]");
        client_expect_error(&c, 4, "BUSY", "no", "too many calls of this connection: 3 of 2");
        limits = (struct rpc_limits)RPC_LIMITS_INIT;
        limits.calls_per_uid = 3;
        change(&limits);
        client_send(&c, "[0, 5, 't.add', [1, 2]]");
        client_expect_error(&c, 5, "BUSY", "no", "too many calls of this uid: 3 of 3");
        limits = (struct rpc_limits)RPC_LIMITS_INIT;
        limits.calls = 3;
        change(&limits);
        client_send(&c, "[0, 6, 't.add', [1, 2]]");
        client_expect_error(&c, 6, "BUSY", "no", "too many calls of this daemon: 3 of 3");
        limits.calls = 4;
        change(&limits);
        client_send(&c, "[0, 7, 'vmreq.call', ['t.add', [1, 2], {'cpu': 1}]]");
        client_expect(&c, "[1,7,nil,3]");
        for (unsigned i = 1; i <= 3; i++) {
                if (i > 1)
                        gate_wait();
                gate_open();
                client_expect(&c, i == 1 ? "[1,1,nil,0]" : i == 2 ? "[1,2,nil,0]" : "[1,3,nil,0]");
        }
}

static void test_connections(void **state)
{
        struct rpc_limits limits = RPC_LIMITS_INIT;
        struct client other, third;

        (void)state;
        client_connect(&other, &h);
        client_sync(&other);
        limits.connections = limits.connections_per_uid = 1;
        change(&limits);
        client_sync(&c); /* both stay */
        client_sync(&other);
        limits.connections = limits.connections_per_uid = 3;
        change(&limits);
        client_connect(&third, &h);
        client_sync(&third);
        client_close(&other);
        client_close(&third);
        harness_until_peers(&h, 1);
}

static void test_frames(void **state)
{
        struct rpc_limits limits = RPC_LIMITS_INIT;
        char text[3000];

        (void)state;
        (void)snprintf(text, sizeof(text), "[0, 1, 't.echo', ['%02500d']]", 7);
        client_send(&c, text);
        assert_non_null(client_receive(&c));
        limits.frame_bytes = 2048;
        change(&limits);
        client_sync(&c);
        (void)snprintf(text, sizeof(text), "[0, 2, 't.echo', ['%02500d']]", 7);
        client_send(&c, text);
        client_expect_error(&c, 2, "TOO_LARGE", "no", "the connection is closed");
        client_expect_end(&c);
}

static bool has_only_the_gate(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        return server->counted.calls == 6 && server->n_calls == 1;
}

/* More is unread than a connection may have from now on: what is owed comes behind it. */
static void test_unread(void **state)
{
        struct rpc_limits limits = RPC_LIMITS_INIT;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        for (unsigned i = 2; i <= 6; i++)
                client_send(&c, "[0, %u, 'vmreq.call', ['t.big', [1000000], {'cpu': 1}]]", i);
        harness_until(&h, has_only_the_gate, NULL);
        limits.bytes_per_connection = 1u << 20;
        limits.frame_bytes = 1024;
        limits.calls_per_connection = limits.turn_frames = 1;
        change(&limits);
        gate_open();
        harness_until_calls(&h, 0);
        for (unsigned i = 2; i <= 6; i++)
                assert_int_equal(client_receive(&c)->items[1].u, i);
        client_expect_error(&c, 1, "BUSY", "yes", "too many bytes of this connection");
        client_sync(&c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_descriptors),
                TEST(test_calls),
                TEST(test_connections),
                TEST(test_frames),
                TEST(test_unread),
        };

        return HARNESS_RUN("limits", tests);
}
