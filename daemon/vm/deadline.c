/* SPDX-License-Identifier: MIT */
/*
 * The deadline service: completes what is due.  No timer object per request: due[index] holds the
 * deadline of the packet in flight, in an array of its own, and a turn scans the part of it that
 * was ever in use (eight packets a cache line).  `earliest` is a lower bound of all due times.
 *
 *   submitter: due[i] = d;          is d < earliest?  lower it, and wake the service
 *   service:   earliest = infinity; scan due[];       lower earliest to what is left
 *
 * Argument: both store, then load, seq_cst.  A submitter that found the old `earliest` low enough
 * stored its due time before the service's reset, so the scan sees it; one that comes later sees
 * infinity, and lowers.
 *
 * Lazy pokes (guest.c) are due times of their own, one per EMT.
 *
 * Resolution is 1 ms: a turn asks to be called again no sooner than that.
 */
#include "vm/vm-internal.h"

#include <limits.h>
#include <signal.h>

#include "vm/futex.h"
#include "vm/step.h"

#define RESOLUTION_NS CLOCK_NS_PER_MS

/* Lowers `earliest` to at most `due_ns`; true if it was higher. */
static bool lower(struct vm *vm, uint64_t due_ns)
{
        /* seq_cst: see the argument above. */
        uint64_t old = atomic_load_explicit(&vm->earliest, memory_order_seq_cst);

        while (due_ns < old)
                if (atomic_compare_exchange_weak_explicit(&vm->earliest, &old, due_ns,
                                                          memory_order_seq_cst,
                                                          memory_order_seq_cst))
                        return true;
        return false;
}

static void *service_main(void *arg)
{
        struct vm *vm = arg;

        /* Acquire: pairs with deadline_stop. */
        while (!atomic_load_explicit(&vm->service_stop, memory_order_acquire)) {
                /* Acquire: pairs with the bump in service_wake; taken before the turn, so that a
                 * bump during it defeats the sleep. */
                uint32_t word = atomic_load_explicit(&vm->service_word, memory_order_acquire);
                uint64_t next = vmreq_vm_service((vmreq_vm){vm->id}, clock_now_ns());

                if (!atomic_load_explicit(&vm->service_stop, memory_order_acquire))
                        (void)futex_wait(&vm->service_word, word, next);
        }
        return NULL;
}

static int service_start(struct vm *vm)
{
        sigset_t all, old;
        int r = 0;

        CHECK(pthread_mutex_lock(&vm->service_lock) == 0);
        /* Not for a submitter that is late for a stopping VM: nobody would join it.  Relaxed: set
         * under the lock. */
        if (!vm->service_started &&
            !atomic_load_explicit(&vm->service_stop, memory_order_relaxed)) {
                sigfillset(&all);
                pthread_sigmask(SIG_SETMASK, &all, &old);
                if (pthread_create(&vm->service_thread, NULL, service_main, vm))
                        r = VMREQ_E_SYSTEM;
                else
                        vm->service_started = true;
                pthread_sigmask(SIG_SETMASK, &old, NULL);
                if (r == 0)
                        (void)pthread_setname_np(vm->service_thread, "vmreq-deadline");
        }
        CHECK(pthread_mutex_unlock(&vm->service_lock) == 0);
        return r;
}

static int service_wake(struct vm *vm, uint64_t due_ns)
{
        int r;

        if (vm->config.service_wake) {
                vm->config.service_wake(vm->config.ctx, due_ns);
                return 0;
        }
        r = service_start(vm);
        if (r)
                return r;
        /* Release: pairs with service_main. */
        atomic_fetch_add_explicit(&vm->service_word, 1, memory_order_release);
        futex_wake(&vm->service_word, 1);
        return 0;
}

int deadline_arm(struct vm *vm, uint64_t due_ns)
{
        return lower(vm, due_ns) ? service_wake(vm, due_ns) : 0;
}

int deadline_set(struct vm *vm, uint32_t index, uint64_t deadline_ns)
{
        int r;

        VM_STEP(due_set);
        atomic_store_explicit(&vm->due[index], deadline_ns, memory_order_seq_cst);
        r = deadline_arm(vm, deadline_ns);
        if (r)
                deadline_clear(vm, index);
        return r;
}

void deadline_clear(struct vm *vm, uint32_t index)
{
        /* Relaxed: a turn that still sees the old value checks it against the packet's word. */
        VM_STEP(due_clear);
        atomic_store_explicit(&vm->due[index], 0, memory_order_relaxed);
}

