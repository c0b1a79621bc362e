/* SPDX-License-Identifier: MIT */
/*
 * Time that passes when the input says so: this program's clock_gettime takes the place of libc's,
 * for the code under test and for libuv alike.  Deadlines, stalled frames and all that expires are
 * reached without waiting, and at the same point each time.
 */
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define NS_PER_S 1000000000ull

/* Some time after this machine's start; a little more at each look, so that times differ. */
static _Atomic uint64_t now_ns = 1000 * NS_PER_S;

void fuzz_pass(uint64_t ns)
{
        atomic_fetch_add(&now_ns, ns);
}

uint64_t fuzz_now(void)
{
        return atomic_load(&now_ns);
}

/* Visible, or libuv would go on asking libc. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
        uint64_t now;

        if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)
                return (int)syscall(SYS_clock_gettime, clock, ret_time);
        now = atomic_fetch_add(&now_ns, 100);
        ret_time->tv_sec = (time_t)(now / NS_PER_S);
        ret_time->tv_nsec = (long)(now % NS_PER_S);
        return 0;
}
