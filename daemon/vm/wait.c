/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a completion, and looking at a request.
 *
 * The packet's word is the futex.  A waiter holds a reference, sets WAITED, and sleeps while the
 * word's low half stays what it was; whoever ends the packet swaps the same word and sees WAITED in
 * it.  One word, so there is nothing to order: a change before the sleep defeats it.
 *
 * An EMT that waits serves its lanes meanwhile, one nesting level a wait.  It enters its bit in
 * vm->nested, then sets EMT_WAITS, then announces its sleep, then looks at the word again; the
 * completer swaps the word, then reads the bits and the sleep word (all seq_cst): one of the two
 * sees the other.
 */
#include "vm/vm-internal.h"

#include "vm/cpu.h"
#include "vm/futex.h"
#include "vm/step.h"

/* How long a foreign waiter looks before it sleeps, when spinning can pay at all. */
#define WAIT_SPIN_NS 5000u

/* Looks between two at the clock. */
#define SPIN_LOOKS 64u

/* How many pauses at most pass before the first look. */
#define QUIET_MAX 20u

/* Nothing to wait for: it is complete, or its deadline has passed while it runs, or it is not
 * queued - any more, if there was no room for it. */
static bool settled(uint64_t word)
{
        return req_state_is_final(REQ_STATE(word)) || (word & REQ_F_LATE) ||
               req_state_is_allocated(REQ_STATE(word));
}

static int verdict_of(uint64_t word)
{
        if (req_state_is_allocated(REQ_STATE(word)))
                return VMREQ_E_STATE;
        return req_state_is_final(REQ_STATE(word)) ? 0 : VMREQ_E_TIMEOUT;
}

/* Sets a flag on a word that is not settled yet.  False: it is, see *word. */
static bool flag_unsettled(struct req *req, uint64_t *word, uint64_t flag)
{
        VM_STEP(wait_load);
        *word = req_load(req);
        do {
                if (settled(*word))
                        return false;
                if (*word & flag)
                        return true;
                VM_STEP(wait_flag);
        } while (!req_swap(req, word, *word | flag));
        *word |= flag;
        return true;
}

/* Looks until it is settled, or that does not pay any more.  How many looks found it unsettled. */
static uint32_t wait_spin(const struct req *req, uint64_t until_ns)
{
        uint64_t end = MIN(clock_now_ns() + WAIT_SPIN_NS, until_ns);
        uint32_t looks = 0;

        do {
                for (unsigned i = 0; i < SPIN_LOOKS; i++, looks++) {
                        if (settled(req_load(req)))
                                return looks;
                        cpu_relax();
                }
        } while (clock_now_ns() < end);
        return looks;
}

static int wait_sleep(struct req *req, uint64_t until_ns)
{
        uint64_t word;

        while (flag_unsettled(req, &word, REQ_F_WAITED)) {
                VM_STEP(wait_futex);
                if (futex_wait(futex_low_half(&req->word), (uint32_t)word, until_ns)) {
                        word = req_load(req);
                        break;
                }
        }
        return verdict_of(word);
}

int wait_foreign(struct vm *vm, struct req *req, uint64_t until_ns)
{
        if (vm->spin_ns_max)
                (void)wait_spin(req, until_ns);
        return wait_sleep(req, until_ns);
}

/*
 * A look takes the packet's line from the EMT that is about to write to it, and the EMT has to
 * fetch it back: a look that comes too early puts the answer off by as much as it costs to see it.
 * So who has just queued a request leaves it alone for as long as answers have taken of late: a
 * pause longer after each that was not there at the first look, an eighth of one shorter after each
 * that was.  What takes long anyway, or comes after a sleep, teaches nothing.
 */
static void wait_quietly(const struct req *req)
{
        static _Thread_local uint32_t quiet; /* in eighths of a pause */
        uint32_t looks;

        for (uint32_t i = 0; i < quiet / 8; i++)
                cpu_relax();
        looks = wait_spin(req, UINT64_MAX);
        if (looks == 0)
                quiet -= MIN(quiet, 1u);
        else if (looks < SPIN_LOOKS)
                quiet = MIN(quiet + 8, QUIET_MAX * 8);
}

int wait_answer(struct vm *vm, struct req *req)
{
        if (vm->spin_ns_max)
                wait_quietly(req);
        return wait_sleep(req, UINT64_MAX);
}

static bool req_is_settled(void *ctx)
{
        return settled(req_load(ctx));
}

bool nest_enter(struct emt *emt)
{
        if (emt->nest >= VMREQ_NEST_MAX)
                return false;
        /* seq_cst: pairs with req_wake_waiters and room_made; the bit stands before the flag and
         * the last look. */
        if (emt->nest++ == 0)
                atomic_fetch_or_explicit(&emt->vm->nested[emt->cpu / 64], 1ull << (emt->cpu % 64),
                                         memory_order_seq_cst);
        return true;
}

void nest_leave(struct emt *emt)
{
        if (--emt->nest == 0)
                atomic_fetch_and_explicit(&emt->vm->nested[emt->cpu / 64],
                                          ~(1ull << (emt->cpu % 64)), memory_order_seq_cst);
        /* A request on ANY may have woken this EMT, and nobody else: pass the wake-up on. */
        emt_pass_wake(emt);
}

