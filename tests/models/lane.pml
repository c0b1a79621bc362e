/* SPDX-License-Identifier: MIT */
/*
 * The ring of a lane: pushers and takers on tickets, cycles and POISON.
 *
 * C: daemon/vm/lane.c
 * C: daemon/vm/lane.h
 *
 * Each label s_NAME stands where the C has VM_STEP(NAME): before the one access to shared memory that follows.
 *
 * Checked, as assertions at the step concerned:
 *   - what is taken was pushed, once, and is taken once; when all is quiet nothing completed is left behind;
 *   - first-in first-out by take: before[B] is what had been pushed, and returned, when push B began; at the
 *     take of B all of it has been taken;
 *   - EMPTY, and "nothing pending", are answered only at an instant at which no completed push stands;
 *   - FULL is answered only if there was, during the push, an instant without room;
 *   - head <= tail <= head + CAPACITY; the place in the packet is the ticket it is taken at;
 *   - with STOP, a pusher that stops for ever with a ticket in its hand blocks no taker: takers that would wait for it are
 *     an invalid end state.
 *
 * Bounds: ITEMS0 + (PUSHERS - 1) x ITEMS pushes, POISONS holes given up on while their pusher still lives (a stopped one's hole is
 * always given up on; without that bound tickets would grow for ever).  A weak swap's spurious failure is the same as
 * another turn of its loop and is left out; so is the high-water mark, which nothing hangs on.  With ASK a pusher asks
 * lane_full first.
 *
 * Good:   -DITEMS0=1 -DITEMS=2 -DPOISONS=0 -DNO_PENDING
 * Good:   -DPUSHERS=3 -DITEMS=1 -DTAKERS=1 -DPOISONS=1 -DNO_PENDING
 * Good:   -DITEMS0=1 -DTAKERS=1 -DSTOP
 * Good:   -DITEMS=1 -DPOISONS=1
 * Good:   -DITEMS=1 -DPOISONS=1 -DSTOP -DNO_PENDING
 * Good:   -DITEMS=1 -DSIZE=1 -DCAPACITY=1 -DPOISONS=1 -DNO_PENDING
 * Good:   -DPUSHERS=1 -DITEMS=3
 * Good:   -DRESERVE -DITEMS0=1 -DTAKERS=1
 * Good:   -DRESERVE -DITEMS=1 -DPOISONS=1 -DNO_PENDING
 * Good:   -DASK -DITEMS=1 -DTAKERS=1 -DPOISONS=1 -DSIZE=1 -DCAPACITY=1 -DNO_PENDING
 * Broken: -DITEMS0=1 -DTAKERS=1 -DBROKEN_LAP: empty
 * Broken: -DITEMS=1 -DTAKERS=1 -DBROKEN_EMPTY: empty
 * Broken: -DITEMS=1 -DTAKERS=1 -DBROKEN_HIDDEN: empty
 * Broken: -DITEMS=1 -DTAKERS=1 -DBROKEN_FILL: empty
 * Broken: -DITEMS=1 -DTAKERS=1 -DSTOP -DBROKEN_WAIT: blocked at s_hole_look
 * Broken: -DITEMS=1 -DTAKERS=1 -DSIZE=1 -DCAPACITY=1 -DBROKEN_ROOM: bounds
 * Broken: -DITEMS=1 -DTAKERS=1 -DSIZE=1 -DCAPACITY=1 -DBROKEN_STALE: full
 * Broken: -DITEMS=1 -DPOISONS=1 -DNO_PENDING -DBROKEN_SWAP: once
 * Broken: -DITEMS=1 -DTAKERS=1 -DNO_PENDING -DBROKEN_PASS_BY: fifo
 * Broken: -DITEMS=1 -DTAKERS=1 -DBROKEN_PLACE: place
 * Broken: -DITEMS=1 -DTAKERS=1 -DRESERVE -DBROKEN_KEEP: nothing left
 */
#ifndef PUSHERS
#define PUSHERS 2
#endif
#ifndef TAKERS
#define TAKERS 2
#endif
#ifndef ITEMS
#define ITEMS 2 /* of a pusher */
#endif
#ifndef ITEMS0
#define ITEMS0 ITEMS /* of the first one */
#endif
#ifndef SIZE
#define SIZE 2
#endif
#ifndef CAPACITY
#define CAPACITY 2
#endif
#ifndef POISONS
#define POISONS 2
#endif

/* The last pusher pushes into places that it has reserved. */
#ifdef RESERVE
#define RESERVES(p) ((p) == PUSHERS - 1)
#else
#define RESERVES(p) (false)
#endif

#define SLOT(ticket) ((ticket) % SIZE)
#define CYCLE(ticket) ((ticket) / SIZE)
#define ENTRY(ticket, what) (CYCLE(ticket) * 8 + (what))
#define ENTRY_CYCLE(value) ((value) / 8)
#define ENTRY_WHAT(value) ((value) % 8) /* item + 1; 0 is POISON */
#define BIT(item) (1 << (item))

