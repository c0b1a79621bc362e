/* SPDX-License-Identifier: MIT */
/*
 * The fate of a packet: cancel against run against expiry against close, with a waiter, and the owner's free.
 *
 * C: daemon/vm/req.c
 * C: daemon/vm/deadline.c
 * C: daemon/vm/submit.c
 * C: daemon/vm/serve.c
 *
 * Each label s_NAME stands where the C function has VM_STEP(NAME): before the one access to shared memory that
 * follows.  Steps of other files carry other labels.
 *
 * One packet, LIVES generations of it: its owner allocates it, queues it, frees it, and does so again as soon as it
 * is recycled.  EMT, service, closer, cancellers and waiters act on it at any moment, with any handle that ever was
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
 * Good:   -DCANCEL -DFULL
 * Good:   -DEXPIRE -DFULL
 * Good:   -DCLOSE -DFULL
 * Good:   -DWAIT -DFULL
 * Good:   -DTWICE -DFULL
 * Good:   -DCANCEL -DCLOSE
 * Good:   -DLIVES=1 -DCANCEL -DEXPIRE
 * Good:   -DLIVES=1 -DCLOSE -DEXPIRE
 * Good:   -DLIVES=1 -DWAIT -DEXPIRE
 * Good:   -DLIVES=1 -DTWICE -DEXPIRE
 * Good:   -DLIVES=1 -DWAIT -DCANCEL -DFULL
 * Broken: -DCANCEL -DBROKEN_CANCEL
 * Broken: -DCANCEL -DBROKEN_CLAIM
 * Broken: -DCANCEL -DBROKEN_PLACE
 * Broken: -DCANCEL -DBROKEN_GENERATION
 * Broken: -DEXPIRE -DBROKEN_NOTIFYING
 * Broken: -DLIVES=1 -DEXPIRE -DCANCEL -DBROKEN_DUE
 * Broken: -DCLOSE -DFULL -DBROKEN_BACK
 * Broken: -DWAIT -DFULL -DBROKEN_BACK_SILENT
 * Broken: -DWAIT -DBROKEN_BLIND_WAIT
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
#define STATE(w) ((w) & 7)
#define FINAL(w) (STATE(w) >= COMPLETED)
#define WITH(w, state) (((w) & ~7) | (state))
#define F_CANCEL 8
#define F_LATE 16
#define F_NOTIFYING 32
#define F_WAITED 64
#define F_OWNED 128
#define REF 256
#define REFS(w) (((w) >> 8) & 15)
#define GEN(w) ((w) >> 12)
#define NEXT_LIFE(w) ((GEN(w) + 1) << 12)

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

/* the packet, and what stands beside it */
int word;
byte place;
bit due, now, closed;
bit pooled = 1;
chan lane = [LIVES + 1] of { byte };
bit parked_waiter;

/* what only the checker sees, per life */
byte completions[LIVES], releases[LIVES], runs[LIVES], recycled[LIVES], fate[LIVES];
bit accepted[LIVES], refused[LIVES];
bit in_callee, in_hook, in_complete;
byte ended; /* actors that are through */
byte places;

#ifdef EXPIRE
#define HAS_DEADLINE true
#else
#define HAS_DEADLINE false
#endif

proctype actor(byte kind; byte life)
{
        int w, next;
        byte n, state, from, unrefs, p;
        bit d, taking_back, failed;

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
                n = GEN(w);
                assert(STATE(w) == FREE && REFS(w) == 0)
        }
s_new_place:
        place = 0;
s_new_word:
        word = (WITH(w, ALLOCATED) | F_OWNED) + REF;
own_ref: /* vmreq_queue's own reference: req_find, req_ref */
        atomic {
                if
                :: GEN(word) != n || STATE(word) != ALLOCATED -> goto own_next /* freed by somebody else */
                :: else -> word = word + REF
                fi
        }
own_queue:
        w = word;
s_queue_swap:
        atomic {
                if
                :: STATE(w) != ALLOCATED -> assert(false)
                :: STATE(w) == ALLOCATED && word == w -> word = WITH(w, QUEUED)
                :: STATE(w) == ALLOCATED && word != w -> w = word; goto s_queue_swap
                fi;
                accepted[n] = 1; /* unless it is taken back */
                if
                :: !HAS_DEADLINE -> goto s_queue_closed
                :: HAS_DEADLINE
                fi
        }
s_due_set:
        due = 1;
