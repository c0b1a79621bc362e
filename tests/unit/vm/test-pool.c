/* SPDX-License-Identifier: MIT */
/* The free list: nobody gets what another has, everything comes back, and a put between two steps
 * of a get is seen. */
#include "lib/engine.h"

#define RINGS 3u

static void new_pool(struct pool *pool, uint32_t capacity)
{
        memset(pool, 0, sizeof(*pool));
        assert_int_equal(pool_init(pool, capacity, RINGS), 0);
}

static void test_each_once(void **state)
{
        struct pool pool;
        bool out[100] = {false};
        uint32_t index;

        (void)state;
        new_pool(&pool, 100);
        assert_int_equal(pool_high_water(&pool), 0);
        for (uint32_t i = 0; i < 100; i++) {
                assert_true(pool_get(&pool, 0, &index));
                assert_true(index < 100);
                assert_false(out[index]);
                out[index] = true;
                assert_int_equal(pool_high_water(&pool), i + 1);
        }
        assert_false(pool_get(&pool, 0, &index));
        for (uint32_t i = 0; i < 100; i++)
                pool_put(&pool, POOL_NO_RING, i);
        memset(out, 0, sizeof(out));
        for (uint32_t i = 0; i < 100; i++) {
                assert_true(pool_get(&pool, 0, &index));
                assert_false(out[index]);
                out[index] = true;
        }
        assert_false(pool_get(&pool, 0, &index));
        pool_deinit(&pool);
}

static void test_capacity_one(void **state)
{
        struct pool pool;
        uint32_t index;

        (void)state;
        new_pool(&pool, 1);
        for (int i = 0; i < 3; i++) {
                assert_true(pool_get(&pool, 0, &index));
                assert_int_equal(index, 0);
                assert_false(pool_get(&pool, 0, &index));
                pool_put(&pool, POOL_NO_RING, 0);
        }
        pool_deinit(&pool);
}

static void test_last_in_first_out(void **state)
{
        struct pool pool;
        uint32_t index;

        (void)state;
        new_pool(&pool, 10);
        for (uint32_t i = 0; i < 3; i++)
                assert_true(pool_get(&pool, 0, &index));
        pool_put(&pool, POOL_NO_RING, 1);
        pool_put(&pool, POOL_NO_RING, 0);
        /* Used ones before fresh ones, the warmest first. */
        assert_true(pool_get(&pool, 0, &index));
        assert_int_equal(index, 0);
        assert_true(pool_get(&pool, 0, &index));
        assert_int_equal(index, 1);
        assert_true(pool_get(&pool, 0, &index));
        assert_int_equal(index, 3);
        assert_int_equal(pool_high_water(&pool), 4);
        pool_deinit(&pool);
}

static void test_put_changes_top(void **state)
{
        struct pool pool;
        uint32_t a, b;
        uint64_t seen;

        (void)state;
        new_pool(&pool, 4);
        assert_true(pool_get(&pool, 0, &a));
        assert_true(pool_get(&pool, 0, &b));
        pool_put(&pool, POOL_NO_RING, b);
        pool_put(&pool, POOL_NO_RING, a);
        /* A getter reads top = a, next = b, and is preempted; meanwhile: a and b out, a back. */
        seen = atomic_load(&pool.top);
        assert_true(pool_get(&pool, 0, &a));
        assert_true(pool_get(&pool, 0, &b));
        pool_put(&pool, POOL_NO_RING, a);
        /* The same index on top, but not the same word: its swap must fail. */
        assert_int_equal((uint32_t)atomic_load(&pool.top), (uint32_t)seen);
        assert_int_not_equal(atomic_load(&pool.top), seen);
        pool_deinit(&pool);
}

/* What its owner puts into a ring anybody gets, in that order, wherever he looks first. */
static void test_rings(void **state)
{
        struct pool pool;
        uint32_t index;

        (void)state;
        new_pool(&pool, 10);
        for (uint32_t i = 0; i < 6; i++)
                assert_true(pool_get(&pool, 0, &index));
        for (uint32_t i = 0; i < 6; i++)
                pool_put(&pool, i / 2, i);
        for (uint32_t i = 2; i < 4; i++) {
                assert_true(pool_get(&pool, 1, &index));
                assert_int_equal(index, i);
        }
        /* Its own is empty: the others', before any that is fresh. */
        for (uint32_t i = 0; i < 6; i++)
                if (i / 2 != 1) {
                        assert_true(pool_get(&pool, 1, &index));
                        assert_int_equal(index, i);
                }
        assert_int_equal(pool_high_water(&pool), 6);
        assert_true(pool_get(&pool, 1, &index));
        assert_int_equal(index, 6);
        /* What is no ring is none to look at first. */
        pool_put(&pool, 2, 6);
        assert_true(pool_get(&pool, RINGS, &index));
        assert_int_equal(index, 6);
        pool_deinit(&pool);
}

