/* SPDX-License-Identifier: MIT */
/* EMTs of the embedder's own: who may attach, what such a thread serves, how it sleeps, enters its
 * guest and ends. */
#include "unit/vm/fake-guest.h"

#define CPUS 2u

static vmreq_vm id;
static struct fake fake;
static struct log ran;

static int create(bool with_backend)
{
        struct vmreq_backend backend = fake_backend(&fake);
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        memset(&fake, 0, sizeof(fake));
        memset(&ran, 0, sizeof(ran));
        config.flags = VMREQ_CONFIG_ATTACH;
        config.cpus = CPUS;
        config.lazy_poke_ms = 0;
        config.backend = with_backend ? &backend : NULL;
        return vmreq_vm_create(&config, &id);
}

static int setup(void **state)
{
        (void)state;
        return create(true);
}

static int setup_bare(void **state)
{
        (void)state;
        return create(false);
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(atomic_load(&fake.cpus[cpu].finis),
                                 atomic_load(&fake.cpus[cpu].inits));
        return 0;
}

/* ---- an EMT as an embedder writes it ---- */

struct own {
        uint32_t cpu;
        pthread_t thread;
        int attached, detached;
        sem_t up;
        _Atomic uint32_t entered, halts; /* times in the guest, times about to sleep */
        _Atomic bool halts_guest;        /* its guest executes HLT at once */
};

static void own_guest(struct own *own)
{
        struct fake_cpu *cpu = &fake.cpus[own->cpu];
        uint32_t word;

        atomic_fetch_add(&own->entered, 1);
        atomic_store(&cpu->inside, 1);
        while (!atomic_load(&own->halts_guest) && !((word = atomic_load(&cpu->word)) & FAKE_KICK))
                (void)futex_wait(&cpu->word, word, UINT64_MAX);
        atomic_store(&cpu->inside, 0);
        atomic_fetch_and(&cpu->word, ~FAKE_KICK);
}

static void *own_main(void *arg)
{
        struct own *own = arg;

        own->attached = vmreq_emt_attach(id, own->cpu);
        CHECK(sem_post(&own->up) == 0);
        if (own->attached)
                return NULL;
        while (vmreq_process(id, 0) != VMREQ_E_CLOSED) {
                if (vmreq_guest_enter(id) == 0) {
                        own_guest(own);
                        CHECK(vmreq_guest_leave(id) == 0);
                        if (!atomic_load(&own->halts_guest))
                                continue;
                }
                atomic_fetch_add(&own->halts, 1);
                CHECK(vmreq_halt(id, VMREQ_FOREVER) == 0);
        }
        own->detached = vmreq_emt_detach(id);
        return NULL;
}

static void own_start(struct own *own, uint32_t cpu)
{
        memset(own, 0, sizeof(*own));
        own->cpu = cpu;
        assert_int_equal(sem_init(&own->up, 0, 0), 0);
        own->thread = thread_start(own_main, own);
        sem_down(&own->up);
        assert_int_equal(own->attached, 0);
}

static void own_end(struct own *own)
{
        thread_end(own->thread);
        assert_int_equal(own->detached, 0);
}

static vmreq_handle submit(uint32_t cpu, uint32_t flags)
{
        struct vmreq_spec spec = engine_spec(cpu, flags, log_callee, &ran);

        return engine_submit(id, &spec);
}

/* ---- who may ---- */

static void test_refused(void **state)
{
        vmreq_vm other = engine_new(1);

        (void)state;
        assert_int_equal(vmreq_emt_attach((vmreq_vm){0}, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_emt_attach(id, CPUS), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_attach(id, VMREQ_CPU_ANY), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_attach(other, 0), VMREQ_E_STATE);
        assert_int_equal(vmreq_emt_detach(id), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_pending(id), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_halt(id, 0), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_guest_enter(id), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_guest_leave(id), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_process(id, 0), VMREQ_E_NOT_EMT);

        assert_int_equal(vmreq_emt_attach(id, 1), 0);
        assert_int_equal(vmreq_emt_self(id), 1);
        assert_int_equal(vmreq_emt_attach(id, 1), VMREQ_E_STATE);
        assert_int_equal(vmreq_emt_attach(id, 0), VMREQ_E_STATE);
        assert_int_equal(vmreq_emt_detach(other), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_halt(other, 0), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), VMREQ_E_DEADLOCK);
        assert_int_equal(vmreq_emt_detach(id), 0);
        assert_int_equal(vmreq_emt_detach(id), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_emt_self(id), VMREQ_CPU_NONE);
        engine_end(other);
}

