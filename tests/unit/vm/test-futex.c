/* SPDX-License-Identifier: MIT */
/* The kernel facts that the engine's sleeps rest on. */
#include "lib/engine.h"

#include <errno.h>
#include <limits.h>

#include "vm/futex.h"

static void test_changed_word(void **state)
{
        _Atomic uint32_t word = 5;

        (void)state;
        errno = 77;
        /* Without a limit: returns only because the word is not what was expected. */
        assert_int_equal(futex_wait(&word, 4, UINT64_MAX), 0);
        assert_int_equal(errno, 77);
}

static void test_deadline(void **state)
{
        _Atomic uint32_t word = 5;
        uint64_t until = clock_now_ns() + 2 * CLOCK_NS_PER_MS;

        (void)state;
        errno = 77;
        assert_int_equal(futex_wait(&word, 5, 1), 1);
        assert_int_equal(errno, 77);
        while (!futex_wait(&word, 5, until))
                ;
        /* Absolute, and on the clock that the engine reads. */
        assert_true(clock_now_ns() >= until);
}

static void test_far_deadline(void **state)
{
        _Atomic uint32_t word = 5;

        (void)state;
        /* A second field near the top is no error: the word decides. */
        assert_int_equal(futex_wait(&word, 4, UINT64_MAX - 1), 0);
}

static struct {
        _Atomic uint32_t word, gone;
} sleepers;

static void *sleeper(void *arg)
{
        (void)arg;
        while (atomic_load(&sleepers.word) == 0)
                CHECK(futex_wait(&sleepers.word, 0, UINT64_MAX) == 0);
        atomic_fetch_add(&sleepers.gone, 1);
        return NULL;
}

static void test_wake_all(void **state)
{
        pthread_t threads[3];

        (void)state;
        for (size_t i = 0; i < 3; i++)
                threads[i] = thread_start(sleeper, NULL);
        atomic_store(&sleepers.word, 1);
        errno = 77;
        futex_wake(&sleepers.word, INT_MAX);
        assert_int_equal(errno, 77);
        for (size_t i = 0; i < 3; i++)
                thread_end(threads[i]);
        assert_int_equal(atomic_load(&sleepers.gone), 3);
}

static void test_low_half(void **state)
{
        _Atomic uint64_t word = 0x1122334455667788;

        (void)state;
        assert_int_equal(atomic_load(futex_low_half(&word)), 0x55667788);
        /* State, flags and references of a packet stand where its waiters watch. */
        assert_true(REQ_GENERATION_SHIFT <= 32);
        assert_int_equal(futex_wait(futex_low_half(&word), 0x11223344, UINT64_MAX), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_changed_word), cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_far_deadline), cmocka_unit_test(test_wake_all),
                cmocka_unit_test(test_low_half),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
