/* SPDX-License-Identifier: MIT */
/*
 * What became of a call, as one frame: results, rows, every error in every style, and what does not
 * fit.  A peer and calls are put together by hand; no loop runs.
 */
#include "unit/rpc/wire.h"

#include <unistd.h>

#include "rpc/call.h"
#include "rpc/peer.h"
#include "rpc/reply.h"

static struct rpc_server server;
static struct rpc_peer peer;
static struct rpc_call call;
static struct vmreq_symbol def;
static struct sym_symbol symbol;

static int32_t function(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        (void)ctx, (void)args, (void)argc, (void)reply;
        return 0;
}

static int start(void **state)
{
        static const struct rpc_limits limits = RPC_LIMITS_INIT;

        (void)state;
        log_init(-1, LOG_L_ERROR);
        memset(&server, 0, sizeof(server));
        server.config.limits = limits;
        server.config.limits.frame_bytes = 4096;
        server.config.limits.bytes_per_connection = 65536;
        TAILQ_INIT(&server.dirty);
        rpc_quota_init(&server.quota, &server.config.limits);
        memset(&peer, 0, sizeof(peer));
        peer.server = &server;
        assert_int_equal(rpc_quota_open(&server.quota, 1000, false, &peer.account), RPC_QUOTA_OK);
        proto_builder_init(&peer.out, 65536 + 2 * 4096);
        memset(&call, 0, sizeof(call));
        def = (struct vmreq_symbol){.name = "m.f", .result = VMREQ_T_ANY, .function = function};
        symbol = (struct sym_symbol){.def = &def};
        call.server = &server;
        call.symbol = &symbol;
        call.id = 77;
        call.writers = &call.one_writer;
        call.n_writers = 1;
        call.options.timeout_ms = 250;
        rpc_writer_init(&call.one_writer, VMREQ_T_ANY, 4096);
        call.row = (struct vmreq_row){
                .cpu = 1, .fate = VMREQ_FATE_DONE, .queued_ns = 5000999, .run_ns = 7000};
        return 0;
}

static int end(void **state)
{
        (void)state;
        rpc_writer_deinit(&call.one_writer);
        proto_builder_deinit(&peer.out);
        rpc_account_release(&peer.account, RPC_BYTES, peer.out_charged);
        rpc_quota_close(&server.quota, &peer.account);
        rpc_quota_deinit(&server.quota);
        return 0;
}

/* What was written since the last look. */
static void assert_said(const char *shown)
{
        assert_wire_builder(&peer.out, shown);
        proto_builder_reset(&peer.out);
}

static void reply_call(void)
{
        rpc_reply_call(&(struct rpc_addressee){.peer = &peer, .msgid = 9}, &call);
}

static void reply(const char *shown)
{
        reply_call();
        assert_said(shown);
        assert_true(peer.is_dirty);
}

static void test_nothing_for_who_is_closing(void **state)
{
        (void)state;
        peer.state = RPC_PEER_CLOSING;
        rpc_reply_error(&peer, 9, PROTO_INTERNAL, PROTO_RAN_NO, "x");
        reply_call();
        assert_int_equal(peer.out.len, 0);
        assert_false(peer.is_dirty);
}

static void test_head(void **state)
{
        struct rpc_addressee to = {.peer = &peer, .completed = true, .id = 77};

        (void)state;
        call.one_writer.base.ops->put_uint(&call.one_writer.base, 5);
        reply("[1,9,nil,5]");
        rpc_reply_call(&to, &call);
        assert_said("[2,'vmreq.completed',[77,nil,5]]");
        call.row.fate = VMREQ_FATE_KILLED;
        reply("[1,9,'KILLED: m.f: the VM goes away; it never ran (ran: no)',nil]");
        rpc_reply_call(&to, &call);
        assert_said(
                "[2,'vmreq.completed',[77,'KILLED: m.f: the VM goes away; it never ran (ran: no)',nil]]");
}

static void test_notifications(void **state)
{
        static const char bytes[8192];
        size_t mark, len;
        bool full;

        (void)state;
        proto_put_nil(rpc_notify_begin(&peer, "m.n", &mark));
        assert_true(rpc_notify_end(&peer, mark, &full));
        assert_false(full);
        assert_said("[2,'m.n',nil]");
        /* Larger than a frame: not sent, and not for lack of room. */
        proto_put_bin(rpc_notify_begin(&peer, "m.n", &mark), bytes, 4096);
        assert_false(rpc_notify_end(&peer, mark, &full));
        assert_false(full);
        assert_int_equal(peer.out.len, 0);
        /* Over the share: whole frames are left, and nothing else. */
        do {
                len = peer.out.len;
                proto_put_bin(rpc_notify_begin(&peer, "m.n", &mark), bytes, 4000);
        } while (rpc_notify_end(&peer, mark, &full));
        assert_true(full);
        assert_int_equal(peer.out.len, len);
        assert_true(len > 60000);
        assert_int_equal(peer.state, RPC_PEER_OPEN);
}

