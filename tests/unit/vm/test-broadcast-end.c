/* SPDX-License-Identifier: MIT */
/* Broadcasts that are ended before their time - by a deadline, a cancel, the end of the VM - with
 * none, some or all of their rows begun. */
#include "unit/vm/broadcast.h"

/* ---- deadlines ---- */

/* EMT 1 is stuck with something else when the deadline comes. */
static void test_deadline_queued(void **state)
{
        static const struct {
                uint32_t cpu, flags;
                fates fates;
        } rows[] = {
                {VMREQ_CPU_ALL, 0, {D, E, S, S}},
                {VMREQ_CPU_ALL_REVERSE, 0, {S, E, D, D}},
                {VMREQ_CPU_ALL, VMREQ_CONTINUE, {D, E, S, S}},
                {VMREQ_CPU_ALL, VMREQ_PARALLEL, {D, E, D, D}},
        };
        uint64_t due = clock_now_ns() + ENGINE_FAR_NS;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct gate gate;
                struct vmreq_spec spec;
                vmreq_handle handle;
                uint32_t done = 0;

                memset(&ran, 0, sizeof(ran));
                engine_hold(id, 1, &gate);
                spec = all(rows[i].cpu, rows[i].flags, log_callee, &ran);
                spec.deadline_ns = due;
                handle = engine_submit(id, &spec);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        done += rows[i].fates[cpu] == D;
                UNTIL(atomic_load(&hooked.rows) == done && engine_emt(id, 1).depth[0] == 1);
                assert_int_equal(vmreq_vm_service(id, due - 1), due);
                assert_int_equal(hooked.completes, 0);
                assert_int_equal(vmreq_vm_service(id, due), UINT64_MAX);
                assert_complete(handle, true, rows[i].fates);
                assert_int_equal(vmreq_free(handle), 0);
                gate_open(&gate);
                (void)vmreq_call_wait(id, 1, (vmreq_fn)vmreq_now, 0);
                assert_int_equal(atomic_load(&ran.n), done);
        }
        engine_until_home(id);
}

/* The deadline has passed, and the service has not been here yet: what is queued does not start. */
static void test_deadline_before_the_service(void **state)
{
        static const struct {
                uint32_t flags;
                bool serviced;
                fates fates;
        } rows[] = {
                {0, true, {E, S, S, S}},
                {VMREQ_CONTINUE, true, {E, S, S, S}},
                {VMREQ_PARALLEL, false, {E, E, E, E}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct gate gates[CPUS];
                struct vmreq_spec spec;
                vmreq_handle handle;

                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        engine_hold(id, cpu, &gates[cpu]);
                spec = all(VMREQ_CPU_ALL, rows[i].flags, log_callee, &ran);
                spec.deadline_ns = clock_now_ns() + CLOCK_NS_PER_MS;
                handle = engine_submit(id, &spec);
                UNTIL(clock_now_ns() >= spec.deadline_ns);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        gate_open(&gates[cpu]);
                if (rows[i].serviced) {
                        UNTIL(atomic_load(&hooked.rows) == 1);
                        (void)vmreq_vm_service(id, spec.deadline_ns);
                }
                assert_complete(handle, true, rows[i].fates);
                assert_int_equal(vmreq_free(handle), 0);
        }
        assert_int_equal(atomic_load(&ran.n), 0);
}

static int32_t until_late(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)ctx;
        (void)argc;
        UNTIL(clock_now_ns() >= args[0]);
        log_add(&ran, reply->cpu);
        return 0;
}

