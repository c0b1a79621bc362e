/* SPDX-License-Identifier: MIT */
/* The histogram: exact where it says so, off by a sixteenth at most elsewhere, at any time's
 * length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/latency.h"

static void test_none(void **state)
{
        struct latency latency = LATENCY_NULL;

        (void)state;
        assert_int_equal(latency_part(&latency, 0.5), 0);
        assert_int_equal(latency_mean(&latency), 0);
        for (unsigned i = 0; i <= LATENCY_OCTAVES; i++)
                assert_int_equal(latency_octave(&latency, i), 0);
}

static void test_one(void **state)
{
        (void)state;
        for (unsigned shift = 0; shift < 64; shift++) {
                uint64_t ns = (UINT64_C(1) << shift) + (shift > 3 ? 5 : 0);
                struct latency latency = LATENCY_NULL;

                latency_note(&latency, ns);
                /* Of one, all parts are what it took. */
                assert_int_equal(latency_part(&latency, 0),
                                 ns < UINT64_C(1) << 44 ? ns : (UINT64_C(1) << 44) - 1);
                assert_int_equal(latency_mean(&latency), ns);
                assert_int_equal(latency.least_ns, ns);
                assert_int_equal(latency.most_ns, ns);
                assert_int_equal(latency_octave(&latency, shift < LATENCY_OCTAVES
                                                                  ? shift
                                                                  : LATENCY_OCTAVES - 1),
                                 1);
        }
}

static void test_parts(void **state)
{
        struct latency latency = LATENCY_NULL;
        uint64_t in_octaves = 0;

        (void)state;
        for (uint64_t i = 1; i <= 100000; i++)
                latency_note(&latency, i * 10);
        for (unsigned percent = 1; percent < 100; percent++) {
                uint64_t right = percent * UINT64_C(10000),
                         found = latency_part(&latency, percent / 100.0);

                assert_in_range(found, right, right + right / 15);
        }
        assert_int_equal(latency_part(&latency, 1), 1000000);
        assert_int_equal(latency_mean(&latency), 500005);
        for (unsigned i = 0; i < LATENCY_OCTAVES; i++)
                in_octaves += latency_octave(&latency, i);
        assert_int_equal(in_octaves, latency.n);
}

/* Below 16 ns each has its own place. */
static void test_short(void **state)
{
        struct latency latency = LATENCY_NULL;

        (void)state;
        for (uint64_t ns = 0; ns < 16; ns++)
                latency_note(&latency, ns);
        assert_int_equal(latency_part(&latency, 0.5), 8);
        assert_int_equal(latency_octave(&latency, 0), 2); /* 0 and 1 */
        assert_int_equal(latency_octave(&latency, 1), 2);
        assert_int_equal(latency_octave(&latency, 2), 4);
        assert_int_equal(latency_octave(&latency, 3), 8);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_none),
                cmocka_unit_test(test_one),
                cmocka_unit_test(test_parts),
                cmocka_unit_test(test_short),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