/* the lane; tail's two halves are one word, always changed and compared together */
byte tail = SIZE, reserved, head = SIZE, head_seen = SIZE;
byte entry[SIZE];
byte place[PUSHERS * ITEMS];

/* what only the checker sees */
byte before[PUSHERS * ITEMS]; /* items whose push had returned when this one's began */
byte returned, taken, filled, refused;
byte completed; /* filled, not taken */
byte over;      /* pushers that have ended or stopped */
byte poisons, takers_over, stop_ticket;

#define FULL_NOW (tail - head + reserved >= CAPACITY)
#define ROOM(h) (w_tail >= h && w_tail - h + w_reserved < CAPACITY)
#define BOUNDED (head <= tail && tail <= head + CAPACITY)

proctype pusher(byte me)
{
        byte n, item, w_tail, w_reserved, h, ticket, old;
        bit no_room, reserving, asking;

next:
        if
        :: n == (me == 0 -> ITEMS0 : ITEMS) -> goto finished
        :: else
        fi;
        d_step {
                item = me * ITEMS + n;
                n++;
                before[item] = returned;
                reserving = RESERVES(me)
        }

#ifdef ASK
        /* lane_full */
        asking = !reserving;
        if
        :: !asking -> goto s_tail_load
        :: else
        fi;
s_full_load:
        atomic {
                w_tail = tail;
                w_reserved = reserved;
                no_room = FULL_NOW;
                goto s_room_seen
        }
#endif

        /* tail_take */
s_tail_load:
        atomic {
                w_tail = tail;
                w_reserved = reserved;
                no_room = FULL_NOW
        }

        /* is_full */
s_room_seen:
        atomic {
                h = head_seen;
                if
                :: ROOM(h) -> goto room
                :: else
                fi
        }
s_room_head:
#ifndef BROKEN_STALE
        h = head;
#else
        skip; /* an old head passes for the head */
#endif
s_room_store:
        atomic {
                head_seen = h;
                if
                :: w_tail < h || ROOM(h) -> goto room
#ifdef BROKEN_ROOM
                :: w_tail >= h && w_tail - h + w_reserved == CAPACITY -> goto room
#endif
                :: else
                fi
        }
s_tail_again:
        atomic {
                if
                :: tail == w_tail && reserved == w_reserved ->
                        assert(no_room); /* claim: full */
                        refused = refused | BIT(item);
                        goto next
                :: else ->
                        w_tail = tail;
                        w_reserved = reserved;
                        no_room = no_room || FULL_NOW;
                        goto s_room_seen
                fi
        }
room:
#ifdef ASK
        if
        :: asking -> asking = 0; goto s_tail_load
        :: else
        fi;
#endif
s_tail_swap:
        atomic {
                if
                :: tail == w_tail && reserved == w_reserved && reserving ->
                        reserved++;
                        if
                        :: goto s_tail_add
#ifdef BROKEN_KEEP
                        :: goto next /* refused elsewhere, and the place is not given back */
#else
                        :: goto s_tail_unreserve /* the broadcast was refused elsewhere */
#endif
                        fi
                :: tail == w_tail && reserved == w_reserved && !reserving ->
                        ticket = tail;
                        tail++;
                        assert(BOUNDED); /* claim: bounds */
                        goto drawn
                :: else ->
                        w_tail = tail;
                        w_reserved = reserved;
                        no_room = no_room || FULL_NOW;
                        goto s_room_seen
                fi
        }

        /* lane_push_reserved */
s_tail_add:
        atomic {
                ticket = tail;
                tail++;
                assert(BOUNDED) /* claim: bounds */
        }

drawn:
#ifdef STOP
        if
        :: me == 0 -> goto stop
        :: true
        fi;
#endif
#ifndef BROKEN_PLACE
s_fill_place:
        place[item] = ticket;
#endif

        /* lane_fill */
s_fill_load:
        atomic {
                old = entry[SLOT(ticket)];
                if
#ifdef BROKEN_LAP
                :: ENTRY_CYCLE(old) == CYCLE(ticket) -> goto redraw
#else
                :: ENTRY_CYCLE(old) >= CYCLE(ticket) -> goto redraw
#endif
                :: else
                fi
        }
#ifdef STOP
        if
        :: me == 0 -> goto stop
        :: true
        fi;
#endif
s_fill_swap:
        atomic {
                if
#ifdef BROKEN_FILL
                :: true ->
#else
                :: entry[SLOT(ticket)] == old ->
#endif
                        entry[SLOT(ticket)] = ENTRY(ticket, item + 1);
                        assert(!(filled & BIT(item))); /* sanity */
                        filled = filled | BIT(item);
                        completed++;
                        old = 0
#ifndef BROKEN_FILL
                :: else -> goto redraw
#endif
                fi
        }
#ifdef BROKEN_PLACE
s_fill_place:
        place[item] = ticket;
#endif
        if
        :: !reserving -> goto pushed
        :: else
        fi;
s_tail_unreserve:
        reserved--;
pushed:
        atomic {
                returned = returned | (filled & BIT(item));
                w_tail = 0; w_reserved = 0; h = 0; ticket = 0; old = 0; no_room = 0
        }
        goto next;

redraw:
        if
        :: reserving -> goto s_tail_add
        :: else -> goto s_tail_load
        fi;

#ifdef STOP
stop:
        atomic {
                stop_ticket = ticket;
                over++
        }
end_stop:
        false;
#endif

finished:
        over++
}