/* Nor is anything passed on to. */
static void test_deadline_in_a_row(void **state)
{
        (void)state;
        /* On a busy machine the first one may be too late as well: then once more. */
        for (uint64_t ms = 4; atomic_load(&ran.n) == 0; ms *= 2) {
                uint64_t due = clock_now_ns() + ms * CLOCK_NS_PER_MS;
                struct vmreq_spec spec = all(VMREQ_CPU_ALL, VMREQ_CONTINUE, until_late, NULL);
                vmreq_handle handle;
                bool late;

                spec.args = &due;
                spec.argc = 1;
                spec.deadline_ns = due;
                handle = engine_submit(id, &spec);
                UNTIL(atomic_load(&hooked.rows) >= 1);
                late = atomic_load(&ran.n) == 0;
                if (late)
                        (void)vmreq_vm_service(id, due);
                assert_complete(handle, true, (fates){late ? E : D, S, S, S});
                assert_int_equal(vmreq_free(handle), 0);
        }
        assert_log(&ran, (uint64_t[]){0}, 1);
}

/* The callee on EMT 1 holds until the gate opens; elsewhere it logs. */
static int32_t hold_on_1(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        if (reply->cpu == 1)
                gate_pass(ctx);
        log_add(&ran, reply->cpu + (vmreq_cancel_requested() ? 100u : 0));
        return 0;
}

static void test_deadline_running(void **state)
{
        static const struct {
                uint32_t flags;
                fates fates;
        } rows[] = {
                {0, {D, R, S, S}},
                {VMREQ_CONTINUE, {D, R, S, S}},
                {VMREQ_PARALLEL, {D, R, D, D}},
        };
        uint64_t due = clock_now_ns() + ENGINE_FAR_NS;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct gate gate;
                struct vmreq_spec spec = all(VMREQ_CPU_ALL, rows[i].flags, hold_on_1, &gate);
                vmreq_handle handle;

                memset(&ran, 0, sizeof(ran));
                gate_init(&gate);
                spec.deadline_ns = due;
                handle = engine_submit(id, &spec);
                sem_down(&gate.in);
                UNTIL(atomic_load(&hooked.rows) == (rows[i].flags & VMREQ_PARALLEL ? 3u : 1u));
                assert_int_equal(vmreq_vm_service(id, due), UINT64_MAX);
                /* Complete at the deadline; its memory is in use until the last callee has ended.
                 */
                assert_complete(handle, false, rows[i].fates);
                assert_int_equal(vmreq_free(handle), 0);
                assert_int_equal(engine_stats(id).in_use, 1 + CPUS);
                gate_open(&gate);
                sem_down(&hooked.released);
                assert_int_equal(hooked.completes, 1);
                assert_int_equal(hooked.rows, CPUS);
                assert_int_equal(hooked.releases, 1);
                engine_until_home(id);
                assert_int_equal(atomic_load(&ran.items[atomic_load(&ran.n) - 1]), 101);
        }
}

/* A row that was reported as running stays that, also when it is looked at later. */
static void test_running_row_stays(void **state)
{
        uint64_t due = clock_now_ns() + ENGINE_FAR_NS;
        struct gate gate;
        struct vmreq_spec spec = all(VMREQ_CPU_ALL, 0, hold_on_1, &gate);
        vmreq_handle handle;
        struct vmreq_row row[CPUS];

        (void)state;
        gate_init(&gate);
        spec.deadline_ns = due;
        handle = engine_submit(id, &spec);
        sem_down(&gate.in);
        (void)vmreq_vm_service(id, due);
        gate_open(&gate);
        sem_down(&hooked.released);
        assert_int_equal(vmreq_rows(handle, row, CPUS, NULL), 0);
        assert_fates(row, (fates){D, R, S, S});
        assert_int_equal(vmreq_free(handle), 0);
}

