/* SPDX-License-Identifier: MIT */
/*
 * The VM's states: one table, one setter.
 *
 *   CREATED, OFF            --power_on-->  POWERING_ON  --> RUNNING
 *   RUNNING                 --suspend-->   SUSPENDING   --> SUSPENDED
 *   SUSPENDED               --resume-->    RESUMING     --> RUNNING
 *   RUNNING, SUSPENDED      --reset-->     RESETTING    --> where it was
 *   CREATED, RUNNING, SUSPENDED, FAILED --power_off--> POWERING_OFF --> OFF
 *
 * A change is two short descending rendezvous: one into the state between, one out of it.  In
 * between no EMT is parked; each serves its priority lanes only, and normal requests stay queued.
 * If either rendezvous times out the VM is put back where it came from.
 *
 * The first rendezvous decides who changes: its first callback swaps the old state for the one
 * between, and a second change that comes meanwhile finds a state from which it is not legal.
 */
#include "vm/vm-internal.h"

struct transition {
        enum vmreq_vm_state between, to; /* to: VMREQ_VM_DESTROYED stands for "where it was" */
        uint32_t from;                   /* set of states */
};

#define FROM(state) (1u << (state))

static const struct transition transitions[_VMREQ_EVENT_N] = {
        [VMREQ_EVENT_POWER_ON] = {VMREQ_VM_POWERING_ON, VMREQ_VM_RUNNING,
                                  FROM(VMREQ_VM_CREATED) | FROM(VMREQ_VM_OFF)},
        [VMREQ_EVENT_SUSPEND] = {VMREQ_VM_SUSPENDING, VMREQ_VM_SUSPENDED, FROM(VMREQ_VM_RUNNING)},
        [VMREQ_EVENT_RESUME] = {VMREQ_VM_RESUMING, VMREQ_VM_RUNNING, FROM(VMREQ_VM_SUSPENDED)},
        [VMREQ_EVENT_RESET] = {VMREQ_VM_RESETTING, VMREQ_VM_DESTROYED,
                               FROM(VMREQ_VM_RUNNING) | FROM(VMREQ_VM_SUSPENDED)},
        [VMREQ_EVENT_POWER_OFF] = {VMREQ_VM_POWERING_OFF, VMREQ_VM_OFF,
                                   FROM(VMREQ_VM_CREATED) | FROM(VMREQ_VM_RUNNING) |
                                           FROM(VMREQ_VM_SUSPENDED) | FROM(VMREQ_VM_FAILED)},
};

static_assert(_VMREQ_VM_N <= 32, "states fit a set");

#define TIMEOUT_NS_DEFAULT (5 * CLOCK_NS_PER_S)

struct change {
        struct vm *vm;
        const struct transition *transition;
        enum vmreq_vm_state from;
        bool entered;  /* the first callback has swapped the state */
        bool unneeded; /* it is there already */
};

/* ---- listeners ---- */

