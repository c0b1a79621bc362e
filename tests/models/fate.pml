/* SPDX-License-Identifier: MIT */
/*
 * The fate of a packet: cancel against run against expiry against close, with a waiter, and the owner's free.
 *
 * C: daemon/vm/req.c
 * C: daemon/vm/deadline.c
 * C: daemon/vm/submit.c end_queueing take_back make_queued push submit_single disown
 * C: daemon/vm/cancel.c
 * C: daemon/vm/serve.c
 * C: daemon/vm/wait.c
 * C: daemon/vm/vm.c
 *
 * Each label s_NAME stands where the C function has VM_STEP(NAME): before the one access to shared memory that
 * follows.  Steps of other files carry other labels.
 *
 * One packet, LIVES generations of it: its owner allocates it, queues it, frees it, and does so again as soon as it
 * is recycled; with FRESH it submits it, in one.  With HOLE a taker makes its place void once, before it is filled.  With
 * HOOKLESS it has no hooks.  With CALL, and FRESH, its owner
 * has no handle to free but a reference, and waits for it.  EMT, service, closer, cancellers and waiters act on it at any moment, with any handle that ever was
 * or will be valid.  With FULL a push may be refused.  The deadline may pass at any moment; that of all lives is the same
 * number, so that an old look at it cannot be told from a new one by its value.
 *
 * Checked as assertions, and at the end:
 *   - exactly one completion and one release per accepted life, none per refused one;
 *   - the callee runs at most once, and if it runs the fate is DONE; nothing uses the submitter's memory after the
 *     release, and the completion and overdue hooks never run at once;
 *   - each life is recycled exactly once, with no reference left;
 *   - whoever acts with a handle acts on its generation only;
 *   - a waiter returns only if the request is complete or late, and nobody is left waiting.
 *
 * Good:   -DLIVES=1 -DWAIT -DEXPIRE
 * Good:   -DLIVES=1 -DWAIT -DCANCEL -DFULL
 * Good:   -DLIVES=1 -DCANCEL -DEXPIRE
 * Good:   -DLIVES=1 -DCLOSE -DEXPIRE
 * Good:   -DLIVES=1 -DTWICE -DEXPIRE
 * Good:   -DLIVES=1 -DCANCEL -DCLOSE
 * Good:   -DCANCEL -DFULL
 * Good:   -DEXPIRE -DFULL
 * Good:   -DCLOSE -DFULL
 * Good:   -DWAIT -DFULL
 * Good:   -DTWICE -DFULL
 * Good:   -DHOLE -DFULL -DCANCEL
 * Good:   -DHOLE -DFULL -DCLOSE
 * Good:   -DLIVES=1 -DHOLE -DWAIT -DFULL
 * Good:   -DFRESH -DCANCEL -DFULL
 * Good:   -DFRESH -DEXPIRE -DFULL
 * Good:   -DFRESH -DCLOSE -DFULL
 * Good:   -DFRESH -DTWICE -DFULL
 * Good:   -DFRESH -DHOLE -DFULL -DTWICE
 * Good:   -DFRESH -DHOLE -DFULL -DCLOSE
 * Good:   -DLIVES=1 -DFRESH -DHOLE -DEXPIRE
 * Good:   -DFRESH -DHOOKLESS -DCANCEL
 * Good:   -DFRESH -DHOOKLESS -DWAIT
 * Good:   -DLIVES=1 -DFRESH -DHOOKLESS -DTWICE -DCLOSE
 * Good:   -DFRESH -DHOOKLESS -DCALL -DCANCEL
 * Good:   -DFRESH -DHOOKLESS -DCALL -DTWICE -DFULL
 * Good:   -DFRESH -DCALL -DCLOSE -DFULL
 * Good:   -DLIVES=1 -DFRESH -DHOOKLESS -DCALL -DHOLE -DCLOSE
 * Broken: -DCANCEL -DBROKEN_CANCEL: own life
 * Broken: -DCANCEL -DBROKEN_GENERATION: place
 * Broken: -DCANCEL -DBROKEN_CLAIM: run
 * Broken: -DCANCEL -DBROKEN_PLACE: place
 * Broken: -DLIVES=1 -DCANCEL -DBROKEN_END_RUNNING: memory
 * Broken: -DEXPIRE -DBROKEN_NOTIFYING: one completion
 * Broken: -DLIVES=1 -DEXPIRE -DBROKEN_HOOKS: hooks apart
 * Broken: -DLIVES=1 -DEXPIRE -DCANCEL -DBROKEN_DUE: nothing left
 * Broken: -DCLOSE -DFULL -DBROKEN_BACK: answered
 * Broken: -DWAIT -DFULL -DBROKEN_BACK_SILENT: nobody waits
 * Broken: -DWAIT -DBROKEN_BLIND_WAIT: nobody waits
 * Broken: -DLIVES=1 -DWAIT -DBROKEN_WAIT_REF: kept
 * Broken: -DTWICE -DBROKEN_TWICE: references
 * Broken: -DBROKEN_PUT_FIRST: fresh
 * Broken: -DLIVES=1 -DFRESH -DHOOKLESS -DWAIT -DBROKEN_OWED: references
 * Broken: -DLIVES=1 -DFRESH -DHOOKLESS -DCALL -DBROKEN_UNTOLD: nobody waits
 */
