/* SPDX-License-Identifier: MIT */
/* D17, D18, D19, D20: who is woken for what, and that nothing that is queued is overlooked. */
#include "defects.h"
#include "lib/emts.h"

static int setup4(void **state)
{
        (void)state;
        return setup_n(4);
}

/* ---- D17: draining the priority lanes alone loses the flag of the normal ones ---- */

/* Holds the VM in a state between, where only the priority lanes are served. */
struct holder {
        sem_t between;
        uint32_t listener;
};

static int hold_between(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to)
{
        struct holder *holder = ctx;

        (void)from;
        switch (to) {
        case VMREQ_VM_POWERING_ON:
        case VMREQ_VM_SUSPENDING:
        case VMREQ_VM_RESUMING:
        case VMREQ_VM_RESETTING:
        case VMREQ_VM_POWERING_OFF:
                CHECK(sem_post(&holder->between) == 0);
                return VMREQ_LISTENER_PENDING;
        default:
                return 0;
        }
}

static void holder_init(struct holder *holder)
{
        assert_int_equal(sem_init(&holder->between, 0, 0), 0);
        assert_int_equal(vmreq_listener_add(id, hold_between, holder, &holder->listener), 0);
}

/* Lets the change go on; the listener's answer may still be on its way. */
static void holder_release(struct holder *holder)
{
        UNTIL(vmreq_state_done(id, holder->listener) == 0);
}

struct change {
        enum vmreq_vm_event event;
        uint64_t timeout_ns;
        int result;
};

static void *change_it(void *arg)
{
        struct change *change = arg;

        change->result = vmreq_vm_change(id, change->event, change->timeout_ns, NULL, NULL);
        return NULL;
}

static int32_t log_state(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        reply->value = vmreq_vm_state(id);
        return 0;
}

#define MEANWHILE 6u

/* To each EMT, and to any, in both lanes; priority ones in the upper half. */
static void queue_meanwhile(vmreq_handle *handles)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY};

        for (uint32_t i = 0; i < MEANWHILE; i++) {
                struct vmreq_spec spec =
                        engine_spec(cpus[i % 3], i < 3 ? 0 : VMREQ_PRIORITY, log_state, NULL);

                handles[i] = engine_submit(id, &spec);
        }
}

/* Both EMTs have drained their priority lanes, and sleep. */
static void until_drained(const vmreq_handle *handles, enum vmreq_vm_state between)
{
        for (uint32_t i = 3; i < MEANWHILE; i++)
                assert_int_equal(assert_done(handles[i]).value, between);
        engine_until_asleep(id, 0);
        engine_until_asleep(id, 1);
        for (uint32_t i = 0; i < 3; i++)
                assert_int_equal(engine_state(handles[i]), VMREQ_REQ_QUEUED);
}

static void d17_normal_requests_run_after_a_change(void **state)
{
        static const struct {
                enum vmreq_vm_event event;
                enum vmreq_vm_state between, to;
        } walk[] = {
                {VMREQ_EVENT_POWER_ON, VMREQ_VM_POWERING_ON, VMREQ_VM_RUNNING},
                {VMREQ_EVENT_RESET, VMREQ_VM_RESETTING, VMREQ_VM_RUNNING},
                {VMREQ_EVENT_SUSPEND, VMREQ_VM_SUSPENDING, VMREQ_VM_SUSPENDED},
                {VMREQ_EVENT_RESET, VMREQ_VM_RESETTING, VMREQ_VM_SUSPENDED},
                {VMREQ_EVENT_RESUME, VMREQ_VM_RESUMING, VMREQ_VM_RUNNING},
                {VMREQ_EVENT_POWER_OFF, VMREQ_VM_POWERING_OFF, VMREQ_VM_OFF},
        };
        struct holder holder;

        (void)state;
        holder_init(&holder);
        for (size_t i = 0; i < ARRAY_SIZE(walk); i++) {
                struct change change = {.event = walk[i].event, .timeout_ns = ENGINE_FAR_NS};
                vmreq_handle handles[MEANWHILE];
                pthread_t thread = thread_start(change_it, &change);

                sem_down(&holder.between);
                queue_meanwhile(handles);
                until_drained(handles, walk[i].between);
                holder_release(&holder);
                thread_end(thread);
                assert_int_equal(change.result, 0);
                /* Nobody submits anything more, so nobody else wakes the EMTs. */
                for (uint32_t n = 0; n < 3; n++)
                        assert_int_equal(assert_done(handles[n]).value, walk[i].to);
        }
        engine_end(id);
}

