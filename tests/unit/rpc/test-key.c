/* SPDX-License-Identifier: MIT */
/* Idempotency keys: what is a repeat of what, whose a key is, and when it runs anew. */
#include "unit/rpc/one.h"

#include "rpc/call.h"
#include "rpc/key.h"
#include "rpc/peer.h"

/* ---- the table ---- */

static struct vmreq_symbol def_a = {.name = "m.a"}, def_b = {.name = "m.ab"};
static struct sym_symbol symbol_a = {.def = &def_a, .name_len = 3},
                         symbol_b = {.def = &def_b, .name_len = 4};

static struct rpc_call call_with(const struct sym_symbol *symbol, const char *key)
{
        struct rpc_call call = {.symbol = symbol};

        call.options.key = key;
        call.options.key_len = (uint32_t)strlen(key);
        call.args.words = true;
        call.args.n = 1;
        return call;
}

static void test_table(void **state)
{
        struct rpc_call one = call_with(&symbol_a, "k"), two = one, *first = NULL;
        struct rpc_keys keys;
        uint64_t taken_ns;

        (void)state;
        rpc_keys_init(&keys);
        assert_null(rpc_key_oldest(&keys, &taken_ns));
        assert_int_equal(taken_ns, UINT64_MAX);
        assert_int_equal(rpc_key_look(&keys, 1000, &one, &first), RPC_KEY_NEW);
        assert_true(rpc_key_take(&keys, 1000, &one));
        assert_int_equal(rpc_key_look(&keys, 1000, &two, &first), RPC_KEY_REPEAT);
        assert_ptr_equal(first, &one);
        /* Another uid's, another key. */
        assert_int_equal(rpc_key_look(&keys, 1001, &two, &first), RPC_KEY_NEW);
        two = call_with(&symbol_a, "kk");
        assert_int_equal(rpc_key_look(&keys, 1000, &two, &first), RPC_KEY_NEW);
        assert_true(rpc_key_take(&keys, 1000, &two));
        assert_ptr_equal(rpc_key_oldest(&keys, &taken_ns), &one);
        rpc_key_drop(&keys, &one);
        rpc_key_drop(&keys, &one);
        assert_ptr_equal(rpc_key_oldest(&keys, &taken_ns), &two);
        assert_int_equal(rpc_key_look(&keys, 1000, &one, &first), RPC_KEY_NEW);
        rpc_key_drop(&keys, &two);
        assert_null(keys.table);
}

static void test_what_is_other(void **state)
{
        struct rpc_call one = call_with(&symbol_a, "k"), two, *first;
        struct rpc_keys keys;

        (void)state;
        rpc_keys_init(&keys);
        assert_true(rpc_key_take(&keys, 0, &one));
        two = call_with(&symbol_b, "k");
        assert_int_equal(rpc_key_look(&keys, 0, &two, &first), RPC_KEY_OTHER);
        two = call_with(&symbol_a, "k");
        two.args.word[0] = 1;
        assert_int_equal(rpc_key_look(&keys, 0, &two, &first), RPC_KEY_OTHER);
        /* What lies behind the arguments is none. */
        two.args.word[0] = 0;
        two.args.word[1] = 1;
        assert_int_equal(rpc_key_look(&keys, 0, &two, &first), RPC_KEY_REPEAT);
        rpc_key_drop(&keys, &one);
}

/* Values: by what they hold, not by where it stands; and borders between them count. */
static void test_values(void **state)
{
        struct rpc_call one = call_with(&symbol_a, "k"), two, *first;
        char ab[] = "ab", other_ab[] = "ab";
        struct rpc_keys keys;

        (void)state;
        rpc_keys_init(&keys);
        one.args.words = false;
        one.args.n = 2;
        one.args.value[0] = (struct vmreq_value){.type = VMREQ_T_STR, .len = 1, .data = ab};
        one.args.value[1] = (struct vmreq_value){.type = VMREQ_T_STR, .len = 1, .data = ab + 1};
        assert_true(rpc_key_take(&keys, 0, &one));
        two = one;
        two.args.value[0].data = other_ab;
        two.args.value[1].data = other_ab + 1;
        assert_int_equal(rpc_key_look(&keys, 0, &two, &first), RPC_KEY_REPEAT);
        two.args.value[0].len = 2;
        two.args.value[1].len = 0;
        assert_int_equal(rpc_key_look(&keys, 0, &two, &first), RPC_KEY_OTHER);
        two = one;
        two.args.value[0] = (struct vmreq_value){.type = VMREQ_T_U64, .u = 1};
        assert_int_equal(rpc_key_look(&keys, 0, &two, &first), RPC_KEY_OTHER);
        two = one;
        two.args.value[0].type = VMREQ_T_BYTES;
        assert_int_equal(rpc_key_look(&keys, 0, &two, &first), RPC_KEY_OTHER);
        rpc_key_drop(&keys, &one);
}

