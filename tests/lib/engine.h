/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the engine's tests share: VMs that are checked for left-over packets when they end, gates
 * that hold an EMT inside a callee, logs of who ran when, and hooks that count themselves.
 *
 * Nothing here measures time: a test orders threads by gates, semaphores and states that it waits
 * for.  cmocka's assertions belong to the main thread; what runs on an EMT uses CHECK.
 */

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vm/vm-internal.h"

/* After this a test program has hung: above what the slowest takes under a sanitizer. */
#define ENGINE_ALARM_S 55u

/* A deadline that no test lives to see. */
#define ENGINE_FAR_NS (3600 * CLOCK_NS_PER_S)

/*
 * A test that fails ends the program: its VM goes on, with EMTs in callees that use the test's
 * frame, and the next test would stand in the same place.
 */
static inline void engine_fail_fast(void)
{
        CHECK(setenv("CMOCKA_TEST_ABORT", "1", 1) == 0);
}

static inline int engine_run(const struct CMUnitTest *tests, size_t n)
{
        engine_fail_fast();
        (void)alarm(ENGINE_ALARM_S);
        return _cmocka_run_group_tests("engine", tests, n, NULL, NULL);
}

/* ---- semaphores and threads ---- */

static inline void sem_down(sem_t *sem)
{
        while (sem_wait(sem))
                ;
}

static inline pthread_t thread_start(void *(*fn)(void *), void *arg)
{
        pthread_t thread;

        CHECK(pthread_create(&thread, NULL, fn, arg) == 0);
        return thread;
}

static inline void thread_end(pthread_t thread)
{
        CHECK(pthread_join(thread, NULL) == 0);
}

/* Gives the processor away until the condition holds; the alarm bounds it. */
#define UNTIL(condition)                                                                           \
        do {                                                                                       \
                while (!(condition))                                                               \
                        (void)sched_yield();                                                       \
        } while (0)

/* ---- VMs ---- */

static inline vmreq_vm engine_new_with(const struct vmreq_config *config)
{
        vmreq_vm vm;

        assert_int_equal(vmreq_vm_create(config, &vm), 0);
        return vm;
}

static inline vmreq_vm engine_new(uint32_t cpus)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        config.cpus = cpus;
        return engine_new_with(&config);
}

/* For config.service_wake: a host that never gives the deadline service a turn by itself. */
static inline void engine_no_service(void *ctx, uint64_t due_ns)
{
        (void)ctx;
        (void)due_ns;
}

static inline struct vmreq_stats engine_stats(vmreq_vm vm)
{
        struct vmreq_stats stats;

        assert_int_equal(vmreq_vm_stats(vm, &stats), 0);
        return stats;
}

static inline struct vmreq_emt_info engine_emt(vmreq_vm vm, uint32_t cpu)
{
        struct vmreq_emt_info info;

        assert_int_equal(vmreq_emt_info(vm, cpu, &info), 0);
        return info;
}

/* Stops and frees; every packet must be home by then. */
static inline void engine_end(vmreq_vm vm)
{
        assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0), 0);
        assert_int_equal(engine_stats(vm).in_use, 0);
        assert_int_equal(vmreq_vm_free(vm), 0);
}

/* What is behind a VM's id.  It lives until the test frees it. */
static inline struct vm *engine_inside(vmreq_vm id)
{
        struct vm *vm = vm_pin(id.id);

        assert_non_null(vm);
        vm_unpin(vm);
        return vm;
}

/* Packets that can be had without a wait: on the pool's stack, in its rings, or never used. */
static inline uint32_t engine_free_packets(vmreq_vm id)
{
        struct pool *pool = &engine_inside(id)->pool;
        uint32_t n = pool->capacity - atomic_load(&pool->fresh);

        for (uint32_t place = (uint32_t)atomic_load(&pool->top); place && n <= pool->capacity; n++)
                place = atomic_load(&pool->next[place - 1]);
        for (uint32_t i = 0; i < pool->n_rings; i++)
                n += atomic_load(&pool->rings[i].tail) -
                     (uint32_t)atomic_load(&pool->rings[i].head);
        return n;
}

/* Every packet is at home again.  A packet is counted as not in use a moment before it can be had,
 * so the statistics alone do not say that. */
static inline void engine_until_home(vmreq_vm id)
{
        UNTIL(engine_stats(id).in_use == 0 && engine_free_packets(id) == engine_stats(id).slab);
}

/* An EMT that sleeps, nested or not, and can be woken only by somebody. */
static inline bool engine_sleeps(vmreq_vm id, uint32_t cpu)
{
        return atomic_load(&engine_inside(id)->emts[cpu].event.word) != 0;
}

static inline void engine_until_asleep(vmreq_vm vm, uint32_t cpu)
{
        UNTIL(engine_emt(vm, cpu).state == VMREQ_EMT_ASLEEP && engine_sleeps(vm, cpu));
}

/* ---- gates ---- */

/* Holds whoever passes: `in` counts those who have come, `out` lets one go, `left` counts those who
 * are past it, so that the gate may go. */
struct gate {
        sem_t in, out, left;
};

static inline void gate_init(struct gate *gate)
{
        assert_int_equal(sem_init(&gate->in, 0, 0), 0);
        assert_int_equal(sem_init(&gate->out, 0, 0), 0);
        assert_int_equal(sem_init(&gate->left, 0, 0), 0);
}

static inline void gate_pass(struct gate *gate)
{
        CHECK(sem_post(&gate->in) == 0);
        sem_down(&gate->out);
        CHECK(sem_post(&gate->left) == 0);
}

static inline void gate_open(struct gate *gate)
{
        assert_int_equal(sem_post(&gate->out), 0);
        sem_down(&gate->left);
}