s_due_look:
        atomic {
                if
#ifndef BROKEN_DUE
                :: FINAL(word) -> goto s_due_clear
#endif
                :: else
                fi
        }
s_queue_closed:
        atomic {
                if
                :: closed -> goto take_back
                :: else
                fi
        }
#ifdef FULL
        if
        :: goto take_back
        :: true
        fi;
#endif
push:
        atomic {
                places++;
                place = places;
                lane ! places
        }
        goto own_unref;

take_back:
s_back_load:
        atomic {
                w = word;
                if
                :: HAS_DEADLINE -> taking_back = 1; goto s_due_clear
                :: else
                fi
        }
s_back_swap:
        atomic {
#ifdef BROKEN_BACK
                if
                :: true -> word = WITH(word, ALLOCATED); w = word
                fi;
#else
                if
                :: STATE(w) != QUEUED || GEN(w) != n -> goto own_unref
                :: STATE(w) == QUEUED && GEN(w) == n && word == w -> word = WITH(w, ALLOCATED)
                :: STATE(w) == QUEUED && GEN(w) == n && word != w -> w = word; goto s_back_swap
                fi;
#endif
                accepted[n] = 0;
                refused[n] = 1
        }
#ifndef BROKEN_BACK_SILENT
back_wake:
        if
        :: w & F_WAITED -> parked_waiter = 0
        :: else
        fi;
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
                :: GEN(w) != n || STATE(w) == FREE ->
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
                :: STATE(w) == ALLOCATED -> goto end_through
                :: else -> state = CANCELLED; from = BY_CANCEL; goto end_queued
                fi
        }

        /* vmreq_free */
s_disown_swap:
        atomic {
                if
                :: GEN(w) != n || !(w & F_OWNED) ->
                        if
                        :: kind == OWNER -> goto own_next
                        :: kind != OWNER -> goto end_through
                        fi
                :: GEN(w) == n && (w & F_OWNED) && word != w -> w = word; goto s_disown_swap
                :: GEN(w) == n && (w & F_OWNED) && word == w -> word = w & ~F_OWNED
                fi;
                unrefs = 1;
                failed = 1; /* that is, done: what follows the unref */
                goto s_unref_load
        }

        /* vmreq_cancel, if it has not been in time */
s_cancel_again:
        atomic {
                w = word;
#ifdef BROKEN_CANCEL
                n = GEN(w); /* whatever runs there now */
#endif
                goto flag
        }

        /* req_flag_running, and what F stands for is told by the kind */
#define F (kind == SERVICE -> F_LATE | F_CANCEL | F_NOTIFYING : F_CANCEL)
flag:
        atomic {
                if
                :: STATE(w) != RUNNING || GEN(w) != n || (w & F) == F ->
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
                        assert(kind == CLOSER || GEN(w) == life);
                        goto end_through
                :: word == w && kind == SERVICE ->
                        assert(!(w & F_NOTIFYING));
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
                assert(!in_complete && !releases[n]);
                in_hook = 1
        }
overdue_hook_ends:
        atomic {
                assert(!in_complete && !releases[n]);
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
                :: FINAL(w) -> unrefs = 2; goto finish
                :: else -> unrefs = 1; goto s_unref_load
                fi
        }

        /* ---- req_end_queued: w → state, called by `from` ---- */
end_queued:
        n = GEN(w);
        next = w; /* the callers' copy */
s_end_queued_swap:
        atomic {
                if
                :: STATE(w) != QUEUED || GEN(w) != n ->
                        if
                        :: from == BY_CANCEL -> goto s_cancel_again
                        :: from == BY_TAKE_DUE -> w = next; next = 0; goto s_take_closed
                        :: from == BY_TAKE_CLOSED -> w = next; next = 0; goto s_take_claim
                        :: from == BY_SERVICE -> next = 0; goto s_expire_again
                        :: from == BY_CLOSER -> next = 0; goto close_again
                        fi
#ifdef BROKEN_CLAIM
                :: STATE(w) == QUEUED && GEN(w) == n ->
                        word = WITH(word, state) + REF;
#else
                :: STATE(w) == QUEUED && GEN(w) == n && word != w -> w = word; goto s_end_queued_swap
                :: STATE(w) == QUEUED && GEN(w) == n && word == w ->
                        word = WITH(w, state) + REF;
#endif
                        w = word;
                        next = 0;
                        assert(from != BY_CANCEL || n == life);
                        unrefs = 1;
                        state = 0
                fi
        }

        /* ---- req_finish: w is the final word, unrefs what to give back ---- */
