/* SPDX-License-Identifier: MIT */
#pragma once
/* What the processor is told: that this loop waits, what will be written next. */

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ __volatile__("yield");
#endif
}

/* That it shall have the line that `p` is in, to write to it soon.  Any address will do. */
static inline void cpu_will_write(const void *p)
{
#if defined(__x86_64__)
        /* Not the builtin: for the oldest processors it leaves "to write" out.  There it is a
         * no-op. */
        __asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
        __builtin_prefetch(p, 1);
#endif
}
