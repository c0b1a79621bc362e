/* SPDX-License-Identifier: MIT */
/* A VM's beginning and its end in three steps, with everything that may go on meanwhile. */
#include "lib/engine.h"

static struct log ran;

/* ---- the beginning ---- */

static void refuse(const struct vmreq_config *config)
{
        vmreq_vm vm = {77};

        assert_int_equal(vmreq_vm_create(config, &vm), VMREQ_E_INVALID);
}

static void test_bad_config(void **state)
{
        const struct vmreq_config good = VMREQ_CONFIG_INIT;
        struct vmreq_config bad;

        (void)state;
        refuse(NULL);
        assert_int_equal(vmreq_vm_create(&good, NULL), VMREQ_E_INVALID);
        bad = good;
        bad.size = 0;
        refuse(&bad);
        bad.size = sizeof(bad) + 8;
        refuse(&bad);
        bad = good;
        bad.cpus = 0;
        refuse(&bad);
        bad.cpus = VMREQ_CPUS_MAX + 1;
        refuse(&bad);
        bad.cpus = UINT32_MAX;
        refuse(&bad);
        bad = good;
        bad.slab = VMREQ_SLAB_MAX + 1;
        refuse(&bad);
        bad.slab = UINT32_MAX;
        refuse(&bad);
        bad = good;
        bad.lane_capacity = VMREQ_LANE_MAX + 1;
        refuse(&bad);
        bad.lane_capacity = UINT32_MAX;
        refuse(&bad);
}

static void test_extreme_config(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        char name[] = "a name that is far too long for a thread";
        vmreq_vm vm;

        (void)state;
        config.slab = config.lane_capacity = config.batch = config.priority_run = 1;
        config.spin_ns = VMREQ_FOREVER;
        config.name = name;
        vm = engine_new_with(&config);
        memset(name, 'x', sizeof(name)); /* it was copied */
        assert_int_equal(vmreq_call_void_wait(vm, 0, (vmreq_fn)vmreq_now, 0), 0);
        engine_end(vm);
        config.slab = VMREQ_SLAB_MAX;
        config.lane_capacity = VMREQ_LANE_MAX;
        config.batch = config.priority_run = UINT32_MAX;
        config.spin_ns = 1;
        config.name = "";
        vm = engine_new_with(&config);
        assert_int_equal(vmreq_call_void_wait(vm, 0, (vmreq_fn)vmreq_now, 0), 0);
        engine_end(vm);
}

static void test_most_cpus(void **state)
{
        vmreq_vm vm = engine_new(VMREQ_CPUS_MAX);
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ALL_REVERSE, 0, log_callee, &ran);
        static struct vmreq_row rows[VMREQ_CPUS_MAX];
        vmreq_handle handle;

        (void)state;
        memset(&ran, 0, sizeof(ran));
        handle = engine_submit(vm, &spec);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_rows(handle, rows, VMREQ_CPUS_MAX, NULL), 0);
        for (uint32_t cpu = 0; cpu < VMREQ_CPUS_MAX; cpu++) {
                assert_int_equal(rows[cpu].value, cpu);
                assert_int_equal(atomic_load(&ran.items[cpu]), VMREQ_CPUS_MAX - 1 - cpu);
        }
        assert_int_equal(vmreq_free(handle), 0);
        engine_end(vm);
}

static void test_table_full(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        static vmreq_vm vms[VMREQ_VMS_MAX];
        vmreq_vm more = {77};

        (void)state;
        config.slab = config.lane_capacity = 4;
        for (uint32_t i = 0; i < VMREQ_VMS_MAX; i++)
                vms[i] = engine_new_with(&config);
        assert_int_equal(vmreq_vm_create(&config, &more), VMREQ_E_BUSY);
        assert_int_equal(more.id, 0);
        assert_int_equal(vmreq_call_void_wait(vms[200], 0, (vmreq_fn)vmreq_now, 0), 0);
        engine_end(vms[7]);
        more = engine_new_with(&config);
        assert_true(more.id > vms[VMREQ_VMS_MAX - 1].id);
        assert_int_equal(vmreq_call_void_wait(vms[7], 0, (vmreq_fn)vmreq_now, 0), VMREQ_E_HANDLE);
        vms[7] = more;
        for (uint32_t i = 0; i < VMREQ_VMS_MAX; i++)
                engine_end(vms[i]);
}

