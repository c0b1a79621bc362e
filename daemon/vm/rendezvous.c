/* SPDX-License-Identifier: MIT */
/*
 * Rendezvous: all EMTs meet, a callback runs in the asked-for manner, all go on.
 *
 *   IDLE → GATHER → RUN → LEAVE → IDLE
 *             └──→ ABORT ──┘
 *
 * A mutex and a condition guard it: this is the rare path, and the EMTs stand still anyway.  The
 * EMTs' loops see `calling` without the lock.  The caller starts it, bounds the gathering by its
 * deadline, and leaves last; a caller that is an EMT takes its own place among the others, and
 * joins the rendezvous of an earlier caller while it waits for its turn, so that two EMTs that both
 * call do not wait for each other. Only gathering is bounded: once all are there, the callback
 * decides how long they stand.
 */
#include "vm/vm-internal.h"

#include <errno.h>
#include <string.h>

enum {
        PHASE_IDLE,
        PHASE_GATHER,
        PHASE_RUN,
        PHASE_LEAVE,
        PHASE_ABORT,
};

#define TIMEOUT_NS_DEFAULT (5 * CLOCK_NS_PER_S)

int rendezvous_init(struct rendezvous *r)
{
        pthread_condattr_t attributes;
        int error = pthread_mutex_init(&r->lock, NULL);

        if (error)
                return VMREQ_E_SYSTEM;
        error = pthread_condattr_init(&attributes);
        if (error == 0) {
                (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
                error = pthread_cond_init(&r->cond, &attributes);
                (void)pthread_condattr_destroy(&attributes);
        }
        if (error) {
                (void)pthread_mutex_destroy(&r->lock);
                return VMREQ_E_SYSTEM;
        }
        atomic_init(&r->calling, 0);
        r->phase = PHASE_IDLE;
        return 0;
}

void rendezvous_deinit(struct rendezvous *r)
{
        (void)pthread_cond_destroy(&r->cond);
        (void)pthread_mutex_destroy(&r->lock);
}

static void lock(struct rendezvous *r)
{
        CHECK(pthread_mutex_lock(&r->lock) == 0);
}

static void unlock(struct rendezvous *r)
{
        CHECK(pthread_mutex_unlock(&r->lock) == 0);
}

static void wait_change(struct rendezvous *r)
{
        CHECK(pthread_cond_wait(&r->cond, &r->lock) == 0);
}

/* True: the deadline has passed. */
static bool wait_change_until(struct rendezvous *r, uint64_t deadline_ns)
{
        struct timespec ts = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S),
                              .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S)};
        int error = pthread_cond_timedwait(&r->cond, &r->lock, &ts);

        CHECK(error == 0 || error == ETIMEDOUT);
        return error == ETIMEDOUT;
}

static void set_phase(struct rendezvous *r, uint32_t phase)
{
        r->phase = phase;
        if (phase != PHASE_GATHER)
                /* Relaxed: an EMT that still sees it finds the phase under the lock. */
                atomic_store_explicit(&r->calling, 0, memory_order_relaxed);
        CHECK(pthread_cond_broadcast(&r->cond) == 0);
}

static void note_result(struct rendezvous *r, int32_t result)
{
        if (result >= 0)
                return;
        if (r->result >= 0)
                r->result = result;
        if (r->flags & VMREQ_RENDEZVOUS_STOP)
                r->stopped = true;
}

/* Runs the callback on this EMT, with the lock dropped. */
static void run(struct rendezvous *r, struct emt *emt)
{
        int32_t result = 0;

        if (!r->stopped) {
                unlock(r);
                emt->in_rendezvous = true;
                result = r->fn(r->ctx, emt->cpu);
                emt->in_rendezvous = false;
                lock(r);
        }
        note_result(r, result);
        r->n_ran++;
}

