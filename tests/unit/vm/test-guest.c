/* SPDX-License-Identifier: MIT */
/*
 * Guest execution: which thread runs it, what starts and stops it, who takes an EMT out of it and
 * when, and what its end means.  The guest is a fake that does as it is told.
 */
#include "unit/vm/fake-guest.h"

#include "vm/cpu.h"

#define CPUS 3u

static vmreq_vm id;
static struct fake fake;
static struct log ran, told;

/* What the hook of the state was told last. */
static const char *told_reason;

static void state_changed(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to,
                          const char *reason)
{
        CHECK(ctx == &told);
        told_reason = reason;
        log_add(&told, from * 100u + to);
}

static int create(uint32_t cpus, uint32_t lazy_poke_ms)
{
        struct vmreq_backend backend = fake_backend(&fake);
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        memset(&ran, 0, sizeof(ran));
        memset(&told, 0, sizeof(told));
        config.cpus = cpus;
        config.lazy_poke_ms = lazy_poke_ms;
        config.backend = &backend;
        config.state_changed = state_changed;
        config.ctx = &told;
        return vmreq_vm_create(&config, &id);
}

/* Requests without POKE leave the guest alone for ever. */
static int setup(void **state)
{
        (void)state;
        memset(&fake, 0, sizeof(fake));
        return create(CPUS, 0);
}

static int setup_lazy(void **state)
{
        (void)state;
        memset(&fake, 0, sizeof(fake));
        return create(CPUS, 5);
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                assert_int_equal(atomic_load(&fake.cpus[cpu].inits),
                                 atomic_load(&fake.cpus[cpu].finis));
                assert_int_equal(atomic_load(&fake.cpus[cpu].inside), 0);
        }
        return 0;
}

static void change(enum vmreq_vm_event event)
{
        assert_int_equal(vmreq_vm_change(id, event, 0, NULL, NULL), 0);
}

static void until_all_inside(void)
{
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                fake_until_inside(id, &fake, cpu);
}

/* Kicks are counted from here: the change itself may make some. */
static void count_kicks(void)
{
        until_all_inside();
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                atomic_store(&fake.cpus[cpu].kicks, 0);
}

static void power_on(void)
{
        change(VMREQ_EVENT_POWER_ON);
        count_kicks();
}

static uint32_t all_kicks(void)
{
        uint32_t n = 0;

        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                n += atomic_load(&fake.cpus[cpu].kicks);
        return n;
}

static vmreq_handle submit(uint32_t cpu, uint32_t flags)
{
        struct vmreq_spec spec = engine_spec(cpu, flags, log_callee, &ran);

        return engine_submit(id, &spec);
}

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

static void halt(uint32_t cpu)
{
        fake_until_inside(id, &fake, cpu);
        fake_tell(&fake, cpu, VMREQ_EXIT_HALT);
        engine_until_asleep(id, cpu);
}

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

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TRIALS 50000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define TRIALS 50000u
#endif
#endif
#ifndef TRIALS
#define TRIALS 1000000u
#endif

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
        for (uint32_t i = 0; i < TRIALS; i++) {
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
