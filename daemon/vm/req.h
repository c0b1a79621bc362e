/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The packet, and the one word that decides about it.
 *
 *      word = generation << 24 | references << 12 | flags << 4 | state
 *
 * Every change of state, flag, reference or generation is a compare-and-swap on this word, so a
 * handle (index, generation) is valid exactly as long as the generation stands.
 *
 *   FREE → ALLOCATED → QUEUED → RUNNING → COMPLETED → FREE
 *             │            └──→ CANCELLED, EXPIRED, KILLED → FREE
 *             ├──→ RUNNING   (inline; a broadcast's parent)
 *             ├──→ SKIPPED → FREE   (a broadcast's child that is never queued)
 *             └──→ FREE
 *
 * References: one of the submitter (flag OWNED), one of the thread that runs or ends it, one per
 * waiter, one of a parent on each child and of each child on its parent.  A queued packet may have
 * none: the lane holds no reference.  The packet is recycled when it is in a final state and the
 * last reference goes.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "vm/vmreq.h"

struct vm;
struct emt;

/* Internal state beyond the public ones. */
#define REQ_SKIPPED 8u

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

struct req {
        _Atomic uint64_t word;

        /* Written by the submitter while ALLOCATED, fixed from QUEUED or RUNNING on. */
        vmreq_fn fn;
        vmreq_callback callback;
        void *ctx;
        uint32_t cpu; /* destination; a child: its vCPU */
        uint8_t kind; /* enum vmreq_kind */
        uint8_t flags;
        uint8_t argc;
        bool parallel_started;
        /* 0: none.  A child: its parent's.  Atomic because a taker looks at it before it has
         * claimed the packet; relaxed, its claim proves the generation. */
        _Atomic uint64_t deadline_ns;
        uint64_t tag;
        uint64_t args[VMREQ_ARGS_MAX];

        void *user;
        void (*row)(void *user, const struct vmreq_row *row);
        void (*overdue)(void *user);
        void (*complete)(void *user, const struct vmreq_result *result);
        void (*release)(void *user);

        /* Broadcasts.  Fixed like the above: a parent's first child, a child's next sibling in the
         * order of passing on, a child's parent; index + 1, 0 = none. */
        uint32_t first_child, next_sibling, parent;
        uint32_t failed; /* parent only: room_failed() before its packets were taken, room.c */
        /* Parent only: rows that are not final; things that still use the submitter's memory. */
        _Atomic uint32_t rows_open, uses;

        /* Atomic because snapshots read them while the packet lives on; relaxed, the word orders
         * them. */
        _Atomic uint64_t place;     /* where it was pushed: lane.h */
        _Atomic uint64_t queued_ns; /* when it was submitted; a child: when it was pushed */
        _Atomic uint64_t start_ns;  /* 0: has not started */
        _Atomic uint64_t end_ns;    /* 0: has not ended */
        _Atomic uint64_t take_seq;
        _Atomic uint32_t ran_on; /* cpu; VMREQ_CPU_NONE before */

        /* Written by the runner before COMPLETED, read by others after it. */
        int32_t status;
        uint64_t value;
};

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
        return state >= VMREQ_REQ_COMPLETED;
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

struct req *req_at(struct vm *vm, uint32_t index);
uint32_t req_index(const struct vm *vm, const struct req *req);
vmreq_handle req_handle(const struct vm *vm, const struct req *req, uint64_t word);

/* A packet out of the slab, ALLOCATED, one reference, plus the flags and references in `more`;
 * NULL: none left. */
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

/* RUNNING → COMPLETED by the runner, whose reference it consumes. */
void req_end_running(struct vm *vm, struct req *req);

/* What follows a final state: wakes waiters, runs hooks, gives back the caller's reference.  Once
 * per packet. */
void req_finish(struct vm *vm, struct req *req, uint64_t word);

/* Sets flags on a RUNNING packet; false if it is not RUNNING any more (*word: as it stands). */
bool req_flag_running(struct req *req, uint64_t *word, uint64_t flags, uint64_t refs);

/* Wakes those who wait for a packet whose word was `word`. */
void req_wake_waiters(struct vm *vm, struct req *req, uint64_t word);

/* The row as far as it is known. */
void req_row(const struct req *req, uint64_t word, struct vmreq_row *ret_row);
