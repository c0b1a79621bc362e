/* SPDX-License-Identifier: MIT */
/*
 * Sleep against wake: the event alone, then EMTs that halt against submitters.  A lost wake-up is a
 * run in which all wait for ever; the scheduler reports that by itself.
 */
#include "interleave/vm.h"

#define SOON_NS (2 * CLOCK_NS_PER_S)

/* ---- the event alone ---- */

static struct event event;
static _Atomic uint32_t work, woken;

static void event_setup(void)
{
        atomic_init(&event.word, 0);
        atomic_init(&work, 0);
        atomic_init(&woken, 0);
}

/* Until both pieces of work are done. */
static void sleeper(void)
{
        uint32_t done = 0;

        while (done < 2) {
                event_prepare(&event);
                vm_step_hook("work");
                if (atomic_load(&work))
                        event_cancel(&event);
                else
                        event_sleep(&event, UINT64_MAX);
                vm_step_hook("work");
                done += atomic_exchange(&work, 0);
        }
}

static void waker(void)
{
        vm_step_hook("publish");
        atomic_fetch_add(&work, 1);
        if (event_wake(&event))
                atomic_fetch_add(&woken, 1);
}

static void event_check(void)
{
        STEP_CHECK(atomic_load(&event.word) == 0);
        STEP_CHECK(atomic_load(&woken) <= 2 && atomic_load(&work) == 0);
}

static void sleeper_until(void)
{
        event_prepare(&event);
        event_sleep(&event, SOON_NS);
        STEP_CHECK(atomic_load(&event.word) == 0);
        STEP_CHECK(atomic_load(&work) || clock_now_ns() >= SOON_NS);
}

static void wake_it(void)
{
        atomic_store(&work, 1);
        (void)event_wake(&event);
}

static void limit_check(void)
{
        STEP_CHECK(atomic_load(&event.word) == 0);
}

/* ---- EMTs ---- */

static struct scene_request requests[3];

static void requests_init(void)
{
        memset(requests, 0, sizeof(requests));
}

static void one_setup(void)
{
        requests_init();
        scene_begin(1, 4, 4, NULL);
}

static void two_setup(void)
{
        requests_init();
        scene_begin(2, 4, 4, NULL);
}

static void emt_0(void)
{
        scene_emt(0);
}

static void emt_1(void)
{
        scene_emt(1);
}

static void stop(void)
{
        STEP_CHECK(vmreq_vm_stop(scene_vm, VMREQ_FOREVER, NULL, 0) == 0);
}

static void collect(struct scene_request *request)
{
        STEP_CHECK(vmreq_wait(request->handle, VMREQ_FOREVER) == 0);
        STEP_CHECK(vmreq_free(request->handle) == 0);
}

static void one_request(void)
{
        scene_submit(&requests[0], 0, 0);
        collect(&requests[0]);
        stop();
}

static void one_check(void)
{
        scene_check(&requests[0]);
        STEP_CHECK(requests[0].ran == 1);
        scene_end();
}

static void two_for_any(void)
{
        scene_submit(&requests[0], VMREQ_CPU_ANY, 0);
        scene_submit(&requests[1], VMREQ_CPU_ANY, 0);
        collect(&requests[0]);
        collect(&requests[1]);
        stop();
}

/* Two for one EMT, one for the other, and each is woken once. */
static void more(void)
{
        scene_submit(&requests[0], 0, VMREQ_MORE);
        scene_submit(&requests[1], 0, VMREQ_MORE);
        scene_submit(&requests[2], VMREQ_CPU_ANY, VMREQ_MORE);
        STEP_CHECK(vmreq_wake(scene_vm, 0) == 0);
        STEP_CHECK(vmreq_wake(scene_vm, VMREQ_CPU_ANY) == 0);
        collect(&requests[0]);
        collect(&requests[1]);
        collect(&requests[2]);
        stop();
}

/* The first one's callee stays until the other has run: whoever is woken for the other and takes
 * the first must pass that on. */
static void stay(void)
{
        STEP_CHECK(vmreq_park(VMREQ_FOREVER) == 0);
}

static void let_go(void)
{
        STEP_CHECK(vmreq_unpark(scene_vm, 0) == 0);
}

