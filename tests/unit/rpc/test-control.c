/* SPDX-License-Identifier: MIT */
/* The broker's own methods, but for describe and status: what they take, and who may use them. */
#include "unit/rpc/one.h"

#include "base/check.h"
#include "rpc/peer.h"
#include "rpc/session.h"
#include "unit/rpc/look.h"

static void test_ping(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.ping', []]");
        client_expect(&c, "[1,1,nil,'pong']");
        client_send(&c, "[0, 2, 'vmreq.ping', ['whatever', 5]]");
        client_expect(&c, "[1,2,nil,'pong']");
}

static void test_hello(void **state)
{
        const struct proto_value *hello, *you;
        static const char *const limits[] = {
                "frame_bytes",         "depth",      "connections",
                "connections_per_uid", "calls",      "calls_per_connection",
                "calls_per_uid",       "bytes",      "bytes_per_connection",
                "bytes_per_uid",       "timeout_ms", "frame_stall_ms",
                "kept_per_uid",        "kept_ms",    "drain_ms",
        };

        (void)state;
        client_send(
                &c,
                "[0, 1, 'vmreq.hello', [{'client': 'test', 'version': '1', 'completed': false, 'stream': false,"
                " 'of a newer client': [1]}]]");
        hello = &client_receive(&c)->items[3];
        assert_true(look_is(hello, "server", "vmreqd"));
        assert_true(look_is(hello, "version", "0.test"));
        assert_true(look_is(hello, "vm", "test"));
        assert_int_equal(look(hello, "protocol")->u, 1);
        assert_true(look(hello, "capabilities")->count > 0);
        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
                assert_true(look(look(hello, "limits"), limits[i])->u > 0);
        you = look(hello, "you");
        assert_int_equal(look(you, "uid")->u, geteuid());
        assert_int_equal(look(you, "gid")->u, getegid());
        assert_int_equal(look(you, "pid")->u, getpid());
        assert_int_equal(look(you, "rights")->count, 5);
        harness_become(&h, HARNESS_STRANGER);
        client_send(&c, "[0, 2, 'vmreq.hello', []]");
        you = look(&client_receive(&c)->items[3], "you");
        assert_int_equal(look(you, "rights")->count, 1);
        assert_true(proto_value_is_text(&look(you, "rights")->items[0], "connected"));
}

static void test_hello_refused(void **state)
{
        static const char *const bad[] = {
                "5",
                "'x'",
                "[]",
                "{'errors': 'loud'}",
                "{'errors': nil}",
                "{'errors': 1}",
                "{'timeout_ms': -1}",
                "{'timeout_ms': 'x'}",
                "{'timeout_ms': 1000000000001}",
                "{'errors': 'map', 'timeout_ms': -1}",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                char text[256];

                (void)snprintf(text, sizeof(text), "[0, 1, 'vmreq.hello', [%s]]", bad[i]);
                client_send(&c, text);
                /* In the old style: a hello that is refused changes nothing. */
                client_expect_error(&c, 1, "INVALID_REQUEST", "no", "expected ");
        }
        client_send(&c, "[0, 2, 'vmreq.hello', [nil]]");
        assert_int_equal(client_receive(&c)->items[3].type, PROTO_MAP);
}

static void test_hello_styles(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.hello', [{'errors': 'pair'}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[0, 2, 't.none', []]");
        assert_int_equal(client_receive(&c)->items[2].type, PROTO_ARRAY);
        client_send(&c, "[0, 3, 'vmreq.hello', [{'errors': 'map'}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[0, 4, 't.none', []]");
        client_expect(
                &c,
                "[1,4,{'name':'NOT_FOUND','code':1,'message':'there is no symbol \"t.none\" that you may "
                "call','ran':'no','data':{}},nil]");
        client_send(&c, "[0, 5, 'vmreq.hello', [{'errors': 'text'}]]");
        assert_non_null(client_receive(&c));
        client_send(&c, "[0, 6, 't.none', []]");
        client_expect_error(&c, 6, "NOT_FOUND", "no", "");
}

