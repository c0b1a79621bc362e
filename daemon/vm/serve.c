/* SPDX-License-Identifier: MIT */
/*
 * Serving: which request an EMT takes next, and how it runs it.
 *
 * Everything that an EMT serves it takes through pick(): the priority lanes of ANY and of its own
 * before the normal lanes of both, ANY and own by turns; after priority_run priority requests in a
 * row one normal request goes first, so that neither lane starves.
 */
#include "vm/vm-internal.h"

#include "vm/cpu.h"
#include "vm/step.h"

/* How long an EMT leaves the pushers' lines alone when its lanes look empty. */
#define LINGER_NS 1000u

/* Counters written by one EMT and read by snapshots: relaxed, no read-modify-write needed. */
static void count_by(_Atomic uint64_t *counter, uint64_t n)
{
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

static void count(_Atomic uint64_t *counter)
{
        count_by(counter, 1);
}

/* Bucket i: 2^i up to 2^(i+1) ns. */
static void count_time(_Atomic uint64_t *histogram, _Atomic uint64_t *sum, uint64_t ns)
{
        unsigned bucket = ns ? 63u - (unsigned)__builtin_clzll(ns) : 0;

        count(&histogram[MIN(bucket, VMREQ_HISTOGRAM_N - 1)]);
        count_by(sum, ns);
}

/* The next one comes from its submitter's cache while this one runs. */
static void fetch_ahead(struct vm *vm, struct lane *lane, uint64_t place)
{
        uint32_t index;

        if (lane_next(lane, place, &index))
                req_will_write(req_at(vm, index));
}

/* Takes the oldest live request of a lane and claims it: QUEUED → RUNNING, with a reference of the
 * runner's. */
static struct req *take(struct emt *emt, struct lane *lane, uint64_t *ret_word)
{
        struct vm *vm = emt->vm;
        uint32_t index;
        uint64_t place;

        while (lane_take(lane, &index, &place)) {
                struct req *req = req_at(vm, index);

                req_will_write(req);
                VM_STEP(take_word);
                uint64_t word = req_load(req), next;

                fetch_ahead(vm, lane, place);
                room_made(vm);

                for (;;) {
                        uint64_t due;

                        /* The word is read before the place, and the swap proves that the
                         * generation stood all the while: so the place is that generation's.  The
                         * deadline likewise. */
                        VM_STEP(take_place);
                        if (REQ_STATE(word) != VMREQ_REQ_QUEUED ||
                            atomic_load_explicit(&req->place, memory_order_relaxed) != place)
                                break;
                        VM_STEP(take_due);
                        due = req_deadline(req);
                        if (due && due <= clock_now_ns() &&
                            req_end_queued(vm, req, word, VMREQ_REQ_EXPIRED))
                                break; /* its time passed, and the service has not been here yet */
                        /* Relaxed: the closer kills whatever a late look lets through here; an EMT
                         * that it nudged out of a callee has seen it. */
                        VM_STEP(take_closed);
                        if (atomic_load_explicit(&vm->closed, memory_order_relaxed) &&
                            req_end_queued(vm, req, word, VMREQ_REQ_KILLED))
                                break;
                        next = req_with_state(word, VMREQ_REQ_RUNNING) + REQ_REF_ONE;
                        VM_STEP(take_claim);
                        if (!req_swap(req, &word, next))
                                continue;
                        *ret_word = next;
                        return req;
                }
                /* Cancelled, expired or killed while it stood here. */
                emt->now_ns = 0;
                count(&emt->skipped);
                atomic_fetch_add_explicit(&lane->skipped, 1, memory_order_relaxed);
        }
        /* A hole that was passed is a place, too. */
        room_made(vm);
        return NULL;
}

static struct req *take_level(struct emt *emt, unsigned level, uint64_t *ret_word)
{
        struct lane *own = &emt->lanes[level], *any = &emt->vm->any[level];
        struct lane *first = emt->any_first[level] ? any : own;
        struct lane *second = emt->any_first[level] ? own : any;
        struct req *req = lane_pending(first) ? take(emt, first, ret_word) : NULL;

        if (req) {
                emt->any_first[level] = !emt->any_first[level];
                return req;
        }
        return lane_pending(second) ? take(emt, second, ret_word) : NULL;
}

static struct req *pick(struct emt *emt, bool priority_only, uint64_t *ret_word)
{
        struct req *req;

        if (!priority_only && emt->priority_run >= emt->vm->priority_run) {
                emt->priority_run = 0;
                req = take_level(emt, LANE_NORMAL, ret_word);
                if (req)
                        return req;
        }
        req = take_level(emt, LANE_PRIORITY, ret_word);
        if (req) {
                emt->priority_run++;
                return req;
        }
        if (priority_only)
                return NULL;
        emt->priority_run = 0;
        return take_level(emt, LANE_NORMAL, ret_word);
}

/* ---- running ---- */

static void publish_current(struct emt *emt, struct req *req, uint64_t word, uint64_t since_ns)
{
        /* Relaxed: snapshots; the generation is compared before it is believed. */
        atomic_store_explicit(&emt->current_tag, req ? req->tag : 0, memory_order_relaxed);
        atomic_store_explicit(&emt->current_since_ns, since_ns, memory_order_relaxed);
        atomic_store_explicit(&emt->current_index, req ? req_index(emt->vm, req) : 0,
                              memory_order_relaxed);
        atomic_store_explicit(&emt->current_generation, req ? REQ_GENERATION(word) + 1 : 0,
                              memory_order_relaxed);
        atomic_store_explicit(&emt->state, req ? VMREQ_EMT_RUNNING : VMREQ_EMT_AWAKE,
                              memory_order_relaxed);
}

/* This EMT turns from `outer` to the request. */
static void begin(struct emt *emt, struct req *req, uint64_t word, uint64_t start_ns)
{
        atomic_store_explicit(&req->ran_on, emt->cpu, memory_order_relaxed);
        atomic_store_explicit(&req->start_ns, start_ns, memory_order_relaxed);
        emt->current = req;
        publish_current(emt, req, word, start_ns);
        emt_pass_wake(emt);
}

/* And back. */
static void end(struct emt *emt, struct req *outer)
{
        emt->current = outer;
        if (outer) {
                publish_current(emt, outer, req_load(outer),
                                atomic_load_explicit(&outer->start_ns, memory_order_relaxed));
                return;
        }
        /* Relaxed, as above; without a generation the others are not looked at. */
        atomic_store_explicit(&emt->current_generation, 0, memory_order_relaxed);
        atomic_store_explicit(&emt->state, VMREQ_EMT_AWAKE, memory_order_relaxed);
}

/* Has it neither a hook that is told when it ended, nor a handle that may be asked by? */
static bool nobody_asks_when(const struct req *req, uint64_t word)
{
        return !(word & (REQ_F_OWNED | REQ_F_CHILD)) && !(req->has & REQ_HAS_HOOKS);
}

static void run_at(struct emt *emt, struct req *req, uint64_t word, uint64_t start_ns)
{
        struct req *outer = emt->current;
        uint64_t queued_ns = atomic_load_explicit(&req->queued_ns, memory_order_relaxed), end_ns;
        bool silently;

        begin(emt, req, word, start_ns);
        invoke(emt->vm, req, emt->cpu);
        end(emt, outer);
        count(&emt->done);
        if (!(word & REQ_F_CHILD))
                count(&emt->singles);
        /* Who spins for it goes on while the time is taken. */
        silently = nobody_asks_when(req, word) && req_end_running(emt->vm, req, true);
        end_ns = clock_now_ns();
        count_time(emt->queued_histogram, &emt->queued_sum_ns, start_ns - MIN(start_ns, queued_ns));
        count_time(emt->run_histogram, &emt->run_sum_ns, end_ns - start_ns);
        if (!silently) {
                atomic_store_explicit(&req->end_ns, end_ns, memory_order_relaxed);
                silently = req_end_running(emt->vm, req, false);
        }
        emt->answered = silently && REQ_REFS(word) > 1 && emt->lingers && !outer &&
                        !emt->in_rendezvous;
        /* Hooks and wake-ups take time. */
        emt->now_ns = silently ? end_ns : 0;
}

void emt_run_inline(struct emt *emt, struct req *req, uint64_t word)
{
        run_at(emt, req, word, clock_now_ns());
}

/* One that was taken from a lane. */
static void run(struct emt *emt, struct req *req, uint64_t word)
{
        /* One look at the clock for the end of one and the start of the next; but none starts
         * before it was queued. */
        uint64_t now_ns = emt->now_ns ? emt->now_ns : clock_now_ns();

        run_at(emt, req, word,
               MAX(now_ns, atomic_load_explicit(&req->queued_ns, memory_order_relaxed)));
}

/*
 * Nothing is seen after a request that somebody waited for, who may bring the next at once.  Looks
 * at the next entries alone, because the truth stands on the pushers' lines, and they would have to
 * fetch them back.  The look at the clock is the pause between two looks, and says when the next
 * request starts.  True: something came.
 */
static bool linger(struct emt *emt)
{
        struct lane *lane = &emt->lanes[LANE_NORMAL];
        uint64_t begin_ns = clock_now_ns(), now_ns = begin_ns;
        uint64_t most_ns = MIN(emt->spin_ns, LINGER_NS);

        do {
                if (emt_sees_push(emt)) {
                        uint32_t index;

                        /* The packet comes while this thread finds its way to it. */
                        if (lane_first(lane, &index))
                                req_will_write(req_at(emt->vm, index));
                        emt->now_ns = now_ns;
                        emt_spin_paid(emt);
                        return true;
                }
                now_ns = clock_now_ns();
        } while (now_ns - begin_ns < most_ns);
        emt->lingered_ns = now_ns - begin_ns;
        return false;
}

uint32_t emt_serve(struct emt *emt, uint32_t max, bool priority_only)
{
        uint32_t n = 0;

        emt->now_ns = 0; /* it was, at most */
        while (n < max) {
                if (n && emt->answered && !emt_sees_push(emt) && !linger(emt))
                        break; /* as far as that can tell; the caller comes back */
                /* Asked each time: the last callee may have waited, and joined a change of state.
                 */
                bool only = priority_only || emt_priority_only(emt->vm);
                uint64_t word;
                struct req *req = pick(emt, only, &word);

                if (!req)
                        break;
                run(emt, req, word);
                n++;
        }
        if (n)
                count(&emt->batches);
        return n;
}
