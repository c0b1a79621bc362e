/* SPDX-License-Identifier: MIT */
/* Log lines: whole, printable, within their length, lost and counted when nobody takes them. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

static int fds[2];
static char said[1 << 16];

static int start(void **state)
{
        (void)state;
        return pipe2(fds, O_CLOEXEC | O_NONBLOCK);
}

static int end(void **state)
{
        (void)state;
        (void)close(fds[0]);
        (void)close(fds[1]);
        return 0;
}

static const char *read_all(void)
{
        ssize_t n = read(fds[0], said, sizeof(said) - 1);

        said[n > 0 ? n : 0] = 0;
        return said;
}

static void test_lines(void **state)
{
        (void)state;
        log_init(fds[1], LOG_L_INFO, 0);
        log_line(LOG_L_INFO, "%s %d", "hello", 7);
        log_line(LOG_L_DEBUG, "not shown");
        log_line(LOG_L_ERROR, "last");
        assert_string_equal(read_all(), "hello 7\nlast\n");
}

static void test_prefixes(void **state)
{
        (void)state;
        log_init(fds[1], LOG_L_DEBUG, 1);
        log_line(LOG_L_ERROR, "a");
        log_line(LOG_L_DEBUG, "b");
        assert_string_equal(read_all(), "<3>a\n<7>b\n");
}

/* Whoever chose a name must not forge lines. */
static void test_control_bytes(void **state)
{
        (void)state;
        log_init(fds[1], LOG_L_INFO, 1);
        log_line(LOG_L_INFO, "a\n<3>forged\r\x1b[31m\x7f\tJos\xc3\xa9");
        assert_string_equal(read_all(), "<6>a?<3>forged??[31m??Jos\xc3\xa9\n");
}

static void test_long_lines_are_cut(void **state)
{
        char text[3000];

        (void)state;
        log_init(fds[1], LOG_L_INFO, 1);
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        log_line(LOG_L_INFO, "%s", text);
        (void)read_all();
        assert_int_equal(strlen(said), LOG_LINE_MAX);
        assert_int_equal(said[LOG_LINE_MAX - 1], '\n');
        assert_int_equal(said[LOG_LINE_MAX - 2], 'x');
        for (size_t len = LOG_LINE_MAX - 8; len < LOG_LINE_MAX + 3; len++) {
                size_t expected = len + 3 + 1 < LOG_LINE_MAX ? len + 3 + 1 : LOG_LINE_MAX;

                log_line(LOG_L_INFO, "%.*s", (int)len, text);
                (void)read_all();
                assert_int_equal(strlen(said), expected);
        }
}

static void test_a_full_sink_loses_lines_and_says_so(void **state)
{
        uint64_t before = log_lost();
        char text[900];
        size_t n = 0;

        (void)state;
        log_init(fds[1], LOG_L_INFO, 0);
        memset(text, 'y', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        for (int i = 0; i < 200; i++)
                log_line(LOG_L_INFO, "%s", text);
        assert_true(log_lost() > before);
        while (read_all()[0])
                n += strlen(said);
        assert_int_equal(n / 900 + (log_lost() - before),
                         200); /* whole lines, each written or counted */
        log_line(LOG_L_INFO, "again");
        (void)read_all();
        (void)snprintf(text, sizeof(text), "(%llu lines lost) again\n",
                       (unsigned long long)(log_lost() - before));
        assert_string_equal(said, text);
        log_line(LOG_L_INFO, "told once");
        assert_string_equal(read_all(), "told once\n");
}

static void test_a_closed_sink(void **state)
{
        uint64_t before = log_lost();

        (void)state;
        log_init(9999, LOG_L_INFO, 0);
        log_line(LOG_L_INFO, "nobody hears");
        assert_int_equal(log_lost(), before + 1);
        log_init(fds[1], LOG_L_INFO, 0);
        log_line(LOG_L_INFO, "x");
        assert_string_equal(read_all(), "(1 lines lost) x\n");
}

static void test_errno_is_kept(void **state)
{
        (void)state;
        log_init(9999, LOG_L_INFO, 0);
        errno = ENOENT;
        log_line(LOG_L_INFO, "%m");
        assert_int_equal(errno, ENOENT);
        log_init(fds[1], LOG_L_INFO, 0);
        log_line(LOG_L_INFO, "%m");
        assert_non_null(strstr(read_all(), "No such file or directory\n"));
}

static void *writer(void *arg)
{
        for (int i = 0; i < 50; i++)
                log_line(LOG_L_INFO, "thread %s line", (const char *)arg);
        return NULL;
}

static void test_threads_do_not_mix_lines(void **state)
{
        static const char *const names[] = {"a", "b", "c", "d"};
        pthread_t threads[4];
        unsigned n = 0;

        (void)state;
        log_init(fds[1], LOG_L_INFO, 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, writer, (void *)names[i]), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        (void)read_all();
        for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n"), n++) {
                assert_int_equal(strlen(line), strlen("thread a line"));
                assert_memory_equal(line, "thread ", 7);
        }
        assert_int_equal(n, 200);
}

static void test_limit(void **state)
{
        struct log_limit limit = {0};
        uint64_t now = 5 * CLOCK_NS_PER_S, missed = 99;

        (void)state;
        for (int i = 0; i < 3; i++) {
                assert_true(log_limit_pass(&limit, 3, now, &missed));
                assert_int_equal(missed, 0);
        }
        for (int i = 0; i < 7; i++)
                assert_false(log_limit_pass(&limit, 3, now + 1, &missed));
        assert_false(log_limit_pass(&limit, 3, now + CLOCK_NS_PER_S - 1, &missed));
        assert_true(log_limit_pass(&limit, 3, now + CLOCK_NS_PER_S, &missed));
        assert_int_equal(missed, 8);
        assert_true(log_limit_pass(&limit, 3, now + CLOCK_NS_PER_S, &missed));
        assert_int_equal(missed, 0);
}

static void test_clock(void **state)
{
        uint64_t a = clock_now_ns(), b = clock_now_ns();

        (void)state;
        assert_true(a > 0 && b >= a);
        assert_int_equal(clock_add(1, 2), 3);
        assert_int_equal(clock_add(UINT64_MAX, 0), UINT64_MAX);
        assert_int_equal(clock_add(UINT64_MAX - 1, 1), UINT64_MAX);
        assert_int_equal(clock_add(UINT64_MAX - 1, 2), UINT64_MAX);
        assert_int_equal(clock_add(2, UINT64_MAX - 1), UINT64_MAX);
        assert_int_equal(clock_add(UINT64_MAX, UINT64_MAX), UINT64_MAX);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_lines, start, end),
                cmocka_unit_test_setup_teardown(test_prefixes, start, end),
                cmocka_unit_test_setup_teardown(test_control_bytes, start, end),
                cmocka_unit_test_setup_teardown(test_long_lines_are_cut, start, end),
                cmocka_unit_test_setup_teardown(test_a_full_sink_loses_lines_and_says_so, start,
                                                end),
                cmocka_unit_test_setup_teardown(test_a_closed_sink, start, end),
                cmocka_unit_test_setup_teardown(test_errno_is_kept, start, end),
                cmocka_unit_test_setup_teardown(test_threads_do_not_mix_lines, start, end),
                cmocka_unit_test_setup_teardown(test_limit, start, end),
                cmocka_unit_test(test_clock),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
