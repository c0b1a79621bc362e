/* SPDX-License-Identifier: MIT */
/*
 * The fate of a packet: taken, cancelled, expired, killed, freed and used again, by threads that
 * all want it at once.  vm.h checks that it completes once, is released once after that, and runs
 * if and only if it is DONE; here each thread's answer is compared with what really became of it.
 */
#include "interleave/vm.h"

#define DUE_NS   (2 * CLOCK_NS_PER_S)
#define LIMIT_NS (CLOCK_NS_PER_S / 2)

static struct scene_request first, second, filler;
static enum vmreq_verdict verdict;
static int waited, queued, freed[2], called;

static void begin(uint32_t lane_capacity, uint32_t slab)
{
        memset(&first, 0, sizeof(first));
        memset(&second, 0, sizeof(second));
        memset(&filler, 0, sizeof(filler));
        verdict = VMREQ_VERDICT_UNKNOWN;
        waited = queued = freed[0] = freed[1] = called = 0;
        scene_begin(1, lane_capacity, slab, NULL);
}

static void setup_queued(void)
{
        begin(4, 4);
        scene_submit(&first, 0, 0);
}

static void setup_two(void)
{
        begin(4, 4);
        scene_submit(&first, 0, 0);
        scene_submit(&filler, 0, VMREQ_NO_WAIT);
}

static void setup_due(void)
{
        struct vmreq_spec spec;

        begin(4, 4);
        spec = scene_spec(&first, 0, 0);
        spec.deadline_ns = DUE_NS;
        STEP_CHECK(vmreq_submit(scene_vm, &spec, &first.handle) == 0);
}

static void setup_empty(void)
{
        begin(4, 4);
}

/* One place, and that is taken; another packet that is still to be queued. */
static void setup_full(void)
{
        struct vmreq_spec spec;

        begin(1, 4);
        scene_submit(&filler, 0, VMREQ_NO_WAIT);
        spec = scene_spec(&first, 0, 0);
        STEP_CHECK(vmreq_alloc(scene_vm, &spec, &first.handle) == 0);
}

/* A packet that is still to be queued. */
static void setup_allocated(void)
{
        struct vmreq_spec spec;

        begin(4, 4);
        spec = scene_spec(&first, 0, 0);
        STEP_CHECK(vmreq_alloc(scene_vm, &spec, &first.handle) == 0);
}

/* ---- what threads do ---- */

static void emt(void)
{
        scene_emt_turns(0, 1);
}

static void emt_twice(void)
{
        scene_emt_turns(0, 2);
}

static void cancel(void)
{
        verdict = vmreq_cancel(first.handle);
}

static void expire(void)
{
        vm_step_hook("clock");
        step_time_set(DUE_NS + 1);
        (void)vmreq_vm_service(scene_vm, DUE_NS + 1);
}

static void close_it(void)
{
        STEP_CHECK(vmreq_vm_close(scene_vm) == 0);
}

static void wait_for_it(void)
{
        waited = vmreq_wait(first.handle, VMREQ_FOREVER);
}

static void wait_a_while(void)
{
        waited = vmreq_wait(first.handle, LIMIT_NS);
}

static void free_it(void)
{
        freed[0] = vmreq_free(first.handle);
}

static void free_it_too(void)
{
        freed[1] = vmreq_free(first.handle);
}

static void submit_it(void)
{
        struct vmreq_spec spec = scene_spec(&first, 0, 0);

        queued = vmreq_submit(scene_vm, &spec, &first.handle);
}

static void submit_nobody_s(void)
{
        struct vmreq_spec spec = scene_spec(&first, 0, VMREQ_NO_WAIT);

        spec.deadline_ns = DUE_NS;
        queued = vmreq_submit(scene_vm, &spec, &first.handle);
}

/* Queues it, if there is room; then nobody may wait for ever. */
static void queue_it(void)
{
        queued = vmreq_queue(first.handle, 0);
        if (queued == VMREQ_E_BUSY)
                return;
        STEP_CHECK(queued == 0 || queued == VMREQ_E_TIMEOUT);
        queued = 0;
        verdict = vmreq_cancel(first.handle);
}

static int32_t count_call(void)
{
        called++;
        return 7;
}

