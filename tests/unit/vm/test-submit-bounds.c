/* SPDX-License-Identifier: MIT */
/* Full is refused at once, at exactly the bound, and room comes back exactly when it should. */
#include "lib/engine.h"

#define LANE 4u
#define SLAB 10u

static struct log ran;

static vmreq_vm new_vm(uint32_t cpus, uint32_t slab, uint32_t lane)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        config.cpus = cpus;
        config.slab = slab;
        config.lane_capacity = lane;
        memset(&ran, 0, sizeof(ran));
        return engine_new_with(&config);
}

static void refuse_busy(vmreq_vm vm, const struct vmreq_spec *spec)
{
        struct vmreq_stats before = engine_stats(vm), after;
        vmreq_handle handle = {1, 1, 1};

        assert_int_equal(vmreq_submit(vm, spec, &handle), VMREQ_E_BUSY);
        assert_int_equal(handle.generation, 0);
        after = engine_stats(vm);
        assert_int_equal(after.in_use, before.in_use);
        assert_int_equal(after.submitted, before.submitted);
        assert_int_equal(after.refused, before.refused + 1);
}

static void fill_lane(vmreq_vm vm, const struct vmreq_spec *spec, vmreq_handle *handles)
{
        for (uint32_t i = 0; i < LANE; i++)
                handles[i] = engine_submit(vm, spec);
        refuse_busy(vm, spec);
}

static void test_own_lane(void **state)
{
        static const uint32_t flags[] = {0, VMREQ_PRIORITY};

        (void)state;
        for (size_t f = 0; f < ARRAY_SIZE(flags); f++) {
                vmreq_vm vm = new_vm(2, 0, LANE);
                struct vmreq_spec spec = engine_spec(0, flags[f], log_callee, &ran), other;
                vmreq_handle handles[LANE];
                struct gate gate;

                engine_hold(vm, 0, &gate);
                fill_lane(vm, &spec, handles);
                assert_int_equal(engine_emt(vm, 0).depth[f], LANE);
                assert_int_equal(engine_stats(vm).lane_capacity, LANE);
                /* The other lane of this EMT, and the other EMT, have room of their own. */
                other = spec;
                other.flags ^= VMREQ_PRIORITY;
                (void)vmreq_free(engine_submit(vm, &other));
                other = spec;
                other.cpu = 1;
                (void)engine_finish(engine_submit(vm, &other));
                gate_open(&gate);
                for (uint32_t i = 0; i < LANE; i++)
                        assert_int_equal(engine_finish(handles[i]).fate, VMREQ_FATE_DONE);
                (void)engine_finish(engine_submit(vm, &spec));
                engine_end(vm);
        }
}

static void test_any_lane(void **state)
{
        vmreq_vm vm = new_vm(2, 0, LANE);
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, 0, log_callee, &ran);
        vmreq_handle handles[LANE];
        struct gate gates[2];

        (void)state;
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                engine_hold(vm, cpu, &gates[cpu]);
        fill_lane(vm, &spec, handles);
        assert_int_equal(engine_stats(vm).any_depth[0], LANE);
        spec.cpu = VMREQ_CPU_ANY_QUEUE; /* the same lane */
        refuse_busy(vm, &spec);
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                gate_open(&gates[cpu]);
        for (uint32_t i = 0; i < LANE; i++)
                assert_int_equal(engine_finish(handles[i]).fate, VMREQ_FATE_DONE);
        engine_end(vm);
}

static void test_dead_slots_count(void **state)
{
        vmreq_vm vm = new_vm(1, 0, LANE);
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handles[LANE];
        struct gate gate;

        (void)state;
        engine_hold(vm, 0, &gate);
        fill_lane(vm, &spec, handles);
        for (uint32_t i = 0; i < LANE; i++) {
                assert_int_equal(vmreq_cancel(handles[i]), VMREQ_VERDICT_REMOVED);
                assert_int_equal(vmreq_free(handles[i]), 0);
        }
        /* The packets are home at once; their places are not, until the EMT has skipped them. */
        assert_int_equal(engine_stats(vm).in_use, 1);
        assert_int_equal(engine_emt(vm, 0).depth[0], LANE);
        refuse_busy(vm, &spec);
        gate_open(&gate);
        UNTIL(engine_emt(vm, 0).skipped == LANE);
        for (uint32_t i = 0; i < LANE; i++)
                (void)engine_finish(engine_submit(vm, &spec));
        assert_int_equal(atomic_load(&ran.n), LANE);
        engine_end(vm);
}

/* What runs has left the lane; a slot that is being refilled by another request while a dead one
 * stands. */
