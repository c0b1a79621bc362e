/* SPDX-License-Identifier: MIT */
/*
 * D15, D25: before a VM is there and after it is gone, and what becomes of those who were waiting.
 */
#include "defects.h"

static vmreq_vm id;

static void nothing(void)
{
}

typedef int (*form)(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc, ...);

static const form wait_forms[] = {vmreq_call_wait, vmreq_call_void_wait, vmreq_priority_call_wait,
                                  vmreq_priority_call_void_wait};
static const form nowait_forms[] = {vmreq_call_nowait, vmreq_call_void_nowait,
                                    vmreq_priority_call_nowait, vmreq_priority_call_void_nowait};

/* ---- D15: no VM behind the handle ---- */

static void assert_no_vm(vmreq_vm vm)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY, VMREQ_CPU_ANY_QUEUE, VMREQ_CPU_ALL};
        struct vmreq_emt_info info;
        struct vmreq_stats stats;
        vmreq_handle handle;

        for (size_t c = 0; c < ARRAY_SIZE(cpus); c++) {
                for (size_t f = 0; f < ARRAY_SIZE(wait_forms); f++) {
                        assert_int_equal(wait_forms[f](vm, cpus[c], nothing, 0), VMREQ_E_HANDLE);
                        assert_int_equal(nowait_forms[f](vm, cpus[c], nothing, 0), VMREQ_E_HANDLE);
                }
                assert_int_equal(vmreq_call(vm, cpus[c], &handle, VMREQ_FOREVER, 0, nothing, 0),
                                 VMREQ_E_HANDLE);
        }
        assert_int_equal(vmreq_rendezvous(vm, VMREQ_RENDEZVOUS_ONCE, 0, 0, NULL, NULL, NULL, 0),
                         VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_change(vm, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_close(vm), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_free(vm), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_state(vm), VMREQ_VM_DESTROYED);
        assert_int_equal(vmreq_vm_cpus(vm), 0);
        assert_int_equal(vmreq_vm_service(vm, vmreq_now()), UINT64_MAX);
        assert_int_equal(vmreq_unpark(vm, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_emt_info(vm, 0, &info), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_stats(vm, &stats), VMREQ_E_HANDLE);
}

static void d15_no_vm_is_an_error_not_a_crash(void **state)
{
        (void)state;
        assert_no_vm((vmreq_vm){0});
        assert_no_vm((vmreq_vm){UINT32_MAX});
        id = engine_new(2);
        assert_no_vm((vmreq_vm){id.id + 1});
        assert_no_vm((vmreq_vm){id.id + VMREQ_VMS_MAX}); /* the same slot of the table */
        engine_end(id);
        assert_no_vm(id);
}

/* From the moment it exists, each EMT of it serves. */
static void d15_specific_emt_from_the_beginning(void **state)
{
        (void)state;
        for (int round = 0; round < 30; round++) {
                id = engine_new(4);
                for (uint32_t cpu = 4; cpu-- > 0;)
                        assert_int_equal(vmreq_call_void_wait(id, cpu, nothing, 0), 0);
                assert_int_equal(vmreq_vm_state(id), VMREQ_VM_CREATED);
                engine_end(id);
        }
}

/* ---- D25: what is killed reports success, or never reports ---- */

struct caller {
        form call;
        uint32_t cpu;
        pthread_t thread;
        int result;
};

static void *call_it(void *arg)
{
        struct caller *caller = arg;

        caller->result = caller->call(id, caller->cpu, nothing, 0);
        return NULL;
}

/* Every form that waits says KILLED, at once, although the EMTs are stuck; every late form says
 * CLOSED. */
static void d25_killed_is_no_success(void **state)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY, VMREQ_CPU_ALL};
        struct caller callers[ARRAY_SIZE(wait_forms)][ARRAY_SIZE(cpus)];
        struct gate gates[2];
        vmreq_handle handle;

        (void)state;
        id = engine_new(2);
        engine_hold(id, 0, &gates[0]);
        engine_hold(id, 1, &gates[1]);
        for (size_t f = 0; f < ARRAY_SIZE(wait_forms); f++)
                for (size_t c = 0; c < ARRAY_SIZE(cpus); c++) {
                        callers[f][c] = (struct caller){.call = wait_forms[f], .cpu = cpus[c]};
                        callers[f][c].thread = thread_start(call_it, &callers[f][c]);
                }
        UNTIL(engine_stats(id).submitted == 2 + ARRAY_SIZE(wait_forms) * ARRAY_SIZE(cpus));
        assert_int_equal(vmreq_vm_close(id), 0);
        for (size_t f = 0; f < ARRAY_SIZE(wait_forms); f++)
                for (size_t c = 0; c < ARRAY_SIZE(cpus); c++) {
                        thread_end(callers[f][c].thread);
                        assert_int_equal(callers[f][c].result, VMREQ_E_KILLED);
                }
        for (size_t f = 0; f < ARRAY_SIZE(wait_forms); f++)
                for (size_t c = 0; c < ARRAY_SIZE(cpus); c++) {
                        assert_int_equal(wait_forms[f](id, cpus[c], nothing, 0), VMREQ_E_CLOSED);
                        assert_int_equal(nowait_forms[f](id, cpus[c], nothing, 0), VMREQ_E_CLOSED);
                        assert_int_equal(
                                vmreq_call(id, cpus[c], &handle, VMREQ_FOREVER, 0, nothing, 0),
                                VMREQ_E_CLOSED);
                }
        gate_open(&gates[0]);
        gate_open(&gates[1]);
        engine_end(id);
}