#ifndef LIVES
#define LIVES 2
#endif

/* the word, as in req.h with smaller fields */
#define FREE 0
#define ALLOCATED 1
#define QUEUED 2
#define RUNNING 3
#define COMPLETED 4
#define CANCELLED 5
#define EXPIRED 6
#define KILLED 7
#define QUEUEING 8
#define STATE(w) ((w) & 15)
#define FINAL(w) (STATE(w) >= COMPLETED && STATE(w) <= KILLED)
#define UNQUEUED(w) (STATE(w) == ALLOCATED || STATE(w) == QUEUEING)
#define WITH(w, state) (((w) & ~15) | (state))
#define F_CANCEL 16
#define F_LATE 32
#define F_NOTIFYING 64
#define F_WAITED 128
#define F_OWNED 256
#define REF 512
#define REFS(w) (((w) >> 9) & 15)
#define GEN(w) ((w) >> 13)
#ifndef BROKEN_GENERATION
#define NEXT_LIFE(w) ((GEN(w) + 1) << 13)
#define LIFE_OF(w) GEN(w)
#define SAME(w, n) (GEN(w) == n)
#else /* the generation stands still: only the checker knows which life it is */
#define NEXT_LIFE(w) 0
#define LIFE_OF(w) lives
#define SAME(w, n) true
#endif

/* kinds of actor */
#define OWNER 0
#define EMT 1
#define CANCELLER 2
#define SERVICE 3
#define CLOSER 4
#define WAITER 5
#define FREER 6

/* where req_end_queued was called from */
#define BY_CANCEL 0
#define BY_TAKE_DUE 1
#define BY_TAKE_CLOSED 2
#define BY_SERVICE 3
#define BY_CLOSER 4
#define BY_BACK 5 /* take_back, on its way through req_wake_waiters */

/* the packet, and what stands beside it */
int word;
byte place;
bit due, now, closed;
bit pooled = 1;
chan lane = [LIVES + 1] of { byte };
bit parked_waiter;

/* what only the checker sees, per life */
byte completions[LIVES], releases[LIVES], runs[LIVES], recycled[LIVES], fate[LIVES];
bit accepted[LIVES];
bit in_callee, in_hook, in_complete;
byte ended; /* actors that are through */
byte lives; /* that are over */
byte places;

#ifdef EXPIRE
#define HAS_DEADLINE true
#else
#define HAS_DEADLINE false
#endif

