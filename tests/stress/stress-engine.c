/* SPDX-License-Identifier: MIT */
/*
 * The engine under everything at once: producers with random destinations, flags, deadlines and
 * hooks; callees that wait, nest, broadcast and park; a disturber that cancels, unparks, changes
 * the VM's state and calls rendezvous; and the end of the VM in the middle of it.  Rounds of a
 * fresh VM each, until the time is up.
 *
 *      stress-engine [SEED]        VMREQ_SEED, VMREQ_STRESS_SECONDS (default 30)
 *
 * What must hold at the end of each round:
 *   1. Conservation: an accepted request completed exactly once and was released exactly once, in
 * this order and with no hook of its own at the same time; a refused one had no hook at all; no
 * packet is left over.
 *   2. A callee ran exactly as often as the fates say, and never after the release of its memory.
 *   3. First-in first-out by take: if the submission of A returned before that of B began, and both
 * went to the same lane, then A was taken before B.  Also for ANY with several EMTs.
 *   4. What one EMT takes from one lane it starts in the order of taking.
 * Some requests have no hooks: of those only the runs are counted.
 * A round that does not come to its end is ended by the alarm.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/macros.h"
#include "vm/vmreq.h"

#define ITEMS         12000u
#define PRODUCERS_MAX 4u
#define CPUS_MAX      4u

/* Lanes as this test numbers them: two levels of each EMT, then of ANY. */
#define LANES ((CPUS_MAX + 1) * 2)

enum behaviour {
        RETURN,
        FAIL,
        PARK,      /* until somebody unparks it, asks it to end, or a moment has passed */
        NEST,      /* submits to somebody, and waits */
        BROADCAST, /* the same to all */
        PROCESS,
        _BEHAVIOUR_N
};

struct item {
        enum behaviour behaviour;
        uint32_t lane; /* LANES: none, as for a broadcast */
        bool free_in_hook;
        bool single;
        bool plain; /* without hooks: nothing but its runs can be seen */
        uint64_t args[VMREQ_ARGS_MAX];

        /* the logical clock around its submission */
        uint64_t begun, returned;
        bool accepted;

        _Atomic uint32_t runs, rows, rows_ran, overdues, completes, releases, in_hook;
        _Atomic uint64_t started;
        struct vmreq_row row;
};

static struct {
        uint64_t seed;
        vmreq_vm vm;
        uint32_t cpus;
        _Atomic uint32_t stop, n_items;
        _Atomic uint64_t clock;
        /* Handles that anybody may cancel or look at; torn ones are only stale. */
        struct {
                _Atomic uint32_t index;
                _Atomic uint64_t generation;
        } seen[64];
        _Atomic uint64_t accepted, calls, ran, ended[_VMREQ_FATE_N], busy, deadlocks;
        struct item items[ITEMS];
} world;

/* ---- randomness: xorshift64*, one state for each thread ---- */

static _Thread_local uint64_t random_state;

static void random_seed(uint64_t salt)
{
        random_state = (world.seed ^ salt * 0x9e3779b97f4a7c15) | 1;
}

static uint32_t roll(uint32_t n)
{
        /* An EMT that has none yet. */
        if (!random_state)
                random_seed(atomic_fetch_add(&world.clock, 1) + 77);
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * 0x2545f4914f6cdd1d) >> 33) % n;
}

static bool chance(uint32_t percent)
{
        return roll(100) < percent;
}

static uint64_t tick(void)
{
        return atomic_fetch_add(&world.clock, 1) + 1;
}

/* ---- hooks ---- */

static void hook_enter(struct item *item)
{
        CHECK(atomic_exchange(&item->in_hook, 1) == 0);
        CHECK(atomic_load(&item->releases) == 0);
}

static void hook_leave(struct item *item)
{
        CHECK(atomic_exchange(&item->in_hook, 0) == 1);
}

static void on_row(void *user, const struct vmreq_row *row)
{
        struct item *item = user;

        /* Rows of a broadcast may come from several threads at once. */
        CHECK(atomic_load(&item->completes) == 0 && atomic_load(&item->releases) == 0);
        CHECK(row->cpu < world.cpus && row->fate != VMREQ_FATE_NONE);
        atomic_fetch_add(&item->rows, 1);
        if (row->fate == VMREQ_FATE_DONE || row->fate == VMREQ_FATE_RUNNING)
                atomic_fetch_add(&item->rows_ran, 1);
}