proctype taker()
{
        byte h, value;
        bit quit;
#ifdef BROKEN_PASS_BY
        byte behind;
#endif

next:
        quit = (over == PUSHERS);

#ifndef NO_PENDING
        /* lane_pending, as an EMT asks */
s_pending_head:
        h = head;
s_pending_entry:
        atomic {
                if
                :: ENTRY_CYCLE(entry[SLOT(h)]) == CYCLE(h) -> goto s_take_head
#ifdef BROKEN_HIDDEN
                :: else -> assert(completed == 0); /* claim: empty */
                           goto s_pending_tail /* what is not written passes for nothing */
#else
                :: else
#endif
                fi
        }
s_pending_tail:
        atomic {
                if
                :: h == tail ->
                        assert(completed == 0); /* claim: empty */
                        if
                        :: quit -> goto finished
                        :: else -> h = 0; goto next
                        fi
                :: else
                fi
        }
#endif

        /* lane_take */
s_take_head:
        atomic {
                h = head;
                value = 0
        }
s_take_entry:
        atomic {
                value = entry[SLOT(h)];
                if
                :: ENTRY_CYCLE(value) == CYCLE(h) -> goto s_take_swap
                :: ENTRY_CYCLE(value) > CYCLE(h) -> goto s_take_head
                :: else
                fi
        }
#ifdef BROKEN_EMPTY
        assert(completed == 0); /* claim: empty */
        goto next;
#endif
s_take_tail:
        atomic {
                if
                :: h == tail ->
                        assert(completed == 0); /* claim: empty */
                        h = 0; value = 0;
                        if
                        :: quit -> goto finished
                        :: else -> goto next
                        fi
                :: else
                fi
        }
#ifdef BROKEN_PASS_BY
        /* the hole is left standing, and what stands behind it taken */
        atomic {
                behind = entry[SLOT(h + 1)];
                if
                :: h + 1 < tail && ENTRY_CYCLE(behind) == CYCLE(h + 1) && ENTRY_WHAT(behind) != 0 ->
                        assert((before[ENTRY_WHAT(behind) - 1] & taken) == before[ENTRY_WHAT(behind) - 1]); /* claim: fifo */
                        taken = taken | BIT(ENTRY_WHAT(behind) - 1);
                        completed--;
                        entry[SLOT(h + 1)] = ENTRY(h + 1, 0);
                        h = 0; value = 0; behind = 0;
                        goto next
                :: else -> behind = 0
                fi
        }
#endif
s_hole_look:
        atomic {
                if
                :: entry[SLOT(h)] != value -> goto s_take_head
#ifndef BROKEN_WAIT
                :: entry[SLOT(h)] == value && (poisons < POISONS || stop_ticket == h)
#endif
                fi
        }
s_hole_head:
        atomic {
                if
                :: head != h -> goto s_take_head
                :: else
                fi
        }
s_hole_poison:
        atomic {
                if
                :: entry[SLOT(h)] == value ->
                        value = ENTRY(h, 0);
                        entry[SLOT(h)] = value;
                        if
                        :: stop_ticket != h -> poisons++
                        :: else
                        fi
                :: else -> goto s_take_head
                fi
        }
s_take_swap:
        atomic {
#ifdef BROKEN_SWAP
                head = h; /* a store */
#endif
                if
                :: head != h -> goto s_take_head
                :: else
                fi;
                head++;
                assert(BOUNDED); /* claim: bounds */
                if
                :: ENTRY_WHAT(value) == 0 -> goto s_take_head
                :: else
                fi;
                assert(!(taken & BIT(ENTRY_WHAT(value) - 1))); /* claim: once */
                assert(filled & BIT(ENTRY_WHAT(value) - 1)); /* sanity */
                assert((before[ENTRY_WHAT(value) - 1] & taken) == before[ENTRY_WHAT(value) - 1]); /* claim: fifo */
                assert(place[ENTRY_WHAT(value) - 1] == h); /* claim: place */
                taken = taken | BIT(ENTRY_WHAT(value) - 1);
                completed--;
                h = 0; value = 0;
                goto next
        }

finished:
        takers_over++
}

init {
        byte i;

        atomic {
                do
                :: i < PUSHERS -> run pusher(i); i++
                :: else -> break
                od;
                i = 0;
                do
                :: i < TAKERS -> run taker(); i++
                :: else -> break
                od;
                i = 0
        }
        (takers_over == TAKERS);
        assert(completed == 0 && taken == filled && head == tail && reserved == 0) /* claim: nothing left */
}
