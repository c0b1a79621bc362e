/* SPDX-License-Identifier: MIT */
/*
 * Broadcasts: one parent, one child per vCPU, all taken from the slab, and lane room for every
 * child set aside, before anything is accepted: so passing on cannot fail.
 *
 * The parent is RUNNING from acceptance until its last row is final.  A row becomes final by
 * exactly one swap on its child's word - into a final state, or LATE set on a RUNNING child - and
 * whoever made that swap counts the row off (rows_open); who counts off the last one completes the
 * parent.  No lock, no owner.
 *
 * Sequential form: whoever ended a child passes on to the next one, ALLOCATED → QUEUED.  Who wants
 * to stop the chain walks the children in order and swaps ALLOCATED → SKIPPED.  A walker meets each
 * child once, and a passer can only queue a child that the walker has not met yet; so the walker
 * sees it QUEUED, or the passer finds its swap lost and stops.
 *
 * References: each child holds one on the parent until it has ended, the parent one on each child
 * until the parent is recycled.  So a child that still runs keeps its parent's memory, and rows
 * stay readable.
 */
#include "vm/vm-internal.h"

#include <string.h>

static struct req *child_next(struct vm *vm, const struct req *child)
{
        uint32_t link = req_more(vm, child)->next_sibling;

        return link ? req_at(vm, link - 1) : NULL;
}

static struct req *child_first(struct vm *vm, const struct req *parent)
{
        uint32_t link = req_more(vm, parent)->first_child;

        return link ? req_at(vm, link - 1) : NULL;
}

static struct lane *child_lane(struct vm *vm, const struct req *child)
{
        return submit_lane(vm, child->cpu, child->flags);
}

void broadcast_drop_children(struct vm *vm, struct req *parent)
{
        struct req *child = child_first(vm, parent), *next;

        for (; child; child = next) {
                next = child_next(vm, child);
                req_unref(vm, child);
        }
}

static void child_fill(struct vm *vm, struct req *child, const struct req *parent, uint32_t cpu)
{
        struct req_more *more = req_more(vm, child);
        const uint64_t *args = req_args(vm, parent);

        more->parent = req_index(vm, parent) + 1;
        child->has = parent->has & REQ_HAS_USER; /* hooks are the parent's */
        if (child->has)
                more->user = req_more(vm, parent)->user;
        if (parent->kind == VMREQ_FN_CALLBACK)
                child->callback = parent->callback;
        else
                child->fn = parent->fn;
        child->ctx = parent->ctx;
        child->tag = parent->tag;
        child->cpu = cpu;
        child->kind = parent->kind;
        child->flags = parent->flags;
        child->argc = parent->argc;
        memcpy(parent->argc <= REQ_ARGS_NEAR ? child->args : more->args, args,
               parent->argc * sizeof(args[0]));
        /* For who takes it; the service looks at the parent's alone. */
        atomic_store_explicit(&child->deadline_ns, req_deadline(parent), memory_order_relaxed);
        atomic_store_explicit(&child->queued_ns, 0, memory_order_relaxed);
}

/* All children, linked in the order of passing on, each with its place set aside.  On failure those
 * made so far stand, for start_refused. */
static int make_children(struct vm *vm, struct req *parent)
{
        struct req *previous = NULL, *child;
        uint32_t n;

        for (n = 0; n < vm->cpus; n++) {
                uint32_t cpu = parent->cpu == VMREQ_CPU_ALL ? n : vm->cpus - 1 - n;

                child = req_new(vm, REQ_F_CHILD);
                if (!child)
                        break;
                child_fill(vm, child, parent, cpu);
                if (!lane_reserve(child_lane(vm, child))) {
                        room_hush(); /* start_refused follows */
                        req_unref(vm, child);
                        break;
                }
                if (previous)
                        req_more(vm, previous)->next_sibling = req_index(vm, child) + 1;
                else
                        req_more(vm, parent)->first_child = req_index(vm, child) + 1;
                previous = child;
        }
        return n == vm->cpus ? 0 : VMREQ_E_BUSY;
}

/* The parent's last row is final. */
static void parent_complete(struct vm *vm, struct req *parent)
{
        const struct req_more *more = req_more(vm, parent);
        struct vmreq_row rows[VMREQ_CPUS_MAX];
        uint64_t word = req_load(parent);
        struct vmreq_result result;
        struct req *child;

        atomic_store_explicit(&parent->end_ns, clock_now_ns(), memory_order_relaxed);
        while (!req_swap(parent, &word, req_with_state(word, VMREQ_REQ_COMPLETED)))
                ;
        word = req_with_state(word, VMREQ_REQ_COMPLETED);
        /* Relaxed: statistics. */
        atomic_fetch_add_explicit(&vm->stripes[vm_stripe()].fates[VMREQ_FATE_DONE], 1,
                                  memory_order_relaxed);
        if (req_deadline(parent))
                deadline_clear(vm, req_index(vm, parent));
        req_wake_waiters(vm, parent, word);
        if (!(parent->has & REQ_HAS_HOOKS) || !more->complete)
                return;
        for (child = child_first(vm, parent); child; child = child_next(vm, child))
                req_row(vm, child, req_load(child), &rows[child->cpu]);
        result = (struct vmreq_result){.handle = req_handle(vm, parent, word),
                                       .tag = parent->tag,
                                       .n_rows = vm->cpus,
                                       .rows = rows};
        req_row(vm, parent, word, &result.row);
        more->complete(more->user, &result);
}

