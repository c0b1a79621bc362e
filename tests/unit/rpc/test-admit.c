/* SPDX-License-Identifier: MIT */
/* The door: who has to go when there is no place left, and who never does. */
#include "unit/rpc/harness.h"

#include "rpc/admit.h"
#include "rpc/peer.h"

#define PLACES 10

static struct harness h;
static struct client clients[32];
static unsigned n_clients;

static int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.connections = PLACES;
        options.limits.connections_per_uid = 8;
        options.limits.connections_reserved = 2;
        harness_start(&h, &options);
        n_clients = 0;
        return 0;
}

static int end(void **state)
{
        (void)state;
        while (n_clients > 0)
                client_close(&clients[--n_clients]);
        harness_until_idle(&h, 0);
        harness_end(&h);
        return 0;
}

/* From here on this process's uid is the daemon's own, or nobody's in particular. */
static void as_job(struct rpc_server *server, void *ctx)
{
        bool privileged = *(bool *)ctx;

        server->policy.host.daemon_uid = privileged ? getuid() : 1;
        server->policy.host.overflow.uid = privileged ? 65534 : getuid();
}

static bool has_seen(struct rpc_server *server, void *ctx)
{
        return server->counted.peers + server->counted.peers_refused == *(uint64_t *)ctx;
}

static void until_seen(uint64_t n)
{
        harness_until(&h, has_seen, &n);
}

/* Whoever came before has been looked at by then. */
static void connect_as(bool privileged)
{
        until_seen(n_clients);
        harness_on_loop(&h, as_job, &privileged);
        client_connect(&clients[n_clients++], &h);
}

static struct client *spoken(bool privileged)
{
        connect_as(privileged);
        client_sync(&clients[n_clients - 1]);
        return &clients[n_clients - 1];
}

static struct client *silent(bool privileged)
{
        connect_as(privileged);
        return &clients[n_clients - 1];
}

static void count(struct rpc_server *server, void *ctx)
{
        uint64_t *counted = ctx;

        counted[0] = server->counted.peers_refused;
        counted[1] = server->counted.peers_evicted;
}

static void figures(uint64_t *ret_refused, uint64_t *ret_evicted)
{
        uint64_t counted[2];

        harness_on_loop(&h, count, counted);
        *ret_refused = counted[0];
        *ret_evicted = counted[1];
}

/* The oldest that never completed a frame makes room; those who have spoken stay. */
static void test_the_oldest_silent_one_goes(void **state)
{
        struct client *talker = spoken(false), *first, *second, *later;
        uint64_t refused, evicted;

        (void)state;
        first = silent(false);
        second = silent(false);
        client_send_raw(second, "\x94\x00", 2); /* half a frame is none */
        for (unsigned i = 0; i < 5; i++)
                (void)spoken(false);
        until_seen(8);
        later = spoken(false); /* the uid's bound: 8 */
        client_expect_end(first);
        client_sync(later);
        (void)spoken(false);
        client_expect_end(second);
        client_sync(talker);
        /* Nobody is silent any more: who comes now has to go. */
        connect_as(false);
        client_expect_end(&clients[n_clients - 1]);
        figures(&refused, &evicted);
        assert_int_equal(refused, 1);
        assert_int_equal(evicted, 2);
        client_sync(talker);
}

/* Strangers fill all there is for them; root is let in all the same, and not closed for them. */
static void test_reserved_places(void **state)
{
        struct client *roots[2], *last;
        uint64_t refused, evicted;

        (void)state;
        for (unsigned i = 0; i < 8; i++)
                (void)spoken(false);
        roots[0] = silent(true);
        roots[1] = silent(true);
        until_seen(10);
        assert_int_equal(harness_figures(&h).n_peers, PLACES);
        connect_as(false);
        client_expect_end(&clients[n_clients - 1]);
        client_sync(roots[0]);
        /* Root's own silent one makes room for root. */
        last = spoken(true);
        client_expect_end(roots[1]);
        client_sync(last);
        figures(&refused, &evicted);
        assert_int_equal(refused, 1);
        assert_int_equal(evicted, 1);
}

/* A crowd of silent ones, and somebody who comes late and wants something. */
static void test_a_crowd(void **state)
{
        struct client *late;

        (void)state;
        for (unsigned i = 0; i < 20; i++)
                (void)silent(false);
        until_seen(20);
        assert_int_equal(harness_figures(&h).n_peers, 8);
        late = spoken(false);
        client_sync(late);
        assert_int_equal(h.server->counted.peers_refused, 0);
        assert_int_equal(h.server->counted.peers_evicted, 13);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_the_oldest_silent_one_goes),
                TEST(test_reserved_places),
                TEST(test_a_crowd),
        };

        return HARNESS_RUN("admit", tests);
}
