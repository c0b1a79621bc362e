/* SPDX-License-Identifier: MIT */
/*
 * The free list of a VM's packets: a stack of indices with a tag, and indices that were never handed out.
 *
 * C: daemon/vm/pool.c
 *
 * Each label s_NAME stands where pool.c has VM_STEP(NAME): before the one access to shared memory that follows.
 *
 * THREADS take an index and put it back, ROUNDS times, as soon as they like; a thread that finds none goes on to its
 * next round.  The tag does not wrap.
 *
 * Checked, as assertions at the step concerned:
 *   - an index has one owner at a time;
 *   - "none left" is answered only if there was, during the call, an instant at which nothing was free;
 *   - in the end everything is free again.
 *
 * Good:   -DTHREADS=3 -DROUNDS=1
 * Good:   -DTHREADS=2 -DROUNDS=3
 * Good:   -DTHREADS=3 -DROUNDS=2 -DCAPACITY=1
 * Broken: -DTHREADS=3 -DROUNDS=2 -DBROKEN_TAG: all free
 * Broken: -DTHREADS=2 -DROUNDS=1 -DBROKEN_FRESH: one owner
 * Broken: -DTHREADS=1 -DROUNDS=2 -DCAPACITY=1 -DBROKEN_EMPTY: none left
 * Broken: -DTHREADS=2 -DROUNDS=2 -DBROKEN_PUT: all free
 */
#ifndef CAPACITY
#define CAPACITY 2
#endif

#define TOP(tag, index) ((tag) * 4 + (index) + 1)
#define TAG(top) ((top) / 4)
#define INDEX(top) ((top) % 4 - 1)
#define EMPTY(top) ((top) % 4 == 0)

byte top, fresh;
byte next[CAPACITY]; /* index + 1 */

/* what only the checker sees */
bit owned[CAPACITY];
byte n_free = CAPACITY;
bit none_free[THREADS]; /* since its call began there was nothing free */
byte ended;

inline taken(index) {
        assert(!owned[index]); /* claim: one owner */
        owned[index] = 1;
        n_free--;
        i = 0;
        do
        :: i < THREADS -> none_free[i] = none_free[i] || n_free == 0; i++
        :: else -> break
        od;
        i = 0
}

proctype thread(byte me)
{
        byte round, t, n, index, i;

next_round:
        if
        :: round == ROUNDS -> goto finished
        :: else
        fi;
        atomic {
                round++;
                none_free[me] = (n_free == 0)
        }

        /* pool_get */
s_get_top:
#ifdef BROKEN_EMPTY
        t = 0; /* what was never handed out is all that counts */
#else
        t = top;
#endif
look:
        if
        :: EMPTY(t) -> goto s_fresh_load
        :: else
        fi;
s_get_next:
        n = next[INDEX(t)];
s_get_swap:
        atomic {
                if
                :: top == t ->
                        index = INDEX(t);
                        top = TAG(t) * 4 + n;
                        taken(index);
                        goto have
                :: else -> t = top; n = 0; goto look
                fi
        }

        /* get_fresh */
s_fresh_load:
        n = fresh;
s_fresh_swap:
        atomic {
                if
                :: n >= CAPACITY -> n = 0; goto s_get_again
#ifdef BROKEN_FRESH
                :: n < CAPACITY ->
#else
                :: n < CAPACITY && fresh != n -> n = fresh; goto s_fresh_swap
                :: n < CAPACITY && fresh == n ->
#endif
                        index = n;
                        fresh = n + 1;
                        taken(index);
                        goto have
                fi
        }
s_get_again:
#ifndef BROKEN_EMPTY
        atomic {
                t = top;
                if
                :: !EMPTY(t) -> goto look
                :: else
                fi
        }
#endif
        atomic {
                assert(none_free[me]); /* claim: none left */
                t = 0;
                goto next_round
        }

have:
        atomic { t = 0; n = 0 }
        /* pool_put */
s_put_top:
        t = top;
s_put_next:
        next[index] = t % 4;
s_put_swap:
        atomic {
                if
#ifdef BROKEN_PUT
                :: true ->
#else
                :: top != t -> t = top; goto s_put_next
                :: top == t ->
#endif
#ifdef BROKEN_TAG
                        top = TOP(TAG(t), index);
#else
                        top = TOP(TAG(t) + 1, index);
#endif
                        owned[index] = 0;
                        n_free++;
                        t = 0; index = 0;
                        goto next_round
                fi
        }
finished:
        ended++
}

init {
        byte i, t;

        atomic {
                do
                :: i < THREADS -> run thread(i); i++
                :: else -> break
                od;
                i = 0
        }
        (ended == THREADS);
        atomic {
                /* what is on the stack, and what was never handed out */
                i = CAPACITY - fresh;
                t = top % 4;
                do
                :: t != 0 -> i++; t = next[t - 1]
                :: else -> break
                od;
                assert(i == CAPACITY) /* claim: all free */
        }
}
