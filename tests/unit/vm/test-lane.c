/* SPDX-License-Identifier: MIT */
/*
 * The lane alone: order, bounds, reservations, holes left by preempted pushers, laps, and many
 * threads at once.  A test can be a pusher that is preempted between its two steps.
 */
#include "lib/engine.h"

static void new_lane(struct lane *lane, uint32_t capacity)
{
        memset(lane, 0, sizeof(*lane));
        assert_int_equal(lane_init(lane, capacity, 3), 0);
}

static bool push_at(struct lane *lane, uint32_t index, _Atomic uint64_t *place)
{
        do {
                if (!lane_draw(lane, place))
                        return false;
        } while (!lane_fill(lane, index, atomic_load(place)));
        return true;
}

static bool push(struct lane *lane, uint32_t index)
{
        _Atomic uint64_t place = 0;
        bool pushed = push_at(lane, index, &place);

        if (pushed)
                assert_int_equal(place >> LANE_TICKET_BITS, 3);
        return pushed;
}

static void assert_take(struct lane *lane, uint32_t index)
{
        uint32_t got;
        uint64_t place;

        assert_true(lane_take(lane, &got, &place));
        assert_int_equal(got, index);
        assert_int_equal(place >> LANE_TICKET_BITS, 3);
}

static void assert_empty(struct lane *lane)
{
        uint32_t got;
        uint64_t place;

        assert_false(lane_take(lane, &got, &place));
        assert_false(lane_pending(lane));
        assert_int_equal(lane_depth(lane), 0);
}

static void test_fifo(void **state)
{
        struct lane lane;
        _Atomic uint64_t places[100];

        (void)state;
        new_lane(&lane, 100);
        assert_empty(&lane);
        for (uint32_t i = 0; i < 100; i++) {
                assert_true(push_at(&lane, 1000 - i, &places[i]));
                assert_true(lane_pending(&lane));
                assert_int_equal(lane_depth(&lane), i + 1);
        }
        for (uint32_t i = 0; i < 100; i++) {
                uint32_t index;
                uint64_t place;

                assert_true(lane_take(&lane, &index, &place));
                assert_int_equal(index, 1000 - i);
                assert_int_equal(place, places[i]);
                assert_int_equal(lane_take_seq(&lane, place), i + 1);
        }
        assert_empty(&lane);
        assert_int_equal(lane.high_water, 100);
        lane_deinit(&lane);
}

static void test_index_extremes(void **state)
{
        struct lane lane;

        (void)state;
        new_lane(&lane, 2);
        assert_true(push(&lane, 0));
        assert_true(push(&lane, VMREQ_SLAB_MAX - 1));
        assert_take(&lane, 0);
        assert_take(&lane, VMREQ_SLAB_MAX - 1);
        lane_deinit(&lane);
}

static void test_bound(void **state)
{
        static const uint32_t capacities[] = {1, 3, 2047, 2048, 2049, 4096};

        (void)state;
        for (size_t c = 0; c < ARRAY_SIZE(capacities); c++) {
                struct lane lane;

                new_lane(&lane, capacities[c]);
                for (uint32_t i = 0; i < capacities[c]; i++)
                        assert_true(push(&lane, i));
                assert_false(push(&lane, 9));
                assert_int_equal(lane_depth(&lane), capacities[c]);
                assert_take(&lane, 0);
                assert_true(push(&lane, capacities[c]));
                assert_false(push(&lane, 9));
                for (uint32_t i = 1; i <= capacities[c]; i++)
                        assert_take(&lane, i);
                assert_empty(&lane);
                lane_deinit(&lane);
        }
}

static void test_laps(void **state)
{
        static const uint32_t capacities[] = {1, 3, 2048};

        (void)state;
        for (size_t c = 0; c < ARRAY_SIZE(capacities); c++) {
                struct lane lane;
                uint32_t in = 0, out = 0;

                new_lane(&lane, capacities[c]);
                /* Nearly full all the while, past the end of the ring several times. */
                while (out < 5 * 2048 + 7) {
                        while (push(&lane, in))
                                in++;
                        assert_int_equal(in - out, capacities[c]);
                        for (uint32_t n = capacities[c] / 2 + 1; n--;)
                                assert_take(&lane, out++);
                }
                while (out < in)
                        assert_take(&lane, out++);
                assert_empty(&lane);
                lane_deinit(&lane);
        }
}