static void test_running_leaves_room(void **state)
{
        vmreq_vm vm = new_vm(1, 0, 1);
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        struct gate gate;
        vmreq_handle handle;

        (void)state;
        engine_hold(vm, 0, &gate);
        handle = engine_submit(vm, &spec);
        refuse_busy(vm, &spec);
        gate_open(&gate);
        (void)engine_finish(handle);
        engine_end(vm);
}

static void test_refused_queue_can_be_tried_again(void **state)
{
        vmreq_vm vm = new_vm(1, 0, 1);
        struct hooked hooked;
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        struct gate gate;
        vmreq_handle first, second;

        (void)state;
        engine_hold(vm, 0, &gate);
        first = engine_submit(vm, &spec);
        hooked_on(&hooked, &spec);
        spec.deadline_ns = clock_now_ns() + ENGINE_FAR_NS;
        assert_int_equal(vmreq_alloc(vm, &spec, &second), 0);
        assert_int_equal(vmreq_queue(second, 0), VMREQ_E_BUSY);
        assert_int_equal(engine_state(second), VMREQ_REQ_ALLOCATED);
        assert_int_equal(atomic_load(&engine_inside(vm)->due[second.index]), 0);
        assert_int_equal(atomic_load(&hooked.completes), 0);
        gate_open(&gate);
        (void)engine_finish(first);
        assert_int_equal(vmreq_queue(second, VMREQ_FOREVER), 0);
        assert_int_equal(engine_finish(second).fate, VMREQ_FATE_DONE);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
        engine_end(vm);
}

static void test_slab(void **state)
{
        vmreq_vm vm = new_vm(2, SLAB, 0);
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran), all;
        vmreq_handle handles[SLAB];
        struct gate gate;
        uint32_t n = 0;

        (void)state;
        engine_hold(vm, 0, &gate);
        all = spec;
        all.cpu = VMREQ_CPU_ALL;
        all.flags = VMREQ_PARALLEL;
        /* 1 is held; 7 more leave 2 for a broadcast, which takes 3. */
        while (n < 7)
                handles[n++] = engine_submit(vm, &spec);
        refuse_busy(vm, &all);
        assert_int_equal(engine_stats(vm).in_use, 8);
        assert_int_equal(vmreq_cancel(handles[6]), VMREQ_VERDICT_REMOVED);
        /* A complete one is in use until its owner gives it back. */
        refuse_busy(vm, &all);
        assert_int_equal(vmreq_free(handles[6]), 0);
        handles[6] = engine_submit(vm, &all);
        assert_int_equal(engine_stats(vm).in_use, SLAB);
        refuse_busy(vm, &spec);
        assert_int_equal(vmreq_alloc(vm, &spec, &handles[7]), VMREQ_E_BUSY);
        gate_open(&gate);
        while (n--)
                assert_int_equal(engine_finish(handles[n]).fate, VMREQ_FATE_DONE);
        engine_end(vm);
}

/* A broadcast has its places before it is accepted, or leaves nothing behind. */
static void test_broadcast_needs_every_lane(void **state)
{
        static const uint32_t forms[] = {0, VMREQ_PARALLEL};

        (void)state;
        for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
                vmreq_vm vm = new_vm(3, 0, 2);
                struct vmreq_spec spec = engine_spec(2, 0, log_callee, &ran), all;
                vmreq_handle a, b, broadcast;
                struct gate gate;

                engine_hold(vm, 2, &gate);
                a = engine_submit(vm, &spec);
                b = engine_submit(vm, &spec);
                all = spec;
                all.cpu = VMREQ_CPU_ALL;
                all.flags = forms[f];
                refuse_busy(vm, &all);
                assert_int_equal(vmreq_cancel(b), VMREQ_VERDICT_REMOVED);
                refuse_busy(vm, &all);
                gate_open(&gate);
                (void)engine_finish(a);
                (void)engine_finish(b);
                /* The places set aside by the refused ones came back. */
                engine_hold(vm, 2, &gate);
                a = engine_submit(vm, &spec);
                broadcast = engine_submit(vm, &all);
                /* Its place on lane 2 is taken from now on, in the sequential form too. */
                refuse_busy(vm, &spec);
                gate_open(&gate);
                (void)engine_finish(a);
                (void)engine_finish(broadcast);
                engine_hold(vm, 2, &gate);
                a = engine_submit(vm, &spec);
                b = engine_submit(vm, &spec);
                refuse_busy(vm, &spec);
                gate_open(&gate);
                (void)engine_finish(a);
                (void)engine_finish(b);
                engine_end(vm);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_own_lane),
                cmocka_unit_test(test_any_lane),
                cmocka_unit_test(test_dead_slots_count),
                cmocka_unit_test(test_running_leaves_room),
                cmocka_unit_test(test_refused_queue_can_be_tried_again),
                cmocka_unit_test(test_slab),
                cmocka_unit_test(test_broadcast_needs_every_lane),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
