/* SPDX-License-Identifier: MIT */
/* Frames that cannot be kept because their uid holds too much: refused, and their connection goes
 * on. */
#include "unit/rpc/harness.h"

#include <pthread.h>

#include "base/clock.h"
#include "rpc/peer.h"
#include "rpc/stall.h"

#define MIB   (1u << 20)
#define HELD  600000u
#define LARGE (2 * MIB - 200)

static struct harness h;
static struct client c, d;
static uint8_t *large; /* zeros */

/* One holds most of what their uid may. */
static int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.bytes_per_uid = 3 * MIB;
        harness_start(&h, &options);
        large = calloc(1, LARGE);
        assert_non_null(large);
        client_connect(&d, &h);
        client_send(&d, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        for (int64_t i = 2; i < 5; i++) {
                client_put(&d, "[0, %d, 'vmreq.call', ['t.size', [%b], {'cpu': 0}]]", i, large,
                           (size_t)HELD);
                client_flush(&d);
                client_sync(&d);
        }
        client_connect(&c, &h);
        return 0;
}

static int end(void **state)
{
        (void)state;
        client_sync(&d); /* nobody else was touched */
        gate_open();
        client_expect(&d, "[1,1,nil,0]");
        for (int i = 2; i < 5; i++)
                assert_int_equal(client_receive(&d)->items[3].u, HELD);
        gates_open();
        client_close(&c);
        client_close(&d);
        harness_until_idle(&h, 0);
        harness_end(&h);
        free(large);
        return 0;
}

static void *flush(void *arg)
{
        client_flush(arg);
        return NULL;
}

/* Sends what was put together while the answers are read: they come in between. */
static pthread_t flush_beside(void)
{
        pthread_t sender;

        assert_int_equal(pthread_create(&sender, NULL, flush, &c), 0);
        return sender;
}

static void expect_busy(uint32_t msgid)
{
        client_expect_error(&c, msgid, "BUSY", "no", "and this needs more than is left");
}

static void test_goes_on(void **state)
{
        pthread_t sender;

        (void)state;
        client_put(&c, "[0, 1, 't.size', [%b]]", large, (size_t)LARGE);
        client_put(&c, "[0, 2, 'vmreq.ping', []]");
        client_put(&c, "[0, 3, 'vmreq.submit', ['t.size', [%b]]]", large, (size_t)LARGE);
        client_put(&c, "[0, 4, 'vmreq.ping', []]");
        sender = flush_beside();
        expect_busy(1);
        client_expect(&c, "[1,2,nil,'pong']");
        expect_busy(3);
        client_expect(&c, "[1,4,nil,'pong']");
        assert_int_equal(pthread_join(sender, NULL), 0);
        /* Nothing of it is held: what fits is taken. */
        client_put(&c, "[0, 5, 't.size', [%b]]", large, (size_t)200000);
        sender = flush_beside();
        client_expect(&c, "[1,5,nil,200000]");
        assert_int_equal(pthread_join(sender, NULL), 0);
}

/* Many small values, in whatever pieces they come. */
static void test_of_many_values(void **state)
{
        uint8_t head[] = {0x94, 0, 1, 0xa6, 't', '.', 'e', 'c', 'h', 'o', 0x91, 0xdd, 0, 3, 0, 0};
        pthread_t sender;

        (void)state;
        proto_put_raw(&c.out, head, sizeof(head));
        for (unsigned i = 0; i < 3u << 16; i++)
                proto_put_raw(&c.out,
                              i % 3 ? "\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18" : "\x81\x01\xa2xy",
                              i % 3 ? 9 : 5);
        client_put(&c, "[0, 2, 't.add', [40, 2]]");
        sender = flush_beside();
        expect_busy(1);
        client_expect(&c, "[1,2,nil,42]");
        assert_int_equal(pthread_join(sender, NULL), 0);
}

/* Nobody is told; the count says so. */
static void test_notification(void **state)
{
        pthread_t sender;

        (void)state;
        client_put(&c, "[2, 't.size', [%b]]", large, (size_t)LARGE);
        client_put(&c, "[1, 9, nil, %b]", large,
                   (size_t)LARGE); /* an answer that nobody asked for */
        client_put(&c, "[0, 2, 't.add', [40, 2]]");
        sender = flush_beside();
        client_expect(&c, "[1,2,nil,42]");
        assert_int_equal(pthread_join(sender, NULL), 0);
        assert_int_equal(h.server->refused_notifications, 1);
}

/* What is no message ends its connection, before or in what is passed over. */
static void test_malformed(void **state)
{
        (void)state;
        client_put(&c, "[0, 1, 't.add', [%b, 2]]", large, (size_t)LARGE);
        c.out.data[c.out.len - 1] = 0xc1;
        (void)pthread_join(flush_beside(), NULL);
        expect_busy(1);
        client_expect_end(&c);
}

static void test_cut_short(void **state)
{
        (void)state;
        client_put(&c, "[0, 1, 't.size', [%b]]", large, (size_t)LARGE);
        c.out.len--;
        (void)pthread_join(flush_beside(), NULL);
        expect_busy(1);
        client_sync(&d);
        client_shut(&c);
        client_expect_end(&c);
}

struct look {
        uint64_t later_ms;
        int state;
};

static void look_job(struct rpc_server *server, void *ctx)
{
        struct rpc_peer *peer = TAILQ_LAST(&server->peers, rpc_peer_list);
        struct look *look = ctx;

        assert_true(peer->passing);
        (void)rpc_stall_check(peer, clock_now_ns() + look->later_ms * CLOCK_NS_PER_MS);
        look->state = peer->state;
}

/* It has to get on like one that is kept. */
static void test_stalled(void **state)
{
        struct look look = {.later_ms = 1};

        (void)state;
        client_put(&c, "[0, 1, 't.size', [%b]]", large, (size_t)LARGE);
        c.out.len--;
        (void)pthread_join(flush_beside(), NULL);
        expect_busy(1);
        client_sync(&d);
        harness_on_loop(&h, look_job, &look);
        assert_int_equal(look.state, RPC_PEER_OPEN);
        look.later_ms = 3600000;
        harness_on_loop(&h, look_job, &look); /* all of what has come counts as gain, once */
        assert_int_equal(look.state, RPC_PEER_OPEN);
        look.later_ms *= 2;
        harness_on_loop(&h, look_job, &look);
        assert_int_equal(look.state, RPC_PEER_ENDING);
        client_expect_end(&c); /* and not a second answer */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_goes_on),   TEST(test_of_many_values), TEST(test_notification),
                TEST(test_malformed), TEST(test_cut_short),      TEST(test_stalled),
        };

        return HARNESS_RUN("input", tests);
}
