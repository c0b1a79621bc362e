/* SPDX-License-Identifier: MIT */
/* From a frame to what it asks for: the message's form, the tolerances that real clients need, and
 * what is ignored. */
#include "unit/rpc/one.h"

#include "lib/fail-at.h"
#include "rpc/peer.h"
#include "rpc/session.h"

static void test_tolerances(void **state)
{
        static const uint8_t float32[] = {0x94, 0,   1,    0xa6, 't',  '.',  'e', 'c',
                                          'h',  'o', 0x91, 0xca, 0x3f, 0xc0, 0,   0};
        static const uint8_t wide_msgid[] = {0x94, 0xd3, 0,    0,    0,   0,   0,   0,
                                             0,    0,    0xd3, 0,    0,   0,   0,   0xff,
                                             0xff, 0xff, 0xff, 0xc4, 10,  'v', 'm', 'r',
                                             'e',  'q',  '.',  'p',  'i', 'n', 'g', 0xc0};

        (void)state;
        client_send(&c, "[0, 1, %b, [1, 2]]", "t.add", (size_t)5); /* the name as bin */
        client_expect(&c, "[1,1,nil,3]");
        client_send(&c, "[0, 2, 't.cpu', nil]"); /* params nil */
        assert_int_equal(client_receive(&c)->items[2].type, PROTO_NIL);
        client_send_raw(&c, float32, sizeof(float32));
        client_expect(&c, "[1,1,nil,1.5]");
        client_send_raw(&c, wide_msgid, sizeof(wide_msgid));
        client_expect(&c, "[1,4294967295,nil,'pong']");
        client_send(&c, "[0, 0, 'vmreq.ping', []]");
        client_expect(&c, "[1,0,nil,'pong']");
        client_send(&c, "[0, 3, 't.add', nil]");
        client_expect_error(&c, 3, "INVALID_ARGUMENT", "no", "takes 2 arguments, got 0");
}

static void test_no_messages(void **state)
{
        static const struct {
                const char *frame,
                        *part; /* NULL: closed without a word, because no answer can be addressed */
        } rows[] = {
                {"[0, 5, 'vmreq.ping', [], 1]", "elements"},
                {"[0, 5, 'vmreq.ping']", "elements"},
                {"[0, 5]", "elements"},
                {"[0, 5, 7, []]", "method"},
                {"[0, 5, nil, []]", "method"},
                {"[0, 5, 'vmreq.ping', {}]", "params"},
                {"[0, 5, 'vmreq.ping', 1]", "params"},
                {"[0, -5, 'vmreq.ping', []]", NULL},
                {"[0, 4294967296, 'vmreq.ping', []]", NULL},
                {"[0, 'x', 'vmreq.ping', []]", NULL},
                {"[3, 5, 'vmreq.ping', []]", NULL},
                {"[-1, 5, 'vmreq.ping', []]", NULL},
                {"['x', 5, 'vmreq.ping', []]", NULL},
                {"[nil, 5, 'vmreq.ping', []]", NULL},
                {"[2, 'x']", NULL},
                {"[2, 5, []]", NULL},
                {"[2, 'x', [], []]", NULL},
                {"[1, 5, nil]", NULL},
                {"[]", NULL},
                {"[[]]", NULL},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct client e;

                client_connect(&e, &h);
                client_send(&e, "[0, 1, 'vmreq.ping', []]");
                client_send(&e, rows[i].frame);
                client_expect(&e, "[1,1,nil,'pong']");
                if (rows[i].part)
                        client_expect_error(&e, 5, "INVALID_REQUEST", "no", rows[i].part);
                client_expect_end(&e);
                client_close(&e);
        }
        client_sync(&c);
}

/* What clients of Neovim's send to anybody, and answers to questions that nobody asked. */
static void test_noise_is_ignored(void **state)
{
        (void)state;
        client_send(&c, "[2, 'nvim_error_event', [0, 'what']]");
        client_send(&c, "[2, 'nvim_anything', []]");
        client_send(&c, "[1, 77, nil, 'an answer']");
        client_send(&c, "[1, 77, 'an error', nil]");
        client_send(&c, "[2, 'vmreq.status', []]");
        client_send(&c, "[2, 'vmreq.submit', ['t.mark', [1]]]");
        client_sync(&c);
        client_expect_silence(&c);
        assert_int_equal(harness_figures(&h).refused_notifications, 0);
        assert_int_equal(atomic_load(&n_marks), 0);
}

