/* SPDX-License-Identifier: MIT */
/* Waiting: what it promises to foreign threads, and what an EMT does meanwhile. */
#include "lib/emts.h"

static uint64_t word_of(vmreq_handle handle)
{
        return req_load(req_at(engine_inside(id), handle.index));
}

/* ---- foreign threads ---- */

static void test_idempotent(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle = engine_submit(id, &spec);

        (void)state;
        for (int i = 0; i < 3; i++) {
                assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
                assert_int_equal(engine_state(handle), VMREQ_REQ_COMPLETED);
                assert_int_equal(vmreq_wait(handle, 0), 0);
                assert_int_equal(vmreq_wait(handle, 1), 0);
        }
        assert_int_equal(vmreq_free(handle), 0);
}

static void *wait_it(void *arg)
{
        return (void *)(intptr_t)vmreq_wait(*(vmreq_handle *)arg, VMREQ_FOREVER);
}

#define WAITERS 6u

static void end_waiters(pthread_t *threads, int expected)
{
        void *result;

        for (size_t i = 0; i < WAITERS; i++) {
                assert_int_equal(pthread_join(threads[i], &result), 0);
                assert_int_equal((intptr_t)result, expected);
        }
}

static void test_several_waiters(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        pthread_t threads[WAITERS];
        vmreq_handle handle;
        struct gate gate;

        (void)state;
        /* Completed by an EMT; completed by a canceller. */
        for (int cancel = 0; cancel < 2; cancel++) {
                engine_hold(id, 0, &gate);
                handle = engine_submit(id, &spec);
                for (size_t i = 0; i < WAITERS; i++)
                        threads[i] = thread_start(wait_it, &handle);
                UNTIL(REQ_REFS(word_of(handle)) == WAITERS + 1 && word_of(handle) & REQ_F_WAITED);
                if (cancel)
                        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_REMOVED);
                gate_open(&gate);
                end_waiters(threads, 0);
                assert_int_equal(vmreq_free(handle), 0);
        }
}

/* The owner lets go while others wait: they hold it. */
static void test_freed_under_waiters(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        pthread_t threads[WAITERS];
        vmreq_handle handle;
        struct gate gate;

        (void)state;
        engine_hold(id, 0, &gate);
        handle = engine_submit(id, &spec);
        for (size_t i = 0; i < WAITERS; i++)
                threads[i] = thread_start(wait_it, &handle);
        UNTIL(REQ_REFS(word_of(handle)) == WAITERS + 1);
        assert_int_equal(vmreq_free(handle), 0);
        gate_open(&gate);
        end_waiters(threads, 0);
        engine_until_home(id);
        assert_int_equal(vmreq_wait(handle, 0), VMREQ_E_HANDLE);
}

static void test_timed(void **state)
{
        struct hooked hooked;
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle;
        struct gate gate;
        uint64_t before;

        (void)state;
        engine_hold(id, 0, &gate);
        hooked_on(&hooked, &spec);
        handle = engine_submit(id, &spec);
        before = clock_now_ns();
        assert_int_equal(vmreq_wait(handle, 3 * CLOCK_NS_PER_MS), VMREQ_E_TIMEOUT);
        assert_true(clock_now_ns() >= before + 3 * CLOCK_NS_PER_MS);
        assert_int_equal(vmreq_wait(handle, 1), VMREQ_E_TIMEOUT);
        assert_int_equal(vmreq_wait(handle, 0), VMREQ_E_TIMEOUT);
        /* It changed nothing about the request. */
        assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
        assert_int_equal(hooked.completes, 0);
        gate_open(&gate);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER - 1), 0);
        assert_int_equal(engine_finish(handle).fate, VMREQ_FATE_DONE);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
}

