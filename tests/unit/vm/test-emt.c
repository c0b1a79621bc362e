/* SPDX-License-Identifier: MIT */
/* The EMT's loop: what it takes first, whom a request wakes, and what a callee may ask of its EMT.
 */
#include "lib/engine.h"

static vmreq_vm id;
static struct log ran;

static int setup_config(const struct vmreq_config *config)
{
        id = engine_new_with(config);
        memset(&ran, 0, sizeof(ran));
        return 0;
}

static int setup1(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        config.priority_run = 3;
        return setup_config(&config);
}

static int setup3(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        config.cpus = 3;
        config.batch = 2;
        return setup_config(&config);
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}

/* Queues a request that logs `item`. */
static void queue(uint32_t cpu, uint32_t flags, uint64_t item)
{
        struct vmreq_spec spec = engine_spec(cpu, flags | VMREQ_NO_WAIT, log_callee, &ran);

        spec.args = &item;
        spec.argc = 1;
        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
}

/* ---- order ---- */

static void test_priority_first(void **state)
{
        struct gate gate;

        (void)state;
        engine_hold(id, 0, &gate);
        queue(0, 0, 1);
        queue(VMREQ_CPU_ANY, 0, 2);
        queue(VMREQ_CPU_ANY, VMREQ_PRIORITY, 3);
        queue(0, VMREQ_PRIORITY, 4);
        gate_open(&gate);
        UNTIL(atomic_load(&ran.n) == 4);
        /* Both priority lanes come before both normal ones. */
        assert_int_equal(atomic_load(&ran.items[0]) + atomic_load(&ran.items[1]), 7);
        assert_int_equal(atomic_load(&ran.items[2]) + atomic_load(&ran.items[3]), 3);
}

static int32_t queue_priority(void *ctx, const uint64_t *args, uint32_t argc,
                              struct vmreq_reply *reply)
{
        struct vmreq_spec spec =
                engine_spec(VMREQ_CPU_ANY_QUEUE, VMREQ_NO_WAIT | VMREQ_PRIORITY, log_callee, ctx);
        uint64_t item = 100 + args[0];

        (void)argc;
        (void)reply;
        log_add(ctx, args[0]);
        spec.args = &item;
        spec.argc = 1;
        CHECK(vmreq_submit(id, &spec, NULL) == 0);
        return 0;
}

/* The priority lanes are looked at again before each request, not once for a batch. */
static void test_priority_overtakes_within_a_batch(void **state)
{
        struct gate gate;

        (void)state;
        engine_hold(id, 0, &gate);
        for (uint64_t i = 1; i <= 2; i++) {
                struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT, queue_priority, &ran);

                spec.args = &i;
                spec.argc = 1;
                assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        }
        gate_open(&gate);
        UNTIL(atomic_load(&ran.n) == 4);
        assert_log(&ran, (uint64_t[]){1, 101, 2, 102}, 4);
}

/* priority_run is 3: after three of them one normal request goes first. */
static void test_normal_lane_does_not_starve(void **state)
{
        struct gate gate;

        (void)state;
        engine_hold(id, 0, &gate);
        for (uint64_t i = 0; i < 10; i++)
                queue(0, VMREQ_PRIORITY, 100 + i);
        for (uint64_t i = 0; i < 4; i++)
                queue(0, 0, i);
        gate_open(&gate);
        UNTIL(atomic_load(&ran.n) == 14);
        assert_log(&ran, (uint64_t[]){100, 101, 102, 0, 103, 104, 105, 1, 106, 107, 108, 2, 109, 3},
                   14);
}

/* Priority requests that find no normal one waiting owe nothing: the run is counted, the order is
 * theirs. */
static void test_priority_alone(void **state)
{
        struct gate gate;
        uint64_t expected[10];

        (void)state;
        engine_hold(id, 0, &gate);
        for (uint64_t i = 0; i < 10; i++) {
                queue(0, VMREQ_PRIORITY, i);
                expected[i] = i;
        }
        gate_open(&gate);
        UNTIL(atomic_load(&ran.n) == 10);
        assert_log(&ran, expected, 10);
}