static void *attach_it(void *arg)
{
        return (void *)(intptr_t)vmreq_emt_attach(id, *(uint32_t *)arg);
}

/* A place that has a thread is taken; when it has gone, it is free again. */
static void test_taken(void **state)
{
        uint32_t cpu = 1;
        pthread_t thread;
        void *result;

        (void)state;
        for (int i = 0; i < 10; i++) {
                assert_int_equal(vmreq_emt_attach(id, cpu), 0);
                assert_int_equal(atomic_load(&fake.cpus[1].inits), i + 1);
                assert_true(pthread_equal(fake.cpus[1].thread, pthread_self()));
                thread = thread_start(attach_it, &cpu);
                assert_int_equal(pthread_join(thread, &result), 0);
                assert_int_equal((intptr_t)result, VMREQ_E_STATE);
                assert_int_equal(vmreq_emt_detach(id), 0);
                assert_int_equal(atomic_load(&fake.cpus[1].finis), i + 1);
        }
}

/* An engine-owned EMT is not the embedder's to detach. */
static int32_t detach_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        return vmreq_emt_detach(*(vmreq_vm *)ctx);
}

static void test_detach_inside(void **state)
{
        vmreq_vm other = engine_new(1);
        struct vmreq_spec spec = engine_spec(0, 0, detach_callee, &other);
        vmreq_handle handle;

        (void)state;
        assert_int_equal(vmreq_submit(other, &spec, &handle), 0);
        assert_int_equal(engine_finish(handle).status, VMREQ_E_NOT_EMT);
        engine_end(other);

        spec.ctx = &id;
        handle = engine_submit(id, &spec);
        assert_int_equal(vmreq_emt_attach(id, 0), 0);
        assert_int_equal(vmreq_process(id, 0), 1);
        assert_int_equal(engine_finish(handle).status, VMREQ_E_STATE);
        assert_int_equal(vmreq_emt_detach(id), 0);
}

static void test_init_fails(void **state)
{
        /* Numbers of the engine's own are nothing special. */
        static const int results[] = {-77, VMREQ_E_STATE, VMREQ_E_INVALID, VMREQ_E_CLOSED};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
                atomic_store(&fake.cpus[0].init_result, results[i]);
                assert_int_equal(vmreq_emt_attach(id, 0), results[i]);
                assert_int_equal(vmreq_emt_self(id), VMREQ_CPU_NONE);
                assert_int_equal(vmreq_process(id, 0), VMREQ_E_NOT_EMT);
        }
        assert_int_equal(atomic_load(&fake.cpus[0].finis), 0);
        atomic_store(&fake.cpus[0].init_result, 0);
        assert_int_equal(vmreq_emt_attach(id, 0), 0);
        assert_int_equal(vmreq_emt_detach(id), 0);
        atomic_store(&fake.cpus[0].finis, atomic_load(&fake.cpus[0].inits));
}

/* ---- serving ---- */