static void on_overdue(void *user)
{
        struct item *item = user;

        hook_enter(item);
        CHECK(atomic_fetch_add(&item->overdues, 1) == 0);
        CHECK(atomic_load(&item->completes) == 0);
        hook_leave(item);
}

static void on_complete(void *user, const struct vmreq_result *result)
{
        struct item *item = user;

        hook_enter(item);
        CHECK(atomic_fetch_add(&item->completes, 1) == 0);
        item->row = result->row;
        atomic_fetch_add(&world.ended[result->row.fate], 1);
        if (item->single) {
                CHECK(result->n_rows == 0);
                CHECK(atomic_load(&item->runs) == (result->row.fate == VMREQ_FATE_DONE));
        } else {
                CHECK(result->n_rows == world.cpus && atomic_load(&item->rows) == world.cpus);
        }
        if (item->free_in_hook)
                CHECK(vmreq_free(result->handle) == 0);
        hook_leave(item);
}

static void on_release(void *user)
{
        struct item *item = user;

        hook_enter(item);
        CHECK(atomic_load(&item->completes) == 1);
        hook_leave(item);
        CHECK(atomic_fetch_add(&item->releases, 1) == 0);
}

/* ---- submitting ---- */

static uint32_t lane_of(uint32_t cpu, uint32_t flags)
{
        uint32_t level = flags & VMREQ_PRIORITY ? 1 : 0;

        if (cpu == VMREQ_CPU_ALL || cpu == VMREQ_CPU_ALL_REVERSE)
                return LANES;
        return (cpu < CPUS_MAX ? cpu : CPUS_MAX) * 2 + level;
}

static uint32_t roll_cpu(void)
{
        switch (roll(12)) {
        case 0:
                return VMREQ_CPU_ALL;
        case 1:
                return VMREQ_CPU_ALL_REVERSE;
        case 2:
        case 3:
        case 4:
                return VMREQ_CPU_ANY;
        case 5:
        case 6:
                return VMREQ_CPU_ANY_QUEUE;
        default:
                return roll(world.cpus);
        }
}

static uint32_t roll_flags(uint32_t cpu)
{
        uint32_t flags = 0;

        flags |= chance(30) ? VMREQ_PRIORITY : 0;
        flags |= chance(20) ? VMREQ_POKE : 0;
        flags |= chance(40) ? VMREQ_NO_WAIT : 0;
        flags |= chance(5) ? VMREQ_NO_NEST : 0;
        if (cpu == VMREQ_CPU_ALL || cpu == VMREQ_CPU_ALL_REVERSE) {
                flags |= chance(50) ? VMREQ_PARALLEL : 0;
                flags |= chance(50) ? VMREQ_CONTINUE : 0;
        }
        return flags;
}

static uint64_t roll_deadline(void)
{
        switch (roll(8)) {
        case 0:
                return 1;
        case 1:
                return clock_now_ns();
        case 2:
                return clock_now_ns() + roll(300) * 1000;
        case 3:
                return clock_now_ns() + CLOCK_NS_PER_S * 100;
        default:
                return 0;
        }
}

static void show(vmreq_handle handle)
{
        uint32_t at = roll(ARRAY_SIZE(world.seen));

        atomic_store(&world.seen[at].index, handle.index);
        atomic_store(&world.seen[at].generation, handle.generation);
}

static vmreq_handle roll_handle(void)
{
        uint32_t at = roll(ARRAY_SIZE(world.seen));

        return (vmreq_handle){world.vm.id, atomic_load(&world.seen[at].index),
                              atomic_load(&world.seen[at].generation)};
}

static int32_t callee(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply);

/* A fresh item; NULL: the round has used them up. */
static struct item *new_item(void)
{
        uint32_t i = atomic_fetch_add(&world.n_items, 1);

        if (i >= ITEMS)
                atomic_store(&world.stop, 1);
        return i < ITEMS ? &world.items[i] : NULL;
}

