/* SPDX-License-Identifier: MIT */
/*
 * The packet's life: allocation, references, the end of it.
 *
 * Whoever swaps the word into a final state owes the completion, once: wake the waiters, run the
 * hooks, give back a reference.  That thread is an EMT (the callee returned), a canceller, the
 * deadline service or the closer; it holds a reference throughout, so a waiter that was woken may
 * give back its own at once.
 *
 * While the overdue hook runs on the service's thread (flag NOTIFYING), an EMT that completes the
 * packet leaves the duties to that thread, together with its reference: hooks of one request never
 * run at once.
 *
 * A request without hooks or deadline that nobody sleeps for owes nothing to anybody when it has
 * run: then the runner's reference goes with the swap that makes it COMPLETED; and if that was the
 * last one, the swap makes it FREE at once.  If nobody has a handle of it either, its end_ns stays
 * 0: the EMT looks at the clock, for its histograms, when the swap is done.
 */
#include "vm/vm-internal.h"

#include <limits.h>

#include "vm/futex.h"
#include "vm/step.h"

vmreq_handle req_handle(const struct vm *vm, const struct req *req, uint64_t word)
{
        return (vmreq_handle){
                .vm = vm->id, .index = req_index(vm, req), .generation = REQ_GENERATION(word) + 1};
}

struct req *req_take(struct vm *vm, uint32_t cpu)
{
        struct req *req;
        uint32_t index;
        uint64_t word;

        /* What goes to one EMT comes back from it; otherwise submitters are spread. */
        if (!pool_get(&vm->pool, cpu < vm->cpus ? cpu : vm_stripe() * vm->cpus / VM_STRIPES,
                      &index))
                return NULL;
        req = req_at(vm, index);
        req_will_write(req);
        /* Relaxed: pool_get acquired what the last owner did. */
        word = atomic_load_explicit(&req->word, memory_order_relaxed);
        CHECK(REQ_STATE(word) == VMREQ_REQ_FREE && REQ_REFS(word) == 0);
        atomic_store_explicit(&req->start_ns, 0, memory_order_relaxed);
        atomic_store_explicit(&req->end_ns, 0, memory_order_relaxed);
        atomic_store_explicit(&req->ran_on, VMREQ_CPU_NONE, memory_order_relaxed);
        return req;
}

void req_give_back(struct vm *vm, struct req *req)
{
        struct emt *self = emt_self_of(vm);

        VM_STEP(unref_put);
        pool_put(&vm->pool, self ? self->cpu : POOL_NO_RING, req_index(vm, req));
        room_made(vm);
}

struct req *req_new(struct vm *vm, uint64_t more)
{
        struct req *req = req_take(vm, VMREQ_CPU_NONE);
        struct req_more *beside;
        uint64_t word;

        if (!req)
                return NULL;
        /* A dead slot of the last life must not pass for this one's place: a broadcast's child
         * draws it after QUEUED. */
        VM_STEP(new_place);
        atomic_store_explicit(&req->place, 0, memory_order_relaxed);
        /* No callee gives a broadcast's parent a result. */
        req->status = 0;
        req->value = 0;
        if (more & (REQ_F_PARENT | REQ_F_CHILD)) {
                beside = req_more(vm, req);
                beside->first_child = beside->next_sibling = beside->parent = 0;
                atomic_store_explicit(&beside->uses, 0, memory_order_relaxed);
        }
        word = atomic_load_explicit(&req->word, memory_order_relaxed);
        /* Release: a reader of this generation's word sees the reset fields. */
        VM_STEP(new_word);
        atomic_store_explicit(&req->word,
                              (req_with_state(word, VMREQ_REQ_ALLOCATED) | more) + REQ_REF_ONE,
                              memory_order_release);
        return req;
}

struct req *req_find(struct vm *vm, vmreq_handle handle, uint64_t *ret_word)
{
        struct req *req;

        if (handle.vm != vm->id || handle.index >= pool_high_water(&vm->pool))
                return NULL;
        req = req_at(vm, handle.index);
        VM_STEP(find_load);
        *ret_word = req_load(req);
        if (REQ_GENERATION(*ret_word) + 1 != handle.generation ||
            REQ_STATE(*ret_word) == VMREQ_REQ_FREE)
                return NULL;
        return req;
}