/* The same when the change is given up, and the VM put back. */
static void d17_normal_requests_run_after_a_failed_change(void **state)
{
        struct change change = {.event = VMREQ_EVENT_POWER_ON};
        vmreq_handle handles[MEANWHILE];
        struct holder holder;
        pthread_t thread;

        (void)state;
        holder_init(&holder);
        /* Long enough for the first rendezvous on a busy machine; all of it is spent in the state
         * between. */
        change.timeout_ns = (DEFECTS_SLOW ? 2000 : 500) * CLOCK_NS_PER_MS;
        thread = thread_start(change_it, &change);
        sem_down(&holder.between);
        queue_meanwhile(handles);
        thread_end(thread);
        assert_int_equal(change.result, VMREQ_E_TIMEOUT);
        assert_int_equal(vmreq_vm_state(id), VMREQ_VM_CREATED);
        for (uint32_t n = 0; n < MEANWHILE; n++)
                (void)assert_done(handles[n]);
        engine_end(id);
}

/* Priority-only draining by a callee hides nothing from the loop behind it. */
static int32_t drain_priority(void *ctx)
{
        const int *expected = ctx;

        CHECK(vmreq_process(id, 1) == *expected);
        CHECK(vmreq_process(id, 1) == 0);
        return 0;
}

static void d17_priority_only_drain_on_an_emt(void **state)
{
        int expected = 0;
        struct errand errand = {drain_priority, &expected};
        struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT, errand_callee, &errand);
        vmreq_handle normal, priority;
        struct gate gate;

        (void)state;
        engine_hold(id, 0, &gate);
        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        spec = engine_spec(0, 0, log_state, NULL);
        normal = engine_submit(id, &spec);
        gate_open(&gate);
        (void)assert_done(normal);
        /* Now with something in the priority lane when the drain begins. */
        expected = 1;
        engine_hold(id, 0, &gate);
        spec = engine_spec(0, VMREQ_NO_WAIT | VMREQ_PRIORITY, errand_callee, &errand);
        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        spec = engine_spec(0, VMREQ_PRIORITY, log_state, NULL);
        priority = engine_submit(id, &spec);
        spec = engine_spec(0, 0, log_state, NULL);
        normal = engine_submit(id, &spec);
        gate_open(&gate);
        (void)assert_done(priority);
        (void)assert_done(normal);
        engine_end(id);
}

/* ---- D18: a paused VM spins ---- */

/*
 * The EMT has gone to sleep, and uses nothing while this thread uses some of its processor.  It may
 * need a few looks until it is there; a spinning one never is.
 */
static void assert_idle(uint32_t cpu)
{
        pthread_t thread = engine_inside(id)->emts[cpu].thread;
        struct vmreq_emt_info before, after = {0};
        bool idle = false;
        uint64_t used = 0;

        for (int look = 0; look < 1000 && !idle; look++) {
                before = engine_emt(id, cpu);
                used = thread_used_ns(thread);
                burn(CLOCK_NS_PER_MS);
                used = thread_used_ns(thread) - used;
                after = engine_emt(id, cpu);
                idle = used == 0 && after.state == VMREQ_EMT_ASLEEP &&
                       after.sleeps == before.sleeps;
        }
        if (!idle)
                fail_msg("EMT %u: state %s, has used %llu ns, slept %llu times, woken %llu times",
                         cpu, vmreq_emt_state_name(after.state), (unsigned long long)used,
                         (unsigned long long)after.sleeps, (unsigned long long)after.wakes);
}

