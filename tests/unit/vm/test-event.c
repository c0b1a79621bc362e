/* SPDX-License-Identifier: MIT */
/* The sleep word: who wakes whom, once, and no wake-up lost between the look and the sleep. */
#include "lib/engine.h"

static void test_wake_needs_a_sleeper(void **state)
{
        struct event event = {0};

        (void)state;
        assert_false(event_wake(&event));
        event_prepare(&event);
        assert_true(event_wake(&event));
        /* The second waker finds it awake: one system call for many. */
        assert_false(event_wake(&event));
        /* Woken between the announcement and the sleep: does not sleep. */
        event_sleep(&event, UINT64_MAX);
        assert_false(event_wake(&event));
}

static void test_cancel(void **state)
{
        struct event event = {0};

        (void)state;
        event_prepare(&event);
        event_cancel(&event);
        assert_false(event_wake(&event));
}

static void test_deadline(void **state)
{
        struct event event = {0};

        (void)state;
        event_prepare(&event);
        event_sleep(&event, 1);
        /* Awake at return, so that nobody wastes a call on it. */
        assert_false(event_wake(&event));
        event_prepare(&event);
        event_sleep(&event, clock_now_ns() + CLOCK_NS_PER_MS);
        assert_false(event_wake(&event));
}

#define ROUNDS 3000u

static struct {
        struct event events[2];
        _Atomic uint32_t turn;
} ping;

static void *ping_main(void *arg)
{
        uint32_t me = (uint32_t)(uintptr_t)arg;

        for (uint32_t i = 0; i < ROUNDS; i++) {
                while (atomic_load(&ping.turn) != me) {
                        event_prepare(&ping.events[me]);
                        if (atomic_load(&ping.turn) == me)
                                event_cancel(&ping.events[me]);
                        else
                                event_sleep(&ping.events[me], UINT64_MAX);
                }
                atomic_store(&ping.turn, 1 - me);
                (void)event_wake(&ping.events[1 - me]);
        }
        return NULL;
}

/* Each waits for the other without a limit: one lost wake-up, and the alarm ends it. */
static void test_none_lost(void **state)
{
        pthread_t threads[2];

        (void)state;
        for (uint32_t i = 0; i < 2; i++)
                threads[i] = thread_start(ping_main, (void *)(uintptr_t)i);
        for (uint32_t i = 0; i < 2; i++)
                thread_end(threads[i]);
        assert_int_equal(atomic_load(&ping.turn), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_wake_needs_a_sleeper),
                cmocka_unit_test(test_cancel),
                cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_none_lost),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