static void test_stale_id(void **state)
{
        vmreq_vm vm = engine_new(1);
        vmreq_handle handle;
        uint32_t stuck;
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);

        (void)state;
        engine_end(vm);
        assert_int_equal(vmreq_vm_close(vm), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, &stuck, 1), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_free(vm), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_state(vm), VMREQ_VM_DESTROYED);
        assert_int_equal(vmreq_vm_cpus(vm), 0);
        assert_int_equal(vmreq_submit(vm, &spec, &handle), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_unpark(vm, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_service(vm, UINT64_MAX), UINT64_MAX);
}

/* ---- close ---- */

static int32_t park_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        CHECK(sem_post(ctx) == 0);
        return vmreq_park(VMREQ_FOREVER);
}

#define FORMS 7u

/* What is queued is KILLED in every form, at once and by the closer, while every EMT is stuck; what
 * runs is asked to stop. */
static void test_close(void **state)
{
        static const struct {
                uint32_t cpu, flags;
        } forms[FORMS] = {
                {0, 0},
                {1, VMREQ_PRIORITY},
                {VMREQ_CPU_ANY, VMREQ_POKE},
                {VMREQ_CPU_ANY_QUEUE, VMREQ_PRIORITY},
                {0, VMREQ_NO_WAIT},
                {VMREQ_CPU_ALL, VMREQ_PARALLEL},
                {VMREQ_CPU_ALL_REVERSE, 0},
        };
        vmreq_vm vm = engine_new(2);
        static struct hooked hooked[FORMS];
        vmreq_handle handles[FORMS], parked, allocated;
        struct vmreq_spec spec;
        struct gate gate;
        sem_t in;

        (void)state;
        memset(&ran, 0, sizeof(ran));
        engine_hold(vm, 1, &gate);
        assert_int_equal(sem_init(&in, 0, 0), 0);
        spec = engine_spec(0, 0, park_callee, &in);
        parked = engine_submit(vm, &spec);
        sem_down(&in);
        for (uint32_t i = 0; i < FORMS; i++) {
                spec = engine_spec(forms[i].cpu, forms[i].flags, log_callee, &ran);
                hooked_on(&hooked[i], &spec);
                spec.deadline_ns = clock_now_ns() + ENGINE_FAR_NS;
                handles[i] = engine_submit(vm, &spec);
        }
        spec = engine_spec(0, 0, log_callee, &ran);
        assert_int_equal(vmreq_alloc(vm, &spec, &allocated), 0);

        assert_int_equal(vmreq_vm_close(vm), 0);
        for (uint32_t i = 0; i < FORMS; i++) {
                bool broadcast = forms[i].cpu >= VMREQ_CPU_ALL;

                assert_hooked(&hooked[i], broadcast ? VMREQ_FATE_DONE : VMREQ_FATE_KILLED);
                for (uint32_t row = 0; row < hooked[i].result.n_rows; row++)
                        assert_int_equal(hooked[i].row[row].fate, i == FORMS - 1 && row == 0
                                                                          ? VMREQ_FATE_SKIPPED
                                                                          : VMREQ_FATE_KILLED);
                if (forms[i].flags & VMREQ_NO_WAIT)
                        continue;
                assert_int_equal(engine_state(handles[i]),
                                 broadcast ? VMREQ_REQ_COMPLETED : VMREQ_REQ_KILLED);
                assert_int_equal(vmreq_wait(handles[i], VMREQ_FOREVER), 0);
                assert_int_equal(vmreq_free(handles[i]), 0);
        }
        /* Asked to stop, it did. */
        assert_int_equal(engine_finish(parked).status, VMREQ_E_CANCELLED);
        assert_int_equal(engine_state(allocated), VMREQ_REQ_ALLOCATED);
        assert_int_equal(vmreq_queue(allocated, VMREQ_FOREVER), VMREQ_E_CLOSED);
        assert_int_equal(vmreq_free(allocated), 0);
        assert_int_equal(vmreq_submit(vm, &spec, &handles[0]), VMREQ_E_CLOSED);
        assert_int_equal(vmreq_alloc(vm, &spec, &handles[0]), VMREQ_E_CLOSED);
        assert_int_equal(vmreq_vm_close(vm), 0);
        for (uint32_t i = 0; i < FORMS; i++)
                assert_int_equal(hooked[i].completes, 1);
        gate_open(&gate);
        engine_end(vm);
        assert_int_equal(atomic_load(&ran.n), 0);
}