/* One user less of the submitter's memory; the last one lets it go. */
static void parent_unuse(struct vm *vm, struct req *parent)
{
        struct req_more *more = req_more(vm, parent);

        /* acq_rel: each user's work comes before the hook of the last one. */
        if (atomic_fetch_sub_explicit(&more->uses, 1, memory_order_acq_rel) == 1 &&
            (parent->has & REQ_HAS_HOOKS) && more->release)
                more->release(more->user);
}

/* A row is final.  The caller holds a reference on child and parent. */
static void row_final(struct vm *vm, struct req *parent, struct req *child, uint64_t word)
{
        struct req_more *more = req_more(vm, parent);

        if ((parent->has & REQ_HAS_HOOKS) && more->row) {
                struct vmreq_row row;

                req_row(vm, child, word, &row);
                more->row(more->user, &row);
        }
        /* acq_rel: who counts off the last row has seen all of them. */
        if (atomic_fetch_sub_explicit(&more->rows_open, 1, memory_order_acq_rel) == 1) {
                parent_complete(vm, parent);
                parent_unuse(vm, parent);
        }
}

/* ALLOCATED → SKIPPED.  The caller holds a reference on the parent. */
static bool child_skip(struct vm *vm, struct req *parent, struct req *child)
{
        uint64_t word = req_load(child), next;

        do {
                if (REQ_STATE(word) != VMREQ_REQ_ALLOCATED)
                        return false;
                next = req_with_state(word, REQ_SKIPPED) + REQ_REF_ONE;
        } while (!req_swap(child, &word, next));
        lane_unreserve(child_lane(vm, child));
        room_made(vm);
        /* Relaxed: statistics. */
        atomic_fetch_add_explicit(&vm->stripes[vm_stripe()].fates[VMREQ_FATE_SKIPPED], 1,
                                  memory_order_relaxed);
        row_final(vm, parent, child, next);
        parent_unuse(vm, parent);
        req_unref(vm, child);
        req_unref(vm, parent); /* the child's */
        return true;
}

/* A RUNNING child: asked to end, and with `freeze` its row made final as RUNNING.  True: it was
 * running. */
static bool child_running(struct vm *vm, struct req *parent, struct req *child, bool freeze,
                          bool ask)
{
        uint64_t word = req_load(child),
                 flags = (freeze ? REQ_F_LATE : 0) | (ask ? REQ_F_CANCEL : 0);
        uint32_t cpu;

        if (REQ_STATE(word) != VMREQ_REQ_RUNNING)
                return false;
        if (!flags)
                return true;
        if (!req_flag_running(child, &word, flags, freeze ? 1 : 0))
                return REQ_STATE(word) == VMREQ_REQ_RUNNING;
        cpu = child->cpu;
        if (freeze) {
                row_final(vm, parent, child, word);
                req_unref(vm, child);
        }
        emt_nudge(&vm->emts[cpu]);
        return true;
}

bool broadcast_end(struct vm *vm, struct req *parent, enum broadcast_why why)
{
        static const uint32_t state_of[] = {
                [BROADCAST_STOP] = VMREQ_REQ_CANCELLED,
                [BROADCAST_CANCEL] = VMREQ_REQ_CANCELLED,
                [BROADCAST_EXPIRE] = VMREQ_REQ_EXPIRED,
                [BROADCAST_KILL] = VMREQ_REQ_KILLED,
        };
        bool freeze = why == BROADCAST_EXPIRE || why == BROADCAST_KILL, running = false;
        struct req *child, *next;

        for (child = child_first(vm, parent); child; child = next) {
                next = child_next(vm, child);
                if (child_skip(vm, parent, child) ||
                    req_end_queued(vm, child, req_load(child), state_of[why]))
                        continue;
                running |= child_running(vm, parent, child, freeze, why != BROADCAST_STOP);
        }
        return running;
}

/* ALLOCATED → QUEUED and onto its lane, unless somebody has skipped it: then he walks on to the
 * last.  The caller holds a reference on the parent. */
static void child_queue(struct vm *vm, struct req *parent, struct req *child)
{
        uint64_t word = req_load(child);
        uint32_t cpu = child->cpu;

        atomic_store_explicit(&child->queued_ns, clock_now_ns(), memory_order_relaxed);
        do {
                if (REQ_STATE(word) != VMREQ_REQ_ALLOCATED)
                        return;
        } while (!req_swap(child, &word, req_with_state(word, VMREQ_REQ_QUEUED) + REQ_REF_ONE));
        /* seq_cst: pairs with vmreq_vm_close, as in submit.c.  The closer may have passed the
         * parent before it was RUNNING, so this thread ends the rest of the chain as well. */
        if (atomic_load_explicit(&vm->closed, memory_order_seq_cst)) {
                lane_unreserve(child_lane(vm, child));
                (void)broadcast_end(vm, parent, BROADCAST_KILL);
        } else {
                lane_push_reserved(child_lane(vm, child), req_index(vm, child), &child->place);
                submit_wake(vm, cpu, child->flags);
        }
        req_unref(vm, child); /* held since QUEUED: it may have run and gone during the push */
}