static void call_it(void)
{
        queued = vmreq_call_wait(scene_vm, 0, (vmreq_fn)count_call, 0);
}

/* Queues it, if the VM is not closed yet. */
static void queue_in_time(void)
{
        queued = vmreq_queue(first.handle, 0);
        if (queued == VMREQ_E_TIMEOUT)
                queued = 0;
        STEP_CHECK(queued == 0 || queued == VMREQ_E_CLOSED);
}

/* Gives the packet up and takes it again for another request: the old handle is stale. */
static void use_again(void)
{
        verdict = vmreq_cancel(first.handle);
        STEP_CHECK(vmreq_free(first.handle) == 0);
        scene_submit(&second, 0, 0);
}

static void use_stale(void)
{
        enum vmreq_verdict late = vmreq_cancel(first.handle);

        STEP_CHECK(late != VMREQ_VERDICT_REMOVED || first.fate == VMREQ_FATE_CANCELLED);
        (void)vmreq_wait(first.handle, 0);
        (void)vmreq_queue(first.handle, 0);
}

/* ---- what must have come of it ---- */

static void check_verdict(void)
{
        switch (verdict) {
        case VMREQ_VERDICT_REMOVED:
                STEP_CHECK(first.fate == VMREQ_FATE_CANCELLED);
                break;
        case VMREQ_VERDICT_RUNNING:
                STEP_CHECK(first.fate == VMREQ_FATE_DONE);
                break;
        case VMREQ_VERDICT_FINISHED:
                STEP_CHECK(first.fate != VMREQ_FATE_CANCELLED);
                break;
        default:
                STEP_CHECK(!"a request that is known");
        }
}

static void check_first(void)
{
        scene_check(&first);
        STEP_CHECK(vmreq_free(first.handle) == 0);
        STEP_CHECK(vmreq_free(first.handle) == VMREQ_E_HANDLE);
        scene_end();
}

static void check_cancelled(void)
{
        check_verdict();
        check_first();
}

static void check_waited(void)
{
        STEP_CHECK(waited == 0);
        check_verdict();
        check_first();
}

static void check_late(void)
{
        /* It ran beyond its deadline, or ended by it, or before. */
        STEP_CHECK(waited == 0 || waited == VMREQ_E_TIMEOUT);
        STEP_CHECK(first.fate == VMREQ_FATE_DONE || first.fate == VMREQ_FATE_EXPIRED);
        check_first();
}

static void check_limit(void)
{
        STEP_CHECK(waited == 0 || waited == VMREQ_E_TIMEOUT);
        check_cancelled();
}

static void check_freed(void)
{
        STEP_CHECK((freed[0] == 0) != (freed[1] == 0));
        STEP_CHECK(freed[0] == 0 || freed[0] == VMREQ_E_HANDLE);
        STEP_CHECK(freed[1] == 0 || freed[1] == VMREQ_E_HANDLE);
        scene_check(&first);
        STEP_CHECK(first.fate == VMREQ_FATE_DONE);
        scene_end();
}

static void check_again(void)
{
        /* Who cancelled it may have been the other one. */
        if (verdict != VMREQ_VERDICT_FINISHED)
                check_verdict();
        scene_check(&first);
        if (!second.completed)
                /* The EMT had come too early.  It still stands where it was pushed. */
                STEP_CHECK(vmreq_cancel(second.handle) == VMREQ_VERDICT_REMOVED);
        else
                STEP_CHECK(second.fate == VMREQ_FATE_DONE);
        scene_check(&second);
        STEP_CHECK(vmreq_free(second.handle) == 0);
        if (!filler.completed)
                STEP_CHECK(vmreq_vm_close(scene_vm) == 0);
        scene_check(&filler);
        /* Pushed before the second one, whatever packet that has got. */
        STEP_CHECK(!second.ran || (filler.ran && filler.order < second.order));
        scene_end();
}

/* Taken back, or accepted and cancelled; who waited is told of either. */
static void check_room(void)
{
        if (queued) {
                scene_check_refused(&first);
                STEP_CHECK(waited == VMREQ_E_STATE);
        } else {
                check_verdict();
                scene_check(&first);
                STEP_CHECK(waited == 0 || waited == VMREQ_E_STATE);
        }
        STEP_CHECK(vmreq_free(first.handle) == 0);
        if (!filler.completed)
                STEP_CHECK(vmreq_vm_close(scene_vm) == 0);
        scene_check(&filler);
        scene_end();
}

