/* SPDX-License-Identifier: MIT */
/*
 * Guest execution, and how an EMT is taken out of it.
 *
 * The EMT announces that it enters (event word GUEST), looks for work once more, and enters; who
 * has work for it publishes that, then reads the word.  A kick before the guest is really entered
 * is kept by the backend.
 *
 * A request without POKE leaves the guest alone until its next exit, but not for ever: its
 * submitter notes a due time (lazy_ns), and the deadline service kicks an EMT that is still in the
 * guest then with something to do.
 */
#include "vm/vm-internal.h"

static void count(_Atomic uint64_t *counter)
{
        /* Relaxed: written by one EMT, read by snapshots. */
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

bool guest_runnable(struct emt *emt)
{
        struct vm *vm = emt->vm;

        if (!vm->backend.run)
                return false;
        /* seq_cst: an EMT about to enter or to sleep looks here; who changes the state, or raises
         * an interrupt, stores, then kicks and wakes. */
        if (atomic_load_explicit(&vm->state, memory_order_seq_cst) != VMREQ_VM_RUNNING)
                return false;
        return !emt->halted || atomic_load_explicit(&emt->interrupt, memory_order_seq_cst);
}

bool guest_kick(struct emt *emt)
{
        struct vm *vm = emt->vm;

        if (!event_kick(&emt->event))
                return false;
        atomic_fetch_add_explicit(&emt->kicks, 1, memory_order_relaxed);
        if (vm->backend.kick)
                vm->backend.kick(vm->backend.ctx, emt->cpu);
        return true;
}

bool guest_lazy(struct emt *emt)
{
        struct vm *vm = emt->vm;
        uint64_t none = 0, due;

        if (!event_in_guest(&emt->event))
                return false;
        if (!vm->lazy_poke_ns)
                return true;
        due = clock_add(clock_now_ns(), vm->lazy_poke_ns);
        /* seq_cst: as a deadline, deadline.c: noted before `earliest` is looked at. */
        if (atomic_compare_exchange_strong_explicit(&emt->lazy_ns, &none, due, memory_order_seq_cst,
                                                    memory_order_relaxed) &&
            deadline_arm(vm, due))
                (void)guest_kick(emt); /* nobody would come later */
        return true;
}

uint64_t guest_service(struct vm *vm, uint64_t now_ns)
{
        uint64_t left = UINT64_MAX;

        if (!vm->backend.kick)
                return left;
        for (uint32_t i = 0; i < vm->cpus; i++) {
                struct emt *emt = &vm->emts[i];
                uint64_t due = atomic_load_explicit(&emt->lazy_ns, memory_order_seq_cst);

                if (!due)
                        continue;
                if (due > now_ns) {
                        left = MIN(left, due);
                        continue;
                }
                /* Before the look: a request that comes after it notes its own. */
                atomic_store_explicit(&emt->lazy_ns, 0, memory_order_seq_cst);
                if (emt_has_work(emt))
                        (void)guest_kick(emt);
        }
        return left;
}

/* Announces the guest; false: something is to do first. */
static bool enter(struct emt *emt)
{
        event_guest_prepare(&emt->event);
        if (!emt_has_work(emt) && guest_runnable(emt))
                return true;
        event_guest_leave(&emt->event);
        return false;
}

static void leave(struct emt *emt)
{
        event_guest_leave(&emt->event);
        /* Relaxed: lanes are looked at next; what is noted too late costs one look of the service.
         */
        atomic_store_explicit(&emt->lazy_ns, 0, memory_order_relaxed);
        count(&emt->exits);
}

static void set_state(struct emt *emt, enum vmreq_emt_state state)
{
        atomic_store_explicit(&emt->state, state, memory_order_relaxed);
}

void guest_run(struct emt *emt)
{
        struct vm *vm = emt->vm;
        const char *reason = NULL;
        int exit;

        if (!enter(emt))
                return;
        emt->halted = false;
        /* Relaxed: an interrupt that comes from here on kicks, and stays noted. */
        atomic_store_explicit(&emt->interrupt, 0, memory_order_relaxed);
        set_state(emt, VMREQ_EMT_GUEST);
        exit = vm->backend.run(vm->backend.ctx, emt->cpu, &reason);
        set_state(emt, VMREQ_EMT_AWAKE);
        leave(emt);
        switch (exit) {
        case VMREQ_EXIT_AGAIN:
                break;
        case VMREQ_EXIT_HALT:
                emt->halted = true;
                break;
        case VMREQ_EXIT_POWER_OFF:
                state_guest_ended(vm, VMREQ_VM_OFF,
                                  reason ? reason : "the guest powered itself off");
                break;
        default:
                state_guest_ended(vm, VMREQ_VM_FAILED, reason ? reason : "the backend failed");
                break;
        }
}

int vmreq_guest_enter(vmreq_vm id)
{
        struct emt *emt = emt_self;

        if (!emt || emt->vm->id != id.id)
                return VMREQ_E_NOT_EMT;
        emt->halted = false; /* it wants to run */
        if (emt->current || emt->in_rendezvous ||
            atomic_load_explicit(&emt->vm->state, memory_order_seq_cst) != VMREQ_VM_RUNNING)
                return VMREQ_E_STATE;
        event_guest_prepare(&emt->event);
        if (emt_has_work(emt) ||
            atomic_load_explicit(&emt->vm->state, memory_order_seq_cst) != VMREQ_VM_RUNNING) {
                event_guest_leave(&emt->event);
                return VMREQ_E_STATE;
        }
        /* Relaxed: as in guest_run. */
        atomic_store_explicit(&emt->interrupt, 0, memory_order_relaxed);
        set_state(emt, VMREQ_EMT_GUEST);
        return 0;
}

int vmreq_guest_leave(vmreq_vm id)
{
        struct emt *emt = emt_self;

        if (!emt || emt->vm->id != id.id)
                return VMREQ_E_NOT_EMT;
        if (atomic_load_explicit(&emt->state, memory_order_relaxed) != VMREQ_EMT_GUEST)
                return VMREQ_E_STATE;
        set_state(emt, VMREQ_EMT_AWAKE);
        leave(emt);
        /* If its owner calls vmreq_halt next, and not vmreq_guest_enter, then for an interrupt. */
        emt->halted = true;
        return 0;
}

int vmreq_vcpu_unhalt(vmreq_vm id, uint32_t cpu)
{
        struct vm *vm = vm_pin(id.id);
        int r = VMREQ_E_INVALID;

        if (!vm)
                return VMREQ_E_HANDLE;
        if (cpu < vm->cpus) {
                /* seq_cst: pairs with guest_runnable. */
                atomic_store_explicit(&vm->emts[cpu].interrupt, 1, memory_order_seq_cst);
                emt_wake(&vm->emts[cpu], true);
                r = 0;
        }
        vm_unpin(vm);
        return r;
}