static bool row_ok(const struct req *child, uint64_t word)
{
        return REQ_STATE(word) == VMREQ_REQ_COMPLETED && child->status >= 0;
}

/* Goes on after a child has run: to the next one, or to the end. */
static void pass_on(struct vm *vm, struct req *parent, struct req *child, uint64_t word)
{
        struct req *next = child_next(vm, child);
        uint64_t deadline_ns = req_deadline(parent);

        if (!(parent->flags & VMREQ_CONTINUE) && !row_ok(child, word))
                (void)broadcast_end(vm, parent, BROADCAST_STOP);
        else if (next && deadline_ns && deadline_ns <= clock_now_ns())
                (void)broadcast_end(vm, parent, BROADCAST_EXPIRE);
        else if (req_load(parent) & REQ_F_CANCEL)
                (void)broadcast_end(vm, parent, BROADCAST_CANCEL);
        else if (!(parent->flags & VMREQ_PARALLEL) && next)
                child_queue(vm, parent, next);
}

void broadcast_child_ended(struct vm *vm, struct req *child, uint64_t word)
{
        struct req *parent = req_at(vm, req_more(vm, child)->parent - 1);

        if (!(word & REQ_F_LATE)) {
                row_final(vm, parent, child, word);
                /* A child that never ran was ended by somebody who walks them all, or by its EMT at
                 * the deadline; then the service comes and walks. */
                if (REQ_STATE(word) == VMREQ_REQ_COMPLETED)
                        pass_on(vm, parent, child, word);
        }
        parent_unuse(vm, parent);
        req_unref(vm, child);
        req_unref(vm, parent); /* the child's */
}

/* Undoes what broadcast_start did, before any child was queued. */
static int start_refused(struct vm *vm, struct req *parent, int result)
{
        struct req_more *more = req_more(vm, parent);
        struct req *child;

        room_hush();
        for (child = child_first(vm, parent); child; child = child_next(vm, child))
                lane_unreserve(child_lane(vm, child));
        broadcast_drop_children(vm, parent);
        room_tried(vm, more->failed);
        more->first_child = 0;
        atomic_store_explicit(&more->uses, 0, memory_order_release);
        return result;
}

int broadcast_start(struct vm *vm, struct req *parent)
{
        struct req_more *more = req_more(vm, parent);
        struct req *child, *next;
        uint32_t unused = 0;
        uint64_t word;
        int r;

        /* Two threads may queue one packet: the first to enter its users has it.  Acquire and
         * release (in start_refused) order one try after another. */
        if (!atomic_compare_exchange_strong_explicit(&more->uses, &unused, vm->cpus + 1,
                                                     memory_order_acquire, memory_order_relaxed))
                return VMREQ_E_STATE;
        /* Looked at only now: the other thread's broadcast may be over, its users gone. */
        word = req_load(parent);
        if (REQ_STATE(word) != VMREQ_REQ_ALLOCATED) {
                atomic_store_explicit(&more->uses, 0, memory_order_release);
                return VMREQ_E_STATE;
        }
        r = make_children(vm, parent);
        if (r == 0 && req_deadline(parent))
                r = deadline_set(vm, req_index(vm, parent), req_deadline(parent));
        /* seq_cst: pairs with vmreq_vm_close; each child looks again when it is queued. */
        if (r == 0 && atomic_load_explicit(&vm->closed, memory_order_seq_cst)) {
                if (req_deadline(parent))
                        deadline_clear(vm, req_index(vm, parent));
                r = VMREQ_E_CLOSED;
        }
        if (r)
                return start_refused(vm, parent, r);
        atomic_store_explicit(&parent->start_ns,
                              atomic_load_explicit(&parent->queued_ns, memory_order_relaxed),
                              memory_order_relaxed);
        atomic_store_explicit(&more->rows_open, vm->cpus, memory_order_relaxed);
        /* One reference per child, and one of ours until the children are on their way.  The caller
         * holds one, so nothing but references and OWNED changes under us. */
        while (!req_swap(parent, &word,
                         req_with_state(word, VMREQ_REQ_RUNNING) + (vm->cpus + 1) * REQ_REF_ONE))
                CHECK(REQ_STATE(word) == VMREQ_REQ_ALLOCATED);

        for (child = child_first(vm, parent); child; child = next) {
                next = child_next(vm, child);
                child_queue(vm, parent, child);
                if (!(parent->flags & VMREQ_PARALLEL))
                        break;
        }
        req_unref(vm, parent);
        return 0;
}
