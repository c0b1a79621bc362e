/* SPDX-License-Identifier: MIT */
/*
 * Waiting for room, for submitters that asked to (VMREQ_WAIT_ROOM).  Who frees a packet or a place
 * looks whether somebody waits, and only then bumps the futex.  Everybody tries again: which of
 * them gets it is decided by the lane and the slab, not here.
 *
 * A try that fails must not wake the others, who would fail and wake this one: so a single request
 * keeps its packet from try to try, and a broadcast, which has to give its packets back, does so
 * silently, unless somebody else has tried while it held them:
 *
 *   broadcast: tries++; takes; fails; gives back; is tries what it was?  no: bump
 *   waiter:    tries++; finds nothing; sleeps until a bump
 *
 * Argument: both sides write, then read, all seq_cst: either the waiter finds what was given back,
 * or it is seen.
 */
#include "vm/vm-internal.h"

#include <limits.h>

#include "vm/futex.h"

/* What this thread gives back is what its own try has taken. */
static _Thread_local bool hushed;

uint32_t room_try(struct vm *vm)
{
        /* seq_cst: the argument at the top. */
        return atomic_fetch_add_explicit(&vm->room_tries, 1, memory_order_seq_cst) + 1;
}

void room_hush(void)
{
        hushed = true;
}

void room_tried(struct vm *vm, uint32_t try)
{
        hushed = false;
        if (atomic_load_explicit(&vm->room_tries, memory_order_seq_cst) != try)
                room_made(vm);
}

void room_made(struct vm *vm)
{
        if (hushed)
                return;
        /* seq_cst: pairs with submit_when_room; the freeing stands before this look. */
        if (!atomic_load_explicit(&vm->room_waiters, memory_order_seq_cst))
                return;
        atomic_fetch_add_explicit(&vm->room, 1, memory_order_seq_cst);
        futex_wake(&vm->room, INT_MAX);
        for (uint32_t i = 0; i < CPUSET_WORDS; i++) {
                /* seq_cst: pairs with nest_enter, which sets the bit before the last look. */
                uint64_t set = atomic_load_explicit(&vm->nested[i], memory_order_seq_cst);

                for (; set; set &= set - 1)
                        emt_wake(&vm->emts[i * 64 + (uint32_t)__builtin_ctzll(set)], true);
        }
}

struct awaited {
        struct vm *vm;
        uint32_t seen;
};

static bool has_changed(void *ctx)
{
        const struct awaited *awaited = ctx;

        /* seq_cst: a look before a sleep; pairs with the bump. */
        return atomic_load_explicit(&awaited->vm->room, memory_order_seq_cst) != awaited->seen ||
               atomic_load_explicit(&awaited->vm->closed, memory_order_seq_cst);
}

static int wait_emt(struct vm *vm, struct emt *emt, uint32_t seen, uint64_t deadline_ns)
{
        struct awaited awaited = {vm, seen};

        if (!wait_enter(emt))
                return VMREQ_E_DEADLOCK;
        while (!has_changed(&awaited) && clock_now_ns() < deadline_ns) {
                emt_turn(emt);
                if (emt_serve(emt, 1, false) == 0)
                        emt_halt(emt, has_changed, &awaited, deadline_ns);
        }
        nest_leave(emt);
        return has_changed(&awaited) ? 0 : VMREQ_E_TIMEOUT;
}

int room_wait(struct vm *vm, uint32_t seen, uint64_t deadline_ns)
{
        struct emt *emt = emt_self_of(vm);
        struct awaited awaited = {vm, seen};

        if (emt)
                return wait_emt(vm, emt, seen, deadline_ns);
        while (!has_changed(&awaited))
                if (futex_wait(&vm->room, seen, deadline_ns))
                        return VMREQ_E_TIMEOUT;
        return 0;
}
