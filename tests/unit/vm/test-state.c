/* SPDX-License-Identifier: MIT */
/* The VM's states: every event from every state, who is told, what is served on the way, and what a
 * failure leaves. */
#include "lib/engine.h"

static vmreq_vm id;
static struct log ran, told;

/* Set: the listener passes it on the change that it is armed for. */
static struct gate *told_gate;
static uint64_t told_gate_for;

static void state_changed(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to,
                          const char *reason)
{
        CHECK(ctx == &told);
        CHECK(!reason);
        log_add(&told, from * 100u + to);
        if (told_gate && told_gate_for == from * 100u + to)
                gate_pass(told_gate);
}

static int setup(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        config.cpus = 2;
        config.state_changed = state_changed;
        config.ctx = &told;
        id = engine_new_with(&config);
        told_gate = NULL;
        memset(&ran, 0, sizeof(ran));
        memset(&told, 0, sizeof(told));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}

#define X VMREQ_VM_DESTROYED /* refused */

static const enum vmreq_vm_event events[] = {VMREQ_EVENT_POWER_ON, VMREQ_EVENT_SUSPEND,
                                             VMREQ_EVENT_RESUME, VMREQ_EVENT_RESET,
                                             VMREQ_EVENT_POWER_OFF};

static const struct {
        enum vmreq_vm_state from, to[ARRAY_SIZE(events)];
} table[] = {
        {VMREQ_VM_CREATED, {VMREQ_VM_RUNNING, X, X, X, VMREQ_VM_OFF}},
        {VMREQ_VM_RUNNING,
         {VMREQ_VM_RUNNING, VMREQ_VM_SUSPENDED, VMREQ_VM_RUNNING, VMREQ_VM_RUNNING, VMREQ_VM_OFF}},
        {VMREQ_VM_SUSPENDED,
         {X, VMREQ_VM_SUSPENDED, VMREQ_VM_RUNNING, VMREQ_VM_SUSPENDED, VMREQ_VM_OFF}},
        {VMREQ_VM_OFF, {VMREQ_VM_RUNNING, X, X, X, VMREQ_VM_OFF}},
        {VMREQ_VM_FAILED, {X, X, X, X, VMREQ_VM_OFF}},
        /* In between: nothing is legal. */
        {VMREQ_VM_POWERING_ON, {X, X, X, X, X}},
        {VMREQ_VM_SUSPENDING, {X, X, X, X, X}},
        {VMREQ_VM_RESUMING, {X, X, X, X, X}},
        {VMREQ_VM_RESETTING, {X, X, X, X, X}},
        {VMREQ_VM_POWERING_OFF, {X, X, X, X, X}},
};

static const enum vmreq_vm_state between[] = {VMREQ_VM_POWERING_ON, VMREQ_VM_SUSPENDING,
                                              VMREQ_VM_RESUMING, VMREQ_VM_RESETTING,
                                              VMREQ_VM_POWERING_OFF};

/* Places the VM in a state, as if it had come there. */
static void place(enum vmreq_vm_state state)
{
        atomic_store(&engine_inside(id)->state, state);
        memset(&told, 0, sizeof(told));
}

static void check_edge(size_t row, size_t event)
{
        enum vmreq_vm_state from = table[row].from, to = table[row].to[event], now = _VMREQ_VM_N;
        bool already = to == from && events[event] != VMREQ_EVENT_RESET;
        int changed = 77, r;

        place(from);
        r = vmreq_vm_change(id, events[event], 0, &changed, &now);
        if (to == X) {
                assert_int_equal(r, VMREQ_E_STATE);
                assert_int_equal(changed, 0);
                assert_int_equal(now, from);
                assert_int_equal(vmreq_vm_state(id), from);
                assert_int_equal(atomic_load(&told.n), 0);
                return;
        }
        assert_int_equal(r, 0);
        assert_int_equal(changed, !already);
        assert_int_equal(now, to);
        assert_int_equal(vmreq_vm_state(id), to);
        if (already)
                assert_int_equal(atomic_load(&told.n), 0);
        else
                assert_log(&told,
                           (uint64_t[]){from * 100u + between[event], between[event] * 100u + to},
                           2);
}

static void test_every_edge(void **state)
{
        (void)state;
        for (size_t row = 0; row < ARRAY_SIZE(table); row++)
                for (size_t event = 0; event < ARRAY_SIZE(events); event++)
                        check_edge(row, event);
        place(VMREQ_VM_OFF);
}