static void test_any_and_own_alternate(void **state)
{
        static const uint32_t levels[] = {0, VMREQ_PRIORITY};
        struct gate gate;

        (void)state;
        for (size_t level = 0; level < 2; level++) {
                memset(&ran, 0, sizeof(ran));
                engine_hold(id, 0, &gate);
                for (uint64_t i = 0; i < 5; i++)
                        queue(0, levels[level], i);
                for (uint64_t i = 0; i < 5; i++)
                        queue(VMREQ_CPU_ANY, levels[level], 100 + i);
                gate_open(&gate);
                UNTIL(atomic_load(&ran.n) == 10);
                for (uint32_t i = 0; i < 10; i++) {
                        uint64_t item = atomic_load(&ran.items[i]);

                        assert_int_equal(item % 100, i / 2);
                        if (i % 2)
                                assert_int_not_equal(item / 100,
                                                     atomic_load(&ran.items[i - 1]) / 100);
                }
        }
}

/* ---- waking ---- */

static uint64_t all_wakes(void)
{
        uint64_t n = 0;

        for (uint32_t cpu = 0; cpu < 3; cpu++)
                n += engine_emt(id, cpu).wakes;
        return n;
}

static void all_asleep(void)
{
        for (uint32_t cpu = 0; cpu < 3; cpu++)
                engine_until_asleep(id, cpu);
}

static void test_any_wakes_one(void **state)
{
        (void)state;
        for (int i = 0; i < 20; i++) {
                struct vmreq_spec spec =
                        engine_spec(VMREQ_CPU_ANY, i % 2 ? VMREQ_PRIORITY : 0, log_callee, &ran);
                uint64_t before;

                all_asleep();
                before = all_wakes();
                (void)engine_finish(engine_submit(id, &spec));
                assert_int_equal(all_wakes(), before + 1);
        }
}

static void test_own_wakes_its_emt(void **state)
{
        (void)state;
        for (uint32_t cpu = 0; cpu < 3; cpu++) {
                struct vmreq_spec spec = engine_spec(cpu, 0, log_callee, &ran);
                uint64_t before, own;

                all_asleep();
                before = all_wakes();
                own = engine_emt(id, cpu).wakes;
                (void)engine_finish(engine_submit(id, &spec));
                assert_int_equal(engine_emt(id, cpu).wakes, own + 1);
                assert_int_equal(all_wakes(), before + 1);
        }
}

/* Three requests on ANY, three EMTs asleep: all run at once, whoever wakes whom. */
static void test_any_spreads(void **state)
{
        struct gate gates[3];

        (void)state;
        for (int i = 0; i < 20; i++) {
                all_asleep();
                for (size_t g = 0; g < 3; g++) {
                        struct vmreq_spec spec =
                                engine_spec(VMREQ_CPU_ANY, VMREQ_NO_WAIT, gate_callee, &gates[g]);

                        gate_init(&gates[g]);
                        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
                }
                for (size_t g = 0; g < 3; g++)
                        sem_down(&gates[g].in);
                for (size_t g = 0; g < 3; g++)
                        gate_open(&gates[g]);
        }
}

/* An EMT that is awake is not woken: no system call. */
static void test_awake_is_not_woken(void **state)
{
        struct gate gate;
        uint64_t before;

        (void)state;
        engine_hold(id, 1, &gate);
        before = engine_emt(id, 1).wakes;
        for (uint64_t i = 0; i < 50; i++)
                queue(1, 0, i);
        assert_int_equal(engine_emt(id, 1).wakes, before);
        gate_open(&gate);
        UNTIL(atomic_load(&ran.n) == 50);
}

/* ---- batches ---- */

static int32_t count_ran(void *ctx, uint32_t cpu)
{
        if (cpu == 1)
                *(uint32_t *)ctx = atomic_load(&ran.n);
        return 0;
}

static void *rendezvous_it(void *arg)
{
        return (void *)(intptr_t)vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, VMREQ_FOREVER,
                                                  count_ran, arg, NULL, 0);
}

/* A batch is 2: the one that held the EMT, one more, then the rendezvous is looked at, whatever is
 * queued (D22). */
static void test_batch_is_bounded(void **state)
{
        struct gate gate;
        uint32_t before = UINT32_MAX;
        pthread_t thread;

        (void)state;
        engine_hold(id, 1, &gate);
        for (uint64_t i = 0; i < 30; i++)
                queue(1, i % 2 ? VMREQ_PRIORITY : 0, i);
        thread = thread_start(rendezvous_it, &before);
        UNTIL(atomic_load(&engine_inside(id)->rendezvous.calling));
        gate_open(&gate);
        thread_end(thread);
        assert_int_equal(before, 1);
        UNTIL(atomic_load(&ran.n) == 30);
}

/* ---- what a callee may ask ---- */

