/* SPDX-License-Identifier: MIT */
/* Waiting for room: who waits, sleeps; who frees, wakes; and nobody waits for what is there. */
#include "lib/engine.h"

#include <time.h>

static vmreq_vm id;
static struct log ran;

/* No deadline service: what is between two tries here never expires, it times out. */
static vmreq_vm new_vm(uint32_t cpus, uint32_t slab, uint32_t lane)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        config.cpus = cpus;
        config.service_wake = engine_no_service;
        config.slab = slab;
        config.lane_capacity = lane;
        memset(&ran, 0, sizeof(ran));
        return engine_new_with(&config);
}

static struct vmreq_spec waiting_spec(uint32_t cpu, uint32_t flags)
{
        return engine_spec(cpu, flags | VMREQ_WAIT_ROOM, log_callee, &ran);
}

/* A thread that submits one request, and says when it is through. */
struct submitter {
        struct vmreq_spec spec;
        vmreq_handle handle;
        pthread_t thread;
        int result;
        _Atomic uint64_t cpu_ns; /* of this thread, when it is through */
        _Atomic uint32_t through;
};

static void *submit_it(void *arg)
{
        struct submitter *submitter = arg;
        struct timespec ts;

        submitter->result = vmreq_submit(id, &submitter->spec, &submitter->handle);
        CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0);
        atomic_store(&submitter->cpu_ns,
                     (uint64_t)ts.tv_sec * CLOCK_NS_PER_S + (uint64_t)ts.tv_nsec);
        atomic_store(&submitter->through, 1);
        return NULL;
}

static void start(struct submitter *submitter, uint32_t cpu, uint32_t flags)
{
        memset(submitter, 0, sizeof(*submitter));
        submitter->spec = waiting_spec(cpu, flags);
        submitter->thread = thread_start(submit_it, submitter);
}

static void until_waiting(uint32_t n)
{
        UNTIL(atomic_load(&engine_inside(id)->room_waiters) == n);
}

static void finish(struct submitter *submitter)
{
        thread_end(submitter->thread);
        assert_int_equal(submitter->result, 0);
        assert_int_equal(engine_finish(submitter->handle).fate, VMREQ_FATE_DONE);
}

/* ---- a lane ---- */

static void test_full_lane(void **state)
{
        struct vmreq_spec spec;
        struct submitter submitter;
        struct gate gate;
        vmreq_handle first;

        (void)state;
        id = new_vm(2, 0, 1);
        engine_hold(id, 1, &gate);
        spec = engine_spec(1, 0, log_callee, &ran);
        first = engine_submit(id, &spec);
        start(&submitter, 1, 0);
        until_waiting(1);
        assert_int_equal(atomic_load(&submitter.through), 0);
        gate_open(&gate);
        finish(&submitter);
        (void)engine_finish(first);
        until_waiting(0);
        engine_end(id);
}

/* Its own failed tries make no room: it sleeps. */
static void test_waiter_sleeps(void **state)
{
        struct submitter submitters[2];
        struct vmreq_spec spec;
        struct gate gate;
        vmreq_handle first;
        uint64_t until;

        (void)state;
        id = new_vm(2, 0, 1);
        engine_hold(id, 1, &gate);
        spec = engine_spec(1, 0, log_callee, &ran);
        first = engine_submit(id, &spec);
        for (size_t i = 0; i < 2; i++)
                start(&submitters[i], 1, 0);
        until_waiting(2);
        /* Something goes on elsewhere meanwhile, for a while. */
        until = clock_now_ns() + 200 * CLOCK_NS_PER_MS;
        while (clock_now_ns() < until)
                UNTIL(clock_now_ns() >= until);
        gate_open(&gate);
        for (size_t i = 0; i < 2; i++) {
                finish(&submitters[i]);
                assert_true(atomic_load(&submitters[i].cpu_ns) < 20 * CLOCK_NS_PER_MS);
        }
        (void)engine_finish(first);
        engine_end(id);
}

/* ---- the slab ---- */