static void test_status_and_rows(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        struct vmreq_row row, rows[2] = {{.cpu = 7}, {.cpu = 7}};
        enum vmreq_req_state req_state;
        vmreq_handle handle;
        struct gate gate;
        uint32_t n;

        (void)state;
        engine_hold(id, 0, &gate);
        handle = engine_submit(id, &spec);
        assert_int_equal(vmreq_status(handle, NULL, NULL), 0);
        assert_int_equal(vmreq_status(handle, &req_state, &row), 0);
        assert_int_equal(req_state, VMREQ_REQ_QUEUED);
        assert_int_equal(row.fate, VMREQ_FATE_NONE);
        assert_int_equal(row.run_ns, 0);
        assert_int_equal(vmreq_rows(handle, rows, 2, &n), VMREQ_E_INVALID);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_REMOVED);
        assert_int_equal(vmreq_free(handle), 0);
        spec.cpu = VMREQ_CPU_ALL;
        handle = engine_submit(id, &spec);
        assert_int_equal(engine_state(handle), VMREQ_REQ_RUNNING);
        assert_int_equal(vmreq_rows(handle, rows, 2, &n), VMREQ_E_STATE);
        gate_open(&gate);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_rows(handle, NULL, 0, &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(vmreq_rows(handle, rows, 1, NULL), 0);
        assert_int_equal(rows[0].cpu, 0);
        assert_int_equal(rows[1].cpu, 7);
        assert_int_equal(vmreq_rows(handle, rows, 2, &n), 0);
        assert_int_equal(rows[1].cpu, 1);
        assert_int_equal(rows[1].value, 1);
        assert_int_equal(vmreq_free(handle), 0);
}

/* ---- EMTs ---- */

static int32_t wait_for_any(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        struct vmreq_spec spec =
                engine_spec(VMREQ_CPU_ANY_QUEUE, (uint32_t)(uintptr_t)ctx, log_callee, &ran);
        vmreq_handle handle;
        int r;

        (void)args;
        (void)argc;
        (void)reply;
        CHECK(vmreq_submit(id, &spec, &handle) == 0);
        CHECK(atomic_load(&ran.n) == 0);
        r = vmreq_wait(handle, VMREQ_FOREVER);
        CHECK(vmreq_free(handle) == 0);
        return r;
}

/* The only EMT waits for a request that only it can run (D21). */
static void test_serves_what_it_waits_for(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, wait_for_any, NULL);

        (void)state;
        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, 0);
        assert_int_equal(atomic_load(&ran.n), 1);
}

static void test_no_nest(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, wait_for_any, (void *)(uintptr_t)VMREQ_NO_NEST);

        (void)state;
        /* At once, and the request stays accepted: it runs when the EMT is free. */
        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, VMREQ_E_DEADLOCK);
        UNTIL(atomic_load(&ran.n) == 1);
        engine_until_home(id);
}

/* The general form: refused to wait is not refused, so the handle is the caller's. */
static int32_t call_no_nest(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        vmreq_handle *handle = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        return vmreq_call(id, VMREQ_CPU_ANY_QUEUE, handle, VMREQ_FOREVER,
                          VMREQ_NO_NEST | VMREQ_VOID, (vmreq_fn)vmreq_now, 0);
}

static void test_no_nest_general_form(void **state)
{
        vmreq_handle inner = VMREQ_HANDLE_NONE;
        struct vmreq_spec spec = engine_spec(0, 0, call_no_nest, &inner);

        (void)state;
        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, VMREQ_E_DEADLOCK);
        assert_int_equal(engine_finish(inner).fate, VMREQ_FATE_DONE);
}

static int32_t wait_done_no_nest(void *ctx, const uint64_t *args, uint32_t argc,
                                 struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        return vmreq_wait(*(vmreq_handle *)ctx, VMREQ_FOREVER);
}

static void test_no_nest_complete(void **state)
{
        struct vmreq_spec spec = engine_spec(0, VMREQ_NO_NEST, log_callee, &ran);
        vmreq_handle done = engine_submit(id, &spec);

        (void)state;
        assert_int_equal(vmreq_wait(done, VMREQ_FOREVER), 0);
        spec = engine_spec(0, 0, wait_done_no_nest, &done);
        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, 0);
        assert_int_equal(vmreq_free(done), 0);
}

