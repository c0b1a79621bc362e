/* SPDX-License-Identifier: MIT */
/* Rendezvous: each manner of running, failures, the ones who do not come, and several callers at
 * once. */
#include "lib/engine.h"

#define CPUS 4u

static vmreq_vm id;
static struct log ran;

static int setup(void **state)
{
        (void)state;
        id = engine_new(CPUS);
        memset(&ran, 0, sizeof(ran));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}

static int rendezvous(enum vmreq_rendezvous_kind kind, uint32_t flags,
                      int32_t (*fn)(void *, uint32_t), void *ctx)
{
        return vmreq_rendezvous(id, kind, flags, VMREQ_FOREVER, fn, ctx, NULL, 0);
}

static int32_t log_cpu(void *ctx, uint32_t cpu)
{
        CHECK(vmreq_emt_self(id) == cpu);
        log_add(&ran, cpu);
        return ctx ? *(const int32_t *)ctx : 0;
}

/* Nobody else is inside. */
static _Atomic uint32_t n_inside;

static int32_t alone(void *ctx, uint32_t cpu)
{
        (void)ctx;
        CHECK(atomic_fetch_add(&n_inside, 1) == 0);
        (void)sched_yield();
        log_add(&ran, cpu);
        CHECK(atomic_fetch_sub(&n_inside, 1) == 1);
        return 0;
}

/* Everybody is inside. */
static int32_t together(void *ctx, uint32_t cpu)
{
        (void)ctx;
        log_add(&ran, cpu);
        UNTIL(atomic_load(&ran.n) == CPUS);
        return 0;
}

static uint64_t set_of(const struct log *log)
{
        uint64_t set = 0;

        for (uint32_t i = 0; i < atomic_load(&log->n); i++)
                set |= 1ull << atomic_load(&log->items[i]);
        return set;
}

static void test_kinds(void **state)
{
        (void)state;
        for (int i = 0; i < 50; i++) {
                memset(&ran, 0, sizeof(ran));
                assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_ONCE, 0, alone, NULL), 0);
                assert_int_equal(atomic_load(&ran.n), 1);

                memset(&ran, 0, sizeof(ran));
                assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_ONE_BY_ONE, 0, alone, NULL), 0);
                assert_int_equal(atomic_load(&ran.n), CPUS);
                assert_int_equal(set_of(&ran), 0xf);

                memset(&ran, 0, sizeof(ran));
                assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_ALL, 0, together, NULL), 0);
                assert_int_equal(set_of(&ran), 0xf);

                memset(&ran, 0, sizeof(ran));
                assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_ASCENDING, 0, alone, NULL), 0);
                assert_log(&ran, (uint64_t[]){0, 1, 2, 3}, CPUS);

                memset(&ran, 0, sizeof(ran));
                assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_DESCENDING, 0, alone, NULL), 0);
                assert_log(&ran, (uint64_t[]){3, 2, 1, 0}, CPUS);
        }
}

static void test_bad_input(void **state)
{
        (void)state;
        assert_int_equal(vmreq_rendezvous((vmreq_vm){0}, VMREQ_RENDEZVOUS_ONCE, 0, 0, log_cpu, NULL,
                                          NULL, 0),
                         VMREQ_E_HANDLE);
        assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_ONCE, 0, NULL, NULL), VMREQ_E_INVALID);
        assert_int_equal(rendezvous(_VMREQ_RENDEZVOUS_N, 0, log_cpu, NULL), VMREQ_E_INVALID);
        assert_int_equal(rendezvous((enum vmreq_rendezvous_kind) - 1, 0, log_cpu, NULL),
                         VMREQ_E_INVALID);
        assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_ONCE, 2, log_cpu, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ONCE, 0, 0, log_cpu, NULL, NULL, 1),
                         VMREQ_E_INVALID);
        assert_int_equal(atomic_load(&ran.n), 0);
}

/* ---- failures ---- */

static int32_t fail_on_2(void *ctx, uint32_t cpu)
{
        (void)ctx;
        log_add(&ran, cpu);
        return cpu == 2 ? -22 : cpu == 3 ? 5 : 0;
}

