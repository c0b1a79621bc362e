/* SPDX-License-Identifier: MIT */
#include "vm/futex.h"

#include <errno.h>
#include <assert.h>
#include <linux/futex.h>
#include <limits.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static_assert(sizeof(_Atomic uint32_t) == 4, "a futex is 32 bits");

int futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
        struct timespec ts, *timeout = NULL;
        int saved = errno;
        long r;

        if (deadline_ns != UINT64_MAX) {
                ts.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S);
                ts.tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S);
                timeout = &ts;
        }
        /* FUTEX_WAIT_BITSET takes an absolute time, so that an early return does not stretch the
         * wait. */
        r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, timeout, NULL,
                    FUTEX_BITSET_MATCH_ANY);
        r = r < 0 && errno == ETIMEDOUT;
        errno = saved;
        return (int)r;
}

void futex_wake(_Atomic uint32_t *word, int n)
{
        int saved = errno;

        /* Cannot fail usefully: the address may even be unmapped by now in theory, and then nobody
         * sleeps. */
        (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
        errno = saved;
}