static struct {
        uint32_t depth, deepest, refused_at;
        vmreq_handle refused;
} nest;

static int32_t nest_deeper(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY_QUEUE, 0, nest_deeper, NULL);
        vmreq_handle handle;
        int r;

        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        if (nest.refused_at)
                return 0; /* the refused one, when it runs after all */
        nest.depth++;
        nest.deepest = MAX(nest.deepest, nest.depth);
        CHECK(vmreq_submit(id, &spec, &handle) == 0);
        r = vmreq_wait(handle, VMREQ_FOREVER);
        if (r == VMREQ_E_DEADLOCK && !nest.refused_at)
                nest.refused_at = nest.depth;
        else
                CHECK(r == 0);
        CHECK(vmreq_free(handle) == 0);
        nest.depth--;
        return 0;
}

static void test_nest_limit(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, nest_deeper, NULL);

        (void)state;
        memset(&nest, 0, sizeof(nest));
        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, 0);
        /* Eight waits nest, the ninth is refused. */
        assert_int_equal(nest.refused_at, VMREQ_NEST_MAX + 1);
        assert_int_equal(nest.depth, 0);
        engine_until_home(id);
        assert_int_equal(engine_emt(id, 0).done, VMREQ_NEST_MAX + 2);
}

/* Waits for the request in ctx, and the outcome is its value; before that as many levels deeper as
 * args[0] says. */
static int32_t wait_deeper(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        uint64_t left = args[0] - 1;
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, 0, wait_deeper, ctx);
        struct gate *gate = reply->user;
        vmreq_handle inner;
        struct vmreq_row row;

        (void)argc;
        if (gate)
                gate_pass(gate);
        if (args[0] == 0)
                return vmreq_wait(*(vmreq_handle *)ctx, VMREQ_FOREVER);
        spec.args = &left;
        spec.argc = 1;
        CHECK(vmreq_submit(id, &spec, &inner) == 0); /* inline */
        CHECK(vmreq_status(inner, NULL, &row) == 0);
        CHECK(vmreq_free(inner) == 0);
        return row.status;
}

/* Whoever waits for what it runs itself, in this callee or in one further out, is told so. */
static void test_for_itself(void **state)
{
        (void)state;
        for (uint64_t depth = 0; depth < 3; depth++) {
                struct gate gate;
                vmreq_handle handle;
                struct vmreq_spec spec = engine_spec(1, 0, wait_deeper, &handle);

                gate_init(&gate);
                spec.user = &gate;
                spec.args = &depth;
                spec.argc = 1;
                handle = engine_submit(id, &spec);
                sem_down(&gate.in); /* `handle` is there */
                gate_open(&gate);
                assert_int_equal(engine_finish(handle).status, VMREQ_E_DEADLOCK);
        }
}

/* And whoever waits for the broadcast that it is a row of. */
static void test_for_its_broadcast(void **state)
{
        static const uint32_t flags[] = {0, VMREQ_PARALLEL | VMREQ_CONTINUE};
        static const uint64_t depth;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
                struct gate gate;
                vmreq_handle handle;
                struct vmreq_spec spec =
                        engine_spec(VMREQ_CPU_ALL, flags[i] | VMREQ_CONTINUE, wait_deeper, &handle);
                struct vmreq_row rows[2];

                gate_init(&gate);
                spec.user = &gate;
                spec.args = &depth;
                spec.argc = 1;
                handle = engine_submit(id, &spec);
                for (uint32_t cpu = 0; cpu < 2; cpu++) {
                        sem_down(&gate.in);
                        gate_open(&gate);
                }
                assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
                assert_int_equal(vmreq_rows(handle, rows, 2, NULL), 0);
                for (uint32_t cpu = 0; cpu < 2; cpu++)
                        assert_int_equal(rows[cpu].status, VMREQ_E_DEADLOCK);
                assert_int_equal(vmreq_free(handle), 0);
        }
}

