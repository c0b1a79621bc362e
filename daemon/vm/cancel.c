/* SPDX-License-Identifier: MIT */
/*
 * Cancelling, with a verdict at once: what is queued is taken out by one swap on its word, what
 * runs is asked to end.  Any thread.
 */
#include "vm/vm-internal.h"

#include "vm/step.h"

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
        if (!req || req_state_is_allocated(REQ_STATE(word))) {
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
