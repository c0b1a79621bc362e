/* SPDX-License-Identifier: MIT */
#pragma once
/* The layout of a VM and its EMTs.  Only vm/ and its unit tests include this. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/macros.h"
#include "vm/event.h"
#include "vm/lane.h"
#include "vm/pool.h"
#include "vm/req.h"
#include "vm/vmreq.h"

/* Counters are striped by thread, so that two submitters do not write one line. */
#define VM_STRIPES 16u

/* A set of vCPUs. */
#define CPUSET_WORDS ((VMREQ_CPUS_MAX + 63) / 64)

enum {
        LANE_NORMAL,
        LANE_PRIORITY,
        LANE_LEVELS,
};

struct emt {
        /* fixed after init */
        struct vm *vm;
        uint32_t cpu;
        pthread_t thread;
        bool started;

        struct lane lanes[LANE_LEVELS];

        /* any thread */
        _Alignas(CACHE_PAIR) struct event event;
        _Atomic uint32_t park; /* bit 0: the permit; above: bumped to make a parker look again */
        _Atomic bool stop;
        _Atomic bool beat; /* it was asked to show that it turns its loop, and has not since */
        _Atomic uint32_t attached;  /* a thread of the embedder's is this EMT */
        _Atomic uint32_t interrupt; /* vmreq_vcpu_unhalt was called since the guest last ran */
        _Atomic uint64_t lazy_ns; /* when to kick it for a request without POKE; 0: nothing waits */
        _Atomic uint64_t wakes, kicks;

        /* written by this EMT only, read by snapshots: relaxed */
        _Alignas(CACHE_PAIR) _Atomic uint32_t state; /* enum vmreq_emt_state */
        _Atomic uint32_t current_index;              /* of the innermost request */
        _Atomic uint64_t current_generation;         /* 0: none */
        _Atomic uint64_t current_tag, current_since_ns;
        _Atomic uint64_t singles; /* of those done: no rows, so their fate is DONE */
        _Atomic uint64_t done, skipped, sleeps, spins_paid, batches, exits;
        _Atomic uint64_t queued_sum_ns, run_sum_ns; /* of all that the histograms count */
        _Atomic uint64_t queued_histogram[VMREQ_HISTOGRAM_N], run_histogram[VMREQ_HISTOGRAM_N];
        _Atomic uint32_t ended; /* futex: 1 when the thread is about to return */

        /* this EMT only */
        struct req *current;
        uint32_t nest;
        uint32_t priority_run;       /* priority requests since the last normal one */
        bool any_first[LANE_LEVELS]; /* whose turn it is on a level: ANY or own */
        bool in_rendezvous;          /* runs a rendezvous callback */
        bool halted;                 /* its guest waits for an interrupt */
        bool initialised;            /* the backend's vcpu_init has succeeded */
        uint64_t now_ns;             /* when the last request ended, if that is now; 0: not known */
        uint64_t spin_ns;            /* what it would spin now; 0 = not at all */
        uint64_t lingered_ns;        /* what it has spun of that before it asked for the truth */
        bool lingers;                /* its loop is emt_main's, and has no guest to run */
        bool answered;               /* a waited call came to its end last, and it lingers then */
};

struct rendezvous {
        pthread_mutex_t lock;     /* guards all below, except `calling` */
        pthread_cond_t cond;      /* CLOCK_MONOTONIC */
        _Atomic uint32_t calling; /* EMTs are wanted; read by their loops without the lock */
        bool active;              /* from the caller's start to its end */
        bool refused;             /* the VM is stopping */
        uint32_t phase;
        enum vmreq_rendezvous_kind kind;
        uint32_t flags;
        int32_t (*fn)(void *ctx, uint32_t cpu);
        void *ctx;
        uint64_t arrived[CPUSET_WORDS];
        uint32_t n_arrived, n_inside, n_ran;
        uint32_t turn; /* cpu whose turn it is, in the ordered kinds */
        bool busy;     /* somebody runs fn, in ONE_BY_ONE */
        int32_t result;
        bool stopped; /* by STOP after a failure */
};

struct listener {
        vmreq_listener fn;
        void *ctx;
        bool pending; /* holds the present state between */
};

