/* SPDX-License-Identifier: MIT */
/* A million of something behind an EMT that does not come. */
#include "defects/defects.h"

#include <stdio.h>

#define MANY (DEFECTS_SLOW ? 100000u : 1000000u)

static vmreq_vm id;
static struct gate gate;

static void create(uint32_t slab, uint32_t lane)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        config.slab = slab;
        config.lane_capacity = lane;
        id = engine_new_with(&config);
        engine_hold(id, 0, &gate);
}

/* Pages of this process that are in memory. */
static uint64_t resident(void)
{
        FILE *file = fopen("/proc/self/statm", "re");
        unsigned long total, pages;

        assert_non_null(file);
        assert_int_equal(fscanf(file, "%lu %lu", &total, &pages), 2);
        assert_int_equal(fclose(file), 0);
        return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct {
        uint32_t next, disordered;
} eaten;

static void eat(uint32_t number)
{
        eaten.disordered += number != eaten.next;
        eaten.next++;
}

static int queue_one(uint32_t number)
{
        return vmreq_call_void_nowait(id, 0, (vmreq_fn)eat, 1, VMREQ_W(number));
}

/* Behind all that is queued; the lane may be full for a moment. */
static void serve_all(void)
{
        int r;

        gate_open(&gate);
        UNTIL((r = vmreq_call_void_wait(id, 0, (vmreq_fn)vmreq_now, 0)) != VMREQ_E_BUSY);
        assert_int_equal(r, 0);
}

static void a_million_queued(void **state)
{
        uint64_t before, full;

        (void)state;
        memset(&eaten, 0, sizeof(eaten));
        create(MANY + 2, MANY);
        before = resident();
        for (uint32_t i = 0; i < MANY; i++)
                assert_int_equal(queue_one(i), 0);
        full = resident();
        assert_int_equal(engine_emt(id, 0).depth[LANE_NORMAL], MANY);
        for (uint32_t i = 0; i < 1000; i++)
                assert_int_equal(queue_one(i), VMREQ_E_BUSY);
        /* The slab, the lane's entries, the links of the pool, and no more. */
        if (!DEFECTS_SLOW)
                assert_true(full - before < (uint64_t)MANY * 512);
        assert_int_equal(engine_stats(id).in_use, MANY + 1);
        serve_all();
        assert_int_equal(eaten.next, MANY);
        assert_int_equal(eaten.disordered, 0);
        /* Again: what was refused took nothing with it. */
        engine_hold(id, 0, &gate);
        eaten.next = 0;
        for (uint32_t i = 0; i < MANY; i++)
                assert_int_equal(queue_one(i), 0);
        assert_int_equal(queue_one(MANY), VMREQ_E_BUSY);
        serve_all();
        assert_int_equal(eaten.next, MANY);
        assert_int_equal(eaten.disordered, 0);
        if (!DEFECTS_SLOW)
                assert_true(resident() - before < (uint64_t)MANY * 512);
        engine_until_home(id);
        engine_end(id);
}

#define SLAB 16u

static void a_million_rounds_of_submit_and_cancel(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, NULL);
        struct vmreq_emt_stats stats;

        (void)state;
        create(SLAB, MANY + 1);
        for (uint32_t i = 0; i < MANY; i++) {
                vmreq_handle handle = engine_submit(id, &spec);

                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_REMOVED);
                assert_int_equal(vmreq_free(handle), 0);
        }
        assert_int_equal(engine_stats(id).in_use, 1); /* who holds the EMT */
        assert_int_equal(vmreq_emt_stats(id, 0, &stats), 0);
        assert_int_equal(stats.lanes[LANE_NORMAL].cancelled, MANY);
        assert_int_equal(stats.lanes[LANE_NORMAL].dead, MANY);
        serve_all();
        assert_int_equal(engine_emt(id, 0).skipped, MANY);
        assert_whole_slab(id);
        engine_end(id);
}

static void dead_places_are_counted(void **state)
{
        enum { LANE = 100 };
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, NULL);
        struct vmreq_emt_stats stats;
        vmreq_handle handle;

        (void)state;
        create(SLAB, LANE);
        for (uint32_t i = 0; i < LANE; i++) {
                handle = engine_submit(id, &spec);
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_REMOVED);
                assert_int_equal(vmreq_free(handle), 0);
        }
        assert_int_equal(vmreq_emt_stats(id, 0, &stats), 0);
        assert_int_equal(stats.lanes[LANE_NORMAL].depth, LANE);
        assert_int_equal(stats.lanes[LANE_NORMAL].dead, LANE);
        for (uint32_t i = 0; i < LANE; i++)
                assert_int_equal(vmreq_submit(id, &spec, &handle), VMREQ_E_BUSY);
        assert_int_equal(engine_stats(id).in_use, 1);
        serve_all();
        assert_whole_slab(id);
        engine_end(id);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_million_queued),
                cmocka_unit_test(a_million_rounds_of_submit_and_cancel),
                cmocka_unit_test(dead_places_are_counted),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
