/* SPDX-License-Identifier: MIT */
/* The log's ring: what goes in comes out, whole and in order; what does not fit is counted where it
 * is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log-ring.h"

#define CAP 1000u

static struct log_ring ring;

static int start(void **state)
{
        (void)state;
        return !log_ring_init(&ring, CAP);
}

static int end(void **state)
{
        (void)state;
        log_ring_deinit(&ring);
        log_ring_deinit(&ring); /* legal again */
        return 0;
}

/* A record of n bytes that can be told from others. */
static const uint8_t *record(uint8_t seed, size_t n)
{
        static uint8_t bytes[2 * CAP];

        for (size_t i = 0; i < n; i++)
                bytes[i] = (uint8_t)(seed + i);
        return bytes;
}

static void expect(uint64_t number, uint8_t seed, size_t size, uint32_t lost)
{
        uint8_t bytes[2 * CAP];
        struct log_entry seen, entry;

        assert_true(log_ring_peek(&ring, &seen));
        log_ring_take(&ring, &entry, bytes);
        assert_memory_equal(&seen, &entry, sizeof(entry));
        assert_int_equal(entry.number, number);
        assert_int_equal(entry.size, size);
        assert_int_equal(entry.lost_before, lost);
        assert_memory_equal(bytes, record(seed, size), size);
}

static void test_empty(void **state)
{
        struct log_entry entry;

        (void)state;
        assert_false(log_ring_peek(&ring, &entry));
        assert_int_equal(log_ring_take_untold(&ring), 0);
}

static void test_exact_fit(void **state)
{
        (void)state;
        assert_false(log_ring_put(&ring, 1, record(1, CAP), CAP - sizeof(struct log_entry) + 1));
        assert_true(log_ring_put(&ring, 2, record(2, CAP), CAP - sizeof(struct log_entry)));
        assert_false(log_ring_put(&ring, 3, NULL, 0));
        expect(2, 2, CAP - sizeof(struct log_entry), 1);
        assert_int_equal(log_ring_take_untold(&ring), 1);
        assert_int_equal(log_ring_take_untold(&ring), 0);
        assert_int_equal(ring.dropped, 2);
        assert_false(log_ring_put(&ring, 4, record(2, CAP), SIZE_MAX)); /* no sum wraps */
}

static void test_a_record_without_bytes(void **state)
{
        (void)state;
        assert_true(log_ring_put(&ring, 9, NULL, 0));
        expect(9, 0, 0, 0);
}

/* Against a model: random puts and takes, so that every record wraps everywhere. */
static void test_against_a_model(void **state)
{
        struct {
                size_t size;
                uint32_t lost;
        } model[CAP];
        uint64_t put = 0, taken = 0;
        uint32_t lost = 0;
        size_t used = 0;

        (void)state;
        srandom(7);
        for (int i = 0; i < 200000; i++) {
                size_t size = (size_t)random() % 120, all = size + sizeof(struct log_entry);

                if (random() % 2) {
                        bool fits = all <= CAP - used;

                        assert_int_equal(log_ring_put(&ring, put, record((uint8_t)put, size), size),
                                         fits);
                        if (!fits) {
                                lost++;
                                continue;
                        }
                        model[put % CAP].size = size;
                        model[put % CAP].lost = lost;
                        lost = 0;
                        used += all;
                        put++;
                } else if (taken < put) {
                        expect(taken, (uint8_t)taken, model[taken % CAP].size,
                               model[taken % CAP].lost);
                        used -= model[taken % CAP].size + sizeof(struct log_entry);
                        taken++;
                }
        }
        assert_int_equal(ring.used, used);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_empty, start, end),
                cmocka_unit_test_setup_teardown(test_exact_fit, start, end),
                cmocka_unit_test_setup_teardown(test_a_record_without_bytes, start, end),
                cmocka_unit_test_setup_teardown(test_against_a_model, start, end),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("log-ring", tests, NULL, NULL);
}