/* A callee may submit inline in the very moment of closing: it is refused, or it is asked to end
 * too. */
static int32_t inline_after_close(void *ctx, const uint64_t *args, uint32_t argc,
                                  struct vmreq_reply *reply)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, VMREQ_NO_WAIT, log_callee, &ran);
        struct gate *gate = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        gate_pass(gate);
        return vmreq_submit((vmreq_vm){vmreq_current().vm}, &spec, NULL);
}

static void test_inline_after_close(void **state)
{
        vmreq_vm vm = engine_new(1);
        struct gate gate;
        struct vmreq_spec spec = engine_spec(0, 0, inline_after_close, &gate);
        vmreq_handle handle;

        (void)state;
        memset(&ran, 0, sizeof(ran));
        gate_init(&gate);
        handle = engine_submit(vm, &spec);
        sem_down(&gate.in);
        assert_int_equal(vmreq_vm_close(vm), 0);
        gate_open(&gate);
        assert_int_equal(engine_finish(handle).status, VMREQ_E_CLOSED);
        assert_int_equal(atomic_load(&ran.n), 0);
        engine_end(vm);
}

/* ---- stop ---- */

static void test_stop_names_the_stuck(void **state)
{
        vmreq_vm vm = engine_new(4);
        uint32_t stuck[4] = {77, 77, 77, 77};
        struct gate gates[2];

        (void)state;
        engine_hold(vm, 1, &gates[0]);
        engine_hold(vm, 3, &gates[1]);
        assert_int_equal(vmreq_vm_stop(vm, 1, stuck, 4), VMREQ_E_TIMEOUT);
        /* With no time at all the healthy ones may not have ended yet; with time they have. */
        assert_int_equal(vmreq_vm_stop(vm, clock_now_ns() + 200 * CLOCK_NS_PER_MS, stuck, 4),
                         VMREQ_E_TIMEOUT);
        UNTIL(engine_emt(vm, 2).state == VMREQ_EMT_ENDED);
        assert_int_equal(vmreq_vm_stop(vm, 1, stuck, 4), VMREQ_E_TIMEOUT);
        assert_int_equal(stuck[0], 1);
        assert_int_equal(stuck[1], 3);
        assert_int_equal(stuck[2], VMREQ_CPU_NONE);
        stuck[1] = 77;
        assert_int_equal(vmreq_vm_stop(vm, 1, stuck, 1), VMREQ_E_TIMEOUT);
        assert_int_equal(stuck[0], 1);
        assert_int_equal(stuck[1], 77);
        assert_int_equal(vmreq_vm_stop(vm, 1, NULL, 0), VMREQ_E_TIMEOUT);
        assert_int_equal(vmreq_vm_stop(vm, 1, NULL, 1), VMREQ_E_INVALID);
        /* EMT 0 is the last, and waits for the others. */
        assert_int_not_equal(engine_emt(vm, 0).state, VMREQ_EMT_ENDED);
        assert_int_equal(vmreq_vm_free(vm), VMREQ_E_STATE);
        gate_open(&gates[0]);
        gate_open(&gates[1]);
        assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, stuck, 4), 0);
        assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, stuck, 4), 0);
        engine_end(vm);
}

static void test_stop_stuck_on_0(void **state)
{
        vmreq_vm vm = engine_new(2);
        uint32_t stuck[2] = {77, 77};
        struct gate gate;

        (void)state;
        engine_hold(vm, 0, &gate);
        assert_int_equal(vmreq_vm_stop(vm, clock_now_ns() + 200 * CLOCK_NS_PER_MS, stuck, 2),
                         VMREQ_E_TIMEOUT);
        UNTIL(engine_emt(vm, 1).state == VMREQ_EMT_ENDED);
        assert_int_equal(vmreq_vm_stop(vm, 1, stuck, 2), VMREQ_E_TIMEOUT);
        assert_int_equal(stuck[0], 0);
        assert_int_equal(stuck[1], VMREQ_CPU_NONE);
        gate_open(&gate);
        engine_end(vm);
}