/* ---- through a connection ---- */

static void test_repeated_call(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.mark', [7], {'key': 'k'}]]");
        client_expect(&c, "[1,1,nil,nil]");
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [7], {'key': 'k'}]]");
        client_expect(&c, "[1,2,nil,nil]");
        client_send(&c, "[0, 3, 'vmreq.call', ['t.mark', [{'n': 7}], {'key': 'k', 'cpu': 1}]]");
        client_expect(&c, "[1,3,nil,nil]");
        assert_int_equal(atomic_load(&n_marks), 1);
        client_send(&c, "[0, 4, 'vmreq.call', ['t.mark', [8], {'key': 'k'}]]");
        client_expect_error(&c, 4, "INVALID_REQUEST", "no", "other arguments");
        client_send(&c, "[0, 5, 'vmreq.call', ['t.x64', [7], {'key': 'k'}]]");
        client_expect_error(&c, 5, "INVALID_REQUEST", "no", "another symbol");
        client_send(&c, "[0, 6, 'vmreq.call', ['t.mark', [8], {'key': 'l'}]]");
        client_expect(&c, "[1,6,nil,nil]");
        assert_int_equal(atomic_load(&n_marks), 2);
        /* A failure is an outcome like any other. */
        for (int i = 0; i < 2; i++) {
                client_send(&c, "[0, 7, 'vmreq.call', ['t.fail', [-3, 'E', 'why'], {'key': 'm'}]]");
                client_expect_error(&c, 7, "FAILED", "yes", "t.fail: status -3 (E): why");
        }
        /* A fault is told with the number that it has in the log. */
        for (int i = 0; i < 2; i++) {
                client_send(&c, "[0, 8, 'vmreq.call', ['t.nothing', [], {'key': 'n'}]]");
                client_expect_error(&c, 8, "INTERNAL", "yes", "fault 1 of the log");
        }
        client_send(&c, "[0, 9, 'vmreq.call', ['t.cpu', [], {'key': 'o', 'cpu': 'all'}]]");
        assert_int_equal(client_receive(&c)->items[3].count, 2);
        client_send(&c, "[0, 10, 'vmreq.call', ['t.cpu', [], {'key': 'o', 'cpu': 'all'}]]");
        assert_int_equal(client_receive(&c)->items[3].count, 2);
}

static void test_from_another_connection(void **state)
{
        struct client other;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0, 'key': 'k'}]]");
        gate_wait();
        client_connect(&other, &h);
        client_send(&other, "[0, 1, 'vmreq.call', ['t.gate', [], {'key': 'k'}]]");
        client_sync(&other);
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_expect(&other, "[1,1,nil,0]");
        client_send(&other, "[0, 2, 'vmreq.call', ['t.gate', [], {'key': 'k'}]]");
        client_expect(&other, "[1,2,nil,0]");
        client_close(&other);
        assert_int_equal(harness_figures(&h).n_calls, 0);
}

/* Who waits for a repeat keeps it alive when its own connection ends; and nobody else does. */
static void test_waiters_keep_it_alive(void **state)
{
        struct client other;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.block', [], {'key': 'k'}]]");
        while (atomic_load(&n_blocked) == 0)
                client_sync(&c);
        client_connect(&other, &h);
        client_send(&other, "[0, 1, 'vmreq.call', ['t.block', [], {'key': 'k'}]]");
        client_sync(&other);
        client_close(&c);
        harness_until_peers(&h, 1);
        assert_int_equal(harness_figures(&h).n_calls, 1);
        client_close(&other);
        harness_until_calls(&h, 0); /* asked to end */
        /* It was cancelled, and ran: that is what becomes of a repeat. */
        client_connect(&c, &h);
        client_send(&c, "[0, 1, 'vmreq.call', ['t.block', [], {'key': 'k'}]]");
        client_expect_error(&c, 1, "CANCELLED", "yes", "the end of its connection");
        assert_int_equal(atomic_load(&n_blocked), 1);
}

