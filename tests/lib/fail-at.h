/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Memory that runs out: the linker puts these in front of libc's, in programs that say
 *
 *     vmreq_test_memory(TARGET)
 *
 * in their CMakeLists.txt.  For one source of a program.
 */

#include <stdbool.h>
#include <stddef.h>

/* The n-th allocation of this thread from here fails; 0: none does.  After that one it is 0. */
static _Thread_local size_t fail_at;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static inline bool fails_now(void)
{
        return fail_at > 0 && --fail_at == 0;
}

void *__wrap_malloc(size_t size)
{
        return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
        return fails_now() ? NULL : __real_realloc(old, size);
}
