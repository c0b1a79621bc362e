/* SPDX-License-Identifier: MIT */
/*
 * vmreq.h - the request engine of vmreqd, as a library: any thread asks the emulation threads
 * (EMTs) of a virtual machine, one per virtual CPU, to run a function.
 *
 * PUBLIC.  C11 or C++; pthreads; no other dependency.
 *
 * For those who know VirtualBox's VMReq:
 *
 *   VMR3ReqAlloc / Free / Queue / Wait       vmreq_alloc, vmreq_free, vmreq_queue, vmreq_wait
 *   VMR3ReqCallU / CallVU                    vmreq_call, vmreq_callv
 *   VMR3ReqCallWait(U) / CallVoidWait(U)     vmreq_call_wait, vmreq_call_void_wait
 *   VMR3ReqCallNoWait(U) / CallVoidNoWait    vmreq_call_nowait, vmreq_call_void_nowait
 *   VMR3ReqPriorityCallWait(U)               vmreq_priority_call_wait
 *   VMR3ReqPriorityCallVoidWaitU             vmreq_priority_call_void_wait
 *   (upstream has none)                      vmreq_priority_call_nowait, ..._void_nowait
 *   VMR3ReqProcessU                          vmreq_process
 *   VMMR3EmtRendezvous                       vmreq_rendezvous
 *   (upstream has none)                      vmreq_submit, vmreq_cancel
 *   (upstream has none)                      vmreq_status, vmreq_current
 *
 * Three answers, never mixed:
 *   1. Submission: was the request accepted?  A function that returns an error here has accepted
 *      nothing, and no hook of that request will ever run.
 *   2. Fate of an accepted request: DONE, CANCELLED, EXPIRED or KILLED.  Exactly one, always.
 *   3. Result: what the callee returned.
 *
 * Two times, never one: `deadline_ns` belongs to the request, `wait_ns` to one wait and changes
 * nothing about the request.  Both in nanoseconds; deadlines are absolute on CLOCK_MONOTONIC
 * (vmreq_now).
 *
 * What a request points to - its ctx, its user, what its argument words mean - must live until its
 * `release` hook, not until some wait has returned: the callee of a request that nobody waits for
 * any more may be running, and a wait may return before the hooks have run.
 *
 * Calling context: unless its comment says otherwise, a function may be called from any thread,
 * EMTs included, and does not block.  A function never changes errno on purpose.
 */
#ifndef VMREQ_H
#define VMREQ_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMREQ_API __attribute__((visibility("default")))

/* ---- statuses ---- */

/*
 * What functions return: 0, or one of these.  The range is far from what callees use, because the
 * *_wait conveniences fold both into one number.
 */
enum vmreq_error {
        VMREQ_OK = 0,
        VMREQ_E_INVALID = -20001,   /* an argument is out of its range */
        VMREQ_E_HANDLE = -20002,    /* stale, foreign, freed or never valid */
        VMREQ_E_BUSY = -20003,      /* slab or lane is full: nothing was accepted */
        VMREQ_E_TIMEOUT = -20004,   /* the wait ended first, or the deadline passed while running */
        VMREQ_E_CANCELLED = -20005, /* fate CANCELLED */
        VMREQ_E_EXPIRED = -20006,   /* fate EXPIRED: the deadline passed in the queue */
        VMREQ_E_KILLED = -20007,    /* fate KILLED: the VM went away */
        VMREQ_E_CLOSED = -20008,    /* the VM accepts nothing any more */
        VMREQ_E_STATE = -20009,     /* not legal in the VM's or the request's present state */
        VMREQ_E_DEADLOCK = -20010,  /* this EMT may not wait here */
        VMREQ_E_MEMORY = -20011,
        VMREQ_E_SYSTEM = -20012,  /* the operating system refused a thread */
        VMREQ_E_SKIPPED = -20013, /* row fate SKIPPED */
        VMREQ_E_NOT_EMT = -20014, /* legal on an EMT of this VM only */
};

/* "BUSY" …; "UNKNOWN" for a number that is not one of the above.  Never NULL. */
VMREQ_API const char *vmreq_error_name(int error);

/* ---- bounds ---- */

#define VMREQ_ARGS_MAX 15u        /* words a callee can take */
#define VMREQ_CPUS_MAX 256u       /* EMTs of one VM */
#define VMREQ_VMS_MAX  256u       /* VMs alive in one process */
#define VMREQ_SLAB_MAX (1u << 22) /* packets of one VM */
#define VMREQ_LANE_MAX (1u << 21) /* places in one lane */
#define VMREQ_NEST_MAX 8u         /* waits nested on one EMT */

#define VMREQ_FOREVER UINT64_MAX /* as wait_ns: no limit */

/* ---- destinations and flags ---- */

