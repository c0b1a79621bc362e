/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: reading disturbs nobody, so each figure is true, though perhaps not at the same
 * instant.
 *
 * No step of a request's walk comes here: what the engine counts on the way, on the EMT, in the
 * lane or in the submitter's stripe, is added up when somebody asks.  Any thread may, at any time:
 * every load is relaxed, no lock is taken, nobody is woken, and a figure that is made of two is cut
 * off where a race would make it negative.
 */
#include "vm/vm-internal.h"

uint64_t vmreq_now(void)
{
        return clock_now_ns();
}

uint32_t vmreq_vm_cpus(vmreq_vm id)
{
        struct vm *vm = vm_pin(id.id);
        uint32_t cpus = 0;

        if (vm) {
                cpus = vm->cpus;
                vm_unpin(vm);
        }
        return cpus;
}

static uint64_t peek(const _Atomic uint64_t *counter)
{
        /* Relaxed: statistics. */
        return atomic_load_explicit(counter, memory_order_relaxed);
}

static void emt_info(struct emt *emt, struct vmreq_emt_info *info)
{
        info->state = (enum vmreq_emt_state)atomic_load_explicit(&emt->state, memory_order_relaxed);
        info->handle.generation = peek(&emt->current_generation);
        if (info->handle.generation) {
                info->handle.vm = emt->vm->id;
                info->handle.index =
                        atomic_load_explicit(&emt->current_index, memory_order_relaxed);
                info->tag = peek(&emt->current_tag);
                info->since_ns = peek(&emt->current_since_ns);
        }
        for (unsigned i = 0; i < LANE_LEVELS; i++)
                info->depth[i] = lane_depth(&emt->lanes[i]);
        info->beats = !atomic_load_explicit(&emt->beat, memory_order_relaxed);
        info->done = peek(&emt->done);
        info->skipped = peek(&emt->skipped);
        info->sleeps = peek(&emt->sleeps);
        info->wakes = peek(&emt->wakes);
        info->spins_paid = peek(&emt->spins_paid);
        info->batches = peek(&emt->batches);
        info->exits = peek(&emt->exits);
        info->kicks = peek(&emt->kicks);
}

int vmreq_emt_info(vmreq_vm id, uint32_t cpu, struct vmreq_emt_info *ret_info)
{
        struct vm *vm;
        int r = VMREQ_E_INVALID;

        if (!ret_info)
                return r;
        vm = vm_pin(id.id);
        if (!vm)
                return VMREQ_E_HANDLE;
        if (cpu < vm->cpus) {
                *ret_info = (struct vmreq_emt_info){0};
                emt_info(&vm->emts[cpu], ret_info);
                r = 0;
        }
        vm_unpin(vm);
        return r;
}

/* What stands in a lane, and how much of it is dead. */
struct look {
        struct vm *vm;
        uint32_t live;
};

static void look_one(void *ctx, uint32_t index, uint64_t place)
{
        struct look *look = ctx;
        struct req *req = req_at(look->vm, index);
        uint64_t word = req_load(req);

        if (REQ_STATE(word) == VMREQ_REQ_QUEUED && peek(&req->place) == place)
                look->live++;
}

static void lane_stats(struct vm *vm, struct lane *lane, struct vmreq_lane_stats *stats)
{
        struct look look = {.vm = vm};
        uint64_t poisoned = peek(&lane->poisoned);

        lane_look(lane, look_one, &look);
        stats->depth = lane_depth(lane);
        stats->dead = stats->depth - MIN(stats->depth, look.live);
        /* What has not been passed yet has not been noted, and a taker may see fewer than this look
         * did: noted here, so that the next look does not say less. */
        lane_note_depth(lane, stats->depth);
        stats->high_water = (uint32_t)peek(&lane->high_water);
        stats->refused = peek(&lane->refused);
        stats->skipped = peek(&lane->skipped);
        stats->cancelled = peek(&lane->ended[0]);
        stats->expired = peek(&lane->ended[1]);
        stats->killed = peek(&lane->ended[2]);
        stats->submitted = lane_tickets(lane) - MIN(lane_tickets(lane), poisoned);
        stats->taken = stats->submitted - MIN(stats->submitted, stats->skipped + stats->depth);
}

int vmreq_emt_stats(vmreq_vm id, uint32_t cpu, struct vmreq_emt_stats *ret_stats)
{
        struct vm *vm;
        int r = VMREQ_E_INVALID;

        if (!ret_stats)
                return r;
        vm = vm_pin(id.id);
        if (!vm)
                return VMREQ_E_HANDLE;
        if (cpu < vm->cpus || cpu == VMREQ_CPU_ANY) {
                *ret_stats = (struct vmreq_emt_stats){0};
                for (unsigned i = 0; i < LANE_LEVELS; i++)
                        lane_stats(vm, cpu < vm->cpus ? &vm->emts[cpu].lanes[i] : &vm->any[i],
                                   &ret_stats->lanes[i]);
                if (cpu < vm->cpus) {
                        ret_stats->queued_sum_ns = peek(&vm->emts[cpu].queued_sum_ns);
                        ret_stats->run_sum_ns = peek(&vm->emts[cpu].run_sum_ns);
                }
                for (unsigned i = 0; i < VMREQ_HISTOGRAM_N && cpu < vm->cpus; i++) {
                        ret_stats->queued[i] = peek(&vm->emts[cpu].queued_histogram[i]);
                        ret_stats->run[i] = peek(&vm->emts[cpu].run_histogram[i]);
                }
                r = 0;
        }
        vm_unpin(vm);
        return r;
}

/* A packet's generation is how many lives of it are over. */
static void count_packets(struct vm *vm, struct vmreq_stats *stats)
{
        uint32_t n = pool_high_water(&vm->pool);

        for (uint32_t i = 0; i < n; i++) {
                uint64_t word = req_load(req_at(vm, i)), lives = REQ_GENERATION(word);

                if (REQ_STATE(word) != VMREQ_REQ_FREE) {
                        stats->in_use++;
                        lives++;
                }
                stats->packets_new += lives > 0;
                stats->packets_recycled += lives - (lives > 0);
        }
}

int vmreq_vm_stats(vmreq_vm id, struct vmreq_stats *ret_stats)
{
        struct vm *vm;

        if (!ret_stats)
                return VMREQ_E_INVALID;
        vm = vm_pin(id.id);
        if (!vm)
                return VMREQ_E_HANDLE;
        *ret_stats = (struct vmreq_stats){.slab = vm->slab_size};
        count_packets(vm, ret_stats);
        ret_stats->lane_capacity = vm->any[LANE_NORMAL].capacity;
        ret_stats->spin_ns = vm->spin_ns_max;
        for (uint32_t i = 0; i < vm->cpus; i++)
                ret_stats->fates[VMREQ_FATE_DONE] += peek(&vm->emts[i].singles);
        for (unsigned i = 0; i < VM_STRIPES; i++) {
                ret_stats->submitted += peek(&vm->stripes[i].submitted);
                ret_stats->refused += peek(&vm->stripes[i].refused);
                for (unsigned f = 0; f < _VMREQ_FATE_N; f++)
                        ret_stats->fates[f] += peek(&vm->stripes[i].fates[f]);
        }
        for (unsigned i = 0; i < LANE_LEVELS; i++)
                ret_stats->any_depth[i] = lane_depth(&vm->any[i]);
        vm_unpin(vm);
        return 0;
}
