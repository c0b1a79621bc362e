/* SPDX-License-Identifier: MIT */
/*
 * The clock that a PC has had since the AT, as far as a guest needs it: it tells the host's time in
 * UTC, and where firmware would have noted it, the size of memory.
 *
 * The guest writes an index to port 0x70 and reads or writes that byte at 0x71.  Two vCPUs that do
 * so at once disturb each other as on a PC; the lock keeps each single access whole.  The time is
 * taken anew at each read, so a guest that reads the seconds before and after the rest, as is the
 * custom, has one moment.  It cannot be set, and there are no alarms: writes to those registers are
 * kept nowhere.
 */
#include "machine/rtc.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/macros.h"

enum {
        CMOS_SECONDS = 0x00,
        CMOS_MINUTES = 0x02,
        CMOS_HOURS = 0x04,
        CMOS_WEEKDAY = 0x06,
        CMOS_DAY = 0x07,
        CMOS_MONTH = 0x08,
        CMOS_YEAR = 0x09,
        CMOS_STATUS_A = 0x0a,
        CMOS_STATUS_B = 0x0b,
        CMOS_STATUS_C = 0x0c,
        CMOS_STATUS_D = 0x0d,
        CMOS_BASE_KIB = 0x15,     /* u16 */
        CMOS_EXTENDED_KIB = 0x17, /* u16: above 1 MiB, up to 64 MiB */
        CMOS_EXTENDED_KIB_2 = 0x30,
        CMOS_CENTURY = 0x32,
        CMOS_ABOVE_16M = 0x34, /* u16, in 64 KiB, below 4 GiB */
};

#define STATUS_A_RATE    0x26u /* the divider that keeps time; no update in progress */
#define STATUS_B_24_HOUR 0x02u /* and BCD */
#define STATUS_D_VALID   0x80u

#define INDEX_MASK 0x7fu /* bit 7 would mask the NMI */

static uint8_t bcd(int n)
{
        return (uint8_t)(n / 10 % 10 << 4 | n % 10);
}

/* A register of the time; -1: it is none. */
static int read_time(uint8_t index)
{
        time_t now = time(NULL);
        struct tm tm;

        if (!gmtime_r(&now, &tm))
                return -1;
        switch (index) {
        case CMOS_SECONDS:
                return bcd(tm.tm_sec);
        case CMOS_MINUTES:
                return bcd(tm.tm_min);
        case CMOS_HOURS:
                return bcd(tm.tm_hour);
        case CMOS_WEEKDAY:
                return bcd(tm.tm_wday + 1);
        case CMOS_DAY:
                return bcd(tm.tm_mday);
        case CMOS_MONTH:
                return bcd(tm.tm_mon + 1);
        case CMOS_YEAR:
                return bcd(tm.tm_year % 100);
        case CMOS_CENTURY:
                return bcd((tm.tm_year + 1900) / 100);
        default:
                return -1;
        }
}

static uint8_t read_byte(const struct rtc *rtc)
{
        int part = read_time(rtc->index);

        return part >= 0 ? (uint8_t)part : rtc->ram[rtc->index];
}

static void write_byte(struct rtc *rtc, uint8_t value)
{
        if (rtc->index > CMOS_STATUS_D && rtc->index != CMOS_CENTURY)
                rtc->ram[rtc->index] = value;
}

static void rtc_read(void *ctx, uint64_t offset, uint8_t *data, uint32_t len)
{
        struct rtc *rtc = ctx;

        CHECK(pthread_mutex_lock(&rtc->lock) == 0);
        for (uint32_t i = 0; i < len && offset + i < RTC_SIZE; i++)
                if (offset + i == 1)
                        data[i] = read_byte(rtc);
        CHECK(pthread_mutex_unlock(&rtc->lock) == 0);
}

static enum bus_outcome rtc_write(void *ctx, uint64_t offset, const uint8_t *data, uint32_t len)
{
        struct rtc *rtc = ctx;

        CHECK(pthread_mutex_lock(&rtc->lock) == 0);
        for (uint32_t i = 0; i < len && offset + i < RTC_SIZE; i++)
                if (offset + i == 0)
                        rtc->index = data[i] & INDEX_MASK;
                else
                        write_byte(rtc, data[i]);
        CHECK(pthread_mutex_unlock(&rtc->lock) == 0);
        return BUS_DONE;
}

const struct bus_ops rtc_ops = {
        .read = rtc_read,
        .write = rtc_write,
};

static void put_u16(struct rtc *rtc, uint8_t at, uint64_t value)
{
        value = MIN(value, (uint64_t)UINT16_MAX);
        rtc->ram[at] = (uint8_t)value;
        rtc->ram[at + 1] = (uint8_t)(value >> 8);
}

void rtc_reset(struct rtc *rtc)
{
        uint64_t low = MIN(rtc->memory_bytes, 0xc0000000ull);
        uint64_t extended_kib = (low >> 10) - 1024, above = low > 16u << 20 ? low - (16u << 20) : 0;

        CHECK(pthread_mutex_lock(&rtc->lock) == 0);
        rtc->index = 0;
        memset(rtc->ram, 0, sizeof(rtc->ram));
        rtc->ram[CMOS_STATUS_A] = STATUS_A_RATE;
        rtc->ram[CMOS_STATUS_B] = STATUS_B_24_HOUR;
        rtc->ram[CMOS_STATUS_D] = STATUS_D_VALID;
        put_u16(rtc, CMOS_BASE_KIB, 640);
        put_u16(rtc, CMOS_EXTENDED_KIB, extended_kib);
        put_u16(rtc, CMOS_EXTENDED_KIB_2, extended_kib);
        put_u16(rtc, CMOS_ABOVE_16M, above >> 16);
        CHECK(pthread_mutex_unlock(&rtc->lock) == 0);
}

int rtc_init(struct rtc *rtc, uint64_t memory_bytes)
{
        *rtc = (struct rtc){.memory_bytes = memory_bytes};
        if (pthread_mutex_init(&rtc->lock, NULL))
                return -ENOMEM;
        rtc_reset(rtc);
        return 0;
}

void rtc_deinit(struct rtc *rtc)
{
        (void)pthread_mutex_destroy(&rtc->lock);
}