static void test_failures(void **state)
{
        static const struct {
                enum vmreq_rendezvous_kind kind;
                uint32_t flags, runs;
        } rows[] = {
                {VMREQ_RENDEZVOUS_ASCENDING, 0, 4},
                {VMREQ_RENDEZVOUS_ASCENDING, VMREQ_RENDEZVOUS_STOP, 3},
                {VMREQ_RENDEZVOUS_DESCENDING, 0, 4},
                {VMREQ_RENDEZVOUS_DESCENDING, VMREQ_RENDEZVOUS_STOP, 2},
                {VMREQ_RENDEZVOUS_ONE_BY_ONE, 0, 4},
                {VMREQ_RENDEZVOUS_ALL, 0, 4},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                memset(&ran, 0, sizeof(ran));
                assert_int_equal(rendezvous(rows[i].kind, rows[i].flags, fail_on_2, NULL), -22);
                assert_int_equal(atomic_load(&ran.n), rows[i].runs);
        }
        /* The next one is not concerned. */
        memset(&ran, 0, sizeof(ran));
        assert_int_equal(
                rendezvous(VMREQ_RENDEZVOUS_ASCENDING, VMREQ_RENDEZVOUS_STOP, log_cpu, NULL), 0);
        assert_int_equal(atomic_load(&ran.n), CPUS);
}

static int32_t fail_always(void *ctx, uint32_t cpu)
{
        (void)ctx;
        log_add(&ran, cpu);
        return -100 - (int32_t)cpu;
}

/* The first failure is the answer, and a stop before the end lets nobody wait. */
static void test_first_failure(void **state)
{
        int result;

        (void)state;
        assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_DESCENDING, 0, fail_always, NULL), -103);
        assert_int_equal(
                rendezvous(VMREQ_RENDEZVOUS_ASCENDING, VMREQ_RENDEZVOUS_STOP, fail_always, NULL),
                -100);
        memset(&ran, 0, sizeof(ran));
        result = rendezvous(VMREQ_RENDEZVOUS_ONE_BY_ONE, VMREQ_RENDEZVOUS_STOP, fail_always, NULL);
        assert_int_equal(result, -100 - (int32_t)atomic_load(&ran.items[0]));
        assert_int_equal(atomic_load(&ran.n), 1);
}

/* ---- who does not come ---- */

static void test_timeout_names_the_missing(void **state)
{
        static const uint32_t stuck[] = {1, 3};
        struct gate gates[2];
        uint32_t missing[CPUS] = {77, 77, 77, 77}, one[1] = {77};

        (void)state;
        for (size_t i = 0; i < 2; i++)
                engine_hold(id, stuck[i], &gates[i]);
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 5 * CLOCK_NS_PER_MS, log_cpu,
                                          NULL, missing, CPUS),
                         VMREQ_E_TIMEOUT);
        /* Nobody ran it, and the healthy ones are free again. */
        assert_int_equal(atomic_load(&ran.n), 0);
        assert_int_equal(vmreq_call_void_wait(id, 0, (vmreq_fn)vmreq_now, 0), 0);
        assert_int_equal(vmreq_call_void_wait(id, 2, (vmreq_fn)vmreq_now, 0), 0);
        /* 0 and 2 may have been late too on a busy machine, but the stuck ones are named for
         * certain. */
        for (size_t i = 0; i < 2; i++) {
                bool named = false;

                for (uint32_t m = 0; m < CPUS && missing[m] != VMREQ_CPU_NONE; m++)
                        named |= missing[m] == stuck[i];
                assert_true(named);
        }
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 1, log_cpu, NULL, one, 1),
                         VMREQ_E_TIMEOUT);
        assert_true(one[0] < CPUS);
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 1, log_cpu, NULL, NULL, 0),
                         VMREQ_E_TIMEOUT);
        for (size_t i = 0; i < 2; i++)
                gate_open(&gates[i]);
        /* They have missed it: they do not come to it later, but to the next one they do. */
        assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_DESCENDING, 0, log_cpu, NULL), 0);
        assert_log(&ran, (uint64_t[]){3, 2, 1, 0}, CPUS);
}

struct missing_list {
        uint32_t cpus[CPUS];
};

static void *rendezvous_long(void *arg)
{
        struct missing_list *list = arg;

        return (void *)(intptr_t)vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0,
                                                  300 * CLOCK_NS_PER_MS, log_cpu, NULL, list->cpus,
                                                  CPUS);
}

/* With time enough to arrive, exactly the stuck one is named; meanwhile the others stand parked. */
static void test_only_the_stuck_is_named(void **state)
{
        struct missing_list list;
        struct gate gate;
        pthread_t thread;
        void *result;

        (void)state;
        engine_hold(id, 2, &gate);
        thread = thread_start(rendezvous_long, &list);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                if (cpu != 2)
                        UNTIL(engine_emt(id, cpu).state == VMREQ_EMT_PARKED);
        assert_int_equal(engine_emt(id, 2).state, VMREQ_EMT_RUNNING);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_int_equal((intptr_t)result, VMREQ_E_TIMEOUT);
        assert_int_equal(list.cpus[0], 2);
        assert_int_equal(list.cpus[1], VMREQ_CPU_NONE);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_not_equal(engine_emt(id, cpu).state, VMREQ_EMT_PARKED);
        gate_open(&gate);
}