/* Taken back, or accepted and killed; who waited is told of either. */
static void check_closed_wait(void)
{
        if (queued) {
                scene_check_refused(&first);
                STEP_CHECK(waited == VMREQ_E_STATE);
        } else {
                scene_check(&first);
                STEP_CHECK(first.fate == VMREQ_FATE_KILLED);
                STEP_CHECK(waited == 0 || waited == VMREQ_E_STATE);
        }
        STEP_CHECK(vmreq_free(first.handle) == 0);
        scene_end();
}

static void check_closed(void)
{
        STEP_CHECK(queued == 0 || queued == VMREQ_E_CLOSED);
        if (queued) {
                scene_check_refused(&first);
        } else {
                scene_check(&first);
                STEP_CHECK(first.fate == VMREQ_FATE_DONE || first.fate == VMREQ_FATE_KILLED);
                STEP_CHECK(vmreq_free(first.handle) == 0);
        }
        scene_end();
}

/* The callee's status if it has run, and that once; an error if not. */
static void check_called(void)
{
        if (called)
                STEP_CHECK(called == 1 && queued == 7);
        else
                STEP_CHECK(queued == VMREQ_E_CLOSED || queued == VMREQ_E_KILLED);
        scene_end();
}

/* Nobody holds a handle; what was not taken is killed now. */
static void check_nobody_s(void)
{
        STEP_CHECK(queued == 0);
        STEP_CHECK(vmreq_vm_close(scene_vm) == 0);
        scene_check(&first);
        scene_end();
}

const struct step_scene fate_scenes[] = {
        {.name = "fate-cancel-run",
         .preemptions = 4,
         .setup = setup_queued,
         .threads = {emt, cancel},
         .check = check_cancelled},
        {.name = "fate-cancel-run-expiry",
         .preemptions = 3,
         .setup = setup_due,
         .threads = {emt, cancel, expire},
         .check = check_cancelled},
        {.name = "fate-cancel-run-close",
         .preemptions = 3,
         .setup = setup_queued,
         .threads = {emt, cancel, close_it},
         .check = check_cancelled},
        {.name = "fate-wait-cancel-run",
         .preemptions = 2,
         .setup = setup_queued,
         .threads = {emt, wait_for_it, cancel},
         .check = check_waited},
        {.name = "fate-wait-run-expiry",
         .preemptions = 2,
         .setup = setup_due,
         .threads = {emt, wait_for_it, expire},
         .check = check_late},
        {.name = "fate-wait-limit",
         .preemptions = 2,
         .timeouts = true,
         .setup = setup_queued,
         .threads = {emt, wait_a_while, cancel},
         .check = check_limit},
        {.name = "fate-free-twice",
         .preemptions = 2,
         .setup = setup_queued,
         .threads = {emt, free_it, free_it_too},
         .check = check_freed},
        {.name = "fate-stale-handle",
         .preemptions = 2,
         .setup = setup_two,
         .threads = {emt_twice, use_again, use_stale},
         .check = check_again},
        {.name = "fate-refused-wait",
         .preemptions = 2,
         .setup = setup_full,
         .threads = {queue_it, wait_for_it, emt},
         .check = check_room},
        {.name = "fate-closed-wait",
         .preemptions = 3,
         .setup = setup_allocated,
         .threads = {queue_in_time, wait_for_it, close_it},
         .check = check_closed_wait},
        {.name = "fate-call-close",
         .preemptions = 2,
         .setup = setup_empty,
         .threads = {call_it, close_it, emt_twice},
         .check = check_called},
        {.name = "fate-submit-close",
         .preemptions = 2,
         .setup = setup_empty,
         .threads = {submit_it, close_it, emt_twice},
         .check = check_closed},
        {.name = "fate-no-wait-expiry",
         .preemptions = 2,
         .setup = setup_empty,
         .threads = {submit_nobody_s, expire, emt},
         .check = check_nobody_s},
        {.name = NULL},
};
