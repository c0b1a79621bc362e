/* SPDX-License-Identifier: MIT */
/*
 * The deadline service: submitters that note due times, the lower bound `earliest`, and a service that scans, sleeps
 * until the next one, and is woken if it fell.
 *
 * C: daemon/vm/deadline.c deadline_set
 *
 * The label s_due_set stands where the C has VM_STEP(due_set); the other labels name the functions of deadline.c whose
 * access to shared memory follows, which have no marks.
 *
 * SUBMITTERS note one due time each, 1 or 2, at any moment, and queue their request after that, or are refused and
 * clear what they noted.  The service's thread is started by the first who lowers `earliest`.  Time goes on to END, as
 * fast or as slowly as it likes.  What an expiry does to a packet is fate.pml's; here it clears the due time of one that
 * is queued.  One that is not queued yet comes due again a moment later.  Lazy pokes take the same way (kick.pml).
 *
 * Checked when nothing moves any more, and all due times have passed: none is left, so the service did not sleep through
 * one.
 *
 * Good:
 * Broken: -DBROKEN_LOOK_FIRST: due
 * Broken: -DBROKEN_RESET_LATE: due
 * Broken: -DBROKEN_WORD_LATE: due
 * Broken: -DBROKEN_NO_WAKE: due
 * Broken: -DBROKEN_NO_BUMP: due
 * Broken: -DBROKEN_FORGET: due
 */
#ifndef SUBMITTERS
#define SUBMITTERS 2
#endif
#ifndef END
#define END 3
#endif
#define NEVER 15

byte due[SUBMITTERS];
bit queued[SUBMITTERS];
byte earliest = NEVER;
byte word;
bit asleep;
byte now;
bit started;

proctype submitter(byte me)
{
        byte d, old;

        if
        :: d = 1
        :: d = 2
        fi;
#ifdef BROKEN_LOOK_FIRST
        old = earliest;
#endif
s_due_set:
        due[me] = d;
#ifndef BROKEN_LOOK_FIRST
lower_look:
        old = earliest;
#endif
lower_swap:
        atomic {
                if
                :: d >= old -> goto armed
                :: d < old && earliest != old -> old = earliest; goto lower_swap
                :: d < old && earliest == old -> earliest = d
                fi
        }
service_wake_start:
        started = 1;
#ifndef BROKEN_NO_BUMP
service_wake_bump:
        word = (word + 1) % 8;
#endif
#ifndef BROKEN_NO_WAKE
service_wake_futex:
        asleep = 0;
#endif
armed:
        atomic {
                if
                :: queued[me] = 1
                :: due[me] = 0 /* refused */
                fi
        }
}

proctype service()
{
        byte w, i, d, t, left, old;

end_not_started:
        started;
turn:
        atomic { left = NEVER; i = 0; d = 0; old = 0 }
#ifndef BROKEN_WORD_LATE
service_main_word:
        w = word;
#endif
service_main_now:
        t = now;
#ifndef BROKEN_RESET_LATE
service_turn_reset:
        earliest = NEVER;
#endif
service_turn_scan:
        atomic {
                if
                :: i == SUBMITTERS -> goto scanned
                :: else -> d = due[i]
                fi;
                if
                :: d == 0 || d > t -> goto next
                :: else
                fi
        }
expire:
        atomic {
                if
                :: queued[i] -> due[i] = 0; d = 0
                :: !queued[i] ->
#ifdef BROKEN_FORGET
                        d = 0
#else
                        /* what is still there; not before time goes on, nor after its end */
                        d = due[i];
                        if
                        :: d && t < END -> d = t + 1
                        :: else
                        fi
#endif
                fi
        }
next:
        atomic {
                if
                :: d && d < left -> left = d
                :: else
                fi;
                i++;
                goto service_turn_scan
        }
scanned:
#ifdef BROKEN_RESET_LATE
        earliest = NEVER;
#endif
lower_look:
        old = earliest;
lower_swap:
        atomic {
                if
                :: left >= old
                :: left < old && earliest != old -> old = earliest; goto lower_swap
                :: left < old && earliest == old -> earliest = left
                fi
        }
service_turn_next:
        left = earliest;
#ifdef BROKEN_WORD_LATE
        w = word;
#endif
service_main_futex:
        atomic {
                if
                :: word != w -> goto turn
                :: word == w -> asleep = 1
                fi
        }
end_asleep:
        atomic {
                !asleep || now >= left -> asleep = 0;
                goto turn
        }
}

proctype clock()
{
        do
        :: now < END -> now++
        :: now == END -> break
        od
}

init {
        byte i;

        atomic {
                do
                :: i < SUBMITTERS -> run submitter(i); i++
                :: else -> break
                od;
                run service();
                run clock();
                i = 0
        }
        timeout;
        atomic {
                do
                :: i < SUBMITTERS -> assert(due[i] == 0); i++ /* claim: due */
                :: else -> break
                od
        }
}