static void test_bad_input(void **state)
{
        (void)state;
        assert_int_equal(vmreq_vm_change((vmreq_vm){0}, VMREQ_EVENT_POWER_ON, 0, NULL, NULL),
                         VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_change(id, _VMREQ_EVENT_N, 0, NULL, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_vm_change(id, (enum vmreq_vm_event) - 1, 0, NULL, NULL),
                         VMREQ_E_INVALID);
        assert_int_equal(vmreq_vm_state((vmreq_vm){0}), VMREQ_VM_DESTROYED);
        assert_int_equal(vmreq_vm_state(id), VMREQ_VM_CREATED);
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        assert_int_equal(vmreq_vm_state(id), VMREQ_VM_RUNNING);
}

static int32_t change_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        (void)ctx;
        (void)argc;
        (void)reply;
        return vmreq_vm_change(id, (enum vmreq_vm_event)args[0], 0, NULL, NULL);
}

static void test_from_an_emt(void **state)
{
        (void)state;
        for (uint32_t cpu = 0; cpu < 2; cpu++) {
                static const struct {
                        uint64_t event;
                        enum vmreq_vm_state to;
                } walk[] = {
                        {VMREQ_EVENT_POWER_ON, VMREQ_VM_RUNNING},
                        {VMREQ_EVENT_SUSPEND, VMREQ_VM_SUSPENDED},
                        {VMREQ_EVENT_RESET, VMREQ_VM_SUSPENDED},
                        {VMREQ_EVENT_RESUME, VMREQ_VM_RUNNING},
                        {VMREQ_EVENT_POWER_OFF, VMREQ_VM_OFF},
                };

                for (size_t i = 0; i < ARRAY_SIZE(walk); i++) {
                        struct vmreq_spec spec =
                                engine_spec(cpu, VMREQ_PRIORITY, change_callee, NULL);

                        spec.args = &walk[i].event;
                        spec.argc = 1;
                        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, 0);
                        assert_int_equal(vmreq_vm_state(id), walk[i].to);
                }
        }
}

/* ---- failure ---- */

static void test_first_rendezvous_times_out(void **state)
{
        enum vmreq_vm_state now;
        struct gate gate;
        int changed = 77;

        (void)state;
        place(VMREQ_VM_RUNNING);
        engine_hold(id, 1, &gate);
        assert_int_equal(
                vmreq_vm_change(id, VMREQ_EVENT_SUSPEND, 2 * CLOCK_NS_PER_MS, &changed, &now),
                VMREQ_E_TIMEOUT);
        assert_int_equal(changed, 0);
        assert_int_equal(now, VMREQ_VM_RUNNING);
        assert_int_equal(atomic_load(&told.n), 0);
        gate_open(&gate);
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_SUSPEND, 0, &changed, &now), 0);
        assert_int_equal(now, VMREQ_VM_SUSPENDED);
}

/* Runs between the two rendezvous, because it is PRIORITY and the state then serves nothing else.
 */
static int32_t block_in_between(void *ctx, const uint64_t *args, uint32_t argc,
                                struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        log_add(&ran, 1000u + vmreq_vm_state(id));
        if (ctx)
                gate_pass(ctx);
        reply->value = vmreq_vm_state(id);
        return 0;
}

/* The listener of the first half queues it: by then all EMTs stand in the rendezvous. */
static struct vmreq_spec in_between_spec;

struct change {
        enum vmreq_vm_event event;
        uint64_t timeout_ns;
        int changed;
        enum vmreq_vm_state now;
};

static void *change_it(void *arg)
{
        struct change *change = arg;

        return (void *)(intptr_t)vmreq_vm_change(id, change->event, change->timeout_ns,
                                                 &change->changed, &change->now);
}

/*
 * Holds the first rendezvous inside its listener, queues what the test wants to have waiting in the
 * state between, and lets it go on.
 */
static pthread_t change_with(struct change *change, struct gate *gate, uint64_t at)
{
        pthread_t thread;

        gate_init(gate);
        told_gate = gate;
        told_gate_for = at;
        thread = thread_start(change_it, change);
        sem_down(&gate->in);
        return thread;
}