/* ---- what does not fit ---- */

static void put_bytes(size_t len)
{
        static const char bytes[8192];

        rpc_writer_deinit(&call.one_writer);
        rpc_writer_init(&call.one_writer, VMREQ_T_ANY, 4096);
        call.one_writer.base.ops->put_bytes(&call.one_writer.base, bytes, len);
}

static void test_frame_cap(void **state)
{
        (void)state;
        /* Response head 4 bytes, bin head 3. */
        put_bytes(4096 - 7);
        reply_call();
        assert_int_equal(peer.out.len, 4096);
        proto_builder_reset(&peer.out);
        put_bytes(4096 - 6);
        reply("[1,9,'TOO_LARGE: the result is larger than a frame may be (4096 bytes), or nested deeper than 28 "
              "levels (ran: yes)',nil]");
}

static void test_depth(void **state)
{
        struct vmreq_writer *writer = &call.one_writer.base;

        (void)state;
        for (int i = 0; i < 27; i++)
                writer->ops->put_array(writer, 1);
        writer->ops->put_nil(writer);
        reply_call(); /* with the frame's own array: 28 */
        assert_int_equal(peer.out.len, 4 + 28);
        proto_builder_reset(&peer.out);
        proto_builder_reset(&call.one_writer.value);
        for (int i = 0; i < 28; i++)
                writer->ops->put_array(writer, 1);
        writer->ops->put_nil(writer);
        reply_call();
        assert_non_null(memmem(peer.out.data, peer.out.len, "TOO_LARGE", 9));
        proto_builder_reset(&peer.out);
        /* The same inside rows and timing, which are levels themselves. */
        proto_builder_reset(&call.one_writer.value);
        for (int i = 0; i < 27; i++)
                writer->ops->put_array(writer, 1);
        writer->ops->put_nil(writer);
        call.options.timing = true;
        reply_call();
        assert_non_null(memmem(peer.out.data, peer.out.len, "TOO_LARGE", 9));
}

static void test_who_does_not_read(void **state)
{
        size_t before = 0;
        unsigned n = 0;

        (void)state;
        put_bytes(4000);
        while (peer.out.len > before + 3000 || n == 0) {
                before = peer.out.len;
                reply_call();
                assert_true(++n < 100);
        }
        assert_true(before >= 65536);
        assert_true(peer.out.len <= 65536 + 4096 + 400);
        assert_non_null(memmem(peer.out.data + before, peer.out.len - before,
                               "BUSY: the result was dropped: too many bytes of this connection",
                               60));
        assert_int_equal(peer.state, RPC_PEER_OPEN);
        /* Where not even a notice fits, the connection ends rather than owe an answer. */
        while (peer.state == RPC_PEER_OPEN) {
                rpc_reply_error(&peer, 9, PROTO_NOT_FOUND, PROTO_RAN_NO, "%0100d", 0);
                assert_true(++n < 1000);
        }
        assert_int_equal(peer.state, RPC_PEER_ENDING);
        assert_true(peer.out.len <= peer.out.bytes_max);
        assert_int_equal(peer.out.error, PROTO_BUILDER_OK); /* cut back to whole frames */
}

static void test_over_the_share_of_the_uid(void **state)
{
        (void)state;
        rpc_account_force(peer.account.parent, RPC_BYTES, server.config.limits.bytes_per_uid);
        /* A reserve is left for small answers … */
        put_bytes(1000);
        reply_call();
        assert_int_equal(peer.out.len, 1007);
        /* … and not for more. */
        while (peer.out.len + 4007 <= 65536) {
                put_bytes(4000);
                reply_call();
        }
        reply_call();
        assert_non_null(memmem(peer.out.data, peer.out.len,
                               "BUSY: the result was dropped: too many bytes of this uid", 50));
        rpc_account_release(peer.account.parent, RPC_BYTES, server.config.limits.bytes_per_uid);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_nothing_for_who_is_closing),
                TEST(test_head),
                TEST(test_notifications),
                TEST(test_frame_cap),
                TEST(test_depth),
                TEST(test_who_does_not_read),
                TEST(test_over_the_share_of_the_uid),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
