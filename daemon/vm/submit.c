/* SPDX-License-Identifier: MIT */
/*
 * Submission: from a spec to a packet on a lane, or run inline.
 *
 * Everything that can fail is acquired before the request is accepted: the spec is checked, the
 * packet taken from the slab, the deadline noted, the place in the lane drawn.  After that, exactly
 * one completion follows.
 *
 * Against a closing VM: the submitter makes the packet QUEUED, then reads `closed`; the closer sets
 * `closed`, then looks at every packet (both seq_cst).  So a packet that the submitter found
 * acceptable is seen by the closer, and one that was too late is taken back by the submitter -
 * unless the closer was faster, and then it was accepted and KILLED, which is an answer too.
 */
#include "vm/vm-internal.h"

#include <string.h>

#include "vm/step.h"

#define FLAGS_ALL                                                                                  \
        (VMREQ_VOID | VMREQ_NO_WAIT | VMREQ_PRIORITY | VMREQ_POKE | VMREQ_NO_NEST |                \
         VMREQ_PARALLEL | VMREQ_CONTINUE | VMREQ_WAIT_ROOM)

bool submit_is_broadcast(uint32_t cpu)
{
        return cpu == VMREQ_CPU_ALL || cpu == VMREQ_CPU_ALL_REVERSE;
}

static bool cpu_valid(const struct vm *vm, uint32_t cpu)
{
        return cpu < vm->cpus || cpu == VMREQ_CPU_ANY || cpu == VMREQ_CPU_ANY_QUEUE ||
               submit_is_broadcast(cpu);
}

static int spec_check(const struct vm *vm, const struct vmreq_spec *spec)
{
        bool callback = spec->kind == VMREQ_FN_CALLBACK;

        if (spec->size != sizeof(*spec) || (unsigned)spec->kind > VMREQ_FN_CALLBACK ||
            (spec->flags & ~FLAGS_ALL) || !cpu_valid(vm, spec->cpu))
                return VMREQ_E_INVALID;
        if (spec->argc > VMREQ_ARGS_MAX || (spec->argc && !spec->args))
                return VMREQ_E_INVALID;
        if (callback ? !spec->callback : !spec->fn)
                return VMREQ_E_INVALID;
        if (callback && (spec->flags & VMREQ_VOID))
                return VMREQ_E_INVALID;
        if ((spec->flags & (VMREQ_PARALLEL | VMREQ_CONTINUE)) && !submit_is_broadcast(spec->cpu))
                return VMREQ_E_INVALID;
        return 0;
}

void submit_fill(struct req *req, const struct vmreq_spec *spec)
{
        req->fn = spec->fn;
        req->callback = spec->callback;
        req->ctx = spec->ctx;
        req->cpu = spec->cpu;
        req->kind = (uint8_t)(spec->flags & VMREQ_VOID ? VMREQ_FN_VOID : spec->kind);
        req->flags = (uint8_t)spec->flags;
        req->argc = (uint8_t)spec->argc;
        if (spec->argc)
                memcpy(req->args, spec->args, spec->argc * sizeof(spec->args[0]));
        atomic_store_explicit(&req->deadline_ns, spec->deadline_ns, memory_order_relaxed);
        req->tag = spec->tag;
        req->user = spec->user;
        req->row = spec->row;
        req->overdue = spec->overdue;
        req->complete = spec->complete;
        req->release = spec->release;
        atomic_store_explicit(&req->queued_ns, clock_now_ns(), memory_order_relaxed);
}

struct lane *submit_lane(struct vm *vm, uint32_t cpu, uint32_t flags)
{
        unsigned level = flags & VMREQ_PRIORITY ? LANE_PRIORITY : LANE_NORMAL;

        return cpu < vm->cpus ? &vm->emts[cpu].lanes[level] : &vm->any[level];
}

void submit_wake(struct vm *vm, uint32_t cpu, uint32_t flags)
{
        if (cpu < vm->cpus)
                emt_wake(&vm->emts[cpu], flags & VMREQ_POKE);
        else
                emt_wake_one(vm, flags & VMREQ_POKE);
}

int submit_count(struct vm *vm, int result)
{
        struct stripe *stripe = &vm->stripes[vm_stripe()];

        /* Relaxed: statistics. */
        atomic_fetch_add_explicit(result ? &stripe->refused : &stripe->submitted, 1,
                                  memory_order_relaxed);
        return result;
}

/* Takes a packet that could not be queued back to ALLOCATED; who has begun to wait for it meanwhile
 * is told.  False: somebody has ended it already, so it was accepted. */
