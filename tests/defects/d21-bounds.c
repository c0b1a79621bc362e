/* SPDX-License-Identifier: MIT */
/* D21, D22, D23: EMTs that wait for each other, work without end, queues without bound. */
#include "defects.h"
#include "lib/emts.h"

static void note_cpu(void)
{
        log_add(&ran, vmreq_emt_self(id));
}

/* ---- D21: no deadlock detection ---- */

/* Two EMTs in their callees at once, each about to do something that needs the other. */
struct pair {
        pthread_barrier_t both;
        int32_t (*fn)(uint32_t other);
};

static int32_t meet(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        struct pair *pair = ctx;

        (void)args;
        (void)argc;
        (void)pthread_barrier_wait(&pair->both);
        return pair->fn(1 - reply->cpu);
}

static void assert_pair(int32_t (*fn)(uint32_t other), uint32_t n_run)
{
        struct pair pair = {.fn = fn};

        assert_int_equal(pthread_barrier_init(&pair.both, NULL, 2), 0);
        for (int round = 0; round < 50; round++) {
                vmreq_handle handles[2];

                atomic_store(&ran.n, 0);
                for (uint32_t i = 0; i < 2; i++) {
                        struct vmreq_spec spec = engine_spec(i, 0, meet, &pair);

                        handles[i] = engine_submit(id, &spec);
                }
                for (uint32_t i = 0; i < 2; i++)
                        assert_int_equal(assert_done(handles[i]).status, 0);
                assert_int_equal(atomic_load(&ran.n), n_run);
        }
        (void)pthread_barrier_destroy(&pair.both);
}

static int32_t wait_for_other(uint32_t other)
{
        return vmreq_call_void_wait(id, other, note_cpu, 0);
}

static void d21_two_that_wait_for_each_other(void **state)
{
        (void)state;
        assert_pair(wait_for_other, 2);
        engine_end(id);
}

static int32_t wait_for_all(uint32_t other)
{
        return vmreq_call_void_wait(id, other ? VMREQ_CPU_ALL : VMREQ_CPU_ALL_REVERSE, note_cpu, 0);
}

static void d21_two_that_broadcast(void **state)
{
        (void)state;
        assert_pair(wait_for_all, 4);
        engine_end(id);
}

static int32_t count_in(void *ctx, uint32_t cpu)
{
        log_add(ctx, cpu);
        return 0;
}

static int32_t meet_all(uint32_t other)
{
        if (other == 0)
                return vmreq_call_void_wait(id, other, note_cpu, 0);
        return vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, ENGINE_FAR_NS, count_in, &ran, NULL,
                                0);
}

/* EMT 1 waits for EMT 0, which wants a rendezvous with it. */
static void d21_target_that_wants_a_rendezvous(void **state)
{
        (void)state;
        assert_pair(meet_all, 3);
        engine_end(id);
}

static int32_t wait_for_any_queue(void *ctx)
{
        (void)ctx;
        return vmreq_call_void_wait(id, VMREQ_CPU_ANY_QUEUE, note_cpu, 0);
}

static void d21_only_emt_that_waits_for_any(void **state)
{
        (void)state;
        assert_int_equal(on_emt(id, 0, wait_for_any_queue, NULL), 0);
        assert_int_equal(atomic_load(&ran.n), 1);
        engine_end(id);
}

/*
 * Waits in waits in waits: at the limit it is said so at once, and everything accepted still runs.
 */
static struct {
        uint32_t depth, refused_at;
} nest;

static int32_t wait_deeper(void *ctx)
{
        static struct errand errand = {wait_deeper, NULL};
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY_QUEUE, 0, errand_callee, &errand);
        vmreq_handle handle;
        int r;

        (void)ctx;
        if (nest.refused_at)
                return 0;
        nest.depth++;
        CHECK(vmreq_submit(id, &spec, &handle) == 0);
        r = vmreq_wait(handle, VMREQ_FOREVER);
        if (r == VMREQ_E_DEADLOCK && !nest.refused_at)
                nest.refused_at = nest.depth;
        else
                CHECK(r == 0);
        CHECK(vmreq_free(handle) == 0);
        return 0;
}

static void d21_limit_says_deadlock(void **state)
{
        (void)state;
        memset(&nest, 0, sizeof(nest));
        assert_int_equal(on_emt(id, 0, wait_deeper, NULL), 0);
        assert_int_equal(nest.refused_at, VMREQ_NEST_MAX + 1);
        engine_until_home(id);
        assert_int_equal(engine_emt(id, 0).done, VMREQ_NEST_MAX + 2);
        engine_end(id);
}

