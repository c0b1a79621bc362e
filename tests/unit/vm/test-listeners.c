/* SPDX-License-Identifier: MIT */
/* Listeners: who is told what and when, who may hold a change, and how such a wait ends. */
#include "lib/engine.h"

static vmreq_vm id;
static struct log ran, told;

static void state_changed(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to,
                          const char *reason)
{
        CHECK(ctx == &told && !reason);
        log_add(&told, 99u * 10000 + from * 100u + to);
}

static int setup_with(uint32_t cpus)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        memset(&ran, 0, sizeof(ran));
        memset(&told, 0, sizeof(told));
        config.cpus = cpus;
        config.state_changed = state_changed;
        config.ctx = &told;
        id = engine_new_with(&config);
        return 0;
}

static int setup(void **state)
{
        (void)state;
        return setup_with(2);
}

static int setup1(void **state)
{
        (void)state;
        return setup_with(1);
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}

/* What a listener does. */
struct ear {
        uint32_t number, id;
        enum vmreq_vm_state hold; /* answers PENDING when told of this one */
        bool done_inside;         /* and is done before it has answered */
        int answer;               /* to the others */
        sem_t holds;
};

static int hear(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to)
{
        struct ear *ear = ctx;

        log_add(&told, ear->number * 10000u + from * 100u + to);
        if (to != ear->hold)
                return ear->answer;
        if (ear->done_inside)
                CHECK(vmreq_state_done(id, ear->id) == 0);
        CHECK(sem_post(&ear->holds) == 0);
        return VMREQ_LISTENER_PENDING;
}

static void listen_to(struct ear *ear, uint32_t number, enum vmreq_vm_state hold)
{
        memset(ear, 0, sizeof(*ear));
        ear->number = number;
        ear->hold = hold;
        assert_int_equal(sem_init(&ear->holds, 0, 0), 0);
        assert_int_equal(vmreq_listener_add(id, hear, ear, &ear->id), 0);
}

struct change {
        enum vmreq_vm_event event;
        uint64_t timeout_ns;
        int changed;
        enum vmreq_vm_state now;
        pthread_t thread;
        int result;
};

static void *change_main(void *arg)
{
        struct change *change = arg;

        change->result = vmreq_vm_change(id, change->event, change->timeout_ns, &change->changed,
                                         &change->now);
        return NULL;
}

static void change_start(struct change *change, enum vmreq_vm_event event, uint64_t timeout_ns)
{
        *change = (struct change){.event = event, .timeout_ns = timeout_ns};
        change->thread = thread_start(change_main, change);
}

#define STEP(from, to) (VMREQ_VM_##from * 100u + VMREQ_VM_##to)

/* ---- order ---- */

static void test_order(void **state)
{
        struct ear ears[3];

        (void)state;
        for (uint32_t i = 0; i < 3; i++)
                listen_to(&ears[i], i + 1, VMREQ_VM_DESTROYED);
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        assert_log(&told,
                   (uint64_t[]){
                           990000 + STEP(CREATED, POWERING_ON), 10000 + STEP(CREATED, POWERING_ON),
                           20000 + STEP(CREATED, POWERING_ON), 30000 + STEP(CREATED, POWERING_ON),
                           990000 + STEP(POWERING_ON, RUNNING), 10000 + STEP(POWERING_ON, RUNNING),
                           20000 + STEP(POWERING_ON, RUNNING), 30000 + STEP(POWERING_ON, RUNNING)},
                   8);
        /* Nothing changes: nobody is told. */
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        assert_int_equal(atomic_load(&told.n), 8);
}

