/* SPDX-License-Identifier: MIT */
/* Takers, broadcasts, sleepers and the service, each preempted where it hurts most.  Submitters:
 * test-steps-submit.c. */
#include "unit/vm/steps.h"

/* ---- a taker, preempted between the take and the claim ---- */

static struct vmreq_spec again;

/* All packets but those that are in use by now: what is given back next is taken next. */
static vmreq_handle kept[SLAB];

static void keep_packets(void)
{
        memset(kept, 0, sizeof(kept));
        for (uint32_t i = 0; vmreq_alloc(id, &again, &kept[i]) == 0; i++)
                ;
}

static void free_packets(void)
{
        for (uint32_t i = 0; kept[i].generation; i++)
                assert_int_equal(vmreq_free(kept[i]), 0);
}

static sem_t reused;

static void cancel_and_reuse(void)
{
        keep_packets();
        CHECK(vmreq_cancel(victim) == VMREQ_VERDICT_REMOVED);
        CHECK(vmreq_free(victim) == 0);
        CHECK(vmreq_submit(id, &again, &other) == 0);
        CHECK(sem_post(&reused) == 0);
}

/* Its packet is cancelled, freed, and somebody else's by the time of the claim: on the same lane,
 * and on another. */
static void test_reused_before_the_claim(void **state)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY_QUEUE};

        (void)state;
        assert_int_equal(sem_init(&reused, 0, 0), 0);
        for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
                struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);

                memset(&ran, 0, sizeof(ran));
                hold_all();
                victim = engine_submit(id, &spec);
                again = engine_spec(cpus[i], 0, log_callee, &ran);
                atomic_store(&taken.before, cancel_and_reuse);
                gate_open(&gates[0]);
                sem_down(&reused);
                free_packets();
                UNTIL(engine_emt(id, 0).skipped == i + 1);
                for (uint32_t cpu = 1; cpu < CPUS; cpu++)
                        gate_open(&gates[cpu]);
                assert_int_equal(other.index, victim.index);
                if (cpus[i] < CPUS)
                        assert_int_equal(engine_finish(other).cpu, cpus[i]);
                else
                        (void)engine_finish(other);
                assert_int_equal(atomic_load(&ran.n), 1);
        }
}

static void test_cancelled_before_the_claim(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);

        (void)state;
        hold_all();
        hooked_on(&hooked, &spec);
        victim = engine_submit(id, &spec);
        atomic_store(&taken.before, do_cancel);
        release_all();
        assert_int_equal(engine_finish(victim).fate, VMREQ_FATE_CANCELLED);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_CANCELLED);
        UNTIL(engine_emt(id, 0).skipped == 1);
        assert_int_equal(atomic_load(&ran.n), 0);
}

/* ---- broadcasts ---- */

static void do_queue(void)
{
        CHECK(vmreq_queue(victim, VMREQ_FOREVER) == 0);
}

/* Two threads queue one broadcast; the slower one wakes up when the whole of it is over. */
static void test_queued_again_when_over(void **state)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ALL, 0, log_callee, &ran);

        (void)state;
        hooked_on(&hooked, &spec);
        assert_int_equal(vmreq_alloc(id, &spec, &victim), 0);
        atomic_store(&queue_broadcast.before, do_queue);
        assert_int_equal(vmreq_queue(victim, VMREQ_FOREVER), VMREQ_E_STATE);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
        assert_int_equal(atomic_load(&ran.n), CPUS);
        assert_int_equal(vmreq_free(victim), 0);
        engine_until_home(id);
}

#define D VMREQ_FATE_DONE
#define C VMREQ_FATE_CANCELLED
#define E VMREQ_FATE_EXPIRED
#define K VMREQ_FATE_KILLED
#define S VMREQ_FATE_SKIPPED