static int32_t wait_without_nesting(void *ctx)
{
        vmreq_handle handle;
        int r;

        (void)ctx;
        r = vmreq_call(id, VMREQ_CPU_ANY_QUEUE, &handle, VMREQ_FOREVER, VMREQ_NO_NEST | VMREQ_VOID,
                       note_cpu, 0);
        CHECK(handle.generation == 0 || vmreq_free(handle) == 0);
        return r;
}

static void d21_no_nesting_says_deadlock(void **state)
{
        (void)state;
        assert_int_equal(on_emt(id, 0, wait_without_nesting, NULL), VMREQ_E_DEADLOCK);
        UNTIL(atomic_load(&ran.n) == 1);
        engine_until_home(id);
        engine_end(id);
}

/* ---- D22: draining without end ---- */

/* Work that never ends: each request queues the next one before it is over. */
struct chain {
        struct vmreq_spec spec;
        _Atomic bool stop;
        _Atomic uint64_t links;
};

static int32_t chain_callee(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        struct chain *chain = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        atomic_fetch_add(&chain->links, 1);
        if (!atomic_load(&chain->stop)) {
                int r = vmreq_submit(id, &chain->spec, NULL);

                CHECK(r == 0 || r == VMREQ_E_CLOSED);
        }
        return 0;
}

static void chain_start(struct chain *chain, uint32_t flags, uint32_t n)
{
        chain->spec = engine_spec(VMREQ_CPU_ANY_QUEUE, flags | VMREQ_NO_WAIT, chain_callee, chain);
        atomic_store(&chain->stop, false);
        atomic_store(&chain->links, 0);
        for (uint32_t i = 0; i < n; i++)
                assert_int_equal(vmreq_submit(id, &chain->spec, NULL), 0);
        UNTIL(atomic_load(&chain->links) > 100);
}

static void chain_end(struct chain *chain)
{
        atomic_store(&chain->stop, true);
        engine_until_home(id);
}

/* Whatever else there is to do is done beside it. */
static void assert_everything_served(void)
{
        static const uint32_t cpus[] = {0, VMREQ_CPU_ANY_QUEUE, VMREQ_CPU_ALL};

        for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
                vmreq_handle handle;

                for (uint32_t flags = 0; flags <= VMREQ_PRIORITY; flags += VMREQ_PRIORITY) {
                        assert_int_equal(vmreq_call(id, cpus[i], &handle, defects_soon_ns(),
                                                    flags | VMREQ_VOID, note_cpu, 0),
                                         0);
                        assert_int_equal(vmreq_free(handle), 0);
                }
        }
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, defects_soon_ns(), count_in,
                                          &ran, NULL, 0),
                         0);
}

static void d22_steady_work_holds_up_nothing(void **state)
{
        static const uint32_t flags[] = {0, VMREQ_PRIORITY};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
                struct chain chain;

                chain_start(&chain, flags[i], 3);
                assert_everything_served();
                assert_int_equal(vmreq_vm_change(id, i ? VMREQ_EVENT_SUSPEND : VMREQ_EVENT_POWER_ON,
                                                 defects_soon_ns(), NULL, NULL),
                                 0);
                assert_everything_served();
                chain_end(&chain);
        }
        engine_end(id);
}

static void d22_steady_work_does_not_keep_a_vm(void **state)
{
        struct chain chain;

        (void)state;
        chain_start(&chain, 0, 3);
        /* It goes on until the VM refuses it. */
        assert_int_equal(vmreq_vm_stop(id, vmreq_now() + defects_soon_ns(), NULL, 0), 0);
        engine_end(id);
}

/* At most one batch passes before the EMT looks at a rendezvous. */
static int32_t note_links(void *ctx, uint32_t cpu)
{
        (void)cpu;
        log_add(&ran, atomic_load((_Atomic uint64_t *)ctx));
        return 0;
}

static void *rendezvous_it(void *ctx)
{
        CHECK(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ONCE, 0, ENGINE_FAR_NS, note_links, ctx, NULL,
                               0) == 0);
        return NULL;
}

static _Atomic uint64_t links;

static void count_link(void)
{
        atomic_fetch_add(&links, 1);
}

static void d22_a_batch_is_bounded(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct gate gate;
        pthread_t thread;

        (void)state;
        engine_end(id);
        config.batch = 8;
        id = engine_new_with(&config);
        atomic_store(&links, 0);
        engine_hold(id, 0, &gate);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(vmreq_call_void_nowait(id, 0, count_link, 0), 0);
        thread = thread_start(rendezvous_it, &links);
        UNTIL(atomic_load(&engine_inside(id)->rendezvous.calling));
        gate_open(&gate);
        thread_end(thread);
        /* The held one and seven more at most. */
        assert_int_equal(atomic_load(&ran.n), 1);
        assert_true(atomic_load(&ran.items[0]) < 8);
        engine_until_home(id);
        assert_int_equal(atomic_load(&links), 1000);
        engine_end(id);
}