static void test_second_rendezvous_times_out(void **state)
{
        /* Long enough for an EMT of a busy machine to come out of the first one. */
        struct change change = {.event = VMREQ_EVENT_SUSPEND, .timeout_ns = 100 * CLOCK_NS_PER_MS};
        struct gate listener, callee;
        vmreq_handle blocker, normal;
        pthread_t thread;
        void *result;

        (void)state;
        place(VMREQ_VM_RUNNING);
        thread = change_with(&change, &listener, VMREQ_VM_RUNNING * 100u + VMREQ_VM_SUSPENDING);
        gate_init(&callee);
        in_between_spec = engine_spec(0, VMREQ_PRIORITY, block_in_between, &callee);
        blocker = engine_submit(id, &in_between_spec);
        in_between_spec = engine_spec(1, 0, log_callee, &ran);
        normal = engine_submit(id, &in_between_spec);
        gate_open(&listener);
        assert_int_equal(pthread_join(thread, &result), 0);
        if ((intptr_t)result == 0) {
                /* The second rendezvous was called before EMT 0 had left the first and looked at
                 * its lanes: it joined at once.  Nothing to see this time. */
                sem_down(&callee.in);
                gate_open(&callee);
                (void)engine_finish(blocker);
                (void)engine_finish(normal);
                return;
        }
        assert_int_equal((intptr_t)result, VMREQ_E_TIMEOUT);
        assert_int_equal(change.changed, 0);
        assert_int_equal(change.now, VMREQ_VM_RUNNING);
        assert_int_equal(vmreq_vm_state(id), VMREQ_VM_RUNNING);
        assert_log(&told,
                   (uint64_t[]){VMREQ_VM_RUNNING * 100u + VMREQ_VM_SUSPENDING,
                                VMREQ_VM_SUSPENDING * 100u + VMREQ_VM_RUNNING},
                   2);
        /* Normal requests are served again, by an EMT that may have gone to sleep on a full lane.
         */
        (void)engine_finish(normal);
        sem_down(&callee.in);
        gate_open(&callee);
        (void)engine_finish(blocker);
}

/* ---- on the way ---- */

/* In the states between, the priority lanes are served and the normal ones are not; afterwards they
 * are (D17). */
static void test_between_serves_priority_only(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(between); i++) {
                struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
                vmreq_handle normal[2], priority[2];
                struct gate gates[2];

                for (uint32_t cpu = 0; cpu < 2; cpu++)
                        engine_hold(id, cpu, &gates[cpu]);
                atomic_store(&engine_inside(id)->state, between[i]);
                for (size_t n = 0; n < 2; n++) {
                        spec = engine_spec(n ? VMREQ_CPU_ANY : 0, 0, log_callee, &ran);
                        normal[n] = engine_submit(id, &spec);
                        spec.flags = VMREQ_PRIORITY;
                        priority[n] = engine_submit(id, &spec);
                }
                for (uint32_t cpu = 0; cpu < 2; cpu++)
                        gate_open(&gates[cpu]);
                for (size_t n = 0; n < 2; n++)
                        (void)engine_finish(priority[n]);
                /* Asleep over full normal lanes: no EMT spins on what it may not serve. */
                for (uint32_t cpu = 0; cpu < 2; cpu++)
                        engine_until_asleep(id, cpu);
                for (size_t n = 0; n < 2; n++)
                        assert_int_equal(engine_state(normal[n]), VMREQ_REQ_QUEUED);
                /* What a change of state does at its end. */
                atomic_store(&engine_inside(id)->state, VMREQ_VM_OFF);
                emt_wake_all(engine_inside(id));
                for (size_t n = 0; n < 2; n++)
                        (void)engine_finish(normal[n]);
        }
}

/* A callee that waits joins the change; what its EMT takes after it is of the new state's. */
static int32_t wait_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        return vmreq_wait(*(vmreq_handle *)ctx, VMREQ_FOREVER);
}

