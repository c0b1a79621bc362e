/* SPDX-License-Identifier: MIT */
/*
 * Pages for the VMs of the scenes, kept from one to the next: a walk makes a hundred thousand of
 * them, and mapping is most of what that costs.  The linker puts these in front of the engine's
 * mmap and munmap.
 */
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

#define KEPT_MAX 64u

void *__wrap_mmap(void *hint, size_t length, int protection, int flags, int fd, off_t offset);
void *__real_mmap(void *hint, size_t length, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *pages, size_t length);
int __real_munmap(void *pages, size_t length);

static struct {
        void *pages;
        size_t length;
} kept[KEPT_MAX];

void *__wrap_mmap(void *hint, size_t length, int protection, int flags, int fd, off_t offset)
{
        for (unsigned i = 0; i < KEPT_MAX; i++) {
                void *pages = kept[i].pages;

                if (!pages || kept[i].length != length)
                        continue;
                kept[i].pages = NULL;
                return memset(pages, 0, length);
        }
        return __real_mmap(hint, length, protection, flags, fd, offset);
}

int __wrap_munmap(void *pages, size_t length)
{
        for (unsigned i = 0; i < KEPT_MAX; i++) {
                if (kept[i].pages)
                        continue;
                kept[i].pages = pages;
                kept[i].length = length;
                return 0;
        }
        return __real_munmap(pages, length);
}
