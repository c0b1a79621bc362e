/* SPDX-License-Identifier: MIT */
/* Many requests, one wake-up: VMREQ_MORE and vmreq_wake.  EMTs do not spin here, so that one that
 * is asleep stays so until somebody wakes it. */
#include "lib/engine.h"

#define N 3

static vmreq_vm id;
static struct log ran;

static int setup(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        config.cpus = 2;
        config.spin_ns = VMREQ_FOREVER; /* not at all */
        id = engine_new_with(&config);
        memset(&ran, 0, sizeof(ran));
        engine_until_asleep(id, 0);
        engine_until_asleep(id, 1);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}

static uint64_t wakes(void)
{
        return engine_emt(id, 0).wakes + engine_emt(id, 1).wakes;
}

static vmreq_handle submit(uint32_t cpu, uint32_t flags)
{
        struct vmreq_spec spec = engine_spec(cpu, flags, log_callee, &ran);

        return engine_submit(id, &spec);
}

static enum vmreq_req_state state_of(vmreq_handle handle)
{
        enum vmreq_req_state state;

        assert_int_equal(vmreq_status(handle, &state, NULL), 0);
        return state;
}

static void test_one_wake_up(void **state)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY, VMREQ_CPU_ANY_QUEUE};
        vmreq_handle handles[N];

        (void)state;
        for (size_t c = 0; c < ARRAY_SIZE(cpus); c++) {
                uint64_t before = wakes(), take_seq = 0;

                for (unsigned i = 0; i < N; i++)
                        handles[i] = submit(cpus[c], VMREQ_MORE);
                for (unsigned i = 0; i < N; i++)
                        assert_int_equal(state_of(handles[i]), VMREQ_REQ_QUEUED);
                assert_int_equal(wakes(), before);
                assert_true(engine_sleeps(id, 0) && engine_sleeps(id, 1));

                assert_int_equal(vmreq_wake(id, cpus[c]), 0);
                for (unsigned i = 0; i < N; i++) {
                        struct vmreq_row row = engine_finish(handles[i]);

                        assert_int_equal(row.fate, VMREQ_FATE_DONE);
                        assert_true(row.take_seq > take_seq); /* in their order */
                        take_seq = row.take_seq;
                }
                if (cpus[c] < 2)
                        assert_int_equal(wakes(), before + 1);
                engine_until_asleep(id, 0);
                engine_until_asleep(id, 1);
        }
}

/* One EMT is woken for ANY; while its callee stays, what it has left is the other's. */
static void test_any_is_passed_on(void **state)
{
        struct gate gate;
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, VMREQ_MORE, gate_callee, &gate);
        vmreq_handle stays, goes;

        (void)state;
        gate_init(&gate);
        stays = engine_submit(id, &spec);
        goes = submit(VMREQ_CPU_ANY, VMREQ_MORE);
        assert_int_equal(vmreq_wake(id, VMREQ_CPU_ANY), 0);
        sem_down(&gate.in);
        assert_int_equal(engine_finish(goes).fate, VMREQ_FATE_DONE);
        gate_open(&gate);
        (void)engine_finish(stays);
}

/* What needs no wake-up of its own: those behind it come along. */
static void test_next_one_without(void **state)
{
        vmreq_handle first = submit(0, VMREQ_MORE), second = submit(0, 0);

        (void)state;
        assert_int_equal(engine_finish(first).fate, VMREQ_FATE_DONE);
        assert_int_equal(engine_finish(second).fate, VMREQ_FATE_DONE);
}

static void test_poke_wakes_at_once(void **state)
{
        (void)state;
        assert_int_equal(engine_finish(submit(0, VMREQ_MORE | VMREQ_POKE)).fate, VMREQ_FATE_DONE);
        assert_int_equal(engine_finish(submit(VMREQ_CPU_ANY, VMREQ_MORE | VMREQ_POKE)).fate,
                         VMREQ_FATE_DONE);
}

static void test_broadcast_wakes_at_once(void **state)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ALL, VMREQ_MORE, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        handle = engine_submit(id, &spec);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(atomic_load(&ran.n), 2);
}

/* On its own EMT a request runs inline, whoever else sleeps. */
static int32_t submit_inside(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        struct vmreq_spec spec = engine_spec(reply->cpu, VMREQ_MORE, log_callee, ctx);
        vmreq_handle handle;

        (void)args;
        (void)argc;
        CHECK(vmreq_submit(id, &spec, &handle) == 0);
        CHECK(atomic_load(&ran.n) == 1);
        CHECK(vmreq_free(handle) == 0);
        return 0;
}

static void test_inline_runs_at_once(void **state)
{
        struct vmreq_spec spec = engine_spec(1, 0, submit_inside, &ran);

        (void)state;
        assert_int_equal(engine_finish(engine_submit(id, &spec)).fate, VMREQ_FATE_DONE);
}

/* Nobody has to be woken for these. */
static void test_ends_without_its_emt(void **state)
{
        struct vmreq_spec spec = engine_spec(1, VMREQ_MORE, log_callee, &ran);
        vmreq_handle cancelled = submit(0, VMREQ_MORE), expired, killed = submit(0, VMREQ_MORE);

        (void)state;
        spec.deadline_ns = clock_now_ns() + 1;
        expired = engine_submit(id, &spec);
        assert_int_equal(vmreq_cancel(cancelled), VMREQ_VERDICT_REMOVED);
        assert_int_equal(engine_finish(cancelled).fate, VMREQ_FATE_CANCELLED);
        assert_int_equal(engine_finish(expired).fate, VMREQ_FATE_EXPIRED);
        assert_int_equal(state_of(killed), VMREQ_REQ_QUEUED);
        assert_int_equal(vmreq_vm_close(id), 0);
        assert_int_equal(engine_finish(killed).fate, VMREQ_FATE_KILLED);
        assert_int_equal(atomic_load(&ran.n), 0);
}

static void test_refused(void **state)
{
        static const uint32_t cpus[] = {2, VMREQ_CPU_ALL, VMREQ_CPU_ALL_REVERSE, VMREQ_CPU_NONE};
        struct vmreq_spec spec = engine_spec(0, VMREQ_MORE | VMREQ_WAIT_ROOM, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cpus); i++)
                assert_int_equal(vmreq_wake(id, cpus[i]), VMREQ_E_INVALID);
        assert_int_equal(vmreq_wake((vmreq_vm){0}, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_submit(id, &spec, &handle), VMREQ_E_INVALID);
        /* It would wait for what nobody has been woken for. */
        assert_int_equal(vmreq_call(id, 0, &handle, VMREQ_FOREVER, VMREQ_MORE | VMREQ_VOID,
                                    (vmreq_fn)setup, 0),
                         VMREQ_E_INVALID);
        assert_int_equal(engine_stats(id).submitted, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_one_wake_up, setup, teardown),
                cmocka_unit_test_setup_teardown(test_any_is_passed_on, setup, teardown),
                cmocka_unit_test_setup_teardown(test_next_one_without, setup, teardown),
                cmocka_unit_test_setup_teardown(test_poke_wakes_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_broadcast_wakes_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_inline_runs_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_ends_without_its_emt, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