/* EMT 0 waits for EMT 1 while EMT 1 waits for EMT 0. */
struct mutual {
        struct gate gate;
        uint32_t other;
};

static int32_t mutual_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        struct mutual *mutual = ctx;
        struct vmreq_spec spec = engine_spec(mutual->other, 0, log_callee, &ran);
        vmreq_handle handle;
        int r;

        (void)args;
        (void)argc;
        (void)reply;
        /* Both are in their callees before either submits. */
        gate_pass(&mutual->gate);
        CHECK(vmreq_submit(id, &spec, &handle) == 0);
        r = vmreq_wait(handle, VMREQ_FOREVER);
        CHECK(vmreq_free(handle) == 0);
        return r;
}

static void test_mutual(void **state)
{
        struct mutual mutual[2];
        vmreq_handle handles[2];

        (void)state;
        for (uint32_t i = 0; i < 2; i++) {
                struct vmreq_spec spec = engine_spec(i, 0, mutual_callee, &mutual[i]);

                gate_init(&mutual[i].gate);
                mutual[i].other = 1 - i;
                handles[i] = engine_submit(id, &spec);
        }
        for (uint32_t i = 0; i < 2; i++)
                sem_down(&mutual[i].gate.in);
        for (uint32_t i = 0; i < 2; i++)
                gate_open(&mutual[i].gate);
        for (uint32_t i = 0; i < 2; i++)
                assert_int_equal(engine_finish(handles[i]).status, 0);
        assert_int_equal(atomic_load(&ran.n), 2);
}

static int32_t wait_for(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)argc;
        (void)reply;
        return vmreq_wait(*(vmreq_handle *)ctx, args[0]);
}

/* While EMT 1 waits for EMT 0, it serves its own lanes and ANY, and joins rendezvous. */
static void test_serves_meanwhile(void **state)
{
        struct gate gate;
        struct vmreq_spec spec = engine_spec(0, 0, gate_callee, &gate);
        uint64_t forever = VMREQ_FOREVER;
        vmreq_handle held, waiter;

        (void)state;
        gate_init(&gate);
        held = engine_submit(id, &spec);
        sem_down(&gate.in);
        spec = engine_spec(1, 0, wait_for, &held);
        spec.args = &forever;
        spec.argc = 1;
        waiter = engine_submit(id, &spec);
        UNTIL(word_of(held) & REQ_F_EMT_WAITS);
        for (int i = 0; i < 20; i++) {
                spec = engine_spec(i % 2 ? 1 : VMREQ_CPU_ANY, i % 3 ? 0 : VMREQ_PRIORITY,
                                   log_callee, &ran);
                assert_int_equal(engine_finish(engine_submit(id, &spec)).cpu, 1);
        }
        assert_int_equal(engine_state(waiter), VMREQ_REQ_RUNNING);
        gate_open(&gate);
        assert_int_equal(engine_finish(waiter).status, 0);
        (void)engine_finish(held);
}

static void test_emt_waits_with_a_limit(void **state)
{
        struct gate gate;
        struct vmreq_spec spec = engine_spec(0, 0, gate_callee, &gate);
        uint64_t limits[] = {0, 1, 2 * CLOCK_NS_PER_MS};
        vmreq_handle held;

        (void)state;
        gate_init(&gate);
        held = engine_submit(id, &spec);
        sem_down(&gate.in);
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
                spec = engine_spec(1, 0, wait_for, &held);
                spec.args = &limits[i];
                spec.argc = 1;
                assert_int_equal(engine_finish(engine_submit(id, &spec)).status, VMREQ_E_TIMEOUT);
        }
        /* The level was given back each time. */
        assert_int_equal(engine_inside(id)->emts[1].nest, 0);
        assert_int_equal(atomic_load(&engine_inside(id)->nested[0]), 0);
        gate_open(&gate);
        (void)engine_finish(held);
}

