/* SPDX-License-Identifier: MIT */
/*
 * Deadlines.  Most tests are their own deadline service: the deadlines lie an hour ahead and the
 * test says what time it is.
 */
#include "lib/emts.h"

/* The host's side of the service: what it was told. */
static struct log wakes;

static void service_wake(void *ctx, uint64_t due_ns)
{
        CHECK(ctx == &wakes);
        log_add(&wakes, due_ns);
}

static int setup_host(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        config.cpus = 2;
        config.service_wake = service_wake;
        config.ctx = &wakes;
        id = engine_new_with(&config);
        memset(&ran, 0, sizeof(ran));
        memset(&wakes, 0, sizeof(wakes));
        return 0;
}

static uint64_t due_of(vmreq_handle handle)
{
        return atomic_load(&engine_inside(id)->due[handle.index]);
}

/* ---- in the queue ---- */

static void test_expires_at_its_deadline(void **state)
{
        uint64_t due = clock_now_ns() + ENGINE_FAR_NS;
        static const uint32_t cpus[] = {0, VMREQ_CPU_ANY};
        struct gate gates[2];

        (void)state;
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                engine_hold(id, cpu, &gates[cpu]);
        for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
                struct hooked hooked;
                struct vmreq_spec spec = engine_spec(cpus[i], 0, log_callee, &ran);
                vmreq_handle handle;

                hooked_on(&hooked, &spec);
                spec.deadline_ns = due;
                handle = engine_submit(id, &spec);
                assert_int_equal(vmreq_vm_service(id, due - 1), due);
                assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
                /* Every EMT is stuck: it expires all the same. */
                assert_int_equal(vmreq_vm_service(id, due), UINT64_MAX);
                assert_int_equal(engine_state(handle), VMREQ_REQ_EXPIRED);
                assert_hooked(&hooked, VMREQ_FATE_EXPIRED);
                assert_int_equal(hooked.overdues, 0);
                assert_int_equal(hooked.result.row.run_ns, 0);
                assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_FINISHED);
                assert_int_equal(vmreq_free(handle), 0);
        }
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                gate_open(&gates[cpu]);
        assert_int_equal(engine_stats(id).fates[VMREQ_FATE_EXPIRED], ARRAY_SIZE(cpus));
        assert_int_equal(atomic_load(&ran.n), 0);
}

static void test_earliest_and_wakes(void **state)
{
        uint64_t base = clock_now_ns() + ENGINE_FAR_NS;
        static const int64_t offsets[] = {500, 700, 300, 300, 900, 100};
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handles[ARRAY_SIZE(offsets)];
        struct gate gate;

        (void)state;
        engine_hold(id, 0, &gate);
        assert_int_equal(vmreq_vm_service(id, 1), UINT64_MAX);
        for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
                spec.deadline_ns = base + (uint64_t)offsets[i];
                handles[i] = engine_submit(id, &spec);
        }
        /* Told only when the next due time fell. */
        assert_log(&wakes, (uint64_t[]){base + 500, base + 300, base + 100}, 3);
        assert_int_equal(vmreq_vm_service(id, base), base + 100);
        assert_int_equal(vmreq_vm_service(id, base + 100), base + 300);
        assert_int_equal(engine_state(handles[5]), VMREQ_REQ_EXPIRED);
        assert_int_equal(vmreq_vm_service(id, base + 600), base + 700);
        assert_int_equal(engine_state(handles[0]), VMREQ_REQ_EXPIRED);
        assert_int_equal(engine_state(handles[2]), VMREQ_REQ_EXPIRED);
        assert_int_equal(engine_state(handles[3]), VMREQ_REQ_EXPIRED);
        assert_int_equal(engine_state(handles[1]), VMREQ_REQ_QUEUED);
        assert_int_equal(vmreq_cancel(handles[1]), VMREQ_VERDICT_REMOVED);
        assert_int_equal(vmreq_vm_service(id, base), base + 900);
        /* Below what the service last returned: told again. */
        spec.deadline_ns = base + 800;
        (void)vmreq_free(engine_submit(id, &spec));
        assert_int_equal(atomic_load(&wakes.n), 4);
        assert_int_equal(vmreq_vm_service(id, base + 1000), UINT64_MAX);
        for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
                assert_int_equal(vmreq_free(handles[i]), 0);
        gate_open(&gate);
        assert_int_equal(atomic_load(&ran.n), 0);
}

/* The service is late, the EMT comes first: a request past its deadline does not start. */
static void test_taken_too_late(void **state)
{
        struct hooked hooked;
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        struct gate gate;
        vmreq_handle handle;

        (void)state;
        engine_hold(id, 0, &gate);
        hooked_on(&hooked, &spec);
        spec.deadline_ns = 1;
        handle = engine_submit(id, &spec);
        assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
        gate_open(&gate);
        assert_int_equal(engine_finish(handle).fate, VMREQ_FATE_EXPIRED);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_EXPIRED);
        assert_int_equal(atomic_load(&ran.n), 0);
}

