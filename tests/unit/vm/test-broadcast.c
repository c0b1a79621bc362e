/* SPDX-License-Identifier: MIT */
/* Broadcasts: one row per vCPU whatever happens to each, one completion, and order where order was
 * asked for. */
#include "unit/vm/broadcast.h"

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
                cmocka_unit_test_setup_teardown(test_from_an_emt, setup, teardown),
                cmocka_unit_test_setup_teardown(test_all_broadcast, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cancel_in_a_row, setup, teardown),
                cmocka_unit_test_setup_teardown(test_used_packets, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
