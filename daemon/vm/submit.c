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
         VMREQ_PARALLEL | VMREQ_CONTINUE | VMREQ_WAIT_ROOM | VMREQ_MORE)

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
        /* It would wait for those whom it has not woken. */
        if ((spec->flags & VMREQ_MORE) && (spec->flags & VMREQ_WAIT_ROOM))
                return VMREQ_E_INVALID;
        return 0;
}

void submit_fill(struct vm *vm, struct req *req, const struct vmreq_spec *spec)
{
        /* One test: most have none. */
        bool hooks = (uintptr_t)spec->row | (uintptr_t)spec->overdue | (uintptr_t)spec->complete |
                     (uintptr_t)spec->release;
        uint64_t *args = req->args;

        req->has = (uint8_t)((hooks ? REQ_HAS_HOOKS : 0) | (spec->user ? REQ_HAS_USER : 0));
        if (req->has) {
                struct req_more *more = req_more(vm, req);

                more->user = spec->user;
                more->row = spec->row;
                more->overdue = spec->overdue;
                more->complete = spec->complete;
                more->release = spec->release;
        }
        if (spec->kind == VMREQ_FN_CALLBACK)
                req->callback = spec->callback;
        else
                req->fn = spec->fn;
        req->ctx = spec->ctx;
        req->tag = spec->tag;
        req->cpu = spec->cpu;
        req->kind = (uint8_t)(spec->flags & VMREQ_VOID ? VMREQ_FN_VOID : spec->kind);
        req->flags = (uint8_t)spec->flags;
        req->argc = (uint8_t)spec->argc;
        if (spec->argc > REQ_ARGS_NEAR)
                args = req_more(vm, req)->args;
        for (uint32_t i = 0; i < spec->argc; i++)
                args[i] = spec->args[i];
        atomic_store_explicit(&req->deadline_ns, spec->deadline_ns, memory_order_relaxed);
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

/* Counts a submission or its refusal. */
static int count(struct vm *vm, int result)
{
        struct stripe *stripe = &vm->stripes[vm_stripe()];

        /* Relaxed: statistics. */
        atomic_fetch_add_explicit(result ? &stripe->refused : &stripe->submitted, 1,
                                  memory_order_relaxed);
        return result;
}

/* ---- one request, onto its lane ---- */

/* QUEUEING → QUEUED or ALLOCATED, with `refs` more references: only flags and references may change
 * under us. */
static void end_queueing(struct req *req, uint32_t state, uint64_t refs)
{
        VM_STEP(queueing_load);
        uint64_t word = req_load(req);

        do {
                CHECK(REQ_STATE(word) == REQ_QUEUEING);
                VM_STEP(queueing_swap);
        } while (!req_swap(req, &word, req_with_state(word, state) + refs * REQ_REF_ONE));
}

/* QUEUED → QUEUEING, this thread's alone again.  Who has begun to wait for it meanwhile is told.
 * False: somebody has taken or ended it already, so it was accepted. */
static bool take_back(struct vm *vm, struct req *req, uint64_t generation)
{
        VM_STEP(back_load);
        uint64_t word = req_load(req);

        do {
                if (REQ_GENERATION(word) != generation || REQ_STATE(word) != VMREQ_REQ_QUEUED)
                        return false;
                VM_STEP(back_swap);
        } while (!req_swap(req, &word, req_with_state(word, REQ_QUEUEING)));
        req_wake_waiters(vm, req, word);
        return true;
}

/* Somebody else than the EMT that is kicked for it may have to be: emt_pass_wake. */
static void note_poke(struct vm *vm, uint32_t flags, uint64_t place)
{
        _Atomic uint64_t *newest =
                &vm->any_poked[flags & VMREQ_PRIORITY ? LANE_PRIORITY : LANE_NORMAL];
        uint64_t old = atomic_load_explicit(newest, memory_order_relaxed);

        /* Relaxed: published by the kick that follows. */
        while (old < place)
                if (atomic_compare_exchange_weak_explicit(newest, &old, place, memory_order_relaxed,
                                                          memory_order_relaxed))
                        return;
}

/* The packet, this thread's alone until then, is QUEUED. */
static void make_queued(struct req *req, uint64_t fresh)
{
        if (!fresh) {
                end_queueing(req, VMREQ_REQ_QUEUED, 0);
                return;
        }
        /* seq_cst: the look at `closed` follows; pairs with vmreq_vm_close. */
        VM_STEP(queue_store);
        atomic_store_explicit(&req->word, fresh, memory_order_seq_cst);
}

/*
 * Puts a packet that is this thread's alone onto its lane: FREE and filled, `fresh` being its word
 * when it is QUEUED; or QUEUEING, `fresh` 0.  0: accepted, and it may be over by now: nothing of it
 * may be touched.  Else it is FREE as it was, or QUEUEING, and still this thread's alone.
 *
 * Without `wake` the caller looks for who sleeps, later: the look has to come after the push, and
 * nothing else (event.h); one look after many pushes is after each of them.
 */
static int push(struct vm *vm, struct req *req, uint64_t fresh, bool wake)
{
        /* Copied: it may be somebody else's as soon as it is QUEUED. */
        uint32_t cpu = req->cpu, flags = req->flags, index = req_index(vm, req);
        uint64_t generation = REQ_GENERATION(req_load(req)), place;
        struct lane *lane = submit_lane(vm, cpu, flags);

        for (;;) {
                if (!lane_draw(lane, &req->place))
                        return VMREQ_E_BUSY;
                place = atomic_load_explicit(&req->place, memory_order_relaxed);
                make_queued(req, fresh);
                if (lane_fill(lane, index, place))
                        break;
                /* A taker has made its place void.  It needs another, unless it is over. */
                if (!take_back(vm, req, generation))
                        return 0;
                fresh = 0;
        }
        VM_STEP(queue_closed);
        /* seq_cst: pairs with the store in vmreq_vm_close; see the head. */
        if (atomic_load_explicit(&vm->closed, memory_order_seq_cst) &&
            take_back(vm, req, generation))
                return VMREQ_E_CLOSED;
        if (flags & VMREQ_POKE && cpu >= vm->cpus)
                note_poke(vm, flags, place);
        if (wake)
                submit_wake(vm, cpu, flags);
        return 0;
}

/* The same, with its deadline noted before it can be anybody else's. */
static int push_due(struct vm *vm, struct req *req, uint64_t fresh, bool wake)
{
        uint64_t deadline_ns = req_deadline(req);
        int r = deadline_ns ? deadline_set(vm, req_index(vm, req), deadline_ns) : 0;

        if (r)
                return r;
        r = push(vm, req, fresh, wake);
        if (r && deadline_ns)
                deadline_clear(vm, req_index(vm, req));
        return r;
}

/* ALLOCATED → QUEUED and onto its lane.  The caller holds a reference.  If it is not accepted it is
 * ALLOCATED again. */
static int submit_single(struct vm *vm, struct req *req)
{
        uint64_t word = req_load(req);
        int r;

        do {
                if (REQ_STATE(word) != VMREQ_REQ_ALLOCATED)
                        return VMREQ_E_STATE;
                VM_STEP(queue_swap);
        } while (!req_swap(req, &word, req_with_state(word, REQ_QUEUEING)));
        r = push_due(vm, req, 0, true);
        if (r)
                end_queueing(req, VMREQ_REQ_ALLOCATED, 0);
        return r;
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

/* A packet that was not accepted, and nobody else's: FREE as it came from the slab, or QUEUEING;
 * `more` as in submit_fresh. */
static void drop_fresh(struct vm *vm, struct req *req, uint64_t more)
{
        if (REQ_STATE(req_load(req)) == VMREQ_REQ_FREE) {
                req_give_back(vm, req);
                return;
        }
        /* A stranger may have guessed its handle, and hold a reference. */
        end_queueing(req, VMREQ_REQ_ALLOCATED, more == REQ_REF_ONE ? 0 : 1);
        (void)disown(vm, req, req_load(req));
        req_unref(vm, req);
}

/* The short way, for what is neither a broadcast nor inline.  `more`: flags and references that it
 * begins with: a handle's, the caller's own (REQ_REF_ONE), or none. */
static int submit_fresh(struct vm *vm, const struct vmreq_spec *spec, uint64_t more,
                        vmreq_handle *ret_handle)
{
        struct lane *lane = submit_lane(vm, spec->cpu, spec->flags);
        vmreq_handle handle;
        struct req *req;
        uint64_t word;
        int r;

        lane_will_push(lane);
        /* Looked at first, so that who is refused takes no packet from others. */
        if (lane_full(lane))
                return VMREQ_E_BUSY;
        req = req_take(vm, spec->cpu);
        if (!req)
                return VMREQ_E_BUSY;
        submit_fill(vm, req, spec);
        word = req_with_state(atomic_load_explicit(&req->word, memory_order_relaxed),
                              VMREQ_REQ_QUEUED) +
               more;
        handle = req_handle(vm, req, word);
        r = push_due(vm, req, word, (spec->flags & (VMREQ_MORE | VMREQ_POKE)) != VMREQ_MORE);
        if (r)
                drop_fresh(vm, req, more);
        else if (ret_handle)
                *ret_handle = handle;
        return r;
}

/* ---- the others ---- */

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
        if (req_deadline(req))
                (void)deadline_set(vm, req_index(vm, req), req_deadline(req));
        /* seq_cst: as in push.  The closer may have passed it before it was RUNNING. */
        if (atomic_load_explicit(&vm->closed, memory_order_seq_cst))
                (void)req_flag_running(req, &next, REQ_F_CANCEL, 0);
        emt_run_inline(emt, req, next);
        return 0;
}

/* The EMT that the caller is, if it is one that runs what goes there inline. */
static struct emt *inline_emt(const struct vm *vm, uint32_t cpu)
{
        struct emt *self = emt_self_of(vm);

        return self && (cpu == VMREQ_CPU_ANY || cpu == self->cpu) ? self : NULL;
}

/* Starts a packet that is ALLOCATED and filled, the caller holding a reference. */
static int start(struct vm *vm, struct req *req)
{
        struct emt *emt = inline_emt(vm, req->cpu);

        if (emt)
                return run_inline(vm, emt, req);
        return submit_is_broadcast(req->cpu) ? broadcast_start(vm, req) : submit_single(vm, req);
}

static int alloc(struct vm *vm, const struct vmreq_spec *spec, uint64_t word, struct req **ret_req)
{
        uint32_t failed = 0;

        /* Relaxed: a late look costs a packet for a moment. */
        if (atomic_load_explicit(&vm->closed, memory_order_relaxed))
                return VMREQ_E_CLOSED;
        if (submit_is_broadcast(spec->cpu)) {
                failed = room_failed(vm);
                word |= REQ_F_PARENT;
        }
        *ret_req = req_new(vm, word);
        if (!*ret_req)
                return VMREQ_E_BUSY;
        submit_fill(vm, *ret_req, spec);
        if (word & REQ_F_PARENT)
                req_more(vm, *ret_req)->failed = failed;
        return 0;
}

/* One try.  *req: NULL, or the packet of the last one; it stays the caller's for submit_end.  With
 * it goes a reference of the call's own, beside the one of the handle's owner: a packet that is
 * killed or runs, and whose hook gives the handle back, is not recycled under our feet. */
static int submit_try(struct vm *vm, const struct vmreq_spec *spec, struct req **req)
{
        int r = 0;

        if (*req) {
                /* seq_cst: as in push. */
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
        failed = req_more(vm, *req)->failed;
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

/* Broadcasts, what runs inline, and whoever waits for room. */
static int submit_slowly(struct vm *vm, const struct vmreq_spec *spec, vmreq_handle *ret_handle)
{
        struct req *req = NULL;
        int r = submit_try(vm, spec, &req);

        if (r == VMREQ_E_BUSY && (spec->flags & VMREQ_WAIT_ROOM))
                r = submit_when_room(vm, spec, &req);
        return submit_end(vm, req, r, ret_handle);
}

/* Could it be submitted at all? */
static int submit_check(const struct vm *vm, const struct vmreq_spec *spec)
{
        int r = spec_check(vm, spec);

        /* Relaxed: as in alloc. */
        if (r == 0 && atomic_load_explicit(&vm->closed, memory_order_relaxed))
                return VMREQ_E_CLOSED;
        return r;
}

static int submit(struct vm *vm, const struct vmreq_spec *spec, vmreq_handle *ret_handle)
{
        uint64_t more = spec->flags & VMREQ_NO_WAIT ? 0 : REQ_F_OWNED | REQ_REF_ONE;
        int r = submit_check(vm, spec);

        if (r)
                return r;
        if (submit_is_broadcast(spec->cpu) || inline_emt(vm, spec->cpu))
                return submit_slowly(vm, spec, ret_handle);
        r = submit_fresh(vm, spec, more, ret_handle);
        if (r == VMREQ_E_BUSY && (spec->flags & VMREQ_WAIT_ROOM))
                r = submit_slowly(vm, spec, ret_handle);
        return r;
}

int vmreq_submit(vmreq_vm id, const struct vmreq_spec *spec, vmreq_handle *ret_handle)
{
        struct vm *vm;
        int r;

        if (ret_handle)
                *ret_handle = VMREQ_HANDLE_NONE;
        if (!spec || (!ret_handle && !(spec->flags & VMREQ_NO_WAIT)))
                return VMREQ_E_INVALID;
        vm = vm_pin(id.id);
        if (!vm)
                return VMREQ_E_HANDLE;
        r = count(vm, submit(vm, spec, ret_handle));
        vm_unpin(vm);
        return r;
}

int vmreq_wake(vmreq_vm id, uint32_t cpu)
{
        struct vm *vm = vm_pin(id.id);
        int r = 0;

        if (!vm)
                return VMREQ_E_HANDLE;
        if (!cpu_valid(vm, cpu) || submit_is_broadcast(cpu))
                r = VMREQ_E_INVALID;
        else
                submit_wake(vm, cpu, 0);
        vm_unpin(vm);
        return r;
}

/* Waits for a packet of one's own, and lets it go. */
static int wait_and_drop(struct vm *vm, struct req *req)
{
        int r = wait_answer(vm, req);

        if (r == 0)
                switch (REQ_STATE(req_load(req))) {
                case VMREQ_REQ_CANCELLED:
                        r = VMREQ_E_CANCELLED;
                        break;
                case VMREQ_REQ_KILLED:
                        r = VMREQ_E_KILLED;
                        break;
                default:
                        r = req->status;
                        break;
                }
        req_unref(vm, req);
        return r;
}

int submit_and_wait(vmreq_vm id, const struct vmreq_spec *spec)
{
        struct vm *vm = vm_pin(id.id);
        vmreq_handle handle;
        int r;

        if (!vm)
                return VMREQ_E_HANDLE;
        r = submit_check(vm, spec);
        if (r == 0)
                r = submit_fresh(vm, spec, REQ_REF_ONE, &handle);
        (void)count(vm, r);
        if (r == 0)
                r = wait_and_drop(vm, req_at(vm, handle.index));
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
        r = spec_check(vm, spec);
        if (r == 0)
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
        (void)count(vm, r);
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