/* Who listens to changes of state. */
struct listeners {
        pthread_mutex_t lock; /* guards all below; not held across a listener */
        pthread_cond_t cond;  /* CLOCK_MONOTONIC; pending fell */
        struct listener list[VMREQ_LISTENERS_MAX];
        uint32_t n;
        bool refused; /* the VM is stopping: nobody waits for them any more */
};

struct stripe {
        _Alignas(CACHE_PAIR) _Atomic uint64_t submitted;
        _Atomic uint64_t refused;
        _Atomic uint64_t
                fates[_VMREQ_FATE_N]; /* DONE: of broadcasts and their rows only, see emt */
};

struct vm {
        /* fixed after init */
        uint32_t id;
        uint32_t cpus;
        uint32_t batch, priority_run;
        uint64_t spin_ns_max;
        struct req *slab;
        struct req_more *more; /* [index]: what the packet has beside it */
        uint32_t slab_size;
        _Atomic uint64_t *due; /* [index]: deadline of the packet in flight, 0 = none */
        struct emt *emts;
        struct vmreq_config config;
        struct vmreq_backend backend; /* run NULL: none */
        uint64_t lazy_poke_ns;        /* 0: never */
        char name[16];

        struct pool pool;
        struct lane any[LANE_LEVELS];
        _Atomic uint64_t
                any_poked[LANE_LEVELS]; /* place of the newest request with POKE there; 0: none */
        struct rendezvous rendezvous;
        struct listeners listeners;
        struct stripe *stripes;

        /* shared, atomic */
        _Alignas(CACHE_PAIR) _Atomic uint32_t state; /* enum vmreq_vm_state */
        _Atomic uint32_t closed;
        _Atomic uint32_t stopped;
        _Atomic uint32_t
                starting; /* futex: EMTs whose start is not decided; then the first error */
        _Atomic int32_t start_error;
        /* Submitters that wait for room, and a futex that is bumped when some has come. */
        _Alignas(CACHE_PAIR) _Atomic uint32_t room_waiters;
        _Atomic uint32_t room;
        _Atomic uint64_t room_tries; /* of theirs: failed and under way, room.c */
        /* EMTs that sleep, or are about to: a hint for ANY; and EMTs inside a nested wait. */
        _Alignas(CACHE_PAIR) _Atomic uint64_t asleep[CPUSET_WORDS];
        _Atomic uint64_t nested[CPUSET_WORDS];

        _Alignas(CACHE_PAIR) _Atomic uint64_t earliest; /* next due time; UINT64_MAX = none */
        _Atomic uint32_t service_word;                  /* futex: bumped when earliest fell */
        _Atomic uint32_t service_stop;
        pthread_mutex_t service_lock; /* guards the two below */
        pthread_t service_thread;
        bool service_started;
        pthread_mutex_t service_turn; /* one vmreq_vm_service at a time */
        _Atomic uint32_t stop_turn;   /* futex: one vmreq_vm_stop at a time */
        _Atomic uint32_t stopping;    /* futex: 1 while a vmreq_vm_stop is at it */
};

/* ---- packets ---- */

static inline struct req *req_at(struct vm *vm, uint32_t index)
{
        return &vm->slab[index];
}

static inline uint32_t req_index(const struct vm *vm, const struct req *req)
{
        return (uint32_t)(req - vm->slab);
}

static inline struct req_more *req_more(const struct vm *vm, const struct req *req)
{
        return &vm->more[req_index(vm, req)];
}

static inline const uint64_t *req_args(const struct vm *vm, const struct req *req)
{
        return req->argc <= REQ_ARGS_NEAR ? req->args : req_more(vm, req)->args;
}

/* ---- vm-table.c: ids → VMs ---- */

/* Pins the VM of that id: it is not freed until unpinned.  NULL: no such VM. */
struct vm *vm_pin(uint32_t id);
void vm_unpin(struct vm *vm);
/* This thread's stripe, 0..VM_STRIPES-1. */
uint32_t vm_stripe(void);
/* Enters a VM under a fresh id (stored in vm->id); 0 or VMREQ_E_BUSY. */
int vm_table_add(struct vm *vm);
/* Takes it out, and waits until nobody has it pinned.  False: somebody else did. */
bool vm_table_remove(uint32_t id, struct vm **ret_vm);

