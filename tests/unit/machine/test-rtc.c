/* SPDX-License-Identifier: MIT */
/* The clock: the host's time in BCD, its status registers, the size of memory, and bytes that stay.
 */
#include "machine/rtc.h"

#include <time.h>

#include "unit/machine/machine-test.h"

static struct rtc rtc;

static void out(unsigned port, uint8_t value)
{
        assert_int_equal(rtc_ops.write(&rtc, port, &value, 1), BUS_DONE);
}

static uint8_t cmos(uint8_t index)
{
        uint8_t byte = 0xff;

        out(0, index);
        rtc_ops.read(&rtc, 1, &byte, 1);
        return byte;
}

static int two(uint8_t index)
{
        uint8_t byte = cmos(index);

        assert_in_range(byte & 15, 0, 9);
        assert_in_range(byte >> 4, 0, 9);
        return (byte >> 4) * 10 + (byte & 15);
}

static void test_time(void **state)
{
        time_t before, after, told;
        struct tm tm;

        (void)state;
        assert_int_equal(rtc_init(&rtc, 64u << 20), 0);
        assert_int_equal(cmos(0x0a) & 0x80, 0);
        assert_int_equal(cmos(0x0b) & 6, 2);
        assert_int_equal(cmos(0x0c), 0);
        assert_int_equal(cmos(0x0d), 0x80);
        /* As guests do: again, if a second has passed meanwhile. */
        do {
                before = time(NULL);
                tm = (struct tm){.tm_sec = two(0),
                                 .tm_min = two(2),
                                 .tm_hour = two(4),
                                 .tm_mday = two(7),
                                 .tm_mon = two(8) - 1,
                                 .tm_year = two(0x32) * 100 + two(9) - 1900};
                assert_in_range(two(6), 1, 7);
                after = time(NULL);
        } while (before != after);
        told = timegm(&tm);
        assert_int_equal(told, before);
        out(0, 0x04);
        out(1, 0x99); /* it cannot be set */
        assert_in_range(two(4), 0, 23);
        rtc_deinit(&rtc);
}

static unsigned word(uint8_t index)
{
        return (unsigned)cmos(index) | (unsigned)cmos((uint8_t)(index + 1)) << 8;
}

static void test_memory_size(void **state)
{
        static const struct {
                uint64_t bytes;
                unsigned kib, above;
        } rows[] = {
                {1ull << 20, 0, 0},
                {16ull << 20, 15 << 10, 0},
                {17ull << 20, 16 << 10, 16},
                {64ull << 20, 63 << 10, 48 << 4},
                {65ull << 20, 65535, 49 << 4},
                {8ull << 30, 65535, (3072 - 16) << 4},
                {1ull << 40, 65535, (3072 - 16) << 4},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_int_equal(rtc_init(&rtc, rows[i].bytes), 0);
                assert_int_equal(word(0x15), 640);
                assert_int_equal(word(0x17), rows[i].kib);
                assert_int_equal(word(0x30), rows[i].kib);
                assert_int_equal(word(0x34), rows[i].above);
                rtc_deinit(&rtc);
        }
}

static void test_ram(void **state)
{
        uint8_t data[8];

        (void)state;
        assert_int_equal(rtc_init(&rtc, 1u << 20), 0);
        for (unsigned i = 0x40; i < 0x80; i++) {
                out(0, (uint8_t)(i | 0x80)); /* bit 7 is the NMI's */
                out(1, (uint8_t)(i * 3));
        }
        for (unsigned i = 0x40; i < 0x80; i++)
                assert_int_equal(cmos((uint8_t)i), (uint8_t)(i * 3));
        /* Index and data in one access. */
        assert_int_equal(rtc_ops.write(&rtc, 0, (const uint8_t[]){0x41, 0x99}, 2), BUS_DONE);
        assert_int_equal(cmos(0x41), 0x99);
        memset(data, 0xff, sizeof(data));
        rtc_ops.read(&rtc, 0, data, 8);
        assert_int_equal(data[0], 0xff);
        assert_int_equal(data[1], 0x99);
        assert_int_equal(data[2], 0xff);
        rtc_reset(&rtc);
        assert_int_equal(cmos(0x41), 0);
        for (unsigned i = 0; i < 256; i++)
                (void)cmos((uint8_t)i);
        rtc_deinit(&rtc);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_time),
                cmocka_unit_test(test_memory_size),
                cmocka_unit_test(test_ram),
        };

        return RUN_TESTS(tests);
}