int listeners_init(struct listeners *listeners)
{
        pthread_condattr_t attributes;

        if (pthread_mutex_init(&listeners->lock, NULL))
                return VMREQ_E_SYSTEM;
        (void)pthread_condattr_init(&attributes);
        (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (pthread_cond_init(&listeners->cond, &attributes)) {
                (void)pthread_mutex_destroy(&listeners->lock);
                return VMREQ_E_SYSTEM;
        }
        (void)pthread_condattr_destroy(&attributes);
        return 0;
}

void listeners_deinit(struct listeners *listeners)
{
        (void)pthread_cond_destroy(&listeners->cond);
        (void)pthread_mutex_destroy(&listeners->lock);
}

static void lock(struct listeners *listeners)
{
        CHECK(pthread_mutex_lock(&listeners->lock) == 0);
}

static void unlock(struct listeners *listeners)
{
        CHECK(pthread_mutex_unlock(&listeners->lock) == 0);
}

int vmreq_listener_add(vmreq_vm id, vmreq_listener fn, void *ctx, uint32_t *ret_id)
{
        struct listeners *listeners;
        struct vm *vm;
        int r = 0;

        if (!fn || !ret_id)
                return VMREQ_E_INVALID;
        vm = vm_pin(id.id);
        if (!vm)
                return VMREQ_E_HANDLE;
        listeners = &vm->listeners;
        lock(listeners);
        if (listeners->n == VMREQ_LISTENERS_MAX) {
                r = VMREQ_E_BUSY;
        } else {
                *ret_id = listeners->n;
                listeners->list[listeners->n++] = (struct listener){.fn = fn, .ctx = ctx};
        }
        unlock(listeners);
        vm_unpin(vm);
        return r;
}

int vmreq_state_done(vmreq_vm id, uint32_t listener)
{
        struct vm *vm = vm_pin(id.id);
        struct listeners *listeners;
        int r = VMREQ_E_STATE;

        if (!vm)
                return VMREQ_E_HANDLE;
        listeners = &vm->listeners;
        lock(listeners);
        if (listener >= listeners->n) {
                r = VMREQ_E_INVALID;
        } else if (listeners->list[listener].pending) {
                listeners->list[listener].pending = false;
                CHECK(pthread_cond_broadcast(&listeners->cond) == 0);
                r = 0;
        }
        unlock(listeners);
        /* A change that waits on an EMT sleeps there. */
        if (r == 0)
                emt_wake_all(vm);
        vm_unpin(vm);
        return r;
}

static bool is_between(enum vmreq_vm_state state)
{
        for (unsigned i = 0; i < _VMREQ_EVENT_N; i++)
                if (transitions[i].between == state)
                        return true;
        return false;
}

/* `pending` is set before the listener is asked, so that it may call vmreq_state_done from inside.
 */
static void tell_listeners(struct vm *vm, enum vmreq_vm_state from, enum vmreq_vm_state to,
                           const char *reason)
{
        struct listeners *listeners = &vm->listeners;
        bool may_hold = is_between(to);

        if (vm->config.state_changed)
                vm->config.state_changed(vm->config.ctx, from, to, reason);
        lock(listeners);
        for (uint32_t i = 0; i < listeners->n; i++) {
                struct listener *listener = &listeners->list[i];
                int answer;

                listener->pending = may_hold;
                unlock(listeners);
                answer = listener->fn(listener->ctx, from, to);
                lock(listeners);
                if (answer != VMREQ_LISTENER_PENDING)
                        listener->pending = false;
        }
        unlock(listeners);
}

static bool somebody_holds(struct listeners *listeners)
{
        for (uint32_t i = 0; i < listeners->n; i++)
                if (listeners->list[i].pending)
                        return true;
        return false;
}

static bool nobody_holds(void *ctx)
{
        struct vm *vm = ctx;
        bool holds;

        lock(&vm->listeners);
        holds = somebody_holds(&vm->listeners) && !vm->listeners.refused;
        unlock(&vm->listeners);
        return !holds;
}

void listeners_refuse(struct vm *vm)
{
        struct listeners *listeners = &vm->listeners;

        lock(listeners);
        listeners->refused = true;
        CHECK(pthread_cond_broadcast(&listeners->cond) == 0);
        unlock(listeners);
        emt_wake_all(vm);
}

/* Waits until no listener holds the state between.  0; TIMEOUT; CLOSED: the VM is stopping. */
static int wait_listeners(struct vm *vm, uint64_t deadline_ns)
{
        struct listeners *listeners = &vm->listeners;
        struct timespec ts = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S),
                              .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S)};
        struct emt *emt = emt_self_of(vm);
        int error = 0, r;

        /* An EMT serves its priority lanes meanwhile: what the listener waits for may need it. */
        while (emt && !nobody_holds(vm) && clock_now_ns() < deadline_ns) {
                emt_turn(emt);
                if (emt_serve(emt, 1, true) == 0)
                        emt_halt(emt, nobody_holds, vm, deadline_ns);
        }
        lock(listeners);
        while (somebody_holds(listeners) && !listeners->refused && error == 0 && !emt)
                error = pthread_cond_timedwait(&listeners->cond, &listeners->lock, &ts);
        r = !somebody_holds(listeners) ? 0 : listeners->refused ? VMREQ_E_CLOSED : VMREQ_E_TIMEOUT;
        for (uint32_t i = 0; i < listeners->n; i++)
                listeners->list[i].pending = false;
        unlock(listeners);
        return r;
}

/* ---- changes ---- */

/* Besides put_back the only writer of vm->state. */
static bool state_swap(struct vm *vm, enum vmreq_vm_state from, enum vmreq_vm_state to,
                       const char *reason)
{
        uint32_t expected = from;

        /* What was done in the old state is visible in the new one; pairs with vmreq_vm_state.
         * seq_cst: pairs with emt_priority_only and guest_runnable, when no rendezvous follows. */
        if (!atomic_compare_exchange_strong_explicit(&vm->state, &expected, to,
                                                     memory_order_seq_cst, memory_order_acquire))
                return false;
        tell_listeners(vm, from, to, reason);
        return true;
}