static int32_t stop_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        vmreq_vm *vm = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        return vmreq_vm_stop(*vm, VMREQ_FOREVER, NULL, 0);
}

static void test_stop_on_an_emt(void **state)
{
        vmreq_vm vm = engine_new(2), other = engine_new(1);
        struct vmreq_spec spec = engine_spec(1, 0, stop_callee, &vm);

        (void)state;
        assert_int_equal(engine_finish(engine_submit(vm, &spec)).status, VMREQ_E_DEADLOCK);
        /* And it has closed nothing. */
        assert_int_equal(vmreq_call_void_wait(vm, 0, (vmreq_fn)vmreq_now, 0), 0);
        /* An EMT of another VM may. */
        assert_int_equal(vmreq_vm_free(vm), VMREQ_E_STATE);
        spec.cpu = 0;
        assert_int_equal(engine_finish(engine_submit(other, &spec)).status, 0);
        engine_end(vm);
        engine_end(other);
}

struct stopper {
        vmreq_vm vm;
        uint64_t deadline_ns;
};

static void *stop_it(void *arg)
{
        struct stopper *stopper = arg;

        return (void *)(intptr_t)vmreq_vm_stop(stopper->vm, stopper->deadline_ns, NULL, 0);
}

/* Each keeps its own limit: one that has none does not make another wait for it. */
static void test_two_stop(void **state)
{
        struct stopper stopper = {engine_new(2), VMREQ_FOREVER};
        struct gate gate;
        uint32_t stuck[2] = {77, 77};
        pthread_t thread;
        void *result;

        (void)state;
        engine_hold(stopper.vm, 1, &gate);
        thread = thread_start(stop_it, &stopper);
        UNTIL(atomic_load(&engine_inside(stopper.vm)->emts[1].stop));
        assert_int_equal(vmreq_vm_stop(stopper.vm, clock_now_ns() + CLOCK_NS_PER_MS, stuck, 2),
                         VMREQ_E_TIMEOUT);
        assert_int_equal(stuck[0], 1);
        assert_int_equal(stuck[1], VMREQ_CPU_NONE);
        gate_open(&gate);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_null(result);
        engine_end(stopper.vm);
}

/* ---- free ---- */

static void test_free_too_early(void **state)
{
        vmreq_vm vm = engine_new(1);

        (void)state;
        assert_int_equal(vmreq_vm_free(vm), VMREQ_E_STATE);
        assert_int_equal(vmreq_vm_close(vm), 0);
        assert_int_equal(vmreq_vm_free(vm), VMREQ_E_STATE);
        assert_int_equal(vmreq_vm_state(vm), VMREQ_VM_CREATED);
        engine_end(vm);
}

static void *free_it(void *arg)
{
        return (void *)(intptr_t)vmreq_vm_free(*(vmreq_vm *)arg);
}

static void test_freed_by_one(void **state)
{
        (void)state;
        for (int i = 0; i < 50; i++) {
                vmreq_vm vm = engine_new(1);
                pthread_t threads[3];
                uint32_t freed = 0;
                void *result;

                assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0), 0);
                for (size_t t = 0; t < 3; t++)
                        threads[t] = thread_start(free_it, &vm);
                for (size_t t = 0; t < 3; t++) {
                        assert_int_equal(pthread_join(threads[t], &result), 0);
                        assert_true(result == NULL || (intptr_t)result == VMREQ_E_HANDLE);
                        freed += result == NULL;
                }
                assert_int_equal(freed, 1);
        }
}

