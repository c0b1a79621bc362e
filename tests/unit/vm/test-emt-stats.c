/* SPDX-License-Identifier: MIT */
/* Figures of lanes and EMTs: each is what happened, and together they leave nothing out. */
#include "lib/engine.h"

static vmreq_vm id;
static struct log ran;

static int setup(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        config.cpus = 2;
        config.lane_capacity = 8;
        config.service_wake = engine_no_service;
        id = engine_new_with(&config);
        memset(&ran, 0, sizeof(ran));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}

static struct vmreq_emt_stats stats_of(uint32_t cpu)
{
        struct vmreq_emt_stats stats;

        assert_int_equal(vmreq_emt_stats(id, cpu, &stats), 0);
        return stats;
}

static struct vmreq_lane_stats lane_of(uint32_t cpu, unsigned level)
{
        return stats_of(cpu).lanes[level];
}

static uint64_t sum(const uint64_t *histogram)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < VMREQ_HISTOGRAM_N; i++)
                n += histogram[i];
        return n;
}

static vmreq_handle submit(uint32_t cpu, uint32_t flags, uint64_t deadline_ns)
{
        struct vmreq_spec spec = engine_spec(cpu, flags, log_callee, &ran);

        spec.deadline_ns = deadline_ns;
        return engine_submit(id, &spec);
}

static void test_bad_input(void **state)
{
        struct vmreq_emt_stats stats;

        (void)state;
        assert_int_equal(vmreq_emt_stats(id, 0, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_stats(id, 2, &stats), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_stats(id, VMREQ_CPU_ALL, &stats), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_stats((vmreq_vm){0}, 0, &stats), VMREQ_E_HANDLE);
}

static void test_fresh(void **state)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY};
        static const struct vmreq_emt_stats none;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
                struct vmreq_emt_stats stats = stats_of(cpus[i]);

                assert_memory_equal(&stats, &none, sizeof(none));
        }
}

/* Each request that an EMT ran is in both histograms once, from whichever lane it came, nested ones
 * too. */
static int32_t inline_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        struct vmreq_spec spec = engine_spec(reply->cpu, VMREQ_NO_WAIT, log_callee, ctx);

        (void)args;
        (void)argc;
        return vmreq_submit(id, &spec, NULL);
}

static void test_histograms(void **state)
{
        struct vmreq_spec nested = engine_spec(1, 0, inline_callee, &ran);
        uint64_t done = 0;

        (void)state;
        for (uint32_t i = 0; i < 30; i++) {
                static const uint32_t to[] = {0, 1, VMREQ_CPU_ANY, VMREQ_CPU_ALL,
                                              VMREQ_CPU_ALL_REVERSE};

                (void)engine_finish(submit(to[i % ARRAY_SIZE(to)], i % 2 ? VMREQ_PRIORITY : 0, 0));
                done += i % ARRAY_SIZE(to) >= 3 ? 2 : 1;
        }
        for (uint32_t i = 0; i < 5; i++)
                (void)engine_finish(engine_submit(id, &nested));
        done += 5 * 2;
        /* Who waits is told before its EMT has counted. */
        UNTIL(engine_emt(id, 0).done + engine_emt(id, 1).done == done);
        for (uint32_t cpu = 0; cpu < 2; cpu++) {
                struct vmreq_emt_stats stats = stats_of(cpu);

                assert_int_equal(sum(stats.queued), engine_emt(id, cpu).done);
                assert_int_equal(sum(stats.run), engine_emt(id, cpu).done);
        }
        assert_int_equal(sum(stats_of(VMREQ_CPU_ANY).queued) + sum(stats_of(VMREQ_CPU_ANY).run), 0);
}

static int32_t seven(void)
{
        return 7;
}

/* A waited call is counted when it returns, and in the histograms soon after. */
static void test_waited_calls(void **state)
{
        (void)state;
        for (uint64_t i = 1; i <= 20; i++) {
                assert_int_equal(vmreq_call_wait(id, 1, (vmreq_fn)seven, 0), 7);
                assert_int_equal(engine_emt(id, 1).done, i);
        }
        UNTIL(sum(stats_of(1).run) == 20 && sum(stats_of(1).queued) == 20);
        assert_int_equal(sum(stats_of(0).run), 0);
}

/* A time stands in the bucket of its power of two. */
static unsigned bucket_of(uint64_t ns)
{
        unsigned i = 0;

        while (i + 1 < VMREQ_HISTOGRAM_N && ns >> (i + 1))
                i++;
        return i;
}