void state_guest_ended(struct vm *vm, enum vmreq_vm_state to, const char *reason)
{
        /* Of several vCPUs that end at once, one changes the state; the others find it changed. */
        if (state_swap(vm, VMREQ_VM_RUNNING, to, reason))
                emt_wake_all(vm);
}

static enum vmreq_vm_state state_now(const struct vm *vm)
{
        /* Acquire: pairs with state_swap. */
        return (enum vmreq_vm_state)atomic_load_explicit(&vm->state, memory_order_acquire);
}

/* First rendezvous: the highest EMT decides, the others look at the outcome. */
static int32_t enter(void *ctx, uint32_t cpu)
{
        struct change *change = ctx;

        if (cpu != change->vm->cpus - 1)
                return 0;
        change->from = state_now(change->vm);
        change->unneeded = change->from == change->transition->to;
        if (change->unneeded || !(change->transition->from & FROM(change->from)))
                return change->unneeded ? 0 : VMREQ_E_STATE;
        change->entered = state_swap(change->vm, change->from, change->transition->between, NULL);
        return change->entered ? 0 : VMREQ_E_STATE;
}

/* Second rendezvous: vCPUs are put to their beginning where that is asked for; EMT 0, the last,
 * completes. */
static int32_t complete(void *ctx, uint32_t cpu)
{
        struct change *change = ctx;
        struct vm *vm = change->vm;
        const struct transition *transition = change->transition;
        bool resets = transition->between == VMREQ_VM_RESETTING ||
                      transition->between == VMREQ_VM_POWERING_ON;

        if (resets) {
                vm->emts[cpu].halted = false;
                if (vm->backend.vcpu_reset)
                        vm->backend.vcpu_reset(vm->backend.ctx, cpu);
        }
        if (cpu == 0)
                (void)state_swap(
                        vm, transition->between,
                        transition->to == VMREQ_VM_DESTROYED ? change->from : transition->to, NULL);
        return 0;
}

/* The change has failed.  Outside of a rendezvous, so the listeners are told first: once the old
 * state stands the guest may run and end, or another change begin, and they would be told of that
 * by another thread. */
static void put_back(struct vm *vm, const struct change *change)
{
        tell_listeners(vm, change->transition->between, change->from, NULL);
        /* seq_cst: as in state_swap.  Between, nobody else changes it. */
        atomic_store_explicit(&vm->state, change->from, memory_order_seq_cst);
}

static int change_run(struct vm *vm, struct change *change, uint64_t timeout_ns)
{
        uint64_t deadline_ns =
                         clock_add(clock_now_ns(), timeout_ns ? timeout_ns : TIMEOUT_NS_DEFAULT),
                 now;
        vmreq_vm id = {vm->id};
        int r = vmreq_rendezvous(id, VMREQ_RENDEZVOUS_DESCENDING, VMREQ_RENDEZVOUS_STOP, timeout_ns,
                                 enter, change, NULL, 0);

        if (r || !change->entered)
                return r;
        r = wait_listeners(vm, deadline_ns);
        now = clock_now_ns();
        if (r == 0)
                r = vmreq_rendezvous(id, VMREQ_RENDEZVOUS_DESCENDING, VMREQ_RENDEZVOUS_STOP,
                                     deadline_ns > now ? deadline_ns - now : 1, complete, change,
                                     NULL, 0);
        if (r)
                put_back(vm, change);
        /* Normal lanes are served again; an EMT may have gone to sleep on a full one. */
        emt_wake_all(vm);
        return r;
}

int vmreq_vm_change(vmreq_vm id, enum vmreq_vm_event event, uint64_t timeout_ns, int *ret_changed,
                    enum vmreq_vm_state *ret_state)
{
        struct change change = {0};
        struct vm *vm;
        int r;

        if ((unsigned)event >= _VMREQ_EVENT_N)
                return VMREQ_E_INVALID;
        vm = vm_pin(id.id);
        if (!vm)
                return VMREQ_E_HANDLE;
        change.vm = vm;
        change.transition = &transitions[event];
        r = change_run(vm, &change, timeout_ns);
        if (ret_changed)
                *ret_changed = r == 0 && change.entered;
        if (ret_state)
                *ret_state = r == VMREQ_E_STATE ? change.from : state_now(vm);
        vm_unpin(vm);
        return r;
}

enum vmreq_vm_state vmreq_vm_state(vmreq_vm id)
{
        struct vm *vm = vm_pin(id.id);
        enum vmreq_vm_state state = VMREQ_VM_DESTROYED;

        if (vm) {
                state = state_now(vm);
                vm_unpin(vm);
        }
        return state;
}
