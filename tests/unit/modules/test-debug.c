/* SPDX-License-Identifier: MIT */
/* The shipped plugin, loaded from its file, called on EMTs.  argv[1] is the module directory of
 * the build. */
#include "unit/symbols/caller.h"

#include <errno.h>

static const char *folder;
static struct log_record log_lines;
static struct caller caller;

static int setup(void **state)
{
        char why[1024] = "";

        (void)state;
        caller_init(&caller, 2, &log_lines);
        if (sym_registry_load(caller.registry, folder, "debug", false, NULL, 0, why, sizeof(why)) !=
            SYM_LOAD_OK)
                fail_msg("%s", why);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        caller_deinit(&caller);
        assert_false(is_mapped("/debug.so"));
        return 0;
}

static void adds(void **state)
{
        static const struct {
                int64_t a, b, sum;
        } sums[] = {
                {40, 2, 42}, {-50, 2, -48}, {INT64_MAX, 1, INT64_MIN}, {INT64_MIN, -1, INT64_MAX}};
        struct vmreq_value args[VMREQ_ARGS_MAX];
        struct call call;

        (void)state;
        for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
                args[0].i = sums[i].a;
                args[1].i = sums[i].b;
                call_do(&call, &caller, "debug.add", 0, args, 2);
                assert_true((int64_t)call.row.value == sums[i].sum);
                assert_int_equal(call.row.status, 0);
        }
        for (int i = 0; i < 15; i++)
                args[i].i = i % 2 ? -(1 << i) : 1 << i;
        call_do(&call, &caller, "debug.sum15", 1, args, 15);
        assert_int_equal((int64_t)call.row.value, 10923);
}

static void echoes(void **state)
{
        const struct vmreq_value value = {.len = 3, .data = "\x92\x01\x02"};
        struct call call;

        (void)state;
        call_do(&call, &caller, "debug.echo", 0, &value, 1);
        assert_string_equal(call.writer.text, "raw:3");
}

static void fails(void **state)
{
        const struct vmreq_value args[] = {{.i = -5}, {.len = 4, .data = "text"}}, fine = {.i = 7};
        struct call call;

        (void)state;
        call_do(&call, &caller, "debug.fail", 0, args, 2);
        assert_int_equal(call.row.status, -5);
        assert_string_equal(call.writer.failure_name, "NULL");
        assert_string_equal(call.writer.failure_text, "text");
        assert_string_equal(call.writer.text, "");
        call_do(&call, &caller, "debug.fail", 0, args, 1);
        assert_string_equal(call.writer.failure_text, "");
        call_do(&call, &caller, "debug.fail", 0, &fine, 1);
        assert_int_equal(call.row.status, 7);
        assert_string_equal(call.writer.failure_name, "-");
        assert_string_equal(call.writer.text, "nil");
}

static void counts(void **state)
{
        const struct vmreq_value args[] = {{.u = 4}, {.u = 1}}, none = {.u = 0};
        struct call call;

        (void)state;
        call_do(&call, &caller, "debug.count", 0, args, 1);
        assert_int_equal(call.row.status, 0);
        assert_string_equal(call.writer.text, "0 1 2 3");
        assert_non_null(call.writer.release);
        call_end(&call);
        call_do(&call, &caller, "debug.count", 1, args, 2); /* 1 ms before each */
        assert_string_equal(call.writer.text, "0 1 2 3");
        assert_true(call.row.run_ns >= 4000000);
        call_end(&call);
        call_do(&call, &caller, "debug.count", 0, &none, 1);
        assert_string_equal(call.writer.text, "");
        call_end(&call);
}

static void stops_counting(void **state)
{
        const struct vmreq_value args[] = {{.u = 4}, {.u = 60000}};
        struct call call;

        (void)state;
        call_start(&call, &caller, "debug.count", 0, args, 2);
        call_until_running(&call);
        assert_int_equal(vmreq_cancel(call.handle), VMREQ_VERDICT_RUNNING);
        call_wait(&call);
        assert_int_equal(call.row.status, -ECANCELED);
        assert_string_equal(call.writer.failure_name, "CANCELLED");
        call_end(&call);
}