static void test_buckets(void **state)
{
        struct vmreq_emt_stats before, after;
        struct vmreq_row row;

        (void)state;
        for (int i = 0; i < 50; i++) {
                before = stats_of(1);
                row = engine_finish(submit(1, 0, 0));
                after = stats_of(1);
                assert_int_equal(after.run[bucket_of(row.run_ns)],
                                 before.run[bucket_of(row.run_ns)] + 1);
                assert_int_equal(after.queued_sum_ns, before.queued_sum_ns + row.queued_ns);
                assert_int_equal(after.run_sum_ns, before.run_sum_ns + row.run_ns);
                assert_int_equal(after.queued[bucket_of(row.queued_ns)],
                                 before.queued[bucket_of(row.queued_ns)] + 1);
        }
}

/* One of each fate, in an own lane and in an ANY lane, normal and priority. */
static void check_lane(uint32_t cpu, uint32_t flags)
{
        unsigned level = flags & VMREQ_PRIORITY ? 1 : 0;
        struct vmreq_lane_stats lane;
        vmreq_handle handles[8];
        struct gate gates[2];
        struct vmreq_spec spec;
        vmreq_handle refused;

        engine_hold(id, 0, &gates[0]);
        engine_hold(id, 1, &gates[1]);
        for (size_t i = 0; i < 8; i++)
                handles[i] = submit(cpu, flags, i == 3 || i == 4 ? 1 : 0);
        spec = engine_spec(cpu, flags, log_callee, &ran);
        for (int i = 0; i < 3; i++)
                assert_int_equal(vmreq_submit(id, &spec, &refused), VMREQ_E_BUSY);
        lane = lane_of(cpu, level);
        assert_int_equal(lane.depth, 8);
        assert_int_equal(lane.dead, 0);
        assert_int_equal(lane.high_water, 8);
        assert_int_equal(lane.submitted, level ? 8 : cpu < 2 ? 8 + 1 : 8);
        assert_int_equal(lane.refused, 3);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(vmreq_cancel(handles[i]), VMREQ_VERDICT_REMOVED);
        (void)vmreq_vm_service(id, clock_now_ns());
        lane = lane_of(cpu, level);
        assert_int_equal(lane.depth, 8);
        assert_int_equal(lane.dead, 5);
        assert_int_equal(lane.cancelled, 3);
        assert_int_equal(lane.expired, 2);
        assert_int_equal(lane.skipped, 0);
        for (size_t i = 0; i < 2; i++)
                gate_open(&gates[i]);
        for (size_t i = 0; i < 8; i++)
                (void)engine_finish(handles[i]);
        UNTIL(lane_of(cpu, level).depth == 0);
        lane = lane_of(cpu, level);
        assert_int_equal(lane.dead, 0);
        assert_int_equal(lane.skipped, 5);
        assert_int_equal(lane.taken, level ? 3 : cpu < 2 ? 3 + 1 : 3);
        assert_int_equal(lane.submitted, lane.taken + lane.skipped);
        assert_int_equal(lane.high_water, 8);
        assert_int_equal(lane.killed, 0);
}

static void test_lanes(void **state)
{
        static const uint32_t cpus[] = {1, VMREQ_CPU_ANY};

        (void)state;
        for (size_t i = 0; i < 2; i++)
                for (int priority = 0; priority < 2; priority++) {
                        if (i + (size_t)priority) {
                                engine_end(id);
                                (void)setup(NULL);
                        }
                        check_lane(cpus[i], priority ? VMREQ_PRIORITY : 0);
                }
}

/* What nobody has taken from yet stands as high as it ever stood. */
static void test_high_water(void **state)
{
        vmreq_handle handles[6];
        struct gate gate;

        (void)state;
        engine_hold(id, 1, &gate);
        for (size_t i = 0; i < 6; i++) {
                handles[i] = submit(1, VMREQ_PRIORITY, 0);
                assert_int_equal(lane_of(1, 1).high_water, i + 1);
        }
        gate_open(&gate);
        for (size_t i = 0; i < 6; i++)
                (void)engine_finish(handles[i]);
        assert_int_equal(lane_of(1, 1).high_water, 6);
        (void)engine_finish(submit(1, VMREQ_PRIORITY, 0));
        assert_int_equal(lane_of(1, 1).high_water, 6);
        assert_int_equal(lane_of(1, 0).high_water, 1);
        assert_int_equal(lane_of(0, 1).high_water, 0);
}