/* 0..n-1 is that EMT; a caller that is that EMT runs the request inline, at once. */
#define VMREQ_CPU_ANY         0xfffffff0u /* whichever EMT takes it first; inline if the caller is one */
#define VMREQ_CPU_ANY_QUEUE   0xfffffff1u /* as ANY, but always queued */
#define VMREQ_CPU_ALL         0xfffffff2u /* every EMT, one after the other, ascending */
#define VMREQ_CPU_ALL_REVERSE 0xfffffff3u /* every EMT, one after the other, descending */
#define VMREQ_CPU_NONE        0xffffffffu /* in answers: no EMT */

#define VMREQ_VOID      0x01u /* the callee returns nothing (same as kind VMREQ_FN_VOID) */
#define VMREQ_NO_WAIT   0x02u /* nobody collects the result: no handle is given out */
#define VMREQ_PRIORITY  0x04u /* the priority lane */
#define VMREQ_POKE      0x08u /* take the target out of guest execution now */
#define VMREQ_NO_NEST   0x10u /* if the caller is an EMT: do not serve requests while waiting */
#define VMREQ_PARALLEL  0x20u /* a broadcast goes to all EMTs at once */
#define VMREQ_CONTINUE  0x40u /* a broadcast goes on after a row that is not a successful DONE */
#define VMREQ_WAIT_ROOM 0x80u /* vmreq_submit waits for room instead of BUSY */
/* More is to be submitted at once: nobody is woken for this one before vmreq_wake. */
#define VMREQ_MORE 0x100u

/* ---- objects ---- */

/* A VM, by value.  Ids are never reused in a process: a stale one is refused. */
typedef struct vmreq_vm {
        uint32_t id; /* 0 is never a VM */
} vmreq_vm;

/* A request, by value.  A stale, foreign or twice-freed one is refused, not dereferenced. */
typedef struct vmreq_handle {
        uint32_t vm;
        uint32_t index;
        uint64_t generation; /* 0 is never a request */
} vmreq_handle;

#ifdef __cplusplus
#define VMREQ_HANDLE_NONE (vmreq_handle())
#else
#define VMREQ_HANDLE_NONE ((vmreq_handle){0, 0, 0})
#endif

/* What a callee is, and so how its words travel and what its result means. */
enum vmreq_kind {
        VMREQ_FN_VOID,   /* void fn(words…) */
        VMREQ_FN_STATUS, /* int32_t fn(words…): negative is a failure.  The only kind that can fail,
                          * beside VMREQ_FN_CALLBACK. */
        VMREQ_FN_BOOL,   /* _Bool fn(words…) */
        VMREQ_FN_I32,
        VMREQ_FN_U32,
        VMREQ_FN_I64,
        VMREQ_FN_U64,
        VMREQ_FN_CALLBACK, /* vmreq_callback */
};

/*
 * A word function's address, its type dropped.  Its parameters may be any integers, enums, bools or
 * pointers: under the System V AMD64 and the AArch64 ABI a callee reads only as much of the 64-bit
 * word as its parameter has.  No floating point, no structures.
 */
typedef void (*vmreq_fn)(void);

/* A word for the variadic calls: sign-extends signed integers, takes pointers through uintptr_t. */
#define VMREQ_W(x) ((uint64_t)(x))

/* What a callback may say beside its status. */
struct vmreq_reply {
        uint64_t value; /* becomes vmreq_result.value; 0 at entry */
        uint32_t cpu;   /* the EMT that runs it */
        void *user;     /* vmreq_spec.user */
};

/* The callback form: anything that words cannot express.  On the EMT.  Negative is a failure. */
typedef int32_t (*vmreq_callback)(void *ctx, const uint64_t *args, uint32_t argc,
                                  struct vmreq_reply *reply);

enum vmreq_fate {
        VMREQ_FATE_NONE,      /* not complete */
        VMREQ_FATE_DONE,      /* the callee ran */
        VMREQ_FATE_CANCELLED, /* never ran */
        VMREQ_FATE_EXPIRED,   /* never ran: its deadline passed in the queue */
        VMREQ_FATE_KILLED,    /* never ran: the VM went away */
        VMREQ_FATE_RUNNING,   /* rows only: still running at the deadline or when the VM closed */
        VMREQ_FATE_SKIPPED,   /* rows only: never queued */
        _VMREQ_FATE_N
};

/* "DONE" …; "UNKNOWN" outside the list. */
VMREQ_API const char *vmreq_fate_name(enum vmreq_fate fate);

enum vmreq_req_state {
        VMREQ_REQ_FREE,
        VMREQ_REQ_ALLOCATED, /* also a broadcast's child before its turn */
        VMREQ_REQ_QUEUED,
        VMREQ_REQ_RUNNING, /* also a broadcast's parent until its last row */
        VMREQ_REQ_COMPLETED,
        VMREQ_REQ_CANCELLED,
        VMREQ_REQ_EXPIRED,
        VMREQ_REQ_KILLED,
        _VMREQ_REQ_N
};