/* The four lanes that one EMT serves. */
static const struct {
        uint32_t cpu, flags;
} four[] = {{0, 0}, {VMREQ_CPU_ANY, 0}, {0, VMREQ_PRIORITY}, {VMREQ_CPU_ANY, VMREQ_PRIORITY}};

#define BACKLOG 300u

static _Atomic uint32_t position, victim_position;

static void count_one(uint32_t victim)
{
        uint32_t mine = atomic_fetch_add(&position, 1) + 1;

        if (victim)
                atomic_store(&victim_position, mine);
}

/* One request in lane `victim`, a long backlog in each lane of the set `busy`: after how many is
 * its turn? */
static uint32_t turn_of(uint32_t victim, uint32_t busy, uint32_t priority_run)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct gate gate;

        config.priority_run = priority_run;
        id = engine_new_with(&config);
        atomic_store(&position, 0);
        engine_hold(id, 0, &gate);
        for (uint32_t lane = 0; lane < ARRAY_SIZE(four); lane++)
                for (uint32_t i = 0; i < (lane == victim ? 1 : busy >> lane & 1 ? BACKLOG : 0); i++)
                        assert_int_equal(vmreq_call(id, four[lane].cpu, NULL, 0,
                                                    four[lane].flags | VMREQ_VOID | VMREQ_NO_WAIT,
                                                    (vmreq_fn)count_one, 1,
                                                    VMREQ_W(lane == victim)),
                                         0);
        gate_open(&gate);
        engine_until_home(id);
        engine_end(id);
        return atomic_load(&victim_position);
}

/* No lane starves behind the others, whichever of them are busy. */
static void d22_no_lane_starves(void **state)
{
        static const uint32_t runs[] = {1, 2, 3, 4, 16};

        (void)state;
        engine_end(id);
        for (size_t r = 0; r < ARRAY_SIZE(runs); r++)
                for (uint32_t victim = 0; victim < ARRAY_SIZE(four); victim++)
                        for (uint32_t busy = 0; busy < 1u << ARRAY_SIZE(four); busy++) {
                                /* Two rounds of the lanes of its level, each behind a run of
                                 * priority requests. */
                                uint32_t limit = 2 * (runs[r] + 1) + 1, turn;

                                if (busy >> victim & 1)
                                        continue;
                                turn = turn_of(victim, busy, runs[r]);
                                if (turn > limit)
                                        fail_msg(
                                                "lane %u behind the lanes 0x%x, run of %u: its turn is %u, not up to %u",
                                                victim, busy, runs[r], turn, limit);
                        }
}

/* A priority request for this EMT is not behind normal work for any. */
static void d22_own_priority_before_any_normal(void **state)
{
        (void)state;
        engine_end(id);
        assert_int_equal(turn_of(2, 1u << 0 | 1u << 1, 16), 1);
        assert_int_equal(turn_of(3, 1u << 0 | 1u << 1, 16), 1);
}

/* ---- D23: no bound on the queues ---- */

static void d23_full_lane_is_busy(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        engine_end(id);
        config.lane_capacity = 10;
        for (size_t lane = 0; lane < ARRAY_SIZE(four); lane++) {
                struct vmreq_spec spec;
                vmreq_handle handle;
                struct gate gate;

                id = engine_new_with(&config);
                engine_hold(id, 0, &gate);
                spec = engine_spec(four[lane].cpu, four[lane].flags, log_callee, &ran);
                for (uint32_t i = 0; i < 10; i++) {
                        handle = engine_submit(id, &spec);
                        assert_int_equal(vmreq_free(handle), 0);
                }
                for (uint32_t i = 0; i < 100; i++) {
                        struct hooked hooked;

                        hooked_on(&hooked, &spec);
                        assert_int_equal(vmreq_submit(id, &spec, &handle), VMREQ_E_BUSY);
                        assert_int_equal(handle.generation, 0);
                        assert_int_equal(
                                atomic_load(&hooked.completes) + atomic_load(&hooked.releases), 0);
                }
                assert_int_equal(engine_stats(id).refused, 100);
                /* The other lanes have room. */
                for (size_t other = 0; other < ARRAY_SIZE(four); other++)
                        if (other != lane)
                                assert_int_equal(
                                        vmreq_call(id, four[other].cpu, NULL, 0,
                                                   four[other].flags | VMREQ_NO_WAIT | VMREQ_VOID,
                                                   note_cpu, 0),
                                        0);
                gate_open(&gate);
                engine_until_home(id);
                spec = engine_spec(four[lane].cpu, four[lane].flags, log_callee, &ran);
                (void)assert_done(engine_submit(id, &spec));
                engine_end(id);
        }
}

