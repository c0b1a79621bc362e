/* SPDX-License-Identifier: MIT */
/*
 * Guest execution: which thread runs it, what starts and stops it, and what its end means.  The
 * guest is a fake that does as it is told.  Who takes an EMT out of it: test-guest-poke.c.
 */
#include "unit/vm/guest.h"


/* ---- vCPUs and their threads ---- */

static int32_t thread_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        CHECK(pthread_equal(fake.cpus[reply->cpu].thread, pthread_self()));
        return 0;
}

static void test_threads(void **state)
{
        (void)state;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                struct vmreq_spec spec = engine_spec(cpu, 0, thread_callee, NULL);

                /* Before its first request. */
                assert_int_equal(atomic_load(&fake.cpus[cpu].inits), 1);
                assert_int_equal(atomic_load(&fake.cpus[cpu].resets), 0);
                (void)engine_finish(engine_submit(id, &spec));
        }
        power_on();
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(atomic_load(&fake.cpus[cpu].resets), 1);
        change(VMREQ_EVENT_RESET);
        change(VMREQ_EVENT_SUSPEND);
        change(VMREQ_EVENT_RESET);
        change(VMREQ_EVENT_RESUME);
        change(VMREQ_EVENT_POWER_OFF);
        change(VMREQ_EVENT_POWER_ON);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                assert_int_equal(atomic_load(&fake.cpus[cpu].resets), 4);
                assert_int_equal(atomic_load(&fake.cpus[cpu].inits), 1);
                assert_int_equal(atomic_load(&fake.cpus[cpu].finis), 0);
        }
}

static void test_init_fails(void **state)
{
        (void)state;
        /* A set of the vCPUs that fail, each with its own number. */
        for (uint32_t set = 1; set < 1u << CPUS; set++) {
                int r;

                memset(&fake, 0, sizeof(fake));
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        atomic_store(&fake.cpus[cpu].init_result,
                                     set & 1u << cpu ? -70 - (int)cpu : 1);
                r = create(CPUS, 0);
                assert_in_range(-70 - r, 0, CPUS - 1);
                assert_true(set & 1u << (-70 - r));
                assert_int_equal(id.id, 0);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                        assert_int_equal(atomic_load(&fake.cpus[cpu].inits), 1);
                        assert_int_equal(atomic_load(&fake.cpus[cpu].finis), !(set & 1u << cpu));
                }
        }
}

static void test_bad_backend(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct vmreq_backend backend;

        (void)state;
        config.backend = &backend;
        backend = fake_backend(&fake);
        backend.size--;
        assert_int_equal(vmreq_vm_create(&config, &id), VMREQ_E_INVALID);
        backend = fake_backend(&fake);
        backend.kick = NULL;
        assert_int_equal(vmreq_vm_create(&config, &id), VMREQ_E_INVALID);
        backend = fake_backend(&fake);
        backend.run = NULL;
        assert_int_equal(vmreq_vm_create(&config, &id), VMREQ_E_INVALID);
}

/* ---- starting and stopping ---- */

static void assert_nobody_inside(void)
{
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(atomic_load(&fake.cpus[cpu].inside), 0);
}

static void test_states(void **state)
{
        (void)state;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                engine_until_asleep(id, cpu);
        assert_int_equal(atomic_load(&fake.cpus[0].runs), 0);
        power_on();
        change(VMREQ_EVENT_SUSPEND);
        assert_nobody_inside();
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                uint32_t runs = atomic_load(&fake.cpus[cpu].runs);

                (void)engine_finish(submit(cpu, 0));
                engine_until_asleep(id, cpu);
                assert_int_equal(atomic_load(&fake.cpus[cpu].runs), runs);
        }
        change(VMREQ_EVENT_RESET);
        assert_nobody_inside();
        change(VMREQ_EVENT_RESUME);
        until_all_inside();
        change(VMREQ_EVENT_RESET);
        until_all_inside();
        change(VMREQ_EVENT_POWER_OFF);
        assert_nobody_inside();
        power_on();
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                struct vmreq_emt_info info = engine_emt(id, cpu);

                assert_int_equal(info.state, VMREQ_EMT_GUEST);
                assert_int_equal(info.exits, atomic_load(&fake.cpus[cpu].runs) - 1);
        }
}

/* It leaves for a rendezvous, and goes back. */
static int32_t outside(void *ctx, uint32_t cpu)
{
        (void)ctx;
        CHECK(!atomic_load(&fake.cpus[cpu].inside));
        return 0;
}