static void pours(void **state)
{
        const struct vmreq_value args[] = {{.u = 3}, {.u = 7}}, none = {.u = 0}, one = {.u = 1};
        struct call call;

        (void)state;
        call_do(&call, &caller, "debug.pour", 0, args, 2);
        assert_string_equal(call.writer.text, "bytes:7 bytes:7 bytes:7");
        assert_null(call.writer.release); /* the state is a number */
        call_do(&call, &caller, "debug.pour", 0, &one, 1);
        assert_string_equal(call.writer.text, "bytes:65536");
        call_do(&call, &caller, "debug.pour", 0, &none, 1);
        assert_string_equal(call.writer.text, "");
}

static void knows_where_it_runs(void **state)
{
        struct call call;

        (void)state;
        for (uint32_t cpu = 0; cpu < 2; cpu++) {
                call_do(&call, &caller, "debug.whoami", cpu, NULL, 0);
                assert_int_equal(call.row.value, cpu);
        }
}

static void takes_its_time(void **state)
{
        const struct vmreq_value ms = {.u = 2};
        uint64_t begin;
        struct call call;

        (void)state;
        begin = vmreq_now();
        call_do(&call, &caller, "debug.sleep", 0, &ms, 1);
        assert_int_equal(call.row.status, 0);
        assert_string_equal(call.writer.text, "nil");
        assert_true(vmreq_now() - begin >= 2000000);
        begin = vmreq_now();
        call_do(&call, &caller, "debug.spin", 0, &ms, 1);
        assert_true(vmreq_now() - begin >= 2000000);
}

/* Unblocks cpu 0 from cpu 1 until there was one to unblock. */
static void unblock(void)
{
        const struct vmreq_value cpu = {.u = 0};
        struct call call;

        do
                call_do(&call, &caller, "debug.unblock", 1, &cpu, 1);
        while (call.row.value == 0);
}

static void blocks_until_unblocked(void **state)
{
        const struct vmreq_value zero = {.u = 0}, nobody = {.u = 5};
        struct call call, other;

        (void)state;
        call_do(&other, &caller, "debug.unblock", 1, &zero, 1);
        assert_int_equal(other.row.value, 0); /* nobody is blocked, and no word is kept */
        call_do(&other, &caller, "debug.unblock", 1, &nobody, 1);
        assert_int_equal(other.row.value, 0);
        for (int round = 0; round < 200; round++) {
                call_start(&call, &caller, "debug.block", 0, NULL, 0);
                unblock();
                call_wait(&call);
                assert_int_equal(call.row.status, 0);
                assert_string_equal(call.writer.text, "nil");
        }
}

/* What only unparks does not unblock: neither a block nor a sleep. */
static void ignores_spurious_unparks(void **state)
{
        const struct vmreq_value ms = {.u = 20};
        enum vmreq_req_state now;
        struct call call;
        uint64_t begin;

        (void)state;
        call_start(&call, &caller, "debug.block", 0, NULL, 0);
        call_until_running(&call);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(vmreq_unpark(caller.vm, 0), VMREQ_OK);
        assert_int_equal(vmreq_status(call.handle, &now, NULL), VMREQ_OK);
        assert_int_equal(now, VMREQ_REQ_RUNNING);
        unblock();
        call_wait(&call);
        assert_int_equal(call.row.status, 0);

        begin = vmreq_now();
        call_start(&call, &caller, "debug.sleep", 0, &ms, 1);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(vmreq_unpark(caller.vm, 0), VMREQ_OK);
        call_wait(&call);
        assert_true(vmreq_now() - begin >= 20000000);
}