static void test_by_hand(void **state)
{
        vmreq_handle own, any, other;

        (void)state;
        own = submit(1, 0);
        any = submit(VMREQ_CPU_ANY, VMREQ_PRIORITY);
        other = submit(0, 0);
        assert_int_equal(vmreq_emt_attach(id, 1), 0);
        assert_int_equal(vmreq_pending(id), 1);
        /* Something to do: does not sleep. */
        assert_int_equal(vmreq_halt(id, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_process(id, 1), 1);
        assert_int_equal(engine_finish(any).cpu, 1);
        assert_int_equal(vmreq_pending(id), 1);
        assert_int_equal(vmreq_process(id, 0), 1);
        assert_int_equal(engine_finish(own).cpu, 1);
        assert_int_equal(vmreq_pending(id), 0);
        assert_int_equal(vmreq_process(id, 0), 0);
        assert_int_equal(vmreq_halt(id, clock_now_ns() + CLOCK_NS_PER_MS), 0);
        assert_int_equal(engine_state(other), VMREQ_REQ_QUEUED);
        /* To itself: inline. */
        any = submit(1, 0);
        assert_int_equal(engine_state(any), VMREQ_REQ_COMPLETED);
        assert_int_equal(vmreq_free(any), 0);
        assert_int_equal(vmreq_emt_detach(id), 0);
        /* The next thread serves what this one has left. */
        assert_int_equal(vmreq_emt_attach(id, 0), 0);
        assert_int_equal(vmreq_process(id, 0), 1);
        assert_int_equal(engine_finish(other).cpu, 0);
        assert_int_equal(vmreq_emt_detach(id), 0);
}

static void test_loop(void **state)
{
        vmreq_handle early[CPUS];
        struct own own[CPUS];

        (void)state;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                early[cpu] = submit(cpu, 0);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                own_start(&own[cpu], cpu);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                (void)engine_finish(early[cpu]);
        for (uint32_t i = 0; i < 200; i++) {
                static const uint32_t to[] = {0, 1, VMREQ_CPU_ANY, VMREQ_CPU_ALL,
                                              VMREQ_CPU_ALL_REVERSE};

                if (i % 3 == 0)
                        engine_until_asleep(id, i % CPUS);
                (void)engine_finish(submit(to[i % ARRAY_SIZE(to)], i % 2 ? VMREQ_PRIORITY : 0));
        }
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                own_end(&own[cpu]);
}

static int32_t count_callee(void *ctx, uint32_t cpu)
{
        CHECK(vmreq_emt_self(id) == cpu);
        CHECK(vmreq_emt_detach(id) == VMREQ_E_STATE);
        CHECK(vmreq_guest_enter(id) == VMREQ_E_STATE);
        atomic_fetch_add((_Atomic uint32_t *)ctx, 1);
        return 0;
}

static void test_rendezvous(void **state)
{
        _Atomic uint32_t n = 0;
        uint32_t missing[CPUS];
        struct own own[CPUS];

        (void)state;
        own_start(&own[0], 0);
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 2 * CLOCK_NS_PER_MS,
                                          count_callee, &n, missing, CPUS),
                         VMREQ_E_TIMEOUT);
        UNTIL(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 50 * CLOCK_NS_PER_MS, count_callee, &n,
                               missing, CPUS) == VMREQ_E_TIMEOUT &&
              missing[0] == 1 && missing[1] == VMREQ_CPU_NONE);
        assert_int_equal(atomic_load(&n), 0);
        own_start(&own[1], 1);
        for (unsigned kind = 0; kind < _VMREQ_RENDEZVOUS_N; kind++)
                assert_int_equal(vmreq_rendezvous(id, (enum vmreq_rendezvous_kind)kind, 0, 0,
                                                  count_callee, &n, NULL, 0),
                                 0);
        assert_int_equal(atomic_load(&n), 1 + (_VMREQ_RENDEZVOUS_N - 1) * CPUS);
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        assert_int_equal(atomic_load(&fake.cpus[0].resets) + atomic_load(&fake.cpus[1].resets),
                         CPUS);
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                own_end(&own[cpu]);
}

/* ---- the guest ---- */

static void power_on_with(struct own *own)
{
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                own_start(&own[cpu], cpu);
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                fake_until_inside(id, &fake, cpu);
}

static void stop_with(struct own *own)
{
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                own_end(&own[cpu]);
}

static void test_guest(void **state)
{
        struct own own[CPUS];
        uint64_t kicks, exits;

        (void)state;
        power_on_with(own);
        assert_int_equal(engine_emt(id, 1).state, VMREQ_EMT_GUEST);
        kicks = engine_emt(id, 1).kicks;
        exits = engine_emt(id, 1).exits;
        for (int i = 0; i < 20; i++) {
                fake_until_inside(id, &fake, 1);
                (void)engine_finish(submit(1, VMREQ_POKE));
        }
        fake_until_inside(id, &fake, 1);
        assert_int_equal(engine_emt(id, 1).kicks, kicks + 20);
        assert_int_equal(engine_emt(id, 1).exits, exits + 20);
        for (int i = 0; i < 20; i++) {
                assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_SUSPEND, 0, NULL, NULL), 0);
                assert_int_equal(
                        atomic_load(&fake.cpus[0].inside) + atomic_load(&fake.cpus[1].inside), 0);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        engine_until_asleep(id, cpu);
                assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_RESUME, 0, NULL, NULL), 0);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        fake_until_inside(id, &fake, cpu);
        }
        stop_with(own);
}

/* Its guest waits for an interrupt: vmreq_halt sleeps though the VM is RUNNING, and
 * vmreq_vcpu_unhalt ends that. */
static void test_guest_halts(void **state)
{
        struct own own[CPUS];
        uint32_t entered;

        (void)state;
        power_on_with(own);
        atomic_store(&own[1].halts_guest, true);
        (void)engine_finish(submit(1, VMREQ_POKE));
        engine_until_asleep(id, 1);
        for (int i = 0; i < 10; i++) {
                engine_until_asleep(id, 1);
                entered = atomic_load(&own[1].entered);
                assert_int_equal(vmreq_vcpu_unhalt(id, 1), 0);
                UNTIL(atomic_load(&own[1].entered) > entered);
        }
        engine_until_asleep(id, 1);
        atomic_store(&own[1].halts_guest, false);
        assert_int_equal(vmreq_vcpu_unhalt(id, 1), 0);
        fake_until_inside(id, &fake, 1);
        stop_with(own);
}