bool req_ref(struct req *req, uint64_t generation)
{
        uint64_t word = req_load(req);

        do {
                if (REQ_GENERATION(word) != generation || REQ_STATE(word) == VMREQ_REQ_FREE ||
                    REQ_REFS(word) >= REQ_REFS_MAX)
                        return false;
                VM_STEP(ref_swap);
        } while (!req_swap(req, &word, word + REQ_REF_ONE));
        return true;
}

void req_unref(struct vm *vm, struct req *req)
{
        VM_STEP(unref_load);
        uint64_t word = req_load(req), next;
        bool last;

        do {
                CHECK(REQ_REFS(word) > 0);
                last = REQ_REFS(word) == 1 && (req_state_is_final(REQ_STATE(word)) ||
                                               REQ_STATE(word) == VMREQ_REQ_ALLOCATED);
                if (last)
                        /* The generation moves on with the same swap: every handle is stale from
                         * here. */
                        next = req_next_life(word);
                else
                        next = word - REQ_REF_ONE;
                VM_STEP(unref_swap);
        } while (!req_swap(req, &word, next));
        if (!last)
                return;
        if (word & REQ_F_PARENT)
                broadcast_drop_children(vm, req);
        req_give_back(vm, req);
}

bool req_flag_running(struct req *req, uint64_t *word, uint64_t flags, uint64_t refs)
{
        uint64_t generation = REQ_GENERATION(*word);

        do {
                if (REQ_STATE(*word) != VMREQ_REQ_RUNNING || REQ_GENERATION(*word) != generation ||
                    (*word & flags) == flags)
                        return false;
                VM_STEP(flag_swap);
        } while (!req_swap(req, word, (*word | flags) + refs * REQ_REF_ONE));
        *word = (*word | flags) + refs * REQ_REF_ONE;
        return true;
}

void req_wake_waiters(struct vm *vm, struct req *req, uint64_t word)
{
        VM_STEP(waiters_futex);
        if (word & REQ_F_WAITED)
                futex_wake(futex_low_half(&req->word), INT_MAX);
        if (!(word & REQ_F_EMT_WAITS))
                return;
        for (uint32_t i = 0; i < CPUSET_WORDS; i++) {
                /* seq_cst: pairs with the store in wait.c; it set EMT_WAITS only after its bit. */
                uint64_t set = atomic_load_explicit(&vm->nested[i], memory_order_seq_cst);

                for (; set; set &= set - 1)
                        emt_wake(&vm->emts[i * 64 + (uint32_t)__builtin_ctzll(set)], true);
        }
}

static enum vmreq_fate fate_of(uint64_t word)
{
        switch (REQ_STATE(word)) {
        case VMREQ_REQ_COMPLETED:
                /* A child whose row was final before it ended stays what it was reported as. */
                return word & REQ_F_LATE && word & REQ_F_CHILD ? VMREQ_FATE_RUNNING
                                                               : VMREQ_FATE_DONE;
        case VMREQ_REQ_RUNNING:
                return word & REQ_F_LATE && word & REQ_F_CHILD ? VMREQ_FATE_RUNNING
                                                               : VMREQ_FATE_NONE;
        case VMREQ_REQ_CANCELLED:
                return VMREQ_FATE_CANCELLED;
        case VMREQ_REQ_EXPIRED:
                return VMREQ_FATE_EXPIRED;
        case VMREQ_REQ_KILLED:
                return VMREQ_FATE_KILLED;
        case REQ_SKIPPED:
                return VMREQ_FATE_SKIPPED;
        default:
                return VMREQ_FATE_NONE;
        }
}

/* Its place in the order of takes; 0 if it was not taken. */
static uint64_t take_seq_of(const struct vm *vm, const struct req *req, uint64_t word)
{
        uint64_t place = atomic_load_explicit(&req->place, memory_order_relaxed);

        if (!place ||
            (REQ_STATE(word) != VMREQ_REQ_RUNNING && REQ_STATE(word) != VMREQ_REQ_COMPLETED))
                return 0;
        return lane_take_seq(&vm->any[LANE_NORMAL], place); /* all are of one size */
}

