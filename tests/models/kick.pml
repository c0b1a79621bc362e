/* SPDX-License-Identifier: MIT */
/*
 * Kick against guest entry: EMTs that enter the guest, submitters that fetch them out of it.
 *
 * C: daemon/vm/event.c event_guest_prepare event_guest_leave event_in_guest event_kick
 *
 * Each label s_NAME stands where the C function has VM_STEP(NAME): before the one access to shared memory that
 * follows.  A push, a take, and a look at a lane are one step each (lane.pml); sleeping EMTs are left out (event.pml).
 *
 * The backend is KVM's way: a kick is a signal; its handler sets immediate_exit; a run with immediate_exit set returns
 * at once, and one in the guest returns when a signal comes.  The run clears it after it has left the guest.
 * A signal is handled at any moment after it was sent.
 *
 * Two EMTs; a guest leaves by itself at any moment, or never; a callee ends, or stays for ever.  Each submitter pushes
 * one request to EMT 0, EMT 1 or ANY, with POKE or without.  With LAZY, the deadline service comes at any moment after
 * a lazy poke was noted; without it lazy_poke_ms is 0.
 *
 * Checked when nothing moves any more: no EMT is in the guest while its lane or ANY holds a request with POKE - with
 * LAZY: any request.
 *
 * Good:
 * Good:   -DLAZY -DTO=0
 * Good:   -DLAZY -DTO=2
 * Broken: -DTO=0 -DBROKEN_NO_RECHECK: fetched
 * Broken: -DTO=0 -DBROKEN_NO_FLAG: fetched
 * Broken: -DTO=0 -DBROKEN_CLEAR_EARLY: fetched
 * Broken: -DTO=0 -DBROKEN_LOOK_FIRST: fetched
 * Broken: -DTO=2 -DBROKEN_NO_PASS: fetched
 * Broken: -DTO=2 -DBROKEN_PASS_LAZY: fetched
 * Broken: -DLAZY -DTO=0 -DBROKEN_SERVICE: fetched
 */
#define EMTS 2
#define ANY EMTS
#define LANES (EMTS + 1)

#define AWAKE 0
#define GUEST 2
#define KICKED 3

byte normal[LANES], poked[LANES]; /* requests that stand there */
bit poke_noted;                   /* any_poked names one that stands there */
byte word[EMTS];                  /* the event */
bit in_guest[EMTS], immediate_exit[EMTS], signal_sent[EMTS];
bit lazy[EMTS];
byte returned;
bit pushed; /* a submitter has */

#define STANDS(lane) (normal[lane] + poked[lane])

/* guest_kick or guest_lazy, for `e` alone or (one) for the first in the guest from `e` on; ends at `fetched`. */
#define FETCH(one, now)                                                        \
s_guest_look:                                                                  \
        atomic {                                                               \
                if                                                             \
                :: word[e] == GUEST && now                                     \
                :: word[e] == GUEST && !now -> goto note_lazy                  \
                :: word[e] != GUEST && one && e + 1 < EMTS -> e++; goto s_guest_look \
                :: word[e] != GUEST && !(one && e + 1 < EMTS) -> goto fetched  \
                fi                                                             \
        }                                                                      \
s_guest_swap:                                                                  \
        atomic {                                                               \
                if                                                             \
                :: word[e] == GUEST -> word[e] = KICKED                        \
                :: word[e] != GUEST && one && e + 1 < EMTS -> e++; goto s_guest_look \
                :: word[e] != GUEST && !(one && e + 1 < EMTS) -> goto fetched  \
                fi                                                             \
        }                                                                      \
        signal_sent[e] = 1;                                                    \
        goto fetched;                                                          \
note_lazy:                                                                     \
        lazy[e] = 1;                                                           \
fetched:                                                                       \
        e = 0

/* what it asks for: lane * 2 + poke.  A twin asks for the same as the one before, and pushes after it: the other way
   round would be the same. */
proctype submitter(byte lane; bit twin)
{
        byte e;
        bit poke;

        atomic {
                !twin || pushed;
                poke = lane % 2;
                lane = lane / 2;
                e = lane % ANY
        }
#ifdef BROKEN_LOOK_FIRST
        if
        :: lane != ANY && word[lane] != GUEST -> poke = poke
        :: else -> goto push
        fi;
        atomic {
                pushed = 1;
                if
                :: poke -> poked[lane]++
                :: else -> normal[lane]++
                fi
        }
        goto out;
#endif
push:
        atomic {
                pushed = 1;
                if
                :: poke -> poked[lane]++
                :: else -> normal[lane]++
                fi
        }
        /* note_poke: what has been taken meanwhile stands no more */
        atomic {
                if
                :: poke && lane == ANY -> poke_noted = (poked[ANY] > 0)
                :: else
                fi
        }
        FETCH(lane == ANY, poke);
out:
        returned++
}