static inline int32_t gate_callee(void *ctx, const uint64_t *args, uint32_t argc,
                                  struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        gate_pass(ctx);
        return 0;
}

/* A callback request's spec. */
static inline struct vmreq_spec engine_spec(uint32_t cpu, uint32_t flags, vmreq_callback callback,
                                            void *ctx)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;

        spec.cpu = cpu;
        spec.flags = flags;
        spec.kind = VMREQ_FN_CALLBACK;
        spec.callback = callback;
        spec.ctx = ctx;
        return spec;
}

static inline vmreq_handle engine_submit(vmreq_vm vm, const struct vmreq_spec *spec)
{
        vmreq_handle handle;

        assert_int_equal(vmreq_submit(vm, spec, &handle), 0);
        return handle;
}

/* Holds an EMT in a callee that nobody can ask to end, until gate_open. */
static inline void engine_hold(vmreq_vm vm, uint32_t cpu, struct gate *gate)
{
        struct vmreq_spec spec = engine_spec(cpu, VMREQ_NO_WAIT, gate_callee, gate);

        gate_init(gate);
        (void)engine_submit(vm, &spec);
        sem_down(&gate->in);
}

/* ---- logs ---- */

#define LOG_MAX 4096

/* Who ran, in the order of coming. */
struct log {
        _Atomic uint32_t n;
        _Atomic uint64_t items[LOG_MAX];
};

static inline void log_add(struct log *log, uint64_t item)
{
        uint32_t i = atomic_fetch_add(&log->n, 1);

        CHECK(i < LOG_MAX);
        atomic_store(&log->items[i], item);
}

/* Callee: logs its first argument, or its cpu if it has none. */
static inline int32_t log_callee(void *ctx, const uint64_t *args, uint32_t argc,
                                 struct vmreq_reply *reply)
{
        log_add(ctx, argc ? args[0] : reply->cpu);
        reply->value = argc ? args[0] : reply->cpu;
        return 0;
}

static inline void assert_log(const struct log *log, const uint64_t *items, uint32_t n)
{
        assert_int_equal(atomic_load(&log->n), n);
        for (uint32_t i = 0; i < n; i++)
                assert_int_equal(atomic_load(&log->items[i]), items[i]);
}

/* ---- hooks ---- */

/* Counts the hooks of one request, and notes the order of their coming. */
struct hooked {
        _Atomic uint32_t rows, overdues, completes, releases, order_broken;
        struct vmreq_result result;
        struct vmreq_row row[VMREQ_CPUS_MAX];
        sem_t overdue, completed, released;
};

static inline void hooked_row(void *user, const struct vmreq_row *row)
{
        struct hooked *hooked = user;

        atomic_fetch_add(&hooked->rows, 1);
        if (atomic_load(&hooked->completes) || atomic_load(&hooked->releases))
                atomic_fetch_add(&hooked->order_broken, 1);
        CHECK(row->cpu < VMREQ_CPUS_MAX);
}

static inline void hooked_overdue(void *user)
{
        struct hooked *hooked = user;

        atomic_fetch_add(&hooked->overdues, 1);
        if (atomic_load(&hooked->completes) || atomic_load(&hooked->releases))
                atomic_fetch_add(&hooked->order_broken, 1);
        CHECK(sem_post(&hooked->overdue) == 0);
}

static inline void hooked_complete(void *user, const struct vmreq_result *result)
{
        struct hooked *hooked = user;

        hooked->result = *result;
        hooked->result.rows = NULL;
        for (uint32_t i = 0; i < result->n_rows; i++)
                hooked->row[i] = result->rows[i];
        if (atomic_load(&hooked->releases))
                atomic_fetch_add(&hooked->order_broken, 1);
        atomic_fetch_add(&hooked->completes, 1);
        CHECK(sem_post(&hooked->completed) == 0);
}

static inline void hooked_release(void *user)
{
        struct hooked *hooked = user;

        if (!atomic_load(&hooked->completes))
                atomic_fetch_add(&hooked->order_broken, 1);
        atomic_fetch_add(&hooked->releases, 1);
        CHECK(sem_post(&hooked->released) == 0);
}

/* Puts counting hooks on a spec. */
static inline void hooked_on(struct hooked *hooked, struct vmreq_spec *spec)
{
        memset(hooked, 0, sizeof(*hooked));
        assert_int_equal(sem_init(&hooked->overdue, 0, 0), 0);
        assert_int_equal(sem_init(&hooked->completed, 0, 0), 0);
        assert_int_equal(sem_init(&hooked->released, 0, 0), 0);
        spec->user = hooked;
        spec->row = hooked_row;
        spec->overdue = hooked_overdue;
        spec->complete = hooked_complete;
        spec->release = hooked_release;
}

/* Completed once with that fate, released once, in order. */
static inline void assert_hooked(struct hooked *hooked, enum vmreq_fate fate)
{
        assert_int_equal(atomic_load(&hooked->completes), 1);
        assert_int_equal(atomic_load(&hooked->releases), 1);
        assert_int_equal(atomic_load(&hooked->order_broken), 0);
        assert_int_equal(hooked->result.row.fate, fate);
}

/* ---- looking ---- */

static inline enum vmreq_req_state engine_state(vmreq_handle handle)
{
        enum vmreq_req_state state;

        assert_int_equal(vmreq_status(handle, &state, NULL), 0);
        return state;
}

static inline struct vmreq_row engine_row(vmreq_handle handle)
{
        struct vmreq_row row;

        assert_int_equal(vmreq_status(handle, NULL, &row), 0);
        return row;
}

/* Waits for its end, gives it back, returns its row. */
static inline struct vmreq_row engine_finish(vmreq_handle handle)
{
        struct vmreq_row row;

        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        row = engine_row(handle);
        assert_int_equal(vmreq_free(handle), 0);
        return row;
}