static void test_error_styles_of_neovim(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 't.none', []]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "t.none");
        client_send(&c, "[2, 'nvim_set_client_info', ['x', {}, 'remote', {}, {}]]");
        client_send(&c, "[0, 2, 't.none', []]");
        client_expect(
                &c,
                "[1,2,[0,'NOT_FOUND: there is no symbol \"t.none\" that you may call (ran: no)'],nil]");
        client_send(&c, "[0, 3, 't.cpu', [1]]");
        client_expect(
                &c,
                "[1,3,[1,'INVALID_ARGUMENT: t.cpu takes 0 arguments, got 1: t.cpu() -> u32 (ran: no)'],nil]");
        /* Who asked for maps keeps them. */
        client_send(&c, "[0, 4, 'vmreq.hello', [{'errors': 'map'}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[2, 'nvim_set_client_info', []]");
        client_send(&c, "[0, 5, 't.none', []]");
        assert_int_equal(client_receive(&c)->items[2].type, PROTO_MAP);
}

static void test_names(void **state)
{
        char name[100];

        (void)state;
        memset(name, 'a', sizeof(name));
        memcpy(name, "t.", 2);
        for (size_t len = 0; len <= sizeof(name); len += 4) {
                client_send(&c, "[0, 1, %S, []]", name, len);
                client_expect_error(&c, 1, "NOT_FOUND", "no", "there is no symbol");
        }
        client_send(&c, "[0, 1, %S, []]", "t.add\0x", (size_t)7);
        client_expect_error(&c, 1, "NOT_FOUND", "no", "\"t.add\"");
        client_send(&c, "[0, 1, 'vmreq.pin', []]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "vmreq.pin");
        client_send(&c, "[0, 1, 'vmreq.pings', []]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "vmreq.pings");
        client_send(&c, "[0, 1, 'nvim_eval', ['1']]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "nvim_eval");
}

static void nodes_job(struct rpc_server *server, void *ctx)
{
        *(size_t *)ctx = server->arena.cap;
}

/* The tree of a large frame is given back. */
static void test_arena_is_trimmed(void **state)
{
        uint8_t *nils = malloc(1u << 20);
        size_t cap;

        (void)state;
        assert_non_null(nils);
        memset(nils, 0xc0, 1u << 20);
        nils[0] = 0xdd;
        nils[1] = 0x00;
        nils[2] = 0x0f;
        nils[3] = 0x00;
        nils[4] = 0x00;
        client_put(&c, "[0, 1, 't.echo', [%r]]", nils, (size_t)(5 + 0x0f0000));
        client_flush(&c);
        assert_int_equal(client_receive(&c)->items[3].count, 0x0f0000);
        harness_on_loop(&h, nodes_job, &cap);
        assert_true(cap <= 4096);
        free(nils);
}

/* As it comes from peer.c: a whole frame, and then no memory for its values. */
static void decode_without_memory(struct rpc_server *server, void *ctx)
{
        static const uint8_t head[] = {0x94, 0,   7,    0xa6, 't', '.',  'e', 'c',
                                       'h',  'o', 0x91, 0xdd, 0,   0x01, 0,   0};
        static uint8_t data[sizeof(head) + 0x10000];
        struct rpc_peer *peer = TAILQ_FIRST(&server->peers);

        (void)ctx;
        memset(data, 0xc0, sizeof(data));
        memcpy(data, head, sizeof(head));
        assert_int_equal(proto_frame_scan(&peer->frame, data, sizeof(data)), PROTO_FRAME_DONE);
        fail_at = 1;
        assert_false(rpc_session_frame(peer, data, &peer->frame));
        assert_int_equal(fail_at, 0);
        rpc_peer_end(peer);
}

static void test_no_memory_for_values(void **state)
{
        (void)state;
        client_sync(&c);
        harness_on_loop(&h, decode_without_memory, NULL);
        client_expect_error(&c, 7, "INTERNAL", "no", "out of memory; the connection is closed");
        client_expect_end(&c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_tolerances, start, end),
                cmocka_unit_test_setup_teardown(test_no_messages, start, end),
                cmocka_unit_test_setup_teardown(test_noise_is_ignored, start, end),
                cmocka_unit_test_setup_teardown(test_error_styles_of_neovim, start, end),
                cmocka_unit_test_setup_teardown(test_names, start, end),
                cmocka_unit_test_setup_teardown(test_arena_is_trimmed, start, end),
                cmocka_unit_test_setup_teardown(test_no_memory_for_values, start, end),
        };

        return HARNESS_RUN("session", tests);
}
