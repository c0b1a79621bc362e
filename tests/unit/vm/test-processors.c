/* SPDX-License-Identifier: MIT */
/* Quotas out of a made-up cgroup hierarchy in a temporary folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "vm/processors.h"

static char root[64];

static void put(const char *name, const char *text)
{
        char path[256];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", root, name);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void make(const char *name)
{
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", root, name);
        assert_int_equal(mkdir(path, 0700), 0);
}

static uint32_t usable(void)
{
        char proc[256];

        (void)snprintf(proc, sizeof(proc), "%s/cgroup", root);
        return processors_usable(proc, root);
}

static uint32_t affinity(void)
{
        cpu_set_t set;

        assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
        return (uint32_t)CPU_COUNT(&set);
}

static int setup(void **state)
{
        (void)state;
        (void)snprintf(root, sizeof(root), "/tmp/vmreq-processors-XXXXXX");
        assert_non_null(mkdtemp(root));
        make("a");
        make("a/b");
        put("cgroup", "1:name=x:/y\n0::/a/b\n");
        return 0;
}

static int teardown(void **state)
{
        char command[128];

        (void)state;
        (void)snprintf(command, sizeof(command), "rm -r %s", root);
        return system(command);
}

static void test_nothing_to_read(void **state)
{
        (void)state;
        assert_int_equal(processors_usable("/nonexistent", "/nonexistent"), affinity());
        assert_int_equal(usable(), affinity());
}

static void test_own_quota(void **state)
{
        (void)state;
        put("a/b/cpu.max", "100000 100000\n");
        assert_int_equal(usable(), 1);
        put("a/b/cpu.max", "1000 100000\n"); /* a hundredth of one is still one */
        assert_int_equal(usable(), 1);
        put("a/b/cpu.max", "max 100000\n");
        assert_int_equal(usable(), affinity());
        put("a/b/cpu.max", "100000000 100000\n"); /* more than there are */
        assert_int_equal(usable(), affinity());
}

static void test_quota_above(void **state)
{
        (void)state;
        put("a/b/cpu.max", "max 100000\n");
        put("a/cpu.max", "50000 100000\n");
        assert_int_equal(usable(), 1);
        put("a/cpu.max", "max 100000\n");
        put("cpu.max", "100000 100000\n");
        assert_int_equal(usable(), 1);
}

static void test_nonsense(void **state)
{
        (void)state;
        put("a/b/cpu.max", "many few\n");
        assert_int_equal(usable(), affinity());
        put("a/b/cpu.max", "5 0\n");
        assert_int_equal(usable(), affinity());
        put("cgroup", "nothing of the kind\n");
        put("a/b/cpu.max", "100000 100000\n");
        assert_int_equal(usable(), affinity());
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_nothing_to_read, setup, teardown),
                cmocka_unit_test_setup_teardown(test_own_quota, setup, teardown),
                cmocka_unit_test_setup_teardown(test_quota_above, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