/* With many rings a get looks into a few before it takes what is fresh, but at others each time;
 * and into all of them before it says that there is none. */
static void test_many_rings(void **state)
{
        const uint32_t rings = 64;
        struct pool pool;
        uint32_t index;

        (void)state;
        for (uint32_t at = 1; at < rings; at++) {
                memset(&pool, 0, sizeof(pool));
                assert_int_equal(pool_init(&pool, 2 * rings, rings), 0);
                assert_true(pool_get(&pool, 0, &index));
                pool_put(&pool, at, 0);
                do
                        assert_true(pool_get(&pool, 0, &index));
                while (index != 0);
                assert_true(pool_high_water(&pool) <= 1 + rings / POOL_LOOKS);
                while (pool_get(&pool, 0, &index))
                        ;
                assert_int_equal(pool_high_water(&pool), 2 * rings);
                pool_put(&pool, at, 7);
                assert_true(pool_get(&pool, 0, &index));
                assert_int_equal(index, 7);
                assert_false(pool_get(&pool, 0, &index));
                pool_deinit(&pool);
        }
}

/* More than a ring holds goes onto the stack; also when its numbers have come round. */
static void test_full_ring(void **state)
{
        static bool out[3 * POOL_RING];
        struct pool pool;
        uint32_t index;

        (void)state;
        new_pool(&pool, ARRAY_SIZE(out));
        /* A ring that has handed out as many as its words can count. */
        atomic_store(&pool.rings[0].tail, UINT32_MAX - 2);
        pool.rings[0].taken_seen = UINT32_MAX - 2;
        atomic_store(&pool.rings[0].head, (uint64_t)(UINT32_MAX - 2) << 32 | (UINT32_MAX - 2));
        for (int round = 0; round < 3; round++) {
                memset(out, 0, sizeof(out));
                for (uint32_t i = 0; i < ARRAY_SIZE(out); i++) {
                        assert_true(pool_get(&pool, 0, &index));
                        assert_false(out[index]);
                        out[index] = true;
                }
                assert_false(pool_get(&pool, 0, &index));
                for (uint32_t i = 0; i < ARRAY_SIZE(out); i++)
                        pool_put(&pool, 0, i);
                assert_int_not_equal((uint32_t)atomic_load(&pool.top), 0);
        }
        pool_deinit(&pool);
}

/* ---- many threads ---- */

#define THREADS 4u
#define ROUNDS  20000u
#define SHARED  23u

static struct {
        struct pool pool;
        _Atomic uint32_t owner[SHARED], next_thread, bad;
} shared;

static void *get_and_put(void *arg)
{
        uint32_t me = atomic_fetch_add(&shared.next_thread, 1) + 1, held[17], n;
        /* One of them has no ring. */
        uint32_t ring = me <= RINGS ? me - 1 : POOL_NO_RING;

        (void)arg;
        for (uint32_t round = 0; round < ROUNDS; round++) {
                for (n = 0; n < round % 17 && pool_get(&shared.pool, round % RINGS, &held[n]); n++)
                        if (atomic_exchange(&shared.owner[held[n]], me) != 0)
                                atomic_fetch_add(&shared.bad, 1);
                while (n--) {
                        if (atomic_exchange(&shared.owner[held[n]], 0) != me)
                                atomic_fetch_add(&shared.bad, 1);
                        pool_put(&shared.pool, ring, held[n]);
                }
        }
        return NULL;
}

static void test_conservation(void **state)
{
        pthread_t threads[THREADS];
        uint32_t index;

        (void)state;
        memset(&shared, 0, sizeof(shared));
        new_pool(&shared.pool, SHARED);
        for (uint32_t i = 0; i < THREADS; i++)
                threads[i] = thread_start(get_and_put, NULL);
        for (uint32_t i = 0; i < THREADS; i++)
                thread_end(threads[i]);
        assert_int_equal(atomic_load(&shared.bad), 0);
        for (uint32_t i = 0; i < SHARED; i++)
                assert_true(pool_get(&shared.pool, 0, &index));
        assert_false(pool_get(&shared.pool, 0, &index));
        pool_deinit(&shared.pool);
}

static void test_deinit_twice(void **state)
{
        struct pool pool;

        (void)state;
        new_pool(&pool, VMREQ_SLAB_MAX);
        pool_deinit(&pool);
        assert_null(pool.next);
        assert_null(pool.rings);
        pool_deinit(&pool);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_once),
                cmocka_unit_test(test_capacity_one),
                cmocka_unit_test(test_last_in_first_out),
                cmocka_unit_test(test_put_changes_top),
                cmocka_unit_test(test_rings),
                cmocka_unit_test(test_many_rings),
                cmocka_unit_test(test_full_ring),
                cmocka_unit_test(test_conservation),
                cmocka_unit_test(test_deinit_twice),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
