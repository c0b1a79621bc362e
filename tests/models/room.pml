/* SPDX-License-Identifier: MIT */
/*
 * Waiting for room against the release of room: submitters that wait, broadcasts that take room and give it back, and
 * whoever frees.
 *
 * C: daemon/vm/room.c
 * C: daemon/vm/submit.c submit_when_room
 *
 * Each label s_NAME stands where the C function has VM_STEP(NAME): before the one access to shared memory that
 * follows.  Room is a number of packets, say, that can be had; to take one is a step (pool.pml, lane.pml).  A single
 * request needs one.  A broadcast needs two, takes one after the other, and gives back what it has if there is no second
 * one; it waits for room, or tries once (ONCE).  An EMT that waits sleeps by its event word instead: event.pml, -DNESTED.
 *
 * Checked when nothing moves any more: who still waits finds no room.
 *
 * Not excluded: two broadcasts whose tries overlap, and overlap again, keep each other awake for as long as they do.
 *
 * Good:   -DSINGLES=1 -DBROADCASTS=1 -DFREED=1
 * Good:   -DSINGLES=1 -DBROADCASTS=1 -DFREED=2
 * Good:   -DSINGLES=2 -DFREED=2
 * Good:   -DSINGLES=1 -DONCE -DFREED=2
 * Good:   -DBROADCASTS=1 -DONCE -DFREED=2
 * Good:   -DBROADCASTS=2 -DFREED=1
 * Broken: -DSINGLES=1 -DFREED=1 -DBROKEN_LOOK_FIRST: room
 * Broken: -DSINGLES=1 -DFREED=1 -DBROKEN_SEEN_LATE: room
 * Broken: -DSINGLES=1 -DFREED=1 -DBROKEN_ANNOUNCE_LATE: room
 * Broken: -DSINGLES=1 -DFREED=1 -DBROKEN_NO_BUMP: room
 * Broken: -DSINGLES=1 -DBROADCASTS=1 -DFREED=1 -DBROKEN_WAKE_ONE: room
 * Broken: -DSINGLES=1 -DONCE -DFREED=1 -DBROKEN_HUSH: room
 * Broken: -DSINGLES=1 -DONCE -DFREED=1 -DBROKEN_UNDER_WAY: room
 * Broken: -DSINGLES=1 -DONCE -DFREED=1 -DBROKEN_FAILED: room
 */
#ifndef SINGLES
#define SINGLES 0
#endif
#ifndef BROADCASTS
#define BROADCASTS 0
#endif
#ifdef ONCE
#define N_ONCE 1
#else
#define N_ONCE 0
#endif
#define N (SINGLES + BROADCASTS + N_ONCE)

/* Counters that are only compared for change. */
#define MORE(c) ((c + 1) % 16)

byte free;
byte waiters;
byte room;
byte failed, under_way; /* one word */

bit parked[N];

/* what only the checker sees */
byte needs[N];

