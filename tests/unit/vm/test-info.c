/* SPDX-License-Identifier: MIT */
/* Looking in: each figure is what happened. */
#include "lib/emts.h"

static void test_bad_input(void **state)
{
        struct vmreq_emt_info info;
        struct vmreq_stats stats;
        vmreq_vm none = {0};

        (void)state;
        assert_int_equal(vmreq_emt_info(id, 0, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_info(id, 2, &info), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_info(id, VMREQ_CPU_ANY, &info), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_info(none, 0, &info), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_stats(id, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_vm_stats(none, &stats), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_cpus(none), 0);
        assert_int_equal(vmreq_vm_cpus(id), 2);
}

static void test_now(void **state)
{
        uint64_t a = vmreq_now(), b = vmreq_now();

        (void)state;
        assert_true(a > 0 && b >= a);
        assert_true(clock_now_ns() >= b);
}

static void test_fresh(void **state)
{
        struct vmreq_stats stats = engine_stats(id);
        struct vmreq_emt_info info;

        (void)state;
        assert_int_equal(stats.submitted | stats.refused | stats.in_use, 0);
        for (unsigned f = 0; f < _VMREQ_FATE_N; f++)
                assert_int_equal(stats.fates[f], 0);
        assert_int_equal(stats.slab, 8192);
        assert_int_equal(stats.lane_capacity, 4096);
        for (uint32_t cpu = 0; cpu < 2; cpu++) {
                engine_until_asleep(id, cpu);
                info = engine_emt(id, cpu);
                assert_int_equal(info.state, VMREQ_EMT_ASLEEP);
                assert_int_equal(info.handle.generation, 0);
                assert_int_equal(info.done | info.skipped | info.depth[0] | info.depth[1], 0);
                assert_true(info.sleeps >= 1);
        }
}

static void test_running(void **state)
{
        struct gate gate;
        struct vmreq_spec spec = engine_spec(1, 0, gate_callee, &gate);
        struct vmreq_emt_info info;
        vmreq_handle handle;
        uint64_t before = vmreq_now();

        (void)state;
        gate_init(&gate);
        spec.tag = 4711;
        handle = engine_submit(id, &spec);
        sem_down(&gate.in);
        info = engine_emt(id, 1);
        assert_int_equal(info.state, VMREQ_EMT_RUNNING);
        assert_int_equal(info.tag, 4711);
        assert_int_equal(info.handle.vm, handle.vm);
        assert_int_equal(info.handle.index, handle.index);
        assert_int_equal(info.handle.generation, handle.generation);
        assert_true(info.since_ns >= before && info.since_ns <= vmreq_now());
        gate_open(&gate);
        (void)engine_finish(handle);
        UNTIL(engine_emt(id, 1).state == VMREQ_EMT_ASLEEP);
        info = engine_emt(id, 1);
        assert_int_equal(info.handle.generation | info.tag, 0);
        assert_int_equal(info.done, 1);
}

/* The innermost of nested requests, and the outer one again afterwards. */
static int32_t outer_callee(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        struct gate *gates = ctx;
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, VMREQ_NO_WAIT, gate_callee, &gates[0]);

        (void)args;
        (void)argc;
        (void)reply;
        spec.tag = 2;
        CHECK(vmreq_submit(id, &spec, NULL) == 0);
        gate_pass(&gates[1]);
        return 0;
}

static void test_nested(void **state)
{
        struct gate gates[2];
        struct vmreq_spec spec = engine_spec(0, 0, outer_callee, gates);
        vmreq_handle handle;
        uint64_t since;

        (void)state;
        for (size_t i = 0; i < 2; i++)
                gate_init(&gates[i]);
        spec.tag = 1;
        handle = engine_submit(id, &spec);
        sem_down(&gates[0].in);
        assert_int_equal(engine_emt(id, 0).tag, 2);
        assert_int_not_equal(engine_emt(id, 0).handle.generation == handle.generation &&
                                     engine_emt(id, 0).handle.index == handle.index,
                             1);
        since = engine_emt(id, 0).since_ns;
        gate_open(&gates[0]);
        sem_down(&gates[1].in);
        assert_int_equal(engine_emt(id, 0).tag, 1);
        assert_int_equal(engine_emt(id, 0).handle.generation, handle.generation);
        assert_true(engine_emt(id, 0).since_ns <= since);
        assert_int_equal(engine_emt(id, 0).done, 1);
        gate_open(&gates[1]);
        (void)engine_finish(handle);
}

static void test_counters(void **state)
{
        struct gate gate;
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran), bad;
        vmreq_handle handles[6], all;
        struct vmreq_stats stats;

        (void)state;
        engine_hold(id, 0, &gate);
        for (size_t i = 0; i < 6; i++) {
                spec.flags = i < 4 ? 0 : VMREQ_PRIORITY;
                handles[i] = engine_submit(id, &spec);
        }
        assert_int_equal(engine_emt(id, 0).depth[0], 4);
        assert_int_equal(engine_emt(id, 0).depth[1], 2);
        assert_int_equal(vmreq_cancel(handles[0]), VMREQ_VERDICT_REMOVED);
        bad = spec;
        bad.cpu = 99;
        assert_int_equal(vmreq_submit(id, &bad, &all), VMREQ_E_INVALID);
        spec.cpu = VMREQ_CPU_ALL;
        all = engine_submit(id, &spec);
        stats = engine_stats(id);
        /* The held one, six, and a broadcast that counts once but takes three packets. */
        assert_int_equal(stats.submitted, 8);
        assert_int_equal(stats.refused, 1);
        assert_int_equal(stats.in_use, 1 + 6 + 3);
        gate_open(&gate);
        for (size_t i = 0; i < 6; i++)
                (void)engine_finish(handles[i]);
        (void)engine_finish(all);
        engine_until_home(id);
        stats = engine_stats(id);
        assert_int_equal(stats.fates[VMREQ_FATE_CANCELLED], 1);
        assert_int_equal(stats.fates[VMREQ_FATE_DONE], 1 + 5 + 3);
        assert_int_equal(engine_emt(id, 0).skipped, 1);
        assert_int_equal(engine_emt(id, 0).done, 1 + 5 + 1);
        assert_int_equal(engine_emt(id, 1).done, 1);
}