static void roll_spec(struct item *item, struct vmreq_spec *spec)
{
        spec->cpu = roll_cpu();
        spec->flags = roll_flags(spec->cpu);
        spec->kind = VMREQ_FN_CALLBACK;
        spec->callback = callee;
        spec->ctx = item;
        spec->deadline_ns = roll_deadline();
        spec->user = item;
        spec->row = on_row;
        spec->overdue = on_overdue;
        spec->complete = on_complete;
        spec->release = on_release;
        spec->args = item->args;
        spec->argc = chance(50) ? roll(VMREQ_ARGS_MAX + 1) : 0;
        for (uint32_t i = 0; i < spec->argc; i++)
                item->args[i] = (uintptr_t)item * 16 + i;
        item->plain = chance(30);
        if (item->plain) {
                spec->row = NULL;
                spec->overdue = NULL;
                spec->complete = NULL;
                spec->release = NULL;
        }
        /* With a limit, because packets may be held by those who wait for more. */
        if (chance(10)) {
                spec->flags |= VMREQ_WAIT_ROOM;
                spec->deadline_ns = clock_now_ns() + roll(500) * 1000;
        }
        spec->flags |= !(spec->flags & VMREQ_WAIT_ROOM) && chance(25) ? VMREQ_MORE : 0;
        item->lane = lane_of(spec->cpu, spec->flags);
        item->single = item->lane < LANES;
        item->behaviour = chance(60) ? RETURN : (enum behaviour)roll(_BEHAVIOUR_N);
        item->free_in_hook = !item->plain && !(spec->flags & VMREQ_NO_WAIT) && chance(30);
}

/* Refused only if the whole VM has gone meanwhile. */
static void give_back(vmreq_handle handle)
{
        CHECK(vmreq_free(handle) == 0 || vmreq_vm_cpus(world.vm) == 0);
}

/* Submits at once, or in two steps. */
static int submit(struct item *item, const struct vmreq_spec *spec, vmreq_handle *handle)
{
        int r;

        if (chance(80)) {
                item->begun = tick();
                r = vmreq_submit(world.vm, spec, handle);
                item->returned = tick();
                return r;
        }
        r = vmreq_alloc(world.vm, spec, handle);
        if (r)
                return r;
        show(*handle);
        item->begun = tick();
        r = vmreq_queue(*handle, 0);
        item->returned = tick();
        if (r == VMREQ_E_TIMEOUT || r == VMREQ_E_DEADLOCK)
                return 0;
        /* The wait did not find it any more: its hook has given it back, or the VM has gone, with
         * every hook run. If it had been accepted, it is complete. */
        if (r == VMREQ_E_HANDLE && (atomic_load(&item->completes) || item->plain))
                return 0;
        if (r)
                give_back(*handle);
        return r;
}

static void use_handle(const struct item *item, vmreq_handle handle)
{
        static const uint64_t waits[] = {0, 1000, 50000, VMREQ_FOREVER};
        int r;

        if (chance(10))
                (void)vmreq_cancel(handle);
        if (chance(70)) {
                r = vmreq_wait(handle, waits[roll(ARRAY_SIZE(waits))]);
                CHECK(r == 0 || r == VMREQ_E_TIMEOUT || r == VMREQ_E_DEADLOCK ||
                      (r == VMREQ_E_HANDLE &&
                       (item->free_in_hook || vmreq_vm_cpus(world.vm) == 0)));
                if (r == VMREQ_E_DEADLOCK)
                        atomic_fetch_add(&world.deadlocks, 1);
        }
        if (!item->free_in_hook)
                give_back(handle);
}