static void test_met(void **state)
{
        uint64_t due = clock_now_ns() + ENGINE_FAR_NS;
        struct hooked hooked;
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        hooked_on(&hooked, &spec);
        spec.deadline_ns = due;
        handle = engine_submit(id, &spec);
        sem_down(&hooked.released);
        assert_int_equal(due_of(handle), 0);
        assert_int_equal(vmreq_vm_service(id, due + 1), UINT64_MAX);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
        assert_int_equal(hooked.overdues, 0);
        assert_int_equal(vmreq_free(handle), 0);
        /* The packet's next life has no deadline. */
        spec = engine_spec(0, 0, gate_callee, NULL);
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        assert_int_equal(due_of(handle), 0);
        assert_int_equal(vmreq_free(handle), 0);
}

static void test_never(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        struct gate gate;
        vmreq_handle handle;

        (void)state;
        engine_hold(id, 0, &gate);
        spec.deadline_ns = UINT64_MAX;
        handle = engine_submit(id, &spec);
        assert_int_equal(atomic_load(&wakes.n), 0);
        assert_int_equal(vmreq_vm_service(id, UINT64_MAX - 1), UINT64_MAX);
        assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
        gate_open(&gate);
        assert_int_equal(engine_finish(handle).fate, VMREQ_FATE_DONE);
}

static void test_bad_vm(void **state)
{
        (void)state;
        assert_int_equal(vmreq_vm_service((vmreq_vm){0}, 1), UINT64_MAX);
        assert_int_equal(vmreq_vm_service((vmreq_vm){id.id + 1}, UINT64_MAX), UINT64_MAX);
}

/* ---- while it runs ---- */

static void *wait_it(void *arg)
{
        return (void *)(intptr_t)vmreq_wait(*(vmreq_handle *)arg, VMREQ_FOREVER);
}

static int32_t asked_callee(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        gate_pass(ctx);
        reply->value = (uint64_t)vmreq_cancel_requested();
        return 4;
}

static uint64_t word_of(vmreq_handle handle)
{
        return req_load(req_at(engine_inside(id), handle.index));
}

static void test_overdue(void **state)
{
        uint64_t due = clock_now_ns() + ENGINE_FAR_NS;
        struct gate gate;
        struct hooked hooked;
        struct vmreq_spec spec = engine_spec(0, 0, asked_callee, &gate);
        vmreq_handle handle;
        pthread_t thread;
        struct vmreq_row row;
        void *result;

        (void)state;
        gate_init(&gate);
        hooked_on(&hooked, &spec);
        spec.deadline_ns = due;
        handle = engine_submit(id, &spec);
        sem_down(&gate.in);
        thread = thread_start(wait_it, &handle);
        UNTIL(word_of(handle) & REQ_F_WAITED);
        assert_int_equal(vmreq_vm_service(id, due - 1), due);
        assert_int_equal(hooked.overdues, 0);
        assert_int_equal(vmreq_vm_service(id, due), UINT64_MAX);
        /* Told once, and its waiters with it; it runs on. */
        assert_int_equal(hooked.overdues, 1);
        assert_int_equal(hooked.completes, 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_int_equal((intptr_t)result, VMREQ_E_TIMEOUT);
        assert_int_equal(engine_state(handle), VMREQ_REQ_RUNNING);
        /* A wait begun before its end: at once. */
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), VMREQ_E_TIMEOUT);
        assert_int_equal(vmreq_vm_service(id, due + 1), UINT64_MAX);
        assert_int_equal(hooked.overdues, 1);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
        gate_open(&gate);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
        /* A later one gets its result. */
        row = engine_finish(handle);
        assert_int_equal(row.fate, VMREQ_FATE_DONE);
        assert_int_equal(row.status, 4);
        assert_int_equal(row.value, 1);
}

static int32_t wait_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        return vmreq_wait(*(vmreq_handle *)ctx, VMREQ_FOREVER);
}