/* A repeat waits no longer than its own time limit. */
static void test_repeat_with_a_time_limit(void **state)
{
        (void)state;
        client_send(
                &c,
                "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0, 'key': 'k', 'timeout_ms': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'key': 'k', 'timeout_ms': 5}]]");
        client_expect_error(&c, 2, "TIMEOUT", "maybe", "within the wait");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
}

/* The first was answered TIMEOUT and runs on: its outcome is there for a repeat. */
static void test_overdue(void **state)
{
        char shown[512];

        (void)state;
        do {
                client_send(
                        &c,
                        "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0, 'key': 'k', 'timeout_ms': 10}]]");
                wire_show(client_receive(&c), shown, sizeof(shown));
                assert_has(shown, "TIMEOUT");
        } while (strstr(shown, "(ran: no)"));
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'key': 'k'}]]");
        client_expect_error(&c, 2, "TIMEOUT", "yes", "while it runs");
        gate_open();
        harness_until_calls(&h, 0);
        client_send(&c, "[0, 3, 'vmreq.call', ['t.gate', [], {'key': 'k'}]]");
        client_expect(&c, "[1,3,nil,0]");
}

static void test_runs_anew_if_it_never_ran(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [1], {'cpu': 0, 'key': 'k'}]]");
        client_send(&c, "[0, 3, 'vmreq.cancel', [{'msgid': 2}]]");
        client_expect(&c, "[1,3,nil,'removed']");
        client_expect_error(&c, 2, "CANCELLED", "no", "t.mark");
        client_send(
                &c,
                "[0, 4, 'vmreq.call', ['t.mark', [1], {'cpu': 0, 'key': 'k', 'timeout_ms': 5}]]");
        client_expect_error(&c, 4, "TIMEOUT", "no", "t.mark");
        /* Refused: it was never accepted, and the key never taken. */
        client_send(&c, "[0, 5, 'vmreq.call', ['t.mark', ['x'], {'key': 'k'}]]");
        client_expect_error(&c, 5, "INVALID_ARGUMENT", "no", "t.mark");
        client_send(&c, "[0, 6, 'vmreq.call', ['t.mark', [2], {'cpu': 1, 'key': 'k'}]]");
        client_expect(&c, "[1,6,nil,nil]");
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        assert_int_equal(atomic_load(&n_marks), 1);
        assert_int_equal(atomic_load(&marks[0]), 2);
}

/* A broadcast of which nothing ran. */
static void test_broadcast_that_never_ran(void **state)
{
        (void)state;
        for (int64_t cpu = 0; cpu < 2; cpu++) {
                client_send(&c, "[0, %d, 'vmreq.call', ['t.gate', [], {'cpu': %d}]]", cpu, cpu);
                gate_wait();
        }
        client_send(
                &c,
                "[0, 2, 'vmreq.call', ['t.mark', [1], {'cpu': 'all', 'key': 'k', 'timeout_ms': 5}]]");
        assert_int_equal(client_receive(&c)->items[3].count, 2);
        client_send(&c, "[0, 3, 'vmreq.submit', ['t.mark', [1], {'cpu': 'all', 'key': 'k'}]]");
        client_send(&c, "[0, 4, 'vmreq.wait', [%u]]", client_receive_uint(&c, 3));
        gate_open();
        gate_open();
        for (int i = 0; i < 3; i++)
                assert_int_equal(client_receive(&c)->items[2].type, PROTO_NIL);
        assert_int_equal(atomic_load(&n_marks), 2);
}

