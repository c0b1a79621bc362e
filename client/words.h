/* SPDX-License-Identifier: MIT */
#pragma once
/* Words of the command line → numbers, and back to words for people.  No I/O. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An integer: decimal or 0x…, with an optional sign.  `negative` and magnitude, so that nothing is
 * lost.
 */
struct words_integer {
        bool negative;
        uint64_t magnitude;
};

/* True if the whole of `word` is an integer of at most 64 bits. */
bool words_integer(const char *word, struct words_integer *ret);

/* What a digit stands for, 0..15; -1: it is none, of hexadecimal numbers either. */
int words_digit(char c);

/*
 * A span of time: "1.5" (seconds), "500ms", "1.5s", "2min", "1h", "0".  Milliseconds, rounded up so
 * that only a zero becomes 0.  False if malformed or over WORDS_MS_MAX.
 */
#define WORDS_MS_MAX INT32_MAX
bool words_time(const char *word, uint64_t *ret_ms);

/* Where a call may go: "any", "all" …, or a number. */
struct words_cpu {
        const char *name; /* NULL: `number` counts */
        uint32_t number;
};

/* The destinations that are words, for messages. */
#define WORDS_CPU_NAMES "a number, any, any-queue, all, all-reverse"
bool words_cpu(const char *word, struct words_cpu *ret);

/* True for a destination that answers with rows; `name` need not end in NUL. */
bool words_cpu_is_broadcast(const char *name, size_t len);

/* The one of `n` names that was probably meant by `word`; NULL if none is near. */
const char *words_nearest(const char *word, const char *const *names, size_t n);

/* "350 ms", "1.2 s", "5 min 3 s", "3 d 4 h" into ret_text (`size` bytes, 32 are enough). */
void words_duration(uint64_t ms, char *ret_text, size_t size);
