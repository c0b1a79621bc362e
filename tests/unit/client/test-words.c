/* SPDX-License-Identifier: MIT */
/* Integers, spans of time, destinations, and guesses at what was meant. */

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "client/words.h"

static void test_integer(void **state)
{
        static const struct {
                const char *word;
                bool good, negative;
                uint64_t magnitude;
        } cases[] = {
                {"0", true, false, 0},
                {"42", true, false, 42},
                {"+42", true, false, 42},
                {"-42", true, true, 42},
                {"-0", true, false, 0},
                {"0x2a", true, false, 42},
                {"0X2A", true, false, 42},
                {"-0x1", true, true, 1},
                {"007", true, false, 7},
                {"18446744073709551615", true, false, UINT64_MAX},
                {"18446744073709551616", false, false, 0},
                {"0xffffffffffffffff", true, false, UINT64_MAX},
                {"0x10000000000000000", false, false, 0},
                {"-9223372036854775808", true, true, (uint64_t)1 << 63},
                {"-9223372036854775809", false, false, 0},
                {"", false, false, 0},
                {"-", false, false, 0},
                {"0x", false, false, 0},
                {"1 ", false, false, 0},
                {" 1", false, false, 0},
                {"1.0", false, false, 0},
                {"a", false, false, 0},
                {"0xg", false, false, 0},
                {"--1", false, false, 0},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct words_integer value = {true, 99};

                assert_int_equal(words_integer(cases[i].word, &value), cases[i].good);
                if (!cases[i].good)
                        continue;
                assert_int_equal(value.negative, cases[i].negative);
                assert_true(value.magnitude == cases[i].magnitude);
        }
}

static void test_time(void **state)
{
        static const struct {
                const char *word;
                int64_t ms; /* -1: refused */
        } cases[] = {
                {"0", 0},
                {"0s", 0},
                {"0.0", 0},
                {"1", 1000},
                {"1s", 1000},
                {"1.5", 1500},
                {"1.5s", 1500},
                {"500ms", 500},
                {"2min", 120000},
                {"1h", 3600000},
                {".5", 500},
                {"2.", 2000},
                {"1500us", 2},
                {"1us", 1},
                {"0.1ms", 1},
                {"0.0000001", 1},
                {"0.00000000", 0},
                {"1.001", 1001},
                {"1.0001", 1001},
                {"0.5min", 30000},
                {"0.3333333333", 334},
                {"2147483.647", INT32_MAX},
                {"2147483.648", -1},
                {"2147484", -1},
                {"596h", 2145600000},
                {"597h", -1},
                {"99999999999999999999999999", -1},
                {"", -1},
                {".", -1},
                {"s", -1},
                {"-1", -1},
                {"1x", -1},
                {"1 s", -1},
                {"1e3", -1},
                {"0x1", -1},
                {"inf", -1},
                {"1m", -1},
                {"1.5.5", -1},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                uint64_t ms = 77;

                if (words_time(cases[i].word, &ms) != (cases[i].ms >= 0))
                        fail_msg("%s", cases[i].word);
                if (cases[i].ms >= 0 && ms != (uint64_t)cases[i].ms)
                        fail_msg("%s: %llu", cases[i].word, (unsigned long long)ms);
        }
}

static void test_cpu(void **state)
{
        static const char *const bad[] = {"", "-1", "x", "ALL", "all ", "2147483648", "1.0"};
        struct words_cpu cpu;

        (void)state;
        assert_true(words_cpu("3", &cpu));
        assert_null(cpu.name);
        assert_int_equal(cpu.number, 3);
        assert_true(words_cpu("any-queue", &cpu));
        assert_string_equal(cpu.name, "any-queue");
        assert_true(words_cpu("all-reverse", &cpu));
        assert_true(words_cpu_is_broadcast(cpu.name, 11));
        assert_true(words_cpu_is_broadcast("all", 3));
        assert_false(words_cpu_is_broadcast("any", 3));
        assert_false(words_cpu_is_broadcast("", 0));
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_false(words_cpu(bad[i], &cpu));
}

static void test_nearest(void **state)
{
        static const char *const names[] = {"call", "symbols", "describe", "status", "ping"};

        (void)state;
        assert_string_equal(words_nearest("cal", names, 5), "call");
        assert_string_equal(words_nearest("symbol", names, 5), "symbols");
        assert_string_equal(words_nearest("sttaus", names, 5), "status");
        assert_string_equal(words_nearest("describ", names, 5), "describe");
        assert_null(words_nearest("foo", names, 5));
        assert_null(words_nearest("", names, 5));
        assert_null(words_nearest("cccccccccccccccccccccccccccccccccccccccccall", names, 5));
}

static void expect_duration(uint64_t ms, const char *expected)
{
        char text[32];

        words_duration(ms, text, sizeof(text));
        assert_string_equal(text, expected);
}

static void test_duration(void **state)
{
        (void)state;
        expect_duration(0, "0 ms");
        expect_duration(999, "999 ms");
        expect_duration(1000, "1.0 s");
        expect_duration(59999, "59.9 s");
        expect_duration(60000, "1 min 0 s");
        expect_duration(3600000, "1 h 0 min");
        expect_duration(90061000, "1 d 1 h");
        expect_duration(UINT64_MAX, "213503982334 d 14 h");
}

static void test_digits(void **state)
{
        static const char digits[] = "0123456789abcdef", upper[] = "ABCDEF";

        (void)state;
        for (int i = 0; i < 16; i++)
                assert_int_equal(words_digit(digits[i]), i);
        for (int i = 0; i < 6; i++)
                assert_int_equal(words_digit(upper[i]), 10 + i);
        for (int c = CHAR_MIN; c <= CHAR_MAX; c++)
                if (c == 0 || (!strchr(digits, c) && !strchr(upper, c)))
                        assert_int_equal(words_digit((char)c), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_digits),  cmocka_unit_test(test_integer),
                cmocka_unit_test(test_time),    cmocka_unit_test(test_cpu),
                cmocka_unit_test(test_nearest), cmocka_unit_test(test_duration),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
