/* SPDX-License-Identifier: MIT */
/*
 * Waiting for room, for submitters that asked to (VMREQ_WAIT_ROOM).  Who frees a packet or a place
 * looks whether somebody waits, and only then bumps the futex.  Everybody tries again: which of
 * them gets it is decided by the lane and the slab, not here.
 *
 * A try that fails must not wake the others, who would fail and wake this one: so a single request
 * keeps its packet from try to try, and a broadcast, which has to give its packets back, does so
 * silently, unless a waiter may have missed just these:
 *
 *   waiter:    under way + 1; seen = room; finds nothing; failed + 1, under way - 1; sleeps if room
 *              is what was seen
 *   broadcast: f = failed; takes; finds no more; gives back; is failed not f, or somebody else
 *              under way?  bump room
 *
 * Argument: all seq_cst, and failed and under way are one word.  A waiter that did not find what
 * the broadcast held looked after f was read, so it has counted its failure since, or is still
 * under way; and its look came after what it had seen of room, so the bump keeps it from sleeping.
 * Not so the broadcast, whose own bumps are no news to it: two that fail because of each other do
 * not keep each other awake.
 */
#include "vm/vm-internal.h"

#include <limits.h>

#include "vm/futex.h"
#include "vm/step.h"

/* vm->room_tries */
#define TRY_FAILED      (1ull << 20)
#define TRIES_UNDER_WAY (TRY_FAILED - 1)

/* What this thread gives back is what its own try has taken. */
static _Thread_local bool hushed;
/* Where this thread has a try under way.  If one hides another, somebody is woken for nothing. */
static _Thread_local const struct vm *trying;
/* How often it has bumped room since that began. */
static _Thread_local uint32_t bumps;

uint32_t room_try(struct vm *vm)
{
        trying = vm;
        bumps = 0;
        /* seq_cst: the argument at the top. */
        VM_STEP(try_begin);
        atomic_fetch_add_explicit(&vm->room_tries, 1, memory_order_seq_cst);
        VM_STEP(try_snapshot);
        return atomic_load_explicit(&vm->room, memory_order_seq_cst);
}

void room_try_end(struct vm *vm, bool failed, uint32_t *seen)
{
        VM_STEP(try_end);
        atomic_fetch_add_explicit(&vm->room_tries, (failed ? TRY_FAILED : 0) - 1,
                                  memory_order_seq_cst);
        *seen += bumps;
        trying = NULL;
}

uint32_t room_failed(struct vm *vm)
{
        VM_STEP(failed_look);
        return (uint32_t)(atomic_load_explicit(&vm->room_tries, memory_order_seq_cst) / TRY_FAILED);
}

void room_hush(void)
{
        hushed = true;
}

void room_tried(struct vm *vm, uint32_t failed)
{
        uint64_t tries;

        hushed = false;
        VM_STEP(tried_look);
        tries = atomic_load_explicit(&vm->room_tries, memory_order_seq_cst);
        if ((uint32_t)(tries / TRY_FAILED) != failed ||
            (tries & TRIES_UNDER_WAY) > (trying == vm ? 1 : 0))
                room_made(vm);
}

void room_made(struct vm *vm)
{
        if (hushed)
                return;
        /* seq_cst: pairs with submit_when_room; the freeing stands before this look. */
        VM_STEP(made_look);
        if (!atomic_load_explicit(&vm->room_waiters, memory_order_seq_cst))
                return;
        bumps++;
        VM_STEP(made_bump);
        atomic_fetch_add_explicit(&vm->room, 1, memory_order_seq_cst);
        VM_STEP(made_futex);
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
        VM_STEP(changed_look);
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
        while (!has_changed(&awaited)) {
                VM_STEP(room_futex);
                if (futex_wait(&vm->room, seen, deadline_ns))
                        return VMREQ_E_TIMEOUT;
        }
        return 0;
}