/* One request from the spec's roll to the handle's return.  False: the VM accepts no more. */
static bool produce(uint32_t cpu)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        struct item *item = new_item();
        vmreq_handle handle;
        int r;

        if (!item)
                return false;
        roll_spec(item, &spec);
        if (cpu != VMREQ_CPU_NONE) {
                spec.cpu = cpu;
                spec.flags &= ~(VMREQ_PARALLEL | VMREQ_CONTINUE);
                item->lane = lane_of(cpu, spec.flags);
                item->single = item->lane < LANES;
        }
        r = submit(item, &spec, &handle);
        if (r) {
                CHECK(r == VMREQ_E_BUSY || r == VMREQ_E_CLOSED || r == VMREQ_E_HANDLE ||
                      (spec.flags & VMREQ_WAIT_ROOM &&
                       (r == VMREQ_E_TIMEOUT || r == VMREQ_E_DEADLOCK)));
                atomic_fetch_add(&world.busy, r == VMREQ_E_BUSY);
                return r != VMREQ_E_CLOSED && r != VMREQ_E_HANDLE;
        }
        item->accepted = true;
        atomic_fetch_add(&world.accepted, 1);
        show(handle);
        /* Before anybody waits for it: at once, or after another one. */
        if (spec.flags & VMREQ_MORE) {
                (void)(chance(30) && produce(VMREQ_CPU_NONE));
                r = vmreq_wake(world.vm, spec.cpu);
                CHECK(r == 0 || r == VMREQ_E_HANDLE || !item->single);
        }
        if (!(spec.flags & VMREQ_NO_WAIT))
                use_handle(item, handle);
        return true;
}

/* ---- on the EMTs ---- */

static int32_t callee(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        struct item *item = ctx;
        int r;

        for (uint32_t i = 0; i < argc; i++)
                CHECK(args[i] == (uintptr_t)item * 16 + i);
        CHECK(reply->cpu < world.cpus && vmreq_emt_self(world.vm) == reply->cpu);
        CHECK(reply->user == item && atomic_load(&item->releases) == 0);
        if (item->single) {
                CHECK(atomic_load(&item->completes) == 0);
                atomic_store(&item->started, tick());
        }
        atomic_fetch_add(&item->runs, 1);
        atomic_fetch_add(&world.ran, 1);
        switch (item->behaviour) {
        case PARK:
                (void)vmreq_park(clock_now_ns() + roll(200) * 1000);
                break;
        case NEST:
                (void)produce(VMREQ_CPU_NONE);
                break;
        case BROADCAST:
                (void)produce(chance(50) ? VMREQ_CPU_ALL : VMREQ_CPU_ALL_REVERSE);
                break;
        case PROCESS:
                r = vmreq_process(world.vm, chance(50));
                CHECK(r >= 0 || r == VMREQ_E_DEADLOCK);
                atomic_fetch_add(&world.deadlocks, r < 0);
                break;
        default:
                break;
        }
        CHECK(atomic_load(&item->releases) == 0);
        return item->behaviour == FAIL ? -1 : 0;
}

static int32_t visit(void *ctx, uint32_t cpu)
{
        CHECK(vmreq_emt_self(world.vm) == cpu);
        atomic_fetch_add((_Atomic uint32_t *)ctx, 1);
        return 0;
}

/* ---- threads ---- */

static int32_t count_call(uint64_t runs)
{
        atomic_fetch_add((_Atomic uint32_t *)(uintptr_t)runs, 1);
        return 7;
}

/* A call that comes back with its result: it has run once, or not at all, and uses this frame no
 * more.  Nobody else knows its handle. */
static bool call(void)
{
        _Atomic uint32_t runs = 0;
        uint32_t cpu = chance(30) ? VMREQ_CPU_ANY : roll(world.cpus);
        int r = vmreq_call_wait(world.vm, cpu, (vmreq_fn)count_call, 1, VMREQ_W(&runs));

        CHECK(atomic_load(&runs) == (r == 7));
        CHECK(r == 7 || r == VMREQ_E_BUSY || r == VMREQ_E_CLOSED || r == VMREQ_E_HANDLE ||
              r == VMREQ_E_KILLED);
        atomic_fetch_add(&world.calls, r == 7);
        return r != VMREQ_E_CLOSED && r != VMREQ_E_HANDLE;
}

static void *producer(void *arg)
{
        random_seed((uintptr_t)arg);
        while (!atomic_load(&world.stop) && (chance(5) ? call() : produce(VMREQ_CPU_NONE)))
                ;
        return NULL;
}

static void disturb_rendezvous(void)
{
        _Atomic uint32_t visits = 0;
        enum vmreq_rendezvous_kind kind = (enum vmreq_rendezvous_kind)roll(_VMREQ_RENDEZVOUS_N);
        int r = vmreq_rendezvous(world.vm, kind, 0, 1 + roll(500) * 1000, visit, &visits, NULL, 0);

        CHECK(r == 0 || r == VMREQ_E_TIMEOUT || r == VMREQ_E_CLOSED || r == VMREQ_E_HANDLE);
        CHECK(atomic_load(&visits) == (r ? 0 : kind == VMREQ_RENDEZVOUS_ONCE ? 1 : world.cpus));
}