proctype submitter(byte me; byte need; bit waits)
{
        byte seen, f, has, bumps, i;

        needs[me] = need;
        if
        :: waits
        :: !waits -> goto attempt
        fi;
#ifndef BROKEN_ANNOUNCE_LATE
s_room_announce:
        waiters++;
#endif

        /* room_try */
s_try_begin:
        atomic {
                bumps = 0;
                under_way++
        }
s_try_snapshot:
#ifdef BROKEN_SEEN_LATE
        skip;
#else
        seen = room;
#endif

        /* submit_try: a broadcast's alloc notes what has failed; then it takes */
attempt:
        if
        :: need == 1 -> goto take
        :: need == 2
        fi;
s_failed_look:
        f = failed;
take:
        atomic {
                if
                :: free > 0 && has + 1 == need -> free--; has = need; goto s_try_end
                :: free > 0 && has + 1 < need -> free--; has++; goto take
                :: free == 0 && has > 0
                :: free == 0 && has == 0 && need == 2 -> goto s_tried_look
                :: free == 0 && has == 0 && need == 1 -> goto s_try_end
                fi
        }
        /* start_refused, drop_parent: given back silently */
        atomic {
                free = free + has;
                has = 0
        }

        /* room_tried */
s_tried_look:
        atomic {
                if
#ifdef BROKEN_HUSH
                :: goto s_try_end
#elif defined(BROKEN_UNDER_WAY)
                :: failed != f
                :: failed == f -> goto s_try_end
#elif defined(BROKEN_FAILED)
                :: under_way > waits
                :: under_way == waits -> goto s_try_end
#else
                :: failed != f || under_way > waits
                :: failed == f && under_way == waits -> goto s_try_end
#endif
                fi
        }

        /* room_made */
s_made_look:
        if
        :: waiters == 0 -> goto s_try_end
        :: waiters > 0
        fi;
s_made_bump:
        atomic {
                room = MORE(room);
                bumps++
        }
s_made_futex:
        atomic {
                i = 0;
                do
                :: i < N -> parked[i] = 0; i++
                :: else -> break
                od;
                i = 0
        }

        /* room_try_end; who tried once has no such try */
s_try_end:
        atomic {
                f = 0;
                if
                :: !waits -> has = 0; needs[me] = 0; goto left
                :: waits && has == need -> under_way--; goto have
                :: waits && has == 0 ->
                        under_way--;
                        failed = MORE(failed);
                        seen = (seen + bumps) % 16;
                        bumps = 0
                fi
        }
#ifdef BROKEN_SEEN_LATE
        seen = room;
#endif
#ifdef BROKEN_ANNOUNCE_LATE
s_room_announce:
        waiters++;
#endif

        /* room_wait */
s_changed_look:
        if
        :: room != seen -> goto woken
        :: room == seen
        fi;
s_room_futex:
        atomic {
                if
                :: room != seen -> goto s_changed_look
                :: room == seen -> parked[me] = 1
                fi
        }
end_parked:
        atomic { !parked[me] -> goto s_changed_look }
woken:
#ifdef BROKEN_ANNOUNCE_LATE
        waiters--;
#endif
        goto s_try_begin;

have:
#ifndef BROKEN_ANNOUNCE_LATE
        waiters--;
#endif
        atomic { has = 0; seen = 0; bumps = 0; needs[me] = 0 }
left:
        skip
}

/* Frees one, and calls room_made. */
proctype freer()
{
        byte i;
        bit look;

#ifdef BROKEN_LOOK_FIRST
        look = (waiters > 0);
        free++;
#else
        free++;
        look = (waiters > 0);
#endif
        if
        :: !look -> goto done
        :: look
        fi;
#ifndef BROKEN_NO_BUMP
        room = MORE(room);
#endif
        atomic {
                look = 0;
                i = N;
                do
                :: i > 0 ->
                        i--;
#ifdef BROKEN_WAKE_ONE
                        if
                        :: parked[i] -> parked[i] = 0; break
                        :: else
                        fi;
#endif
                        parked[i] = 0
                :: else -> break
                od;
                i = 0
        }
done:
        skip
}

#define MAY_WAIT(w) (!parked[w] || free < needs[w])

init {
        byte i;

        atomic {
#ifdef ONCE
                run submitter(SINGLES + BROADCASTS, 2, false);
#endif
                i = SINGLES;
                do
                :: i < SINGLES + BROADCASTS -> run submitter(i, 2, true); i++
                :: else -> break
                od;
                i = 0;
                do
                :: i < SINGLES -> run submitter(i, 1, true); i++
                :: else -> break
                od;
                i = 0;
                do
                :: i < FREED -> run freer(); i++
                :: else -> break
                od;
                i = 0
        }
        timeout;
        do
        :: i < N ->
                assert(MAY_WAIT(i)); /* claim: room */
                i++
        :: else -> break
        od
}