/*
 * A killed packet can be looked at and given back like any other, and NO_WAIT payloads are let go.
 */
static void d25_killed_packets_are_given_back(void **state)
{
        struct log ran = {0};
        struct vmreq_spec spec;
        struct hooked nobody_waits, broadcast, hooked;
        vmreq_handle handle;
        struct gate gate;

        (void)state;
        id = engine_new(1);
        engine_hold(id, 0, &gate);
        spec = engine_spec(0, 0, log_callee, &ran);
        hooked_on(&hooked, &spec);
        handle = engine_submit(id, &spec);
        spec = engine_spec(VMREQ_CPU_ANY, VMREQ_NO_WAIT | VMREQ_PRIORITY, log_callee, &ran);
        hooked_on(&nobody_waits, &spec);
        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        spec = engine_spec(VMREQ_CPU_ALL, VMREQ_NO_WAIT, log_callee, &ran);
        hooked_on(&broadcast, &spec);
        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        assert_int_equal(vmreq_vm_close(id), 0);
        assert_hooked(&hooked, VMREQ_FATE_KILLED);
        assert_hooked(&nobody_waits, VMREQ_FATE_KILLED);
        assert_int_equal(atomic_load(&broadcast.completes), 1);
        assert_int_equal(atomic_load(&broadcast.releases), 1);
        assert_int_equal(broadcast.row[0].fate, VMREQ_FATE_KILLED);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        assert_int_equal(engine_state(handle), VMREQ_REQ_KILLED);
        assert_int_equal(engine_row(handle).fate, VMREQ_FATE_KILLED);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(engine_stats(id).in_use, 1);
        gate_open(&gate);
        engine_end(id);
        assert_int_equal(atomic_load(&ran.n), 0);
}

/* A packet that was allocated in time and is queued too late. */
static void d25_late_queue_is_refused(void **state)
{
        struct log ran = {0};
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        id = engine_new(1);
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        assert_int_equal(vmreq_vm_close(id), 0);
        assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), VMREQ_E_CLOSED);
        assert_int_equal(vmreq_free(handle), 0);
        engine_end(id);
}

/* Submitters of every kind race with the end of the VM: each gets an answer, each accepted request
 * one fate. */
struct race {
        _Atomic uint32_t accepted, completed, released, errors;
        _Atomic uint32_t running;
};

static void race_complete(void *user, const struct vmreq_result *result)
{
        struct race *race = user;

        if (result->row.fate != VMREQ_FATE_DONE && result->row.fate != VMREQ_FATE_KILLED)
                atomic_fetch_add(&race->errors, 1);
        atomic_fetch_add(&race->completed, 1);
}

static void race_release(void *user)
{
        struct race *race = user;

        atomic_fetch_add(&race->released, 1);
}