static void d23_full_slab_is_busy(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        vmreq_handle handles[16], extra;
        struct vmreq_spec spec;

        (void)state;
        engine_end(id);
        config.slab = ARRAY_SIZE(handles);
        id = engine_new_with(&config);
        spec = engine_spec(0, 0, log_callee, &ran);
        for (uint32_t i = 0; i < ARRAY_SIZE(handles); i++)
                handles[i] = engine_submit(id, &spec);
        /* Complete or not, they are somebody's until they are given back. */
        for (uint32_t i = 0; i < 100; i++)
                assert_int_equal(vmreq_submit(id, &spec, &extra), VMREQ_E_BUSY);
        assert_int_equal(engine_stats(id).in_use, ARRAY_SIZE(handles));
        for (uint32_t i = 0; i < ARRAY_SIZE(handles); i++)
                (void)assert_done(handles[i]);
        assert_whole_slab(id);
        engine_end(id);
}

static void *submit_it(void *arg)
{
        struct vmreq_spec spec = *(struct vmreq_spec *)arg;

        return (void *)(intptr_t)vmreq_submit(id, &spec, NULL);
}

/* Who asks to wait for room gets it when there is some; or is told, and nothing was accepted. */
static void d23_waits_for_room_if_asked(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct vmreq_spec spec;
        struct hooked hooked;
        pthread_t threads[3];
        struct gate gate;
        void *result;

        (void)state;
        engine_end(id);
        config.lane_capacity = 2;
        id = engine_new_with(&config);
        engine_hold(id, 0, &gate);
        spec = engine_spec(0, VMREQ_NO_WAIT, log_callee, &ran);
        for (int i = 0; i < 2; i++)
                assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        assert_int_equal(vmreq_submit(id, &spec, NULL), VMREQ_E_BUSY);
        spec.flags |= VMREQ_WAIT_ROOM;
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
                threads[i] = thread_start(submit_it, &spec);
        {
                struct vmreq_spec late = spec;
                int r;

                hooked_on(&hooked, &late);
                late.deadline_ns = vmreq_now() + CLOCK_NS_PER_MS;
                r = vmreq_submit(id, &late, NULL);
                /* Its time may also pass inside one of its tries: then it was accepted, and has
                 * expired. */
                if (r == 0) {
                        UNTIL(atomic_load(&hooked.releases) == 1);
                        assert_int_equal(atomic_load(&hooked.completes), 1);
                } else {
                        assert_int_equal(r, VMREQ_E_TIMEOUT);
                        assert_int_equal(
                                atomic_load(&hooked.completes) + atomic_load(&hooked.releases), 0);
                }
        }
        gate_open(&gate);
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
                assert_int_equal(pthread_join(threads[i], &result), 0);
                assert_int_equal((intptr_t)result, 0);
        }
        engine_until_home(id);
        assert_int_equal(atomic_load(&ran.n), 2 + ARRAY_SIZE(threads));
        engine_end(id);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(d21_two_that_wait_for_each_other, setup2),
                cmocka_unit_test_setup(d21_two_that_broadcast, setup2),
                cmocka_unit_test_setup(d21_target_that_wants_a_rendezvous, setup2),
                cmocka_unit_test_setup(d21_only_emt_that_waits_for_any, setup1),
                cmocka_unit_test_setup(d21_limit_says_deadlock, setup1),
                cmocka_unit_test_setup(d21_no_nesting_says_deadlock, setup1),
                cmocka_unit_test_setup(d22_steady_work_holds_up_nothing, setup1),
                cmocka_unit_test_setup(d22_steady_work_does_not_keep_a_vm, setup1),
                cmocka_unit_test_setup(d22_a_batch_is_bounded, setup1),
                cmocka_unit_test_setup(d22_no_lane_starves, setup1),
                cmocka_unit_test_setup(d22_own_priority_before_any_normal, setup1),
                cmocka_unit_test_setup(d23_full_lane_is_busy, setup1),
                cmocka_unit_test_setup(d23_full_slab_is_busy, setup1),
                cmocka_unit_test_setup(d23_waits_for_room_if_asked, setup1),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