static int32_t self_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        vmreq_handle current = vmreq_current();
        vmreq_vm *other = ctx;

        (void)args;
        (void)argc;
        CHECK(vmreq_emt_self(id) == reply->cpu);
        CHECK(vmreq_emt_self(*other) == VMREQ_CPU_NONE);
        CHECK(vmreq_emt_self((vmreq_vm){0}) == VMREQ_CPU_NONE);
        CHECK(current.vm == id.id && current.generation);
        CHECK(vmreq_process(*other, 0) == VMREQ_E_NOT_EMT);
        reply->value = current.generation;
        return 0;
}

static void test_self(void **state)
{
        vmreq_vm other = engine_new(1);

        (void)state;
        assert_int_equal(vmreq_emt_self(id), VMREQ_CPU_NONE);
        assert_int_equal(vmreq_current().generation, 0);
        assert_int_equal(vmreq_cancel_requested(), 0);
        assert_int_equal(vmreq_process(id, 0), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_park(VMREQ_FOREVER), VMREQ_E_NOT_EMT);
        for (uint32_t cpu = 0; cpu < 3; cpu++) {
                struct vmreq_spec spec = engine_spec(cpu, 0, self_callee, &other);
                vmreq_handle handle = engine_submit(id, &spec);

                assert_int_equal(engine_finish(handle).value, handle.generation);
        }
        engine_end(other);
}

static int32_t process_callee(void *ctx, const uint64_t *args, uint32_t argc,
                              struct vmreq_reply *reply)
{
        (void)ctx;
        (void)argc;
        reply->value = (uint64_t)vmreq_process(id, (int)args[0]);
        log_add(&ran, 999);
        return 0;
}

static void test_process(void **state)
{
        static const struct {
                uint64_t priority_only, ran;
                uint64_t order[5];
        } rows[] = {
                {1, 2, {100, 101, 999, 0, 1}},
                {0, 4, {100, 101, 0, 1, 999}},
        };

        (void)state;
        for (size_t i = 0; i < 2; i++) {
                struct gate gate;
                struct vmreq_spec spec = engine_spec(0, VMREQ_PRIORITY, process_callee, NULL);
                vmreq_handle handle;

                memset(&ran, 0, sizeof(ran));
                engine_hold(id, 0, &gate);
                spec.args = &rows[i].priority_only;
                spec.argc = 1;
                handle = engine_submit(id, &spec);
                for (uint64_t n = 0; n < 2; n++) {
                        queue(0, 0, n);
                        queue(0, VMREQ_PRIORITY, 100 + n);
                }
                gate_open(&gate);
                assert_int_equal(engine_finish(handle).value, rows[i].ran);
                UNTIL(atomic_load(&ran.n) == 5);
                assert_log(&ran, rows[i].order, 5);
        }
}

/* One batch at most (2 here), and nothing is an answer too. */
static void test_process_batch(void **state)
{
        struct gate gate;
        uint64_t all = 0;
        struct vmreq_spec spec = engine_spec(0, VMREQ_PRIORITY, process_callee, NULL);
        vmreq_handle handle;

        (void)state;
        spec.args = &all;
        spec.argc = 1;
        assert_int_equal(engine_finish(engine_submit(id, &spec)).value, 0);
        memset(&ran, 0, sizeof(ran));
        engine_hold(id, 0, &gate);
        handle = engine_submit(id, &spec);
        for (uint64_t i = 0; i < 5; i++)
                queue(0, 0, i);
        gate_open(&gate);
        assert_int_equal(engine_finish(handle).value, 2);
        UNTIL(atomic_load(&ran.n) == 6);
        assert_log(&ran, (uint64_t[]){0, 1, 999, 2, 3, 4}, 6);
}

/* ---- parking ---- */

struct parker {
        sem_t in, again;
        uint64_t deadline_ns;
        uint32_t times;
        int results[4];
};

static int32_t park_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        struct parker *parker = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        for (uint32_t i = 0; i < parker->times; i++) {
                CHECK(sem_post(&parker->in) == 0);
                if (i == 0)
                        sem_down(&parker->again);
                parker->results[i] = vmreq_park(parker->deadline_ns);
        }
        return 0;
}

static vmreq_handle park(struct parker *parker, uint32_t times, uint64_t deadline_ns)
{
        struct vmreq_spec spec = engine_spec(1, 0, park_callee, parker);
        vmreq_handle handle;

        memset(parker, 0, sizeof(*parker));
        assert_int_equal(sem_init(&parker->in, 0, 0), 0);
        assert_int_equal(sem_init(&parker->again, 0, 0), 0);
        parker->times = times;
        parker->deadline_ns = deadline_ns;
        handle = engine_submit(id, &spec);
        sem_down(&parker->in);
        return handle;
}