/* What sets a flag with nothing behind it: requests that are gone when their turn comes. */
static void leave_dead_requests(uint32_t cpu)
{
        static const uint32_t flags[] = {0, VMREQ_PRIORITY, VMREQ_POKE};
        vmreq_handle handles[6];
        struct gate gate;

        engine_hold(id, cpu, &gate);
        for (uint32_t i = 0; i < ARRAY_SIZE(handles); i++) {
                struct vmreq_spec spec =
                        engine_spec(i % 2 ? cpu : VMREQ_CPU_ANY, flags[i % 3], log_callee, &ran);

                handles[i] = engine_submit(id, &spec);
        }
        for (uint32_t i = 0; i < ARRAY_SIZE(handles); i++) {
                assert_int_equal(vmreq_cancel(handles[i]), VMREQ_VERDICT_REMOVED);
                assert_int_equal(vmreq_free(handles[i]), 0);
        }
        gate_open(&gate);
}

static void d18_idle_in_every_state(void **state)
{
        static const enum vmreq_vm_event walk[] = {VMREQ_EVENT_POWER_ON, VMREQ_EVENT_SUSPEND,
                                                   VMREQ_EVENT_RESUME, VMREQ_EVENT_RESET,
                                                   VMREQ_EVENT_POWER_OFF};

        (void)state;
        assert_idle(0);
        for (size_t i = 0; i < ARRAY_SIZE(walk); i++) {
                uint64_t skipped = engine_emt(id, 0).skipped;

                assert_int_equal(vmreq_vm_change(id, walk[i], ENGINE_FAR_NS, NULL, NULL), 0);
                assert_idle(0);
                leave_dead_requests(0);
                UNTIL(engine_emt(id, 0).skipped == skipped + 6);
                assert_idle(0);
                assert_int_equal(vmreq_unpark(id, 0), 0);
                assert_idle(0);
        }
        assert_int_equal(atomic_load(&ran.n), 0);
        engine_end(id);
}

/* In a state between, a normal request is no work: neither for the loop, nor for the sleep. */
static void d18_idle_beside_what_must_wait(void **state)
{
        struct change change = {.event = VMREQ_EVENT_POWER_ON, .timeout_ns = ENGINE_FAR_NS};
        vmreq_handle handles[MEANWHILE];
        struct holder holder;
        pthread_t thread;

        (void)state;
        holder_init(&holder);
        thread = thread_start(change_it, &change);
        sem_down(&holder.between);
        queue_meanwhile(handles);
        for (uint32_t i = 3; i < MEANWHILE; i++)
                (void)assert_done(handles[i]);
        assert_idle(0);
        assert_idle(1);
        holder_release(&holder);
        thread_end(thread);
        for (uint32_t i = 0; i < 3; i++)
                (void)assert_done(handles[i]);
        assert_idle(0);
        assert_idle(1);
        engine_end(id);
}

/* ---- D19: putting back wakes nobody ---- */

/* Two sleep; one request keeps its EMT; whatever else comes to ANY is the other's. */
static void d19_the_rest_is_not_left_behind_a_long_one(void **state)
{
        (void)state;
        for (int round = 0; round < 100; round++) {
                struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, 0, log_callee, &ran);
                vmreq_handle quick[3], held;
                struct gate gate;
                struct vmreq_spec slow = engine_spec(VMREQ_CPU_ANY, 0, gate_callee, &gate);

                atomic_store(&ran.n, 0);
                gate_init(&gate);
                engine_until_asleep(id, 0);
                engine_until_asleep(id, 1);
                held = engine_submit(id, &slow);
                for (size_t i = 0; i < ARRAY_SIZE(quick); i++)
                        quick[i] = engine_submit(id, &spec);
                for (size_t i = 0; i < ARRAY_SIZE(quick); i++)
                        (void)assert_done(quick[i]);
                assert_int_not_equal(engine_state(held), VMREQ_REQ_COMPLETED);
                sem_down(&gate.in);
                gate_open(&gate);
                (void)assert_done(held);
        }
        engine_end(id);
}