/* This EMT's part in phase RUN. */
static void take_part(struct rendezvous *r, struct emt *emt)
{
        uint32_t cpus = emt->vm->cpus;

        switch (r->kind) {
        case VMREQ_RENDEZVOUS_ONCE:
                if (!r->busy) {
                        r->busy = true;
                        run(r, emt);
                        r->n_ran = cpus;
                }
                break;
        case VMREQ_RENDEZVOUS_ONE_BY_ONE:
                while (r->busy)
                        wait_change(r);
                r->busy = true;
                run(r, emt);
                r->busy = false;
                break;
        case VMREQ_RENDEZVOUS_ASCENDING:
        case VMREQ_RENDEZVOUS_DESCENDING:
                while (r->turn != emt->cpu)
                        wait_change(r);
                run(r, emt);
                r->turn += r->kind == VMREQ_RENDEZVOUS_ASCENDING ? 1u : (uint32_t)-1;
                break;
        default:
                run(r, emt);
                break;
        }
        if (r->n_ran == cpus)
                set_phase(r, PHASE_LEAVE);
        else
                CHECK(pthread_cond_broadcast(&r->cond) == 0);
        while (r->phase == PHASE_RUN)
                wait_change(r);
}

static bool has_arrived(const struct rendezvous *r, uint32_t cpu)
{
        return r->arrived[cpu / 64] & 1ull << (cpu % 64);
}

/* Marks this EMT as there; the last one starts the callbacks. */
static void arrive(struct rendezvous *r, struct emt *emt)
{
        r->arrived[emt->cpu / 64] |= 1ull << (emt->cpu % 64);
        r->n_inside++;
        if (++r->n_arrived == emt->vm->cpus)
                set_phase(r, PHASE_RUN);
}

static void leave(struct rendezvous *r)
{
        r->n_inside--;
        CHECK(pthread_cond_broadcast(&r->cond) == 0);
}

/* Locked: takes part in the present rendezvous, if it still gathers and this EMT is not in it. */
static void join_locked(struct rendezvous *r, struct emt *emt)
{
        uint32_t state;

        if (r->phase != PHASE_GATHER || has_arrived(r, emt->cpu) || emt->in_rendezvous)
                return;
        state = atomic_load_explicit(&emt->state, memory_order_relaxed);
        atomic_store_explicit(&emt->state, VMREQ_EMT_PARKED, memory_order_relaxed);
        arrive(r, emt);
        while (r->phase == PHASE_GATHER)
                wait_change(r);
        if (r->phase == PHASE_RUN)
                take_part(r, emt);
        leave(r);
        atomic_store_explicit(&emt->state, state, memory_order_relaxed);
}

void rendezvous_join(struct emt *emt)
{
        struct rendezvous *r = &emt->vm->rendezvous;

        /* Relaxed: under the lock the phase decides; emt_has_work reads it with order before a
         * sleep. */
        if (!atomic_load_explicit(&r->calling, memory_order_relaxed))
                return;
        lock(r);
        join_locked(r, emt);
        unlock(r);
}

void rendezvous_refuse(struct vm *vm)
{
        struct rendezvous *r = &vm->rendezvous;

        lock(r);
        r->refused = true;
        if (r->phase == PHASE_GATHER)
                set_phase(r, PHASE_ABORT);
        else
                CHECK(pthread_cond_broadcast(&r->cond) == 0);
        unlock(r);
}

/* Waits until no rendezvous is under way.  False: the deadline passed, or the VM is stopping. */
static bool wait_turn(struct rendezvous *r, struct emt *self, uint64_t deadline_ns)
{
        while (r->active && !r->refused) {
                if (self && r->phase == PHASE_GATHER && !has_arrived(r, self->cpu))
                        join_locked(r, self);
                else if (wait_change_until(r, deadline_ns))
                        return false;
        }
        return !r->refused;
}

