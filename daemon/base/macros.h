/* SPDX-License-Identifier: MIT */
#pragma once
/* Words of the language that every room of the daemon uses. */

#include <stddef.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Evaluate their arguments twice: no calls in them.  <sys/param.h>, which libuv's headers bring in,
 * defines the same two. */
#ifndef MIN
#define MIN(a, b) (((a) < (b)) ? (a) : (b))
#define MAX(a, b) (((a) > (b)) ? (a) : (b))
#endif

/* What two threads write stands this far apart.  128: x86 prefetches lines in pairs. */
#define CACHE_LINE 64
#define CACHE_PAIR 128
