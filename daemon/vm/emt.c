/* SPDX-License-Identifier: MIT */
/*
 * The emulation thread: stop, rendezvous, priority lanes, normal lanes, guest execution or halt.
 *
 * Everything that an EMT serves it takes through pick(): the priority lanes of ANY and of its own before the
 * normal lanes of both, ANY and own by turns; after priority_run priority requests in a row one normal request
 * goes first, so that neither lane starves.  At most `batch` requests pass before the loop looks at
 * stop and rendezvous again.
 *
 * "Work is pending" has one truth, emt_has_work, asked by the loop and again after the sleep was announced:
 * the lanes' own indices, the stop flag, the rendezvous flag.  No flag shadows them.
 */
#include "vm/vm-internal.h"

#include <limits.h>

#include "vm/cpu.h"
#include "vm/futex.h"

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

bool emt_priority_only(const struct vm *vm)
{
        /* seq_cst: an EMT about to sleep looks here, and a change that was put back stores, then wakes. */
        switch (atomic_load_explicit(&vm->state, memory_order_seq_cst)) {
        case VMREQ_VM_POWERING_ON:
        case VMREQ_VM_SUSPENDING:
        case VMREQ_VM_RESUMING:
        case VMREQ_VM_RESETTING:
        case VMREQ_VM_POWERING_OFF:
                return true;
        default:
                return false;
        }
}

static bool any_pending(struct vm *vm, bool priority_only)
{
        return lane_pending(&vm->any[LANE_PRIORITY]) ||
               (!priority_only && lane_pending(&vm->any[LANE_NORMAL]));
}

bool emt_has_work(struct emt *emt)
{
        struct vm *vm = emt->vm;
        bool priority_only = emt_priority_only(vm);

        /* seq_cst on stop and calling: pair with the stores in vmreq_vm_stop and vmreq_rendezvous, which wake
         * after them. */
        if (atomic_load_explicit(&emt->stop, memory_order_seq_cst) ||
            atomic_load_explicit(&vm->rendezvous.calling, memory_order_seq_cst))
                return true;
        return lane_pending(&emt->lanes[LANE_PRIORITY]) ||
               (!priority_only && lane_pending(&emt->lanes[LANE_NORMAL])) ||
               any_pending(vm, priority_only);
}

void emt_wake(struct emt *emt)
{
        if (event_wake(&emt->event))
                atomic_fetch_add_explicit(&emt->wakes, 1, memory_order_relaxed);
}

void emt_wake_one(struct vm *vm)
{
        for (uint32_t i = 0; i < CPUSET_WORDS && i * 64 < vm->cpus; i++) {
                /* seq_cst: pairs with emt_halt; the bit stands before the sleep word. */
                uint64_t set = atomic_load_explicit(&vm->asleep[i], memory_order_seq_cst);

                for (; set; set &= set - 1) {
                        struct emt *emt = &vm->emts[i * 64 + (uint32_t)__builtin_ctzll(set)];

                        if (!event_wake(&emt->event))
                                continue;
                        atomic_fetch_add_explicit(&emt->wakes, 1, memory_order_relaxed);
                        return;
                }
        }
}

void emt_pass_wake(struct emt *emt)
{
        if (any_pending(emt->vm, emt_priority_only(emt->vm)))
                emt_wake_one(emt->vm);
}

void emt_wake_all(struct vm *vm)
{
        for (uint32_t i = 0; i < vm->cpus; i++)
                emt_wake(&vm->emts[i]);
}

void emt_nudge(struct emt *emt)
{
        /* Release: pairs with the load in vmreq_park; the flag set before is visible to the parker. */
        atomic_fetch_add_explicit(&emt->park, 2, memory_order_release);
        futex_wake(&emt->park, INT_MAX);
}

void emt_nudge_runner(struct vm *vm, const struct req *req)
{
        /* Relaxed: a runner stores it after RUNNING.  One that has not yet, or whose store is not visible yet,
         * may be any, and may have looked at its flags already. */
        uint32_t cpu = atomic_load_explicit(&req->ran_on, memory_order_relaxed);

        for (uint32_t i = 0; i < vm->cpus; i++)
                if (cpu == i || cpu == VMREQ_CPU_NONE)
                        emt_nudge(&vm->emts[i]);
}

/* ---- taking ---- */

/* Takes the oldest live request of a lane and claims it: QUEUED → RUNNING, with a reference of the runner's. */
static struct req *take(struct emt *emt, struct lane *lane, uint64_t *ret_word)
{
        struct vm *vm = emt->vm;
        uint32_t index;
        uint64_t place;