/* ---- emt.c ---- */

extern _Thread_local struct emt *emt_self;

/* The calling EMT, if it is one of this VM; else NULL. */
static inline struct emt *emt_self_of(const struct vm *vm)
{
        return emt_self && emt_self->vm == vm ? emt_self : NULL;
}

void *emt_main(void *arg);
/* Serves at most `max` requests, in the states between from the priority lanes only; how many it
 * ran. */
uint32_t emt_serve(struct emt *emt, uint32_t max, bool priority_only);
/* Runs a request that came from no lane, and that this EMT has claimed (RUNNING, one reference of
 * the runner's). */
void emt_run_inline(struct emt *emt, struct req *req, uint64_t word);
/* In the states between, only the priority lanes are served. */
static inline bool emt_priority_only(const struct vm *vm)
{
        const uint32_t between = 1u << VMREQ_VM_POWERING_ON | 1u << VMREQ_VM_SUSPENDING |
                                 1u << VMREQ_VM_RESUMING | 1u << VMREQ_VM_RESETTING |
                                 1u << VMREQ_VM_POWERING_OFF;

        /* seq_cst: an EMT about to sleep looks here, and a change that was put back stores, then
         * wakes. */
        return between >> atomic_load_explicit(&vm->state, memory_order_seq_cst) & 1;
}
/* Is there anything for this EMT to do: stop, rendezvous, lanes? */
bool emt_has_work(struct emt *emt);
/* Has something been pushed, as far as the next entries say?  Leaves the pushers' lines alone. */
bool emt_sees_push(const struct emt *emt);
/* A look for work paid before the spin was over: the next may be longer. */
void emt_spin_paid(struct emt *emt);
/* Nothing to do: spins, then sleeps until woken or until `ready(ctx)` (NULL: nothing more than
 * work) or deadline_ns.  ready is asked after the sleep was announced. */
void emt_halt(struct emt *emt, bool (*ready)(void *ctx), void *ctx, uint64_t deadline_ns);
/* Fetches that EMT: wakes it if it sleeps; if it is in the guest kicks it, `now` or after
 * lazy_poke_ns. */
void emt_wake(struct emt *emt, bool now);
/* The same for one EMT, for a request on an ANY lane: a sleeping one, else one in the guest. */
void emt_wake_one(struct vm *vm, bool now);
/* This EMT turns to something else: what waits for ANY is somebody else's. */
void emt_pass_wake(struct emt *emt);
/* heartbeat.c: what each turn of an EMT's loop begins with: it shows that it turns, and joins a
 * rendezvous. */
void emt_turn(struct emt *emt);
void emt_wake_all(struct vm *vm);
/* Makes a callee parked on that EMT look at its cancel flag. */
void emt_nudge(struct emt *emt);
/* The same for whoever runs that request. */
void emt_nudge_runner(struct vm *vm, const struct req *req);

/* ---- wait.c ---- */

/* One nesting level of serving inside a callee of this EMT's; false: there are enough. */
bool nest_enter(struct emt *emt);
void nest_leave(struct emt *emt);
/* The same for a wait; false: it may not wait here. */
bool wait_enter(struct emt *emt);
/* The wait of a thread that is no EMT of this VM, for a packet that it holds: 0, TIMEOUT or STATE.
 */
int wait_foreign(struct vm *vm, struct req *req, uint64_t until_ns);
/* The same, without end, for a packet that this thread has just queued. */
int wait_answer(struct vm *vm, struct req *req);

/* ---- submit.c ---- */

struct lane *submit_lane(struct vm *vm, uint32_t cpu, uint32_t flags);
/* Wakes who serves the lane of this destination. */
void submit_wake(struct vm *vm, uint32_t cpu, uint32_t flags);
/* Fills a packet of one's own from a spec that was checked. */
void submit_fill(struct vm *vm, struct req *req, const struct vmreq_spec *spec);
bool submit_is_broadcast(uint32_t cpu);
/* vmreq_submit, a wait for it, and its status, of a single request without deadline or hooks, by a
 * thread that is no EMT: what it costs is a reference fewer, and a pin for all. */
