/* SPDX-License-Identifier: MIT */
/*
 * The emulation thread: stop, rendezvous, priority lanes, normal lanes (serve.c), guest execution
 * (guest.c) or halt.  At most `batch` requests pass before the loop looks at stop and rendezvous
 * again.
 *
 * "Work is pending" has one truth, emt_has_work, asked by the loop and again after the sleep was
 * announced: the lanes' own indices, the stop flag, the rendezvous flag.  No flag shadows them.
 */
#include "vm/vm-internal.h"

#include <limits.h>

#include "vm/cpu.h"
#include "vm/futex.h"
#include "vm/step.h"

_Thread_local struct emt *emt_self;

/* Adaptive spin: bounds of one EMT's own estimate. */
#define SPIN_NS_MIN 500u

/* Counters written by one EMT and read by snapshots: relaxed, no read-modify-write needed. */
static void count(_Atomic uint64_t *counter)
{
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

static void set_state(struct emt *emt, enum vmreq_emt_state state)
{
        /* Relaxed: for snapshots only. */
        atomic_store_explicit(&emt->state, state, memory_order_relaxed);
}

static bool any_pending(struct vm *vm, bool priority_only)
{
        VM_STEP(any_look);
        return lane_pending(&vm->any[LANE_PRIORITY]) ||
               (!priority_only && lane_pending(&vm->any[LANE_NORMAL]));
}

bool emt_has_work(struct emt *emt)
{
        struct vm *vm = emt->vm;
        bool priority_only = emt_priority_only(vm);

        /* seq_cst on stop, beat and calling: pair with the stores in vmreq_vm_stop,
         * vmreq_vm_heartbeat and vmreq_rendezvous, which wake after them. */
        VM_STEP(work_flags);
        if (atomic_load_explicit(&emt->stop, memory_order_seq_cst) ||
            atomic_load_explicit(&emt->beat, memory_order_seq_cst) ||
            atomic_load_explicit(&vm->rendezvous.calling, memory_order_seq_cst))
                return true;
        VM_STEP(work_own);
        return lane_pending(&emt->lanes[LANE_PRIORITY]) ||
               (!priority_only && lane_pending(&emt->lanes[LANE_NORMAL])) ||
               any_pending(vm, priority_only);
}

void emt_wake(struct emt *emt, bool now)
{
        if (event_wake(&emt->event))
                atomic_fetch_add_explicit(&emt->wakes, 1, memory_order_relaxed);
        else if (emt->vm->backend.kick)
                (void)(now ? guest_kick(emt) : guest_lazy(emt));
}

/* Nobody sleeps: somebody in the guest, if there is one.  The others come by themselves. */
static void fetch_from_guest(struct vm *vm, bool now)
{
        for (uint32_t i = 0; i < vm->cpus; i++)
                if (now ? guest_kick(&vm->emts[i]) : guest_lazy(&vm->emts[i]))
                        return;
}

void emt_wake_one(struct vm *vm, bool now)
{
        for (uint32_t i = 0; i < CPUSET_WORDS && i * 64 < vm->cpus; i++) {
                /* seq_cst: pairs with emt_halt; the bit stands before the sleep word. */
                VM_STEP(one_look);
                uint64_t set = atomic_load_explicit(&vm->asleep[i], memory_order_seq_cst);

                for (; set; set &= set - 1) {
                        struct emt *emt = &vm->emts[i * 64 + (uint32_t)__builtin_ctzll(set)];

                        if (!event_wake(&emt->event))
                                continue;
                        atomic_fetch_add_explicit(&emt->wakes, 1, memory_order_relaxed);
                        return;
                }
        }
        if (vm->backend.kick)
                fetch_from_guest(vm, now);
}

/* Is one of those that wait for ANY to be served now? */
static bool any_poked(struct vm *vm, bool priority_only)
{
        for (unsigned level = priority_only ? LANE_PRIORITY : LANE_NORMAL; level < LANE_LEVELS;
             level++)
                /* Relaxed: this EMT was kicked after it was noted. */
                if (lane_stands(&vm->any[level],
                                atomic_load_explicit(&vm->any_poked[level], memory_order_relaxed)))
                        return true;
        return false;
}

void emt_pass_wake(struct emt *emt)
{
        bool priority_only;

        if (emt->vm->cpus == 1)
                return; /* to whom */
        priority_only = emt_priority_only(emt->vm);
        if (any_pending(emt->vm, priority_only))
                emt_wake_one(emt->vm, any_poked(emt->vm, priority_only));
}

void emt_wake_all(struct vm *vm)
{
        for (uint32_t i = 0; i < vm->cpus; i++)
                emt_wake(&vm->emts[i], true);
}

void emt_nudge(struct emt *emt)
{
        /* Release: pairs with the load in vmreq_park; the flag set before is visible to the parker.
         */
        atomic_fetch_add_explicit(&emt->park, 2, memory_order_release);
        futex_wake(&emt->park, INT_MAX);
}

void emt_nudge_runner(struct vm *vm, const struct req *req)
{
        /* Relaxed: a runner stores it after RUNNING.  One that has not yet, or whose store is not
         * visible yet, may be any, and may have looked at its flags already. */
        uint32_t cpu = atomic_load_explicit(&req->ran_on, memory_order_relaxed);

        for (uint32_t i = 0; i < vm->cpus; i++)
                if (cpu == i || cpu == VMREQ_CPU_NONE)
                        emt_nudge(&vm->emts[i]);
}

/* ---- halting ---- */

bool emt_sees_push(const struct emt *emt)
{
        const struct vm *vm = emt->vm;

        return lane_filled(&emt->lanes[LANE_NORMAL]) || lane_filled(&emt->lanes[LANE_PRIORITY]) ||
               lane_filled(&vm->any[LANE_NORMAL]) || lane_filled(&vm->any[LANE_PRIORITY]);
}

void emt_spin_paid(struct emt *emt)
{
        count(&emt->spins_paid);
        emt->spin_ns = MIN(emt->spin_ns * 2, emt->vm->spin_ns_max);
}

/* Spins for the EMT's own estimate of what pays.  True: there is something to do. */
static bool spin(struct emt *emt, bool (*ready)(void *ctx), void *ctx)
{
        uint64_t now_ns, end_ns;

        if (!emt->spin_ns)
                return false;
        now_ns = clock_now_ns();
        end_ns = now_ns + emt->spin_ns - MIN(emt->spin_ns, emt->lingered_ns);
        emt->lingered_ns = 0;
        while (now_ns < end_ns) {
                /* The whole truth now and then: a push under way hides those behind it. */
                bool found = emt_has_work(emt) || (ready && ready(ctx));

                for (unsigned i = 0; i < 32 && !found; i++) {
                        cpu_relax();
                        found = emt_sees_push(emt) || (ready && ready(ctx));
                }
                if (found) {
                        emt_spin_paid(emt);
                        return true;
                }
                now_ns = clock_now_ns();
        }
        emt->spin_ns = MAX(emt->spin_ns / 2, (uint64_t)SPIN_NS_MIN);
        return false;
}

void emt_halt(struct emt *emt, bool (*ready)(void *ctx), void *ctx, uint64_t deadline_ns)
{
        _Atomic uint64_t *asleep = &emt->vm->asleep[emt->cpu / 64];
        uint64_t bit = 1ull << (emt->cpu % 64);
        enum vmreq_emt_state state;

        if (emt_has_work(emt) || (ready && ready(ctx)) || spin(emt, ready, ctx))
                return;
        /* The bit first, then the sleep word (both seq_cst), then the look for work: who pushes to
         * ANY after that look sees the bit and the word. */
        VM_STEP(halt_set);
        atomic_fetch_or_explicit(asleep, bit, memory_order_seq_cst);
        event_prepare(&emt->event);
        if (emt_has_work(emt) || (ready && ready(ctx))) {
                event_cancel(&emt->event);
        } else {
                state = atomic_load_explicit(&emt->state, memory_order_relaxed);
                set_state(emt, emt->current ? state : VMREQ_EMT_ASLEEP);
                count(&emt->sleeps);
                event_sleep(&emt->event, deadline_ns);
                set_state(emt, state);
        }
        /* Relaxed: a stale bit costs a waker one look, at the word. */
        VM_STEP(halt_clear);
        atomic_fetch_and_explicit(asleep, ~bit, memory_order_relaxed);
}

static bool wants_guest(void *ctx)
{
        return guest_runnable(ctx);
}

/* This thread is the EMT from here on. */
static int begin(struct emt *emt)
{
        struct vmreq_backend *backend = &emt->vm->backend;
        int r = backend->vcpu_init ? backend->vcpu_init(backend->ctx, emt->cpu) : 0;

        if (r < 0)
                return r;
        emt->initialised = true;
        emt_self = emt;
        set_state(emt, VMREQ_EMT_AWAKE);
        return 0;
}

static void end(struct emt *emt)
{
        struct vmreq_backend *backend = &emt->vm->backend;

        if (emt->initialised && backend->vcpu_fini)
                backend->vcpu_fini(backend->ctx, emt->cpu);
        emt->initialised = false;
        emt_self = NULL;
        set_state(emt, VMREQ_EMT_ENDED);
}

static void tell_ended(struct emt *emt)
{
        /* Release: pairs with the acquire in vmreq_vm_stop. */
        atomic_store_explicit(&emt->ended, 1, memory_order_release);
        futex_wake(&emt->ended, INT_MAX);
}

/* Tells vmreq_vm_create how this EMT's start went. */
static void tell_started(struct vm *vm, int r)
{
        int32_t none = 0;

        if (r < 0)
                (void)atomic_compare_exchange_strong_explicit(
                        &vm->start_error, &none, r, memory_order_relaxed, memory_order_relaxed);
        /* Release: pairs with the acquire in vmreq_vm_create. */
        if (atomic_fetch_sub_explicit(&vm->starting, 1, memory_order_release) == 1)
                futex_wake(&vm->starting, INT_MAX);
}

void *emt_main(void *arg)
{
        struct emt *emt = arg;
        struct vm *vm = emt->vm;
        int r = begin(emt);

        tell_started(vm, r);
        emt->lingers = vm->spin_ns_max && !vm->backend.run;
        /* Acquire: pairs with the store in vmreq_vm_stop. */
        while (r >= 0 && !atomic_load_explicit(&emt->stop, memory_order_acquire)) {
                emt_turn(emt);
                if (emt_serve(emt, vm->batch, false))
                        continue;
                if (guest_runnable(emt))
                        guest_run(emt);
                else
                        emt_halt(emt, wants_guest, emt, UINT64_MAX);
        }
        end(emt);
        tell_ended(emt);
        return NULL;
}

/* ---- EMTs of the embedder's own ---- */

/* The calling thread is this EMT no longer, and another may be. */
static void let_go(struct emt *emt)
{
        /* seq_cst: pairs with vmreq_vm_stop, which tells EMTs to stop, then looks who is attached:
         * either it finds nobody, or it is told here.  Release is in it: pairs with the next
         * attach. */
        atomic_store_explicit(&emt->attached, 0, memory_order_seq_cst);
        if (atomic_load_explicit(&emt->stop, memory_order_seq_cst))
                tell_ended(emt);
}

/* The calling thread becomes this EMT, unless another is. */
static int take_on(struct emt *emt)
{
        uint32_t nobody = 0;
        int r;

        /* Acquire: pairs with let_go; what the last thread left is visible. */
        if (!atomic_compare_exchange_strong_explicit(&emt->attached, &nobody, 1,
                                                     memory_order_seq_cst, memory_order_relaxed))
                return VMREQ_E_STATE;
        /* seq_cst: as in let_go, the other way round. */
        r = atomic_load_explicit(&emt->stop, memory_order_seq_cst) ? VMREQ_E_CLOSED : begin(emt);
        if (r)
                let_go(emt);
        return r;
}

int vmreq_emt_attach(vmreq_vm id, uint32_t cpu)
{
        struct vm *vm = vm_pin(id.id);
        int r;

        if (!vm)
                return VMREQ_E_HANDLE;
        if (cpu >= vm->cpus)
                r = VMREQ_E_INVALID;
        else if (emt_self || !(vm->config.flags & VMREQ_CONFIG_ATTACH))
                r = VMREQ_E_STATE;
        else
                r = take_on(&vm->emts[cpu]);
        vm_unpin(vm);
        return r;
}

int vmreq_emt_detach(vmreq_vm id)
{
        struct emt *emt = emt_self;
        struct vm *vm;

        if (!emt || emt->vm->id != id.id || !(emt->vm->config.flags & VMREQ_CONFIG_ATTACH))
                return VMREQ_E_NOT_EMT;
        if (emt->current || emt->in_rendezvous ||
            atomic_load_explicit(&emt->state, memory_order_relaxed) == VMREQ_EMT_GUEST)
                return VMREQ_E_STATE;
        /* Once it is let go the VM may be stopped and freed: pinned until nothing of it is touched
         * any more.  It cannot be gone yet, since it has an EMT. */
        vm = vm_pin(id.id);
        CHECK(vm);
        end(emt);
        let_go(emt);
        vm_unpin(vm);
        return 0;
}

int vmreq_process(vmreq_vm id, int priority_only)
{
        struct emt *emt = emt_self;
        bool nested;
        int n;

        if (!emt || emt->vm->id != id.id)
                return VMREQ_E_NOT_EMT;
        nested = emt->current;
        if (!nested && atomic_load_explicit(&emt->stop, memory_order_acquire))
                return VMREQ_E_CLOSED;
        /* What is served may come here again, and so on: a level each, like a wait. */
        if (nested && !nest_enter(emt))
                return VMREQ_E_DEADLOCK;
        emt_turn(emt);
        n = (int)emt_serve(emt, emt->vm->batch, priority_only);
        if (nested)
                nest_leave(emt);
        return n;
}

int vmreq_pending(vmreq_vm id)
{
        struct emt *emt = emt_self;

        if (!emt || emt->vm->id != id.id)
                return VMREQ_E_NOT_EMT;
        return emt_has_work(emt);
}

int vmreq_halt(vmreq_vm id, uint64_t deadline_ns)
{
        struct emt *emt = emt_self;

        if (!emt || emt->vm->id != id.id)
                return VMREQ_E_NOT_EMT;
        /* A callee cannot run the guest, so that it wants to is no reason to go on. */
        emt_halt(emt, emt->current ? NULL : wants_guest, emt, deadline_ns);
        return 0;
}