static void test_deadline_met(void **state)
{
        uint64_t due = clock_now_ns() + ENGINE_FAR_NS;
        struct vmreq_spec spec = all(VMREQ_CPU_ALL, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        spec.deadline_ns = due;
        handle = engine_submit(id, &spec);
        assert_complete(handle, true, (fates){D, D, D, D});
        assert_int_equal(vmreq_vm_service(id, due), UINT64_MAX);
        assert_int_equal(hooked.rows, CPUS);
        assert_int_equal(vmreq_free(handle), 0);
}

/* ---- cancelling ---- */

static void test_cancel_queued(void **state)
{
        static const struct {
                uint32_t flags, held;
                fates fates;
        } rows[] = {
                {0, 1, {D, C, S, S}},
                {0, 0, {C, S, S, S}},
                {VMREQ_CONTINUE, 1, {D, C, S, S}},
                {VMREQ_PARALLEL, 1, {D, C, D, D}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct gate gate;
                struct vmreq_spec spec;
                vmreq_handle handle;
                uint32_t done = 0;

                engine_hold(id, rows[i].held, &gate);
                spec = all(VMREQ_CPU_ALL, rows[i].flags, log_callee, &ran);
                handle = engine_submit(id, &spec);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        done += rows[i].fates[cpu] == D;
                UNTIL(atomic_load(&hooked.rows) == done &&
                      engine_emt(id, rows[i].held).depth[0] == 1);
                /* Nothing runs: complete at once, on this thread. */
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_REMOVED);
                assert_int_equal(hooked.completes, 1);
                assert_complete(handle, true, rows[i].fates);
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_FINISHED);
                assert_int_equal(vmreq_free(handle), 0);
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_UNKNOWN);
                gate_open(&gate);
        }
}

static void test_cancel_running(void **state)
{
        static const struct {
                uint32_t flags;
                fates fates;
        } rows[] = {
                {0, {D, D, S, S}},
                {VMREQ_CONTINUE, {D, D, S, S}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct gate gate;
                struct vmreq_spec spec = all(VMREQ_CPU_ALL, rows[i].flags, hold_on_1, &gate);
                vmreq_handle handle;

                memset(&ran, 0, sizeof(ran));
                gate_init(&gate);
                handle = engine_submit(id, &spec);
                sem_down(&gate.in);
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
                assert_int_equal(hooked.completes, 0);
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
                /* The parent completes when the running child ends, and that one was asked to. */
                gate_open(&gate);
                assert_complete(handle, true, rows[i].fates);
                assert_int_equal(vmreq_free(handle), 0);
                assert_log(&ran, (uint64_t[]){0, 101}, 2);
        }
}

/* ---- the end of the VM ---- */

static void test_close(void **state)
{
        struct gate gate;
        struct vmreq_spec spec = all(VMREQ_CPU_ALL, 0, hold_on_1, &gate);
        vmreq_handle handle;

        (void)state;
        gate_init(&gate);
        handle = engine_submit(id, &spec);
        sem_down(&gate.in);
        assert_int_equal(vmreq_vm_close(id), 0);
        assert_complete(handle, false, (fates){D, R, S, S});
        gate_open(&gate);
        sem_down(&hooked.released);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(vmreq_submit(id, &spec, &handle), VMREQ_E_CLOSED);
}

static void test_close_queued(void **state)
{
        struct gate gates[CPUS];
        struct vmreq_spec spec;
        vmreq_handle handle;

        (void)state;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                engine_hold(id, cpu, &gates[cpu]);
        spec = all(VMREQ_CPU_ALL, VMREQ_PARALLEL, log_callee, &ran);
        handle = engine_submit(id, &spec);
        assert_int_equal(vmreq_vm_close(id), 0);
        assert_complete(handle, true, (fates){K, K, K, K});
        assert_int_equal(vmreq_free(handle), 0);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                gate_open(&gates[cpu]);
        assert_int_equal(atomic_load(&ran.n), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_deadline_queued, setup, teardown),
                cmocka_unit_test_setup_teardown(test_deadline_before_the_service, setup, teardown),
                cmocka_unit_test_setup_teardown(test_deadline_in_a_row, setup, teardown),
                cmocka_unit_test_setup_teardown(test_deadline_running, setup, teardown),
                cmocka_unit_test_setup_teardown(test_running_row_stays, setup, teardown),
                cmocka_unit_test_setup_teardown(test_deadline_met, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cancel_queued, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cancel_running, setup, teardown),
                cmocka_unit_test_setup_teardown(test_close, setup, teardown),
                cmocka_unit_test_setup_teardown(test_close_queued, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