/* Ended while the first child is QUEUED but not on its lane yet. */
static void test_broadcast_ended_before_the_push(void **state)
{
        static const struct {
                void (*fn)(void);
                uint32_t flags;
                enum vmreq_fate fates[CPUS];
        } rows[] = {
                {do_cancel, 0, {C, S, S}}, {do_cancel, VMREQ_PARALLEL, {C, S, S}},
                {do_expire, 0, {E, S, S}}, {do_expire, VMREQ_PARALLEL, {E, S, S}},
                {do_close, 0, {K, S, S}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct vmreq_spec spec =
                        engine_spec(VMREQ_CPU_ALL, rows[i].flags, log_callee, &ran);

                hold_all();
                hooked_on(&hooked, &spec);
                spec.deadline_ns = due;
                assert_int_equal(vmreq_alloc(id, &spec, &victim), 0);
                atomic_store(&fill_reserved.before, rows[i].fn);
                assert_int_equal(vmreq_queue(victim, 0), 0);
                assert_hooked(&hooked, VMREQ_FATE_DONE);
                assert_int_equal(hooked.rows, CPUS);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        assert_int_equal(hooked.row[cpu].fate, rows[i].fates[cpu]);
                assert_int_equal(vmreq_free(victim), 0);
                release_all();
        }
        assert_int_equal(atomic_load(&ran.n), 0);
}

/* Ended on the way from the first EMT to the second: the pass is on the first EMT. */
static void test_broadcast_ended_while_passing_on(void **state)
{
        static const struct {
                void (*fn)(void);
                enum vmreq_fate fates[CPUS];
        } rows[] = {
                {do_cancel, {D, C, S}},
                {do_expire, {D, E, S}},
                {do_close, {D, K, S}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct vmreq_spec spec = engine_spec(VMREQ_CPU_ALL, 0, log_callee, &ran);

                memset(&ran, 0, sizeof(ran));
                engine_hold(id, 0, &gates[0]);
                hooked_on(&hooked, &spec);
                spec.deadline_ns = due;
                victim = engine_submit(id, &spec);
                /* The first child stands on its lane; the next push is the second one's. */
                atomic_store(&fill_reserved.before, rows[i].fn);
                gate_open(&gates[0]);
                sem_down(&hooked.released);
                assert_hooked(&hooked, VMREQ_FATE_DONE);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        assert_int_equal(hooked.row[cpu].fate, rows[i].fates[cpu]);
                assert_int_equal(atomic_load(&ran.n), 1);
                assert_int_equal(vmreq_free(victim), 0);
        }
}

/* Closed after the broadcast has looked whether it may start, before its first child looks. */
static void test_broadcast_closed_while_starting(void **state)
{
        static const uint32_t forms[] = {0, VMREQ_PARALLEL};

        (void)state;
        for (size_t f = 0; f < 2; f++) {
                struct vmreq_spec spec = engine_spec(VMREQ_CPU_ALL, forms[f], log_callee, &ran);
                vmreq_handle handle = {0};
                int r;

                hooked_on(&hooked, &spec);
                spec.deadline_ns = due;
                atomic_store(&note.after, do_close);
                r = vmreq_submit(id, &spec, &handle);
                /* Refused without a hook, or accepted with all of them. */
                if (r == 0) {
                        assert_hooked(&hooked, VMREQ_FATE_DONE);
                        assert_int_equal(vmreq_free(handle), 0);
                } else {
                        assert_int_equal(r, VMREQ_E_CLOSED);
                        assert_int_equal(hooked.completes + hooked.releases + hooked.rows, 0);
                }
                teardown(NULL);
                setup(NULL);
        }
        assert_int_equal(atomic_load(&ran.n), 0);
}

/* ---- sleepers ---- */

static void queue_for_any(void)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY_QUEUE, VMREQ_NO_WAIT, log_callee, &ran);

        CHECK(vmreq_submit(id, &spec, NULL) == 0);
}

static int32_t nothing(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        return 0;
}

/* Work comes between an EMT's last look and its sleep, from before and from behind its
 * announcement; the others are busy, so nobody else will take it. */
static void test_work_before_the_sleep(void **state)
{
        (void)state;
        for (int behind = 0; behind < 2; behind++) {
                struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT, nothing, NULL);

                memset(&ran, 0, sizeof(ran));
                hold_all();
                atomic_store(behind ? &announce.after : &announce.before, queue_for_any);
                gate_open(&gates[0]);
                UNTIL(atomic_load(&ran.n) == 1);
                /* It can still be woken. */
                (void)engine_submit(id, &spec);
                UNTIL(engine_emt(id, 0).done == 3 * (uint64_t)(behind + 1));
                for (uint32_t cpu = 1; cpu < CPUS; cpu++)
                        gate_open(&gates[cpu]);
        }
}

static int32_t wait_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        void (*_Atomic *at)(void) = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        /* Armed by the EMT itself, so that no other sleeper fires it. */
        atomic_store(at, do_cancel);
        return vmreq_wait(victim, VMREQ_FOREVER);
}

