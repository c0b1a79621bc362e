/* SPDX-License-Identifier: MIT */
/* Broadcasts: one row per vCPU whatever happens to each, one completion, and order where order was
 * asked for. */
#include "lib/engine.h"

#define CPUS 4u

static vmreq_vm id;
static struct log ran;
static struct hooked hooked;

static void service_wake(void *ctx, uint64_t due_ns)
{
        (void)ctx;
        (void)due_ns;
}

static int setup(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        config.cpus = CPUS;
        config.service_wake = service_wake;
        id = engine_new_with(&config);
        memset(&ran, 0, sizeof(ran));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}

/* A broadcast's spec, with counting hooks. */
static struct vmreq_spec all(uint32_t cpu, uint32_t flags, vmreq_callback callback, void *ctx)
{
        struct vmreq_spec spec = engine_spec(cpu, flags, callback, ctx);

        hooked_on(&hooked, &spec);
        return spec;
}

#define D VMREQ_FATE_DONE
#define C VMREQ_FATE_CANCELLED
#define E VMREQ_FATE_EXPIRED
#define K VMREQ_FATE_KILLED
#define R VMREQ_FATE_RUNNING
#define S VMREQ_FATE_SKIPPED

typedef enum vmreq_fate fates[CPUS];

static void assert_fates(const struct vmreq_row *rows, const fates expected)
{
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                assert_int_equal(rows[cpu].cpu, cpu);
                assert_int_equal(rows[cpu].fate, expected[cpu]);
        }
}

/* Complete, with these rows, each told once; released too unless something still runs. */
static void assert_complete(vmreq_handle handle, bool released, const fates expected)
{
        struct vmreq_row rows[CPUS];
        uint32_t n;

        sem_down(&hooked.completed);
        assert_int_equal(hooked.result.n_rows, CPUS);
        assert_int_equal(hooked.rows, CPUS);
        assert_fates(hooked.row, expected);
        if (released) {
                sem_down(&hooked.released);
                assert_int_equal(hooked.releases, 1);
        } else {
                assert_int_equal(hooked.releases, 0);
        }
        assert_int_equal(hooked.completes, 1);
        assert_int_equal(hooked.order_broken, 0);
        if (!handle.generation)
                return;
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        assert_int_equal(engine_state(handle), VMREQ_REQ_COMPLETED);
        assert_int_equal(vmreq_rows(handle, rows, CPUS, &n), 0);
        assert_int_equal(n, CPUS);
        assert_fates(rows, expected);
}

/* ---- order ---- */

static void test_order(void **state)
{
        static const struct {
                uint32_t cpu, flags;
                uint64_t order[CPUS];
        } forms[] = {
                {VMREQ_CPU_ALL, 0, {0, 1, 2, 3}},
                {VMREQ_CPU_ALL_REVERSE, 0, {3, 2, 1, 0}},
                {VMREQ_CPU_ALL, VMREQ_PRIORITY, {0, 1, 2, 3}},
                {VMREQ_CPU_ALL_REVERSE, VMREQ_CONTINUE | VMREQ_POKE, {3, 2, 1, 0}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                struct vmreq_spec spec = all(forms[i].cpu, forms[i].flags, log_callee, &ran);
                vmreq_handle handle;

                memset(&ran, 0, sizeof(ran));
                spec.tag = 77;
                handle = engine_submit(id, &spec);
                assert_complete(handle, true, (fates){D, D, D, D});
                assert_log(&ran, forms[i].order, CPUS);
                assert_int_equal(hooked.result.tag, 77);
                assert_int_equal(hooked.result.handle.generation, handle.generation);
                assert_int_equal(hooked.result.row.fate, VMREQ_FATE_DONE);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                        assert_int_equal(hooked.row[cpu].value, cpu);
                        assert_true(hooked.row[cpu].take_seq >= 1);
                }
                assert_int_equal(vmreq_free(handle), 0);
        }
}

/* All at once: each callee waits until all are inside. */
static int32_t meet(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        _Atomic uint32_t *inside = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        atomic_fetch_add(inside, 1);
        UNTIL(atomic_load(inside) == CPUS);
        return 0;
}

static void test_parallel(void **state)
{
        _Atomic uint32_t inside = 0;
        struct vmreq_spec spec = all(VMREQ_CPU_ALL, VMREQ_PARALLEL, meet, &inside);
        vmreq_handle handle = engine_submit(id, &spec);

        (void)state;
        assert_complete(handle, true, (fates){D, D, D, D});
        assert_int_equal(vmreq_free(handle), 0);
}