/* Handles that their owner never gave back go with the VM. */
static void test_free_with_handles(void **state)
{
        vmreq_vm vm = engine_new(1);
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle done = engine_submit(vm, &spec), allocated;

        (void)state;
        assert_int_equal(vmreq_wait(done, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_alloc(vm, &spec, &allocated), 0);
        assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0), 0);
        assert_int_equal(engine_stats(vm).in_use, 2);
        assert_int_equal(vmreq_vm_free(vm), 0);
        assert_int_equal(vmreq_free(done), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_wait(allocated, 0), VMREQ_E_HANDLE);
}

/* ---- submitters against the end ---- */

#define SUBMITTERS 3u

static struct {
        vmreq_vm vm;
        _Atomic uint32_t accepted, completed, released, running;
} race;

static void race_complete(void *user, const struct vmreq_result *result)
{
        CHECK(user == &race && result->handle.generation);
        atomic_fetch_add(&race.completed, 1);
}

static void race_release(void *user)
{
        CHECK(user == &race);
        atomic_fetch_add(&race.released, 1);
}

static void *race_submit(void *arg)
{
        static const uint32_t cpus[] = {0, VMREQ_CPU_ANY, 1, VMREQ_CPU_ALL, VMREQ_CPU_ALL_REVERSE};
        uint32_t n = (uint32_t)(uintptr_t)arg;

        atomic_fetch_add(&race.running, 1);
        for (;;) {
                struct vmreq_spec spec =
                        engine_spec(cpus[n % 5], n % 3 ? VMREQ_NO_WAIT : 0, log_callee, NULL);
                vmreq_handle handle;
                int r;

                spec.kind = VMREQ_FN_U64;
                spec.fn = (vmreq_fn)vmreq_now;
                spec.user = &race;
                spec.complete = race_complete;
                spec.release = race_release;
                if (n % 7 == 0)
                        spec.deadline_ns = clock_now_ns() + n % 5 * 1000;
                r = vmreq_submit(race.vm, &spec, &handle);
                if (r == VMREQ_E_CLOSED || r == VMREQ_E_HANDLE)
                        break;
                CHECK(r == 0 || r == VMREQ_E_BUSY);
                if (r == 0)
                        atomic_fetch_add(&race.accepted, 1);
                if (r == 0 && !(spec.flags & VMREQ_NO_WAIT)) {
                        if (n % 2)
                                CHECK(vmreq_wait(handle, VMREQ_FOREVER) != VMREQ_E_INVALID);
                        (void)vmreq_free(handle);
                }
                n++;
        }
        return NULL;
}

static void test_submitters_race_the_end(void **state)
{
        (void)state;
        for (uint32_t round = 0; round < 60; round++) {
                pthread_t threads[SUBMITTERS];

                memset(&race, 0, sizeof(race));
                race.vm = engine_new(2);
                for (uint32_t i = 0; i < SUBMITTERS; i++)
                        threads[i] = thread_start(race_submit, (void *)(uintptr_t)(round * 17 + i));
                UNTIL(atomic_load(&race.running) == SUBMITTERS &&
                      atomic_load(&race.accepted) >= round % 4 * 50);
                assert_int_equal(vmreq_vm_stop(race.vm, VMREQ_FOREVER, NULL, 0), 0);
                assert_int_equal(vmreq_vm_free(race.vm), 0);
                /* Once for each accepted one, and none after free. */
                for (uint32_t i = 0; i < SUBMITTERS; i++)
                        thread_end(threads[i]);
                assert_int_equal(atomic_load(&race.completed), atomic_load(&race.accepted));
                assert_int_equal(atomic_load(&race.released), atomic_load(&race.accepted));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bad_config),
                cmocka_unit_test(test_extreme_config),
                cmocka_unit_test(test_most_cpus),
                cmocka_unit_test(test_table_full),
                cmocka_unit_test(test_stale_id),
                cmocka_unit_test(test_close),
                cmocka_unit_test(test_inline_after_close),
                cmocka_unit_test(test_stop_names_the_stuck),
                cmocka_unit_test(test_stop_stuck_on_0),
                cmocka_unit_test(test_stop_on_an_emt),
                cmocka_unit_test(test_two_stop),
                cmocka_unit_test(test_free_too_early),
                cmocka_unit_test(test_freed_by_one),
                cmocka_unit_test(test_free_with_handles),
                cmocka_unit_test(test_submitters_race_the_end),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
