/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Interleavings, one at a time: the thread that is "preempted" is the test's.  Before a named step
 * of the engine, or in a wrapper that the linker puts in front of a function, a test does what
 * another thread might do just then.  So every race is lost, or won, each time.  For one source of
 * a program: the hook and the wrappers are defined here.
 */
#include "lib/engine.h"

#include "vm/step.h"

/* What happens before a step, each once, on whichever thread comes to it first. */
struct step {
        const char *name;
        void (*_Atomic before)(void);
};

/* Named steps of the engine: tests/models, daemon/vm/step.h.  A pusher whose packet is QUEUED and
 * whose place is empty; one that has pushed; a broadcast's child that is QUEUED; a taker that has
 * taken and not claimed; the service that knows a due time. */
static struct step fill = {.name = "fill_load"}, filled = {.name = "queue_closed"},
                   fill_reserved = {.name = "tail_add"}, taken = {.name = "take_word"},
                   look_up = {.name = "expire_word"};

/* Functions that are steps to others. */
static struct {
        void (*_Atomic before)(void);
        void (*_Atomic after)(void);
} note, queue_broadcast, announce, sleep_on;

static inline void fire(void (*_Atomic *at)(void))
{
        void (*fn)(void) = atomic_exchange(at, NULL);

        if (fn)
                fn();
}

void vm_step_hook(const char *name)
{
        static struct step *const steps[] = {&fill, &filled, &fill_reserved, &taken, &look_up};

        for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
                if (atomic_load(&steps[i]->before) && strcmp(steps[i]->name, name) == 0)
                        fire(&steps[i]->before);
}

int __real_deadline_set(struct vm *vm, uint32_t index, uint64_t deadline_ns);
int __real_broadcast_start(struct vm *vm, struct req *parent);
int __wrap_deadline_set(struct vm *vm, uint32_t index, uint64_t deadline_ns);
int __wrap_broadcast_start(struct vm *vm, struct req *parent);
void __real_event_prepare(struct event *event);
void __wrap_event_prepare(struct event *event);
int __real_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);
int __wrap_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);

int __wrap_deadline_set(struct vm *vm, uint32_t index, uint64_t deadline_ns)
{
        int r;

        fire(&note.before);
        r = __real_deadline_set(vm, index, deadline_ns);
        fire(&note.after);
        return r;
}

int __wrap_broadcast_start(struct vm *vm, struct req *parent)
{
        fire(&queue_broadcast.before);
        return __real_broadcast_start(vm, parent);
}

void __wrap_event_prepare(struct event *event)
{
        fire(&announce.before);
        __real_event_prepare(event);
        fire(&announce.after);
}

int __wrap_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
        fire(&sleep_on.before);
        return __real_futex_wait(word, expected, deadline_ns);
}

/* ---- the scene ---- */

#define CPUS 3u
#define SLAB 64u

static vmreq_vm id;
static struct log ran;
static struct hooked hooked;
static struct gate gates[CPUS];
static uint64_t due;

/* Whom the other thread is after, and what it submits itself. */
static vmreq_handle victim, other;

static inline int setup(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        config.cpus = CPUS;
        config.slab = SLAB;
        config.lane_capacity = SLAB / 4;
        config.service_wake = engine_no_service;
        id = engine_new_with(&config);
        memset(&ran, 0, sizeof(ran));
        due = clock_now_ns() + ENGINE_FAR_NS;
        return 0;
}

/* No place may stay set aside, no due time noted. */
static inline int teardown(void **state)
{
        struct vm *vm = engine_inside(id);

        (void)state;
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
        for (unsigned level = 0; level < LANE_LEVELS; level++) {
                assert_int_equal(atomic_load(&vm->any[level].tail) >> LANE_TICKET_BITS, 0);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        assert_int_equal(atomic_load(&vm->emts[cpu].lanes[level].tail) >>
                                                 LANE_TICKET_BITS,
                                         0);
        }
        for (uint32_t i = 0; i < pool_high_water(&vm->pool); i++)
                assert_int_equal(atomic_load(&vm->due[i]), 0);
        engine_end(id);
        return 0;
}

static inline void hold_all(void)
{
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                engine_hold(id, cpu, &gates[cpu]);
}

static inline void release_all(void)
{
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                gate_open(&gates[cpu]);
}

static inline void do_close(void)
{
        CHECK(vmreq_vm_close(id) == 0);
}

static inline void do_cancel(void)
{
        CHECK(vmreq_cancel(victim) == VMREQ_VERDICT_REMOVED);
}

static inline void do_expire(void)
{
        (void)vmreq_vm_service(id, due);
}
