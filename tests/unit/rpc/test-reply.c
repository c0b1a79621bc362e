/* SPDX-License-Identifier: MIT */
/*
 * What became of a call, as one frame: results, rows, every error in every style, and what does not
 * fit.  A peer and calls are put together by hand; no loop runs.
 */
#include "unit/rpc/wire.h"

#include <unistd.h>

#include "base/macros.h"
#include "rpc/call.h"
#include "rpc/peer.h"
#include "rpc/reply.h"

static struct rpc_server server;
static struct rpc_peer peer;
static struct rpc_call call;
static struct vmreq_symbol def;
static struct sym_symbol symbol;
static struct vmreq_row rows[3];
static struct rpc_writer writers[3];

static int32_t function(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        (void)ctx, (void)args, (void)argc, (void)reply;
        return 0;
}

static int start(void **state)
{
        static const struct rpc_limits limits = RPC_LIMITS_INIT;
        const struct rpc_account *over;

        (void)state;
        log_init(-1, LOG_L_ERROR, 0);
        memset(&server, 0, sizeof(server));
        server.config.limits = limits;
        server.config.limits.frame_bytes = 4096;
        server.config.limits.bytes_per_connection = 65536;
        TAILQ_INIT(&server.dirty);
        rpc_quota_init(&server.quota, &server.config.limits);
        memset(&peer, 0, sizeof(peer));
        peer.server = &server;
        assert_true(rpc_quota_open(&server.quota, 1000, &peer.account, &over));
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
        rpc_writer_init(&call.one_writer, 4096);
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

static void reply(const char *shown)
{
        rpc_reply_call(&peer, 9, &call);
        assert_said(shown);
        assert_true(peer.is_dirty);
}

/* ---- errors ---- */

static void test_every_code_in_every_style(void **state)
{
        static const char *const rans[] = {"no", "yes", "maybe"};

        (void)state;
        for (int code = 1; code < _PROTO_CODE_N; code++) {
                for (int ran = 0; ran < _PROTO_RAN_N; ran++) {
                        const char *name = proto_code_to_string(code);
                        char shown[512];

                        peer.style = RPC_STYLE_TEXT;
                        rpc_reply_error(&peer, 9, code, ran, "text %d", 5);
                        (void)snprintf(shown, sizeof(shown), "[1,9,'%s: text 5 (ran: %s)',nil]",
                                       name, rans[ran]);
                        assert_said(shown);
                        peer.style = RPC_STYLE_PAIR;
                        rpc_reply_error(&peer, 9, code, ran, "text %d", 5);
                        (void)snprintf(
                                shown, sizeof(shown), "[1,9,[%d,'%s: text 5 (ran: %s)'],nil]",
                                code == PROTO_INVALID_ARGUMENT || code == PROTO_INVALID_REQUEST,
                                name, rans[ran]);
                        assert_said(shown);
                        peer.style = RPC_STYLE_MAP;
                        rpc_reply_error(&peer, 9, code, ran, "text %d", 5);
                        (void)snprintf(
                                shown, sizeof(shown),
                                "[1,9,{'name':'%s','code':%d,'message':'text 5','ran':'%s','data':{}},nil]",
                                name, code, rans[ran]);
                        assert_said(shown);
                }
        }
}

static void test_data(void **state)
{
        struct rpc_error error;

        (void)state;
        peer.style = RPC_STYLE_MAP;
        rpc_error_set(&error, PROTO_BUSY, PROTO_RAN_NO, "full");
        rpc_error_add_word(&error, "limit", "calls");
        rpc_error_add_number(&error, "usage", -5);
        rpc_reply_error_full(&peer, 9, &error);
        assert_said(
                "[1,9,{'name':'BUSY','code':4,'message':'full','ran':'no','data':{'limit':'calls','usage':-5}},"
                "nil]");
        /* More than there is room for is left out, not written elsewhere. */
        for (int i = 0; i < 2 * RPC_ERROR_DATA_MAX; i++)
                rpc_error_add_number(&error, "n", i);
        assert_int_equal(error.n_data, RPC_ERROR_DATA_MAX);
}

static void test_long_texts_are_cut(void **state)
{
        static char text[8192];
        struct proto_frame frame;

        (void)state;
        memset(text, 'x', sizeof(text) - 1);
        for (int style = 0; style < 3; style++) {
                peer.style = style;
                rpc_reply_error(&peer, 9, PROTO_INTERNAL, PROTO_RAN_NO, "%s", text);
                proto_frame_init(&frame, 65536);
                assert_int_equal(proto_frame_scan(&frame, peer.out.data, peer.out.len),
                                 PROTO_FRAME_DONE);
                assert_int_equal(frame.pos, peer.out.len);
                if (style != RPC_STYLE_MAP) /* the ending is what tells whether to retry */
                        assert_non_null(memmem(peer.out.data, peer.out.len, " (ran: no)", 10));
                proto_builder_reset(&peer.out);
        }
}

static void test_nothing_for_who_is_closing(void **state)
{
        (void)state;
        peer.state = RPC_PEER_CLOSING;
        rpc_reply_error(&peer, 9, PROTO_INTERNAL, PROTO_RAN_NO, "x");
        rpc_reply_call(&peer, 9, &call);
        assert_int_equal(peer.out.len, 0);
        assert_false(peer.is_dirty);
}

/* ---- results ---- */

static void test_results(void **state)
{
        struct vmreq_writer *writer = &call.one_writer.base;

        (void)state;
        writer->ops->put_map(writer, 1);
        writer->ops->put_str(writer, "k", 1);
        writer->ops->put_uint(writer, 5);
        reply("[1,9,nil,{'k':5}]");
        call.options.timing = true;
        reply("[1,9,nil,{'cpu':1,'queued_us':5000,'run_us':7,'value':{'k':5}}]");
        call.options.timing = false;
        proto_builder_reset(&call.one_writer.value);
        def.result = VMREQ_T_NIL;
        reply("[1,9,nil,nil]");
        def.result = VMREQ_T_STATUS;
        call.row.status = 3; /* not a failure, and not a value */
        reply("[1,9,nil,nil]");
}

static void test_words(void **state)
{
        (void)state;
        call.n_writers = 0;
        def.result = VMREQ_T_I64;
        call.row.value = (uint64_t)-48;
        reply("[1,9,nil,-48]"); /* a value, however negative */
        def.result = VMREQ_T_STATUS;
        call.row.status = -48;
        reply("[1,9,'FAILED: m.f: status -48 (ran: yes)',nil]");
        call.n_writers = 1;
}

static void test_faults_of_the_module(void **state)
{
        struct vmreq_writer *writer = &call.one_writer.base;

        (void)state;
        reply("[1,9,'INTERNAL: m.f: the function did not write exactly one result; request 77 (ran: yes)',nil]");
        writer->ops->put_nil(writer);
        writer->ops->put_nil(writer);
        reply("[1,9,'INTERNAL: m.f: the function did not write exactly one result; request 77 (ran: yes)',nil]");
        proto_builder_reset(&call.one_writer.value);
        call.one_writer.value.error = PROTO_BUILDER_E_BUDGET;
        reply("[1,9,'TOO_LARGE: m.f: its result is larger than a frame may be (ran: yes)',nil]");
        call.one_writer.value.error = PROTO_BUILDER_E_MEMORY;
        reply("[1,9,'INTERNAL: m.f: out of memory for its result (ran: yes)',nil]");
}

static void test_fates(void **state)
{
        (void)state;
        call.row.fate = VMREQ_FATE_CANCELLED;
        reply("[1,9,'CANCELLED: m.f: cancelled by the daemon before it ran (ran: no)',nil]");
        (void)snprintf(call.cancelled_by, sizeof(call.cancelled_by), "its caller");
        reply("[1,9,'CANCELLED: m.f: cancelled by its caller before it ran (ran: no)',nil]");
        call.row.fate = VMREQ_FATE_EXPIRED;
        reply("[1,9,'TIMEOUT: m.f: its time limit of 250 ms passed while it was queued; it never runs (ran: no)',"
              "nil]");
        call.row.fate = VMREQ_FATE_KILLED;
        reply("[1,9,'KILLED: m.f: the VM goes away; it never ran (ran: no)',nil]");
        peer.style = RPC_STYLE_MAP;
        call.row.fate = VMREQ_FATE_EXPIRED;
        reply("[1,9,{'name':'TIMEOUT','code':5,'message':'m.f: its time limit of 250 ms passed while it was queued; "
              "it never runs','ran':'no','data':{'scope':'request','state':'queued'}},nil]");
}

static void test_statuses(void **state)
{
        static const struct {
                int32_t status;
                const char *shown;
        } of_the_engine[] = {
                {VMREQ_E_STATE, "[1,9,'VM_STATE: m.f: why (ran: yes)',nil]"},
                {VMREQ_E_DEADLOCK, "[1,9,'DEADLOCK: m.f: why (ran: yes)',nil]"},
                {VMREQ_E_TIMEOUT, "[1,9,'TIMEOUT: m.f: why (ran: yes)',nil]"},
                {VMREQ_E_INVALID, "[1,9,'INVALID_ARGUMENT: m.f: why (ran: yes)',nil]"},
        };
        struct vmreq_writer *writer = &call.one_writer.base;

        (void)state;
        def.result = VMREQ_T_STATUS;
        call.row.status = -5;
        reply("[1,9,'FAILED: m.f: status -5 (ran: yes)',nil]");
        writer->ops->put_failure(writer, "E_NAME", NULL);
        reply("[1,9,'FAILED: m.f: status -5 (E_NAME) (ran: yes)',nil]");
        writer->ops->put_failure(writer, "E_NAME", "why");
        reply("[1,9,'FAILED: m.f: status -5 (E_NAME): why (ran: yes)',nil]");
        peer.style = RPC_STYLE_MAP;
        reply("[1,9,{'name':'FAILED','code':10,'message':'m.f: status -5 (E_NAME): why','ran':'yes',"
              "'data':{'status':-5,'status_name':'E_NAME'}},nil]");
        peer.style = RPC_STYLE_TEXT;
        writer->ops->put_failure(writer, NULL, "why");
        for (size_t i = 0; i < ARRAY_SIZE(of_the_engine); i++) {
                call.row.status = of_the_engine[i].status;
                reply(of_the_engine[i].shown);
        }
        call.row.status = INT32_MIN;
        reply("[1,9,'FAILED: m.f: status -2147483648: why (ran: yes)',nil]");
}

/* ---- rows ---- */

static void make_rows(uint32_t n)
{
        call.rows = rows;
        call.n_rows = n;
        call.n_writers = n;
        call.writers = writers;
        for (uint32_t i = 0; i < n; i++) {
                rows[i] = (struct vmreq_row){
                        .cpu = i, .fate = VMREQ_FATE_DONE, .queued_ns = 1000 * i, .run_ns = 2000};
                rpc_writer_init(&writers[i], 4096);
                writers[i].base.ops->put_uint(&writers[i].base, 10 + i);
        }
}

static void drop_rows(void)
{
        for (uint32_t i = 0; i < call.n_rows; i++)
                rpc_writer_deinit(&writers[i]);
        call.n_rows = 0;
        call.n_writers = 1;
        call.writers = &call.one_writer;
}

static void test_rows(void **state)
{
        (void)state;
        make_rows(3);
        call.options.cpu = VMREQ_CPU_ALL;
        reply("[1,9,nil,[{'cpu':0,'fate':'DONE','status':0,'value':10,'queued_us':0,'run_us':2},"
              "{'cpu':1,'fate':'DONE','status':0,'value':11,'queued_us':1,'run_us':2},"
              "{'cpu':2,'fate':'DONE','status':0,'value':12,'queued_us':2,'run_us':2}]]");
        call.options.cpu = VMREQ_CPU_ALL_REVERSE;
        rows[0].fate = VMREQ_FATE_RUNNING;
        rows[1].status = -7;
        writers[1].base.ops->put_failure(&writers[1].base, "E", "why");
        rows[2].fate = VMREQ_FATE_SKIPPED;
        reply("[1,9,nil,[{'cpu':2,'fate':'SKIPPED','status':0,'value':nil,'queued_us':2,'run_us':2},"
              "{'cpu':1,'fate':'DONE','status':-7,'value':nil,'queued_us':1,'run_us':2,'error':'why'},"
              "{'cpu':0,'fate':'RUNNING','status':0,'value':nil,'queued_us':0,'run_us':2}]]");
        drop_rows();
}

/* A row whose module wrote nonsense is a row without a value; the frame stays whole. */
static void test_rows_with_nonsense(void **state)
{
        (void)state;
        make_rows(2);
        call.options.cpu = VMREQ_CPU_ALL;
        writers[0].base.ops->put_array(&writers[0].base, 5);
        reply("[1,9,nil,[{'cpu':0,'fate':'DONE','status':0,'value':nil,'queued_us':0,'run_us':2},"
              "{'cpu':1,'fate':'DONE','status':0,'value':11,'queued_us':1,'run_us':2}]]");
        drop_rows();
}

static void test_one_cpu(void **state)
{
        (void)state;
        call.rows = rows;
        call.n_rows = 1;
        rows[0] = (struct vmreq_row){.cpu = 0, .fate = VMREQ_FATE_DONE};
        call.one_writer.base.ops->put_nil(&call.one_writer.base);
        reply("[1,9,nil,[{'cpu':0,'fate':'DONE','status':0,'value':nil,'queued_us':0,'run_us':0}]]");
        call.n_rows = 0;
}

/* ---- what does not fit ---- */

static void put_bytes(size_t len)
{
        static const char bytes[8192];

        rpc_writer_deinit(&call.one_writer);
        rpc_writer_init(&call.one_writer, 4096);
        call.one_writer.base.ops->put_bytes(&call.one_writer.base, bytes, len);
}

static void test_frame_cap(void **state)
{
        (void)state;
        /* Response head 4 bytes, bin head 3. */
        put_bytes(4096 - 7);
        rpc_reply_call(&peer, 9, &call);
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
        rpc_reply_call(&peer, 9, &call); /* with the frame's own array: 28 */
        assert_int_equal(peer.out.len, 4 + 28);
        proto_builder_reset(&peer.out);
        proto_builder_reset(&call.one_writer.value);
        for (int i = 0; i < 28; i++)
                writer->ops->put_array(writer, 1);
        writer->ops->put_nil(writer);
        rpc_reply_call(&peer, 9, &call);
        assert_non_null(memmem(peer.out.data, peer.out.len, "TOO_LARGE", 9));
        proto_builder_reset(&peer.out);
        /* The same inside rows and timing, which are levels themselves. */
        proto_builder_reset(&call.one_writer.value);
        for (int i = 0; i < 27; i++)
                writer->ops->put_array(writer, 1);
        writer->ops->put_nil(writer);
        call.options.timing = true;
        rpc_reply_call(&peer, 9, &call);
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
                rpc_reply_call(&peer, 9, &call);
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
        rpc_reply_call(&peer, 9, &call);
        assert_int_equal(peer.out.len, 1007);
        /* … and not for more. */
        while (peer.out.len + 4007 <= 65536) {
                put_bytes(4000);
                rpc_reply_call(&peer, 9, &call);
        }
        rpc_reply_call(&peer, 9, &call);
        assert_non_null(memmem(peer.out.data, peer.out.len,
                               "BUSY: the result was dropped: too many bytes of this uid", 50));
        rpc_account_release(peer.account.parent, RPC_BYTES, server.config.limits.bytes_per_uid);
}

static void test_dropped_results_are_said_to_be(void **state)
{
        (void)state;
        call.dropped = true;
        reply("[1,9,'BUSY: m.f: the result was dropped: it was over this connection's share of bytes when it came "
              "(ran: yes)',nil]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_every_code_in_every_style),
                TEST(test_data),
                TEST(test_long_texts_are_cut),
                TEST(test_nothing_for_who_is_closing),
                TEST(test_results),
                TEST(test_words),
                TEST(test_faults_of_the_module),
                TEST(test_fates),
                TEST(test_statuses),
                TEST(test_rows),
                TEST(test_rows_with_nonsense),
                TEST(test_one_cpu),
                TEST(test_frame_cap),
                TEST(test_depth),
                TEST(test_who_does_not_read),
                TEST(test_over_the_share_of_the_uid),
                TEST(test_dropped_results_are_said_to_be),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
