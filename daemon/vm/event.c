/* SPDX-License-Identifier: MIT */
#include "vm/event.h"

#include "vm/futex.h"
#include "vm/step.h"

enum {
        AWAKE,
        ASLEEP,
        GUEST,
        KICKED,
};

void event_prepare(struct event *event)
{
        /* seq_cst: pairs with the load in event_wake. */
        VM_STEP(event_prepare);
        atomic_store_explicit(&event->word, ASLEEP, memory_order_seq_cst);
}

void event_cancel(struct event *event)
{
        /* seq_cst: the EMT looks at ANY after this, a waker looks here after its push to ANY.  So
         * the EMT finds what was pushed, or the waker finds AWAKE and goes on to somebody else. */
        VM_STEP(event_cancel);
        atomic_store_explicit(&event->word, AWAKE, memory_order_seq_cst);
}

void event_sleep(struct event *event, uint64_t deadline_ns)
{
        /* Acquire: pairs with the swap in event_wake; the work that it announces is visible. */
        VM_STEP(sleep_look);
        while (atomic_load_explicit(&event->word, memory_order_acquire) == ASLEEP) {
                VM_STEP(sleep_futex);
                if (futex_wait(&event->word, ASLEEP, deadline_ns)) {
                        event_cancel(event);
                        return;
                }
        }
        /* AWAKE, by the waker's swap.  Nobody wastes a wake-up on it: that takes a swap, and swaps
         * act on the newest value. */
}

bool event_wake(struct event *event)
{
        uint32_t expected = ASLEEP;

        /* seq_cst: pairs with event_prepare. */
        VM_STEP(wake_look);
        if (atomic_load_explicit(&event->word, memory_order_seq_cst) != ASLEEP)
                return false;
        VM_STEP(wake_swap);
        if (!atomic_compare_exchange_strong_explicit(&event->word, &expected, AWAKE,
                                                     memory_order_acq_rel, memory_order_relaxed))
                return false;
        VM_STEP(wake_futex);
        futex_wake(&event->word, 1);
        return true;
}

void event_guest_prepare(struct event *event)
{
        /* seq_cst: pairs with the loads in event_in_guest and event_kick. */
        VM_STEP(guest_prepare);
        atomic_store_explicit(&event->word, GUEST, memory_order_seq_cst);
}

void event_guest_leave(struct event *event)
{
        /* seq_cst: what is published before somebody still sees GUEST is found by the look that
         * follows. */
        VM_STEP(guest_leave);
        atomic_store_explicit(&event->word, AWAKE, memory_order_seq_cst);
}

bool event_in_guest(struct event *event)
{
        /* seq_cst: pairs with event_guest_prepare. */
        VM_STEP(guest_look);
        return atomic_load_explicit(&event->word, memory_order_seq_cst) == GUEST;
}

bool event_kick(struct event *event)
{
        uint32_t expected = GUEST;

        if (!event_in_guest(event))
                return false;
        VM_STEP(guest_swap);
        return atomic_compare_exchange_strong_explicit(&event->word, &expected, KICKED,
                                                       memory_order_acq_rel, memory_order_relaxed);
}
