/* SPDX-License-Identifier: MIT */
/* D32: statistics that are complete - depth, latency, per EMT, per lane, by fate - and exact. */
#include "defects.h"

static vmreq_vm id;

static void nothing(void)
{
}

#define THREADS 4u
#define EACH    (DEFECTS_SLOW ? 2000u : 20000u)

static _Atomic uint64_t refusals;

static void *submit_many(void *arg)
{
        uint32_t me = (uint32_t)(uintptr_t)arg;

        for (uint32_t i = 0; i < EACH; i++) {
                uint32_t cpu = (me + i) % 4 < 3 ? (me + i) % 4 : VMREQ_CPU_ANY;

                for (;;) {
                        int r = vmreq_call(id, cpu, NULL, 0,
                                           VMREQ_NO_WAIT | VMREQ_VOID |
                                                   (i % 2 ? VMREQ_PRIORITY : 0),
                                           nothing, 0);

                        if (r == 0)
                                break;
                        CHECK(r == VMREQ_E_BUSY);
                        atomic_fetch_add(&refusals, 1);
                        (void)sched_yield();
                }
        }
        return NULL;
}

static uint64_t histogram_sum(const uint64_t *histogram)
{
        uint64_t sum = 0;

        for (uint32_t i = 0; i < VMREQ_HISTOGRAM_N; i++)
                sum += histogram[i];
        return sum;
}

/* Increments of four threads and three EMTs, and none is lost: upstream's plain ones would be. */
static void d32_counters_are_exact(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        pthread_t threads[THREADS];
        uint64_t done = 0, taken = 0, submitted = 0, refused = 0, queued = 0, run = 0;
        struct vmreq_emt_stats lanes;
        struct vmreq_stats stats;

        (void)state;
        config.cpus = 3;
        config.lane_capacity = 64;
        id = engine_new_with(&config);
        atomic_store(&refusals, 0);
        for (uintptr_t i = 0; i < THREADS; i++)
                threads[i] = thread_start(submit_many, (void *)i);
        for (uint32_t i = 0; i < THREADS; i++)
                thread_end(threads[i]);
        engine_until_home(id);
        stats = engine_stats(id);
        assert_int_equal(stats.submitted, THREADS * EACH);
        assert_int_equal(stats.refused, atomic_load(&refusals));
        assert_int_equal(stats.fates[VMREQ_FATE_DONE], THREADS * EACH);
        for (uint32_t cpu = 0; cpu < 4; cpu++) {
                assert_int_equal(vmreq_emt_stats(id, cpu < 3 ? cpu : VMREQ_CPU_ANY, &lanes), 0);
                for (uint32_t level = 0; level < 2; level++) {
                        submitted += lanes.lanes[level].submitted;
                        taken += lanes.lanes[level].taken;
                        refused += lanes.lanes[level].refused;
                        assert_int_equal(lanes.lanes[level].submitted, THREADS * EACH / 8);
                        assert_int_equal(lanes.lanes[level].depth, 0);
                        assert_true(lanes.lanes[level].high_water <= 64);
                        assert_true(lanes.lanes[level].high_water >= 1);
                }
                queued += histogram_sum(lanes.queued);
                run += histogram_sum(lanes.run);
                done += cpu < 3 ? engine_emt(id, cpu).done : 0;
        }
        assert_int_equal(submitted, THREADS * EACH);
        assert_int_equal(taken, THREADS * EACH);
        assert_int_equal(refused, atomic_load(&refusals));
        assert_int_equal(done, THREADS * EACH);
        assert_int_equal(queued, THREADS * EACH);
        assert_int_equal(run, THREADS * EACH);
        engine_end(id);
}

/* Packets that were never used before, and those that were. */
static void d32_packets_are_counted(void **state)
{
        struct log ran = {0};
        struct vmreq_spec spec;
        vmreq_handle handles[4];

        (void)state;
        id = engine_new(1);
        spec = engine_spec(0, 0, log_callee, &ran);
        for (int round = 0; round < 5; round++) {
                for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
                        handles[i] = engine_submit(id, &spec);
                for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
                        (void)assert_done(handles[i]);
                engine_until_home(id);
        }
        assert_int_equal(engine_stats(id).packets_new, ARRAY_SIZE(handles));
        assert_int_equal(engine_stats(id).packets_recycled, 4 * ARRAY_SIZE(handles));
        engine_end(id);
}

