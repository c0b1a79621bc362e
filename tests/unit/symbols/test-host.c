/* SPDX-License-Identifier: MIT */
/* What the table that a module gets really does: towards the engine, the log and the writer. */
#include "unit/symbols/caller.h"

#include <pthread.h>

#include "symbols/host.h"

static struct log_record log_lines;
static const struct vmreq_host *host;

static int32_t write_all(void *ctx, const struct vmreq_value *args, uint32_t argc,
                         struct vmreq_writer *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        host->put_array(reply, 10);
        host->put_nil(reply);
        host->put_bool(reply, 1);
        host->put_int(reply, INT64_MIN);
        host->put_uint(reply, UINT64_MAX);
        host->put_x64(reply, UINT64_MAX);
        host->put_float(reply, 0.5);
        host->put_str(reply, "abcdef", 3);
        host->put_bytes(reply, "\x00\x01", 2);
        host->put_map(reply, 0);
        host->put_raw(reply, "\xc0", 1);
        host->put_failure(reply, "NAME", NULL);
        host->set_state(reply, host->state(reply) ? NULL : &host, NULL);
        return 0;
}

static uint32_t own_cpu(void)
{
        return host->cpu(host);
}

static _Bool is_cancelled(void)
{
        return host->cancel_requested(host) != 0;
}

/* 1000 × the first answer + 100 × the second + 10 × the third; see parks. */
static int64_t park_thrice(void)
{
        int64_t sum;

        host->unpark(host, host->cpu(host)); /* a permit that comes first */
        sum = 1000 * (int64_t)(host->park(host, UINT64_MAX) + 1);
        sum += 100 * (int64_t)(host->park(host, 0) + 1);
        return sum + 10 * (int64_t)(host->park(host, 1000) + 1);
}

static int32_t park_for_ever(void)
{
        int r;

        do
                r = host->park(host, UINT64_MAX);
        while (r == 0);
        return r;
}

static const struct vmreq_symbol symbols[] = {
        {.size = sizeof(struct vmreq_symbol),
         .name = "test.write",
         .doc = "",
         .result = VMREQ_T_ARRAY,
         .function = write_all},
        {.size = sizeof(struct vmreq_symbol),
         .name = "test.cpu",
         .doc = "",
         .result = VMREQ_T_U32,
         .words = (vmreq_words)own_cpu},
        {.size = sizeof(struct vmreq_symbol),
         .name = "test.cancelled",
         .doc = "",
         .result = VMREQ_T_BOOL,
         .words = (vmreq_words)is_cancelled},
        {.size = sizeof(struct vmreq_symbol),
         .name = "test.park",
         .doc = "",
         .result = VMREQ_T_I64,
         .words = (vmreq_words)park_thrice},
        {.size = sizeof(struct vmreq_symbol),
         .name = "test.stuck",
         .doc = "",
         .result = VMREQ_T_I32,
         .words = (vmreq_words)park_for_ever},
};

static int test_init(const struct vmreq_host *table, uint32_t abi,
                     const struct vmreq_setting *settings, size_t n_settings)
{
        (void)abi;
        (void)settings;
        (void)n_settings;
        host = table;
        for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
                assert_int_equal(table->add_symbol(table, &symbols[i]), 0);
        return 0;
}

static const struct vmreq_module module = MODULE("test", test_init, NULL);

static struct caller *setup(uint32_t cpus)
{
        static struct caller caller;

        caller_init(&caller, cpus, &log_lines);
        caller_add(&caller, &module);
        return &caller;
}

static void knows_its_vm(void **state)
{
        struct caller *caller = setup(3);
        struct call call;

        (void)state;
        assert_int_equal(sym_host_vm(host).id, caller->vm.id);
        assert_int_equal(host->cpus(host), 3);
        for (uint32_t cpu = 0; cpu < 3; cpu++) {
                call_do(&call, caller, "test.cpu", cpu, NULL, 0);
                assert_int_equal(call.row.value, cpu);
        }
        assert_true(host->cpu(host) >= 3); /* this thread is none */
        caller_deinit(caller);
}

