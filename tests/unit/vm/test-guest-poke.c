/* SPDX-License-Identifier: MIT */
/* Requests and the guest: who takes an EMT out of it, and when; how often; and that none of it is
 * lost. */
#include "unit/vm/guest.h"

/* ---- POKE ---- */

static void test_poke(void **state)
{
        uint64_t before;

        (void)state;
        power_on();
        before = engine_emt(id, 0).kicks;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                for (int i = 0; i < 20; i++) {
                        uint32_t own = atomic_load(&fake.cpus[cpu].kicks), all = all_kicks();

                        fake_until_inside(id, &fake, cpu);
                        (void)engine_finish(submit(cpu, VMREQ_POKE | (i % 2 ? VMREQ_PRIORITY : 0)));
                        assert_int_equal(atomic_load(&fake.cpus[cpu].kicks), own + 1);
                        assert_int_equal(all_kicks(), all + 1);
                }
        until_all_inside();
        assert_int_equal(engine_emt(id, 0).kicks, before + 20);
}

/* Kicked once for many, while it has not left. */
static void test_poke_many(void **state)
{
        vmreq_handle handles[10];

        (void)state;
        power_on();
        fake_deafen(&fake, 1);
        for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
                handles[i] = submit(1, VMREQ_POKE);
        assert_int_equal(all_kicks(), 1);
        fake_undeafen(&fake, 1);
        for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
                (void)engine_finish(handles[i]);
        assert_int_equal(all_kicks(), 1);
}

static void test_poke_broadcast(void **state)
{
        (void)state;
        power_on();
        for (int i = 0; i < 2; i++) {
                uint32_t before = all_kicks();

                until_all_inside();
                (void)engine_finish(submit(i ? VMREQ_CPU_ALL_REVERSE : VMREQ_CPU_ALL,
                                           VMREQ_POKE | (i ? VMREQ_PARALLEL : 0)));
                assert_int_equal(all_kicks(), before + CPUS);
        }
}

/* ---- without POKE ---- */

static void test_never_kicked(void **state)
{
        vmreq_handle own, any;

        (void)state;
        power_on();
        own = submit(1, 0);
        any = submit(VMREQ_CPU_ANY, 0);
        for (int i = 0; i < 3; i++)
                (void)vmreq_vm_service(id, UINT64_MAX - 1);
        assert_int_equal(all_kicks(), 0);
        assert_int_equal(engine_state(own), VMREQ_REQ_QUEUED);
        assert_int_equal(engine_state(any), VMREQ_REQ_QUEUED);
        /* At its next exit. */
        fake_tell(&fake, 1, VMREQ_EXIT_AGAIN);
        (void)engine_finish(own);
        (void)engine_finish(any);
        assert_int_equal(all_kicks(), 0);
}

/* By the service's own thread. */
static void test_lazy(void **state)
{
        (void)state;
        power_on();
        for (int i = 0; i < 5; i++) {
                uint32_t before = all_kicks();

                until_all_inside();
                assert_true(engine_finish(submit(1, 0)).queued_ns >= 5 * CLOCK_NS_PER_MS);
                assert_int_equal(all_kicks(), before + 1);
        }
        assert_int_equal(atomic_load(&fake.cpus[1].kicks), 5);
}

/* Many that wait for the same EMT are one kick. */
static void test_lazy_many(void **state)
{
        vmreq_handle handles[20];

        (void)state;
        power_on();
        fake_deafen(&fake, 1); /* however late this thread comes */
        for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
                handles[i] = submit(1, 0);
        UNTIL(all_kicks() == 1);
        fake_undeafen(&fake, 1);
        for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
                (void)engine_finish(handles[i]);
        assert_int_equal(all_kicks(), 1);
}

static _Atomic uint64_t wake_due;
static _Atomic uint32_t wakes;

static void service_wake(void *ctx, uint64_t due_ns)
{
        CHECK(ctx == &told);
        atomic_store(&wake_due, due_ns);
        atomic_fetch_add(&wakes, 1);
}