static void test_reserve(void **state)
{
        struct lane lane;
        _Atomic uint64_t place;

        (void)state;
        new_lane(&lane, 4);
        assert_true(lane_reserve(&lane));
        assert_true(lane_reserve(&lane));
        assert_int_equal(lane_depth(&lane), 0);
        assert_false(lane_pending(&lane));
        assert_true(push(&lane, 1));
        assert_true(push(&lane, 2));
        /* Two stand, two are set aside: full for both kinds. */
        assert_false(push(&lane, 3));
        assert_false(lane_reserve(&lane));
        lane_push_reserved(&lane, 3, &place);
        assert_int_equal(lane_depth(&lane), 3);
        assert_false(push(&lane, 9));
        lane_unreserve(&lane);
        assert_true(push(&lane, 4));
        assert_false(push(&lane, 9));
        for (uint32_t i = 1; i <= 4; i++)
                assert_take(&lane, i);
        assert_empty(&lane);
        lane_deinit(&lane);
}

static void test_reserve_limit(void **state)
{
        struct lane lane;
        uint32_t n;

        (void)state;
        new_lane(&lane, LANE_RESERVED_MAX + 10);
        for (n = 0; lane_reserve(&lane); n++)
                ;
        /* The count has 12 bits: one more would run into the ticket. */
        assert_int_equal(n, LANE_RESERVED_MAX);
        for (uint32_t i = 0; i < 10; i++)
                assert_true(push(&lane, i));
        assert_false(push(&lane, 10));
        while (n--)
                lane_unreserve(&lane);
        assert_true(push(&lane, 10));
        for (uint32_t i = 0; i <= 10; i++)
                assert_take(&lane, i);
        assert_empty(&lane);
        lane_deinit(&lane);
}

static void test_reserved_full_ring(void **state)
{
        struct lane lane;
        _Atomic uint64_t place;

        (void)state;
        /* capacity == ring size: one entry too many would run over the oldest. */
        new_lane(&lane, 2048);
        for (uint32_t i = 0; i < 8; i++)
                assert_true(lane_reserve(&lane));
        for (uint32_t i = 0; i < 2040; i++)
                assert_true(push(&lane, i));
        assert_false(push(&lane, 9));
        for (uint32_t i = 2040; i < 2048; i++)
                lane_push_reserved(&lane, i, &place);
        for (uint32_t i = 0; i < 2048; i++)
                assert_take(&lane, i);
        assert_empty(&lane);
        lane_deinit(&lane);
}

/* The first step of a push, by a pusher that then sleeps.  The second is lane_fill. */
static uint64_t draw_place(struct lane *lane)
{
        _Atomic uint64_t place;

        assert_true(lane_draw(lane, &place));
        return atomic_load(&place);
}

static void test_hole_hides_nobody(void **state)
{
        struct lane lane;
        uint64_t hole;

        (void)state;
        new_lane(&lane, 8);
        hole = draw_place(&lane);
        assert_true(push(&lane, 7));
        assert_true(push(&lane, 8));
        assert_int_equal(lane_depth(&lane), 3);
        assert_take(&lane, 7);
        assert_take(&lane, 8);
        assert_empty(&lane);
        /* The late pusher finds its ticket poisoned, and does not put anything where nobody will
         * look. */
        assert_false(lane_fill(&lane, 9, hole));
        assert_empty(&lane);
        assert_true(push(&lane, 9));
        assert_take(&lane, 9);
        lane_deinit(&lane);
}

static void test_hole_only(void **state)
{
        struct lane lane;

        (void)state;
        new_lane(&lane, 8);
        draw_place(&lane);
        /* Pending until a taker has looked, and then not any more: an EMT does not spin on it. */
        assert_true(lane_pending(&lane));
        assert_empty(&lane);
        assert_true(push(&lane, 5));
        assert_take(&lane, 5);
        lane_deinit(&lane);
}

static void test_holes_each_lap(void **state)
{
        struct lane lane;

        (void)state;
        new_lane(&lane, 16);
        for (uint32_t i = 0; i < 3 * 2048; i++) {
                for (uint32_t holes = i % 4; holes; holes--)
                        draw_place(&lane);
                assert_true(push(&lane, i));
                draw_place(&lane);
                assert_true(push(&lane, i + 1));
                assert_take(&lane, i);
                assert_take(&lane, i + 1);
        }
        assert_empty(&lane);
        lane_deinit(&lane);
}

static void test_hole_filled_late(void **state)
{
        struct lane lane;
        uint64_t ticket;

        (void)state;
        new_lane(&lane, 8);
        ticket = draw_place(&lane);
        assert_true(push(&lane, 2));
        /* The pusher wakes up before any taker has come: it keeps its place. */
        assert_true(lane_fill(&lane, 1, ticket));
        assert_take(&lane, 1);
        assert_take(&lane, 2);
        assert_empty(&lane);
        lane_deinit(&lane);
}

/*
 * A pusher sleeps between its two steps while the ring goes round, once and more: its entry belongs
 * to another ticket by then, filled or not.  It must neither believe that it has pushed, nor
 * overwrite the other's.
 */