finish:
        atomic {
                n = GEN(w);
                assert(FINAL(w) && fate[n] == 0);
                fate[n] = STATE(w);
                assert((runs[n] == 1) == (STATE(w) == COMPLETED) && !in_callee);
                from = 255;
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
                :: taking_back -> taking_back = 0; goto s_back_swap
                :: kind == OWNER && !taking_back -> goto s_queue_closed
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
                :: else
                fi
        }
s_hook_complete:
        atomic {
                assert(!in_hook && !in_callee && !releases[n]);
                completions[n]++;
                assert(completions[n] == 1);
                in_complete = 1
        }
s_hook_release:
        atomic {
                in_complete = 0;
                assert(!in_hook && !in_callee && completions[n] == 1);
                releases[n]++;
                assert(releases[n] == 1)
        }

        /* ---- req_unref, `unrefs` times ---- */
s_unref_load:
        w = word;
s_unref_swap:
        atomic {
                assert(REFS(w) > 0 || word != w);
                if
                :: word != w -> w = word; goto s_unref_swap
                :: word == w && REFS(w) == 1 && (FINAL(w) || STATE(w) == ALLOCATED) ->
                        word = NEXT_LIFE(w);
                        recycled[GEN(w)]++;
                        assert(recycled[GEN(w)] == 1);
#ifdef BROKEN_GENERATION
                        word = GEN(w) << 12;
#endif
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
                :: kind == OWNER && !failed -> goto own_free
                :: kind == OWNER && failed -> failed = 0; goto own_next
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
                :: due && now -> state = EXPIRED; from = BY_TAKE_DUE; goto end_queued
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
                        assert(place == p); /* it was pushed, and here */
                        n = GEN(w);
                        w = 0; p = 0
                fi
        }
callee:
        atomic {
                assert(fate[n] == 0 && runs[n] == 0 && !releases[n] && accepted[n]);
                runs[n]++;
                in_callee = 1
        }
callee_ends:
        atomic {
                assert(!releases[n] && completions[n] == 0);
                in_callee = 0
        }
s_end_running_load:
        w = word;
s_end_running_swap:
        atomic {
                if
                :: word != w -> w = word; goto s_end_running_swap
                :: word == w -> word = WITH(w, COMPLETED); w = word
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
                :: else -> n = GEN(w); goto flag
                fi
        }

        /* ---- the closer, vm.c ---- */
close:
        closed = 1;
close_word:
        atomic {
                w = word;
                if
                :: STATE(w) == QUEUED -> state = KILLED; from = BY_CLOSER; goto end_queued
                :: else -> n = GEN(w); goto flag
                fi
        }
close_again:
        atomic {
                w = word;
                n = GEN(w);
                goto flag
        }

        /* ---- a waiter, wait.c ---- */
wait:
s_ref_swap:
        atomic {
                if
                :: GEN(w) != n || STATE(w) == FREE -> goto end_through
                :: !(GEN(w) != n || STATE(w) == FREE) && word != w -> w = word; goto s_ref_swap
                :: !(GEN(w) != n || STATE(w) == FREE) && word == w -> word = w + REF
                fi
        }
wait_look:
        atomic {
                w = word;
                assert(GEN(w) == n);
                if
                :: FINAL(w) || (w & F_LATE) -> assert(fate[n] || (w & F_LATE) || FINAL(w)); goto wait_end
#ifndef BROKEN_BACK_SILENT
                :: STATE(w) == ALLOCATED -> goto wait_end
#endif
                :: else
                fi;
                if
                :: w & F_WAITED -> goto wait_sleep
                :: else
                fi
        }
wait_flag:
        atomic {
                if
                :: word != w -> goto wait_look
                :: word == w -> word = w | F_WAITED; w = word
                fi
        }
wait_sleep:
        atomic {
                if
#ifndef BROKEN_BLIND_WAIT
                :: word != w -> goto wait_look
                :: word == w -> parked_waiter = 1
#else
                :: parked_waiter = 1
#endif
                fi
        }
        !parked_waiter;
        goto wait_look;
wait_end:
        unrefs = 1;
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
                assert(ended == 1 + N_CANCEL + N_CLOSE + N_WAIT + N_FREE);
                do
                :: i < LIVES ->
                        assert(completions[i] == accepted[i] && releases[i] == accepted[i]);
                        assert(recycled[i] == 1 && runs[i] <= accepted[i]);
                        i++
                :: else -> break
                od;
                assert(word == LIVES << 12 && pooled && !due)
        }
}