static void test_rendezvous(void **state)
{
        uint32_t missing[CPUS];

        (void)state;
        power_on();
        for (unsigned kind = 0; kind < _VMREQ_RENDEZVOUS_N; kind++) {
                until_all_inside();
                assert_int_equal(vmreq_rendezvous(id, (enum vmreq_rendezvous_kind)kind, 0, 0,
                                                  outside, NULL, NULL, 0),
                                 0);
        }
        until_all_inside();
        assert_int_equal(all_kicks(), CPUS * _VMREQ_RENDEZVOUS_N);
        /* One that does not hear is missed. */
        fake_deafen(&fake, 1);
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 2 * CLOCK_NS_PER_MS, outside,
                                          NULL, missing, CPUS),
                         VMREQ_E_TIMEOUT);
        UNTIL(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 50 * CLOCK_NS_PER_MS, outside, NULL,
                               missing, CPUS) == VMREQ_E_TIMEOUT &&
              missing[0] == 1 && missing[1] == VMREQ_CPU_NONE);
        fake_undeafen(&fake, 1);
}

static void test_stop(void **state)
{
        uint32_t stuck[CPUS];

        (void)state;
        power_on();
        fake_deafen(&fake, 2);
        do {
                assert_int_equal(
                        vmreq_vm_stop(id, clock_now_ns() + 10 * CLOCK_NS_PER_MS, stuck, CPUS),
                        VMREQ_E_TIMEOUT);
        } while (stuck[0] != 2);
        assert_int_equal(stuck[1], VMREQ_CPU_NONE);
        fake_undeafen(&fake, 2);
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
}

/* Every EMT is asked for at once: the first call of an EMT's guest is as good as the hundredth. */
static void test_states_often(void **state)
{
        (void)state;
        change(VMREQ_EVENT_POWER_ON);
        for (int i = 0; i < 200; i++) {
                change(VMREQ_EVENT_SUSPEND);
                assert_nobody_inside();
                change(VMREQ_EVENT_RESUME);
        }
        until_all_inside();
}

/* ---- halting ---- */

static void test_halt(void **state)
{
        uint32_t runs, kicks;

        (void)state;
        power_on();
        halt(1);
        kicks = atomic_load(&fake.cpus[1].kicks);
        runs = atomic_load(&fake.cpus[1].runs);
        /* It serves, and stays halted. */
        for (int i = 0; i < 5; i++)
                assert_int_equal(engine_finish(submit(1, i % 2 ? VMREQ_POKE : 0)).cpu, 1);
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 0, outside, NULL, NULL, 0),
                         0);
        change(VMREQ_EVENT_SUSPEND);
        change(VMREQ_EVENT_RESUME);
        engine_until_asleep(id, 1);
        assert_int_equal(atomic_load(&fake.cpus[1].runs), runs);
        assert_int_equal(atomic_load(&fake.cpus[1].kicks), kicks);
        assert_int_equal(vmreq_vcpu_unhalt(id, 1), 0);
        fake_until_inside(id, &fake, 1);
        assert_int_equal(atomic_load(&fake.cpus[1].runs), runs + 1);
}

/* The interrupt comes between the guest's HLT and its exit. */
static void test_halt_crosses_interrupt(void **state)
{
        uint32_t runs;

        (void)state;
        power_on();
        atomic_store(&fake.cpus[1].on_kick, VMREQ_EXIT_HALT);
        runs = atomic_load(&fake.cpus[1].runs);
        assert_int_equal(vmreq_vcpu_unhalt(id, 1), 0);
        UNTIL(atomic_load(&fake.cpus[1].runs) == runs + 1);
        fake_until_inside(id, &fake, 1);
        /* Kicked for a request it halts: there is no interrupt. */
        (void)engine_finish(submit(1, VMREQ_POKE));
        engine_until_asleep(id, 1);
        assert_int_equal(atomic_load(&fake.cpus[1].runs), runs + 1);
}

static void test_unhalt_while_suspended(void **state)
{
        (void)state;
        power_on();
        halt(1);
        change(VMREQ_EVENT_SUSPEND);
        assert_int_equal(vmreq_vcpu_unhalt(id, 1), 0);
        engine_until_asleep(id, 1);
        change(VMREQ_EVENT_RESUME);
        fake_until_inside(id, &fake, 1);
        assert_int_equal(vmreq_vcpu_unhalt(id, CPUS), VMREQ_E_INVALID);
        assert_int_equal(vmreq_vcpu_unhalt((vmreq_vm){0}, 0), VMREQ_E_HANDLE);
}

