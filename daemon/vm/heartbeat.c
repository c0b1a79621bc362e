/* SPDX-License-Identifier: MIT */
/*
 * Does an EMT still turn its loop?  One word per EMT: who asks sets it and wakes the EMT, also out
 * of the guest; the EMT clears it at its next turn.  No packet, no place in a lane: it works while
 * slab and lanes are full.
 */
#include "vm/vm-internal.h"

void emt_turn(struct emt *emt)
{
        /* Relaxed: the word carries nothing; emt_has_work reads it with order before a sleep.  A
         * question that comes between the two lines is answered by this turn. */
        if (atomic_load_explicit(&emt->beat, memory_order_relaxed))
                atomic_store_explicit(&emt->beat, false, memory_order_relaxed);
        rendezvous_join(emt);
}

int vmreq_vm_heartbeat(vmreq_vm id)
{
        struct vm *vm = vm_pin(id.id);

        if (!vm)
                return VMREQ_E_HANDLE;
        for (uint32_t i = 0; i < vm->cpus; i++) {
                /* seq_cst: pairs with emt_has_work, which an EMT asks after it has announced its
                 * sleep: either it sees the question, or emt_wake sees the announcement. */
                atomic_store_explicit(&vm->emts[i].beat, true, memory_order_seq_cst);
                emt_wake(&vm->emts[i], true);
        }
        vm_unpin(vm);
        return VMREQ_OK;
}