static void writes(void **state)
{
        struct caller *caller = setup(1);
        struct call call;

        (void)state;
        call_do(&call, caller, "test.write", 0, NULL, 0);
        assert_string_equal(call.writer.text,
                            "[10 nil true -9223372036854775808 18446744073709551615 "
                            "0xffffffffffffffff 0.5 \"abc\" bytes:2 {0 raw:1");
        assert_string_equal(call.writer.failure_name, "NAME");
        assert_string_equal(call.writer.failure_text, "NULL");
        assert_ptr_equal(call.writer.state, &host);
        caller_deinit(caller);
}

static void parks(void **state)
{
        struct caller *caller = setup(1);
        struct call call;

        (void)state;
        call_do(&call, caller, "test.park", 0, NULL, 0);
        assert_int_equal(call.row.value, 1000 + 300 + 30); /* unparked, at its end, at its end */
        assert_int_equal(host->park(host, UINT64_MAX), 1); /* not on an EMT: at once */
        host->unpark(host, 7);                             /* no such cpu: nothing */
        caller_deinit(caller);
}

static void can_be_asked_to_end(void **state)
{
        struct caller *caller = setup(1);
        struct call call;

        (void)state;
        call_do(&call, caller, "test.cancelled", 0, NULL, 0);
        assert_int_equal(call.row.value, 0);
        call_start(&call, caller, "test.stuck", 0, NULL, 0);
        call_until_running(&call);
        assert_int_equal(vmreq_cancel(call.handle), VMREQ_VERDICT_RUNNING);
        call_wait(&call);
        assert_int_equal(call.row.value, 1);
        caller_deinit(caller);
}

static void logs_bounded_lines(void **state)
{
        struct caller *caller = setup(1);
        char longest[3000];

        (void)state;
        log_clear(&log_lines);
        host->log(host, VMREQ_LOG_NOTICE, "a %s\n\x1b[31mb\t%d", "word", 5);
        host->log(host, -3, "too grave");
        host->log(host, 99, "too light");
        assert_string_equal(log_lines.text,
                            "5 test: a word  [31mb 5\n3 test: too grave\n7 test: too light\n");
        log_clear(&log_lines);
        memset(longest, 'x', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = '\0';
        host->log(host, VMREQ_LOG_INFO, "%s", longest);
        assert_int_equal(log_lines.n_lines, 1);
        assert_int_equal(strlen(log_lines.text), strlen("6 test: ") + 1023 + 1);
        caller_deinit(caller);
}

/* On a thread of the module's own: logging is fine, registering is not. */
static void *module_thread(void *ctx)
{
        struct vmreq_symbol late = CALLBACK("test.late");

        host->log(host, VMREQ_LOG_INFO, "from a thread");
        *(int *)ctx = host->add_symbol(host, &late);
        return NULL;
}

static int threaded_init(const struct vmreq_host *table, uint32_t abi,
                         const struct vmreq_setting *settings, size_t n_settings)
{
        pthread_t thread;
        int r = 0;

        host = table;
        (void)abi;
        (void)settings;
        (void)n_settings;
        assert_int_equal(pthread_create(&thread, NULL, module_thread, &r), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(r < 0);
        return 0;
}

static void registers_on_its_own_thread_only(void **state)
{
        static const struct vmreq_module threaded = MODULE("threaded", threaded_init, NULL);
        struct caller *caller = setup(1);

        (void)state;
        caller_add(caller, &threaded);
        assert_string_equal(
                log_lines.text,
                "6 threaded: from a thread\n3 threaded: symbol refused: not inside init\n");
        caller_deinit(caller);
}

static void works_without_a_log(void **state)
{
        struct caller caller;

        (void)state;
        caller_init(&caller, 1, NULL);
        caller_add(&caller, &module);
        host->log(host, VMREQ_LOG_INFO, "nobody listens");
        caller_deinit(&caller);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(knows_its_vm),
                cmocka_unit_test(writes),
                cmocka_unit_test(parks),
                cmocka_unit_test(can_be_asked_to_end),
                cmocka_unit_test(logs_bounded_lines),
                cmocka_unit_test(registers_on_its_own_thread_only),
                cmocka_unit_test(works_without_a_log),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