static void test_bad_input(void **state)
{
        struct ear ears[VMREQ_LISTENERS_MAX];
        uint32_t more;

        (void)state;
        assert_int_equal(vmreq_listener_add(id, NULL, NULL, &more), VMREQ_E_INVALID);
        assert_int_equal(vmreq_listener_add(id, hear, NULL, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_listener_add((vmreq_vm){0}, hear, NULL, &more), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_state_done((vmreq_vm){0}, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_state_done(id, 0), VMREQ_E_INVALID);
        for (uint32_t i = 0; i < VMREQ_LISTENERS_MAX; i++) {
                listen_to(&ears[i], i + 1, VMREQ_VM_DESTROYED);
                assert_int_equal(vmreq_state_done(id, ears[i].id), VMREQ_E_STATE);
        }
        assert_int_equal(vmreq_listener_add(id, hear, NULL, &more), VMREQ_E_BUSY);
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        assert_int_equal(atomic_load(&told.n), 2 * (VMREQ_LISTENERS_MAX + 1));
}

/* ---- holding ---- */

static void test_holds(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        struct change change;
        vmreq_handle normal;
        struct ear ears[3];

        (void)state;
        listen_to(&ears[0], 1, VMREQ_VM_POWERING_ON);
        listen_to(&ears[1], 2, VMREQ_VM_DESTROYED);
        listen_to(&ears[2], 3, VMREQ_VM_POWERING_ON);
        change_start(&change, VMREQ_EVENT_POWER_ON, VMREQ_FOREVER);
        sem_down(&ears[0].holds);
        sem_down(&ears[2].holds);
        /* In between: priority requests only, and no other change. */
        normal = engine_submit(id, &spec);
        spec.flags = VMREQ_PRIORITY;
        (void)engine_finish(engine_submit(id, &spec));
        assert_int_equal(vmreq_vm_state(id), VMREQ_VM_POWERING_ON);
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_OFF, 0, NULL, NULL), VMREQ_E_STATE);
        assert_int_equal(vmreq_state_done(id, ears[1].id), VMREQ_E_STATE);
        assert_int_equal(vmreq_state_done(id, ears[2].id), 0);
        assert_int_equal(vmreq_state_done(id, ears[2].id), VMREQ_E_STATE);
        assert_int_equal(vmreq_vm_state(id), VMREQ_VM_POWERING_ON);
        assert_int_equal(engine_state(normal), VMREQ_REQ_QUEUED);
        assert_int_equal(vmreq_state_done(id, ears[0].id), 0);
        thread_end(change.thread);
        assert_int_equal(change.result, 0);
        assert_int_equal(change.changed, 1);
        assert_int_equal(change.now, VMREQ_VM_RUNNING);
        (void)engine_finish(normal);
        assert_int_equal(vmreq_state_done(id, ears[0].id), VMREQ_E_STATE);
}

/* PENDING means something in a state between only. */
static void test_holds_nothing_else(void **state)
{
        struct ear ear;

        (void)state;
        listen_to(&ear, 1, VMREQ_VM_RUNNING);
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        assert_int_equal(vmreq_state_done(id, ear.id), VMREQ_E_STATE);
        /* Any other answer holds nothing. */
        ear.hold = VMREQ_VM_DESTROYED;
        ear.answer = 2;
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_SUSPEND, 0, NULL, NULL), 0);
        ear.answer = -1;
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_RESUME, 0, NULL, NULL), 0);
}

static void test_done_inside(void **state)
{
        struct ear ears[2];

        (void)state;
        for (uint32_t i = 0; i < 2; i++) {
                listen_to(&ears[i], i + 1, VMREQ_VM_POWERING_ON);
                ears[i].done_inside = true;
        }
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, VMREQ_FOREVER, NULL, NULL), 0);
        for (uint32_t i = 0; i < 2; i++)
                assert_int_equal(vmreq_state_done(id, ears[i].id), VMREQ_E_STATE);
}

static void test_timeout(void **state)
{
        struct ear ear;
        enum vmreq_vm_state now;
        int changed = 77;

        (void)state;
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        listen_to(&ear, 1, VMREQ_VM_SUSPENDING);
        memset(&told, 0, sizeof(told));
        assert_int_equal(
                vmreq_vm_change(id, VMREQ_EVENT_SUSPEND, 20 * CLOCK_NS_PER_MS, &changed, &now),
                VMREQ_E_TIMEOUT);
        assert_int_equal(changed, 0);
        assert_int_equal(now, VMREQ_VM_RUNNING);
        assert_int_equal(vmreq_vm_state(id), VMREQ_VM_RUNNING);
        assert_log(
                &told,
                (uint64_t[]){990000 + STEP(RUNNING, SUSPENDING), 10000 + STEP(RUNNING, SUSPENDING),
                             990000 + STEP(SUSPENDING, RUNNING), 10000 + STEP(SUSPENDING, RUNNING)},
                4);
        /* It holds nothing any more, and the next change is a new one. */
        assert_int_equal(vmreq_state_done(id, ear.id), VMREQ_E_STATE);
        assert_int_equal(vmreq_call_void_wait(id, 0, (vmreq_fn)vmreq_now, 0), 0);
        ear.hold = VMREQ_VM_DESTROYED;
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_SUSPEND, 0, NULL, NULL), 0);
}

/* A change that ends in failure is over only when all have been told: nobody hears of the next one
 * before. */
static int slow_hear(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to)
{
        struct gate *gate = ctx;

        log_add(&told, from * 100u + to);
        if (to == VMREQ_VM_SUSPENDING)
                return VMREQ_LISTENER_PENDING;
        if (from == VMREQ_VM_SUSPENDING && to == VMREQ_VM_RUNNING)
                gate_pass(gate);
        return 0;
}

static void test_failure_in_order(void **state)
{
        struct change change;
        struct gate gate;
        uint32_t ear;

        (void)state;
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        gate_init(&gate);
        assert_int_equal(vmreq_listener_add(id, slow_hear, &gate, &ear), 0);
        change_start(&change, VMREQ_EVENT_SUSPEND, 10 * CLOCK_NS_PER_MS);
        sem_down(&gate.in);
        /* Its listeners are still being told: no other change has begun, no guest runs. */
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_OFF, 0, NULL, NULL), VMREQ_E_STATE);
        gate_open(&gate);
        thread_end(change.thread);
        assert_int_equal(change.result, VMREQ_E_TIMEOUT);
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_OFF, 0, NULL, NULL), 0);
}

