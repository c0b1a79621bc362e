/* SPDX-License-Identifier: MIT */
/* Memory by the page: zeroed, there only where it was touched, and refused by an error. */
#include "lib/engine.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "vm/pages.h"

static void test_zeroed(void **state)
{
        static const size_t sizes[] = {1, 4096, 100000, PAGES_HUGE_FROM};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                char *pages = pages_map(sizes[i]);

                assert_non_null(pages);
                assert_int_equal((uintptr_t)pages % 4096, 0);
                assert_int_equal(pages[0] | pages[sizes[i] / 2] | pages[sizes[i] - 1], 0);
                memset(pages, 1, sizes[i]);
                pages_unmap(pages, sizes[i]);
        }
        pages_unmap(NULL, 4096);
}

/* What the kernel was told of the mapping that `address` is in: its VmFlags. */
static bool has_flag(const void *address, const char *flag)
{
        FILE *file = fopen("/proc/self/smaps", "re");
        bool inside = false, found = false;
        char line[512];

        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                unsigned long from, to;

                if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
                        inside = (uintptr_t)address >= from && (uintptr_t)address < to;
                else if (inside && strncmp(line, "VmFlags:", 8) == 0)
                        found = strstr(line, flag);
        }
        assert_int_equal(fclose(file), 0);
        return found;
}

/* Only what is large asks for large pages, where there are such. */
static void test_huge(void **state)
{
        bool there = access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) == 0;
        char *small = pages_map(PAGES_HUGE_FROM - 4096), *large = pages_map(PAGES_HUGE_FROM);

        (void)state;
        assert_non_null(small);
        assert_non_null(large);
        assert_false(has_flag(small, " hg"));
        assert_true(has_flag(large, " hg") == there);
        pages_unmap(small, PAGES_HUGE_FROM - 4096);
        pages_unmap(large, PAGES_HUGE_FROM);
}

/* More than there is: no pages, and errno is whose it was. */
static void test_refused(void **state)
{
        (void)state;
        errno = 0;
        assert_null(pages_map(SIZE_MAX / 2));
        assert_int_equal(errno, ENOMEM);
        errno = 7;
        pages_unmap(pages_map(PAGES_HUGE_FROM), PAGES_HUGE_FROM);
        assert_int_equal(errno, 7);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_zeroed),
                cmocka_unit_test(test_huge),
                cmocka_unit_test(test_refused),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