static void test_any_depth(void **state)
{
        struct gate gates[2];
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, VMREQ_NO_WAIT, log_callee, &ran);

        (void)state;
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                engine_hold(id, cpu, &gates[cpu]);
        for (int i = 0; i < 3; i++)
                (void)engine_submit(id, &spec);
        spec.flags |= VMREQ_PRIORITY;
        (void)engine_submit(id, &spec);
        assert_int_equal(engine_stats(id).any_depth[0], 3);
        assert_int_equal(engine_stats(id).any_depth[1], 1);
        assert_int_equal(engine_emt(id, 0).depth[0], 0);
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                gate_open(&gates[cpu]);
        UNTIL(atomic_load(&ran.n) == 4);
        UNTIL(engine_stats(id).any_depth[0] + engine_stats(id).any_depth[1] == 0);
}

/* Reading from many threads disturbs nobody, and every figure that only grows does. */
static void *look(void *arg)
{
        _Atomic uint32_t *over = arg;
        struct vmreq_stats last = {0}, now;
        struct vmreq_emt_info info;

        while (!atomic_load(over)) {
                CHECK(vmreq_vm_stats(id, &now) == 0);
                CHECK(now.submitted >= last.submitted && now.refused >= last.refused);
                CHECK(now.in_use <= now.slab && now.any_depth[0] <= now.lane_capacity);
                last = now;
                CHECK(vmreq_emt_info(id, 1, &info) == 0);
                CHECK(info.state < _VMREQ_EMT_N && info.depth[0] <= now.lane_capacity);
        }
        return NULL;
}

static void test_looking_while_working(void **state)
{
        _Atomic uint32_t over = 0;
        pthread_t threads[2];

        (void)state;
        for (size_t i = 0; i < 2; i++)
                threads[i] = thread_start(look, &over);
        for (int i = 0; i < 500; i++)
                assert_int_equal(
                        vmreq_call_void_wait(id, i % 2 ? 1 : VMREQ_CPU_ALL, (vmreq_fn)vmreq_now, 0),
                        0);
        atomic_store(&over, 1);
        for (size_t i = 0; i < 2; i++)
                thread_end(threads[i]);
}

static void test_ended(void **state)
{
        (void)state;
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                assert_int_equal(engine_emt(id, cpu).state, VMREQ_EMT_ENDED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_bad_input, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_now, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_fresh, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_running, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_nested, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_counters, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_any_depth, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_looking_while_working, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_ended, setup2, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