/* What an EMT waits for ends between its last look and its sleep. */
static void test_end_before_an_emt_sleeps(void **state)
{
        (void)state;
        for (int behind = 0; behind < 2; behind++) {
                struct vmreq_spec spec;
                vmreq_handle waiter;

                hold_all();
                spec = engine_spec(1, 0, log_callee, &ran);
                victim = engine_submit(id, &spec);
                spec = engine_spec(0, 0, wait_callee, behind ? &announce.after : &announce.before);
                waiter = engine_submit(id, &spec);
                gate_open(&gates[0]);
                assert_int_equal(engine_finish(waiter).status, 0);
                assert_int_equal(engine_finish(victim).fate, VMREQ_FATE_CANCELLED);
                for (uint32_t cpu = 1; cpu < CPUS; cpu++)
                        gate_open(&gates[cpu]);
        }
}

/* The same for a foreign waiter. */
static void test_end_before_a_waiter_sleeps(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);

        (void)state;
        hold_all();
        victim = engine_submit(id, &spec);
        atomic_store(&sleep_on.before, do_cancel);
        assert_int_equal(vmreq_wait(victim, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_free(victim), 0);
        release_all();
}

static void do_unpark(void)
{
        CHECK(vmreq_unpark(id, 0) == 0);
}

static void do_cancel_running(void)
{
        CHECK(vmreq_cancel(vmreq_current()) == VMREQ_VERDICT_RUNNING);
}

static int32_t park_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        atomic_store(&sleep_on.before, *(void (**)(void))ctx);
        return vmreq_park(VMREQ_FOREVER);
}

/* A parked callee is unparked, or asked to end, between its last look and its sleep. */
static void test_before_a_callee_parks(void **state)
{
        static const struct {
                void (*fn)(void);
                int32_t result;
        } rows[] = {
                {do_unpark, 0},
                {do_cancel_running, VMREQ_E_CANCELLED},
                {do_close, VMREQ_E_CANCELLED},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                void (*fn)(void) = rows[i].fn;
                struct vmreq_spec spec = engine_spec(0, 0, park_callee, &fn);

                /* The others sleep already, and this thread only looks. */
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        engine_until_asleep(id, cpu);
                spec.flags = VMREQ_NO_NEST;
                victim = engine_submit(id, &spec);
                UNTIL(engine_state(victim) == VMREQ_REQ_COMPLETED);
                assert_int_equal(engine_finish(victim).status, rows[i].result);
        }
}

/* ---- the service ---- */

static void recycle(void)
{
        keep_packets();
        do_cancel();
        CHECK(vmreq_free(victim) == 0);
        CHECK(vmreq_submit(id, &again, &other) == 0);
}

/* The service has read a due time; by the time that it looks at the packet, that is another's. */
static void test_reused_before_it_expires(void **state)
{
        struct vmreq_spec spec;

        (void)state;
        hold_all();
        for (uint32_t i = 0; i < pool_high_water(&engine_inside(id)->pool); i++)
                assert_int_equal(atomic_load(&engine_inside(id)->due[i]), 0);
        spec = engine_spec(0, 0, log_callee, &ran);
        spec.deadline_ns = due;
        victim = engine_submit(id, &spec);
        again = engine_spec(0, 0, log_callee, &ran);
        atomic_store(&look_up.before, recycle);
        assert_int_equal(vmreq_vm_service(id, due), UINT64_MAX);
        free_packets();
        assert_int_equal(other.index, victim.index);
        assert_int_equal(engine_state(other), VMREQ_REQ_QUEUED);
        release_all();
        assert_int_equal(engine_finish(other).fate, VMREQ_FATE_DONE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_reused_before_the_claim, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cancelled_before_the_claim, setup, teardown),
                cmocka_unit_test_setup_teardown(test_queued_again_when_over, setup, teardown),
                cmocka_unit_test_setup_teardown(test_broadcast_ended_before_the_push, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_broadcast_ended_while_passing_on, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_broadcast_closed_while_starting, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_work_before_the_sleep, setup, teardown),
                cmocka_unit_test_setup_teardown(test_end_before_an_emt_sleeps, setup, teardown),
                cmocka_unit_test_setup_teardown(test_end_before_a_waiter_sleeps, setup, teardown),
                cmocka_unit_test_setup_teardown(test_before_a_callee_parks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reused_before_it_expires, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