        while (lane_take(lane, &index, &place)) {
                struct req *req = req_at(vm, index);
                uint64_t word = req_load(req), next;

                for (;;) {
                        uint64_t due;

                        /* The word is read before the place, and the swap proves that the generation stood
                         * all the while: so the place is that generation's.  The due time likewise. */
                        if (REQ_STATE(word) != VMREQ_REQ_QUEUED ||
                            atomic_load_explicit(&req->place, memory_order_relaxed) != place)
                                break;
                        due = atomic_load_explicit(&vm->due[index], memory_order_relaxed);
                        if (due && due <= clock_now_ns() &&
                            req_end_queued(vm, req, word, VMREQ_REQ_EXPIRED))
                                break; /* its time passed, and the service has not been here yet */
                        /* Relaxed: the closer kills whatever a late look lets through here; an EMT that it
                         * nudged out of a callee has seen it. */
                        if (atomic_load_explicit(&vm->closed, memory_order_relaxed) &&
                            req_end_queued(vm, req, word, VMREQ_REQ_KILLED))
                                break;
                        next = req_with_state(word, VMREQ_REQ_RUNNING) + REQ_REF_ONE;
                        if (!req_swap(req, &word, next))
                                continue;
                        atomic_store_explicit(&req->take_seq, lane_take_seq(lane, place),
                                              memory_order_relaxed);
                        *ret_word = next;
                        return req;
                }
                count(&emt->skipped); /* cancelled, expired or killed while it stood here */
        }
        return NULL;
}

static struct req *take_level(struct emt *emt, unsigned level, uint64_t *ret_word)
{
        struct lane *own = &emt->lanes[level], *any = &emt->vm->any[level];
        struct lane *first = emt->any_first ? any : own, *second = emt->any_first ? own : any;
        struct req *req = lane_pending(first) ? take(emt, first, ret_word) : NULL;

        if (req) {
                emt->any_first = !emt->any_first;
                return req;
        }
        return lane_pending(second) ? take(emt, second, ret_word) : NULL;
}

static struct req *pick(struct emt *emt, bool priority_only, uint64_t *ret_word)
{
        struct req *req;

        if (!priority_only && emt->priority_run >= emt->vm->priority_run) {
                emt->priority_run = 0;
                req = take_level(emt, LANE_NORMAL, ret_word);
                if (req)
                        return req;
        }
        req = take_level(emt, LANE_PRIORITY, ret_word);
        if (req) {
                emt->priority_run++;
                return req;
        }
        if (priority_only)
                return NULL;
        emt->priority_run = 0;
        return take_level(emt, LANE_NORMAL, ret_word);
}

/* ---- running ---- */

static void publish_current(struct emt *emt, struct req *req, uint64_t word, uint64_t since_ns)
{
        /* Relaxed: snapshots; the generation is compared before it is believed. */
        atomic_store_explicit(&emt->current_tag, req ? req->tag : 0, memory_order_relaxed);
        atomic_store_explicit(&emt->current_since_ns, since_ns, memory_order_relaxed);
        atomic_store_explicit(&emt->current_index, req ? req_index(emt->vm, req) : 0,
                              memory_order_relaxed);
        atomic_store_explicit(&emt->current_generation, req ? REQ_GENERATION(word) + 1 : 0,
                              memory_order_relaxed);
        set_state(emt, req ? VMREQ_EMT_RUNNING : VMREQ_EMT_AWAKE);
}

void emt_run(struct emt *emt, struct req *req, uint64_t word)
{
        struct req *outer = emt->current;
        uint64_t now = clock_now_ns();

        atomic_store_explicit(&req->ran_on, emt->cpu, memory_order_relaxed);
        atomic_store_explicit(&req->start_ns, now, memory_order_relaxed);
        emt->current = req;
        publish_current(emt, req, word, now);
        emt_pass_wake(emt);

        invoke(req, emt->cpu);

        atomic_store_explicit(&req->end_ns, clock_now_ns(), memory_order_relaxed);
        emt->current = outer;
        publish_current(emt, outer, outer ? req_load(outer) : 0,
                        outer ? atomic_load_explicit(&outer->start_ns, memory_order_relaxed) : 0);
        count(&emt->done);
        req_end_running(emt->vm, req);
}

