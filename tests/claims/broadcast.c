/* SPDX-License-Identifier: MIT */
/* A broadcast to four EMTs, one of them stuck, and half a second: the engine's own service keeps
 * the time. */
#include "defects/defects.h"

#define CPUS     4u
#define LIMIT_NS (500 * CLOCK_NS_PER_MS)

#define D VMREQ_FATE_DONE
#define E VMREQ_FATE_EXPIRED
#define R VMREQ_FATE_RUNNING
#define S VMREQ_FATE_SKIPPED

static vmreq_vm id;
static struct gate gate;
static struct hooked hooked;

static int setup(void **state)
{
        (void)state;
        id = engine_new(CPUS);
        return 0;
}

static int32_t hold_on_1(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        if (reply->cpu == 1)
                gate_pass(ctx);
        return 0;
}

static int32_t pass(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        return 0;
}

/* Submits, and expects these rows when the half second is over; then lets EMT 1 go. */
static void assert_rows(uint32_t flags, vmreq_callback callback, const enum vmreq_fate *fates)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ALL, flags, callback, &gate);
        struct vmreq_row rows[CPUS];
        uint64_t deadline_ns = clock_now_ns() + LIMIT_NS;
        vmreq_handle handle;

        hooked_on(&hooked, &spec);
        spec.deadline_ns = deadline_ns;
        handle = engine_submit(id, &spec);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        assert_true(clock_now_ns() >= deadline_ns);
        /* Being late is the defect; the margin is for a busy machine. */
        assert_true(clock_now_ns() < deadline_ns + 20 * LIMIT_NS);
        assert_true(sem_soon(&hooked.completed));
        assert_int_equal(vmreq_rows(handle, rows, CPUS, NULL), 0);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(rows[cpu].fate, fates[cpu]);
        assert_int_equal(vmreq_free(handle), 0);
        gate_open(&gate);
        assert_true(sem_soon(&hooked.released));
        assert_int_equal(atomic_load(&hooked.rows), CPUS);
        assert_int_equal(atomic_load(&hooked.completes), 1);
        assert_int_equal(atomic_load(&hooked.order_broken), 0);
        engine_until_home(id);
        engine_end(id);
}

static void sequential_with_one_stuck(void **state)
{
        (void)state;
        engine_hold(id, 1, &gate);
        assert_rows(VMREQ_CONTINUE, pass, (enum vmreq_fate[]){D, E, S, S});
}

static void parallel_with_one_stuck(void **state)
{
        (void)state;
        engine_hold(id, 1, &gate);
        assert_rows(VMREQ_PARALLEL | VMREQ_CONTINUE, pass, (enum vmreq_fate[]){D, E, D, D});
}

static void sequential_with_the_row_running(void **state)
{
        (void)state;
        gate_init(&gate);
        assert_rows(VMREQ_CONTINUE, hold_on_1, (enum vmreq_fate[]){D, R, S, S});
}

static void parallel_with_the_row_running(void **state)
{
        (void)state;
        gate_init(&gate);
        assert_rows(VMREQ_PARALLEL | VMREQ_CONTINUE, hold_on_1, (enum vmreq_fate[]){D, R, D, D});
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(sequential_with_one_stuck, setup),
                cmocka_unit_test_setup(parallel_with_one_stuck, setup),
                cmocka_unit_test_setup(sequential_with_the_row_running, setup),
                cmocka_unit_test_setup(parallel_with_the_row_running, setup),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