VMREQ_API const char *vmreq_req_state_name(enum vmreq_req_state state);

/* One vCPU's part of a broadcast, or the whole of another request. */
struct vmreq_row {
        uint32_t cpu; /* where it ran or would have; VMREQ_CPU_NONE: not known yet (ANY) */
        enum vmreq_fate fate;
        int32_t status;     /* VMREQ_FN_STATUS, CALLBACK: what it returned; else 0 */
        uint64_t value;     /* other word kinds: the extended result; CALLBACK: reply.value */
        uint64_t queued_ns; /* from submission to start, or to the end if it never ran */
        uint64_t run_ns;    /* from start to end; 0 if it never ran */
        uint64_t take_seq;  /* its place in the order of takes from its lane; 0: not taken */
};

/* What a completion says.  Borrowed, valid during the hook. */
struct vmreq_result {
        vmreq_handle handle;  /* identifies; VMREQ_HANDLE_NONE never */
        uint64_t tag;         /* vmreq_spec.tag */
        struct vmreq_row row; /* a broadcast's: fate DONE; what came of it stands in its rows */
        uint32_t n_rows;      /* broadcast: vCPUs; else 0 */
        const struct vmreq_row *rows; /* broadcast: one per vCPU in order of cpu; else NULL */
};

/* ---- VM ---- */

enum vmreq_vm_state {
        VMREQ_VM_CREATED,
        VMREQ_VM_POWERING_ON,
        VMREQ_VM_RUNNING,
        VMREQ_VM_SUSPENDING,
        VMREQ_VM_SUSPENDED,
        VMREQ_VM_RESUMING,
        VMREQ_VM_RESETTING,
        VMREQ_VM_POWERING_OFF,
        VMREQ_VM_OFF,
        VMREQ_VM_FAILED,
        VMREQ_VM_DESTROYED,
        _VMREQ_VM_N
};

VMREQ_API const char *vmreq_vm_state_name(enum vmreq_vm_state state);

enum vmreq_vm_event {
        VMREQ_EVENT_POWER_ON,
        VMREQ_EVENT_SUSPEND,
        VMREQ_EVENT_RESUME,
        VMREQ_EVENT_RESET,
        VMREQ_EVENT_POWER_OFF,
        _VMREQ_EVENT_N
};

VMREQ_API const char *vmreq_vm_event_name(enum vmreq_vm_event event);

/* Why a run of the guest ended. */
enum vmreq_exit {
        VMREQ_EXIT_AGAIN, /* it was kicked, or an exit was handled: run again after what waits */
        VMREQ_EXIT_HALT,  /* the guest waits for an interrupt: not before vmreq_vcpu_unhalt */
        VMREQ_EXIT_POWER_OFF, /* the guest has powered the machine off: the VM goes to OFF */
        VMREQ_EXIT_FAILED,    /* triple fault, backend error: the VM goes to FAILED */
};

/*
 * What runs the guest.  Every function may be NULL but `run` and `kick`, which come together;
 * without a backend EMTs serve requests and sleep.  Where the EMTs are the caller's own threads
 * `run` is never called, and only says that there is a guest: they run it themselves.
 */
struct vmreq_backend {
        size_t size; /* sizeof(struct vmreq_backend): versioning */
        void *ctx;
        /* On the vCPU's EMT, before its first request / after its last.  Negative: the VM is not
         * created, or the thread not attached. */
        int (*vcpu_init)(void *ctx, uint32_t cpu);
        void (*vcpu_fini)(void *ctx, uint32_t cpu);
        /* On its EMT, at power_on and reset: put the vCPU to its beginning.  The highest cpu first,
         * one after the other, while all other EMTs stand still outside of the guest. */
        void (*vcpu_reset)(void *ctx, uint32_t cpu);
        /* On its EMT: runs guest code until an exit; enum vmreq_exit.  *ret_reason may be set for
         * POWER_OFF and FAILED, to a string that stays as it is until the vCPU's next run. */
        int (*run)(void *ctx, uint32_t cpu, const char **ret_reason);
        /* Any thread, must not block: makes the run that is under way, or the next one if none is,
         * return at once.  Never lost; one too many only costs an exit. */
        void (*kick)(void *ctx, uint32_t cpu);
};