static void test_malformed_calls(void **state)
{
        static const struct {
                const char *method, *params, *part;
        } rows[] = {
                {"vmreq.call", "[]", "vmreq.call [symbol"},
                {"vmreq.call", "[5]", "vmreq.call [symbol"},
                {"vmreq.call", "['t.add', 5]", "vmreq.call [symbol"},
                {"vmreq.call", "['t.cpu', [], {}, 1]", "vmreq.call [symbol"},
                {"vmreq.call", "['t.cpu', [], 5]", "options: expected a map"},
                {"vmreq.submit", "[nil]", "vmreq.submit [symbol"},
                {"vmreq.submit", "['t.cpu', 'x']", "vmreq.submit [symbol"},
                {"vmreq.wait", "[]", "vmreq.wait [id, ms]"},
                {"vmreq.wait", "['1']", "vmreq.wait [id, ms]"},
                {"vmreq.wait", "[1, -1]", "vmreq.wait [id, ms]"},
                {"vmreq.wait", "[1, 1.0]", "vmreq.wait [id, ms]"},
                {"vmreq.release", "[]", "vmreq.release [id]"},
                {"vmreq.release", "[-1]", "vmreq.release [id]"},
                {"vmreq.cancel", "[]", "vmreq.cancel [id]"},
                {"vmreq.cancel", "['1']", "vmreq.cancel [id]"},
                {"vmreq.cancel", "[{}]", "vmreq.cancel [id]"},
                {"vmreq.cancel", "[{'msgid': -1}]", "vmreq.cancel [id]"},
                {"vmreq.cancel", "[{'msgid': 4294967296}]", "vmreq.cancel [id]"},
                {"vmreq.symbols", "[5]", "vmreq.symbols [{glob"},
                {"vmreq.describe", "[]", "vmreq.describe [symbol]"},
                {"vmreq.describe", "[1]", "vmreq.describe [symbol]"},
                {"vmreq.describe", "['t.add', 1]", "vmreq.describe [symbol]"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char text[256];

                (void)snprintf(text, sizeof(text), "[0, 1, '%s', %s]", rows[i].method,
                               rows[i].params);
                client_send(&c, text);
                client_expect_error(&c, 1, "INVALID_REQUEST", "no", rows[i].part);
        }
        client_send(&c, "[0, 2, 'vmreq.wait', [18446744073709551615]]");
        client_expect_error(&c, 2, "NOT_FOUND", "maybe", "no request");
        client_send(&c, "[0, 3, 'vmreq.cancel', [0]]");
        client_expect(&c, "[1,3,nil,'unknown']");
        /* nil stands for what is left out. */
        client_send(&c, "[0, 4, 'vmreq.call', ['t.open', nil, nil]]");
        client_expect(&c, "[1,4,nil,3]");
}

static void test_rights(void **state)
{
        (void)state;
        harness_become(&h, HARNESS_STRANGER);
        client_send(&c, "[0, 1, 'vmreq.status', []]"); /* like one that does not exist */
        client_expect_error(&c, 1, "NOT_FOUND", "no", "vmreq.status");
        client_send(&c, "[0, 2, 't.open', []]");
        client_expect_error(&c, 2, "NOT_FOUND", "no", "t.open");
        client_send(&c, "[0, 3, 'vmreq.describe', ['t.open']]");
        client_expect_error(&c, 3, "NOT_FOUND", "no", "t.open");
        client_send(&c, "[0, 4, 'vmreq.symbols', []]");
        client_expect(&c, "[1,4,nil,[]]");
        client_sync(&c);
        harness_become(&h, HARNESS_MEMBER);
        client_send(&c, "[0, 5, 't.open', [{'level': 9}]]");
        client_expect(&c, "[1,5,nil,9]");
        client_send(&c, "[0, 6, 't.secret', []]");
        client_expect_error(&c, 6, "NOT_FOUND", "no", "t.secret");
        client_send(&c, "[0, 7, 't.change', []]");
        client_expect_error(&c, 7, "NOT_FOUND", "no", "t.change");
        client_send(&c, "[0, 8, 'vmreq.submit', ['t.add', [1, 2]]]");
        client_expect_error(&c, 8, "NOT_FOUND", "no", "t.add");
        client_send(&c, "[0, 9, 'vmreq.symbols', []]");
        client_expect(&c, "[1,9,nil,['t.open']]");
        client_send(&c, "[0, 10, 'vmreq.status', []]");
        assert_int_equal(client_receive(&c)->items[2].type, PROTO_NIL);
        client_send(&c, "[2, 't.mark', [1]]");
        client_sync(&c);
        assert_int_equal(harness_figures(&h).refused_notifications, 1);
        harness_become(&h, HARNESS_ROOT);
        client_send(&c, "[0, 11, 't.change', []]");
        client_expect(&c, "[1,11,nil,nil]");
}

/* A rule lets everybody call the module's functions, and do nothing else. */
static void allow_job(struct rpc_server *server, void *ctx)
{
        struct rpc_rules *rules = rpc_rules_new();

        (void)ctx;
        CHECK(rules && rpc_rules_begin_file(rules, "a.conf") && !rpc_rules_add(rules, "all", 1) &&
              !rpc_rules_add_symbol(rules, "t.*"));
        rpc_rules_set_action(rules, true);
        rpc_policy_replace(&server->policy, &server->policy.host, rules);
}

/* The id of a call that nobody collects still belongs to who made it. */
static void test_cancel_of_no_wait(void **state)
{
        uint64_t id;

        (void)state;
        harness_on_loop(&h, allow_job, NULL);
        harness_become(&h, HARNESS_STRANGER); /* without the right to others' */
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.submit', ['t.mark', [1], {'cpu': 0, 'no_wait': true}]]");
        id = client_receive(&c)->items[3].u;
        client_send(&c, "[0, 3, 'vmreq.cancel', [%u]]", id);
        client_expect(&c, "[1,3,nil,'removed']");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        harness_until_calls(&h, 0);
        assert_int_equal(atomic_load(&n_marks), 0);
}

static void table_job(struct rpc_server *server, void *ctx)
{
        struct rpc_identity root = {.uid = 0}, stranger = {.uid = 1, .gid = 1};
        struct rpc_rights *all = rpc_rights_get(&server->policy, &root),
                          *few = rpc_rights_get(&server->policy, &stranger);

        *(bool *)ctx = !rpc_control_find("", 0, all) && !rpc_control_find("vmreq", 5, all) &&
                       !rpc_control_find("vmreq.pingx", 11, all) &&
                       !rpc_control_find("t.add", 5, all) &&
                       rpc_control_find("vmreq.ping", 10, few) &&
                       !rpc_control_find("vmreq.status", 12, few) &&
                       rpc_control_find("vmreq.status", 12, all) &&
                       rpc_control_find("nvim_get_api_info", 17, few) &&
                       /* a right of its own, but no method */
                       !rpc_control_find("vmreq.cancel.others", 19, all) &&
                       rpc_control_may(all, "vmreq.cancel.others") &&
                       !rpc_control_may(few, "vmreq.cancel.others") &&
                       !rpc_control_may(all, "vmreq.nothing") &&
                       rpc_control_class("vmreq.cancel.others") == RPC_RIGHT_CONTROL &&
                       rpc_control_class("t.add") == 0;
        rpc_rights_put(all);
        rpc_rights_put(few);
}

static void test_table(void **state)
{
        bool good = false;

        (void)state;
        harness_on_loop(&h, table_job, &good);
        assert_true(good);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_ping),
                TEST(test_hello),
                TEST(test_hello_refused),
                TEST(test_hello_styles),
                TEST(test_malformed_calls),
                TEST(test_rights),
                TEST(test_cancel_of_no_wait),
                TEST(test_table),
        };

        return HARNESS_RUN("control", tests);
}
