/* SPDX-License-Identifier: MIT */
/*
 * Sleep against wake: EMTs that halt, submitters that push and wake, for lanes of an EMT's own and for ANY.
 *
 * C: daemon/vm/event.c event_prepare event_cancel event_sleep event_wake
 * C: daemon/vm/emt.c
 *
 * Each label s_NAME stands where the C function has VM_STEP(NAME): before the one access to shared memory that
 * follows.  A look at a lane is one step (what lane.c makes of it: lane.pml).  `tickets` of a lane are drawn and not
 * passed by a take; so lane_pending is true for a push that is still under way, lane_take poisons that, and its
 * pusher draws anew.
 *
 * SUBMITTERS push one request each, to EMT 0, to EMT 1 or to ANY: each choice is walked through.  A callee may
 * stay for ever.  With MORE there is one submitter, who pushes both requests before he wakes for them, once for each
 * lane (VMREQ_MORE, vmreq_wake).  With NESTED, EMT 0 starts inside a callee that waits; what it waits for, or its time
 * limit, may come at any moment, and then it stays in that callee for ever.  With STOP, a submitter may set an EMT's
 * stop flag instead.
 *
 * Checked when nothing moves any more:
 *   - every push has returned;
 *   - no EMT sleeps while its own lane or ANY holds a request, or its stop flag is set.  So no wake-up is lost, and one
 *     that was spent on an EMT that turned to something else has been passed on.
 *
 * Good:
 * Good:   -DNESTED
 * Good:   -DSTOP
 * Good:   -DMORE
 * Good:   -DMORE -DNESTED
 * Broken: -DBROKEN_NO_RECHECK: awake
 * Broken: -DBROKEN_NO_PASS: awake
 * Broken: -DBROKEN_BIT_LATE: awake
 * Broken: -DBROKEN_BLIND_SLEEP: awake
 * Broken: -DBROKEN_WAKE_FIRST: awake
 * Broken: -DSTOP -DBROKEN_NO_RECHECK: awake
 * Broken: -DMORE -DBROKEN_LAST_LANE: awake
 * Broken: -DMORE -DBROKEN_NO_RECHECK: awake
 * Broken: -DMORE -DBROKEN_NO_PASS: awake
 * Broken: -DNESTED -DBROKEN_NO_LEAVE: awake
 * Broken: -DNESTED -DBROKEN_RELAXED: awake
 */
#define SUBMITTERS 2
#define EMTS 2
#define ANY EMTS /* its lane */
#define LANES (EMTS + 1)
#define STOPS (EMTS + 1) /* pushes nothing, stops EMT 1 */

#define AWAKE 0
#define ASLEEP 1

/* where a submitter's request stands */
#define NOWHERE 0
#define DRAWN 1
#define FILLED 2
#define POISONED 3
#define TAKEN 4

/* who asks for any_pending */
#define FIRST_LOOK 0
#define LAST_LOOK 1
#define RUNS 2
#define LEAVES 3

byte stand[SUBMITTERS], lane_of[SUBMITTERS];
byte tickets[LANES];
bit stop[EMTS];

byte word[EMTS];   /* the event */
bit parked[EMTS];  /* in the futex */
#ifdef BROKEN_RELAXED
bit delayed[EMTS]; /* a store of AWAKE that others do not see yet */
#endif
byte asleep;       /* the bitmap */

bit begun;
byte returned;

/* emt_wake_one at `one`, event_wake of `e` at s_wake_look; both end at wake_done. */
#define WAKE(one)                                                             \
s_one_look:                                                                   \
        set = asleep;                                                         \
one_next:                                                                     \
        atomic {                                                              \
                if                                                            \
                :: set == 0 -> goto wake_done                                 \
                :: set & 1 -> e = 0; set = set & 2                            \
                :: set == 2 -> e = 1; set = 0                                 \
                fi                                                            \
        }                                                                     \
s_wake_look:                                                                  \
        atomic {                                                              \
                if                                                            \
                :: word[e] == ASLEEP                                          \
                :: word[e] != ASLEEP && one -> goto one_next                  \
                :: word[e] != ASLEEP && !one -> goto wake_done                \
                fi                                                            \
        }                                                                     \
