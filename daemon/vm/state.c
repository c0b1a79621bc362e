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
 * A change is two short descending rendezvous: one into the state between, one out of it.  In between no EMT
 * is parked; each serves its priority lanes only, and normal requests stay queued.  If either rendezvous
 * times out the VM is put back where it came from.
 *
 * The first rendezvous decides who changes: its first callback swaps the old state for the one between, and a
 * second change that comes meanwhile finds a state from which it is not legal.
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

struct change {
        struct vm *vm;
        const struct transition *transition;
        enum vmreq_vm_state from;
        bool entered;  /* the first callback has swapped the state */
        bool unneeded; /* it is there already */
};

/* The only writer of vm->state. */
static bool state_swap(struct vm *vm, enum vmreq_vm_state from, enum vmreq_vm_state to)
{
        uint32_t expected = from;

        /* What was done in the old state is visible in the new one; pairs with vmreq_vm_state.  seq_cst: pairs
         * with emt_priority_only, when no rendezvous follows. */
        if (!atomic_compare_exchange_strong_explicit(&vm->state, &expected, to, memory_order_seq_cst,
                                                     memory_order_acquire))
                return false;
        if (vm->config.state_changed)
                vm->config.state_changed(vm->config.ctx, from, to);
        return true;
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
        change->entered = state_swap(change->vm, change->from, change->transition->between);
        return change->entered ? 0 : VMREQ_E_STATE;
}

/* Second rendezvous: EMT 0, the last, completes. */
static int32_t complete(void *ctx, uint32_t cpu)
{
        struct change *change = ctx;
        enum vmreq_vm_state to = change->transition->to;

        if (cpu == 0)
                (void)state_swap(change->vm, change->transition->between,
                                 to == VMREQ_VM_DESTROYED ? change->from : to);
        return 0;
}

static int change_run(struct vm *vm, struct change *change, uint64_t timeout_ns)
{
        vmreq_vm id = {vm->id};
        int r = vmreq_rendezvous(id, VMREQ_RENDEZVOUS_DESCENDING, VMREQ_RENDEZVOUS_STOP, timeout_ns,
                                 enter, change, NULL, 0);

        if (r || !change->entered)
                return r;
        r = vmreq_rendezvous(id, VMREQ_RENDEZVOUS_DESCENDING, VMREQ_RENDEZVOUS_STOP, timeout_ns, complete,
                             change, NULL, 0);
        if (r)
                (void)state_swap(vm, change->transition->between, change->from);
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
