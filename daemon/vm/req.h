/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The packet, and the one word that decides about it.
 *
 *      word = generation << 24 | references << 12 | flags << 4 | state
 *
 * Every change of state, flag, reference or generation is a compare-and-swap on this word, so a
 * handle (index, generation) is valid exactly as long as the generation stands.  But a packet that
 * is FREE belongs to the thread that took it from the pool, and nobody else changes its word: that
 * thread stores the first word of the new life.
 *
 *   FREE ──→ QUEUED → RUNNING → COMPLETED → FREE
 *    │         ↑ ↓ └──→ CANCELLED, EXPIRED, KILLED → FREE
 *    │      QUEUEING
 *    ↓         ↑ ↓
 *   ALLOCATED ─┘ └→ ALLOCATED   (there was no room)
 *    ├──→ RUNNING   (inline; a broadcast's parent)
 *    ├──→ QUEUED    (a broadcast's child)
 *    ├──→ SKIPPED → FREE   (a broadcast's child that is never queued)
 *    └──→ FREE
 *
 * RUNNING → FREE in one step, as if by COMPLETED, if nobody can look at it in between: req.c.
 *
 * References: one of the submitter (flag OWNED), one of the thread that runs or ends it, one per
 * waiter, one of a parent on each child and of each child on its parent.  A queued packet may have
 * none: the lane holds no reference.  The packet is recycled when it is in a final state and the
 * last reference goes.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "vm/cpu.h"
#include "vm/vmreq.h"

struct vm;
struct emt;

/* Internal states beyond the public ones.  To others QUEUEING is as ALLOCATED. */
#define REQ_SKIPPED  8u
#define REQ_QUEUEING 9u

#define REQ_STATE_MASK  0xfull
#define REQ_STATE(word) ((uint32_t)((word)&REQ_STATE_MASK))

#define REQ_F_CANCEL (1ull << 4) /* somebody wants it to end early */
#define REQ_F_LATE                                                                                 \
        (1ull << 5) /* its deadline passed while it ran; a child: its row is final, RUNNING */
#define REQ_F_NOTIFYING                                                                            \
        (1ull << 6) /* the overdue hook runs: completion duties pass to its caller */
#define REQ_F_WAITED    (1ull << 7) /* a foreign thread sleeps on this word */
#define REQ_F_EMT_WAITS (1ull << 8) /* an EMT waits for this packet */
#define REQ_F_OWNED     (1ull << 9) /* the submitter's reference is not given back yet */
#define REQ_F_CHILD     (1ull << 10)
#define REQ_F_PARENT    (1ull << 11)

#define REQ_REF_ONE    (1ull << 12)
#define REQ_REFS(word) ((uint32_t)((word) >> 12) & 0xfffu)
#define REQ_REFS_MAX   4000u /* leaves room for the engine's own */

#define REQ_GENERATION_SHIFT 24
#define REQ_GENERATION(word) ((word) >> REQ_GENERATION_SHIFT)

static_assert(_VMREQ_REQ_N <= REQ_SKIPPED, "internal states follow the public ones");

/* So many words stand in the packet itself; more of them beside it. */
#define REQ_ARGS_NEAR 4u

/* What a packet has beside it. */
#define REQ_HAS_HOOKS 0x1u
#define REQ_HAS_USER  0x2u

/*
 * Two lines, which every request's submitter and EMT touch.  What few requests have stands in a
 * parallel array, struct req_more, which is paged in only where it is used.
 */
struct req {
        _Alignas(CACHE_PAIR) _Atomic uint64_t word;

        /* Atomic because a taker looks at them before it has claimed the packet; relaxed, its claim
         * proves the generation. */
        _Atomic uint64_t place;       /* where it was pushed: lane.h */
        _Atomic uint64_t deadline_ns; /* 0: none; a child: its parent's */

        /* Written by the submitter while the packet is its own, fixed from QUEUED or RUNNING on. */
        union {
                vmreq_fn fn;
                vmreq_callback callback; /* kind CALLBACK */
        };
        void *ctx;
        uint32_t cpu; /* destination; a child: its vCPU */
        uint8_t kind; /* enum vmreq_kind */
        uint8_t flags;
        uint8_t argc;
        uint8_t has; /* REQ_HAS_… */

        /* Times and ran_on are atomic because snapshots read them while the packet lives on;
         * relaxed, the word orders them. */
        _Atomic uint64_t queued_ns; /* when it was submitted; a child: when it was pushed */
        _Atomic uint32_t ran_on;    /* cpu; VMREQ_CPU_NONE before */

        /* Status and value are written by the runner before COMPLETED, read by others after it.
         * The status stands beside the word: who waits needs no other line. */
        int32_t status;

        _Alignas(CACHE_LINE) _Atomic uint64_t start_ns; /* 0: has not started */
        _Atomic uint64_t end_ns;                        /* 0: has not ended, or nobody asks when */
        uint64_t value;
        uint64_t tag;                 /* the submitter's, like what stands above queued_ns */
        uint64_t args[REQ_ARGS_NEAR]; /* if argc is no more; else they are all beside */
};

static_assert(sizeof(struct req) == CACHE_PAIR, "two lines");

struct req_more {
        /* A line of their own.  If it REQ_HAS_USER or _HOOKS. */
        _Alignas(CACHE_LINE) void *user;
        void (*row)(void *user, const struct vmreq_row *row);
        void (*overdue)(void *user);
        void (*complete)(void *user, const struct vmreq_result *result);
        void (*release)(void *user);

        /* Broadcasts.  Fixed like the packet: a parent's first child, a child's next sibling in the
         * order of passing on, a child's parent; index + 1, 0 = none. */
        uint32_t first_child, next_sibling, parent;
        uint32_t failed; /* parent only: room_failed() before its packets were taken, room.c */
        /* Parent only: rows that are not final; things that still use the submitter's memory. */
        _Atomic uint32_t rows_open, uses;

        uint64_t args[VMREQ_ARGS_MAX]; /* if there are more than REQ_ARGS_NEAR */
};

static_assert(offsetof(struct req_more, args) == CACHE_LINE,
              "one line, unless there are arguments");

/* ---- the word ---- */

static inline uint64_t req_load(const struct req *req)
{
        /* seq_cst: the look of the closer and of an EMT about to sleep, see req_swap.  Elsewhere
         * its acquire is what counts: what came before the change of state is visible. */
        return atomic_load_explicit(&req->word, memory_order_seq_cst);
}

/* One swap.  seq_cst on success: closing, waiting and sleeping are store-then-load protocols on
 * this word; see submit.c, wait.c.  On failure *word is what stands there. */
static inline bool req_swap(struct req *req, uint64_t *word, uint64_t next)
{
        return atomic_compare_exchange_strong_explicit(&req->word, word, next, memory_order_seq_cst,
                                                       memory_order_acquire);
}

static inline bool req_state_is_final(uint32_t state)
{
        return state >= VMREQ_REQ_COMPLETED && state <= REQ_SKIPPED;
}

/* Taken from the slab, and not accepted (yet). */
static inline bool req_state_is_allocated(uint32_t state)
{
        return state == VMREQ_REQ_ALLOCATED || state == REQ_QUEUEING;
}

/* This thread is about to write to both lines: they may come at once. */
static inline void req_will_write(const struct req *req)
{
        cpu_will_write(req);
        cpu_will_write(&req->start_ns);
}

/* The word of the packet's next life, FREE. */
static inline uint64_t req_next_life(uint64_t word)
{
        return (REQ_GENERATION(word) + 1) << REQ_GENERATION_SHIFT;
}

static inline uint64_t req_with_state(uint64_t word, uint32_t state)
{
        return (word & ~REQ_STATE_MASK) | state;
}

static inline uint64_t req_deadline(const struct req *req)
{
        return atomic_load_explicit(&req->deadline_ns, memory_order_relaxed);
}

/* ---- req.c ---- */

vmreq_handle req_handle(const struct vm *vm, const struct req *req, uint64_t word);

/* A packet out of the slab, FREE and this thread's alone; NULL: none left.  And back. */
struct req *req_take(struct vm *vm, uint32_t cpu);
void req_give_back(struct vm *vm, struct req *req);
/* The same made ALLOCATED, with one reference plus the flags and references in `more`. */
struct req *req_new(struct vm *vm, uint64_t more);

/* One more reference for a packet that the caller knows to be alive (it holds one, or saw `word`
 * with the same generation and swaps on it). */
bool req_ref(struct req *req, uint64_t generation);
/* Gives one back; recycles the packet if it was the last and the packet's life is over. */
void req_unref(struct vm *vm, struct req *req);

/* The packet that a handle names, with its word; NULL: the handle is stale or foreign. */
struct req *req_find(struct vm *vm, vmreq_handle handle, uint64_t *ret_word);

/*
 * QUEUED → a final state, by whoever wins.  `word` is what the caller saw.  True: this thread did,
 * and has carried out the completion; nothing of the packet may be touched any more.
 */
bool req_end_queued(struct vm *vm, struct req *req, uint64_t word, uint32_t state);

/* RUNNING → COMPLETED by the runner, whose reference it consumes.  True: nobody was to be told.
 * `silently`: only if that is so; else it is still RUNNING, and the reference the runner's. */
bool req_end_running(struct vm *vm, struct req *req, bool silently);

/* What follows a final state: wakes waiters, runs hooks, gives back the caller's reference.  Once
 * per packet. */
void req_finish(struct vm *vm, struct req *req, uint64_t word);

/* Sets flags on a RUNNING packet; false if it is not RUNNING any more (*word: as it stands). */
bool req_flag_running(struct req *req, uint64_t *word, uint64_t flags, uint64_t refs);

/* Wakes those who wait for a packet whose word was `word`. */
void req_wake_waiters(struct vm *vm, struct req *req, uint64_t word);

/* The row as far as it is known. */
void req_row(const struct vm *vm, const struct req *req, uint64_t word, struct vmreq_row *ret_row);