uint32_t emt_serve(struct emt *emt, uint32_t max, bool priority_only)
{
        uint32_t n = 0;

        while (n < max) {
                /* Asked each time: the last callee may have waited, and joined a change of state. */
                bool only = priority_only || emt_priority_only(emt->vm);
                uint64_t word;
                struct req *req = pick(emt, only, &word);

                if (!req)
                        break;
                emt_run(emt, req, word);
                n++;
        }
        return n;
}

/* ---- halting ---- */

/* Spins for the EMT's own estimate of what pays.  True: there is something to do. */
static bool spin(struct emt *emt, bool (*ready)(void *ctx), void *ctx)
{
        uint64_t end;

        if (!emt->spin_ns)
                return false;
        end = clock_now_ns() + emt->spin_ns;
        do {
                for (unsigned i = 0; i < 32; i++) {
                        if (emt_has_work(emt) || (ready && ready(ctx))) {
                                count(&emt->spins_paid);
                                emt->spin_ns = MIN(emt->spin_ns * 2, emt->vm->spin_ns_max);
                                return true;
                        }
                        cpu_relax();
                }
        } while (clock_now_ns() < end);
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
        /* The bit first, then the sleep word (both seq_cst), then the look for work: who pushes to ANY after
         * that look sees the bit and the word. */
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
        /* Relaxed: a stale bit costs a waker one look. */
        atomic_fetch_and_explicit(asleep, ~bit, memory_order_relaxed);
}

void *emt_main(void *arg)
{
        struct emt *emt = arg;
        struct vm *vm = emt->vm;

        emt_self = emt;
        /* Acquire: pairs with the store in vmreq_vm_stop. */
        while (!atomic_load_explicit(&emt->stop, memory_order_acquire)) {
                rendezvous_join(emt);
                if (emt_serve(emt, vm->batch, false) == 0)
                        emt_halt(emt, NULL, NULL, UINT64_MAX);
        }
        set_state(emt, VMREQ_EMT_ENDED);
        emt_self = NULL;
        /* Release: pairs with the acquire in vmreq_vm_stop. */
        atomic_store_explicit(&emt->ended, 1, memory_order_release);
        futex_wake(&emt->ended, INT_MAX);
        return NULL;
}

/* ---- what a callee may ask ---- */

uint32_t vmreq_emt_self(vmreq_vm vm)
{
        return emt_self && emt_self->vm->id == vm.id ? emt_self->cpu : VMREQ_CPU_NONE;
}

vmreq_handle vmreq_current(void)
{
        struct req *req = emt_self ? emt_self->current : NULL;

        return req ? req_handle(emt_self->vm, req, req_load(req)) : VMREQ_HANDLE_NONE;
}

int vmreq_cancel_requested(void)
{
        struct req *req = emt_self ? emt_self->current : NULL;

        return req && (req_load(req) & REQ_F_CANCEL);
}

int vmreq_park(uint64_t deadline_ns)
{
        struct emt *emt = emt_self;

        if (!emt || !emt->current)
                return VMREQ_E_NOT_EMT;
        for (;;) {
                /* Acquire: pairs with the release in emt_nudge and vmreq_unpark; the snapshot is taken before
                 * the flag is looked at, so a flag set after that look changes the word we sleep on. */
                uint32_t word = atomic_load_explicit(&emt->park, memory_order_acquire);

                if (word & 1) {
                        atomic_fetch_and_explicit(&emt->park, ~1u, memory_order_acquire);
                        return 0;
                }
                if (vmreq_cancel_requested())
                        return VMREQ_E_CANCELLED;
                if (futex_wait(&emt->park, word, deadline_ns))
                        return VMREQ_E_TIMEOUT;
        }
}

int vmreq_unpark(vmreq_vm id, uint32_t cpu)
{
        struct vm *vm = vm_pin(id.id);
        int r = VMREQ_E_INVALID;

        if (!vm)
                return VMREQ_E_HANDLE;
        if (cpu < vm->cpus) {
                /* Release: pairs with vmreq_park; what the unparker did before is visible behind it. */
                atomic_fetch_or_explicit(&vm->emts[cpu].park, 1, memory_order_release);
                futex_wake(&vm->emts[cpu].park, INT_MAX);
                r = 0;
        }
        vm_unpin(vm);
        return r;
}

int vmreq_process(vmreq_vm id, int priority_only)
{
        struct emt *emt = emt_self;

        if (!emt || emt->vm->id != id.id)
                return VMREQ_E_NOT_EMT;
        return (int)emt_serve(emt, emt->vm->batch, priority_only);
}
