/* SPDX-License-Identifier: MIT */
/*
 * The VM object: construction, and the end in three steps.
 *
 *   close  refuses, and completes what is queued; never blocks
 *   stop   joins the EMTs, highest first, EMT 0 last; blocks up to its deadline
 *   free   waits for calls inside the engine (vm-table.c), then releases
 *
 * Closing walks the slab, not the lanes: a lane may belong to an EMT that is stuck, and what stands
 * in it becomes a dead slot anyway.
 */
#include "vm/vm-internal.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/futex.h"
#include "vm/pages.h"
#include "vm/processors.h"
#include "vm/step.h"

#define SLAB_DEFAULT         8192u
#define LANE_DEFAULT         4096u
#define BATCH_DEFAULT        64u
#define PRIORITY_RUN_DEFAULT 16u
#define SPIN_NS_DEFAULT      20000u

static int config_check(const struct vmreq_config *config)
{
        if (!config || config->size != sizeof(*config) || config->cpus == 0 ||
            config->cpus > VMREQ_CPUS_MAX || config->slab > VMREQ_SLAB_MAX ||
            config->lane_capacity > VMREQ_LANE_MAX || (config->flags & ~VMREQ_CONFIG_ATTACH))
                return VMREQ_E_INVALID;
        if (config->backend && (config->backend->size != sizeof(*config->backend) ||
                                !config->backend->run != !config->backend->kick))
                return VMREQ_E_INVALID;
        return 0;
}

/* Spinning takes a processor from somebody unless there is one for each EMT and one for a
 * submitter. */
static bool spinning_can_pay(uint32_t cpus)
{
        return processors_usable("/proc/self/cgroup", "/sys/fs/cgroup") >= cpus + 1;
}

static size_t slab_bytes(const struct vm *vm)
{
        return (size_t)vm->slab_size * sizeof(struct req);
}

static size_t more_bytes(const struct vm *vm)
{
        return (size_t)vm->slab_size * sizeof(struct req_more);
}

static void vm_destroy(struct vm *vm)
{
        for (uint32_t i = 0; vm->emts && i < vm->cpus; i++)
                for (unsigned level = 0; level < LANE_LEVELS; level++)
                        lane_deinit(&vm->emts[i].lanes[level]);
        for (unsigned level = 0; level < LANE_LEVELS; level++)
                lane_deinit(&vm->any[level]);
        pool_deinit(&vm->pool);
        listeners_deinit(&vm->listeners);
        rendezvous_deinit(&vm->rendezvous);
        (void)pthread_mutex_destroy(&vm->service_lock);
        (void)pthread_mutex_destroy(&vm->service_turn);
        pages_unmap(vm->slab, slab_bytes(vm));
        pages_unmap(vm->more, more_bytes(vm));
        pages_unmap((void *)vm->due, (size_t)vm->slab_size * sizeof(uint64_t));
        free(vm->emts);
        free(vm->stripes);
        free(vm);
}

static void *alloc_aligned(size_t bytes)
{
        void *memory =
                aligned_alloc(CACHE_PAIR, (bytes + CACHE_PAIR - 1) / CACHE_PAIR * CACHE_PAIR);

        if (memory)
                memset(memory, 0, bytes);
        return memory;
}

static int lanes_init(struct vm *vm, uint32_t capacity)
{
        uint32_t id = 0;

        for (unsigned level = 0; level < LANE_LEVELS; level++)
                if (lane_init(&vm->any[level], capacity, id++))
                        return VMREQ_E_MEMORY;
        for (uint32_t i = 0; i < vm->cpus; i++)
                for (unsigned level = 0; level < LANE_LEVELS; level++)
                        if (lane_init(&vm->emts[i].lanes[level], capacity, id++))
                                return VMREQ_E_MEMORY;
        return 0;
}

static void emts_init(struct vm *vm)
{
        for (uint32_t i = 0; i < vm->cpus; i++) {
                struct emt *emt = &vm->emts[i];

                emt->vm = vm;
                emt->cpu = i;
                emt->spin_ns = vm->spin_ns_max;
        }
}