static void ends_early_if_asked(void **state)
{
        const struct vmreq_value ms = {.u = UINT32_MAX};
        struct call call;

        (void)state;
        for (int i = 0; i < 2; i++) {
                call_start(&call, &caller, i ? "debug.block" : "debug.sleep", 0, &ms, i ? 0 : 1);
                call_until_running(&call);
                assert_int_equal(vmreq_cancel(call.handle), VMREQ_VERDICT_RUNNING);
                call_wait(&call);
                assert_int_equal(call.row.status, -ECANCELED);
                assert_string_equal(call.writer.failure_name, "CANCELLED");
                assert_string_equal(call.writer.failure_text, "asked to end early");
                assert_string_equal(call.writer.text, "");
        }
        /* A block that was cancelled leaves nothing for a later unblock. */
        call_start(&call, &caller, "debug.block", 0, NULL, 0);
        unblock();
        call_wait(&call);
        assert_int_equal(call.row.status, 0);
}

static void is_declared_right(void **state)
{
        static const struct {
                const char *name;
                uint32_t result;
                bool words, cancellable, streaming;
        } rows[] = {
                {"debug.add", VMREQ_T_I64, true, false, false},
                {"debug.block", VMREQ_T_NIL, false, true, false},
                {"debug.count", VMREQ_T_U64, false, true, true},
                {"debug.echo", VMREQ_T_ANY, false, false, false},
                {"debug.fail", VMREQ_T_STATUS, false, false, false},
                {"debug.pour", VMREQ_T_BYTES, false, false, true},
                {"debug.sleep", VMREQ_T_NIL, false, true, false},
                {"debug.spin", VMREQ_T_NIL, true, false, false},
                {"debug.sum15", VMREQ_T_I64, true, false, false},
                {"debug.unblock", VMREQ_T_BOOL, true, false, false},
                {"debug.whoami", VMREQ_T_U32, true, false, false},
        };
        const struct sym_symbol *const *list;
        size_t n;

        (void)state;
        list = sym_registry_list(caller.registry, &n);
        assert_int_equal(n, sizeof(rows) / sizeof(rows[0]));
        for (size_t i = 0; i < n; i++) {
                assert_string_equal(list[i]->def->name, rows[i].name);
                assert_int_equal(list[i]->def->result, rows[i].result);
                assert_int_equal(list[i]->words, rows[i].words);
                assert_int_equal(!!(list[i]->def->flags & VMREQ_SYM_CANCELLABLE),
                                 rows[i].cancellable);
                assert_int_equal(!!(list[i]->def->flags & VMREQ_SYM_STREAMING), rows[i].streaming);
        }
}

static void refuses_settings(void **state)
{
        static const struct vmreq_setting settings[] = {{"colour", "red"}};
        struct caller other;
        char why[256] = "";

        (void)state;
        caller_init(&other, 1, &log_lines);
        assert_int_equal(sym_registry_load(other.registry, folder, "debug", false, settings, 1, why,
                                           sizeof(why)),
                         SYM_LOAD_E_INIT);
        assert_has(log_lines.text, "3 debug: unknown setting colour");
        caller_deinit(&other);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(adds, setup, teardown),
                cmocka_unit_test_setup_teardown(echoes, setup, teardown),
                cmocka_unit_test_setup_teardown(fails, setup, teardown),
                cmocka_unit_test_setup_teardown(knows_where_it_runs, setup, teardown),
                cmocka_unit_test_setup_teardown(counts, setup, teardown),
                cmocka_unit_test_setup_teardown(stops_counting, setup, teardown),
                cmocka_unit_test_setup_teardown(pours, setup, teardown),
                cmocka_unit_test_setup_teardown(takes_its_time, setup, teardown),
                cmocka_unit_test_setup_teardown(blocks_until_unblocked, setup, teardown),
                cmocka_unit_test_setup_teardown(ignores_spurious_unparks, setup, teardown),
                cmocka_unit_test_setup_teardown(ends_early_if_asked, setup, teardown),
                cmocka_unit_test_setup_teardown(is_declared_right, setup, teardown),
                cmocka_unit_test(refuses_settings),
        };

        if (argc != 2) {
                fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
                return 2;
        }
        folder = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