static void test_submit(void **state)
{
        struct client other;
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.submit', ['t.mark', [7], {'key': 'k'}]]");
        id = client_receive_uint(&c, 1);
        client_send(&c, "[0, 2, 'vmreq.submit', ['t.mark', [7], {'key': 'k'}]]");
        assert_int_equal(client_receive_uint(&c, 2), id);
        client_send(&c, "[0, 3, 'vmreq.wait', [%u]]", id);
        client_expect(&c, "[1,3,nil,nil]");
        /* Either form repeats the other. */
        client_send(&c, "[0, 4, 'vmreq.call', ['t.mark', [7], {'key': 'k'}]]");
        client_expect(&c, "[1,4,nil,nil]");
        /* Released, and wanted again. */
        client_send(&c, "[0, 5, 'vmreq.release', [%u]]", id);
        client_expect(&c, "[1,5,nil,nil]");
        client_send(&c, "[0, 6, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 6, "NOT_FOUND", "maybe", "no request");
        client_connect(&other, &h);
        client_send(&other, "[0, 1, 'vmreq.submit', ['t.mark', [7], {'key': 'k'}]]");
        assert_int_equal(client_receive_uint(&other, 1), id);
        client_send(&other, "[0, 2, 'vmreq.wait', [%u]]", id);
        client_expect(&other, "[1,2,nil,nil]");
        client_close(&other);
        /* The first by vmreq.call, its id by a submit. */
        client_send(&c, "[0, 7, 'vmreq.call', ['t.add', [1, 2], {'key': 'l'}]]");
        client_expect(&c, "[1,7,nil,3]");
        client_send(&c, "[0, 8, 'vmreq.submit', ['t.add', [1, 2], {'key': 'l'}]]");
        client_send(&c, "[0, 9, 'vmreq.wait', [%u]]", client_receive_uint(&c, 8));
        client_expect(&c, "[1,9,nil,3]");
        /* Nobody collects it, and whoever repeats it may. */
        client_send(&c,
                    "[0, 10, 'vmreq.submit', ['t.add', [1, 3], {'key': 'm', 'no_wait': true}]]");
        id = client_receive_uint(&c, 10);
        client_send(&c, "[0, 11, 'vmreq.call', ['t.add', [1, 3], {'key': 'm'}]]");
        client_expect(&c, "[1,11,nil,4]");
        assert_int_equal(atomic_load(&n_marks), 1);
}

static void test_their_time(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.kept_ms = 30;
        (void)start_with(&options);
        client_send(&c, "[0, 1, 'vmreq.call', ['t.mark', [7], {'key': 'k'}]]");
        client_expect(&c, "[1,1,nil,nil]");
        harness_until_idle(&h, 1); /* it is forgotten */
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [8], {'key': 'k'}]]");
        client_expect(&c, "[1,2,nil,nil]");
        assert_int_equal(atomic_load(&n_marks), 2);
        /* Counted from acceptance: also while it runs. */
        client_send(&c, "[0, 3, 'vmreq.call', ['t.gate', [], {'cpu': 0, 'key': 'l'}]]");
        gate_wait();
        do {
                client_send(
                        &c,
                        "[0, 4, 'vmreq.call', ['t.gate', [], {'cpu': 1, 'key': 'l', 'timeout_ms': 5}]]");
        } while (memmem(client_receive(&c)->items[2].data, 60, "the wait", 8));
        gate_open();
        gate_open();
}

static void test_their_number(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.kept_per_uid = 3;
        (void)start_with(&options);
        for (uint64_t i = 0; i < 3; i++) {
                client_send(&c, "[0, 1, 'vmreq.call', ['t.mark', [%u], {'key': %S}]]", i, &"abc"[i],
                            (size_t)1);
                client_expect(&c, "[1,1,nil,nil]");
        }
        client_send(&c, "[0, 2, 'vmreq.call', ['t.mark', [3], {'key': 'd'}]]");
        client_expect_error(&c, 2, "BUSY", "no",
                            "too many detached calls and keys of this uid: 3 of 3");
        client_send(&c, "[0, 3, 'vmreq.submit', ['t.mark', [3], {'detach': true}]]");
        client_expect_error(&c, 3, "BUSY", "no",
                            "too many detached calls and keys of this uid: 3 of 3");
        /* Repeats, and calls without, cost none. */
        client_send(&c, "[0, 4, 'vmreq.call', ['t.mark', [0], {'key': 'a'}]]");
        client_expect(&c, "[1,4,nil,nil]");
        client_send(&c, "[0, 5, 't.mark', [9]]");
        client_expect(&c, "[1,5,nil,nil]");
        assert_int_equal(atomic_load(&n_marks), 4);
}

int main(void)
{
#define TEST(name)      cmocka_unit_test_setup_teardown(name, start, end_kept)
#define TEST_BARE(name) cmocka_unit_test_setup_teardown(name, NULL, end_kept)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_what_is_other),
                cmocka_unit_test(test_values),
                TEST(test_repeated_call),
                TEST(test_from_another_connection),
                TEST(test_waiters_keep_it_alive),
                TEST(test_repeat_with_a_time_limit),
                TEST(test_overdue),
                TEST(test_runs_anew_if_it_never_ran),
                TEST(test_broadcast_that_never_ran),
                TEST(test_submit),
                TEST_BARE(test_their_time),
                TEST_BARE(test_their_number),
        };

        return HARNESS_RUN("key", tests);
}