/* Is it this EMT that runs it, now or further out?  It would wait for itself. */
static bool runs_here(const struct emt *emt, const struct req *req)
{
        uint64_t word = req_load(req);

        /* Relaxed: if it was this thread that stored it, it is seen. */
        return REQ_STATE(word) == VMREQ_REQ_RUNNING && !(word & (REQ_F_PARENT | REQ_F_LATE)) &&
               atomic_load_explicit(&req->ran_on, memory_order_relaxed) == emt->cpu;
}

/* A broadcast is complete when its children are; one of them may be under this very wait. */
static bool waits_for_itself(struct vm *vm, const struct emt *emt, const struct req *req)
{
        uint32_t link;

        if (!(req_load(req) & REQ_F_PARENT))
                return runs_here(emt, req);
        for (link = req_more(vm, req)->first_child; link;) {
                const struct req *child = req_at(vm, link - 1);

                if (runs_here(emt, child))
                        return true;
                link = req_more(vm, child)->next_sibling;
        }
        return false;
}

bool wait_enter(struct emt *emt)
{
        /* In a rendezvous all stand still: nobody could bring about what is waited for. */
        return !emt->in_rendezvous && nest_enter(emt);
}

static int wait_emt(struct vm *vm, struct emt *emt, struct req *req, uint64_t until_ns)
{
        uint64_t word = req_load(req);

        if (settled(word))
                return verdict_of(word);
        if ((req->flags & VMREQ_NO_NEST) || waits_for_itself(vm, emt, req) || !wait_enter(emt))
                return VMREQ_E_DEADLOCK;
        while (flag_unsettled(req, &word, REQ_F_EMT_WAITS)) {
                if (until_ns != UINT64_MAX && clock_now_ns() >= until_ns)
                        break;
                /* Relaxed: seen at the latest after the next wake-up.  Stopping, there is nothing
                 * to serve. */
                if (atomic_load_explicit(&emt->stop, memory_order_relaxed)) {
                        (void)wait_foreign(vm, req, until_ns);
                        word = req_load(req);
                        break;
                }
                emt_turn(emt);
                if (emt_serve(emt, 1, false) == 0)
                        emt_halt(emt, req_is_settled, req, until_ns);
        }
        nest_leave(emt);
        return verdict_of(word);
}

int vmreq_wait(vmreq_handle handle, uint64_t wait_ns)
{
        struct vm *vm = vm_pin(handle.vm);
        struct req *req;
        struct emt *emt;
        uint64_t word, until_ns;
        int r = VMREQ_E_HANDLE;

        if (!vm)
                return r;
        req = req_find(vm, handle, &word);
        if (!req || !req_ref(req, REQ_GENERATION(word)))
                goto out;
        emt = emt_self_of(vm);
        until_ns = wait_ns == VMREQ_FOREVER ? UINT64_MAX : clock_add(clock_now_ns(), wait_ns);
        word = req_load(req);
        if (settled(word) || wait_ns == 0)
                r = verdict_of(word);
        else
                r = emt ? wait_emt(vm, emt, req, until_ns) : wait_foreign(vm, req, until_ns);
        req_unref(vm, req);
out:
        vm_unpin(vm);
        return r;
}

static enum vmreq_req_state public_state(uint32_t state)
{
        switch (state) {
        case REQ_SKIPPED:
                return VMREQ_REQ_CANCELLED;
        case REQ_QUEUEING:
                return VMREQ_REQ_ALLOCATED;
        default:
                return (enum vmreq_req_state)state;
        }
}

int vmreq_status(vmreq_handle handle, enum vmreq_req_state *ret_state, struct vmreq_row *ret_row)
{
        struct vm *vm = vm_pin(handle.vm);
        struct req *req;
        uint64_t word;
        int r = VMREQ_E_HANDLE;

        if (!vm)
                return r;
        req = req_find(vm, handle, &word);
        if (req && req_ref(req, REQ_GENERATION(word))) {
                uint32_t state;

                word = req_load(req);
                state = REQ_STATE(word);
                if (ret_state)
                        *ret_state = public_state(state);
                if (ret_row)
                        req_row(vm, req, word, ret_row);
                req_unref(vm, req);
                r = 0;
        }
        vm_unpin(vm);
        return r;
}

int vmreq_rows(vmreq_handle handle, struct vmreq_row *ret_rows, uint32_t n_rows, uint32_t *ret_n)
{
        struct vm *vm = vm_pin(handle.vm);
        struct req *req;
        uint64_t word;
        int r = VMREQ_E_HANDLE;

        if (!vm)
                return r;
        req = req_find(vm, handle, &word);
        if (!req || !req_ref(req, REQ_GENERATION(word)))
                goto out;
        word = req_load(req);
        if (!(word & REQ_F_PARENT)) {
                r = VMREQ_E_INVALID;
        } else if (!req_state_is_final(REQ_STATE(word))) {
                r = VMREQ_E_STATE;
        } else {
                for (uint32_t link = req_more(vm, req)->first_child; link;) {
                        struct req *child = req_at(vm, link - 1);

                        if (ret_rows && child->cpu < n_rows)
                                req_row(vm, child, req_load(child), &ret_rows[child->cpu]);
                        link = req_more(vm, child)->next_sibling;
                }
                if (ret_n)
                        *ret_n = vm->cpus;
                r = 0;
        }
        req_unref(vm, req);
out:
        vm_unpin(vm);
        return r;
}