static void test_batch_sees_the_change(void **state)
{
        struct vmreq_spec spec = engine_spec(1, 0, log_callee, &ran);
        vmreq_handle never, waiter, normal;
        struct req *req;
        uint64_t word;

        (void)state;
        assert_int_equal(vmreq_alloc(id, &spec, &never), 0);
        req = req_at(engine_inside(id), never.index);
        word = req_load(req);
        assert_true(req_swap(req, &word, req_with_state(word, VMREQ_REQ_QUEUED)));
        spec = engine_spec(0, 0, wait_callee, &never);
        waiter = engine_submit(id, &spec);
        UNTIL(req_load(req) & REQ_F_EMT_WAITS && engine_sleeps(id, 0));
        /* The callee is in the middle of a batch that began in a state where normal requests are
         * served. */
        atomic_store(&engine_inside(id)->state, VMREQ_VM_SUSPENDING);
        spec = engine_spec(0, 0, log_callee, &ran);
        normal = engine_submit(id, &spec);
        assert_int_equal(vmreq_cancel(never), VMREQ_VERDICT_REMOVED);
        (void)engine_finish(waiter);
        engine_until_asleep(id, 0);
        assert_int_equal(engine_state(normal), VMREQ_REQ_QUEUED);
        atomic_store(&engine_inside(id)->state, VMREQ_VM_SUSPENDED);
        emt_wake_all(engine_inside(id));
        (void)engine_finish(normal);
        assert_int_equal(vmreq_free(never), 0);
}

/* Two changes at once: one is first, the other finds where that has led or a state from which it is
 * not legal. */
static void test_two_at_once(void **state)
{
        (void)state;
        for (int i = 0; i < 100; i++) {
                struct change changes[2] = {{.event = VMREQ_EVENT_SUSPEND},
                                            {.event = VMREQ_EVENT_SUSPEND}};
                pthread_t threads[2];
                intptr_t results[2];
                void *result;

                place(VMREQ_VM_RUNNING);
                for (size_t t = 0; t < 2; t++)
                        threads[t] = thread_start(change_it, &changes[t]);
                for (size_t t = 0; t < 2; t++) {
                        assert_int_equal(pthread_join(threads[t], &result), 0);
                        results[t] = (intptr_t)result;
                        assert_true(results[t] == 0 || results[t] == VMREQ_E_STATE);
                        if (results[t] == VMREQ_E_STATE)
                                assert_int_equal(changes[t].now, VMREQ_VM_SUSPENDING);
                }
                assert_int_equal(changes[0].changed + changes[1].changed, 1);
                assert_int_equal(vmreq_vm_state(id), VMREQ_VM_SUSPENDED);
                assert_log(&told,
                           (uint64_t[]){VMREQ_VM_RUNNING * 100u + VMREQ_VM_SUSPENDING,
                                        VMREQ_VM_SUSPENDING * 100u + VMREQ_VM_SUSPENDED},
                           2);
        }
}

/* Requests are served in every state from CREATED on, also while changes come one after another. */
static void *change_often(void *arg)
{
        static const enum vmreq_vm_event walk[] = {VMREQ_EVENT_POWER_ON, VMREQ_EVENT_SUSPEND,
                                                   VMREQ_EVENT_RESUME, VMREQ_EVENT_RESET,
                                                   VMREQ_EVENT_POWER_OFF};

        for (int i = 0; i < 20; i++)
                for (size_t e = 0; e < ARRAY_SIZE(walk); e++)
                        CHECK(vmreq_vm_change(id, walk[e], VMREQ_FOREVER, NULL, NULL) == 0);
        atomic_store((_Atomic uint32_t *)arg, 1);
        return NULL;
}

static void test_served_meanwhile(void **state)
{
        _Atomic uint32_t over = 0;
        pthread_t thread = thread_start(change_often, &over);

        (void)state;
        for (uint32_t i = 0; !atomic_load(&over); i++)
                assert_int_equal(vmreq_call_void_wait(id, i % 3 == 2 ? VMREQ_CPU_ALL : i % 3,
                                                      (vmreq_fn)vmreq_now, 0),
                                 0);
        thread_end(thread);
        assert_int_equal(atomic_load(&told.n), 2 * 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_every_edge, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_input, setup, teardown),
                cmocka_unit_test_setup_teardown(test_from_an_emt, setup, teardown),
                cmocka_unit_test_setup_teardown(test_first_rendezvous_times_out, setup, teardown),
                cmocka_unit_test_setup_teardown(test_second_rendezvous_times_out, setup, teardown),
                cmocka_unit_test_setup_teardown(test_between_serves_priority_only, setup, teardown),
                cmocka_unit_test_setup_teardown(test_batch_sees_the_change, setup, teardown),
                cmocka_unit_test_setup_teardown(test_two_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_served_meanwhile, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