/*
 * An EMT that is woken for a request to ANY may find something better to do.  A submitter that is
 * preempted between its push and its wake-up leaves a priority request in EMT 0's lane; then a
 * request to ANY wakes EMT 0, and only it.  EMT 0 turns to the other one, which keeps it: EMT 1
 * must be told.
 */
static void d19_a_wake_is_passed_on(void **state)
{
        struct vm *vm = engine_inside(id);
        struct vmreq_spec spec;
        vmreq_handle held, any;
        struct gate gate;
        struct req *req;
        uint64_t word;

        (void)state;
        gate_init(&gate);
        engine_until_asleep(id, 0);
        engine_until_asleep(id, 1);
        spec = engine_spec(0, VMREQ_PRIORITY, gate_callee, &gate);
        assert_int_equal(vmreq_alloc(id, &spec, &held), 0);
        req = req_at(vm, held.index);
        word = req_load(req);
        assert_true(req_swap(req, &word, req_with_state(word, VMREQ_REQ_QUEUED)));
        assert_true(lane_draw(&vm->emts[0].lanes[LANE_PRIORITY], &req->place));
        assert_true(
                lane_fill(&vm->emts[0].lanes[LANE_PRIORITY], held.index, atomic_load(&req->place)));

        spec = engine_spec(VMREQ_CPU_ANY, 0, log_callee, &ran);
        any = engine_submit(id, &spec);
        sem_down(&gate.in);
        assert_int_equal(assert_done(any).cpu, 1);
        gate_open(&gate);
        (void)assert_done(held);
        engine_end(id);
}

/* ---- D20: one request wakes everybody ---- */

static uint64_t wakes_of_all(void)
{
        uint64_t n = 0;

        for (uint32_t cpu = 0; cpu < vmreq_vm_cpus(id); cpu++)
                n += engine_emt(id, cpu).wakes;
        return n;
}

static void d20_one_request_wakes_one(void **state)
{
        (void)state;
        for (int round = 0; round < 100; round++) {
                struct vmreq_spec spec = engine_spec(
                        VMREQ_CPU_ANY_QUEUE, round % 2 ? VMREQ_PRIORITY : 0, log_callee, &ran);
                uint64_t before;

                for (uint32_t cpu = 0; cpu < 4; cpu++)
                        engine_until_asleep(id, cpu);
                before = wakes_of_all();
                (void)assert_done(engine_submit(id, &spec));
                for (uint32_t cpu = 0; cpu < 4; cpu++)
                        engine_until_asleep(id, cpu);
                assert_int_equal(wakes_of_all() - before, 1);
        }
        engine_end(id);
}

/* And a request to one EMT wakes that one. */
static void d20_own_request_wakes_its_emt(void **state)
{
        (void)state;
        for (uint32_t round = 0; round < 40; round++) {
                struct vmreq_spec spec = engine_spec(round % 4, 0, log_callee, &ran);
                uint64_t before, own;

                for (uint32_t cpu = 0; cpu < 4; cpu++)
                        engine_until_asleep(id, cpu);
                before = wakes_of_all();
                own = engine_emt(id, round % 4).wakes;
                (void)assert_done(engine_submit(id, &spec));
                assert_int_equal(wakes_of_all() - before, 1);
                assert_int_equal(engine_emt(id, round % 4).wakes - own, 1);
        }
        engine_end(id);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(d17_normal_requests_run_after_a_change, setup2),
                cmocka_unit_test_setup(d17_normal_requests_run_after_a_failed_change, setup2),
                cmocka_unit_test_setup(d17_priority_only_drain_on_an_emt, setup1),
                cmocka_unit_test_setup(d18_idle_in_every_state, setup1),
                cmocka_unit_test_setup(d18_idle_beside_what_must_wait, setup2),
                cmocka_unit_test_setup(d19_the_rest_is_not_left_behind_a_long_one, setup2),
                cmocka_unit_test_setup(d19_a_wake_is_passed_on, setup2),
                cmocka_unit_test_setup(d20_one_request_wakes_one, setup4),
                cmocka_unit_test_setup(d20_own_request_wakes_its_emt, setup4),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
