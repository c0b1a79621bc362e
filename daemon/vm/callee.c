/* SPDX-License-Identifier: MIT */
/* What a callee may ask on its EMT: who it is, whether it shall end, to be parked, to serve others
 * meanwhile. */
#include "vm/vm-internal.h"

#include <limits.h>

#include "vm/futex.h"

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
                /* Acquire: pairs with the release in emt_nudge and vmreq_unpark; the snapshot is
                 * taken before the flag is looked at, so a flag set after that look changes the
                 * word we sleep on. */
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
                /* Release: pairs with vmreq_park; what the unparker did before is visible behind
                 * it. */
                atomic_fetch_or_explicit(&vm->emts[cpu].park, 1, memory_order_release);
                futex_wake(&vm->emts[cpu].park, INT_MAX);
                r = 0;
        }
        vm_unpin(vm);
        return r;
}