/* What stands in each lane, alive and dead, and what became of the rest. */
static void d32_depth_per_lane(void **state)
{
        struct log ran = {0};
        struct vmreq_emt_stats lanes;
        vmreq_handle handles[9];
        struct gate gate;

        (void)state;
        id = engine_new(1);
        engine_hold(id, 0, &gate);
        for (uint32_t i = 0; i < ARRAY_SIZE(handles); i++) {
                struct vmreq_spec spec =
                        engine_spec(i % 3 == 2 ? VMREQ_CPU_ANY : 0, i % 3 == 1 ? VMREQ_PRIORITY : 0,
                                    log_callee, &ran);

                handles[i] = engine_submit(id, &spec);
        }
        assert_int_equal(engine_emt(id, 0).depth[0], 3);
        assert_int_equal(engine_emt(id, 0).depth[1], 3);
        assert_int_equal(engine_stats(id).any_depth[0], 3);
        assert_int_equal(engine_stats(id).any_depth[1], 0);
        assert_int_equal(vmreq_cancel(handles[0]), VMREQ_VERDICT_REMOVED);
        assert_int_equal(vmreq_cancel(handles[2]), VMREQ_VERDICT_REMOVED);
        assert_int_equal(vmreq_emt_stats(id, 0, &lanes), 0);
        assert_int_equal(lanes.lanes[0].depth, 3);
        assert_int_equal(lanes.lanes[0].dead, 1);
        assert_int_equal(lanes.lanes[0].cancelled, 1);
        assert_int_equal(lanes.lanes[1].dead, 0);
        assert_int_equal(vmreq_emt_stats(id, VMREQ_CPU_ANY, &lanes), 0);
        assert_int_equal(lanes.lanes[0].depth, 3);
        assert_int_equal(lanes.lanes[0].dead, 1);
        gate_open(&gate);
        for (uint32_t i = 0; i < ARRAY_SIZE(handles); i++) {
                assert_int_equal(vmreq_wait(handles[i], defects_soon_ns()), 0);
                assert_int_equal(vmreq_free(handles[i]), 0);
        }
        UNTIL(engine_emt(id, 0).skipped == 2);
        assert_int_equal(vmreq_emt_stats(id, 0, &lanes), 0);
        assert_int_equal(lanes.lanes[0].depth + lanes.lanes[0].dead + lanes.lanes[1].depth, 0);
        /* The one that held the EMT, and two of three. */
        assert_int_equal(lanes.lanes[0].taken, 3);
        assert_int_equal(lanes.lanes[0].skipped, 1);
        assert_int_equal(lanes.lanes[1].taken, 3);
        assert_int_equal(engine_stats(id).fates[VMREQ_FATE_CANCELLED], 2);
        engine_end(id);
}

/* How long each request waited, and how long it ran. */
static uint64_t burnt_from, burnt_to;

static void take_long(void)
{
        burnt_from = vmreq_now();
        burn(3 * CLOCK_NS_PER_MS);
        burnt_to = vmreq_now();
}

static void d32_latency_of_each_request(void **state)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        struct vmreq_emt_stats lanes;
        uint64_t submitted, opened, over, longest = 0;
        struct vmreq_row row;
        vmreq_handle handle;
        struct gate gate;

        (void)state;
        id = engine_new(1);
        engine_hold(id, 0, &gate);
        spec.cpu = 0;
        spec.fn = take_long;
        handle = engine_submit(id, &spec);
        submitted = vmreq_now();
        burn(2 * CLOCK_NS_PER_MS);
        opened = vmreq_now();
        gate_open(&gate);
        row = assert_done(handle);
        over = vmreq_now();
        assert_true(row.queued_ns >= opened - submitted);
        assert_true(row.run_ns >= burnt_to - burnt_from);
        assert_true(row.queued_ns + row.run_ns <= over - submitted + CLOCK_NS_PER_S);
        assert_int_equal(vmreq_emt_stats(id, 0, &lanes), 0);
        for (uint32_t i = 0; i < VMREQ_HISTOGRAM_N; i++)
                if (lanes.run[i])
                        longest = i;
        assert_true(1ull << (longest + 1) > 3 * CLOCK_NS_PER_MS);
        engine_end(id);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(d32_counters_are_exact),
                cmocka_unit_test(d32_packets_are_counted),
                cmocka_unit_test(d32_depth_per_lane),
                cmocka_unit_test(d32_latency_of_each_request),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