/* All memory of a VM; zeroed, with defaults filled in. */
static int vm_new(const struct vmreq_config *config, struct vm **ret_vm)
{
        struct vm *vm = alloc_aligned(sizeof(*vm));
        int r;

        if (!vm)
                return VMREQ_E_MEMORY;
        vm->config = *config;
        vm->cpus = config->cpus;
        vm->slab_size = config->slab ? config->slab : SLAB_DEFAULT;
        vm->batch = config->batch ? config->batch : BATCH_DEFAULT;
        vm->priority_run = config->priority_run ? config->priority_run : PRIORITY_RUN_DEFAULT;
        if (config->spin_ns != VMREQ_FOREVER && spinning_can_pay(vm->cpus))
                vm->spin_ns_max = config->spin_ns ? config->spin_ns : SPIN_NS_DEFAULT;
        (void)snprintf(vm->name, sizeof(vm->name), "%s", config->name ? config->name : "vmreq-emt");
        atomic_init(&vm->earliest, UINT64_MAX);
        atomic_init(&vm->state, VMREQ_VM_CREATED);

        if (config->backend)
                vm->backend = *config->backend;
        vm->lazy_poke_ns = config->lazy_poke_ms * CLOCK_NS_PER_MS;

        r = rendezvous_init(&vm->rendezvous);
        if (r == 0) {
                r = listeners_init(&vm->listeners);
                if (r)
                        rendezvous_deinit(&vm->rendezvous);
        }
        if (r) {
                free(vm);
                return r;
        }
        (void)pthread_mutex_init(&vm->service_lock, NULL);
        (void)pthread_mutex_init(&vm->service_turn, NULL);
        vm->slab = pages_map(slab_bytes(vm));
        vm->more = pages_map(more_bytes(vm));
        vm->due = pages_map((size_t)vm->slab_size * sizeof(uint64_t));
        vm->emts = alloc_aligned(vm->cpus * sizeof(struct emt));
        vm->stripes = alloc_aligned(VM_STRIPES * sizeof(struct stripe));
        if (!vm->slab || !vm->more || !vm->due || !vm->emts || !vm->stripes ||
            pool_init(&vm->pool, vm->slab_size, vm->cpus) ||
            lanes_init(vm, config->lane_capacity ? config->lane_capacity : LANE_DEFAULT)) {
                vm_destroy(vm);
                return VMREQ_E_MEMORY;
        }
        emts_init(vm);
        *ret_vm = vm;
        return 0;
}

/* The EMTs take no signals: those of the process are somebody else's.  (A backend unblocks its
 * own.) */
static int start_emts(struct vm *vm)
{
        sigset_t all, old;
        int r = 0;

        atomic_store_explicit(&vm->starting, vm->cpus, memory_order_relaxed);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        for (uint32_t i = 0; i < vm->cpus; i++) {
                struct emt *emt = &vm->emts[i];
                char name[16];

                if (r || pthread_create(&emt->thread, NULL, emt_main, emt)) {
                        r = VMREQ_E_SYSTEM;
                        atomic_fetch_sub_explicit(&vm->starting, 1, memory_order_relaxed);
                        continue;
                }
                emt->started = true;
                (void)snprintf(name, sizeof(name), "%.11s/%u", vm->name, i % VMREQ_CPUS_MAX);
                (void)pthread_setname_np(emt->thread, name);
        }
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        /* Acquire: pairs with tell_started. */
        for (uint32_t n; (n = atomic_load_explicit(&vm->starting, memory_order_acquire)) != 0;)
                (void)futex_wait(&vm->starting, n, UINT64_MAX);
        return r ? r : atomic_load_explicit(&vm->start_error, memory_order_relaxed);
}

int vmreq_vm_create(const struct vmreq_config *config, vmreq_vm *ret_vm)
{
        struct vm *vm;
        int r = ret_vm ? config_check(config) : VMREQ_E_INVALID;

        if (r)
                return r;
        ret_vm->id = 0;
        r = vm_new(config, &vm);
        if (r)
                return r;
        r = vm_table_add(vm);
        if (r) {
                vm_destroy(vm);
                return r;
        }
        if (!(config->flags & VMREQ_CONFIG_ATTACH))
                r = start_emts(vm);
        if (r) {
                vmreq_vm id = {vm->id};

                (void)vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0);
                (void)vmreq_vm_free(id);
                return r;
        }
        ret_vm->id = vm->id;
        return 0;
}

/* One packet of a VM that closes. */
static void close_packet(struct vm *vm, struct req *req)
{
        VM_STEP(close_load);
        uint64_t word = req_load(req);

        if (REQ_STATE(word) == VMREQ_REQ_QUEUED) {
                if (req_end_queued(vm, req, word, VMREQ_REQ_KILLED))
                        return;
                VM_STEP(close_again);
                word = req_load(req);
        }
        if (REQ_STATE(word) != VMREQ_REQ_RUNNING)
                return;
        if (word & REQ_F_PARENT) {
                if (req_ref(req, REQ_GENERATION(word))) {
                        (void)broadcast_end(vm, req, BROADCAST_KILL);
                        req_unref(vm, req);
                }
        } else if (req_flag_running(req, &word, REQ_F_CANCEL, 0)) {
                emt_nudge_runner(vm, req);
        }
}

static void close_vm(struct vm *vm)
{
        uint32_t n;

        /* seq_cst: pairs with the look in submit.c and broadcast.c. */
        VM_STEP(close_store);
        if (atomic_exchange_explicit(&vm->closed, 1, memory_order_seq_cst))
                return;
        n = pool_high_water(&vm->pool);
        for (uint32_t i = 0; i < n; i++)
                close_packet(vm, req_at(vm, i));
        room_made(vm); /* who waits for room is told that there will be none */
}

int vmreq_vm_close(vmreq_vm id)
{
        struct vm *vm = vm_pin(id.id);

        if (!vm)
                return VMREQ_E_HANDLE;
        close_vm(vm);
        vm_unpin(vm);
        return 0;
}