static void test_overdue_for_an_emt(void **state)
{
        uint64_t due = clock_now_ns() + ENGINE_FAR_NS;
        struct gate gate;
        struct vmreq_spec spec = engine_spec(0, 0, asked_callee, &gate);
        vmreq_handle handle, waiter;

        (void)state;
        gate_init(&gate);
        spec.deadline_ns = due;
        handle = engine_submit(id, &spec);
        sem_down(&gate.in);
        spec = engine_spec(1, 0, wait_callee, &handle);
        waiter = engine_submit(id, &spec);
        UNTIL(word_of(handle) & REQ_F_EMT_WAITS && engine_sleeps(id, 1));
        assert_int_equal(vmreq_vm_service(id, due), UINT64_MAX);
        assert_int_equal(engine_finish(waiter).status, VMREQ_E_TIMEOUT);
        gate_open(&gate);
        UNTIL(engine_state(handle) == VMREQ_REQ_COMPLETED);
        assert_int_equal(engine_finish(handle).value, 1);
}

static int32_t park_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        CHECK(sem_post(ctx) == 0);
        return vmreq_park(VMREQ_FOREVER);
}

static void test_parked_callee_is_asked(void **state)
{
        uint64_t due = clock_now_ns() + ENGINE_FAR_NS;
        sem_t in;
        struct vmreq_spec spec = engine_spec(0, 0, park_callee, &in);
        vmreq_handle handle;

        (void)state;
        assert_int_equal(sem_init(&in, 0, 0), 0);
        spec.deadline_ns = due;
        handle = engine_submit(id, &spec);
        sem_down(&in);
        assert_int_equal(vmreq_vm_service(id, due), UINT64_MAX);
        UNTIL(engine_state(handle) == VMREQ_REQ_COMPLETED);
        assert_int_equal(engine_finish(handle).status, VMREQ_E_CANCELLED);
}

/* Inline requests have deadlines too. */
struct inline_park {
        sem_t in;
        struct hooked hooked;
        uint64_t due;
        int32_t status;
};

static int32_t inline_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        struct inline_park *park = ctx;
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, VMREQ_NO_WAIT, park_callee, &park->in);

        (void)args;
        (void)argc;
        (void)reply;
        spec.user = &park->hooked;
        spec.overdue = hooked_overdue;
        spec.complete = hooked_complete;
        spec.release = hooked_release;
        spec.deadline_ns = park->due;
        return vmreq_submit(id, &spec, NULL);
}

static void test_inline(void **state)
{
        struct inline_park park = {.due = clock_now_ns() + ENGINE_FAR_NS};
        struct vmreq_spec spec = engine_spec(0, 0, inline_callee, &park), none;
        vmreq_handle handle;

        (void)state;
        assert_int_equal(sem_init(&park.in, 0, 0), 0);
        hooked_on(&park.hooked, &none);
        handle = engine_submit(id, &spec);
        sem_down(&park.in);
        assert_int_equal(vmreq_vm_service(id, park.due), UINT64_MAX);
        assert_int_equal(park.hooked.overdues, 1);
        assert_int_equal(engine_finish(handle).status, 0);
        assert_hooked(&park.hooked, VMREQ_FATE_DONE);
        assert_int_equal(park.hooked.result.row.status, VMREQ_E_CANCELLED);
}

/* ---- the hand-over between the overdue hook and the end ---- */

struct handover {
        struct gate hook, callee;
        struct hooked hooked;
        pthread_t completed_by;
        uint64_t due;
};

static void handover_overdue(void *user)
{
        struct handover *handover = user;

        gate_pass(&handover->hook);
        hooked_overdue(&handover->hooked);
}

static void handover_complete(void *user, const struct vmreq_result *result)
{
        struct handover *handover = user;

        handover->completed_by = pthread_self();
        hooked_complete(&handover->hooked, result);
}

static void handover_release(void *user)
{
        hooked_release(&((struct handover *)user)->hooked);
}

static void *service_it(void *arg)
{
        return (void *)(uintptr_t)vmreq_vm_service(id, ((struct handover *)arg)->due);
}

/* The callee returns while the overdue hook runs: never two hooks at once, and the end is not lost.
 */
static void test_ends_during_the_hook(void **state)
{
        struct handover handover = {.due = clock_now_ns() + ENGINE_FAR_NS};
        struct vmreq_spec spec = engine_spec(0, 0, gate_callee, &handover.callee), none;
        vmreq_handle handle;
        pthread_t thread;

        (void)state;
        gate_init(&handover.hook);
        gate_init(&handover.callee);
        hooked_on(&handover.hooked, &none);
        spec.user = &handover;
        spec.overdue = handover_overdue;
        spec.complete = handover_complete;
        spec.release = handover_release;
        spec.deadline_ns = handover.due;
        handle = engine_submit(id, &spec);
        sem_down(&handover.callee.in);
        thread = thread_start(service_it, &handover);
        sem_down(&handover.hook.in);
        gate_open(&handover.callee);
        UNTIL(engine_state(handle) == VMREQ_REQ_COMPLETED);
        /* The EMT is free already, for another request, while the hooks are owed by the service. */
        spec = engine_spec(0, 0, log_callee, &ran);
        (void)engine_finish(engine_submit(id, &spec));
        assert_int_equal(handover.hooked.completes + handover.hooked.releases, 0);
        gate_open(&handover.hook);
        sem_down(&handover.hooked.released);
        assert_hooked(&handover.hooked, VMREQ_FATE_DONE);
        assert_int_equal(handover.hooked.overdues, 1);
        assert_true(pthread_equal(handover.completed_by, thread));
        thread_end(thread);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(engine_stats(id).in_use, 0);
}