static bool take_back(struct vm *vm, struct req *req)
{
        VM_STEP(back_load);
        uint64_t word = req_load(req), generation = REQ_GENERATION(word);

        /* Before the swap: once it is ALLOCATED again, somebody else may queue it and note its
         * deadline. */
        if (req_deadline(req))
                deadline_clear(vm, req_index(vm, req));
        do {
                if (REQ_GENERATION(word) != generation || REQ_STATE(word) != VMREQ_REQ_QUEUED)
                        return false;
                VM_STEP(back_swap);
        } while (!req_swap(req, &word, req_with_state(word, VMREQ_REQ_ALLOCATED)));
        req_wake_waiters(vm, req, word);
        return true;
}

/* Notes the deadline of a packet that this thread has made QUEUED or RUNNING; so of two threads
 * that queue one packet, only the one that does so notes it. */
static int note_deadline(struct vm *vm, struct req *req)
{
        uint64_t deadline_ns = req_deadline(req);
        int r;

        if (!deadline_ns)
                return 0;
        r = deadline_set(vm, req_index(vm, req), deadline_ns);
        /* Killed before it was noted: whoever ended it has cleared too early.  The store in
         * deadline_set and this look pair with the final swap and the clearing behind it. */
        VM_STEP(due_look);
        if (req_state_is_final(REQ_STATE(req_load(req))))
                deadline_clear(vm, req_index(vm, req));
        return r;
}

/* Somebody else than the EMT that is kicked for it may have to be: emt_pass_wake. */
static void note_poke(struct vm *vm, const struct req *req)
{
        _Atomic uint64_t *newest =
                &vm->any_poked[req->flags & VMREQ_PRIORITY ? LANE_PRIORITY : LANE_NORMAL];
        uint64_t place = atomic_load_explicit(&req->place, memory_order_relaxed);
        uint64_t old = atomic_load_explicit(newest, memory_order_relaxed);

        /* Relaxed: published by the kick that follows. */
        while (old < place)
                if (atomic_compare_exchange_weak_explicit(newest, &old, place, memory_order_relaxed,
                                                          memory_order_relaxed))
                        return;
}

/*
 * ALLOCATED → QUEUED → on its lane.  The caller holds a reference.  0: accepted; it may be complete
 * by now. Else the packet is ALLOCATED again.
 */
int submit_single(struct vm *vm, struct req *req)
{
        struct lane *lane = submit_lane(vm, req->cpu, req->flags);
        uint64_t word = req_load(req);
        int r;

        do {
                if (REQ_STATE(word) != VMREQ_REQ_ALLOCATED)
                        return VMREQ_E_STATE;
                VM_STEP(queue_swap);
        } while (!req_swap(req, &word, req_with_state(word, VMREQ_REQ_QUEUED)));
        r = note_deadline(vm, req);
        if (r)
                return take_back(vm, req) ? r : 0;

        VM_STEP(queue_closed);
        /* seq_cst: pairs with the store in vmreq_vm_close; see above. */
        if (atomic_load_explicit(&vm->closed, memory_order_seq_cst))
                return take_back(vm, req) ? VMREQ_E_CLOSED : 0;
        if (!lane_push(lane, req_index(vm, req), &req->place))
                return take_back(vm, req) ? VMREQ_E_BUSY : 0;
        if (req->flags & VMREQ_POKE && req->cpu >= vm->cpus)
                note_poke(vm, req);
        submit_wake(vm, req->cpu, req->flags);
        return 0;
}

/* Runs it here and now: the caller is the right EMT. */
static int run_inline(struct vm *vm, struct emt *emt, struct req *req)
{
        uint64_t word = req_load(req), next;

        if (atomic_load_explicit(&vm->closed, memory_order_relaxed))
                return VMREQ_E_CLOSED;
        do {
                if (REQ_STATE(word) != VMREQ_REQ_ALLOCATED)
                        return VMREQ_E_STATE;
                next = req_with_state(word, VMREQ_REQ_RUNNING) + REQ_REF_ONE;
        } while (!req_swap(req, &word, next));
        /* It runs whatever happens here: without a service, its deadline is only not enforced. */
        (void)note_deadline(vm, req);
        /* seq_cst: as in submit_single.  The closer may have passed it before it was RUNNING. */
        if (atomic_load_explicit(&vm->closed, memory_order_seq_cst))
                (void)req_flag_running(req, &next, REQ_F_CANCEL, 0);
        emt_run(emt, req, next);
        return 0;
}

/* Starts a packet that is ALLOCATED and filled, the caller holding a reference. */
static int start(struct vm *vm, struct req *req)
{
        struct emt *self = emt_self_of(vm);

        if (submit_is_broadcast(req->cpu))
                return broadcast_start(vm, req);
        if (self && (req->cpu == VMREQ_CPU_ANY || req->cpu == self->cpu))
                return run_inline(vm, self, req);
        return submit_single(vm, req);
}