/* The sequential form is not on the next EMT's lane before its turn. */
static void test_passes_on(void **state)
{
        struct gate gate;
        struct vmreq_spec spec;
        vmreq_handle handle;

        (void)state;
        engine_hold(id, 1, &gate);
        spec = all(VMREQ_CPU_ALL, 0, log_callee, &ran);
        handle = engine_submit(id, &spec);
        UNTIL(engine_emt(id, 1).depth[0] == 1);
        assert_int_equal(atomic_load(&ran.n), 1);
        for (uint32_t cpu = 2; cpu < CPUS; cpu++)
                assert_int_equal(engine_emt(id, cpu).depth[0], 0);
        assert_int_equal(vmreq_wait(handle, 0), VMREQ_E_TIMEOUT);
        assert_int_equal(engine_state(handle), VMREQ_REQ_RUNNING);
        gate_open(&gate);
        assert_complete(handle, true, (fates){D, D, D, D});
        assert_int_equal(vmreq_free(handle), 0);
}

static void test_no_wait(void **state)
{
        static const uint32_t forms[] = {0, VMREQ_PARALLEL};

        (void)state;
        for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
                struct vmreq_spec spec =
                        all(VMREQ_CPU_ALL, forms[f] | VMREQ_NO_WAIT, log_callee, &ran);

                assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
                assert_complete(VMREQ_HANDLE_NONE, true, (fates){D, D, D, D});
                engine_until_home(id);
        }
        assert_int_equal(atomic_load(&ran.n), 2 * CPUS);
}

static void test_alloc_queue(void **state)
{
        struct vmreq_spec spec = all(VMREQ_CPU_ALL, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        assert_int_equal(engine_stats(id).in_use, 1);
        assert_int_equal(vmreq_rows(handle, NULL, 0, NULL), VMREQ_E_STATE);
        assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), 0);
        assert_complete(handle, true, (fates){D, D, D, D});
        assert_int_equal(vmreq_queue(handle, 0), VMREQ_E_STATE);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        assert_int_equal(vmreq_free(handle), 0);
        engine_until_home(id);
}

/* ---- rows that are no success ---- */

struct failing {
        uint32_t cpu;
        int32_t status;
};

static int32_t fail_on(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        const struct failing *failing = ctx;

        (void)args;
        (void)argc;
        log_add(&ran, reply->cpu);
        return reply->cpu == failing->cpu ? failing->status : (int32_t)reply->cpu;
}

static void test_stop_or_continue(void **state)
{
        static const struct {
                uint32_t cpu, flags;
                struct failing failing;
                uint32_t runs;
                fates fates;
        } rows[] = {
                {VMREQ_CPU_ALL, 0, {0, -5}, 1, {D, S, S, S}},
                {VMREQ_CPU_ALL, 0, {1, -5}, 2, {D, D, S, S}},
                {VMREQ_CPU_ALL, 0, {3, -5}, 4, {D, D, D, D}},
                {VMREQ_CPU_ALL_REVERSE, 0, {2, -5}, 2, {S, S, D, D}},
                {VMREQ_CPU_ALL, VMREQ_CONTINUE, {0, -5}, 4, {D, D, D, D}},
                {VMREQ_CPU_ALL_REVERSE, VMREQ_CONTINUE, {2, -5}, 4, {D, D, D, D}},
                /* Only a negative status is a failure. */
                {VMREQ_CPU_ALL, 0, {1, 5}, 4, {D, D, D, D}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct failing failing = rows[i].failing;
                struct vmreq_spec spec = all(rows[i].cpu, rows[i].flags, fail_on, &failing);
                vmreq_handle handle;

                memset(&ran, 0, sizeof(ran));
                handle = engine_submit(id, &spec);
                assert_complete(handle, true, rows[i].fates);
                assert_int_equal(atomic_load(&ran.n), rows[i].runs);
                assert_int_equal(hooked.row[failing.cpu].status, failing.status);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                        if (hooked.row[cpu].fate == S) {
                                assert_int_equal(hooked.row[cpu].queued_ns | hooked.row[cpu].run_ns,
                                                 0);
                                assert_int_equal(hooked.row[cpu].status, 0);
                        } else if (cpu != failing.cpu) {
                                assert_int_equal(hooked.row[cpu].status, cpu);
                        }
                }
                assert_int_equal(vmreq_free(handle), 0);
        }
}

/* Parallel: what still stands in a queue at the first failure is cancelled. */
static void test_parallel_stop(void **state)
{
        struct gate gates[CPUS];
        struct failing failing = {0, -5};
        struct vmreq_spec spec;
        vmreq_handle handle;

        (void)state;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                engine_hold(id, cpu, &gates[cpu]);
        spec = all(VMREQ_CPU_ALL, VMREQ_PARALLEL, fail_on, &failing);
        handle = engine_submit(id, &spec);
        gate_open(&gates[0]);
        assert_complete(handle, true, (fates){D, C, C, C});
        assert_int_equal(vmreq_free(handle), 0);
        for (uint32_t cpu = 1; cpu < CPUS; cpu++)
                gate_open(&gates[cpu]);
        assert_int_equal(atomic_load(&ran.n), 1);
}

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

/* ---- from an EMT ---- */