proctype actor(byte kind; byte life)
{
        int w, next;
        byte n, state, from, unrefs, p, to;
        bit d, taking_back, failed, refused, dropping, again;

        if
        :: kind == OWNER -> goto own
        :: kind == EMT -> goto end_take
        :: kind == CANCELLER || kind == WAITER || kind == FREER ->
                n = life;
                goto s_find_load
        :: kind == SERVICE -> goto end_service
        :: kind == CLOSER -> goto close
        fi;

        /* ---- vmreq_alloc, vmreq_queue, vmreq_free ---- */
own:
        atomic {
                pooled -> pooled = 0;
                w = word;
                n = LIFE_OF(w);
                assert(STATE(w) == FREE && REFS(w) == 0) /* claim: fresh */
        }
#ifdef FRESH
        goto note; /* FREE until it is QUEUED */
#endif
s_new_place:
        place = 0;
s_new_word:
        word = (WITH(w, ALLOCATED) | F_OWNED) + REF;
own_ref: /* vmreq_queue's own reference: req_find, req_ref */
        atomic {
                if
                :: !SAME(word, n) || STATE(word) != ALLOCATED -> goto own_next /* freed by somebody else */
                :: else -> word = word + REF
                fi
        }
own_queue:
        w = word;
s_queue_swap:
        atomic {
                if
                :: STATE(w) != ALLOCATED -> assert(false) /* sanity */
                :: STATE(w) == ALLOCATED && word == w -> word = WITH(w, QUEUEING)
                :: STATE(w) == ALLOCATED && word != w -> w = word; goto s_queue_swap
                fi
        }

        /* push_due: the deadline, a place, QUEUED, the entry */
note:
        if
#ifdef BROKEN_DUE
        :: goto draw /* noted when it is QUEUED */
#endif
        :: HAS_DEADLINE
        :: !HAS_DEADLINE -> goto draw
        fi;
s_due_set:
        due = 1;
#ifdef BROKEN_DUE
        goto fill;
#endif
draw:
#ifdef FULL
        if
        :: goto refuse
        :: true
        fi;
#endif
        atomic {
                places++;
                p = places;
                place = p;
                to = QUEUED;
#ifdef FRESH
                if
                :: STATE(word) == FREE -> goto s_queue_store
                :: else
                fi
#endif
        }

        /* end_queueing, as `to` */
s_queueing_load:
        w = word;
s_queueing_swap:
        atomic {
                if
                :: word != w -> w = word; goto s_queueing_swap
                :: else
                fi;
                assert(STATE(w) == QUEUEING); /* sanity */
                word = WITH(w, to);
                if
                :: to == QUEUED -> accepted[n] = 1 /* unless it is taken back */
                :: to == ALLOCATED && !dropping -> goto own_unref
#ifdef CALL
                :: to == ALLOCATED && dropping -> w = word; goto s_disown_swap
#else
                :: to == ALLOCATED && dropping -> word = word + REF; w = word; goto s_disown_swap
#endif
                fi
        }
#ifdef BROKEN_DUE
        if
        :: HAS_DEADLINE -> goto s_due_set
        :: else
        fi;
#endif
        goto fill;
s_queue_store:
        atomic {
#ifdef CALL
                word = WITH(word, QUEUED) + REF;
#else
                word = (WITH(word, QUEUED) | F_OWNED) + REF;
#endif
                accepted[n] = 1
        }
fill:
#ifdef HOLE
        if
        :: places == 1 -> goto s_back_load /* void: it needs another */
        :: true
        fi;
#endif
        atomic { lane ! p; p = 0 }
s_queue_closed:
        atomic {
                if
                :: closed -> refused = 1
                :: else -> goto pushed
                fi
        }

        /* take_back */
s_back_load:
        w = word;
s_back_swap:
        atomic {
#ifdef BROKEN_BACK
                if
                :: true -> word = WITH(word, QUEUEING); w = word
                fi;
#else
                if
                :: STATE(w) != QUEUED || !SAME(w, n) -> refused = 0; p = 0; goto pushed
                :: STATE(w) == QUEUED && SAME(w, n) && word == w -> word = WITH(w, QUEUEING)
                :: STATE(w) == QUEUED && SAME(w, n) && word != w -> w = word; goto s_back_swap
                fi;
#endif
                accepted[n] = 0;
#ifndef BROKEN_BACK_SILENT
                from = BY_BACK;
                goto s_waiters_futex
#endif
        }
taken_back:
        if
        :: refused -> refused = 0
        :: else -> goto draw
        fi;
refuse:
        p = 0;
        if
        :: HAS_DEADLINE -> taking_back = 1; goto s_due_clear
        :: else
        fi;
refuse_cleared:
        atomic {
                to = ALLOCATED;
#ifdef FRESH
                if
                :: STATE(word) == FREE -> again = 1; unrefs = 1; goto s_unref_put /* as it came */
                :: else -> dropping = 1
                fi;
#endif
                goto s_queueing_load
        }

pushed:
#ifdef CALL
        goto s_wait_load; /* with the reference it was born with */
#endif
#ifdef FRESH
        goto own_free; /* there is no reference of the call's own */
#endif
own_unref:
        unrefs = 1;
        goto s_unref_load;
own_free:
        goto s_find_load;
own_next:
        atomic {
                w = 0; next = 0;
                if
                :: n + 1 < LIVES -> goto own
                :: else -> goto end_through
                fi
        }

        /* ---- with a handle (of life n): req_find, then what is asked for ---- */
s_find_load:
        atomic {
                w = word;
                if
                :: !SAME(w, n) || STATE(w) == FREE ->
                        if
                        :: kind == OWNER -> goto own_next
                        :: kind != OWNER -> goto end_through
                        fi
                :: else
                fi;
                if
                :: kind == OWNER || kind == FREER -> goto s_disown_swap
                :: kind == WAITER -> goto wait
                :: kind == CANCELLER
                fi;
                if
                :: UNQUEUED(w) -> goto end_through
                :: else -> state = CANCELLED; from = BY_CANCEL; goto end_queued
                fi
        }

        /* vmreq_free */
s_disown_swap:
        atomic {
                if
#ifdef BROKEN_TWICE
                :: !SAME(w, n) ->
#else
                :: !SAME(w, n) || !(w & F_OWNED) ->
#endif
                        if
                        :: kind == OWNER && !dropping -> goto own_next
                        :: kind == OWNER && dropping -> unrefs = 1
                        :: kind != OWNER -> goto end_through
                        fi
                :: else ->
                        if
                        :: word != w -> w = word; goto s_disown_swap
                        :: word == w -> word = w & ~F_OWNED
                        fi;
                        unrefs = 1 + dropping
                fi;
                dropping = 0;
                failed = 1; /* that is, done: what follows the unref */
                goto s_unref_load
        }

        /* vmreq_cancel, if it has not been in time */
s_cancel_again:
        atomic {
                w = word;
#ifdef BROKEN_CANCEL
                n = LIFE_OF(w); /* whatever runs there now */
#endif
                goto flag
        }

        /* req_flag_running, and what F stands for is told by the kind */
#ifdef BROKEN_HOOKS
#define F (kind == SERVICE -> F_LATE | F_CANCEL : F_CANCEL)
#else
#define F (kind == SERVICE -> F_LATE | F_CANCEL | F_NOTIFYING : F_CANCEL)
#endif
flag:
        atomic {
                if
                :: STATE(w) != RUNNING || !SAME(w, n) || (w & F) == F ->
                        if
                        :: kind == SERVICE -> goto end_service
                        :: else -> goto end_through
                        fi
                :: else
                fi
        }
s_flag_swap:
        atomic {
                if
                :: word != w -> w = word; goto flag
                :: word == w && kind != SERVICE ->
                        word = w | F;
                        assert(kind == CLOSER || LIFE_OF(w) == life); /* claim: own life */
                        goto end_through
                :: word == w && kind == SERVICE ->
                        assert(!(w & F_NOTIFYING)); /* sanity */
                        word = (w | F) + REF;
                        w = word
                fi
        }

        /* overdue, with a reference */
overdue:
        state = SERVICE;
        goto s_due_clear;
overdue_waiters:
        goto s_waiters_futex;
s_overdue_hook:
        atomic {
                assert(!in_complete && !releases[n]); /* claim: hooks apart */
                in_hook = 1
        }
overdue_hook_ends:
        atomic {
                assert(!in_complete && !releases[n]); /* claim: hooks apart */
                in_hook = 0
        }
s_overdue_load:
        w = word;
s_overdue_swap:
        atomic {
                if
                :: word != w -> w = word; goto s_overdue_swap
                :: word == w ->
                        w = w & ~F_NOTIFYING;
                        word = w;
                        state = 0
                fi;
                if
#ifndef BROKEN_HOOKS
                :: FINAL(w) -> unrefs = 2; goto finish
#endif
                :: else -> unrefs = 1; goto s_unref_load
                fi
        }

        /* ---- req_end_queued: w → state, called by `from` ---- */
end_queued:
        n = LIFE_OF(w);
        next = w; /* the callers' copy */
s_end_queued_swap:
        atomic {
                if
#ifdef BROKEN_END_RUNNING
                :: (STATE(w) != QUEUED && STATE(w) != RUNNING) || !SAME(w, n) ->
#else
                :: STATE(w) != QUEUED || !SAME(w, n) ->
#endif
                        if
                        :: from == BY_CANCEL -> next = 0; state = 0; goto s_cancel_again
                        :: from == BY_TAKE_DUE -> w = next; next = 0; from = 0; state = 0; goto s_take_closed
                        :: from == BY_TAKE_CLOSED -> w = next; next = 0; from = 0; state = 0; goto s_take_claim
                        :: from == BY_SERVICE -> next = 0; from = 0; state = 0; goto s_expire_again
                        :: from == BY_CLOSER -> next = 0; from = 0; state = 0; goto s_close_again
                        fi
                :: else ->
                        if
#ifndef BROKEN_CLAIM
                        :: word != w -> w = word; goto s_end_queued_swap
                        :: word == w
#else
                        :: w = word
#endif
                        fi;
                        word = WITH(w, state) + REF;
                        w = word;
                        next = 0;
                        assert(from != BY_CANCEL || n == life); /* claim: own life */
                        unrefs = 1;
                        state = 0
                fi
        }

        /* ---- req_finish: w is the final word, unrefs what to give back ---- */
finish:
        atomic {
                n = LIFE_OF(w);
                assert(FINAL(w)); /* sanity */
                assert(fate[n] == 0); /* claim: one completion */
                fate[n] = STATE(w);
#ifndef BROKEN_END_RUNNING
                assert((runs[n] == 1) == (STATE(w) == COMPLETED) && !in_callee); /* claim: run */
#endif
                from = 0;
                if
                :: !HAS_DEADLINE -> goto s_waiters_futex
                :: HAS_DEADLINE
                fi
        }
s_due_clear:
        atomic {
                due = 0;
                if
                :: kind == SERVICE && state == SERVICE -> goto overdue_waiters
                :: taking_back -> taking_back = 0; goto refuse_cleared
                :: else
                fi
        }
        /* req_wake_waiters */
s_waiters_futex:
        atomic {
                if
                :: w & F_WAITED -> parked_waiter = 0
                :: else
                fi;
                if
                :: kind == SERVICE && state == SERVICE -> goto s_overdue_hook
                :: from == BY_BACK -> from = 0; goto taken_back
                :: else
                fi
        }
s_hook_complete:
        atomic {
                assert(!in_hook && !releases[n]); /* claim: hooks apart */
                completions[n]++;
                assert(completions[n] == 1); /* claim: one completion */
                in_complete = 1
        }
s_hook_release:
        atomic {
                in_complete = 0;
                assert(!in_hook); /* claim: hooks apart */
                releases[n]++;
                assert(releases[n] == 1) /* claim: one completion */
        }

        /* ---- req_unref, `unrefs` times ---- */
s_unref_load:
        w = word;
#ifdef BROKEN_PUT_FIRST
        if
        :: REFS(w) == 1 && (FINAL(w) || STATE(w) == ALLOCATED) -> pooled = 1
        :: else
        fi;
#endif
s_unref_swap:
        atomic {
                assert(REFS(w) > 0 || word != w); /* claim: references */
                if
                :: word != w -> w = word; goto s_unref_swap
                :: word == w && REFS(w) == 1 && (FINAL(w) || STATE(w) == ALLOCATED) ->
                        recycled[LIFE_OF(w)]++;
                        assert(recycled[LIFE_OF(w)] == 1); /* sanity */
                        lives++;
                        word = NEXT_LIFE(w)
                :: word == w && !(REFS(w) == 1 && (FINAL(w) || STATE(w) == ALLOCATED)) ->
                        word = w - REF;
                        goto unref_done
                fi
        }
s_unref_put:
        pooled = 1;
unref_done:
        atomic {
                unrefs--;
                w = 0;
                if
                :: unrefs > 0 -> goto s_unref_load
                :: else
                fi;
                if
                :: kind == OWNER && again -> again = 0; goto own
                :: kind == OWNER && !failed && !again -> goto own_free
                :: kind == OWNER && failed && !again -> failed = 0; goto own_next
                :: kind == EMT -> n = 0; goto end_take
                :: kind == SERVICE -> n = 0; goto end_service
                :: kind == CANCELLER || kind == CLOSER || kind == WAITER || kind == FREER -> goto end_through
                fi
        }

        /* ---- the EMT: take, run ---- */
end_take:
        lane ? p;
s_take_word:
        w = word;
s_take_place:
        atomic {
                if
                :: STATE(w) != QUEUED -> w = 0; p = 0; goto end_take
#ifndef BROKEN_PLACE
                :: STATE(w) == QUEUED && place != p -> w = 0; p = 0; goto end_take
                :: STATE(w) == QUEUED && place == p
#else
                :: STATE(w) == QUEUED
#endif
                fi
        }
s_take_due:
        atomic {
                if
                :: HAS_DEADLINE && now -> state = EXPIRED; from = BY_TAKE_DUE; goto end_queued
                :: else
                fi
        }
s_take_closed:
        atomic {
                if
                :: closed -> state = KILLED; from = BY_TAKE_CLOSED; goto end_queued
                :: else
                fi
        }
s_take_claim:
        atomic {
                if
                :: word != w -> w = word; goto s_take_place
                :: word == w ->
                        word = WITH(w, RUNNING) + REF;
                        assert(place == p); /* claim: place */
                        n = LIFE_OF(w);
                        w = 0; p = 0
                fi
        }
callee:
        atomic {
#ifndef BROKEN_END_RUNNING
                assert(fate[n] == 0 && runs[n] == 0 && accepted[n]); /* claim: run */
#endif
                assert(!releases[n]); /* claim: memory */
                runs[n]++;
                in_callee = 1
        }
callee_ends:
        atomic {
                assert(!releases[n]); /* claim: memory */
                in_callee = 0
        }
s_end_running_load:
        w = word;
s_end_running_swap:
        atomic {
                if
                :: word != w -> w = word; goto s_end_running_swap
#ifdef BROKEN_OWED /* although somebody holds it */
#define UNHELD(w) true
#else
#define UNHELD(w) (REFS(w) == 1)
#endif
#ifdef BROKEN_UNTOLD /* although somebody sleeps */
#define UNTOLD(w) (!HAS_DEADLINE && !(w & F_NOTIFYING))
#else
#define UNTOLD(w) (!HAS_DEADLINE && !(w & (F_NOTIFYING | F_WAITED)))
#endif
#ifdef HOOKLESS
                :: word == w && UNTOLD(w) && UNHELD(w) ->
                        assert(fate[n] == 0); /* claim: one completion */
                        fate[n] = COMPLETED;
                        completions[n]++;
                        releases[n]++;
                        recycled[n]++;
                        lives++;
                        word = NEXT_LIFE(w);
                        unrefs = 1;
                        goto s_unref_put
                :: word == w && UNTOLD(w) && !UNHELD(w) ->
                        assert(fate[n] == 0); /* claim: one completion */
                        fate[n] = COMPLETED;
                        completions[n]++;
                        releases[n]++;
                        word = WITH(w, COMPLETED) - REF;
                        w = 0; n = 0;
                        goto end_take
                :: word == w && !UNTOLD(w) -> word = WITH(w, COMPLETED); w = word
#else
                :: word == w -> word = WITH(w, COMPLETED); w = word
#endif
                fi;
                if
#ifndef BROKEN_NOTIFYING
                :: w & F_NOTIFYING -> w = 0; n = 0; goto end_take
                :: !(w & F_NOTIFYING) -> unrefs = 1; goto finish
#else
                :: unrefs = 1; goto finish
#endif
                fi
        }

        /* ---- the deadline service: one packet's turn ---- */
end_service:
        atomic { due && now -> d = due; w = 0; n = 0; state = 0; from = 0 }
s_expire_word:
        w = word;
s_expire_due:
        atomic {
                if
                :: due != d -> goto end_service
                :: due == d && STATE(w) == QUEUED -> state = EXPIRED; from = BY_SERVICE; goto end_queued
                :: due == d && STATE(w) != QUEUED -> goto s_expire_due_again
                fi
        }
s_expire_again:
        w = word;
s_expire_due_again:
        atomic {
                state = 0;
                if
                :: STATE(w) != RUNNING || due != d || (w & F_LATE) -> goto end_service
                :: else -> n = LIFE_OF(w); goto flag
                fi
        }

        /* ---- the closer ---- */
close:
s_close_store:
        closed = 1;
s_close_load:
        atomic {
                w = word;
                if
                :: STATE(w) == QUEUED -> state = KILLED; from = BY_CLOSER; goto end_queued
                :: else -> n = LIFE_OF(w); goto flag
                fi
        }
s_close_again:
        atomic {
                w = word;
                n = LIFE_OF(w);
                goto flag
        }

        /* ---- a waiter ---- */
wait:
s_ref_swap:
        atomic {
                if
                :: !SAME(w, n) || STATE(w) == FREE -> goto end_through
                :: !(!SAME(w, n) || STATE(w) == FREE) && word != w -> w = word; goto s_ref_swap
                :: !(!SAME(w, n) || STATE(w) == FREE) && word == w ->
#ifndef BROKEN_WAIT_REF
                        word = w + REF
#endif
                fi
        }
s_wait_load:
        atomic {
                w = word;
                assert(LIFE_OF(w) == n); /* claim: kept */
                if
                :: FINAL(w) || (w & F_LATE) -> goto wait_end
#ifndef BROKEN_BACK_SILENT
                :: UNQUEUED(w) -> goto wait_end
#endif
                :: else
                fi;
                if
                :: w & F_WAITED -> goto s_wait_futex
                :: else
                fi
        }
s_wait_flag:
        atomic {
                if
                :: word != w -> goto s_wait_load
                :: word == w -> word = w | F_WAITED; w = word
                fi
        }
s_wait_futex:
        atomic {
                if
#ifndef BROKEN_BLIND_WAIT
                :: word != w -> goto s_wait_load
                :: word == w -> parked_waiter = 1
#else
                :: parked_waiter = 1
#endif
                fi
        }
        !parked_waiter;
        goto s_wait_load;
wait_end:
#ifdef BROKEN_WAIT_REF
        goto end_through;
#endif
        unrefs = 1;
        failed = (kind == OWNER); /* that is, done */
        goto s_unref_load;

end_through:
        ended++
}

