/* SPDX-License-Identifier: MIT */
/* Every EMT is in a callee that does not return: what needs none of them answers all the same. */
#include "defects/defects.h"

#define CPUS 3u

static vmreq_vm id;
static struct log ran;
static struct gate gates[CPUS];

/* Where a request may go, alone. */
static const uint32_t cpus[] = {0, 1, 2, VMREQ_CPU_ANY, VMREQ_CPU_ANY_QUEUE};
static const uint32_t flags[] = {0, VMREQ_PRIORITY, VMREQ_POKE, VMREQ_PRIORITY | VMREQ_POKE};

#define REQUESTS (ARRAY_SIZE(cpus) * ARRAY_SIZE(flags))

/* One of each kind, queued behind them. */
struct queued {
        struct hooked hooked[REQUESTS], all;
        vmreq_handle handles[REQUESTS], broadcast;
};

static struct queued queued;

static int setup(void **state)
{
        (void)state;
        memset(&ran, 0, sizeof(ran));
        id = engine_new(CPUS);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                engine_hold(id, cpu, &gates[cpu]);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                gate_open(&gates[cpu]);
        assert_int_equal(atomic_load(&ran.n), 0);
        engine_until_home(id);
        engine_end(id);
        return 0;
}

static void queue_all(uint64_t deadline_ns)
{
        struct vmreq_spec spec;

        for (size_t i = 0; i < REQUESTS; i++) {
                spec = engine_spec(cpus[i % ARRAY_SIZE(cpus)], flags[i / ARRAY_SIZE(cpus)],
                                   log_callee, &ran);
                hooked_on(&queued.hooked[i], &spec);
                spec.deadline_ns = deadline_ns;
                queued.handles[i] = engine_submit(id, &spec);
        }
        spec = engine_spec(VMREQ_CPU_ALL, VMREQ_PARALLEL, log_callee, &ran);
        hooked_on(&queued.all, &spec);
        spec.deadline_ns = deadline_ns;
        queued.broadcast = engine_submit(id, &spec);
}

/* All have that fate now, and give their packets back. */
static void assert_all(enum vmreq_fate fate)
{
        for (size_t i = 0; i < REQUESTS; i++) {
                assert_hooked(&queued.hooked[i], fate);
                assert_int_equal(vmreq_wait(queued.handles[i], VMREQ_FOREVER), 0);
                assert_int_equal(engine_row(queued.handles[i]).fate, fate);
                assert_int_equal(vmreq_free(queued.handles[i]), 0);
        }
        assert_hooked(&queued.all, VMREQ_FATE_DONE);
        assert_int_equal(atomic_load(&queued.all.rows), CPUS);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(queued.all.row[cpu].fate, fate);
        assert_int_equal(vmreq_free(queued.broadcast), 0);
        /* Whoever ended the last one may be a step behind its hooks. */
        UNTIL(engine_stats(id).in_use == CPUS);
}

static void cancel_answers_at_once(void **state)
{
        (void)state;
        queue_all(0);
        for (size_t i = 0; i < REQUESTS; i++)
                assert_int_equal(vmreq_cancel(queued.handles[i]), VMREQ_VERDICT_REMOVED);
        assert_int_equal(vmreq_cancel(queued.broadcast), VMREQ_VERDICT_REMOVED);
        /* On this thread, before the cancel returned. */
        assert_all(VMREQ_FATE_CANCELLED);
}

static void expiry_answers_at_the_deadline(void **state)
{
        uint64_t deadline_ns = clock_now_ns() + 50 * CLOCK_NS_PER_MS;

        (void)state;
        queue_all(deadline_ns);
        for (size_t i = 0; i < REQUESTS; i++)
                assert_true(sem_soon(&queued.hooked[i].released));
        assert_true(sem_soon(&queued.all.released));
        assert_true(clock_now_ns() >= deadline_ns);
        assert_all(VMREQ_FATE_EXPIRED);
}

static void close_answers_at_once(void **state)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        queue_all(0);
        assert_int_equal(vmreq_vm_close(id), 0);
        assert_all(VMREQ_FATE_KILLED);
        assert_int_equal(vmreq_submit(id, &spec, &handle), VMREQ_E_CLOSED);
}

static void stop_names_the_stuck(void **state)
{
        uint32_t stuck[CPUS + 1];
        uint64_t deadline_ns = clock_now_ns() + 30 * CLOCK_NS_PER_MS;

        (void)state;
        assert_int_equal(vmreq_vm_stop(id, deadline_ns, stuck, CPUS + 1), VMREQ_E_TIMEOUT);
        assert_true(clock_now_ns() >= deadline_ns);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(stuck[cpu], cpu);
        assert_int_equal(stuck[CPUS], VMREQ_CPU_NONE);
        assert_int_equal(vmreq_vm_free(id), VMREQ_E_STATE);
        /* One of them ends: it is named no more.  EMT 0 is the last to be asked, and not yet. */
        gate_open(&gates[1]);
        gate_init(&gates[1]);
        CHECK(sem_post(&gates[1].left) == 0); /* for teardown */
        do
                assert_int_equal(vmreq_vm_stop(id, clock_now_ns() + CLOCK_NS_PER_MS, stuck, 3),
                                 VMREQ_E_TIMEOUT);
        while (stuck[1] == 1);
        assert_int_equal(stuck[0], 0);
        assert_int_equal(stuck[1], 2);
        assert_int_equal(stuck[2], VMREQ_CPU_NONE);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(cancel_answers_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(expiry_answers_at_the_deadline, setup, teardown),
                cmocka_unit_test_setup_teardown(close_answers_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(stop_names_the_stuck, setup, teardown),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