static void *race_submitter(void *arg)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY, VMREQ_CPU_ALL, VMREQ_CPU_ALL_REVERSE};
        struct race *race = arg;
        int r;

        for (uint32_t i = 0;; i++) {
                struct vmreq_spec spec = VMREQ_SPEC_INIT;
                vmreq_handle handle;

                spec.cpu = cpus[i % ARRAY_SIZE(cpus)];
                spec.flags = i % 3 ? VMREQ_NO_WAIT : i % 2 ? VMREQ_PRIORITY : 0;
                spec.fn = nothing;
                spec.user = race;
                spec.complete = race_complete;
                spec.release = race_release;
                r = vmreq_submit(id, &spec, &handle);
                if (r == VMREQ_E_CLOSED || r == VMREQ_E_HANDLE)
                        return NULL;
                if (i == 0)
                        atomic_fetch_add(&race->running, 1);
                if (r == VMREQ_E_BUSY)
                        continue;
                if (r)
                        atomic_fetch_add(&race->errors, 1);
                atomic_fetch_add(&race->accepted, 1);
                if (i % 3)
                        continue;
                /* It ends before the VM does, or with it; the VM may be gone by the time that we
                 * ask. */
                r = vmreq_wait(handle, VMREQ_FOREVER);
                if (r == 0)
                        r = vmreq_free(handle);
                if (r && r != VMREQ_E_HANDLE)
                        atomic_fetch_add(&race->errors, 1);
        }
}

static void d25_submitters_race_the_end(void **state)
{
        (void)state;
        for (uint32_t round = 0; round < (DEFECTS_SLOW ? 20u : 100u); round++) {
                struct race race = {0};
                pthread_t threads[4];

                id = engine_new(2);
                for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
                        threads[i] = thread_start(race_submitter, &race);
                UNTIL(atomic_load(&race.running) >= round % ARRAY_SIZE(threads));
                if (round % 2)
                        assert_int_equal(vmreq_vm_close(id), 0);
                assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
                /* Who still waits finds KILLED, or no VM any more. */
                assert_int_equal(vmreq_vm_free(id), 0);
                for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
                        thread_end(threads[i]);
                assert_int_equal(atomic_load(&race.errors), 0);
                assert_int_equal(atomic_load(&race.completed), atomic_load(&race.accepted));
                assert_int_equal(atomic_load(&race.released), atomic_load(&race.accepted));
        }
}

/* A change of state that a listener holds, by a foreign thread or by an EMT. */
struct held_change {
        sem_t between, over;
        int result;
};

static int hold_it(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to)
{
        struct held_change *change = ctx;

        (void)from;
        if (to != VMREQ_VM_POWERING_ON)
                return 0;
        CHECK(sem_post(&change->between) == 0);
        return VMREQ_LISTENER_PENDING;
}

static int32_t change_held(void *ctx)
{
        struct held_change *change = ctx;

        change->result = vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, ENGINE_FAR_NS, NULL, NULL);
        CHECK(sem_post(&change->over) == 0);
        return 0;
}

static void *change_it(void *ctx)
{
        (void)change_held(ctx);
        return NULL;
}

/* The end of the VM ends it: nobody is kept until its time is over, in an hour. */
static void d25_stop_ends_a_held_change(void **state)
{
        (void)state;
        for (int on_emt_0 = 0; on_emt_0 < 2; on_emt_0++) {
                struct held_change change;
                struct errand errand = {change_held, &change};
                struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT, errand_callee, &errand);
                pthread_t thread = 0;
                uint32_t listener;

                assert_int_equal(sem_init(&change.between, 0, 0), 0);
                assert_int_equal(sem_init(&change.over, 0, 0), 0);
                id = engine_new(2);
                assert_int_equal(vmreq_listener_add(id, hold_it, &change, &listener), 0);
                if (on_emt_0)
                        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
                else
                        thread = thread_start(change_it, &change);
                sem_down(&change.between);
                assert_int_equal(vmreq_vm_stop(id, vmreq_now() + defects_soon_ns(), NULL, 0), 0);
                assert_true(sem_soon(&change.over));
                assert_int_equal(change.result, VMREQ_E_CLOSED);
                if (!on_emt_0)
                        thread_end(thread);
                engine_end(id);
        }
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(d15_no_vm_is_an_error_not_a_crash),
                cmocka_unit_test(d15_specific_emt_from_the_beginning),
                cmocka_unit_test(d25_killed_is_no_success),
                cmocka_unit_test(d25_killed_packets_are_given_back),
                cmocka_unit_test(d25_late_queue_is_refused),
                cmocka_unit_test(d25_submitters_race_the_end),
                cmocka_unit_test(d25_stop_ends_a_held_change),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