/* ---- callers ---- */

static int32_t call_rendezvous(void *ctx, const uint64_t *args, uint32_t argc,
                               struct vmreq_reply *reply)
{
        (void)argc;
        (void)reply;
        if (ctx)
                gate_pass(ctx);
        return rendezvous((enum vmreq_rendezvous_kind)args[0], 0, alone, NULL);
}

static void test_from_an_emt(void **state)
{
        (void)state;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                for (uint64_t kind = 0; kind < _VMREQ_RENDEZVOUS_N; kind++) {
                        struct vmreq_spec spec = engine_spec(cpu, 0, call_rendezvous, NULL);

                        if (kind == VMREQ_RENDEZVOUS_ALL)
                                continue; /* `alone` would complain */
                        memset(&ran, 0, sizeof(ran));
                        spec.args = &kind;
                        spec.argc = 1;
                        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, 0);
                        assert_int_equal(atomic_load(&ran.n),
                                         kind == VMREQ_RENDEZVOUS_ONCE ? 1 : CPUS);
                }
        }
}

/* All EMTs call at once, and foreign threads with them: each takes part in the others'. */
static void *rendezvous_foreign(void *arg)
{
        (void)arg;
        return (void *)(intptr_t)rendezvous(VMREQ_RENDEZVOUS_ASCENDING, 0, alone, NULL);
}

static void test_concurrent_callers(void **state)
{
        uint64_t kind = VMREQ_RENDEZVOUS_DESCENDING;

        (void)state;
        for (int round = 0; round < 20; round++) {
                struct gate gates[CPUS];
                vmreq_handle handles[CPUS];
                pthread_t threads[2];
                void *result;

                memset(&ran, 0, sizeof(ran));
                for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                        struct vmreq_spec spec = engine_spec(cpu, 0, call_rendezvous, &gates[cpu]);

                        gate_init(&gates[cpu]);
                        spec.args = &kind;
                        spec.argc = 1;
                        handles[cpu] = engine_submit(id, &spec);
                }
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        sem_down(&gates[cpu].in);
                for (size_t i = 0; i < 2; i++)
                        threads[i] = thread_start(rendezvous_foreign, NULL);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        gate_open(&gates[cpu]);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        assert_int_equal(engine_finish(handles[cpu]).status, 0);
                for (size_t i = 0; i < 2; i++) {
                        assert_int_equal(pthread_join(threads[i], &result), 0);
                        assert_null(result);
                }
                /* Six rendezvous, none mixed with another. */
                assert_int_equal(atomic_load(&ran.n), 6 * CPUS);
                for (uint32_t i = 0; i < 6 * CPUS; i++) {
                        uint64_t first = atomic_load(&ran.items[i / CPUS * CPUS]);
                        uint32_t step = i % CPUS;

                        assert_int_equal(atomic_load(&ran.items[i]), first ? 3 - step : step);
                }
        }
}

/* A rendezvous that has to wait for another's end honours its own limit. */
static int32_t pass_on_0(void *ctx, uint32_t cpu)
{
        if (cpu == 0)
                gate_pass(ctx);
        return 0;
}

static void *rendezvous_blocking(void *arg)
{
        return (void *)(intptr_t)rendezvous(VMREQ_RENDEZVOUS_ASCENDING, 0, pass_on_0, arg);
}

static void test_turn_times_out(void **state)
{
        struct gate gate;
        pthread_t thread;
        uint32_t missing[1] = {77};

        (void)state;
        gate_init(&gate);
        thread = thread_start(rendezvous_blocking, &gate);
        sem_down(&gate.in);
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ONCE, 0, CLOCK_NS_PER_MS, log_cpu,
                                          NULL, missing, 1),
                         VMREQ_E_TIMEOUT);
        assert_int_equal(missing[0], VMREQ_CPU_NONE);
        assert_int_equal(atomic_load(&ran.n), 0);
        gate_open(&gate);
        thread_end(thread);
}

/* ---- what its callback may not do ---- */

