/* SPDX-License-Identifier: MIT */
/*
 * Ids → VMs.  An id is never used twice in a process; id mod VMREQ_VMS_MAX is its slot.
 *
 * A pin keeps a VM from being freed while a call is inside the engine.  It is a counter, striped by
 * thread:
 *
 *   pin:   stripe++ ; does the slot still carry the id?  no: stripe--, NULL
 *   free:  take the id out of the slot ; wait until every stripe is 0
 *
 * Argument: both sides store, then load, all seq_cst: either the pinner finds the id gone, or the
 * freer finds its count.
 */
#include "vm/vm-internal.h"

#include <limits.h>

#include "vm/futex.h"

struct slot {
        _Atomic uint32_t id; /* 0: empty */
        struct vm *_Atomic vm;
        struct {
                _Alignas(CACHE_LINE) _Atomic uint32_t n;
        } pins[VM_STRIPES];
};

static struct slot slots[VMREQ_VMS_MAX];

/* Guards next_id and the choice of a slot. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t next_id = 1;

uint32_t vm_stripe(void)
{
        static _Atomic uint32_t next;
        static _Thread_local uint32_t mine;

        if (!mine)
                /* Relaxed: only spreads threads. */
                mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % VM_STRIPES + 1;
        return mine - 1;
}

static void drop(struct slot *slot, uint32_t id, uint32_t stripe)
{
        _Atomic uint32_t *n = &slot->pins[stripe].n;

        /* seq_cst: pairs with vm_table_remove, as above. */
        if (atomic_fetch_sub_explicit(n, 1, memory_order_seq_cst) == 1 &&
            atomic_load_explicit(&slot->id, memory_order_seq_cst) != id)
                futex_wake(n, INT_MAX);
}

struct vm *vm_pin(uint32_t id)
{
        struct slot *slot = &slots[id % VMREQ_VMS_MAX];
        uint32_t stripe = vm_stripe();

        if (id == 0)
                return NULL;
        /* seq_cst: pairs with vm_table_remove, as above. */
        atomic_fetch_add_explicit(&slot->pins[stripe].n, 1, memory_order_seq_cst);
        if (atomic_load_explicit(&slot->id, memory_order_seq_cst) != id) {
                drop(slot, id, stripe);
                return NULL;
        }
        /* Relaxed: stored before the id, which was just read. */
        return atomic_load_explicit(&slot->vm, memory_order_relaxed);
}

void vm_unpin(struct vm *vm)
{
        drop(&slots[vm->id % VMREQ_VMS_MAX], vm->id, vm_stripe());
}

int vm_table_add(struct vm *vm)
{
        int r = VMREQ_E_BUSY;

        CHECK(pthread_mutex_lock(&table_lock) == 0);
        for (uint32_t i = 0; i < VMREQ_VMS_MAX && next_id != 0; i++) {
                uint32_t id = next_id++;
                struct slot *slot = &slots[id % VMREQ_VMS_MAX];

                /* Relaxed: `vm` is changed under the lock only. */
                if (atomic_load_explicit(&slot->vm, memory_order_relaxed))
                        continue;
                vm->id = id;
                atomic_store_explicit(&slot->vm, vm, memory_order_relaxed);
                /* seq_cst publishes the VM; pairs with vm_pin. */
                atomic_store_explicit(&slot->id, id, memory_order_seq_cst);
                r = 0;
                break;
        }
        CHECK(pthread_mutex_unlock(&table_lock) == 0);
        return r;
}

bool vm_table_remove(uint32_t id, struct vm **ret_vm)
{
        struct slot *slot = &slots[id % VMREQ_VMS_MAX];
        uint32_t expected = id;

        if (id == 0 || !atomic_compare_exchange_strong_explicit(
                               &slot->id, &expected, 0, memory_order_seq_cst, memory_order_relaxed))
                return false;
        for (uint32_t i = 0; i < VM_STRIPES; i++) {
                uint32_t n;

                while ((n = atomic_load_explicit(&slot->pins[i].n, memory_order_seq_cst)) != 0)
                        (void)futex_wait(&slot->pins[i].n, n, UINT64_MAX);
        }
        *ret_vm = atomic_load_explicit(&slot->vm, memory_order_relaxed);
        CHECK(pthread_mutex_lock(&table_lock) == 0);
        atomic_store_explicit(&slot->vm, NULL, memory_order_relaxed);
        CHECK(pthread_mutex_unlock(&table_lock) == 0);
        return true;
}