s_wake_swap:                                                                  \
        atomic {                                                              \
                if                                                            \
                :: word[e] == ASLEEP -> word[e] = AWAKE                       \
                :: word[e] != ASLEEP && one -> goto one_next                  \
                :: word[e] != ASLEEP && !one -> goto wake_done                \
                fi                                                            \
        }                                                                     \
s_wake_futex:                                                                 \
        parked[e] = 0;                                                        \
wake_done:                                                                    \
        set = 0; e = 0

/* A twin does the same as the one before, and begins after it: the other way round would be the same. */
proctype submitter(byte me; byte what; bit twin)
{
        byte e, set;
        bit any;

        atomic {
                !twin || begun;
                begun = 1;
                lane_of[me] = what;
                any = (what == ANY);
                if
                :: what == STOPS -> what = 0; lane_of[me] = 0; e = 1; stop[e] = 1; goto s_wake_look
                :: else -> what = 0
                fi;
#ifdef BROKEN_WAKE_FIRST
                e = lane_of[me] % ANY;
                if
                :: any -> goto s_one_look
                :: else -> goto s_wake_look
                fi
#endif
        }
draw:
        atomic {
                stand[me] = DRAWN;
                tickets[lane_of[me]]++
        }
fill:
        atomic {
                if
                :: stand[me] == POISONED -> goto draw
                :: else -> stand[me] = FILLED
                fi;
#ifdef MORE
                if
                :: me == 0 -> me = 1; goto draw
                :: else
                fi;
wake_for:       any = (lane_of[me] == ANY);
#endif
#ifdef BROKEN_WAKE_FIRST
                goto out;
#endif
                if
                :: any -> goto s_one_look
                :: else -> e = lane_of[me]; goto s_wake_look
                fi
        }

        WAKE(any);
#ifdef MORE
        atomic {
                returned++;
#ifndef BROKEN_LAST_LANE
                if
                :: me == 1 && lane_of[0] != lane_of[1] -> me = 0; goto wake_for
                :: me == 1 && lane_of[0] == lane_of[1] -> returned++
                :: me == 0
                fi;
#else
                returned++;
#endif
                goto gone
        }
#endif
#ifdef BROKEN_WAKE_FIRST
        if
        :: stand[me] == NOWHERE -> goto draw
        :: else
        fi;
#endif
out:
        returned++;
#ifdef MORE
gone:
        skip
#endif
}

