/* SPDX-License-Identifier: MIT */
/* D9, D10, D11, D12: a broadcast reaches every EMT once, whoever waits, however long, and says so
 * row by row. */
#include "defects.h"

#define CPUS 3u

static vmreq_vm id;
static struct log ran;

static int setup(void **state)
{
        (void)state;
        id = engine_new(CPUS);
        memset(&ran, 0, sizeof(ran));
        return 0;
}

/* A word callee: logs the EMT it runs on. */
static void note_cpu(void)
{
        log_add(&ran, vmreq_emt_self(id));
}

/* Every EMT ran it once, in this order, and its row says so; gives the broadcast back. */
static void assert_reached(vmreq_handle handle, bool reverse)
{
        struct vmreq_row rows[CPUS];
        uint32_t n;

        assert_int_equal(vmreq_wait(handle, defects_soon_ns()), 0);
        assert_int_equal(vmreq_rows(handle, rows, CPUS, &n), 0);
        assert_int_equal(n, CPUS);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                assert_int_equal(rows[cpu].fate, VMREQ_FATE_DONE);
                assert_int_equal(rows[cpu].cpu, cpu);
        }
        assert_int_equal(atomic_load(&ran.n), CPUS);
        for (uint32_t i = 0; i < CPUS; i++)
                assert_int_equal(atomic_load(&ran.items[i]), reverse ? CPUS - 1 - i : i);
        assert_int_equal(vmreq_free(handle), 0);
        atomic_store(&ran.n, 0);
}

/* Each EMT serves what is meant for it. */
static void assert_lanes_intact(void)
{
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                struct vmreq_spec spec = engine_spec(cpu, 0, log_callee, &ran);

                assert_int_equal(assert_done(engine_submit(id, &spec)).cpu, cpu);
        }
        atomic_store(&ran.n, 0);
}

static uint32_t queued(uint32_t cpu)
{
        return engine_emt(id, cpu).depth[LANE_NORMAL];
}

/* ---- D9: a finite wait for ALL, by an EMT, corrupts the queues ---- */

struct sender {
        uint32_t cpu, held; /* destination; an EMT that is stuck */
        vmreq_handle handle;
};

static int32_t send_and_wait_shortly(void *ctx)
{
        struct sender *sender = ctx;
        int r = vmreq_call(id, sender->cpu, &sender->handle, CLOCK_NS_PER_MS, VMREQ_VOID, note_cpu,
                           0);

        /* Until the turn has come to the EMT that is stuck; then once more. */
        while (r == VMREQ_E_TIMEOUT && queued(sender->held) == 0)
                r = vmreq_wait(sender->handle, CLOCK_NS_PER_MS);
        return r == VMREQ_E_TIMEOUT ? vmreq_wait(sender->handle, 1000) : r;
}

static void d09_finite_wait_by_an_emt(void **state)
{
        (void)state;
        for (uint32_t caller = 0; caller < CPUS; caller++)
                for (uint32_t held = 0; held < CPUS; held++)
                        for (int reverse = 0; reverse < 2; reverse++) {
                                struct sender sender = {.cpu = reverse ? VMREQ_CPU_ALL_REVERSE
                                                                       : VMREQ_CPU_ALL,
                                                        .held = held};
                                struct gate gate;

                                if (caller == held)
                                        continue;
                                engine_hold(id, held, &gate);
                                assert_int_equal(on_emt(id, caller, send_and_wait_shortly, &sender),
                                                 VMREQ_E_TIMEOUT);
                                gate_open(&gate);
                                assert_reached(sender.handle, reverse);
                                assert_lanes_intact();
                        }
        engine_end(id);
}

static int32_t send_and_wait_for_ever(void *ctx)
{
        struct sender *sender = ctx;

        return vmreq_call(id, sender->cpu, &sender->handle, VMREQ_FOREVER, VMREQ_VOID, note_cpu, 0);
}

static void d09_own_turn_leaves_no_signal_behind(void **state)
{
        (void)state;
        for (uint32_t round = 0; round < 20; round++)
                for (uint32_t caller = 0; caller < CPUS; caller++) {
                        struct sender sender = {.cpu = round % 2 ? VMREQ_CPU_ALL_REVERSE
                                                                 : VMREQ_CPU_ALL};

                        assert_int_equal(on_emt(id, caller, send_and_wait_for_ever, &sender), 0);
                        assert_reached(sender.handle, round % 2);
                }
        engine_end(id);
}

/* ---- D10: ALL with a timeout is left half done ---- */