/* How these structures begin.  Positional: C++ has no names here before C++20. */
/* clang-format off */
#define VMREQ_BACKEND_INIT {sizeof(struct vmreq_backend), 0, 0, 0, 0, 0, 0}
#define VMREQ_CONFIG_INIT {sizeof(struct vmreq_config), 0, 1, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0}
#define VMREQ_SPEC_INIT \
        {sizeof(struct vmreq_spec), VMREQ_CPU_ANY, 0, VMREQ_FN_VOID, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
/* clang-format on */

#define VMREQ_CONFIG_ATTACH 0x1u /* the EMTs are the caller's own threads: vmreq_emt_attach */

struct vmreq_config {
        size_t size;            /* sizeof(struct vmreq_config): versioning */
        uint32_t flags;         /* VMREQ_CONFIG_* */
        uint32_t cpus;          /* 1..VMREQ_CPUS_MAX */
        uint32_t slab;          /* packets, at most VMREQ_SLAB_MAX; 0 = 8192.  A broadcast takes
                                 * 1 + cpus. */
        uint32_t lane_capacity; /* places per lane, at most VMREQ_LANE_MAX; 0 = 4096.  Cancelled
                                 * requests count until their EMT skips them. */
        uint32_t batch;         /* requests an EMT runs before it looks at stop, rendezvous and its
                                 * guest again; 0 = 64 */
        uint32_t priority_run;  /* priority requests in a row while normal ones wait; 0 = 16 */
        uint64_t spin_ns; /* longest spin before sleeping; 0 = 20000; VMREQ_FOREVER = never spin.
                           * Never either when EMTs + 1 exceed the usable processors. */
        uint32_t lazy_poke_ms; /* a request without POKE takes its EMT out of the guest after so
                                * long at the latest; 0 = never */
        const struct vmreq_backend *backend; /* copied; NULL: none */
        const char *name; /* of the threads, "NAME/0" …, cut at 15 bytes; NULL = "vmreq-emt" */

        /*
         * The deadline service.  NULL: a thread of the engine's own.  Else the host calls
         * vmreq_vm_service when due, and is told here that something is due at `due_ns`, before
         * what it knows of.  Called by any thread that submits or wakes, also in vmreq_vm_service,
         * where hooks may submit: must not block.  May be called between the end of a turn and the
         * host's noting what it returned; the earlier time counts.
         */
        void (*service_wake)(void *ctx, uint64_t due_ns);
        /* Told of each state change, in order, one at a time, by the thread that brings it about
         * (an EMT, or the caller of a change that timed out).  `reason`: why the guest ended by
         * itself; NULL for a change that was asked for.  Must not block. */
        void (*state_changed)(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to,
                              const char *reason);
        void *ctx; /* of the two hooks above */
};

/*
 * Creates a VM in state CREATED, with its EMTs running and serving requests.  `config` is copied.
 * Errors: INVALID, MEMORY, SYSTEM, BUSY (VMREQ_VMS_MAX), or what vcpu_init returned.  Blocks until
 * the EMTs run; with VMREQ_CONFIG_ATTACH it does not, and what is submitted before a thread
 * attaches waits for it in the queue.
 */
VMREQ_API int vmreq_vm_create(const struct vmreq_config *config, vmreq_vm *ret_vm);

/*
 * The end, in three steps.  close: refuses new work, completes all that is queued as KILLED, asks
 * what is running to stop; never blocks; idempotent.  vmreq_vm_state stays the same until free.
 */
VMREQ_API int vmreq_vm_close(vmreq_vm vm);

/*
 * stop: closes, then joins the EMTs, EMT 0 last.  Blocks until `deadline_ns` at most
 * (VMREQ_FOREVER: no limit).  TIMEOUT: some EMTs have not ended, and ret_stuck (NULL, or room for
 * `n_stuck` entries) gets their cpu numbers, VMREQ_CPU_NONE behind the last; may be called again.
 * On an EMT of this VM: DEADLOCK.
 */
VMREQ_API int vmreq_vm_stop(vmreq_vm vm, uint64_t deadline_ns, uint32_t *ret_stuck,
                            uint32_t n_stuck);

/*
 * free: releases everything.  STATE before stop has succeeded.  Waits for calls by other threads
 * that are inside the engine (they end at once, since the VM is closed).  Every handle is stale
 * afterwards, no hook runs any more.
 */
VMREQ_API int vmreq_vm_free(vmreq_vm vm);

/* The present state; VMREQ_VM_DESTROYED for an id that is no VM. */
VMREQ_API enum vmreq_vm_state vmreq_vm_state(vmreq_vm vm);

/*
 * Asks for a change of state.  Two short descending rendezvous, through the -ING state.  On success
 * *ret_changed (NULL allowed) is 1, or 0 if the VM was there already.  STATE: not legal now,
 * *ret_state (NULL allowed) says where it is.  TIMEOUT: some EMT did not arrive within `timeout_ns`
 * (0 = 5 s), and the VM is back where it came from.  Blocks; on an EMT it takes part itself.
 */
VMREQ_API int vmreq_vm_change(vmreq_vm vm, enum vmreq_vm_event event, uint64_t timeout_ns,
                              int *ret_changed, enum vmreq_vm_state *ret_state);

/*
 * Listeners for changes of state, at most VMREQ_LISTENERS_MAX, told after state_changed in the
 * order of their registration, on the thread that brings the change about.  One that answers
 * VMREQ_LISTENER_PENDING in a state between (-ING) holds the change there until
 * vmreq_state_done(vm, id), within the change's time limit. Errors: BUSY (too many), INVALID.
 */
#define VMREQ_LISTENERS_MAX    16u
#define VMREQ_LISTENER_PENDING 1

typedef int (*vmreq_listener)(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to);

VMREQ_API int vmreq_listener_add(vmreq_vm vm, vmreq_listener fn, void *ctx, uint32_t *ret_id);
/* Any thread.  STATE: it holds nothing. */
VMREQ_API int vmreq_state_done(vmreq_vm vm, uint32_t id);

/* Number of EMTs; 0 for an id that is no VM. */
VMREQ_API uint32_t vmreq_vm_cpus(vmreq_vm vm);

/*
 * The deadline service's turn, for hosts that set service_wake: completes what is due at `now_ns`
 * (hooks run in it) and returns the next due time, UINT64_MAX if none.  Until vmreq_vm_stop has
 * succeeded; not in hooks.  A second thread waits for the first.
 */
VMREQ_API uint64_t vmreq_vm_service(vmreq_vm vm, uint64_t now_ns);

/* ---- requests ---- */

struct vmreq_spec {
        size_t size;  /* sizeof(struct vmreq_spec): versioning */
        uint32_t cpu; /* destination */
        uint32_t flags;
        enum vmreq_kind kind;
        vmreq_fn fn; /* a word function, or NULL with kind CALLBACK */
        vmreq_callback callback;
        void *ctx;            /* CALLBACK: its first argument */
        const uint64_t *args; /* copied; extended by the declared type */
        uint32_t argc;        /* 0..VMREQ_ARGS_MAX */
        uint64_t deadline_ns; /* 0 = none */
        uint64_t tag;         /* the caller's own number, shown by vmreq_emt_info */

        /*
         * Hooks, each may be NULL, all get `user`.  They may run on an EMT, the canceller, the
         * deadline service or the thread that closes the VM, even before vmreq_submit or
         * vmreq_cancel has returned; never after vmreq_vm_free; never two of the same request at
         * once, rows apart.  They may not block.
         */
        void *user;
        /* A broadcast's row is final.  Once per vCPU, before `complete`; rows of one broadcast may
         * come from several threads at once. */
        void (*row)(void *user, const struct vmreq_row *row);
        /* The deadline passed while the callee runs (not for broadcasts).  At most once, before
         * `complete`. */
        void (*overdue)(void *user);
        /* The request has its fate.  Exactly once. */
        void (*complete)(void *user, const struct vmreq_result *result);
        /* Nothing of the request is in use any more: pointees and ctx may go, not before.  Exactly
         * once, last. For a broadcast with RUNNING rows this is when the last of them has ended. */
        void (*release)(void *user);
};

/*
 * Submits.  `spec` is read before return.  Without NO_WAIT *ret_handle (must not be NULL) is a
 * reference that the caller gives back with vmreq_free.  With NO_WAIT ret_handle may be NULL; it
 * then gets a handle that identifies and can be cancelled, but holds nothing and must not be freed.
 * A caller that is the right EMT runs the request inline: it is complete on return.
 * Errors: INVALID, HANDLE (no such VM), CLOSED, BUSY, with a deadline SYSTEM (its service's thread
 * could not be started).  With WAIT_ROOM it blocks instead of BUSY (an
 * EMT serves meanwhile, as in vmreq_wait; DEADLOCK where that may not wait), until the request's
 * deadline: then TIMEOUT, and nothing was accepted; or, where the deadline met one of its tries, it
 * is accepted and has expired.
 */
VMREQ_API int vmreq_submit(vmreq_vm vm, const struct vmreq_spec *spec, vmreq_handle *ret_handle);

/*
 * Wakes who sleeps and is wanted for what stands in the lanes of `cpu` (an EMT, ANY or ANY_QUEUE):
 * that EMT, or one of all.  Who submits many requests at once gives each VMREQ_MORE, and then calls
 * this, once for each destination: so an EMT does not take the processor from its submitter after
 * the first of them.  Until then a request with MORE is QUEUED as any other - it is cancelled,
 * expires, is killed, and runs if its EMT comes by - but an EMT that sleeps sleeps on, and one in
 * the guest stays there; so wait for none of them before.  MORE is refused (INVALID) with WAIT_ROOM
 * and by vmreq_call without NO_WAIT, and changes nothing with POKE, for broadcasts, for what runs
 * inline, and for vmreq_alloc.  Any thread; never blocks; once too often does no harm.
 * Errors: HANDLE, INVALID.
 */
VMREQ_API int vmreq_wake(vmreq_vm vm, uint32_t cpu);

/*
 * Upstream's two steps.  alloc gives a packet in state ALLOCATED for `spec` (args copied); queue
 * submits it and waits up to wait_ns (0: not at all, TIMEOUT unless it is complete); a packet that
 * was allocated with NO_WAIT belongs to the engine from then on.  A packet that was queued cannot
 * be queued again: STATE.
 */
VMREQ_API int vmreq_alloc(vmreq_vm vm, const struct vmreq_spec *spec, vmreq_handle *ret_handle);
VMREQ_API int vmreq_queue(vmreq_handle handle, uint64_t wait_ns);

/*
 * Waits until the request is complete.  OK: it is, whatever its fate; its `complete` and `release`
 * hooks may not have run yet.  TIMEOUT: wait_ns is over, or the request's deadline has passed while
 * it runs.  STATE: it was never queued, or there was no room for it.  Idempotent, callable by
 * several threads at once.  Blocks.  On an EMT of the same VM it serves requests meanwhile, one
 * nesting level a wait.  DEADLOCK there, at once: VMREQ_NEST_MAX levels are taken; the request is
 * NO_NEST; this very EMT runs it, in the present callee or further out, or runs a row of it; a
 * rendezvous callback waits. A cycle through other requests, or through a lock of a callee's own,
 * is not detected.
 */
VMREQ_API int vmreq_wait(vmreq_handle handle, uint64_t wait_ns);

/*
 * Gives back the caller's reference.  Legal in any state: a request that is still in flight goes on
 * and is recycled when it ends.  A second free of the same handle is refused (HANDLE).
 */
VMREQ_API int vmreq_free(vmreq_handle handle);

/* Its state now, and what is known of its row so far.  Either pointer may be NULL. */
VMREQ_API int vmreq_status(vmreq_handle handle, enum vmreq_req_state *ret_state,
                           struct vmreq_row *ret_row);

/*
 * The rows of a complete broadcast, ordered by cpu: at most `n_rows` of them; *ret_n (NULL allowed)
 * is how many there are.  STATE: not complete.  INVALID: not a broadcast.
 */
VMREQ_API int vmreq_rows(vmreq_handle handle, struct vmreq_row *ret_rows, uint32_t n_rows,
                         uint32_t *ret_n);

enum vmreq_verdict {
        VMREQ_VERDICT_REMOVED,  /* it never runs; complete as CANCELLED when this returns */
        VMREQ_VERDICT_RUNNING,  /* too late, but its callee can see vmreq_cancel_requested */
        VMREQ_VERDICT_FINISHED, /* too late: it is complete */
        VMREQ_VERDICT_UNKNOWN,  /* no such request (any more) */
        _VMREQ_VERDICT_N
};

VMREQ_API const char *vmreq_verdict_name(enum vmreq_verdict verdict);

/* Cancels.  Completes the request on this thread if it wins. */
VMREQ_API enum vmreq_verdict vmreq_cancel(vmreq_handle handle);

/* ---- the conveniences ---- */

/*
 * All take a destination, a word function, the number of words and the words, each as VMREQ_W(x).
 * *_wait forms fold: a submission or fate error if there was one (CANCELLED, EXPIRED, KILLED as
 * VMREQ_E_*), else the callee's status (void forms: 0).  *_nowait forms return the submission's
 * answer. INVALID for more than VMREQ_ARGS_MAX words.
 */
VMREQ_API int vmreq_call_wait(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc, ...);
VMREQ_API int vmreq_call_void_wait(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc, ...);
VMREQ_API int vmreq_call_nowait(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc, ...);
VMREQ_API int vmreq_call_void_nowait(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc, ...);
VMREQ_API int vmreq_priority_call_wait(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc, ...);
VMREQ_API int vmreq_priority_call_void_wait(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc,
                                            ...);
VMREQ_API int vmreq_priority_call_nowait(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc,
                                         ...);
VMREQ_API int vmreq_priority_call_void_nowait(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc,
                                              ...);

/*
 * The general form: flags as above, submit and wait up to wait_ns.  OK, TIMEOUT, or DEADLOCK from
 * the wait (the request stays accepted): *ret_handle is the caller's to free (VMREQ_HANDLE_NONE
 * with NO_WAIT, where ret_handle may be NULL); else VMREQ_HANDLE_NONE.  The callee returns a status
 * unless VMREQ_VOID is set.
 */
VMREQ_API int vmreq_call(vmreq_vm vm, uint32_t cpu, vmreq_handle *ret_handle, uint64_t wait_ns,
                         uint32_t flags, vmreq_fn fn, uint32_t argc, ...);
VMREQ_API int vmreq_callv(vmreq_vm vm, uint32_t cpu, vmreq_handle *ret_handle, uint64_t wait_ns,
                          uint32_t flags, vmreq_fn fn, uint32_t argc, va_list args);

/* ---- on an EMT ---- */

/* The cpu number of the calling EMT; VMREQ_CPU_NONE if the caller is no EMT of `vm`. */
VMREQ_API uint32_t vmreq_emt_self(vmreq_vm vm);

/* The request that the calling EMT runs (the innermost one); VMREQ_HANDLE_NONE elsewhere. */
VMREQ_API vmreq_handle vmreq_current(void);

/* 1 if somebody wants the request that the calling EMT runs to end early: cancelled, past its
 * deadline, or its VM closed. */
VMREQ_API int vmreq_cancel_requested(void);

/*
 * Parks the calling EMT inside a callee until vmreq_unpark for its cpu (a permit: an unpark that
 * came first lets the next park pass), until the request is asked to end early (CANCELLED) or until
 * deadline_ns (TIMEOUT; VMREQ_FOREVER: no limit).  NOT_EMT elsewhere.  Blocks, serves nothing
 * meanwhile.
 */
VMREQ_API int vmreq_park(uint64_t deadline_ns);
VMREQ_API int vmreq_unpark(vmreq_vm vm, uint32_t cpu); /* HANDLE, INVALID */

/*
 * Joins a rendezvous that is calling, then serves what is queued for the calling EMT and for ANY,
 * at most one batch; priority lanes only if `priority_only`.  Returns how many requests it ran.
 * Nested calls are legal; inside a callee each is a nesting level, like a wait: DEADLOCK when
 * VMREQ_NEST_MAX are taken.  NOT_EMT elsewhere; CLOSED outside of callees once the VM is stopping.
 */
VMREQ_API int vmreq_process(vmreq_vm vm, int priority_only);

/*
 * EMTs of the caller's own (VMREQ_CONFIG_ATTACH).  The calling thread becomes the EMT of `cpu`
 * until it detaches; it then loops over vmreq_process, and over vmreq_halt or its guest between
 * vmreq_guest_enter and vmreq_guest_leave.  When vmreq_process returns CLOSED it detaches:
 * vmreq_vm_stop waits for that.  If it does so before, what is queued waits for another thread to
 * attach.  Errors: INVALID, HANDLE, STATE (that cpu has an EMT, this thread is one, the VM is not
 * of that kind), CLOSED, or what vcpu_init returned; of detach: NOT_EMT, and STATE inside a callee,
 * a rendezvous or the guest.
 */
VMREQ_API int vmreq_emt_attach(vmreq_vm vm, uint32_t cpu);
VMREQ_API int vmreq_emt_detach(vmreq_vm vm);

/* 1 if there is something for vmreq_process to do: requests, a rendezvous, the end; 0; NOT_EMT. */
VMREQ_API int vmreq_pending(vmreq_vm vm);

/*
 * Sleeps until there is, or until deadline_ns (VMREQ_FOREVER: no limit): OK.  After a run of a
 * guest of the caller's own it ends with vmreq_vcpu_unhalt too, also with one since
 * vmreq_guest_enter.  An EMT whose guest has halted and has no interrupt halts again.  Blocks.
 * NOT_EMT.
 */
VMREQ_API int vmreq_halt(vmreq_vm vm, uint64_t deadline_ns);

/*
 * Brackets guest execution by the caller's own loop.  enter: OK: the guest may be entered; from
 * here on the backend's `kick` is called where this EMT is wanted.  STATE: something is pending, or
 * the VM is not RUNNING: serve first.  leave: as soon as the guest is left; STATE if it was not
 * entered.  An EMT whose guest has powered off calls vmreq_vm_change.  NOT_EMT.
 */
VMREQ_API int vmreq_guest_enter(vmreq_vm vm);
VMREQ_API int vmreq_guest_leave(vmreq_vm vm);

/* Any thread: an interrupt is there for a vCPU that its guest has halted.  HANDLE, INVALID. */
VMREQ_API int vmreq_vcpu_unhalt(vmreq_vm vm, uint32_t cpu);

/* ---- rendezvous ---- */

enum vmreq_rendezvous_kind {
        VMREQ_RENDEZVOUS_ONCE,       /* by one EMT, while the others stand still */
        VMREQ_RENDEZVOUS_ONE_BY_ONE, /* by each EMT, in any order */
        VMREQ_RENDEZVOUS_ALL,        /* by each EMT, at once */
        VMREQ_RENDEZVOUS_ASCENDING,
        VMREQ_RENDEZVOUS_DESCENDING,
        _VMREQ_RENDEZVOUS_N
};

#define VMREQ_RENDEZVOUS_STOP 0x1u /* not after a failing one (not with ALL, ONCE) */

/*
 * All EMTs meet, run `fn` in the asked-for manner, and go on.  Returns the first failure of fn,
 * else 0. TIMEOUT: not all EMTs arrived within timeout_ns (0 = 5 s); nobody ran fn, and ret_missing
 * (NULL, or room for n_missing entries) names the missing ones as vmreq_vm_stop does.  CLOSED.
 * DEADLOCK: called from inside a rendezvous.  Blocks; on an EMT it takes part itself.
 */
VMREQ_API int vmreq_rendezvous(vmreq_vm vm, enum vmreq_rendezvous_kind kind, uint32_t flags,
                               uint64_t timeout_ns, int32_t (*fn)(void *ctx, uint32_t cpu),
                               void *ctx, uint32_t *ret_missing, uint32_t n_missing);

/* ---- looking in ---- */

enum vmreq_emt_state {
        VMREQ_EMT_AWAKE,   /* between requests */
        VMREQ_EMT_ASLEEP,  /* nothing to do */
        VMREQ_EMT_RUNNING, /* in a callee */
        VMREQ_EMT_PARKED,  /* in a rendezvous, waiting for the others */
        VMREQ_EMT_GUEST,   /* executes guest code */
        VMREQ_EMT_ENDED,
        _VMREQ_EMT_N
};

VMREQ_API const char *vmreq_emt_state_name(enum vmreq_emt_state state);

/* A snapshot of one EMT.  Reading disturbs nobody; the fields are each true, though perhaps not at
 * the same instant. */
struct vmreq_emt_info {
        enum vmreq_emt_state state;
        uint64_t tag;           /* RUNNING: of the innermost request */
        uint64_t since_ns;      /* RUNNING: when that one started */
        vmreq_handle handle;    /* RUNNING: it */
        uint32_t depth[2];      /* own lanes, normal and priority: live and dead places taken */
        int beats;              /* it has turned its loop since the last vmreq_vm_heartbeat */
        uint64_t done;          /* requests run since creation */
        uint64_t skipped;       /* dead slots passed over */
        uint64_t sleeps, wakes; /* times it slept, times somebody woke it */
        uint64_t spins_paid;    /* sleeps that a spin saved */
        uint64_t batches;       /* turns that served at least one request */
        uint64_t exits;         /* returns from the guest */
        uint64_t kicks;         /* times somebody took it out of the guest */
};

VMREQ_API int vmreq_emt_info(vmreq_vm vm, uint32_t cpu, struct vmreq_emt_info *ret_info);

/*
 * Asks every EMT to turn its loop once, out of its sleep and out of the guest; vmreq_emt_info says
 * later which have.  For watchdogs: it takes no packet and no place in a lane, so full ones do not
 * matter.  An EMT inside a callee that neither waits nor calls vmreq_process does not turn.  Any
 * thread, never blocks.  0, or VMREQ_E_HANDLE.
 */
VMREQ_API int vmreq_vm_heartbeat(vmreq_vm vm);

/* Bucket i counts times of 2^i up to 2^(i+1) ns; the last one all that are longer. */
#define VMREQ_HISTOGRAM_N 40u

struct vmreq_lane_stats {
        uint64_t submitted;                  /* places given out */
        uint64_t refused;                    /* times it was full */
        uint64_t taken;                      /* live requests taken */
        uint64_t skipped;                    /* dead ones passed over */
        uint64_t cancelled, expired, killed; /* requests that ended while they stood here */
        uint32_t depth, dead; /* places taken up now, and those of them that are dead */
        uint32_t high_water;  /* the most places that were ever taken up, live and dead */
};

/* Figures of one EMT and its own lanes, or with cpu VMREQ_CPU_ANY of the two ANY lanes (no
 * histograms).  A request without handle and hooks - vmreq_call_wait, VMREQ_NO_WAIT - may come into
 * the histograms a moment after it is over. */
struct vmreq_emt_stats {
        struct vmreq_lane_stats lanes[2];   /* normal, priority */
        uint64_t queued[VMREQ_HISTOGRAM_N]; /* time queued of the requests that it ran */
        uint64_t run[VMREQ_HISTOGRAM_N];    /* time that they ran */
        uint64_t queued_sum_ns, run_sum_ns; /* of all that the two count */
};

VMREQ_API int vmreq_emt_stats(vmreq_vm vm, uint32_t cpu, struct vmreq_emt_stats *ret_stats);

struct vmreq_stats {
        uint64_t submitted, refused;            /* requests; a broadcast counts once */
        uint64_t fates[_VMREQ_FATE_N];          /* of packets, children and parents alike */
        uint64_t packets_new, packets_recycled; /* allocations of untouched, of used packets */
        uint32_t slab, in_use;                  /* packets there are, packets not FREE */
        uint32_t lane_capacity;
        uint32_t any_depth[2]; /* ANY lanes, normal and priority */
        uint64_t spin_ns; /* for how long who waits spins at most before it sleeps; 0: not at all */
};

VMREQ_API int vmreq_vm_stats(vmreq_vm vm, struct vmreq_stats *ret_stats);

/* CLOCK_MONOTONIC in nanoseconds. */
VMREQ_API uint64_t vmreq_now(void);

#ifdef __cplusplus
}
#endif

#endif