static int setup_host(void **state)
{
        struct vmreq_backend backend = fake_backend(&fake);
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        memset(&fake, 0, sizeof(fake));
        memset(&ran, 0, sizeof(ran));
        atomic_store(&wakes, 0);
        config.cpus = CPUS;
        config.lazy_poke_ms = 7;
        config.backend = &backend;
        config.service_wake = service_wake;
        config.ctx = &told;
        return vmreq_vm_create(&config, &id);
}

/* By the host's turns: not before it is due, then once. */
static void test_lazy_host(void **state)
{
        uint64_t before, due;
        vmreq_handle handle;

        (void)state;
        power_on();
        before = clock_now_ns();
        handle = submit(1, 0);
        due = atomic_load(&wake_due);
        assert_int_equal(atomic_load(&wakes), 1);
        assert_in_range(due, before + 7 * CLOCK_NS_PER_MS, clock_now_ns() + 7 * CLOCK_NS_PER_MS);
        assert_int_equal(vmreq_vm_service(id, due - 1), due);
        assert_int_equal(all_kicks(), 0);
        assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
        assert_int_equal(vmreq_vm_service(id, due), UINT64_MAX);
        (void)engine_finish(handle);
        assert_int_equal(all_kicks(), 1);
        assert_int_equal(atomic_load(&wakes), 1);
}

/* It came out by itself: no kick when it would be due. */
static void test_lazy_was_served(void **state)
{
        vmreq_handle handle;

        (void)state;
        power_on();
        handle = submit(1, 0);
        fake_tell(&fake, 1, VMREQ_EXIT_AGAIN);
        (void)engine_finish(handle);
        fake_until_inside(id, &fake, 1);
        assert_int_equal(vmreq_vm_service(id, atomic_load(&wake_due)), UINT64_MAX);
        assert_int_equal(all_kicks(), 0);
        /* And the next one is noted anew. */
        handle = submit(1, 0);
        assert_int_equal(atomic_load(&wakes), 2);
        assert_int_equal(vmreq_vm_service(id, atomic_load(&wake_due)), UINT64_MAX);
        (void)engine_finish(handle);
        assert_int_equal(all_kicks(), 1);
}

/* A POKE after it does not wait for the service. */
static void test_lazy_then_poke(void **state)
{
        vmreq_handle lazy;

        (void)state;
        power_on();
        lazy = submit(1, 0);
        (void)engine_finish(submit(1, VMREQ_POKE));
        (void)engine_finish(lazy);
        assert_int_equal(all_kicks(), 1);
}

/* ---- ANY ---- */

static void test_any_poke(void **state)
{
        (void)state;
        power_on();
        for (int i = 0; i < 20; i++) {
                until_all_inside();
                (void)engine_finish(submit(VMREQ_CPU_ANY, VMREQ_POKE));
                assert_int_equal(all_kicks(), (uint32_t)i + 1);
        }
}

static void test_any_lazy(void **state)
{
        (void)state;
        power_on();
        for (int i = 0; i < 4; i++) {
                until_all_inside();
                (void)engine_finish(submit(VMREQ_CPU_ANY, 0));
                assert_int_equal(all_kicks(), (uint32_t)i + 1);
        }
}

/* Who sleeps is woken, who runs the guest is left alone. */
static void test_any_prefers_the_sleeping(void **state)
{
        (void)state;
        power_on();
        halt(2);
        for (int i = 0; i < 10; i++) {
                engine_until_asleep(id, 2);
                assert_int_equal(engine_finish(submit(VMREQ_CPU_ANY, VMREQ_POKE)).cpu, 2);
        }
        assert_int_equal(all_kicks(), 0);
}

/* The EMT that was kicked for it turns to something longer first: another one is taken out. */
static void test_any_poke_is_passed_on(void **state)
{
        struct gate gate;
        struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT | VMREQ_POKE, gate_callee, &gate);
        vmreq_handle any;

        (void)state;
        gate_init(&gate);
        power_on();
        fake_deafen(&fake, 0);
        any = submit(VMREQ_CPU_ANY, VMREQ_POKE);
        assert_int_equal(atomic_load(&fake.cpus[0].kicks), 1);
        (void)engine_submit(id, &spec);
        fake_undeafen(&fake, 0);
        sem_down(&gate.in);
        assert_int_not_equal(engine_finish(any).cpu, 0);
        gate_open(&gate);
}