static int alloc(struct vm *vm, const struct vmreq_spec *spec, uint64_t word, struct req **ret_req)
{
        uint32_t failed = 0;
        int r = spec_check(vm, spec);

        if (r)
                return r;
        if (atomic_load_explicit(&vm->closed, memory_order_relaxed))
                return VMREQ_E_CLOSED;
        if (submit_is_broadcast(spec->cpu)) {
                failed = room_failed(vm);
                word |= REQ_F_PARENT;
        }
        *ret_req = req_new(vm, word);
        if (!*ret_req)
                return VMREQ_E_BUSY;
        submit_fill(*ret_req, spec);
        (*ret_req)->failed = failed;
        return 0;
}

/* Gives back the submitter's reference; false if it was given back before. */
static bool disown(struct vm *vm, struct req *req, uint64_t word)
{
        uint64_t generation = REQ_GENERATION(word);

        do {
                if (REQ_GENERATION(word) != generation || !(word & REQ_F_OWNED))
                        return false;
                VM_STEP(disown_swap);
        } while (!req_swap(req, &word, word & ~REQ_F_OWNED));
        req_unref(vm, req);
        return true;
}

/* One try.  *req: NULL, or the packet of the last one; it stays the caller's for submit_end.  With
 * it goes a reference of the call's own, beside the one of the handle's owner: a packet that is
 * killed or runs during the push, and whose hook gives the handle back, is not recycled under our
 * feet. */
static int submit_try(struct vm *vm, const struct vmreq_spec *spec, struct req **req)
{
        int r = 0;

        if (*req) {
                /* seq_cst: as in submit_single. */
                if (atomic_load_explicit(&vm->closed, memory_order_seq_cst))
                        return VMREQ_E_CLOSED;
                atomic_store_explicit(&(*req)->queued_ns, clock_now_ns(), memory_order_relaxed);
        } else {
                r = alloc(vm, spec, spec->flags & VMREQ_NO_WAIT ? 0 : REQ_F_OWNED | REQ_REF_ONE,
                          req);
        }
        return r ? r : start(vm, *req);
}

static int submit_end(struct vm *vm, struct req *req, int r, vmreq_handle *ret_handle)
{
        uint64_t word;

        if (!req)
                return r;
        word = req_load(req);
        if (r == 0 && ret_handle)
                *ret_handle = req_handle(vm, req, word);
        if (r)
                (void)disown(vm, req, word);
        req_unref(vm, req);
        return r;
}

/* Who waits for packets may not sit on one: two broadcasts that wait for the last would wait for
 * each other. */
static void drop_parent(struct vm *vm, struct req **req)
{
        uint32_t failed;

        if (!*req || !(req_load(*req) & REQ_F_PARENT))
                return;
        failed = (*req)->failed;
        room_hush();
        (void)submit_end(vm, *req, VMREQ_E_BUSY, NULL);
        room_tried(vm, failed);
        *req = NULL;
}

/* Again and again, until there was room.  The packet of a single request is kept meanwhile: room.c.
 */
static int submit_when_room(struct vm *vm, const struct vmreq_spec *spec, struct req **req)
{
        uint64_t until_ns = spec->deadline_ns ? spec->deadline_ns : UINT64_MAX;
        int r;

        if (emt_self_of(vm) && (spec->flags & VMREQ_NO_NEST))
                return VMREQ_E_DEADLOCK;
        if (submit_is_broadcast(spec->cpu) && vm->slab_size <= vm->cpus)
                return VMREQ_E_BUSY; /* there never will be */
        /* seq_cst: pairs with room_made: announced, then looked; freed, then looked whether
         * announced. */
        VM_STEP(room_announce);
        atomic_fetch_add_explicit(&vm->room_waiters, 1, memory_order_seq_cst);
        for (;;) {
                uint32_t seen = room_try(vm);

                r = submit_try(vm, spec, req);
                if (r == VMREQ_E_BUSY)
                        drop_parent(vm, req);
                room_try_end(vm, r == VMREQ_E_BUSY, &seen);
                if (r != VMREQ_E_BUSY)
                        break;
                r = room_wait(vm, seen, until_ns);
                if (r)
                        break;
        }
        atomic_fetch_sub_explicit(&vm->room_waiters, 1, memory_order_relaxed);
        return r;
}

int vmreq_submit(vmreq_vm id, const struct vmreq_spec *spec, vmreq_handle *ret_handle)
{
        struct req *req = NULL;
        struct vm *vm;
        int r;

        if (ret_handle)
                *ret_handle = VMREQ_HANDLE_NONE;
        if (!spec || (!ret_handle && !(spec->flags & VMREQ_NO_WAIT)))
                return VMREQ_E_INVALID;
        vm = vm_pin(id.id);
        if (!vm)
                return VMREQ_E_HANDLE;
        r = submit_try(vm, spec, &req);
        if (r == VMREQ_E_BUSY && (spec->flags & VMREQ_WAIT_ROOM))
                r = submit_when_room(vm, spec, &req);
        r = submit_end(vm, req, r, ret_handle);
        submit_count(vm, r);
        vm_unpin(vm);
        return r;
}