void deadline_stop(struct vm *vm)
{
        bool started;

        CHECK(pthread_mutex_lock(&vm->service_lock) == 0);
        started = vm->service_started;
        vm->service_started = false;
        /* Release: pairs with service_main. */
        atomic_store_explicit(&vm->service_stop, 1, memory_order_release);
        CHECK(pthread_mutex_unlock(&vm->service_lock) == 0);
        if (!started)
                return;
        atomic_fetch_add_explicit(&vm->service_word, 1, memory_order_release);
        futex_wake(&vm->service_word, 1);
        CHECK(pthread_join(vm->service_thread, NULL) == 0);
}

/* The deadline passes while the callee runs: waiters are told, the callee is asked, the hook is
 * called. */
static void overdue(struct vm *vm, struct req *req, uint64_t word)
{
        uint64_t flags = REQ_F_LATE | REQ_F_CANCEL | REQ_F_NOTIFYING, next;

        if ((word & REQ_F_LATE) || !req_flag_running(req, &word, flags, 1))
                return;
        /* With our reference the generation stands, so the deadline is cleared for the right one.
         */
        deadline_clear(vm, req_index(vm, req));
        req_wake_waiters(vm, req, word);
        emt_nudge_runner(vm, req);
        VM_STEP(overdue_hook);
        if ((req->has & REQ_HAS_HOOKS) && req_more(vm, req)->overdue)
                req_more(vm, req)->overdue(req_more(vm, req)->user);
        VM_STEP(overdue_load);
        word = req_load(req);
        do {
                next = word & ~REQ_F_NOTIFYING;
                VM_STEP(overdue_swap);
        } while (!req_swap(req, &word, next));
        /* It ended meanwhile: the runner has left us its duties and its reference. */
        if (req_state_is_final(REQ_STATE(next)))
                req_finish(vm, req, next);
        req_unref(vm, req);
}

static void expire(struct vm *vm, uint32_t index, uint64_t due_ns)
{
        struct req *req = req_at(vm, index);
        VM_STEP(expire_word);
        uint64_t word = req_load(req);

        /* The deadline is this generation's only if it still stands after the word was read; every
         * swap below includes the generation. */
        VM_STEP(expire_due);
        if (atomic_load_explicit(&vm->due[index], memory_order_relaxed) != due_ns)
                return;
        if (REQ_STATE(word) == VMREQ_REQ_QUEUED) {
                if (req_end_queued(vm, req, word, VMREQ_REQ_EXPIRED))
                        return;
                VM_STEP(expire_again);
                word = req_load(req);
        }
        VM_STEP(expire_due_again);
        if (REQ_STATE(word) != VMREQ_REQ_RUNNING ||
            atomic_load_explicit(&vm->due[index], memory_order_relaxed) != due_ns)
                return;
        if (word & REQ_F_PARENT) {
                if (req_ref(req, REQ_GENERATION(word))) {
                        deadline_clear(vm, index);
                        (void)broadcast_end(vm, req, BROADCAST_EXPIRE);
                        req_unref(vm, req);
                }
        } else {
                overdue(vm, req, word);
        }
}

static uint64_t service_turn(struct vm *vm, uint64_t now_ns)
{
        uint64_t left = UINT64_MAX, lazy;
        uint32_t n;

        /* seq_cst: the argument at the top. */
        atomic_store_explicit(&vm->earliest, UINT64_MAX, memory_order_seq_cst);
        n = pool_high_water(&vm->pool);
        for (uint32_t i = 0; i < n; i++) {
                uint64_t due = atomic_load_explicit(&vm->due[i], memory_order_seq_cst);

                if (due && due <= now_ns) {
                        expire(vm, i, due);
                        due = atomic_load_explicit(&vm->due[i], memory_order_relaxed);
                        /* Still there: its submitter is between noting it and queueing it. */
                        if (due)
                                due = MAX(due, now_ns + RESOLUTION_NS);
                }
                if (due)
                        left = MIN(left, due);
        }
        lazy = guest_service(vm, now_ns);
        left = MIN(left, lazy);
        (void)lower(vm, left);
        return atomic_load_explicit(&vm->earliest, memory_order_seq_cst);
}

uint64_t vmreq_vm_service(vmreq_vm id, uint64_t now_ns)
{
        struct vm *vm = vm_pin(id.id);
        uint64_t next;

        if (!vm)
                return UINT64_MAX;
        CHECK(pthread_mutex_lock(&vm->service_turn) == 0);
        next = service_turn(vm, now_ns);
        CHECK(pthread_mutex_unlock(&vm->service_turn) == 0);
        vm_unpin(vm);
        return next;
}