static void test_full_slab(void **state)
{
        struct vmreq_spec spec;
        struct submitter submitter;
        vmreq_handle handles[3];

        (void)state;
        id = new_vm(2, 3, 0);
        spec = engine_spec(1, 0, log_callee, &ran);
        for (size_t i = 0; i < 3; i++) {
                handles[i] = engine_submit(id, &spec);
                assert_int_equal(vmreq_wait(handles[i], VMREQ_FOREVER), 0);
        }
        start(&submitter, 1, 0);
        until_waiting(1);
        /* Complete ones are in use until their owner gives them back. */
        assert_int_equal(atomic_load(&submitter.through), 0);
        assert_int_equal(vmreq_free(handles[0]), 0);
        finish(&submitter);
        for (size_t i = 1; i < 3; i++)
                assert_int_equal(vmreq_free(handles[i]), 0);
        engine_end(id);
}

static void test_broadcast_waits(void **state)
{
        struct vmreq_spec spec;
        struct submitter submitter;
        vmreq_handle handles[3];

        (void)state;
        id = new_vm(2, 4, 0);
        spec = engine_spec(1, 0, log_callee, &ran);
        for (size_t i = 0; i < 3; i++) {
                handles[i] = engine_submit(id, &spec);
                assert_int_equal(vmreq_wait(handles[i], VMREQ_FOREVER), 0);
        }
        /* One packet is free, it needs three. */
        start(&submitter, VMREQ_CPU_ALL, VMREQ_PARALLEL);
        until_waiting(1);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(vmreq_free(handles[i]), 0);
        finish(&submitter);
        engine_end(id);
}

/* ---- limits ---- */

static void test_deadline(void **state)
{
        struct vmreq_spec spec;
        struct hooked hooked;
        struct gate gate;
        vmreq_handle first, second;

        (void)state;
        id = new_vm(2, 0, 1);
        engine_hold(id, 1, &gate);
        spec = engine_spec(1, 0, log_callee, &ran);
        first = engine_submit(id, &spec);
        spec = waiting_spec(1, 0);
        hooked_on(&hooked, &spec);
        spec.deadline_ns = clock_now_ns() + 3 * CLOCK_NS_PER_MS;
        /* Nothing was accepted: no fate, no hook. */
        assert_int_equal(vmreq_submit(id, &spec, &second), VMREQ_E_TIMEOUT);
        assert_true(clock_now_ns() >= spec.deadline_ns);
        assert_int_equal(second.generation, 0);
        assert_int_equal(hooked.completes + hooked.releases, 0);
        gate_open(&gate);
        (void)engine_finish(first);
        engine_end(id);
}

static void test_closed(void **state)
{
        struct submitter submitters[2];
        struct vmreq_spec spec;
        struct gate gate;
        vmreq_handle first;

        (void)state;
        id = new_vm(2, 0, 1);
        engine_hold(id, 1, &gate);
        spec = engine_spec(1, 0, log_callee, &ran);
        first = engine_submit(id, &spec);
        start(&submitters[0], 1, 0);
        start(&submitters[1], VMREQ_CPU_ALL, 0);
        until_waiting(2);
        assert_int_equal(vmreq_vm_close(id), 0);
        for (size_t i = 0; i < 2; i++) {
                thread_end(submitters[i].thread);
                assert_int_equal(submitters[i].result, VMREQ_E_CLOSED);
        }
        assert_int_equal(vmreq_free(first), 0);
        gate_open(&gate);
        engine_end(id);
}

/* ---- on an EMT ---- */

static int32_t fill_own_lane(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        struct vmreq_spec spec =
                waiting_spec(VMREQ_CPU_ANY_QUEUE, VMREQ_NO_WAIT | (uint32_t)args[0]);
        int r = 0;

        (void)ctx;
        (void)argc;
        (void)reply;
        /* The lane has two places and this is the only EMT: from the third on it must serve to make
         * room. */
        for (int i = 0; i < 6 && r == 0; i++)
                r = vmreq_submit(id, &spec, NULL);
        return r;
}