static void test_reset_unhalts(void **state)
{
        (void)state;
        power_on();
        for (int i = 0; i < 2; i++) {
                halt(0);
                halt(2);
                if (i) {
                        change(VMREQ_EVENT_POWER_OFF);
                        change(VMREQ_EVENT_POWER_ON);
                } else {
                        change(VMREQ_EVENT_RESET);
                }
                until_all_inside();
        }
}

static void *unhalt_often(void *arg)
{
        (void)arg;
        for (int i = 0; i < 2000; i++) {
                CHECK(vmreq_vcpu_unhalt(id, 0) == 0);
                UNTIL(atomic_load(&fake.cpus[0].runs) > (uint32_t)i + 1);
        }
        return NULL;
}

/* A guest that halts at once, again and again: each interrupt makes it run at least once more. */
static void test_no_interrupt_lost(void **state)
{
        pthread_t thread;

        (void)state;
        power_on();
        atomic_store(&fake.cpus[0].on_kick, VMREQ_EXIT_HALT);
        thread = thread_start(unhalt_often, NULL);
        thread_end(thread);
}

/* ---- the guest ends by itself ---- */

static void test_ends(void **state)
{
        static const struct {
                int exit;
                const char *reason;
                enum vmreq_vm_state to;
        } rows[] = {
                {VMREQ_EXIT_POWER_OFF, "it has had enough", VMREQ_VM_OFF},
                {VMREQ_EXIT_POWER_OFF, NULL, VMREQ_VM_OFF},
                {VMREQ_EXIT_FAILED, "triple fault", VMREQ_VM_FAILED},
                {VMREQ_EXIT_FAILED, NULL, VMREQ_VM_FAILED},
                {4711, NULL, VMREQ_VM_FAILED},
                {-5, "no such exit", VMREQ_VM_FAILED},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint32_t cpu = (uint32_t)i % CPUS;

                power_on();
                memset(&told, 0, sizeof(told));
                fake.cpus[cpu].reason = rows[i].reason;
                fake_tell(&fake, cpu, rows[i].exit);
                UNTIL(atomic_load(&told.n) == 1);
                /* The others leave as well; nobody runs it any more, requests are served. */
                for (uint32_t c = 0; c < CPUS; c++) {
                        engine_until_asleep(id, c);
                        (void)engine_finish(submit(c, 0));
                }
                assert_nobody_inside();
                assert_log(&told, (uint64_t[]){VMREQ_VM_RUNNING * 100u + rows[i].to}, 1);
                assert_int_equal(vmreq_vm_state(id), rows[i].to);
                assert_non_null(told_reason);
                if (rows[i].reason)
                        assert_string_equal(told_reason, rows[i].reason);
                fake.cpus[cpu].reason = NULL;
                if (rows[i].to == VMREQ_VM_FAILED)
                        change(VMREQ_EVENT_POWER_OFF);
        }
}

/* Of several that end at once, one is told of. */
static void test_all_end(void **state)
{
        (void)state;
        for (int i = 0; i < 50; i++) {
                power_on();
                memset(&told, 0, sizeof(told));
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        fake_tell(&fake, cpu, VMREQ_EXIT_POWER_OFF);
                UNTIL(vmreq_vm_state(id) == VMREQ_VM_OFF);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                        engine_until_asleep(id, cpu);
                        atomic_fetch_and(&fake.cpus[cpu].word,
                                         ~FAKE_TOLD); /* who was kicked first never ended */
                }
                assert_nobody_inside();
                assert_log(&told, (uint64_t[]){VMREQ_VM_RUNNING * 100u + VMREQ_VM_OFF}, 1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
                cmocka_unit_test(test_init_fails),
                cmocka_unit_test(test_bad_backend),
                cmocka_unit_test_setup_teardown(test_states, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rendezvous, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
                cmocka_unit_test_setup_teardown(test_states_often, setup, teardown),
                cmocka_unit_test_setup_teardown(test_halt, setup, teardown),
                cmocka_unit_test_setup_teardown(test_halt_crosses_interrupt, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unhalt_while_suspended, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reset_unhalts, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_interrupt_lost, setup, teardown),
                cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
                cmocka_unit_test_setup_teardown(test_all_end, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
