/* SPDX-License-Identifier: MIT */
/*
 * Waiting for room against the release of room, of a packet and of a place.  Who has waited for
 * room that came must have it: else all wait for ever, and the scheduler says so.
 */
#include "interleave/vm.h"

static struct scene_request held[3], wanted[2];
static vmreq_handle all; /* a broadcast's */

static void begin(uint32_t cpus, uint32_t lane_capacity, uint32_t slab)
{
        memset(held, 0, sizeof(held));
        memset(wanted, 0, sizeof(wanted));
        all = VMREQ_HANDLE_NONE;
        scene_begin(cpus, lane_capacity, slab, NULL);
}

static void hold(uint32_t n)
{
        for (uint32_t i = 0; i < n; i++)
                scene_submit(&held[i], 0, 0);
}

static void want(uint32_t i)
{
        scene_submit(&wanted[i], 0, VMREQ_WAIT_ROOM);
}

/* An EMT waits for room, for something that it runs itself, and serves meanwhile. */
static void want_inside(void)
{
        want(0);
        STEP_CHECK(wanted[0].ran == 1);
}

static void setup_slab(void)
{
        begin(1, 8, 1);
        hold(1);
}

static void setup_slab_of_2(void)
{
        begin(1, 8, 2);
        hold(2);
}

/* What its EMT runs, and another: that is all there is. */
static void setup_emt(void)
{
        begin(1, 8, 2);
        held[1].callee = want_inside;
        scene_submit(&held[1], 0, VMREQ_NO_WAIT);
        hold(1);
}

static void setup_lane(void)
{
        begin(1, 1, 8);
        hold(1);
}

/* A broadcast to two takes three packets, a request one: four, of which two are held. */
static void setup_broadcast(void)
{
        begin(2, 8, 4);
        hold(2);
}

/* Three are held, and a broadcast takes three. */
static void setup_given_back(void)
{
        begin(2, 8, 3);
        hold(3);
}

static void drop(uint32_t i)
{
        STEP_CHECK(vmreq_cancel(held[i].handle) == VMREQ_VERDICT_REMOVED);
        STEP_CHECK(vmreq_free(held[i].handle) == 0);
}

static void drop_1(void)
{
        drop(0);
}

static void drop_2(void)
{
        drop(0);
        drop(1);
}

static void want_0(void)
{
        want(0);
}

static void want_1(void)
{
        want(1);
}

static void want_broadcast(void)
{
        struct vmreq_spec spec = scene_spec(&wanted[1], VMREQ_CPU_ALL, VMREQ_WAIT_ROOM);

        spec.complete = NULL;
        spec.release = NULL;
        STEP_CHECK(vmreq_submit(scene_vm, &spec, &all) == 0);
}

/* Gives back one, and waits for three: takes what there is and gives it back. */
static void drop_and_try(void)
{
        struct vmreq_spec spec = scene_spec(&wanted[1], VMREQ_CPU_ALL, VMREQ_WAIT_ROOM);
        vmreq_handle refused;

        drop(0);
        spec.deadline_ns = 2 * CLOCK_NS_PER_S;
        STEP_CHECK(vmreq_submit(scene_vm, &spec, &refused) == VMREQ_E_TIMEOUT);
        STEP_CHECK(wanted[1].completed == 0 && wanted[1].released == 0);
}

/* Runs what stands there until so many have run. */
static void emt_until(uint32_t n)
{
        STEP_CHECK(vmreq_emt_attach(scene_vm, 0) == 0);
        while (held[0].ran + wanted[0].ran + wanted[1].ran < n)
                if (vmreq_process(scene_vm, 0) == 0)
                        STEP_CHECK(vmreq_halt(scene_vm, VMREQ_FOREVER) == 0);
        STEP_CHECK(vmreq_emt_detach(scene_vm) == 0);
}

static void emt_once(void)
{
        emt_until(1);
}

static void emt_inside(void)
{
        scene_emt_turns(0, 1);
}

/* It may have run while its EMT waited; then it is only given back. */
static void drop_late(void)
{
        (void)vmreq_cancel(held[0].handle);
        STEP_CHECK(vmreq_free(held[0].handle) == 0);
}

static void emt_twice(void)
{
        emt_until(2);
}

static void end(const struct scene_request *request)
{
        if (request->handle.vm == 0 && !request->ran)
                return;
        scene_check(request);
        (void)vmreq_free(request->handle);
}

static void check(void)
{
        STEP_CHECK(atomic_load(&scene_inside->room_waiters) == 0);
        STEP_CHECK(vmreq_vm_close(scene_vm) == 0);
        for (uint32_t i = 0; i < ARRAY_SIZE(held); i++)
                end(&held[i]);
        for (uint32_t i = 0; i < ARRAY_SIZE(wanted); i++)
                end(&wanted[i]);
        if (all.vm)
                STEP_CHECK(vmreq_free(all) == 0);
        scene_end();
}

const struct step_scene room_scenes[] = {
        {.name = "room-packet",
         .preemptions = 4,
         .without = scene_inside_lanes,
         .setup = setup_slab,
         .threads = {want_0, drop_1},
         .check = check},
        {.name = "room-packets",
         .preemptions = 2,
         .without = scene_inside_lanes,
         .setup = setup_slab_of_2,
         .threads = {want_0, want_1, drop_2},
         .check = check},
        {.name = "room-place",
         .preemptions = 3,
         .without = scene_inside_lanes,
         .setup = setup_lane,
         .threads = {want_0, emt_once},
         .check = check},
        {.name = "room-places",
         .preemptions = 2,
         .without = scene_inside_lanes,
         .setup = setup_lane,
         .threads = {want_0, want_1, emt_twice},
         .check = check},
        {.name = "room-emt",
         .preemptions = 3,
         .without = scene_inside_lanes,
         .setup = setup_emt,
         .threads = {emt_inside, drop_late},
         .check = check},
        {.name = "room-given-back",
         .preemptions = 3,
         .without = scene_inside_lanes,
         .setup = setup_given_back,
         .threads = {want_0, drop_and_try},
         .check = check},
        {.name = "room-broadcast",
         .preemptions = 2,
         .without = scene_inside_lanes,
         .setup = setup_broadcast,
         .threads = {want_0, want_broadcast, drop_2},
         .check = check},
        {.name = NULL},
};
