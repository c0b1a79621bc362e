/* SPDX-License-Identifier: MIT */
/*
 * Kick against guest entry.  The guest runs for ever unless it is kicked: an EMT that stays there
 * with a request to serve is a run in which all wait for ever.
 */
#include "interleave/vm.h"
#include "vm/futex.h"

#define CPUS 2u

static struct scene_request requests[2];
static _Atomic uint32_t kicked[CPUS], kicks;
static _Atomic uint32_t over;
static _Atomic uint32_t told; /* futex: bumped for the service's thread */
static _Atomic uint64_t due;

static void kick(void *ctx, uint32_t cpu)
{
        (void)ctx;
        vm_step_hook("kick");
        atomic_store(&kicked[cpu], 1);
        atomic_fetch_add(&kicks, 1);
        futex_wake(&kicked[cpu], 1);
}

/* EMTs of the scene enter by themselves, so this is not called. */
static int run(void *ctx, uint32_t cpu, const char **ret_reason)
{
        (void)ctx;
        (void)cpu;
        (void)ret_reason;
        return VMREQ_EXIT_FAILED;
}

static void tell_service(void *ctx, uint64_t due_ns)
{
        (void)ctx;
        vm_step_hook("tell_service");
        atomic_store(&due, due_ns);
        atomic_fetch_add(&told, 1);
        futex_wake(&told, 1);
}

static void setup(uint32_t cpus, uint32_t lazy_poke_ms)
{
        struct vmreq_backend backend = VMREQ_BACKEND_INIT;

        memset(requests, 0, sizeof(requests));
        for (uint32_t i = 0; i < CPUS; i++)
                atomic_init(&kicked[i], 0);
        atomic_init(&kicks, 0);
        atomic_init(&over, 0);
        atomic_init(&told, 0);
        atomic_init(&due, UINT64_MAX);
        backend.run = run;
        backend.kick = kick;
        scene_begin(cpus, 4, 4, &backend);
        scene_inside->lazy_poke_ns = lazy_poke_ms * CLOCK_NS_PER_MS;
        scene_inside->config.service_wake = tell_service;
        atomic_store(&scene_inside->state, VMREQ_VM_RUNNING);
}

static void setup_one(void)
{
        setup(1, 0);
}

static void setup_two(void)
{
        setup(2, 0);
}

static void setup_lazy(void)
{
        setup(1, 10);
}

/* In the guest, until it is kicked; a kick that came before counts. */
static void guest(uint32_t cpu)
{
        while (!atomic_exchange(&kicked[cpu], 0))
                (void)futex_wait(&kicked[cpu], 0, UINT64_MAX);
}

static void emt(uint32_t cpu)
{
        int r = vmreq_emt_attach(scene_vm, cpu);

        if (r == VMREQ_E_CLOSED)
                return; /* all is over */
        STEP_CHECK(r == 0);
        while (vmreq_process(scene_vm, 0) != VMREQ_E_CLOSED) {
                if (vmreq_guest_enter(scene_vm))
                        continue;
                guest(cpu);
                STEP_CHECK(vmreq_guest_leave(scene_vm) == 0);
        }
        STEP_CHECK(vmreq_emt_detach(scene_vm) == 0);
}

static void emt_0(void)
{
        emt(0);
}

static void emt_1(void)
{
        emt(1);
}

static void collect(struct scene_request *request)
{
        STEP_CHECK(vmreq_wait(request->handle, VMREQ_FOREVER) == 0);
        STEP_CHECK(vmreq_free(request->handle) == 0);
}

static void stop(void)
{
        STEP_CHECK(vmreq_vm_stop(scene_vm, VMREQ_FOREVER, NULL, 0) == 0);
}

static void poke(void)
{
        scene_submit(&requests[0], 0, VMREQ_POKE);
        collect(&requests[0]);
        stop();
}

static void poke_any(void)
{
        scene_submit(&requests[0], VMREQ_CPU_ANY, VMREQ_POKE);
        collect(&requests[0]);
        stop();
}

static void poke_not(void)
{
        scene_submit(&requests[0], 0, 0);
        collect(&requests[0]);
        atomic_store(&over, 1);
        tell_service(NULL, 0);
        stop();
}

/* Comes when it is told to, and when that is due. */
static void service(void)
{
        while (!atomic_load(&over)) {
                uint32_t seen = atomic_load(&told);
                uint64_t at = atomic_load(&due);

                if (at == UINT64_MAX || atomic_load(&over)) {
                        if (!atomic_load(&over))
                                (void)futex_wait(&told, seen, UINT64_MAX);
                        continue;
                }
                step_time_set(at);
                atomic_store(&due, UINT64_MAX);
                at = vmreq_vm_service(scene_vm, at);
                if (at != UINT64_MAX)
                        atomic_store(&due, at);
        }
}

static void check(void)
{
        scene_check(&requests[0]);
        STEP_CHECK(requests[0].ran == 1);
        scene_end();
}

const struct step_scene guest_scenes[] = {
        {.name = "kick",
         .preemptions = 3,
         .without = scene_inside_lanes,
         .setup = setup_one,
         .threads = {emt_0, poke},
         .check = check},
        {.name = "kick-any",
         .preemptions = 1,
         .without = scene_inside_lanes,
         .setup = setup_two,
         .threads = {emt_0, emt_1, poke_any},
         .check = check},
        {.name = "kick-lazy",
         .preemptions = 2,
         .without = scene_inside_lanes,
         .setup = setup_lazy,
         .threads = {emt_0, poke_not, service},
         .check = check},
        {.name = NULL},
};
