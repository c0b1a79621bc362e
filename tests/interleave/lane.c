/* SPDX-License-Identifier: MIT */
/*
 * Pushers and takers on a ring of two entries, so that tickets come round.
 *
 * Checked at each step: the ring's bounds.  At the end of each call: EMPTY only if there was,
 * during it, an instant at which nothing completed stood there; FULL only if there was one without
 * room.  At the end: each push that was accepted is taken once, where its place says; and what was
 * pushed before another push began is taken before it.
 */
#include "vm/lane.h"

#include <stddef.h>

#include "base/macros.h"
#include "interleave/scenes.h"

#define ITEMS    8u
#define CAPACITY 2u
#define NEVER    UINT64_MAX

static struct lane lane;
static _Atomic uint64_t entries[CAPACITY];

/* When what happened: `now` counts the calls' beginnings and ends. */
static uint64_t now;
static struct item {
        _Atomic uint64_t place;
        bool accepted;
        uint64_t began, ended; /* its push; 0: not yet, or refused */
        uint64_t taken;        /* when its take ended; NEVER: not yet */
        uint64_t taken_at;     /* place */
        uint64_t take_before;  /* its take must have begun then */
} items[ITEMS];

/* What each thread has seen since its call began. */
static bool empty_seen[STEP_THREADS_MAX], full_seen[STEP_THREADS_MAX];

static uint64_t tickets(_Atomic uint64_t *word)
{
        return atomic_load(word) & ((1ull << LANE_TICKET_BITS) - 1);
}

/* Does a completed push stand there?  An entry is cycle << 23 | index + 1. */
static bool something_stands(void)
{
        for (uint64_t t = tickets(&lane.head); t < tickets(&lane.tail); t++) {
                uint64_t entry = atomic_load(&entries[t % CAPACITY]);

                if (entry >> 23 == t / CAPACITY && (entry & 0x7fffff))
                        return true;
        }
        return false;
}

static void always(void)
{
        uint64_t head = tickets(&lane.head), tail = tickets(&lane.tail);
        uint64_t reserved = atomic_load(&lane.tail) >> LANE_TICKET_BITS;
        bool empty = !something_stands();

        STEP_CHECK(head <= tail && tail <= head + CAPACITY && reserved <= CAPACITY);
        for (uint32_t i = 0; i < STEP_THREADS_MAX; i++) {
                empty_seen[i] |= empty;
                full_seen[i] |= tail - head + reserved >= CAPACITY;
        }
}

static void setup(void)
{
        lane = (struct lane){.entries = entries, .size_log2 = 1, .capacity = CAPACITY};
        atomic_init(&lane.tail, CAPACITY);
        atomic_init(&lane.head, CAPACITY);
        atomic_init(&lane.head_seen, CAPACITY);
        for (uint32_t i = 0; i < CAPACITY; i++)
                atomic_init(&entries[i], 0);
        now = 0;
        for (uint32_t i = 0; i < ITEMS; i++)
                items[i] = (struct item){.taken = NEVER, .take_before = NEVER};
}

static void begin_call(void)
{
        uint32_t me = step_self();

        if (me == UINT32_MAX)
                return;
        empty_seen[me] = full_seen[me] = false;
        always();
}

static bool push_at(struct lane *on, uint32_t index, _Atomic uint64_t *place)
{
        do {
                if (!lane_draw(on, place))
                        return false;
        } while (!lane_fill(on, index, atomic_load(place)));
        return true;
}

static void push(uint32_t i)
{
        items[i].began = ++now;
        begin_call();
        items[i].accepted = push_at(&lane, i, &items[i].place);
        always();
        STEP_CHECK(items[i].accepted || full_seen[step_self()]);
        items[i].ended = items[i].accepted ? ++now : 0;
}

/* What had been pushed before the push of this one began has been taken, or some taker is about to
 * return it. */
static void check_order(const struct item *item)
{
        for (uint32_t i = 0; i < ITEMS; i++)
                if (items[i].ended && items[i].ended < item->began && items[i].taken == NEVER)
                        items[i].take_before = item->taken;
}

static bool take(void)
{
        uint64_t began = ++now, place;
        struct item *item;
        uint32_t i;

        begin_call();
        if (!lane_take(&lane, &i, &place)) {
                always();
                STEP_CHECK(step_self() == UINT32_MAX || empty_seen[step_self()]);
                return false;
        }
        STEP_CHECK(i < ITEMS);
        item = &items[i];
        STEP_CHECK(item->taken == NEVER);
        STEP_CHECK(atomic_load(&item->place) == place);
        STEP_CHECK(began < item->take_before);
        item->taken = ++now;
        item->taken_at = place;
        check_order(item);
        return true;
}

static void check(void)
{
        while (take())
                ;
        for (uint32_t i = 0; i < ITEMS; i++) {
                STEP_CHECK(items[i].accepted == (items[i].taken != NEVER));
                for (uint32_t k = 0; k < ITEMS && items[i].accepted; k++)
                        STEP_CHECK(!items[k].accepted || items[k].ended > items[i].began ||
                                   items[k].taken_at < items[i].taken_at);
        }
        STEP_CHECK(tickets(&lane.head) == tickets(&lane.tail));
        STEP_CHECK(atomic_load(&lane.tail) >> LANE_TICKET_BITS == 0);
}

static void push_0(void)
{
        push(0);
}

static void push_0_1(void)
{
        push(0);
        push(1);
}

static void push_2(void)
{
        push(2);
}

static void push_0_to_3(void)
{
        for (uint32_t i = 0; i < 4; i++)
                push(i);
}

static void take_2(void)
{
        (void)take();
        (void)take();
}

static void take_3(void)
{
        take_2();
        (void)take();
}

/* As an EMT asks: a look that says no must be as true as EMPTY. */
static void look_and_take(void)
{
        for (uint32_t i = 0; i < 2; i++) {
                begin_call();
                if (lane_pending(&lane)) {
                        (void)take();
                } else {
                        always();
                        STEP_CHECK(empty_seen[step_self()]);
                }
        }
}

/* A broadcast: sets two places aside, is refused elsewhere for one, pushes the other. */
static void push_reserved_4(void)
{
        begin_call();
        if (!lane_reserve(&lane)) {
                always();
                STEP_CHECK(full_seen[step_self()]);
                return;
        }
        if (lane_reserve(&lane))
                lane_unreserve(&lane);
        items[4].began = ++now;
        items[4].accepted = true;
        lane_push_reserved(&lane, 4, &items[4].place);
        items[4].ended = ++now;
}

const struct step_scene lane_scenes[] = {
        {.name = "lane-order",
         .preemptions = 3,
         .setup = setup,
         .threads = {push_0_1, push_2, take_3},
         .always = always,
         .check = check},
        {.name = "lane-wrap",
         .preemptions = 3,
         .setup = setup,
         .threads = {push_0_to_3, take_3, take_2},
         .always = always,
         .check = check},
        {.name = "lane-hole",
         .preemptions = 3,
         .setup = setup,
         .threads = {push_0, push_2, take_2},
         .always = always,
         .check = check},
        {.name = "lane-pending",
         .preemptions = 3,
         .setup = setup,
         .threads = {push_0, push_2, look_and_take},
         .always = always,
         .check = check},
        {.name = "lane-reserved",
         .preemptions = 3,
         .setup = setup,
         .threads = {push_reserved_4, push_0_1, take_2},
         .always = always,
         .check = check},
        {.name = NULL},
};