static void *disturber(void *arg)
{
        struct vmreq_stats stats;
        struct vmreq_row row;

        random_seed((uintptr_t)arg);
        while (!atomic_load(&world.stop)) {
                switch (roll(6)) {
                case 0:
                        (void)vmreq_cancel(roll_handle());
                        break;
                case 1:
                        (void)vmreq_unpark(world.vm, roll(world.cpus));
                        break;
                case 2:
                        (void)vmreq_vm_change(world.vm, (enum vmreq_vm_event)roll(_VMREQ_EVENT_N),
                                              1 + roll(500) * 1000, NULL, NULL);
                        break;
                case 3:
                        disturb_rendezvous();
                        break;
                case 4:
                        (void)vmreq_status(roll_handle(), NULL, &row);
                        (void)vmreq_vm_stats(world.vm, &stats);
                        break;
                default:
                        (void)vmreq_wait(roll_handle(), roll(50) * 1000);
                        break;
                }
                (void)sched_yield();
        }
        return NULL;
}

/* ---- what must hold ---- */

static int by_take(const void *a, const void *b)
{
        const struct item *x = *(const struct item *const *)a, *y = *(const struct item *const *)b;

        return x->row.take_seq < y->row.take_seq ? -1 : x->row.take_seq > y->row.take_seq;
}

/* From the last taken to the first: nothing that was taken later had returned before this one
 * began. */
static void check_lane(struct item **items, uint32_t n)
{
        uint64_t earliest_return = UINT64_MAX, last_start[CPUS_MAX];

        qsort(items, n, sizeof(*items), by_take);
        for (uint32_t i = n; i--;) {
                CHECK(i == 0 || items[i]->row.take_seq != items[i - 1]->row.take_seq);
                CHECK(earliest_return > items[i]->begun);
                earliest_return = MIN(earliest_return, items[i]->returned);
        }
        memset(last_start, 0, sizeof(last_start));
        for (uint32_t i = 0; i < n; i++) {
                uint64_t *last = &last_start[items[i]->row.cpu],
                         started = atomic_load(&items[i]->started);

                CHECK(started > *last);
                *last = started;
        }
}

static void check_order(uint32_t n_items)
{
        static struct item *lanes[LANES][ITEMS];
        uint32_t n[LANES] = {0};

        for (uint32_t i = 0; i < n_items; i++) {
                struct item *item = &world.items[i];

                /* take_seq 0: it ran inline, or never. */
                if (item->accepted && item->single && item->row.fate == VMREQ_FATE_DONE &&
                    item->row.take_seq)
                        lanes[item->lane][n[item->lane]++] = item;
        }
        for (uint32_t lane = 0; lane < LANES; lane++)
                check_lane(lanes[lane], n[lane]);
}

static void check_items(uint32_t n_items)
{
        for (uint32_t i = 0; i < n_items; i++) {
                struct item *item = &world.items[i];

                if (item->plain) {
                        CHECK(atomic_load(&item->completes) + atomic_load(&item->releases) == 0);
                        CHECK(atomic_load(&item->runs) <= (item->single ? 1 : world.cpus));
                        CHECK(item->accepted || atomic_load(&item->runs) == 0);
                        continue;
                }
                CHECK(atomic_load(&item->completes) == item->accepted);
                CHECK(atomic_load(&item->releases) == item->accepted);
                if (!item->accepted) {
                        CHECK(atomic_load(&item->runs) == 0 && atomic_load(&item->rows) == 0);
                        continue;
                }
                if (item->single)
                        CHECK(atomic_load(&item->runs) == (item->row.fate == VMREQ_FATE_DONE));
                else
                        CHECK(atomic_load(&item->runs) == atomic_load(&item->rows_ran));
        }
}

/* ---- rounds ---- */

