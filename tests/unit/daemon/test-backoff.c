/* SPDX-License-Identifier: MIT */
/* Starts that fail again and again slow down; one that ends well, or lived long, starts over. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backoff.h"
#include "base/clock.h"

static char dir[64], file[80];

static int start(void **state)
{
        (void)state;
        (void)snprintf(dir, sizeof(dir), "/tmp/vmreq-backoff-XXXXXX");
        if (!mkdtemp(dir))
                return -1;
        (void)snprintf(file, sizeof(file), "%s/starts", dir);
        return setenv("RUNTIME_DIRECTORY", dir, 1);
}

static int end(void **state)
{
        (void)state;
        (void)unlink(file);
        return rmdir(dir);
}

static void put(const char *text)
{
        FILE *out = fopen(file, "we");

        assert_non_null(out);
        assert_true(fputs(text, out) >= 0);
        assert_int_equal(fclose(out), 0);
}

static unsigned failures(void)
{
        unsigned n = 0;
        FILE *in = fopen(file, "re");

        if (!in)
                return 0;
        if (fscanf(in, "%u", &n) != 1)
                n = 12345;
        (void)fclose(in);
        return n;
}

/* How long it held up the start. */
static uint64_t begin_ns(bool expect)
{
        uint64_t began = clock_now_ns();

        assert_int_equal(backoff_begin(), expect);
        return clock_now_ns() - began;
}

static void test_counts(void **state)
{
        (void)state;
        for (unsigned i = 1; i <= 5; i++) {
                assert_true(backoff_begin());
                assert_int_equal(failures(), i);
        }
        assert_true(begin_ns(true) >= 100 * CLOCK_NS_PER_MS); /* the sixth waits */
        assert_int_equal(failures(), 6);
        backoff_end();
        assert_int_equal(failures(), 0);
        assert_int_not_equal(access(file, F_OK), 0);
}

static void test_long_life(void **state)
{
        char text[64];

        (void)state;
        (void)snprintf(text, sizeof(text), "9 1 %llu\n",
                       (unsigned long long)(clock_now_ns() - 11 * CLOCK_NS_PER_S));
        put(text);
        assert_true(backoff_begin());
        assert_int_equal(failures(), 1);
}

/* After processes that served, the wait has a lower cap than after starts that failed. */
static void test_caps(void **state)
{
        char text[64];
        uint64_t waited;

        (void)state;
        (void)snprintf(text, sizeof(text), "4000000000 1 %llu\n",
                       (unsigned long long)clock_now_ns());
        put(text);
        waited = begin_ns(true);
        assert_true(waited >= CLOCK_NS_PER_S);
        backoff_ready();
        assert_int_not_equal(failures(), 0);
}

static void test_asked_to_stop(void **state)
{
        char text[64];

        (void)state;
        (void)snprintf(text, sizeof(text), "4000000000 0 %llu\n",
                       (unsigned long long)clock_now_ns());
        put(text);
        /* Pending from before: blocked here, taken by the wait. */
        sigset_t set;
        assert_int_equal(sigemptyset(&set), 0);
        assert_int_equal(sigaddset(&set, SIGTERM), 0);
        assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
        assert_int_equal(raise(SIGTERM), 0);
        (void)begin_ns(false);
        assert_int_equal(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
}

static void test_rubbish(void **state)
{
        static const char *const texts[] = {
                "", "x", "1", "1 2", "-1 x 5", "99999999999999999999 0 0", "\xff\xfe"};

        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                put(texts[i]);
                assert_true(backoff_begin());
                assert_true(failures() == 1 || i == 5);
        }
}

/* A link that somebody laid there is not followed. */
static void test_link(void **state)
{
        char other[80];

        (void)state;
        (void)snprintf(other, sizeof(other), "%s/other", dir);
        assert_int_equal(symlink(other, file), 0);
        assert_true(backoff_begin());
        assert_int_not_equal(access(other, F_OK), 0);
}

static void test_no_directory(void **state)
{
        (void)state;
        assert_int_equal(setenv("RUNTIME_DIRECTORY", "relative", 1), 0);
        assert_true(backoff_begin());
        assert_int_equal(unsetenv("RUNTIME_DIRECTORY"), 0);
        assert_true(backoff_begin());
        backoff_ready();
        backoff_end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_directory),
                cmocka_unit_test_setup_teardown(test_counts, start, end),
                cmocka_unit_test_setup_teardown(test_long_life, start, end),
                cmocka_unit_test_setup_teardown(test_caps, start, end),
                cmocka_unit_test_setup_teardown(test_asked_to_stop, start, end),
                cmocka_unit_test_setup_teardown(test_rubbish, start, end),
                cmocka_unit_test_setup_teardown(test_link, start, end),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