static void d10_timeout_is_the_wait_s_only(void **state)
{
        (void)state;
        for (uint32_t held = 0; held < CPUS; held++)
                for (int reverse = 0; reverse < 2; reverse++) {
                        vmreq_handle handle;
                        struct gate gate;

                        engine_hold(id, held, &gate);
                        assert_int_equal(
                                vmreq_call(id, reverse ? VMREQ_CPU_ALL_REVERSE : VMREQ_CPU_ALL,
                                           &handle, CLOCK_NS_PER_MS, VMREQ_VOID, note_cpu, 0),
                                VMREQ_E_TIMEOUT);
                        UNTIL(queued(held) == 1);
                        for (int i = 0; i < 3; i++) {
                                /* Nothing of an earlier EMT's passes for the whole. */
                                assert_int_equal(vmreq_wait(handle, i), VMREQ_E_TIMEOUT);
                                assert_int_equal(engine_row(handle).fate, VMREQ_FATE_NONE);
                                assert_int_equal(vmreq_rows(handle, NULL, 0, NULL), VMREQ_E_STATE);
                        }
                        gate_open(&gate);
                        assert_reached(handle, reverse);
                }
        assert_lanes_intact();
        engine_end(id);
}

static void no_wake(void *ctx, uint64_t due_ns)
{
        (void)ctx;
        (void)due_ns;
}

/*
 * One deadline for the whole: it ends the broadcast at once, and each row says how far it had come.
 */
static void d10_deadline_ends_the_whole(void **state)
{
        static const enum vmreq_fate expected[] = {VMREQ_FATE_DONE, VMREQ_FATE_EXPIRED,
                                                   VMREQ_FATE_SKIPPED};
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct vmreq_spec spec;
        struct hooked hooked;
        struct gate gate;

        (void)state;
        engine_end(id);
        config.cpus = CPUS;
        config.service_wake = no_wake; /* this test is the deadline service */
        id = engine_new_with(&config);
        spec = engine_spec(VMREQ_CPU_ALL, VMREQ_NO_WAIT, log_callee, &ran);
        spec.deadline_ns = vmreq_now() + ENGINE_FAR_NS;
        hooked_on(&hooked, &spec);
        engine_hold(id, 1, &gate);
        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        UNTIL(queued(1) == 1);
        assert_int_equal(atomic_load(&hooked.completes), 0);
        assert_int_equal(vmreq_vm_service(id, spec.deadline_ns), UINT64_MAX);
        assert_int_equal(atomic_load(&hooked.completes), 1);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(hooked.row[cpu].fate, expected[cpu]);
        gate_open(&gate);
        sem_down(&hooked.released);
        assert_int_equal(atomic_load(&hooked.rows), CPUS);
        assert_lanes_intact();
        assert_int_equal(atomic_load(&hooked.completes), 1);
        engine_end(id);
}

/* ---- D11: ALL with NO_WAIT ---- */

static void d11_no_wait_reaches_everybody_once(void **state)
{
        static const struct {
                uint32_t cpu, flags;
        } forms[] = {
                {VMREQ_CPU_ALL, VMREQ_PARALLEL},
                {VMREQ_CPU_ALL, 0},
                {VMREQ_CPU_ALL_REVERSE, 0},
                {VMREQ_CPU_ALL_REVERSE, VMREQ_PRIORITY},
        };

        (void)state;
        for (uint32_t round = 0; round < 40; round++) {
                uint32_t form = round % ARRAY_SIZE(forms);
                struct vmreq_spec spec = engine_spec(
                        forms[form].cpu, forms[form].flags | VMREQ_NO_WAIT, log_callee, &ran);
                struct hooked hooked;
                uint32_t seen = 0;

                hooked_on(&hooked, &spec);
                assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
                sem_down(&hooked.released);
                assert_hooked(&hooked, VMREQ_FATE_DONE);
                assert_int_equal(atomic_load(&hooked.rows), CPUS);
                assert_int_equal(hooked.result.n_rows, CPUS);
                assert_int_equal(atomic_load(&ran.n), CPUS);
                for (uint32_t i = 0; i < CPUS; i++) {
                        seen |= 1u << atomic_load(&ran.items[i]);
                        assert_int_equal(hooked.row[i].fate, VMREQ_FATE_DONE);
                        assert_int_equal(hooked.row[i].value, i);
                }
                assert_int_equal(seen, (1u << CPUS) - 1);
                atomic_store(&ran.n, 0);
        }
        assert_whole_slab(id);
        engine_end(id);
}