static void one_stays(void)
{
        requests[0].callee = stay;
        requests[1].callee = let_go;
        scene_submit(&requests[1], VMREQ_CPU_ANY, 0);
        scene_submit(&requests[0], 0, 0);
        collect(&requests[0]);
        collect(&requests[1]);
        stop();
}

/* A callee that waits for a request of its own on the other EMT. */
static void ask_other(void)
{
        scene_submit(&requests[1], 1, 0);
        collect(&requests[1]);
}

static void nested(void)
{
        requests[0].callee = ask_other;
        scene_submit(&requests[0], 0, 0);
        collect(&requests[0]);
        stop();
}

static void two_check(void)
{
        scene_check(&requests[0]);
        scene_check(&requests[1]);
        STEP_CHECK(requests[0].ran == 1 && requests[1].ran == 1);
        scene_end();
}

static void more_check(void)
{
        scene_check(&requests[2]);
        STEP_CHECK(requests[2].ran == 1);
        two_check();
}

/* Both EMTs meet for a callback, while a request comes. */
static uint32_t met;

static int32_t meet(void *ctx, uint32_t cpu)
{
        (void)ctx;
        (void)cpu;
        met++;
        return 0;
}

static void rendezvous(void)
{
        met = 0;
        scene_submit(&requests[0], VMREQ_CPU_ANY, 0);
        STEP_CHECK(vmreq_rendezvous(scene_vm, VMREQ_RENDEZVOUS_ASCENDING, 0, VMREQ_FOREVER, meet,
                                    NULL, NULL, 0) == 0);
        STEP_CHECK(met == 2);
        collect(&requests[0]);
        stop();
}

/* One after the other, each passed on by the EMT that ran the one before. */
static uint32_t rows_ran;

static int32_t row_callee(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        STEP_CHECK(reply->cpu == rows_ran++);
        return 0;
}

static void broadcast(void)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        vmreq_handle handle;

        rows_ran = 0;
        spec.cpu = VMREQ_CPU_ALL;
        spec.kind = VMREQ_FN_CALLBACK;
        spec.callback = row_callee;
        STEP_CHECK(vmreq_submit(scene_vm, &spec, &handle) == 0);
        STEP_CHECK(vmreq_wait(handle, VMREQ_FOREVER) == 0);
        STEP_CHECK(rows_ran == 2);
        STEP_CHECK(vmreq_free(handle) == 0);
        stop();
}

const struct step_scene event_scenes[] = {
        {.name = "event-wake",
         .preemptions = 3,
         .setup = event_setup,
         .threads = {sleeper, waker, waker},
         .check = event_check},
        {.name = "event-limit",
         .preemptions = 4,
         .timeouts = true,
         .setup = event_setup,
         .threads = {sleeper_until, wake_it},
         .check = limit_check},
        {.name = "emt-halt",
         .preemptions = 3,
         .without = scene_inside_lanes,
         .setup = one_setup,
         .threads = {emt_0, one_request},
         .check = one_check},
        {.name = "emt-any",
         .preemptions = 1,
         .without = scene_inside_lanes,
         .setup = two_setup,
         .threads = {emt_0, emt_1, two_for_any},
         .check = two_check},
        {.name = "emt-more",
         .preemptions = 1,
         .without = scene_inside_lanes,
         .setup = two_setup,
         .threads = {emt_0, emt_1, more},
         .check = more_check},
        {.name = "emt-pass",
         .preemptions = 1,
         .without = scene_inside_lanes,
         .setup = two_setup,
         .threads = {emt_0, emt_1, one_stays},
         .check = two_check},
        {.name = "emt-nested",
         .preemptions = 1,
         .without = scene_inside_lanes,
         .setup = two_setup,
         .threads = {emt_0, emt_1, nested},
         .check = two_check},
        {.name = "emt-rendezvous",
         .preemptions = 1,
         .without = scene_inside_lanes,
         .setup = two_setup,
         .threads = {emt_0, emt_1, rendezvous},
         .check = one_check},
        {.name = "emt-broadcast",
         .preemptions = 1,
         .without = scene_inside_lanes,
         .setup = two_setup,
         .threads = {emt_0, emt_1, broadcast},
         .check = scene_end},
        {.name = NULL},
};