/* ---- no kick lost ---- */

/* As many as a few seconds hold, which on a busy machine, or with a sanitizer, is fewer. */
#define TRIALS       1000000u
#define TRIALS_NS    (5 * CLOCK_NS_PER_S)
#define TRIALS_LEAST 1000u

static struct {
        _Atomic uint32_t kicked; /* futex */
        _Atomic uint32_t served;
        uint32_t random;
} race;

/* Every other run leaves at once; the rest stay for ever unless they are kicked. */
static int race_run(void *ctx, uint32_t cpu, const char **ret_reason)
{
        (void)ctx;
        (void)cpu;
        (void)ret_reason;
        race.random = race.random * 1664525u + 1013904223u;
        if (race.random >> 31)
                return VMREQ_EXIT_AGAIN;
        for (uint32_t i = race.random >> 24 & 63; i; i--)
                cpu_relax();
        for (int i = 0; i < 300 && !atomic_load_explicit(&race.kicked, memory_order_relaxed); i++)
                cpu_relax();
        while (!atomic_exchange_explicit(&race.kicked, 0, memory_order_acquire))
                (void)futex_wait(&race.kicked, 0, UINT64_MAX);
        return VMREQ_EXIT_AGAIN;
}

static void race_kick(void *ctx, uint32_t cpu)
{
        (void)ctx;
        (void)cpu;
        atomic_store_explicit(&race.kicked, 1, memory_order_release);
        futex_wake(&race.kicked, 1);
}

static void race_callee(void)
{
        atomic_fetch_add_explicit(&race.served, 1, memory_order_release);
}

static void test_no_kick_lost(void **state)
{
        struct vmreq_backend backend = VMREQ_BACKEND_INIT;
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        uint64_t until = clock_now_ns() + TRIALS_NS;

        (void)state;
        memset(&race, 0, sizeof(race));
        backend.run = race_run;
        backend.kick = race_kick;
        config.backend = &backend;
        config.lazy_poke_ms = 0; /* nothing but the kick brings it out */
        assert_int_equal(vmreq_vm_create(&config, &id), 0);
        change(VMREQ_EVENT_POWER_ON);
        spec.kind = VMREQ_FN_VOID;
        spec.fn = (vmreq_fn)race_callee;
        for (uint32_t i = 0; i < TRIALS && (i < TRIALS_LEAST || clock_now_ns() < until); i++) {
                spec.cpu = i % 4 == 3 ? VMREQ_CPU_ANY : 0;
                spec.flags = VMREQ_POKE | VMREQ_NO_WAIT;
                assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
                for (uint32_t spins = 0;
                     atomic_load_explicit(&race.served, memory_order_acquire) != i + 1;)
                        if (++spins > 300)
                                (void)sched_yield();
                        else
                                cpu_relax();
        }
        engine_end(id);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_poke, setup, teardown),
                cmocka_unit_test_setup_teardown(test_poke_many, setup, teardown),
                cmocka_unit_test_setup_teardown(test_poke_broadcast, setup, teardown),
                cmocka_unit_test_setup_teardown(test_never_kicked, setup, teardown),
                cmocka_unit_test_setup_teardown(test_lazy, setup_lazy, teardown),
                cmocka_unit_test_setup_teardown(test_lazy_many, setup_lazy, teardown),
                cmocka_unit_test_setup_teardown(test_lazy_host, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_lazy_was_served, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_lazy_then_poke, setup_host, teardown),
                cmocka_unit_test_setup_teardown(test_any_poke, setup, teardown),
                cmocka_unit_test_setup_teardown(test_any_lazy, setup_lazy, teardown),
                cmocka_unit_test_setup_teardown(test_any_prefers_the_sleeping, setup, teardown),
                cmocka_unit_test_setup_teardown(test_any_poke_is_passed_on, setup, teardown),
                cmocka_unit_test(test_no_kick_lost),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