int submit_and_wait(vmreq_vm id, const struct vmreq_spec *spec);

/* ---- broadcast.c ---- */

/* Makes the children of a parent that is ALLOCATED and filled, and starts it. */
int broadcast_start(struct vm *vm, struct req *parent);
/* A child has reached a final state; `word` is its word.  Consumes the caller's reference. */
void broadcast_child_ended(struct vm *vm, struct req *child, uint64_t word);
/* Why a broadcast is brought to its end before its time. */
enum broadcast_why {
        BROADCAST_STOP,   /* on_error: what has not started will not */
        BROADCAST_CANCEL, /* the same, asked for from outside; running children are asked to end */
        BROADCAST_EXPIRE, /* deadline: running children get a RUNNING row */
        BROADCAST_KILL,   /* the VM closes: likewise */
};
/* The caller holds a reference on the parent.  True: some child was running. */
bool broadcast_end(struct vm *vm, struct req *parent, enum broadcast_why why);
/* A packet whose parent reference is its last user: drops the children.  For req_unref. */
void broadcast_drop_children(struct vm *vm, struct req *parent);

/* ---- guest.c ---- */

/* May this EMT run guest code now?  Asked by its own thread. */
bool guest_runnable(struct emt *emt);
/* Runs the guest once, unless something is to do. */
void guest_run(struct emt *emt);
/* Kicks what its lazy poke is due for; the next due time of the rest. */
uint64_t guest_service(struct vm *vm, uint64_t now_ns);
/* Notes that a request without POKE waits for an EMT in the guest.  True: it is in the guest. */
bool guest_lazy(struct emt *emt);
/* Takes an EMT out of the guest.  True: it was there, and this call did. */
bool guest_kick(struct emt *emt);

/* ---- room.c ---- */

/* Room has come, in a lane or in the slab.  Cheap when nobody waits. */
void room_made(struct vm *vm);
/* A waiter's try begins; and ends, whereupon it sleeps if it has failed.  What room_try returns,
 * and room_try_end brings up to date, is for room_wait. */
uint32_t room_try(struct vm *vm);
void room_try_end(struct vm *vm, bool failed, uint32_t *seen);
/* How many of those have failed: read before room is taken that may have to be given back. */
uint32_t room_failed(struct vm *vm);
/* Between the two this thread gives back only what its try has taken: no news to anybody, unless
 * others may have tried since `failed` was read, and not found it. */
void room_hush(void);
void room_tried(struct vm *vm, uint32_t failed);
/* Waits for it from `seen` on, until deadline_ns; an EMT serves meanwhile.  0, TIMEOUT or DEADLOCK.
 */
int room_wait(struct vm *vm, uint32_t seen, uint64_t deadline_ns);

/* ---- state.c ---- */

int listeners_init(struct listeners *listeners);
void listeners_deinit(struct listeners *listeners);
/* Ends the wait of a change that a listener holds. */
void listeners_refuse(struct vm *vm);
/* The guest ended by itself: RUNNING → `to`. */
void state_guest_ended(struct vm *vm, enum vmreq_vm_state to, const char *reason);

/* ---- deadline.c ---- */

/* Makes the service come at due_ns at the latest.  0, or VMREQ_E_SYSTEM. */
int deadline_arm(struct vm *vm, uint64_t due_ns);

/* Notes a deadline for `index`, and wakes the service if it is the earliest.  0, or VMREQ_E_SYSTEM.
 */
int deadline_set(struct vm *vm, uint32_t index, uint64_t deadline_ns);
void deadline_clear(struct vm *vm, uint32_t index);
void deadline_stop(struct vm *vm);

/* ---- rendezvous.c ---- */

int rendezvous_init(struct rendezvous *rendezvous);
void rendezvous_deinit(struct rendezvous *rendezvous);
/* Takes part, if one is calling. */
void rendezvous_join(struct emt *emt);
/* Refuses new ones, and aborts one that still gathers. */
void rendezvous_refuse(struct vm *vm);

/* ---- invoke.c ---- */

/* Calls it on that EMT; the result goes to the packet. */
void invoke(const struct vm *vm, struct req *req, uint32_t cpu);