static bool emt_ended(struct emt *emt)
{
        /* Acquire: pairs with emt_main. */
        return (!emt->started && !atomic_load_explicit(&emt->attached, memory_order_seq_cst)) ||
               atomic_load_explicit(&emt->ended, memory_order_acquire);
}

/* Tells an EMT to end. */
static void emt_stop(struct emt *emt)
{
        /* seq_cst: pairs with emt_has_work. */
        atomic_store_explicit(&emt->stop, true, memory_order_seq_cst);
        emt_wake(emt, true);
        emt_nudge(emt);
}

/* Waits for that.  False: it has not. */
static bool emt_join(struct emt *emt, uint64_t deadline_ns)
{
        while (!emt_ended(emt))
                if (futex_wait(&emt->ended, 0, deadline_ns) && !emt_ended(emt))
                        return false;
        if (emt->started) {
                CHECK(pthread_join(emt->thread, NULL) == 0);
                emt->started = false;
        }
        return true;
}

/* Lets the EMTs end, EMT 0 last.  False: not all have. */
static bool stop_locked(struct vm *vm, uint64_t deadline_ns)
{
        bool all = true;

        for (uint32_t cpu = vm->cpus; cpu-- > 1;)
                emt_stop(&vm->emts[cpu]);
        for (uint32_t cpu = vm->cpus; cpu-- > 1;)
                all &= emt_join(&vm->emts[cpu], deadline_ns);
        if (!all)
                return false; /* EMT 0 is the last one, and not the last yet */
        emt_stop(&vm->emts[0]);
        return emt_join(&vm->emts[0], deadline_ns);
}

/* Who keeps a stop from succeeding: told to end, or not told yet but in a callee. */
static void name_stuck(struct vm *vm, uint32_t *ret_stuck, uint32_t n_stuck)
{
        uint32_t n = 0;

        for (uint32_t cpu = 0; cpu < vm->cpus && n < n_stuck; cpu++) {
                struct emt *emt = &vm->emts[cpu];
                bool told = atomic_load_explicit(&emt->stop, memory_order_relaxed);
                bool nobody = (vm->config.flags & VMREQ_CONFIG_ATTACH) &&
                              !atomic_load_explicit(&emt->attached, memory_order_relaxed);

                if (!nobody && !atomic_load_explicit(&emt->ended, memory_order_acquire) &&
                    (told ||
                     atomic_load_explicit(&emt->state, memory_order_relaxed) == VMREQ_EMT_RUNNING))
                        ret_stuck[n++] = cpu;
        }
        if (n < n_stuck)
                ret_stuck[n] = VMREQ_CPU_NONE;
}

/* One stop at a time, each with its own limit.  False: another one is still at it. */
static bool stop_begin(struct vm *vm, uint64_t deadline_ns)
{
        /* Acquire: pairs with stop_end. */
        while (atomic_exchange_explicit(&vm->stop_turn, 1, memory_order_acquire))
                if (futex_wait(&vm->stop_turn, 1, deadline_ns))
                        return false;
        return true;
}

static void stop_end(struct vm *vm)
{
        atomic_store_explicit(&vm->stop_turn, 0, memory_order_release);
        futex_wake(&vm->stop_turn, 1);
}

int vmreq_vm_stop(vmreq_vm id, uint64_t deadline_ns, uint32_t *ret_stuck, uint32_t n_stuck)
{
        struct vm *vm;
        int r;

        if (n_stuck && !ret_stuck)
                return VMREQ_E_INVALID;
        vm = vm_pin(id.id);
        if (!vm)
                return VMREQ_E_HANDLE;
        if (emt_self_of(vm)) {
                vm_unpin(vm);
                return VMREQ_E_DEADLOCK;
        }
        close_vm(vm);
        rendezvous_refuse(vm);
        listeners_refuse(vm);
        r = VMREQ_E_TIMEOUT;
        if (stop_begin(vm, deadline_ns)) {
                if (stop_locked(vm, deadline_ns)) {
                        deadline_stop(vm);
                        /* Release: pairs with vmreq_vm_free. */
                        atomic_store_explicit(&vm->stopped, 1, memory_order_release);
                        r = 0;
                }
                stop_end(vm);
        }
        if (r)
                name_stuck(vm, ret_stuck, n_stuck);
        vm_unpin(vm);
        return r;
}

int vmreq_vm_free(vmreq_vm id)
{
        struct vm *vm = vm_pin(id.id);
        bool stopped;

        if (!vm)
                return VMREQ_E_HANDLE;
        /* Acquire: pairs with vmreq_vm_stop. */
        stopped = atomic_load_explicit(&vm->stopped, memory_order_acquire);
        vm_unpin(vm);
        if (!stopped)
                return VMREQ_E_STATE;
        if (!vm_table_remove(id.id, &vm))
                return VMREQ_E_HANDLE;
        vm_destroy(vm);
        return 0;
}