static void test_killed(void **state)
{
        vmreq_handle handles[4];
        struct gate gate;

        (void)state;
        engine_hold(id, 1, &gate);
        for (size_t i = 0; i < 4; i++)
                handles[i] = submit(1, 0, 0);
        assert_int_equal(vmreq_vm_close(id), 0);
        assert_int_equal(lane_of(1, 0).killed, 4);
        assert_int_equal(lane_of(1, 0).dead, 4);
        gate_open(&gate);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(engine_finish(handles[i]).fate, VMREQ_FATE_KILLED);
}

/* Untouched packets and used ones. */
static void test_packets(void **state)
{
        struct vmreq_stats stats;
        vmreq_handle handles[3];

        (void)state;
        for (uint32_t i = 0; i < 10; i++) {
                (void)engine_finish(submit(1, 0, 0));
                engine_until_home(id);
        }
        stats = engine_stats(id);
        assert_int_equal(stats.packets_new, 1);
        assert_int_equal(stats.packets_recycled, 9);
        for (size_t i = 0; i < 3; i++)
                handles[i] = submit(1, 0, 0);
        stats = engine_stats(id);
        assert_int_equal(stats.packets_new, 3);
        assert_int_equal(stats.packets_recycled, 10);
        assert_int_equal(stats.in_use, 3);
        for (size_t i = 0; i < 3; i++)
                (void)engine_finish(handles[i]);
}

/* ---- while it happens ---- */

static void *look(void *arg)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY};
        struct vmreq_emt_stats last[ARRAY_SIZE(cpus)] = {0}, now;

        while (!atomic_load((_Atomic uint32_t *)arg))
                for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
                        CHECK(vmreq_emt_stats(id, cpus[i], &now) == 0);
                        for (unsigned level = 0; level < 2; level++) {
                                CHECK(now.lanes[level].depth <= 8 &&
                                      now.lanes[level].dead <= now.lanes[level].depth);
                                CHECK(now.lanes[level].high_water >=
                                      last[i].lanes[level].high_water);
                                CHECK(now.lanes[level].skipped >= last[i].lanes[level].skipped);
                                CHECK(now.lanes[level].refused >= last[i].lanes[level].refused);
                                CHECK(now.lanes[level].cancelled >= last[i].lanes[level].cancelled);
                        }
                        CHECK(sum(now.run) >= sum(last[i].run) &&
                              sum(now.queued) >= sum(last[i].queued));
                        last[i] = now;
                }
        return NULL;
}

static void test_looking_while_working(void **state)
{
        _Atomic uint32_t over = 0;
        uint64_t submitted = 0, ended = 0;
        pthread_t thread = thread_start(look, &over);

        (void)state;
        for (uint32_t i = 0; i < 1000; i++) {
                vmreq_handle handle =
                        submit(i % 3 == 2 ? VMREQ_CPU_ANY : i % 3, i % 2 ? VMREQ_PRIORITY : 0, 0);

                if (i % 4 == 0)
                        (void)vmreq_cancel(handle);
                (void)engine_finish(handle);
        }
        atomic_store(&over, 1);
        thread_end(thread);
        engine_until_home(id);
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                engine_until_asleep(id, cpu);
        for (uint32_t i = 0; i < 3; i++)
                for (unsigned level = 0; level < 2; level++) {
                        struct vmreq_lane_stats lane = lane_of(i == 2 ? VMREQ_CPU_ANY : i, level);

                        assert_int_equal(lane.depth, 0);
                        assert_int_equal(lane.skipped, lane.cancelled);
                        submitted += lane.submitted;
                        ended += lane.taken + lane.cancelled;
                }
        assert_int_equal(submitted, 1000);
        assert_int_equal(ended, 1000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_bad_input, setup, teardown),
                cmocka_unit_test_setup_teardown(test_fresh, setup, teardown),
                cmocka_unit_test_setup_teardown(test_histograms, setup, teardown),
                cmocka_unit_test_setup_teardown(test_waited_calls, setup, teardown),
                cmocka_unit_test_setup_teardown(test_buckets, setup, teardown),
                cmocka_unit_test_setup_teardown(test_lanes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_high_water, setup, teardown),
                cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_packets, setup, teardown),
                cmocka_unit_test_setup_teardown(test_looking_while_working, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
