/* SPDX-License-Identifier: MIT */
/* Frames that were begun: those that get on, and those that do not. */
#include "unit/rpc/two.h"

#include "base/clock.h"
#include "rpc/peer.h"
#include "rpc/stall.h"

#define MIB (1u << 20)

/* Looks at the first connection as the clock would, so much later; returns when to look again. */
struct look {
        uint64_t later_ms, due_ns, stall_ns;
        size_t unread;
        int state;
};

static void look_job(struct rpc_server *server, void *ctx)
{
        struct rpc_peer *peer = TAILQ_FIRST(&server->peers);
        struct look *look = ctx;

        look->due_ns = rpc_stall_check(peer, clock_now_ns() + look->later_ms * CLOCK_NS_PER_MS);
        look->stall_ns = peer->stall_ns;
        look->unread = peer->out.len - peer->out_sent;
        look->state = peer->state;
}

static struct look look_later(uint64_t later_ms)
{
        struct look look = {.later_ms = later_ms};

        harness_on_loop(&h, look_job, &look);
        return look;
}

static bool has_begun_frame(struct rpc_server *server, void *ctx)
{
        return TAILQ_FIRST(&server->peers)->in_len == *(size_t *)ctx;
}

static void until_held(size_t n)
{
        harness_until(&h, has_begun_frame, &n);
}

#define LIMIT_MS 10000u

static void test_a_frame_that_stands_still(void **state)
{
        (void)state;
        client_sync(&c);
        assert_int_equal(look_later(10 * LIMIT_MS).due_ns, UINT64_MAX); /* nothing has begun */
        client_send(&c, "[0, 1, 't.block', []]"); /* in flight: goes with its connection */
        client_send_raw(&c, "\x94\x00\x07\xa5t.a", 7);
        until_held(7);
        assert_true(look_later(LIMIT_MS / 2).due_ns > clock_now_ns());
        assert_int_equal(look_later(0).state, RPC_PEER_OPEN);
        (void)look_later(LIMIT_MS + 1);
        client_expect_error(&c, 7, "INVALID_REQUEST", "no", "not completed");
        client_expect_end(&c);
        harness_until_calls(&h, 0);
        client_sync(&d);
}

/* One that does not read why is told once. */
static void test_a_frame_that_stands_still_unread(void **state)
{
        struct look look;
        size_t told;

        (void)state;
        for (int64_t i = 0; i < 4; i++)
                client_send(&c, "[0, %d, 't.big', [1000000]]", i);
        harness_until_begun(&h, 4);
        client_send_raw(&c, "\x94\x00\x07\xa5t.a", 7);
        until_held(7);
        told = look_later(0).unread;
        look = look_later(LIMIT_MS + 1);
        assert_int_equal(look.state, RPC_PEER_ENDING);
        assert_true(look.unread > told);
        told = look.unread;
        look = look_later(3 * LIMIT_MS);
        assert_int_equal(look.unread, told);
        assert_int_equal(look.due_ns, UINT64_MAX);
}

/* A long frame that gains enough has time; one that gains too little has not. */
static void test_a_long_frame_gets_on(void **state)
{
        static uint8_t bytes[200000] = {0x94, 0x00, 0x07, 0xa6, 't',  '.',  's',
                                        'i',  'z',  'e',  0x91, 0xc6, 0x00, 0x10};
        struct look look;

        (void)state;
        client_send_raw(&c, bytes, 100);
        until_held(100);
        client_send_raw(&c, bytes + 100, 65536);
        until_held(65636);
        look = look_later(LIMIT_MS + 1);
        assert_int_equal(look.state, RPC_PEER_OPEN);
        client_send_raw(&c, bytes + 65636, 65535);
        until_held(131171);
        look = look_later(3 * LIMIT_MS);
        assert_int_equal(look.state, RPC_PEER_ENDING);
        client_expect_error(&c, 7, "INVALID_REQUEST", "no",
                            "gained less than 65536 bytes in 10000 ms");
}

/* One frame after the other, each cut by the end of a read, is a client that gets on. */
static void test_a_stream_of_frames_gets_on(void **state)
{
        struct proto_builder frame;
        uint64_t began = 0;

        (void)state;
        proto_builder_init(&frame, MIB);
        wire_put(&frame, "[2, 't.mark', [4294967296]]");
        client_send_raw(&c, frame.data, 5);
        until_held(5);
        for (uint32_t i = 0; i < 5; i++) {
                struct look look = look_later(0);

                assert_true(look.stall_ns > began); /* a clock of its own for each */
                began = look.stall_ns;
                client_send_raw(&c, frame.data + 5, frame.len - 5);
                client_send_raw(&c, frame.data, 5);
                while (atomic_load(&n_marks) <= i)
                        client_sync(&d);
                until_held(5);
        }
        client_send_raw(&c, frame.data + 5, frame.len - 5);
        client_sync(&c);
        proto_builder_deinit(&frame);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_a_frame_that_stands_still),
                TEST(test_a_frame_that_stands_still_unread),
                TEST(test_a_long_frame_gets_on),
                TEST(test_a_stream_of_frames_gets_on),
        };

        return HARNESS_RUN("stall", tests);
}
