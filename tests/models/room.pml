/* SPDX-License-Identifier: MIT */
/*
 * Waiting for room against the release of room: submitters that wait, a broadcast that takes room and gives it back, and
 * whoever frees.
 *
 * C: daemon/vm/room.c
 * C: daemon/vm/submit.c submit_when_room
 *
 * Each label s_NAME stands where the C function has VM_STEP(NAME): before the one access to shared memory that
 * follows.  Room is a number of packets, say, that can be had; to take one is a step (pool.pml, lane.pml).  A single request needs one, and
 * keeps trying for it; a broadcast needs two, takes one after the other, and gives back what it has if there is no
 * second.  A broadcast that does not wait tries once, and leaves if it fails.  An EMT that waits (it sleeps by its event word instead) is in
 * event.pml, -DNESTED.
 *
 * Checked when nothing moves any more: who still waits finds no room.
 *
 * Good:   -DSINGLES=2 -DFREED=2
 * Good:   -DSINGLES=1 -DFREED=2 -DONCE
 * Good:   -DSINGLES=1 -DFREED=3 -DBROADCAST
 * Good:   -DSINGLES=1 -DFREED=1 -DBROADCAST
 * Good:   -DSINGLES=0 -DFREED=2 -DBROADCAST -DONCE
 * Broken: -DSINGLES=1 -DFREED=1 -DBROKEN_LOOK_FIRST: room
 * Broken: -DSINGLES=1 -DFREED=1 -DBROKEN_SEEN_LATE: room
 * Broken: -DSINGLES=1 -DFREED=1 -DBROKEN_ANNOUNCE_LATE: room
 * Broken: -DSINGLES=1 -DFREED=1 -DBROKEN_NO_BUMP: room
 * Broken: -DSINGLES=1 -DFREED=1 -DBROADCAST -DBROKEN_WAKE_ONE: room
 * Broken: -DSINGLES=1 -DFREED=1 -DONCE -DBROKEN_HUSH: room
 * Broken: -DSINGLES=1 -DFREED=1 -DONCE -DBROKEN_NO_TRY: room
 */

/* Counters that are only compared for change. */
#define BUMP(c) c = (c + 1) % 16

byte free;
byte waiters;
byte room, tries;

#ifdef BROADCAST
#define N_BROADCAST 1
#else
#define N_BROADCAST 0
#endif
#ifdef ONCE
#define N_ONCE 1
#else
#define N_ONCE 0
#endif
#define N (SINGLES + N_BROADCAST + N_ONCE)

bit parked[N];
byte needs[N];

proctype submitter(byte me; byte need; bit waits)
{
        byte seen, try, has, i;
        bit gives; /* room_made is called for what a broadcast gave back */

        needs[me] = need;
        if
        :: waits
        :: !waits -> goto attempt
        fi;
#ifndef BROKEN_ANNOUNCE_LATE
s_room_announce:
        waiters++;
#endif

again:
#ifdef BROKEN_NO_TRY
        goto s_room_snapshot;
#endif
        /* room_try; alloc does it once more for a broadcast, and that is the number it keeps */
s_try_add:
        atomic {
                BUMP(tries);
                try = tries;
                if
                :: has == 255 -> has = 0; goto take
                :: else
                fi
        }
s_room_snapshot:
#ifndef BROKEN_SEEN_LATE
        seen = room;
#else
        skip;
#endif
attempt:
        if
        :: need == 2 -> has = 255; goto s_try_add
        :: need == 1
        fi;
take:
        atomic {
                if
                :: free > 0 && has + 1 == need -> free--; goto have
                :: free > 0 && has + 1 < need -> free--; has++; goto take
                :: free == 0
                fi
        }
        /* start_refused, drop_parent: hushed */
give_back:
        atomic {
                if
                :: has > 0 -> free = free + has; has = 0
                :: else -> goto wait
                fi;
#ifdef BROKEN_HUSH
                goto wait
#endif
        }
s_try_look:
        atomic {
                if
                :: tries == try -> goto wait
                :: tries != try -> gives = 1
                fi
        }

        /* room_made */
s_made_look:
        atomic {
                if
                :: waiters == 0 -> goto made
                :: waiters > 0
                fi
        }
s_made_bump:
        BUMP(room);
s_made_futex:
        atomic {
                i = 0;
                do
                :: i < N -> parked[i] = 0; i++
                :: else -> break
                od;
                i = 0
        }
made:
        gives = 0;

wait:
        try = 0;
        if
        :: waits
        :: !waits -> goto left
        fi;
#ifdef BROKEN_SEEN_LATE
        seen = room;
#endif
#ifdef BROKEN_ANNOUNCE_LATE
s_room_announce:
        waiters++;
#endif
        /* room_wait */
s_changed_look:
        atomic {
                if
                :: room != seen -> goto woken
                :: room == seen
                fi
        }
s_room_futex:
        atomic {
                if
                :: room != seen -> goto s_changed_look
                :: room == seen -> parked[me] = 1
                fi
        }
end_parked:
        atomic { !parked[me]; goto s_changed_look }
woken:
#ifdef BROKEN_ANNOUNCE_LATE
        waiters--;
#endif
        goto again;

have:
        atomic { seen = 0; try = 0; has = 0 }
#ifndef BROKEN_ANNOUNCE_LATE
        if
        :: waits -> waiters--
        :: !waits
        fi;
#endif
left:
        needs[me] = 0
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
        BUMP(room);
#endif
        atomic {
                look = 0;
                do
                :: i < N ->
#ifdef BROKEN_WAKE_ONE
                        if
                        :: parked[i] -> parked[i] = 0; break
                        :: else
                        fi;
#endif
                        parked[i] = 0;
                        i++
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
                run submitter(SINGLES + N_BROADCAST, 2, false);
#endif
#ifdef BROADCAST
                run submitter(SINGLES, 2, true);
#endif
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
