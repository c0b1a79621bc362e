/* SPDX-License-Identifier: MIT */
#include "vm/pages.h"

#include <errno.h>
#include <sys/mman.h>

void *pages_map(size_t bytes)
{
        void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int saved = errno;

        if (pages == MAP_FAILED)
                return NULL;
        if (bytes >= PAGES_HUGE_FROM)
                (void)madvise(pages, bytes, MADV_HUGEPAGE); /* a wish */
        errno = saved;
        return pages;
}

void pages_unmap(void *pages, size_t bytes)
{
        if (pages)
                (void)munmap(pages, bytes);
}