static void test_guest_by_hand(void **state)
{
        vmreq_handle handle;

        (void)state;
        assert_int_equal(vmreq_emt_attach(id, 0), 0);
        assert_int_equal(vmreq_guest_enter(id), VMREQ_E_STATE); /* not RUNNING */
        assert_int_equal(vmreq_guest_leave(id), VMREQ_E_STATE); /* not there */
        atomic_store(&engine_inside(id)->state, VMREQ_VM_RUNNING);
        handle = submit(VMREQ_CPU_ANY_QUEUE, 0);
        assert_int_equal(vmreq_guest_enter(id), VMREQ_E_STATE); /* something is pending */
        assert_int_equal(vmreq_process(id, 0), 1);
        (void)engine_finish(handle);
        assert_int_equal(vmreq_guest_enter(id), 0);
        assert_int_equal(engine_emt(id, 0).state, VMREQ_EMT_GUEST);
        assert_int_equal(vmreq_emt_detach(id), VMREQ_E_STATE); /* leave it first */
        assert_int_equal(vmreq_guest_leave(id), 0);
        assert_int_equal(engine_emt(id, 0).exits, 1);
        assert_int_equal(vmreq_guest_leave(id), VMREQ_E_STATE);
        /* Refused, so it wants to run: to halt is no sleep while the VM is RUNNING. */
        handle = submit(VMREQ_CPU_ANY_QUEUE, 0);
        assert_int_equal(vmreq_guest_enter(id), VMREQ_E_STATE);
        assert_int_equal(vmreq_process(id, 0), 1);
        (void)engine_finish(handle);
        assert_int_equal(vmreq_halt(id, VMREQ_FOREVER), 0);
        atomic_store(&engine_inside(id)->state, VMREQ_VM_CREATED);
        assert_int_equal(vmreq_emt_detach(id), 0);
}

/* ---- the end ---- */

static void test_nobody_attached(void **state)
{
        uint32_t stuck[CPUS] = {77, 77};

        (void)state;
        assert_int_equal(vmreq_vm_stop(id, 1, stuck, CPUS), 0);
        assert_int_equal(vmreq_emt_attach(id, 0), VMREQ_E_CLOSED);
        assert_int_equal(vmreq_emt_attach(id, 1), VMREQ_E_CLOSED);
        assert_int_equal(vmreq_emt_attach(id, 1), VMREQ_E_CLOSED);
}

/* A thread that does not come back is named; those that never were, or have gone, are not. */
struct holder {
        uint32_t cpu;
        sem_t up, go;
        int processed, detached;
};

static void *hold_main(void *arg)
{
        struct holder *holder = arg;

        CHECK(vmreq_emt_attach(id, holder->cpu) == 0);
        CHECK(sem_post(&holder->up) == 0);
        sem_down(&holder->go);
        holder->processed = vmreq_process(id, 0);
        holder->detached = vmreq_emt_detach(id);
        return NULL;
}

static void test_stop_names(void **state)
{
        (void)state;
        for (int gone = 0; gone < 2; gone++) {
                struct holder holder = {.cpu = 1};
                uint32_t stuck[CPUS] = {77, 77};
                pthread_t thread;

                assert_int_equal(create(true), 0);
                assert_int_equal(sem_init(&holder.up, 0, 0), 0);
                assert_int_equal(sem_init(&holder.go, 0, 0), 0);
                if (gone) {
                        assert_int_equal(vmreq_emt_attach(id, 0), 0);
                        assert_int_equal(vmreq_emt_detach(id), 0);
                }
                thread = thread_start(hold_main, &holder);
                sem_down(&holder.up);
                assert_int_equal(
                        vmreq_vm_stop(id, clock_now_ns() + 2 * CLOCK_NS_PER_MS, stuck, CPUS),
                        VMREQ_E_TIMEOUT);
                assert_int_equal(stuck[0], 1);
                assert_int_equal(stuck[1], VMREQ_CPU_NONE);
                assert_int_equal(vmreq_vm_free(id), VMREQ_E_STATE);
                assert_int_equal(sem_post(&holder.go), 0);
                assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, stuck, CPUS), 0);
                thread_end(thread);
                assert_int_equal(holder.processed, VMREQ_E_CLOSED);
                assert_int_equal(holder.detached, 0);
                assert_int_equal(vmreq_emt_attach(id, 1), VMREQ_E_CLOSED);
                assert_int_equal(vmreq_vm_free(id), 0);
        }
}