proctype emt(byte me)
{
        byte e, lane;
        bit now, was_in;

loop:
        /* serve one request, or go to the guest: a look that finds nothing binds nobody */
        atomic {
                if
#ifdef BROKEN_NO_RECHECK
                :: !STANDS(me) && !STANDS(ANY) -> goto s_guest_prepare /* the only look */
#else
                :: goto s_guest_prepare
#endif
                :: STANDS(me) -> lane = me
                :: STANDS(ANY) -> lane = ANY
                fi;
                /* lane_take; which of those that stand there is open */
                if
                :: normal[lane] -> normal[lane]--
                :: poked[lane] -> poked[lane]--
                fi;
                if
                :: lane == ANY && poked[ANY] == 0 -> poke_noted = 0
                :: else
                fi;
                lane = 0
        }
        /* emt_pass_wake */
        if
        :: STANDS(ANY) == 0 -> goto callee
        :: STANDS(ANY) != 0
        fi;
        atomic {
#ifdef BROKEN_PASS_LAZY
                now = 0
#else
                now = poke_noted
#endif
        }
#ifdef BROKEN_NO_PASS
        goto callee;
#endif
        FETCH(true, now);
callee:
        atomic {
                now = 0;
                if
                :: goto loop
                :: goto end_stays
                fi
        }

s_guest_prepare:
        word[me] = GUEST;
#ifndef BROKEN_NO_RECHECK
        if
        :: STANDS(me) -> goto s_guest_leave
        :: !STANDS(me)
        fi;
        if
        :: STANDS(ANY) -> goto s_guest_leave
        :: !STANDS(ANY)
        fi;
#endif
#ifdef BROKEN_CLEAR_EARLY
        immediate_exit[me] = 0;
#endif
        /* backend.run */
        atomic {
                if
                :: immediate_exit[me] -> goto left
                :: !immediate_exit[me] -> in_guest[me] = 1 /* until a signal comes */
                :: !immediate_exit[me] -> goto left /* or it leaves by itself */
                fi
        }
end_guest:
        !in_guest[me];
left:
        atomic {
                immediate_exit[me] = 0;
                was_in = 1
        }
s_guest_leave:
        word[me] = AWAKE;
        atomic {
                if
                :: was_in -> was_in = 0; lazy[me] = 0
                :: else
                fi;
                goto loop
        }

end_stays:
        false
}

/* The kick's signal, in the EMT's thread.  In the guest it makes the run return. */
proctype handler(byte me)
{
end_handler:
        do
        :: atomic {
                signal_sent[me] ->
                signal_sent[me] = 0;
#ifndef BROKEN_NO_FLAG
                immediate_exit[me] = 1;
#endif
                in_guest[me] = 0
           }
        od
}

#ifdef LAZY
/* guest_service: one thread, which turns to any EMT that a lazy poke is noted for. */
proctype service()
{
        byte e;
        bit work;

end_service:
        atomic {
                if
                :: lazy[0]
                :: lazy[1] -> e = 1
                fi
        }
#ifdef BROKEN_SERVICE
        work = STANDS(e) || STANDS(ANY);
        lazy[e] = 0;
#else
        lazy[e] = 0;
        work = STANDS(e) || STANDS(ANY);
#endif
        atomic {
                if
                :: !work -> goto fetched
                :: work -> work = 0
                fi
        }
        FETCH(false, true);
        goto end_service
}
#endif

#ifdef LAZY
#define MAY_STAY(e) (!in_guest[e] || (STANDS(e) == 0 && STANDS(ANY) == 0))
#else
#define MAY_STAY(e) (!in_guest[e] || (poked[e] == 0 && poked[ANY] == 0))
#endif

#ifdef TO
#define FIRST (TO * 2)
#define LAST (TO * 2 + 1)
#else
#define FIRST 0
#define LAST (ANY * 2 + 1)
#endif
#ifdef LAZY
#define POKES 0
#else
#define POKES 1
#endif

init {
        byte first, second;

        atomic {
                run emt(0);
                run emt(1);
                run handler(0);
                run handler(1);
#ifdef LAZY
                run service();
#endif
                first = FIRST;
                do
                :: first + 2 - POKES <= LAST -> first = first + 2 - POKES
                :: break
                od;
                second = first;
                do
                :: second + 2 - POKES <= LAST -> second = second + 2 - POKES
                :: break
                od;
                run submitter(first, false);
                run submitter(second, first == second);
                first = 0; second = 0
        }
        timeout;
        assert(returned == 2);                /* sanity */
        assert(MAY_STAY(0) && MAY_STAY(1))    /* claim: fetched */
}