static void test_emt_serves_meanwhile(void **state)
{
        static const uint64_t flags[] = {0, VMREQ_PRIORITY};

        (void)state;
        for (size_t i = 0; i < 2; i++) {
                struct vmreq_spec spec;

                id = new_vm(1, 0, 2);
                spec = engine_spec(0, 0, fill_own_lane, NULL);
                spec.args = &flags[i];
                spec.argc = 1;
                assert_int_equal(engine_finish(engine_submit(id, &spec)).status, 0);
                UNTIL(atomic_load(&ran.n) == 6);
                engine_end(id);
        }
}

static void test_emt_no_nest(void **state)
{
        uint64_t flags = VMREQ_NO_NEST;
        struct vmreq_spec spec;

        (void)state;
        id = new_vm(1, 0, 2);
        spec = engine_spec(0, 0, fill_own_lane, NULL);
        spec.args = &flags;
        spec.argc = 1;
        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, VMREQ_E_DEADLOCK);
        UNTIL(atomic_load(&ran.n) == 2);
        engine_end(id);
}

/* ---- a skipped child's place ---- */

static int32_t fail_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        return -1;
}

/* A broadcast that stops early gives back the places of those it skips, and who waits for one is
 * told. */
static void test_skipped_child_makes_room(void **state)
{
        struct vmreq_spec spec;
        struct submitter submitter;
        vmreq_handle all;
        struct gate gate;

        (void)state;
        id = new_vm(2, 0, 1);
        engine_hold(id, 0, &gate);
        spec = engine_spec(VMREQ_CPU_ALL, 0, fail_callee, NULL);
        all = engine_submit(id, &spec);
        /* EMT 1 does nothing, but its only place is set aside. */
        start(&submitter, 1, 0);
        until_waiting(1);
        assert_int_equal(atomic_load(&submitter.through), 0);
        gate_open(&gate);
        finish(&submitter);
        assert_int_equal(vmreq_wait(all, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_free(all), 0);
        engine_end(id);
}

/* ---- many ---- */

#define THREADS 4u
#define EACH    400u

static void *submit_many(void *arg)
{
        for (uint32_t i = 0; i < EACH; i++) {
                uint32_t n = (uint32_t)(uintptr_t)arg + i;
                struct vmreq_spec spec = waiting_spec(n % 5 == 4   ? VMREQ_CPU_ALL
                                                      : n % 5 == 3 ? VMREQ_CPU_ANY
                                                                   : n % 2,
                                                      VMREQ_NO_WAIT);

                spec.kind = VMREQ_FN_U64;
                spec.fn = (vmreq_fn)vmreq_now;
                CHECK(vmreq_submit(id, &spec, NULL) == 0);
        }
        return NULL;
}

/* Nobody is refused, nobody is forgotten. */
static void test_many(void **state)
{
        static const struct {
                uint32_t slab, lane;
        } sizes[] = {{0, 1}, {3, 0}, {7, 2}};

        (void)state;
        for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
                pthread_t threads[THREADS];

                id = new_vm(2, sizes[s].slab, sizes[s].lane);
                for (size_t i = 0; i < THREADS; i++)
                        threads[i] = thread_start(submit_many, (void *)(uintptr_t)i);
                for (size_t i = 0; i < THREADS; i++)
                        thread_end(threads[i]);
                engine_until_home(id);
                assert_int_equal(engine_stats(id).submitted, THREADS * EACH);
                assert_int_equal(engine_stats(id).refused, 0);
                engine_end(id);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_full_lane),
                cmocka_unit_test(test_waiter_sleeps),
                cmocka_unit_test(test_full_slab),
                cmocka_unit_test(test_broadcast_waits),
                cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_closed),
                cmocka_unit_test(test_emt_serves_meanwhile),
                cmocka_unit_test(test_emt_no_nest),
                cmocka_unit_test(test_skipped_child_makes_room),
                cmocka_unit_test(test_many),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