proctype emt(byte me)
{
        byte e, set, lane, tries, s, who;
        bit nested;

#ifdef NESTED
        nested = (me == 0);
#endif

        /* emt_main, and the same loop in a wait */
loop:
        atomic {
                tries = 0; who = FIRST_LOOK; s = 0;
                if
                :: stop[me] && !nested -> goto end_gone
                :: nested -> who = LEAVES; goto s_any_look /* what it waits for has come */
                :: !stop[me] || nested
                fi;
                if
                :: lane = me
                :: lane = ANY
                fi
        }
        /* emt_serve: one request, of its own lane or ANY, in either order */
serve:
        atomic {
                if
                :: tickets[lane] == 0 && tries == 0 -> lane = me + ANY - lane; tries = 1; goto serve
                :: tickets[lane] == 0 && tries == 1 -> lane = 0; tries = 0; goto halt
                :: else
                fi;
                /* lane_take */
                s = 0;
                do
                :: s < SUBMITTERS && lane_of[s] == lane && stand[s] == FILLED ->
                        stand[s] = TAKEN;
                        tickets[lane]--;
                        s = 0; lane = 0; tries = 0; who = RUNS;
                        goto s_any_look
                :: s < SUBMITTERS && !(lane_of[s] == lane && stand[s] == FILLED) -> s++
                :: s == SUBMITTERS -> break
                od;
                s = 0;
                do
                :: s < SUBMITTERS && lane_of[s] == lane && stand[s] == DRAWN ->
                        stand[s] = POISONED;
                        tickets[lane]--;
                        s++
                :: s < SUBMITTERS && !(lane_of[s] == lane && stand[s] == DRAWN) -> s++
                :: s == SUBMITTERS -> break
                od;
                s = 0;
                goto serve
        }

        /* emt_halt */
halt:
        who = FIRST_LOOK;
        goto s_work_flags;
s_halt_set:
#ifdef BROKEN_BIT_LATE
        skip;
#else
        asleep = asleep | (1 << me);
#endif
s_event_prepare:
        atomic {
                word[me] = ASLEEP;
#ifdef BROKEN_RELAXED
                asleep = asleep | (1 << me);
                delayed[me] = 0;
#endif
                who = LAST_LOOK
        }
#ifdef BROKEN_NO_RECHECK
        goto s_sleep_look;
#endif

        /* emt_has_work */
s_work_flags:
        atomic {
                if
                :: stop[me] -> goto work
                :: else
                fi
        }
s_work_own:
        atomic {
                if
                :: tickets[me] -> goto work
                :: else
                fi
        }
s_any_look:
        atomic {
                if
#ifdef BROKEN_NO_PASS
                :: who == RUNS -> goto callee
                :: tickets[ANY] && who == LEAVES -> goto s_one_look
                :: !tickets[ANY] && who == LEAVES -> goto end_gone
#elif defined(BROKEN_NO_LEAVE)
                :: tickets[ANY] && who == RUNS -> goto s_one_look
                :: !tickets[ANY] && who == RUNS -> goto callee
                :: who == LEAVES -> goto end_gone
#else
                :: tickets[ANY] && who >= RUNS -> goto s_one_look
                :: !tickets[ANY] && who == RUNS -> goto callee
                :: !tickets[ANY] && who == LEAVES -> goto end_gone
#endif
                :: tickets[ANY] && who < RUNS -> goto work
                :: !tickets[ANY] && who == FIRST_LOOK -> goto s_halt_set
                :: !tickets[ANY] && who == LAST_LOOK
                fi;
                if
                :: nested -> goto s_event_cancel /* or that, by now */
                :: true
                fi
        }

s_sleep_look:
#ifdef BROKEN_BIT_LATE
        asleep = asleep | (1 << me);
#endif
        atomic {
                if
                :: word[me] == ASLEEP
#ifdef BROKEN_RELAXED
                :: word[me] != ASLEEP -> goto s_event_cancel
#else
                :: word[me] != ASLEEP -> goto s_halt_clear
#endif
                fi
        }
s_sleep_futex:
        atomic {
                if
#ifdef BROKEN_BLIND_SLEEP
                :: parked[me] = 1
#else
                :: word[me] == ASLEEP -> parked[me] = 1
                :: word[me] != ASLEEP -> goto s_sleep_look
#endif
                fi
        }
end_parked:
        atomic {
                if
                :: !parked[me] -> goto s_sleep_look
                :: nested -> parked[me] = 0; goto s_event_cancel /* its time limit */
                fi
        }

work:
        if
        :: who == FIRST_LOOK -> goto loop
        :: else
        fi;
s_event_cancel:
#ifdef BROKEN_RELAXED
        delayed[me] = 1;
#else
        word[me] = AWAKE;
#endif
s_halt_clear:
#ifndef BROKEN_RELAXED
        asleep = asleep & ~(1 << me);
#endif
        goto loop;

        /* emt_pass_wake found something */
        WAKE(true);
        if
        :: who == LEAVES -> goto end_gone
        :: else
        fi;

        /* the callee ends, or stays */
callee:
        if
        :: goto loop
        :: true
        fi;
end_gone:
        false
}

#ifdef BROKEN_RELAXED
/* event_cancel, and the bit taken back, as stores that may become visible late: a formal reading of memory_order_relaxed. */
proctype buffer(byte e)
{
end_buffer:
        do
        :: atomic { delayed[e] -> word[e] = AWAKE; asleep = asleep & ~(1 << e); delayed[e] = 0 }
        od
}
#endif

#define MAY_SLEEP(e) (!parked[e] || (tickets[e] == 0 && !stop[e] && (tickets[ANY] == 0 || stop[0] || stop[1])))


init {
        byte first, second;

        atomic {
                select(first: 0 .. ANY);
                second = first;
#ifdef STOP
                second = STOPS;
#endif
                do
                :: second < ANY -> second++
                :: break
                od;
                run submitter(0, first, false);
#ifdef MORE
                lane_of[1] = second;
#else
                run submitter(1, second, first == second);
#endif
                first = 0; second = 0;
                run emt(0);
                run emt(1);
#ifdef BROKEN_RELAXED
                run buffer(0);
                run buffer(1);
#endif
        }
        timeout;
        assert(returned == SUBMITTERS);        /* sanity */
        assert(MAY_SLEEP(0) && MAY_SLEEP(1))   /* claim: awake */
}