void req_row(const struct vm *vm, const struct req *req, uint64_t word, struct vmreq_row *ret_row)
{
        /* Relaxed throughout: the word that the caller loaded orders them, or they are snapshots.
         */
        uint64_t queued = atomic_load_explicit(&req->queued_ns, memory_order_relaxed);
        uint64_t start = atomic_load_explicit(&req->start_ns, memory_order_relaxed);
        uint64_t end = atomic_load_explicit(&req->end_ns, memory_order_relaxed);
        uint32_t cpu = atomic_load_explicit(&req->ran_on, memory_order_relaxed);

        *ret_row = (struct vmreq_row){.cpu = cpu, .fate = fate_of(word)};
        if (cpu == VMREQ_CPU_NONE && req->cpu < VMREQ_CPUS_MAX)
                ret_row->cpu = req->cpu; /* where it would have run */
        ret_row->take_seq = take_seq_of(vm, req, word);
        if (REQ_STATE(word) == REQ_SKIPPED || req_state_is_allocated(REQ_STATE(word)))
                return;
        if (!end)
                end = clock_now_ns();
        /* Two threads that queue one packet both note the time. */
        ret_row->queued_ns = (start ? start : end) - MIN(queued, start ? start : end);
        ret_row->run_ns = start ? end - start : 0;
        if (ret_row->fate == VMREQ_FATE_DONE) {
                ret_row->status = req->status;
                ret_row->value = req->value;
        }
}

bool req_end_queued(struct vm *vm, struct req *req, uint64_t word, uint32_t state)
{
        uint64_t generation = REQ_GENERATION(word), next;

        do {
                if (REQ_STATE(word) != VMREQ_REQ_QUEUED || REQ_GENERATION(word) != generation)
                        return false;
                next = req_with_state(word, state) + REQ_REF_ONE;
                VM_STEP(end_queued_swap);
        } while (!req_swap(req, &word, next));
        atomic_store_explicit(&req->end_ns, clock_now_ns(), memory_order_relaxed);
        /* Relaxed: statistics. */
        atomic_fetch_add_explicit(
                &submit_lane(vm, req->cpu, req->flags)->ended[state - VMREQ_REQ_CANCELLED], 1,
                memory_order_relaxed);
        req_finish(vm, req, next);
        return true;
}

/* Is nobody to be told that a packet whose word says so has run? */
static bool owes_nothing(const struct req *req, uint64_t word)
{
        return !(word & (REQ_F_CHILD | REQ_F_NOTIFYING | REQ_F_WAITED | REQ_F_EMT_WAITS)) &&
               !(req->has & REQ_HAS_HOOKS) && !req_deadline(req);
}

bool req_end_running(struct vm *vm, struct req *req, bool silently)
{
        VM_STEP(end_running_load);
        uint64_t word = req_load(req), next;
        bool over;

        do {
                over = owes_nothing(req, word);
                if (silently && !over)
                        return false;
                next = req_with_state(word, VMREQ_REQ_COMPLETED);
                if (over)
                        next = REQ_REFS(word) == 1 ? req_next_life(word) : next - REQ_REF_ONE;
                VM_STEP(end_running_swap);
        } while (!req_swap(req, &word, next));
        if (over && REQ_REFS(word) == 1)
                req_give_back(vm, req);
        else if (!over && !(next & REQ_F_NOTIFYING))
                req_finish(vm, req, next);
        /* Else others hold it, or duties and reference have passed to the thread in the overdue
         * hook. */
        return over;
}

static void run_hooks(struct vm *vm, struct req *req, uint64_t word)
{
        const struct req_more *more = req_more(vm, req);

        VM_STEP(hook_complete);
        if (more->complete) {
                struct vmreq_result result = {.handle = req_handle(vm, req, word), .tag = req->tag};

                req_row(vm, req, word, &result.row);
                more->complete(more->user, &result);
        }
        VM_STEP(hook_release);
        if (more->release)
                more->release(more->user);
}

void req_finish(struct vm *vm, struct req *req, uint64_t word)
{
        enum vmreq_fate fate = fate_of(word);

        /* Relaxed: statistics.  What has run and is no row its EMT has counted. */
        if (fate != VMREQ_FATE_DONE || (word & REQ_F_CHILD))
                atomic_fetch_add_explicit(&vm->stripes[vm_stripe()].fates[fate], 1,
                                          memory_order_relaxed);
        if (req_deadline(req))
                deadline_clear(vm, req_index(vm, req));
        req_wake_waiters(vm, req, word);
        if (word & REQ_F_CHILD) {
                broadcast_child_ended(vm, req, word);
                return;
        }
        if (req->has & REQ_HAS_HOOKS)
                run_hooks(vm, req, word);
        req_unref(vm, req);
}
