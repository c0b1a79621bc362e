/* SPDX-License-Identifier: MIT */
#pragma once
/* The PC's clock and CMOS memory at ports 0x70 and 0x71: the time of day, and how much memory. */

#include <pthread.h>
#include <stdint.h>

#include "machine/bus.h"

#define RTC_PORT  0x70u
#define RTC_SIZE  2u
#define RTC_BYTES 128u

struct rtc {
        pthread_mutex_t lock; /* guards all below */
        uint8_t index;
        uint8_t ram[RTC_BYTES];
        uint64_t memory_bytes; /* fixed after init */
};

int rtc_init(struct rtc *rtc, uint64_t memory_bytes);
void rtc_deinit(struct rtc *rtc);
void rtc_reset(struct rtc *rtc);

extern const struct bus_ops rtc_ops; /* ctx: struct rtc */