/* ---- a change that an EMT asks for ---- */

static int32_t change_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        (void)change_main(ctx);
        return ((struct change *)ctx)->result;
}

static int32_t done_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        log_add(&ran, vmreq_vm_state(id));
        return vmreq_state_done(id, ((struct ear *)ctx)->id);
}

/* It is the only EMT, and what the listener waits for must run on it. */
static void test_emt_serves_meanwhile(void **state)
{
        struct change change = {.event = VMREQ_EVENT_POWER_ON, .timeout_ns = VMREQ_FOREVER};
        struct vmreq_spec spec = engine_spec(0, VMREQ_PRIORITY, change_callee, &change);
        vmreq_handle handle, done, normal;
        struct ear ear;

        (void)state;
        listen_to(&ear, 1, VMREQ_VM_POWERING_ON);
        handle = engine_submit(id, &spec);
        sem_down(&ear.holds);
        UNTIL(engine_sleeps(id, 0));
        spec = engine_spec(0, 0, log_callee, &ran);
        normal = engine_submit(id, &spec);
        spec = engine_spec(0, VMREQ_PRIORITY, done_callee, &ear);
        done = engine_submit(id, &spec);
        assert_int_equal(engine_finish(done).status, 0);
        assert_int_equal(engine_finish(handle).status, 0);
        assert_int_equal(change.now, VMREQ_VM_RUNNING);
        (void)engine_finish(normal);
        assert_log(&ran, (uint64_t[]){VMREQ_VM_POWERING_ON, 0}, 2);
}

/* Done from outside: the EMT is woken for it. */
static void test_emt_is_woken(void **state)
{
        struct ear ear;

        (void)state;
        listen_to(&ear, 1, VMREQ_VM_POWERING_ON);
        for (int i = 0; i < 50; i++) {
                struct change change = {.event = VMREQ_EVENT_POWER_ON, .timeout_ns = VMREQ_FOREVER};
                struct vmreq_spec spec = engine_spec(0, 0, change_callee, &change);
                vmreq_handle handle = engine_submit(id, &spec);

                sem_down(&ear.holds);
                if (i % 2)
                        UNTIL(engine_sleeps(id, 0));
                UNTIL(vmreq_state_done(id, ear.id) == 0);
                assert_int_equal(engine_finish(handle).status, 0);
                assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_OFF, 0, NULL, NULL), 0);
        }
}

static void test_emt_times_out(void **state)
{
        struct change change = {.event = VMREQ_EVENT_POWER_ON, .timeout_ns = 5 * CLOCK_NS_PER_MS};
        struct vmreq_spec spec = engine_spec(0, 0, change_callee, &change);
        struct ear ear;

        (void)state;
        listen_to(&ear, 1, VMREQ_VM_POWERING_ON);
        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, VMREQ_E_TIMEOUT);
        assert_int_equal(change.now, VMREQ_VM_CREATED);
}

/* ---- the end ---- */

/* A change that a listener holds for ever does not keep the VM from stopping, nor anybody inside
 * the engine. */
static void test_stop(void **state)
{
        (void)state;
        for (int on_emt = 0; on_emt < 2; on_emt++) {
                struct change change;
                struct vmreq_spec spec = engine_spec(0, 0, change_callee, &change);
                struct hooked hooked;
                struct ear ear;

                setup_with(2);
                listen_to(&ear, 1, VMREQ_VM_POWERING_ON);
                if (on_emt) {
                        change = (struct change){.event = VMREQ_EVENT_POWER_ON,
                                                 .timeout_ns = VMREQ_FOREVER};
                        spec.flags = VMREQ_NO_WAIT;
                        hooked_on(&hooked, &spec);
                        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
                } else {
                        change_start(&change, VMREQ_EVENT_POWER_ON, VMREQ_FOREVER);
                }
                sem_down(&ear.holds);
                assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
                if (!on_emt)
                        thread_end(change.thread);
                assert_int_equal(change.result, VMREQ_E_CLOSED);
                assert_int_equal(change.now, VMREQ_VM_CREATED);
                assert_int_equal(vmreq_vm_free(id), 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_order, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_input, setup, teardown),
                cmocka_unit_test_setup_teardown(test_holds, setup, teardown),
                cmocka_unit_test_setup_teardown(test_holds_nothing_else, setup, teardown),
                cmocka_unit_test_setup_teardown(test_done_inside, setup, teardown),
                cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
                cmocka_unit_test_setup_teardown(test_failure_in_order, setup, teardown),
                cmocka_unit_test_setup_teardown(test_emt_serves_meanwhile, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_emt_is_woken, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_emt_is_woken, setup, teardown),
                cmocka_unit_test_setup_teardown(test_emt_times_out, setup, teardown),
                cmocka_unit_test(test_stop),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