static int32_t broadcast_callee(void *ctx, const uint64_t *args, uint32_t argc,
                                struct vmreq_reply *reply)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ALL, (uint32_t)args[0], log_callee, &ran);
        struct vmreq_row rows[CPUS];
        vmreq_handle handle;

        (void)ctx;
        (void)argc;
        (void)reply;
        CHECK(vmreq_submit(id, &spec, &handle) == 0);
        /* Queued, also to the caller's own EMT: nothing has run on it here yet. */
        CHECK(vmreq_wait(handle, VMREQ_FOREVER) == 0);
        CHECK(vmreq_rows(handle, rows, CPUS, NULL) == 0);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                CHECK(rows[cpu].fate == VMREQ_FATE_DONE && rows[cpu].take_seq >= 1);
        CHECK(vmreq_free(handle) == 0);
        return 0;
}

static void test_from_an_emt(void **state)
{
        static const uint64_t forms[] = {0, VMREQ_PARALLEL};

        (void)state;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
                        struct vmreq_spec spec = engine_spec(cpu, 0, broadcast_callee, NULL);

                        memset(&ran, 0, sizeof(ran));
                        spec.args = &forms[f];
                        spec.argc = 1;
                        assert_int_equal(engine_finish(engine_submit(id, &spec)).fate,
                                         VMREQ_FATE_DONE);
                        assert_int_equal(atomic_load(&ran.n), CPUS);
                        if (forms[f] == 0)
                                assert_log(&ran, (uint64_t[]){0, 1, 2, 3}, CPUS);
                }
        }
}

/* Every EMT broadcasts to all at once (D21). */
static void test_all_broadcast(void **state)
{
        static const uint64_t forms[] = {0, VMREQ_PARALLEL};

        (void)state;
        for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
                vmreq_handle handles[CPUS];

                memset(&ran, 0, sizeof(ran));
                for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                        struct vmreq_spec spec = engine_spec(cpu, 0, broadcast_callee, NULL);

                        spec.args = &forms[f];
                        spec.argc = 1;
                        handles[cpu] = engine_submit(id, &spec);
                }
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        assert_int_equal(engine_finish(handles[cpu]).fate, VMREQ_FATE_DONE);
                assert_int_equal(atomic_load(&ran.n), CPUS * CPUS);
        }
}

/* A row's hook may cancel the rest. */
static void cancelling_row(void *user, const struct vmreq_row *row)
{
        vmreq_handle *handle = user;

        log_add(&ran, row->cpu * 10 + row->fate);
        if (row->cpu == 0)
                (void)vmreq_cancel(*handle);
}

static void test_cancel_in_a_row(void **state)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ALL, 0, fail_on, &(struct failing){9, 0});
        vmreq_handle handle;

        (void)state;
        spec.user = &handle;
        spec.row = cancelling_row;
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_free(handle), 0);
        assert_log(&ran, (uint64_t[]){0, 0 + D, 10 + S, 20 + S, 30 + S}, 5);
        engine_until_home(id);
}

static int32_t seven_fails(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        reply->value = 7;
        return -5;
}

/* What a packet's last life ended with is not the result of a broadcast. */
static void test_used_packets(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct vmreq_spec spec = engine_spec(0, 0, seven_fails, NULL);
        vmreq_handle handles[CPUS + 1], handle;
        struct vmreq_row row;

        (void)state;
        engine_end(id);
        config.cpus = CPUS;
        config.slab = CPUS + 1; /* the broadcast has all of them */
        id = engine_new_with(&config);
        for (uint32_t i = 0; i < CPUS + 1; i++) {
                handles[i] = engine_submit(id, &spec);
                assert_int_equal(vmreq_wait(handles[i], VMREQ_FOREVER), 0);
                assert_int_equal(vmreq_status(handles[i], NULL, &row), 0);
                assert_int_equal(row.status, -5);
        }
        for (uint32_t i = 0; i < CPUS + 1; i++)
                assert_int_equal(vmreq_free(handles[i]), 0);
        engine_until_home(id);
        spec = all(VMREQ_CPU_ALL, 0, log_callee, &ran);
        handle = engine_submit(id, &spec);
        assert_complete(handle, true, (fates){D, D, D, D});
        assert_int_equal(hooked.result.row.status, 0);
        assert_int_equal(hooked.result.row.value, 0);
        assert_int_equal(hooked.result.row.take_seq, 0);
        assert_int_equal(vmreq_free(handle), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_order, setup, teardown),
                cmocka_unit_test_setup_teardown(test_parallel, setup, teardown),
                cmocka_unit_test_setup_teardown(test_passes_on, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_wait, setup, teardown),
                cmocka_unit_test_setup_teardown(test_alloc_queue, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stop_or_continue, setup, teardown),
                cmocka_unit_test_setup_teardown(test_parallel_stop, setup, teardown),
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
                cmocka_unit_test_setup_teardown(test_from_an_emt, setup, teardown),
                cmocka_unit_test_setup_teardown(test_all_broadcast, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cancel_in_a_row, setup, teardown),
                cmocka_unit_test_setup_teardown(test_used_packets, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