static void test_late_by_laps(void **state)
{
        (void)state;
        for (uint32_t laps = 1; laps <= 3; laps++) {
                struct lane lane;
                uint64_t late;

                new_lane(&lane, 2048);
                late = draw_place(&lane);
                assert_true(push(&lane, 1));
                assert_take(&lane, 1);
                for (uint32_t i = 0; i < laps * 2048 - 2; i++) {
                        assert_true(push(&lane, i));
                        assert_take(&lane, i);
                }
                /* The next ticket is the late one's entry again. */
                assert_true(push(&lane, 77));
                assert_false(lane_fill(&lane, 66, late));
                assert_take(&lane, 77);
                assert_false(lane_fill(&lane, 66, late));
                assert_empty(&lane);
                lane_deinit(&lane);
        }
}

/* ---- many threads ---- */

#define PUSHERS 3u
#define TAKERS  2u
#define EACH    30000u

static struct mpmc {
        struct lane lane;
        _Atomic uint64_t place[PUSHERS * EACH]; /* as the pusher was told */
        _Atomic uint64_t taken[PUSHERS * EACH]; /* place at the take; 0: not yet */
        _Atomic uint32_t n_taken, next_pusher, bad;
} mpmc;

static void *mpmc_push(void *arg)
{
        uint32_t me = atomic_fetch_add(&mpmc.next_pusher, 1);

        (void)arg;
        for (uint32_t i = 0; i < EACH; i++) {
                uint32_t index = me * EACH + i;

                if (i % 5 == 0) {
                        UNTIL(lane_reserve(&mpmc.lane));
                        lane_push_reserved(&mpmc.lane, index, &mpmc.place[index]);
                } else {
                        UNTIL(push_at(&mpmc.lane, index, &mpmc.place[index]));
                }
        }
        return NULL;
}

static void *mpmc_take(void *arg)
{
        uint32_t index;
        uint64_t place, last = 0;

        (void)arg;
        while (atomic_load(&mpmc.n_taken) < PUSHERS * EACH) {
                if (!lane_take(&mpmc.lane, &index, &place)) {
                        (void)sched_yield();
                        continue;
                }
                /* In order as far as one taker can see, each once, and where the pusher left it. */
                if (index >= PUSHERS * EACH || place <= last ||
                    atomic_exchange(&mpmc.taken[index], place) != 0 ||
                    atomic_load(&mpmc.place[index]) != place)
                        atomic_fetch_add(&mpmc.bad, 1);
                last = place;
                atomic_fetch_add(&mpmc.n_taken, 1);
        }
        return NULL;
}

static void mpmc_run(uint32_t capacity)
{
        pthread_t threads[PUSHERS + TAKERS];

        memset(&mpmc, 0, sizeof(mpmc));
        new_lane(&mpmc.lane, capacity);
        for (uint32_t i = 0; i < PUSHERS + TAKERS; i++)
                threads[i] = thread_start(i < PUSHERS ? mpmc_push : mpmc_take, NULL);
        for (uint32_t i = 0; i < PUSHERS + TAKERS; i++)
                thread_end(threads[i]);
        assert_int_equal(atomic_load(&mpmc.bad), 0);
        for (uint32_t i = 0; i < PUSHERS * EACH; i++) {
                assert_int_equal(mpmc.taken[i], mpmc.place[i]);
                /* One pusher's pushes follow each other. */
                if (i % EACH)
                        assert_true(mpmc.taken[i] > mpmc.taken[i - 1]);
        }
        assert_empty(&mpmc.lane);
        lane_deinit(&mpmc.lane);
}

static void test_mpmc(void **state)
{
        (void)state;
        mpmc_run(5);
        mpmc_run(2048);
}

static void test_deinit_twice(void **state)
{
        struct lane lane;

        (void)state;
        new_lane(&lane, 1);
        lane_deinit(&lane);
        assert_null(lane.entries);
        lane_deinit(&lane);
}

static void test_largest(void **state)
{
        struct lane lane;

        (void)state;
        new_lane(&lane, VMREQ_LANE_MAX);
        assert_int_equal(lane.size_log2, 21);
        assert_true(push(&lane, 1));
        assert_take(&lane, 1);
        lane_deinit(&lane);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fifo),
                cmocka_unit_test(test_index_extremes),
                cmocka_unit_test(test_bound),
                cmocka_unit_test(test_laps),
                cmocka_unit_test(test_reserve),
                cmocka_unit_test(test_reserve_limit),
                cmocka_unit_test(test_reserved_full_ring),
                cmocka_unit_test(test_hole_hides_nobody),
                cmocka_unit_test(test_hole_only),
                cmocka_unit_test(test_holes_each_lap),
                cmocka_unit_test(test_hole_filled_late),
                cmocka_unit_test(test_late_by_laps),
                cmocka_unit_test(test_mpmc),
                cmocka_unit_test(test_deinit_twice),
                cmocka_unit_test(test_largest),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