int vmreq_alloc(vmreq_vm id, const struct vmreq_spec *spec, vmreq_handle *ret_handle)
{
        struct vm *vm;
        struct req *req;
        int r;

        if (ret_handle)
                *ret_handle = VMREQ_HANDLE_NONE;
        if (!spec || !ret_handle)
                return VMREQ_E_INVALID;
        vm = vm_pin(id.id);
        if (!vm)
                return VMREQ_E_HANDLE;
        r = alloc(vm, spec, REQ_F_OWNED, &req);
        if (r == 0)
                *ret_handle = req_handle(vm, req, req_load(req));
        vm_unpin(vm);
        return r;
}

int vmreq_queue(vmreq_handle handle, uint64_t wait_ns)
{
        struct vm *vm = vm_pin(handle.vm);
        struct req *req;
        uint64_t word;
        bool no_wait;
        int r = VMREQ_E_HANDLE;

        if (!vm)
                return r;
        req = req_find(vm, handle, &word);
        if (!req || !req_ref(req, REQ_GENERATION(word)))
                goto out;
        no_wait = req->flags & VMREQ_NO_WAIT;
        if (REQ_STATE(word) == VMREQ_REQ_ALLOCATED)
                atomic_store_explicit(&req->queued_ns, clock_now_ns(), memory_order_relaxed);
        r = REQ_STATE(word) == VMREQ_REQ_ALLOCATED && !(word & REQ_F_CHILD) ? start(vm, req)
                                                                            : VMREQ_E_STATE;
        submit_count(vm, r);
        if (r == 0 && no_wait)
                (void)disown(vm, req, word);
        req_unref(vm, req);
        if (r == 0 && !no_wait)
                r = vmreq_wait(handle, wait_ns);
out:
        vm_unpin(vm);
        return r;
}

int vmreq_free(vmreq_handle handle)
{
        struct vm *vm = vm_pin(handle.vm);
        struct req *req;
        uint64_t word;
        int r = VMREQ_E_HANDLE;

        if (!vm)
                return r;
        req = req_find(vm, handle, &word);
        if (req && disown(vm, req, word))
                r = 0;
        vm_unpin(vm);
        return r;
}

static void cancel_running(struct vm *vm, struct req *req, uint64_t *word)
{
        if (!req_flag_running(req, word, REQ_F_CANCEL, 0))
                return;
        emt_nudge_runner(vm, req);
}

static enum vmreq_verdict cancel_parent(struct vm *vm, struct req *req, uint64_t word)
{
        enum vmreq_verdict verdict;

        if (!req_ref(req, REQ_GENERATION(word)))
                return VMREQ_VERDICT_UNKNOWN;
        (void)req_flag_running(req, &word, REQ_F_CANCEL, 0);
        if (req_state_is_final(REQ_STATE(word)))
                verdict = VMREQ_VERDICT_FINISHED;
        else
                verdict = broadcast_end(vm, req, BROADCAST_CANCEL) ? VMREQ_VERDICT_RUNNING
                                                                   : VMREQ_VERDICT_REMOVED;
        req_unref(vm, req);
        return verdict;
}

enum vmreq_verdict vmreq_cancel(vmreq_handle handle)
{
        struct vm *vm = vm_pin(handle.vm);
        enum vmreq_verdict verdict = VMREQ_VERDICT_UNKNOWN;
        struct req *req;
        uint64_t word;

        if (!vm)
                return verdict;
        req = req_find(vm, handle, &word);
        if (!req || REQ_STATE(word) == VMREQ_REQ_ALLOCATED) {
                verdict = VMREQ_VERDICT_UNKNOWN;
        } else if (word & REQ_F_PARENT) {
                verdict = cancel_parent(vm, req, word);
        } else if (req_end_queued(vm, req, word, VMREQ_REQ_CANCELLED)) {
                verdict = VMREQ_VERDICT_REMOVED;
        } else {
                VM_STEP(cancel_again);
                word = req_load(req);
                cancel_running(vm, req, &word);
                if (REQ_GENERATION(word) + 1 != handle.generation)
                        verdict = VMREQ_VERDICT_UNKNOWN;
                else
                        verdict = REQ_STATE(word) == VMREQ_REQ_RUNNING ? VMREQ_VERDICT_RUNNING
                                                                       : VMREQ_VERDICT_FINISHED;
        }
        vm_unpin(vm);
        return verdict;
}