/* ---- what the end of a wait owes ---- */

struct leaver {
        vmreq_handle handle;
        struct gate gate;
};

static int32_t wait_then_block(void *ctx, const uint64_t *args, uint32_t argc,
                               struct vmreq_reply *reply)
{
        struct leaver *leaver = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        CHECK(vmreq_wait(leaver->handle, VMREQ_FOREVER) == 0);
        gate_pass(&leaver->gate);
        return 0;
}

/*
 * EMT 0 sleeps in a wait; a request on ANY wakes it, and only it (one wakes one).  At that moment
 * its wait is over, so it goes on with its callee instead, which blocks.  EMT 1 sleeps: the wake-up
 * must have been passed on.
 */
static void test_wake_is_passed_on(void **state)
{
        struct vmreq_spec spec = engine_spec(1, 0, log_callee, &ran);
        struct vm *vm = engine_inside(id);
        struct leaver leaver;
        vmreq_handle waiter, any;
        struct req *req;
        uint64_t word;

        (void)state;
        gate_init(&leaver.gate);
        /* A request that is nobody's: its end is up to this test. */
        assert_int_equal(vmreq_alloc(id, &spec, &leaver.handle), 0);
        req = req_at(vm, leaver.handle.index);
        word = req_load(req);
        assert_true(req_swap(req, &word, req_with_state(word, VMREQ_REQ_QUEUED)));
        spec = engine_spec(0, 0, wait_then_block, &leaver);
        waiter = engine_submit(id, &spec);
        UNTIL(word_of(leaver.handle) & REQ_F_EMT_WAITS && engine_sleeps(id, 0));
        engine_until_asleep(id, 1);

        /* A canceller that was preempted between its swap and its wake-ups. */
        word = req_load(req);
        assert_true(req_swap(req, &word, req_with_state(word, VMREQ_REQ_CANCELLED) + REQ_REF_ONE));
        spec = engine_spec(VMREQ_CPU_ANY, 0, log_callee, &ran);
        any = engine_submit(id, &spec);
        sem_down(&leaver.gate.in);
        assert_int_equal(engine_finish(any).cpu, 1);
        req_finish(vm, req, req_load(req));
        gate_open(&leaver.gate);
        (void)engine_finish(waiter);
        assert_int_equal(vmreq_free(leaver.handle), 0);
}

/* The VM stops while an EMT waits for another that takes its time: nothing is lost, nobody hangs.
 */
static void *stop_it(void *arg)
{
        (void)arg;
        return (void *)(intptr_t)vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0);
}

static void test_stopped_while_waiting(void **state)
{
        struct gate gate;
        struct vmreq_spec spec = engine_spec(0, 0, gate_callee, &gate);
        uint64_t forever = VMREQ_FOREVER;
        vmreq_handle held, waiter;
        pthread_t stopper;

        (void)state;
        gate_init(&gate);
        held = engine_submit(id, &spec);
        sem_down(&gate.in);
        spec = engine_spec(1, 0, wait_for, &held);
        spec.args = &forever;
        spec.argc = 1;
        waiter = engine_submit(id, &spec);
        UNTIL(word_of(held) & REQ_F_EMT_WAITS);
        stopper = thread_start(stop_it, NULL);
        UNTIL(atomic_load(&engine_inside(id)->emts[1].stop));
        gate_open(&gate);
        assert_int_equal(engine_finish(waiter).status, 0);
        (void)engine_finish(held);
        thread_end(stopper);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_idempotent, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_several_waiters, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_freed_under_waiters, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_timed, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_status_and_rows, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_serves_what_it_waits_for, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_no_nest, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_no_nest_general_form, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_no_nest_complete, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_nest_limit, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_for_itself, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_for_its_broadcast, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_mutual, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_serves_meanwhile, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_emt_waits_with_a_limit, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_wake_is_passed_on, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_stopped_while_waiting, setup2, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
