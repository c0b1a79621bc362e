/* SPDX-License-Identifier: MIT */
/* Cancelling: each verdict, at once even when no EMT is free to notice, and what the hooks see of
 * it. */
#include "lib/emts.h"

static void test_all_emts_stuck(void **state)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY, VMREQ_CPU_ANY_QUEUE};
        static const uint32_t flags[] = {0, VMREQ_PRIORITY, VMREQ_NO_WAIT};
        struct gate gates[2];

        (void)state;
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                engine_hold(id, cpu, &gates[cpu]);
        for (size_t c = 0; c < ARRAY_SIZE(cpus); c++) {
                for (size_t f = 0; f < ARRAY_SIZE(flags); f++) {
                        struct hooked hooked;
                        struct vmreq_spec spec = engine_spec(cpus[c], flags[f], log_callee, &ran);
                        vmreq_handle handle;

                        hooked_on(&hooked, &spec);
                        spec.tag = 99;
                        handle = engine_submit(id, &spec);
                        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_REMOVED);
                        /* Complete when this returns, on this thread. */
                        assert_hooked(&hooked, VMREQ_FATE_CANCELLED);
                        assert_int_equal(hooked.result.tag, 99);
                        assert_int_equal(hooked.result.n_rows, 0);
                        assert_int_equal(hooked.result.row.cpu,
                                         cpus[c] < 2 ? cpus[c] : VMREQ_CPU_NONE);
                        assert_int_equal(hooked.result.row.run_ns, 0);
                        assert_int_equal(hooked.result.row.take_seq, 0);
                        if (flags[f] & VMREQ_NO_WAIT)
                                continue;
                        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_FINISHED);
                        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
                        assert_int_equal(engine_state(handle), VMREQ_REQ_CANCELLED);
                        assert_int_equal(vmreq_free(handle), 0);
                        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_UNKNOWN);
                }
        }
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                gate_open(&gates[cpu]);
        /* None of them ever ran. */
        assert_int_equal(atomic_load(&ran.n), 0);
        assert_int_equal(engine_stats(id).fates[VMREQ_FATE_CANCELLED],
                         ARRAY_SIZE(cpus) * ARRAY_SIZE(flags));
}

static int32_t park_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        struct gate *gate = ctx;

        (void)args;
        (void)argc;
        CHECK(!vmreq_cancel_requested());
        CHECK(sem_post(&gate->in) == 0);
        CHECK(vmreq_park(VMREQ_FOREVER) == VMREQ_E_CANCELLED);
        CHECK(vmreq_cancel_requested());
        reply->value = 3;
        return 8;
}

static void test_running(void **state)
{
        struct hooked hooked;
        struct gate gate;
        struct vmreq_spec spec = engine_spec(1, 0, park_callee, &gate);
        vmreq_handle handle;
        struct vmreq_row row;

        (void)state;
        gate_init(&gate);
        hooked_on(&hooked, &spec);
        handle = engine_submit(id, &spec);
        sem_down(&gate.in);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
        /* The callee looked, and returned in its own time: its result stands. */
        row = engine_finish(handle);
        assert_int_equal(row.fate, VMREQ_FATE_DONE);
        assert_int_equal(row.status, 8);
        assert_int_equal(row.value, 3);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
}

static void test_running_twice(void **state)
{
        struct gate gate;
        struct vmreq_spec spec = engine_spec(1, 0, gate_callee, &gate);
        vmreq_handle handle;

        (void)state;
        gate_init(&gate);
        handle = engine_submit(id, &spec);
        sem_down(&gate.in);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
        gate_open(&gate);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_FINISHED);
        assert_int_equal(vmreq_free(handle), 0);
}

/* The flag belongs to one request: not to the one around it, nor to the next. */
static int32_t nested_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        vmreq_handle *outer = ctx;
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, 0, log_callee, &ran);
        vmreq_handle inner;

        (void)args;
        (void)argc;
        (void)reply;
        CHECK(vmreq_cancel(*outer) == VMREQ_VERDICT_RUNNING);
        CHECK(vmreq_cancel_requested());
        CHECK(vmreq_submit(id, &spec, &inner) == 0);
        CHECK(vmreq_free(inner) == 0);
        CHECK(vmreq_cancel_requested());
        return 0;
}

static int32_t not_asked(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        return vmreq_cancel_requested();
}

static void test_flag_is_the_request_s(void **state)
{
        vmreq_handle handle;
        struct vmreq_spec spec = engine_spec(1, 0, nested_callee, &handle);

        (void)state;
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_free(handle), 0);
        spec.callback = not_asked;
        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, 0);
        assert_int_equal(vmreq_cancel_requested(), 0);
}

static void *cancel_it(void *arg)
{
        return (void *)(uintptr_t)vmreq_cancel(*(vmreq_handle *)arg);
}

/* Of many who cancel, one removes; the callee runs or it does not, never both. */
static void test_one_winner(void **state)
{
        uint32_t removed = 0, done = 0;

        (void)state;
        for (int i = 0; i < 300; i++) {
                struct hooked hooked;
                struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, 0, log_callee, &ran);
                pthread_t threads[2];
                vmreq_handle handle;
                uint32_t winners = 0;
                void *verdict;

                hooked_on(&hooked, &spec);
                assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
                for (size_t t = 0; t < 2; t++)
                        threads[t] = thread_start(cancel_it, &handle);
                assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), 0);
                for (size_t t = 0; t < 2; t++) {
                        assert_int_equal(pthread_join(threads[t], &verdict), 0);
                        winners += (uintptr_t)verdict == VMREQ_VERDICT_REMOVED;
                }
                sem_down(&hooked.released);
                assert_true(winners <= 1);
                assert_hooked(&hooked, winners ? VMREQ_FATE_CANCELLED : VMREQ_FATE_DONE);
                removed += winners;
                done += !winners;
                assert_int_equal(vmreq_free(handle), 0);
        }
        assert_int_equal(atomic_load(&ran.n), done);
        assert_int_equal(engine_stats(id).fates[VMREQ_FATE_CANCELLED], removed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_all_emts_stuck, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_running, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_running_twice, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_flag_is_the_request_s, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_one_winner, setup2, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