/* EMT 0 is the last one, and lives on until the others have gone. */
static void test_stop_in_order(void **state)
{
        struct holder holder = {.cpu = 1};
        uint32_t stuck[CPUS] = {77, 77};
        struct own own;
        pthread_t thread;

        (void)state;
        assert_int_equal(sem_init(&holder.up, 0, 0), 0);
        assert_int_equal(sem_init(&holder.go, 0, 0), 0);
        thread = thread_start(hold_main, &holder);
        sem_down(&holder.up);
        own_start(&own, 0);
        assert_int_equal(vmreq_vm_stop(id, clock_now_ns() + 2 * CLOCK_NS_PER_MS, stuck, CPUS),
                         VMREQ_E_TIMEOUT);
        assert_int_equal(stuck[0], 1);
        engine_until_asleep(id, 0);
        assert_int_equal(sem_post(&holder.go), 0);
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, stuck, CPUS), 0);
        thread_end(thread);
        own_end(&own);
}

/* ---- races ---- */

static void *stop_it(void *arg)
{
        vmreq_vm vm = id;

        CHECK(sem_post(arg) == 0);
        CHECK(vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0) == 0);
        CHECK(vmreq_vm_free(vm) == 0);
        return NULL;
}

/* Threads come and go while the VM is stopped and freed: neither side hangs, nothing is touched
 * that has gone. */
static void test_against_stop(void **state)
{
        (void)state;
        for (uint32_t i = 0; i < 500; i++) {
                pthread_t thread;
                sem_t up;
                int r;

                assert_int_equal(create(true), 0);
                atomic_store(&fake.cpus[0].init_result, i % 3 ? 0 : -77);
                assert_int_equal(sem_init(&up, 0, 0), 0);
                thread = thread_start(stop_it, &up);
                sem_down(&up);
                for (;;) {
                        uint32_t cpu = i % CPUS;

                        r = vmreq_emt_attach(id, cpu);
                        if (r == -77)
                                continue;
                        if (r)
                                break;
                        (void)vmreq_process(id, 0);
                        assert_int_equal(vmreq_emt_detach(id), 0);
                }
                assert_true(r == VMREQ_E_CLOSED || r == VMREQ_E_HANDLE);
                thread_end(thread);
        }
}

/* Two threads take turns at one vCPU, submitters do not care. */
static void *turn_main(void *arg)
{
        int r;

        for (;;) {
                r = vmreq_emt_attach(id, *(uint32_t *)arg);
                if (r == VMREQ_E_CLOSED)
                        return NULL;
                if (r == VMREQ_E_STATE) {
                        (void)sched_yield();
                        continue;
                }
                CHECK(r == 0);
                (void)vmreq_process(id, 0);
                CHECK(vmreq_emt_detach(id) == 0);
        }
}

static void test_turns(void **state)
{
        pthread_t threads[2 * CPUS];
        uint32_t cpus[2 * CPUS];

        (void)state;
        for (uint32_t i = 0; i < 2 * CPUS; i++) {
                cpus[i] = i % CPUS;
                threads[i] = thread_start(turn_main, &cpus[i]);
        }
        for (uint32_t i = 0; i < 200; i++)
                (void)engine_finish(submit(i % 3 == 2 ? VMREQ_CPU_ALL : i % 2, 0));
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
        for (uint32_t i = 0; i < 2 * CPUS; i++)
                thread_end(threads[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_taken, setup, teardown),
                cmocka_unit_test_setup_teardown(test_detach_inside, setup, teardown),
                cmocka_unit_test_setup_teardown(test_init_fails, setup, teardown),
                cmocka_unit_test_setup_teardown(test_by_hand, setup, teardown),
                cmocka_unit_test_setup_teardown(test_by_hand, setup_bare, teardown),
                cmocka_unit_test_setup_teardown(test_loop, setup, teardown),
                cmocka_unit_test_setup_teardown(test_loop, setup_bare, teardown),
                cmocka_unit_test_setup_teardown(test_rendezvous, setup, teardown),
                cmocka_unit_test_setup_teardown(test_guest, setup, teardown),
                cmocka_unit_test_setup_teardown(test_guest_halts, setup, teardown),
                cmocka_unit_test_setup_teardown(test_guest_by_hand, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nobody_attached, setup, teardown),
                cmocka_unit_test(test_stop_names),
                cmocka_unit_test_setup_teardown(test_stop_in_order, setup, teardown),
                cmocka_unit_test(test_against_stop),
                cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