static void go_on(struct parker *parker)
{
        assert_int_equal(sem_post(&parker->again), 0);
}

static void test_park_permit(void **state)
{
        struct parker parker;
        vmreq_handle handle = park(&parker, 2, VMREQ_FOREVER);

        (void)state;
        /* Two that came first are one permit: the first park passes, the second waits for another.
         */
        assert_int_equal(vmreq_unpark(id, 1), 0);
        assert_int_equal(vmreq_unpark(id, 1), 0);
        go_on(&parker);
        sem_down(&parker.in);
        assert_int_equal(engine_state(handle), VMREQ_REQ_RUNNING);
        assert_int_equal(vmreq_unpark(id, 1), 0);
        (void)engine_finish(handle);
        assert_int_equal(parker.results[0] | parker.results[1], 0);
        assert_int_equal(vmreq_unpark(id, 3), VMREQ_E_INVALID);
        assert_int_equal(vmreq_unpark(id, VMREQ_CPU_ANY), VMREQ_E_INVALID);
        assert_int_equal(vmreq_unpark((vmreq_vm){0}, 0), VMREQ_E_HANDLE);
}

static void test_park_timeout(void **state)
{
        struct parker parker;
        vmreq_handle handle = park(&parker, 3, 1);

        (void)state;
        go_on(&parker);
        (void)engine_finish(handle);
        for (int i = 0; i < 3; i++)
                assert_int_equal(parker.results[i], VMREQ_E_TIMEOUT);
}

static void test_park_cancel(void **state)
{
        struct parker parker;
        vmreq_handle handle;

        (void)state;
        for (int early = 0; early < 2; early++) {
                handle = park(&parker, 2, VMREQ_FOREVER);
                if (early)
                        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
                go_on(&parker);
                if (!early)
                        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
                (void)engine_finish(handle);
                /* The wish stays: it cannot park again. */
                assert_int_equal(parker.results[0], VMREQ_E_CANCELLED);
                assert_int_equal(parker.results[1], VMREQ_E_CANCELLED);
        }
        /* The next request on that EMT is not concerned. */
        handle = park(&parker, 1, VMREQ_FOREVER);
        go_on(&parker);
        assert_int_equal(vmreq_unpark(id, 1), 0);
        (void)engine_finish(handle);
        assert_int_equal(parker.results[0], 0);
}

/* The canceller comes before the runner has said who it is: whoever it may be looks at its flags
 * again. */
static void test_nudge_without_a_runner(void **state)
{
        struct vm *vm = engine_inside(id);
        struct req *req = req_new(vm, 0);
        uint32_t before[3];

        (void)state;
        for (uint32_t cpu = 0; cpu < 3; cpu++)
                before[cpu] = atomic_load(&vm->emts[cpu].park);
        emt_nudge_runner(vm, req);
        for (uint32_t cpu = 0; cpu < 3; cpu++)
                assert_int_not_equal(atomic_load(&vm->emts[cpu].park), before[cpu]);
        atomic_store(&req->ran_on, 1);
        for (uint32_t cpu = 0; cpu < 3; cpu++)
                before[cpu] = atomic_load(&vm->emts[cpu].park);
        emt_nudge_runner(vm, req);
        for (uint32_t cpu = 0; cpu < 3; cpu++)
                assert_int_equal(atomic_load(&vm->emts[cpu].park) != before[cpu], cpu == 1);
        req_unref(vm, req);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_priority_first, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_priority_overtakes_within_a_batch, setup1,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_normal_lane_does_not_starve, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_priority_alone, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_any_and_own_alternate, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_any_wakes_one, setup3, teardown),
                cmocka_unit_test_setup_teardown(test_own_wakes_its_emt, setup3, teardown),
                cmocka_unit_test_setup_teardown(test_any_spreads, setup3, teardown),
                cmocka_unit_test_setup_teardown(test_awake_is_not_woken, setup3, teardown),
                cmocka_unit_test_setup_teardown(test_batch_is_bounded, setup3, teardown),
                cmocka_unit_test_setup_teardown(test_self, setup3, teardown),
                cmocka_unit_test_setup_teardown(test_process, setup1, teardown),
                cmocka_unit_test_setup_teardown(test_process_batch, setup3, teardown),
                cmocka_unit_test_setup_teardown(test_park_permit, setup3, teardown),
                cmocka_unit_test_setup_teardown(test_park_timeout, setup3, teardown),
                cmocka_unit_test_setup_teardown(test_park_cancel, setup3, teardown),
                cmocka_unit_test_setup_teardown(test_nudge_without_a_runner, setup3, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