/* While it is still queued for some EMTs, it has ended on others. */
static void d11_no_wait_is_not_freed_by_the_first(void **state)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ALL, VMREQ_PARALLEL | VMREQ_NO_WAIT,
                                             log_callee, &ran),
                          other;
        struct hooked hooked;
        vmreq_handle handles[8];
        struct gate gates[2];

        (void)state;
        engine_hold(id, 1, &gates[0]);
        engine_hold(id, 2, &gates[1]);
        hooked_on(&hooked, &spec);
        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        UNTIL(atomic_load(&ran.n) == 1);
        /* Whatever was let go would be handed out here. */
        other = engine_spec(0, 0, log_callee, &ran);
        for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
                assert_int_equal(vmreq_alloc(id, &other, &handles[i]), 0);
        gate_open(&gates[0]);
        UNTIL(atomic_load(&ran.n) == 2);
        gate_open(&gates[1]);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(hooked.row[cpu].fate, VMREQ_FATE_DONE);
        for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
                assert_int_equal(vmreq_free(handles[i]), 0);
        assert_whole_slab(id);
        engine_end(id);
}

/* ---- D12: one status survives, and stopping depends on who calls ---- */

#define FAILS_ON 1u

static int32_t status_of_cpu(void)
{
        uint32_t cpu = vmreq_emt_self(id);

        log_add(&ran, cpu);
        return cpu == FAILS_ON ? -41 : (int32_t)(10 + cpu);
}

struct caller {
        uint32_t cpu, flags;
        struct vmreq_row rows[CPUS];
        int folded;
};

static int32_t call_all(void *ctx)
{
        struct caller *caller = ctx;
        vmreq_handle handle;

        CHECK(vmreq_call(id, caller->cpu, &handle, VMREQ_FOREVER, caller->flags,
                         (vmreq_fn)status_of_cpu, 0) == 0);
        CHECK(vmreq_rows(handle, caller->rows, CPUS, NULL) == 0);
        CHECK(vmreq_free(handle) == 0);
        return 0;
}

static void assert_row(const struct caller *caller, uint32_t cpu)
{
        const struct vmreq_row *row = &caller->rows[cpu];
        bool after = caller->cpu == VMREQ_CPU_ALL ? cpu > FAILS_ON : cpu < FAILS_ON;

        assert_int_equal(row->cpu, cpu);
        if (after && !(caller->flags & VMREQ_CONTINUE)) {
                assert_int_equal(row->fate, VMREQ_FATE_SKIPPED);
                assert_int_equal(row->status, 0);
        } else {
                assert_int_equal(row->fate, VMREQ_FATE_DONE);
                assert_int_equal(row->status, cpu == FAILS_ON ? -41 : (int32_t)(10 + cpu));
        }
}

/*
 * The same for a foreign thread and for each EMT, ascending and descending, stopping and going on.
 */
static void d12_each_row_its_status_whoever_calls(void **state)
{
        (void)state;
        for (uint32_t form = 0; form < 4; form++)
                for (uint32_t from = 0; from <= CPUS; from++) {
                        struct caller caller = {.cpu = form & 1 ? VMREQ_CPU_ALL_REVERSE
                                                                : VMREQ_CPU_ALL,
                                                .flags = form & 2 ? VMREQ_CONTINUE : 0};

                        if (from == CPUS)
                                (void)call_all(&caller);
                        else
                                assert_int_equal(on_emt(id, from, call_all, &caller), 0);
                        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                                assert_row(&caller, cpu);
                        assert_int_equal(atomic_load(&ran.n),
                                         caller.flags & VMREQ_CONTINUE ? CPUS : 2);
                        atomic_store(&ran.n, 0);
                }
        engine_end(id);
}

static int32_t call_all_folded(void *ctx)
{
        (void)ctx;
        return vmreq_call_wait(id, VMREQ_CPU_ALL, (vmreq_fn)status_of_cpu, 0);
}

static void d12_folded_status_is_the_failure(void **state)
{
        (void)state;
        assert_int_equal(call_all_folded(NULL), -41);
        for (uint32_t from = 0; from < CPUS; from++)
                assert_int_equal(on_emt(id, from, call_all_folded, NULL), -41);
        engine_end(id);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(d09_finite_wait_by_an_emt, setup),
                cmocka_unit_test_setup(d09_own_turn_leaves_no_signal_behind, setup),
                cmocka_unit_test_setup(d10_timeout_is_the_wait_s_only, setup),
                cmocka_unit_test_setup(d10_deadline_ends_the_whole, setup),
                cmocka_unit_test_setup(d11_no_wait_reaches_everybody_once, setup),
                cmocka_unit_test_setup(d11_no_wait_is_not_freed_by_the_first, setup),
                cmocka_unit_test_setup(d12_each_row_its_status_whoever_calls, setup),
                cmocka_unit_test_setup(d12_folded_status_is_the_failure, setup),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