static int32_t recurse(void *ctx, uint32_t cpu)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY_QUEUE, 0, gate_callee, ctx), inner;
        vmreq_handle handle;
        enum vmreq_vm_state state;

        CHECK(rendezvous(VMREQ_RENDEZVOUS_ONCE, 0, log_cpu, NULL) == VMREQ_E_DEADLOCK);
        CHECK(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, 0, NULL, &state) == VMREQ_E_DEADLOCK);
        CHECK(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0) == VMREQ_E_DEADLOCK);
        /* Nobody serves while all stand still: a wait would be for ever. */
        CHECK(vmreq_submit(id, &spec, &handle) == 0);
        CHECK(vmreq_wait(handle, VMREQ_FOREVER) == VMREQ_E_DEADLOCK);
        CHECK(vmreq_cancel(handle) == VMREQ_VERDICT_REMOVED);
        CHECK(vmreq_wait(handle, VMREQ_FOREVER) == 0);
        CHECK(vmreq_free(handle) == 0);
        /* What runs inline runs. */
        inner = engine_spec(VMREQ_CPU_ANY, VMREQ_NO_WAIT, log_callee, &ran);
        CHECK(vmreq_submit(id, &inner, NULL) == 0);
        CHECK(vmreq_emt_self(id) == cpu);
        return 0;
}

static void test_recursion(void **state)
{
        static const enum vmreq_rendezvous_kind kinds[] = {
                VMREQ_RENDEZVOUS_ONCE, VMREQ_RENDEZVOUS_ALL, VMREQ_RENDEZVOUS_DESCENDING};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                memset(&ran, 0, sizeof(ran));
                assert_int_equal(rendezvous(kinds[i], 0, recurse, NULL), 0);
                assert_int_equal(atomic_load(&ran.n), i == 0 ? 1 : CPUS);
        }
}

/* ---- the end ---- */

static void *stop_it(void *arg)
{
        (void)arg;
        return (void *)(intptr_t)vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0);
}

static void *rendezvous_forever(void *arg)
{
        return (void *)(intptr_t)vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, VMREQ_FOREVER,
                                                  log_cpu, NULL, arg, arg ? CPUS : 0);
}

static void test_stopped_while_gathering(void **state)
{
        uint32_t missing[CPUS];
        struct gate gate;
        pthread_t callers[2], stopper;
        void *result;

        (void)state;
        engine_hold(id, 1, &gate);
        /* One gathers, one waits for its turn. */
        for (size_t i = 0; i < 2; i++)
                callers[i] = thread_start(rendezvous_forever, i ? NULL : missing);
        UNTIL(engine_emt(id, 0).state == VMREQ_EMT_PARKED);
        stopper = thread_start(stop_it, NULL);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(pthread_join(callers[i], &result), 0);
                assert_int_equal((intptr_t)result, VMREQ_E_CLOSED);
        }
        gate_open(&gate);
        thread_end(stopper);
        assert_int_equal(atomic_load(&ran.n), 0);
        assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_ONCE, 0, log_cpu, NULL), VMREQ_E_CLOSED);
}

/* An EMT that waits inside a callee comes too. */
static int32_t wait_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        return vmreq_wait(*(vmreq_handle *)ctx, VMREQ_FOREVER);
}

static void test_joins_while_waiting(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle never, waiters[CPUS];
        struct req *req;
        uint64_t word;

        (void)state;
        /* A request that stands nowhere: all wait for it until it is cancelled. */
        assert_int_equal(vmreq_alloc(id, &spec, &never), 0);
        req = req_at(engine_inside(id), never.index);
        word = req_load(req);
        assert_true(req_swap(req, &word, req_with_state(word, VMREQ_REQ_QUEUED)));
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                spec = engine_spec(cpu, 0, wait_callee, &never);
                waiters[cpu] = engine_submit(id, &spec);
        }
        UNTIL(atomic_load(&engine_inside(id)->nested[0]) == 0xf);
        for (int i = 0; i < 20; i++) {
                memset(&ran, 0, sizeof(ran));
                assert_int_equal(rendezvous(VMREQ_RENDEZVOUS_ASCENDING, 0, log_cpu, NULL), 0);
                assert_log(&ran, (uint64_t[]){0, 1, 2, 3}, CPUS);
        }
        assert_int_equal(vmreq_cancel(never), VMREQ_VERDICT_REMOVED);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(engine_finish(waiters[cpu]).status, 0);
        assert_int_equal(vmreq_free(never), 0);
        assert_int_equal(atomic_load(&engine_inside(id)->nested[0]), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_input, setup, teardown),
                cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
                cmocka_unit_test_setup_teardown(test_first_failure, setup, teardown),
                cmocka_unit_test_setup_teardown(test_timeout_names_the_missing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_only_the_stuck_is_named, setup, teardown),
                cmocka_unit_test_setup_teardown(test_from_an_emt, setup, teardown),
                cmocka_unit_test_setup_teardown(test_concurrent_callers, setup, teardown),
                cmocka_unit_test_setup_teardown(test_turn_times_out, setup, teardown),
                cmocka_unit_test_setup_teardown(test_recursion, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stopped_while_gathering, setup, teardown),
                cmocka_unit_test_setup_teardown(test_joins_while_waiting, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