static void new_world(void)
{
        static const uint32_t lanes[] = {1, 2, 7, 64, 0}, slabs[] = {8, 40, 300, 0};
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        memset(world.items, 0, sizeof(world.items));
        atomic_store(&world.stop, 0);
        atomic_store(&world.n_items, 0);
        atomic_store(&world.clock, 0);
        world.cpus = config.cpus = 1 + roll(CPUS_MAX);
        config.lane_capacity = lanes[roll(ARRAY_SIZE(lanes))];
        config.slab = slabs[roll(ARRAY_SIZE(slabs))];
        config.batch = 1 + roll(20);
        config.priority_run = 1 + roll(10);
        config.spin_ns = chance(50) ? VMREQ_FOREVER : 0;
        CHECK(vmreq_vm_create(&config, &world.vm) == 0);
}

/* The end comes at a random moment, with the producers still at it, or after them. */
static void end_world(void)
{
        struct vmreq_stats stats;
        uint32_t stuck[CPUS_MAX];
        int r;

        if (chance(30))
                CHECK(vmreq_vm_close(world.vm) == 0);
        if (chance(30)) {
                r = vmreq_vm_stop(world.vm, clock_now_ns() + roll(100) * 1000, stuck, CPUS_MAX);
                CHECK(r == 0 || r == VMREQ_E_TIMEOUT);
                CHECK(vmreq_vm_free(world.vm) == (r ? VMREQ_E_STATE : 0));
                if (r == 0)
                        return;
        }
        CHECK(vmreq_vm_stop(world.vm, VMREQ_FOREVER, NULL, 0) == 0);
        if (atomic_load(&world.stop) == 2) {
                /* Nobody is left who could hold a handle. */
                CHECK(vmreq_vm_stats(world.vm, &stats) == 0);
                CHECK(stats.in_use == 0);
        }
        CHECK(vmreq_vm_free(world.vm) == 0);
}

static void run_round(uint32_t round)
{
        pthread_t threads[PRODUCERS_MAX + 2];
        uint32_t producers = 1 + roll(PRODUCERS_MAX), n = 0, limit = 200 + roll(ITEMS);
        bool quiet = chance(50);

        new_world();
        while (n < producers + 1) {
                void *salt = (void *)(uintptr_t)(round * 64u + n + 1);

                CHECK(pthread_create(&threads[n], NULL, n < producers ? producer : disturber,
                                     salt) == 0);
                n++;
        }
        while (!atomic_load(&world.stop) && atomic_load(&world.n_items) < limit)
                (void)sched_yield();
        if (quiet) {
                atomic_store(&world.stop, 1);
                while (n)
                        CHECK(pthread_join(threads[--n], NULL) == 0);
                atomic_store(&world.stop, 2);
        }
        end_world();
        if (!quiet)
                atomic_store(&world.stop, 1);
        while (n)
                CHECK(pthread_join(threads[--n], NULL) == 0);
        n = MIN(atomic_load(&world.n_items), ITEMS);
        check_items(n);
        check_order(n);
}

static uint64_t number(const char *text, uint64_t otherwise)
{
        return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
        uint64_t seconds = number(getenv("VMREQ_STRESS_SECONDS"), 30), end;
        uint32_t round = 0;

        world.seed = number(argc > 1 ? argv[1] : getenv("VMREQ_SEED"),
                            clock_now_ns() ^ (uint64_t)getpid() << 32);
        printf("stress-engine: seed %llu, %llu seconds\n", (unsigned long long)world.seed,
               (unsigned long long)seconds);
        (void)fflush(stdout);
        (void)alarm((unsigned)seconds + 40);
        random_seed(0);
        end = clock_now_ns() + seconds * CLOCK_NS_PER_S;
        do
                run_round(round++);
        while (clock_now_ns() < end);
        printf("%u rounds: %llu accepted, %llu calls, %llu callees ran, %llu busy, %llu deadlocks;",
               round, (unsigned long long)atomic_load(&world.accepted),
               (unsigned long long)atomic_load(&world.calls),
               (unsigned long long)atomic_load(&world.ran),
               (unsigned long long)atomic_load(&world.busy),
               (unsigned long long)atomic_load(&world.deadlocks));
        for (unsigned fate = 1; fate < _VMREQ_FATE_N; fate++)
                printf(" %s %llu", vmreq_fate_name((enum vmreq_fate)fate),
                       (unsigned long long)atomic_load(&world.ended[fate]));
        printf("\n");
        return 0;
}
