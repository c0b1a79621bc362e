/* SPDX-License-Identifier: MIT */
/*
 * The free list of a VM's packets: a stack of indices with a tag, rings into which one thread each gives back, and indices
 * that were never handed out.
 *
 * C: daemon/vm/pool.c
 *
 * Each label s_NAME stands where pool.c has VM_STEP(NAME): before the one access to shared memory that follows.
 *
 * THREADS take an index and put it back, ROUNDS times, as soon as they like; a thread that finds none goes on to its
 * next round.  Each of the first RINGS threads puts into its own ring, which has one entry only, and what does not fit onto
 * the stack, as the others do.  Which ring to look into first, and into which of the others
 * before what is fresh, is anybody's choice.  Tag, tails and heads do not wrap.
 *
 * Checked, as assertions at the step concerned:
 *   - an index has one owner at a time;
 *   - "none left" is answered only if there was, during the call, an instant at which nothing was free;
 *   - in the end everything is free again.
 *
 * Good:   -DTHREADS=3 -DROUNDS=1
 * Good:   -DTHREADS=2 -DROUNDS=3
 * Good:   -DTHREADS=3 -DROUNDS=2 -DCAPACITY=1
 * Good:   -DTHREADS=2 -DROUNDS=3 -DRINGS=1
 * Good:   -DTHREADS=2 -DROUNDS=3 -DRINGS=2
 * Good:   -DTHREADS=3 -DROUNDS=1 -DRINGS=1
 * Good:   -DTHREADS=2 -DROUNDS=3 -DRINGS=1 -DCAPACITY=1
 * Broken: -DTHREADS=3 -DROUNDS=2 -DBROKEN_TAG: all free
 * Broken: -DTHREADS=2 -DROUNDS=1 -DBROKEN_FRESH: one owner
 * Broken: -DTHREADS=1 -DROUNDS=2 -DCAPACITY=1 -DBROKEN_EMPTY: none left
 * Broken: -DTHREADS=3 -DROUNDS=2 -DRINGS=1 -DBROKEN_ONCE: none left
 * Broken: -DTHREADS=2 -DROUNDS=2 -DRINGS=1 -DCAPACITY=1 -DBROKEN_SOME: none left
 * Broken: -DTHREADS=2 -DROUNDS=2 -DBROKEN_PUT: all free
 * Broken: -DTHREADS=2 -DROUNDS=2 -DRINGS=1 -DBROKEN_OVER: one owner
 * Broken: -DTHREADS=2 -DROUNDS=2 -DRINGS=1 -DBROKEN_TAIL: one owner
 */
#ifndef CAPACITY
#define CAPACITY 2
#endif
#ifndef RINGS
#define RINGS 0
#endif

#define TOP(tag, index) ((tag) * 4 + (index) + 1)
#define TAG(top) ((top) / 4)
#define INDEX(top) ((top) % 4 - 1)
#define EMPTY(top) ((top) % 4 == 0)

/* a ring's head: the tail as last seen, and how many were taken */
#define HEAD(seen, taken) ((seen) * 16 + (taken))
#define SEEN(head) ((head) / 16)
#define TAKEN(head) ((head) % 16)

byte top, fresh;
byte next[CAPACITY]; /* index + 1 */
byte tail[RINGS + 1], head[RINGS + 1], entry[RINGS + 1];

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
        byte round, t, n, index, i, ring, hint, puts, again;
        bit counted, first, all;

next_round:
        if
        :: round == ROUNDS -> goto finished
        :: else
        fi;
        atomic {
                round++;
                counted = 0;
                none_free[me] = (n_free == 0);
                hint = 0;
                do
                :: hint < RINGS -> hint++
                :: break
                od
        }

        /* pool_get: one ring, the stack, some of the other rings, the fresh ones, all other rings */
look:
        atomic {
                ring = hint;
                if
                :: ring < RINGS -> first = 1
                :: else -> goto s_get_top
                fi
        }
s_ring_head:
        t = head[ring];
ring_look:
        if
        :: TAKEN(t) == SEEN(t)
        :: else -> n = SEEN(t); goto s_ring_entry
        fi;