/* The other order: the hook is over first. */
static void test_ends_after_the_hook(void **state)
{
        struct handover handover = {.due = clock_now_ns() + ENGINE_FAR_NS};
        struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT, gate_callee, &handover.callee), none;
        pthread_t thread;

        (void)state;
        gate_init(&handover.hook);
        gate_init(&handover.callee);
        hooked_on(&handover.hooked, &none);
        spec.user = &handover;
        spec.overdue = handover_overdue;
        spec.complete = handover_complete;
        spec.release = handover_release;
        spec.deadline_ns = handover.due;
        (void)engine_submit(id, &spec);
        sem_down(&handover.callee.in);
        thread = thread_start(service_it, &handover);
        sem_down(&handover.hook.in);
        gate_open(&handover.hook);
        thread_end(thread);
        assert_int_equal(handover.hooked.completes, 0);
        gate_open(&handover.callee);
        sem_down(&handover.hooked.released);
        assert_hooked(&handover.hooked, VMREQ_FATE_DONE);
        assert_false(pthread_equal(handover.completed_by, thread));
        engine_until_home(id);
}

/* ---- the engine's own thread ---- */

static void test_own_thread(void **state)
{
        struct gate gate;
        struct hooked hooked[4];
        vmreq_handle handles[4];

        (void)state;
        engine_hold(id, 0, &gate);
        for (size_t i = 0; i < 4; i++) {
                struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);

                hooked_on(&hooked[i], &spec);
                /* The far one first: each later one must wake the service. */
                spec.deadline_ns = i == 0   ? clock_now_ns() + ENGINE_FAR_NS
                                   : i == 1 ? clock_now_ns() + 5 * CLOCK_NS_PER_MS
                                            : 1;
                handles[i] = engine_submit(id, &spec);
        }
        for (size_t i = 1; i < 4; i++) {
                sem_down(&hooked[i].released);
                assert_hooked(&hooked[i], VMREQ_FATE_EXPIRED);
        }
        assert_int_equal(hooked[0].completes, 0);
        gate_open(&gate);
        sem_down(&hooked[0].released);
        assert_hooked(&hooked[0], VMREQ_FATE_DONE);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(vmreq_free(handles[i]), 0);
}

static void test_own_thread_overdue(void **state)
{
        struct hooked hooked;
        struct gate gate;
        struct vmreq_spec spec = engine_spec(0, 0, asked_callee, &gate);
        vmreq_handle handle;

        (void)state;
        /* On a busy machine it may expire before it starts: then once more, with more time. */
        for (uint64_t ns = 20 * CLOCK_NS_PER_MS;; ns *= 2) {
                enum vmreq_req_state now;

                gate_init(&gate);
                hooked_on(&hooked, &spec);
                spec.deadline_ns = clock_now_ns() + ns;
                handle = engine_submit(id, &spec);
                UNTIL((now = engine_state(handle)) != VMREQ_REQ_QUEUED);
                if (now != VMREQ_REQ_EXPIRED)
                        break;
                sem_down(&hooked.released);
                assert_int_equal(vmreq_free(handle), 0);
        }
        sem_down(&hooked.overdue);
        assert_true(clock_now_ns() >= spec.deadline_ns);
        sem_down(&gate.in);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), VMREQ_E_TIMEOUT);
        gate_open(&gate);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
        assert_int_equal(engine_finish(handle).fate, VMREQ_FATE_DONE);
}

/* A submitter that was preempted before it noted its deadline, and meanwhile the VM has stopped: it
 * must not start a thread that nobody joins. */
static void test_no_service_after_stop(void **state)
{
        struct vm *vm = engine_inside(id);

        (void)state;
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
        assert_int_equal(deadline_set(vm, 0, clock_now_ns() + ENGINE_FAR_NS), 0);
        assert_false(vm->service_started);
        deadline_clear(vm, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_expires_at_its_deadline, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_earliest_and_wakes, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_taken_too_late, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_met, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_never, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_bad_vm, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_overdue, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_overdue_for_an_emt, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_parked_callee_is_asked, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_inline, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_ends_during_the_hook, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_ends_after_the_hook, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_own_thread, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_own_thread_overdue, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_no_service_after_stop, setup2, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