proctype clock()
{
        if
        :: now = 1
        :: true /* everything is over before */
        fi
}

#ifdef CANCEL
#define N_CANCEL 1
#else
#define N_CANCEL 0
#endif
#ifdef CLOSE
#define N_CLOSE 1
#else
#define N_CLOSE 0
#endif
#ifdef WAIT
#define N_WAIT 1
#else
#define N_WAIT 0
#endif
#ifdef TWICE
#define N_FREE 1
#else
#define N_FREE 0
#endif

init {
        byte i;

        atomic {
                run actor(OWNER, 0);
                run actor(EMT, 0);
#ifdef CANCEL
                run actor(CANCELLER, 0);
#endif
#ifdef EXPIRE
                run actor(SERVICE, 0);
                run clock();
#endif
#ifdef CLOSE
                run actor(CLOSER, 0);
#endif
#ifdef WAIT
                run actor(WAITER, 0);
#endif
#ifdef TWICE
                run actor(FREER, 0)
#endif
        }
        timeout;
        atomic {
                assert(ended == 1 + N_CANCEL + N_CLOSE + N_WAIT + N_FREE); /* claim: nobody waits */
                do
                :: i < LIVES ->
                        assert(completions[i] == accepted[i] && releases[i] == accepted[i]); /* claim: answered */
                        assert(recycled[i] == 1); /* claim: nothing left */
                        i++
                :: else -> break
                od;
                assert(STATE(word) == FREE && REFS(word) == 0 && lives == LIVES && pooled && !due) /* claim: nothing left */
        }
}