s_ring_tail:
        atomic {
                n = tail[ring];
                if
                :: n == TAKEN(t) ->
                        t = 0; n = 0;
                        if
                        :: first -> goto s_get_top
                        :: else -> ring++; goto others
                        fi
                :: else
                fi
        }
s_ring_entry:
        index = entry[ring];
s_ring_swap:
        atomic {
                if
                :: head[ring] == t ->
                        head[ring] = HEAD(n, TAKEN(t) + 1);
                        taken(index);
                        goto have
                :: else -> t = head[ring]; n = 0; index = 0; goto ring_look
                fi
        }

        /* stack_get */
s_get_top:
#ifdef BROKEN_EMPTY
        t = 0; /* what was never handed out is all that counts */
#else
        t = top;
#endif
stack_look:
        if
        :: EMPTY(t) -> t = 0; ring = 0; first = 0; all = 0; goto others
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
                :: else -> t = top; n = 0; goto stack_look
                fi
        }

others:
        if
        :: ring < RINGS && ring == hint -> ring++; goto others
        :: ring < RINGS && ring != hint && !all -> ring++; goto others /* not into this one yet */
        :: ring < RINGS && ring != hint -> goto s_ring_head
        :: ring >= RINGS && all -> goto none
        :: ring >= RINGS && !all
        fi;

        /* get_fresh */
s_fresh_load:
        n = fresh;
s_fresh_swap:
        atomic {
                if
        #ifdef BROKEN_SOME
                :: n >= CAPACITY -> n = 0; goto none
#else
                :: n >= CAPACITY -> n = 0; ring = 0; all = 1; goto others
#endif
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

none:
        /* count_puts: again until it is what it was */
#if defined(BROKEN_ONCE) || defined(BROKEN_EMPTY)
        goto none_left;
#endif
s_puts_top:
        atomic {
                again = TAG(top);
                ring = 0
        }
count:
        if
        :: ring == RINGS -> goto count_done
        :: else
        fi;
s_puts_tail:
        atomic {
                again = again + tail[ring];
                ring++;
                goto count
        }
count_done:
        atomic {
                if
                :: counted && again == puts -> again = 0
                :: counted && again != puts -> counted = 0; again = 0; puts = 0; goto s_puts_top
                :: !counted -> counted = 1; puts = again; again = 0; goto look
                fi
        }
none_left:
        atomic {
                assert(none_free[me]); /* claim: none left */
                t = 0; puts = 0; ring = 0; hint = 0; all = 0;
                goto next_round
        }

have:
        atomic {
                t = 0; n = 0; ring = 0; hint = 0; puts = 0; again = 0; counted = 0; first = 0; all = 0;
                if
                :: me < RINGS -> n = tail[me] /* nobody else writes it */
                :: else -> goto s_put_top
                fi
        }
        /* ring_put */
s_put_head:
        atomic {
                t = head[me];
#ifndef BROKEN_OVER
                if
                :: n - TAKEN(t) >= 1 -> goto s_put_top
                :: else
                fi
#endif
        }
#ifdef BROKEN_TAIL
        goto s_put_tail; /* moved before the entry is there */
#endif
s_put_entry:
        entry[me] = index;
#ifdef BROKEN_TAIL
        goto put_done;
#endif
s_put_tail:
        atomic {
                tail[me] = n + 1;
                owned[index] = 0;
                n_free++;
#ifdef BROKEN_TAIL
                goto s_put_entry
#endif
        }
put_done:
        atomic {
                t = 0; n = 0; index = 0;
                goto next_round
        }

        /* stack_put */
s_put_top:
        atomic { n = 0; t = top }
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
                /* what is in the rings, on the stack, and what was never handed out */
                t = 0;
                i = CAPACITY - fresh;
                do
                :: t < RINGS -> i = i + tail[t] - TAKEN(head[t]); t++
                :: else -> break
                od;
                t = top % 4;
                do
                :: t != 0 -> i++; t = next[t - 1]
                :: else -> break
                od;
                assert(i == CAPACITY) /* claim: all free */
        }
}