static void begin(struct vm *vm, enum vmreq_rendezvous_kind kind, uint32_t flags,
                  int32_t (*fn)(void *ctx, uint32_t cpu), void *ctx)
{
        struct rendezvous *r = &vm->rendezvous;

        r->active = true;
        r->kind = kind;
        r->flags = flags;
        r->fn = fn;
        r->ctx = ctx;
        memset(r->arrived, 0, sizeof(r->arrived));
        r->n_arrived = r->n_inside = r->n_ran = 0;
        r->turn = kind == VMREQ_RENDEZVOUS_DESCENDING ? vm->cpus - 1 : 0;
        r->busy = r->stopped = false;
        r->result = 0;
        set_phase(r, PHASE_GATHER);
        /* seq_cst: pairs with emt_has_work; an EMT about to sleep sees it, or is woken. */
        atomic_store_explicit(&r->calling, 1, memory_order_seq_cst);
        emt_wake_all(vm);
}

/* Until all are there, or the deadline ends the gathering. */
static void gather(struct rendezvous *r, uint64_t deadline_ns)
{
        while (r->phase == PHASE_GATHER)
                if (wait_change_until(r, deadline_ns) && r->phase == PHASE_GATHER)
                        set_phase(r, PHASE_ABORT);
}

static void name_missing(const struct vm *vm, uint32_t *ret_missing, uint32_t n_missing)
{
        uint32_t n = 0;

        for (uint32_t cpu = 0; cpu < vm->cpus && n < n_missing; cpu++)
                if (!has_arrived(&vm->rendezvous, cpu))
                        ret_missing[n++] = cpu;
        if (n < n_missing)
                ret_missing[n] = VMREQ_CPU_NONE;
}

static int call(struct vm *vm, enum vmreq_rendezvous_kind kind, uint32_t flags,
                uint64_t deadline_ns, int32_t (*fn)(void *ctx, uint32_t cpu), void *ctx,
                uint32_t *ret_missing, uint32_t n_missing)
{
        struct rendezvous *r = &vm->rendezvous;
        struct emt *self = emt_self_of(vm);
        int result;

        lock(r);
        if (!wait_turn(r, self, deadline_ns)) {
                result = r->refused ? VMREQ_E_CLOSED : VMREQ_E_TIMEOUT;
                if (ret_missing && n_missing)
                        ret_missing[0] = VMREQ_CPU_NONE;
                unlock(r);
                return result;
        }
        begin(vm, kind, flags, fn, ctx);
        if (self)
                arrive(r, self);
        gather(r, deadline_ns);
        if (r->phase == PHASE_ABORT) {
                result = r->refused ? VMREQ_E_CLOSED : VMREQ_E_TIMEOUT;
                if (ret_missing)
                        name_missing(vm, ret_missing, n_missing);
        } else {
                if (self)
                        take_part(r, self);
                while (r->phase == PHASE_RUN)
                        wait_change(r);
                result = r->result;
        }
        if (self)
                r->n_inside--;
        while (r->n_inside)
                wait_change(r);
        r->active = false;
        set_phase(r, PHASE_IDLE);
        unlock(r);
        return result;
}

int vmreq_rendezvous(vmreq_vm id, enum vmreq_rendezvous_kind kind, uint32_t flags,
                     uint64_t timeout_ns, int32_t (*fn)(void *ctx, uint32_t cpu), void *ctx,
                     uint32_t *ret_missing, uint32_t n_missing)
{
        struct vm *vm = vm_pin(id.id);
        struct emt *self;
        int r;

        if (!vm)
                return VMREQ_E_HANDLE;
        self = emt_self_of(vm);
        if (!fn || (unsigned)kind >= _VMREQ_RENDEZVOUS_N || (flags & ~VMREQ_RENDEZVOUS_STOP) ||
            (n_missing && !ret_missing))
                r = VMREQ_E_INVALID;
        else if (self && self->in_rendezvous)
                r = VMREQ_E_DEADLOCK;
        else
                r = call(vm, kind, flags,
                         clock_add(clock_now_ns(), timeout_ns ? timeout_ns : TIMEOUT_NS_DEFAULT),
                         fn, ctx, ret_missing, n_missing);
        vm_unpin(vm);
        return r;
}
