/* SPDX-License-Identifier: MIT */
/* CHECK: evaluates its argument once, also in release builds, and ends the process with a line that
 * names it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/macros.h"

static void test_evaluates_once(void **state)
{
        int n = 0;

        (void)state;
        CHECK(++n == 1);
        assert_int_equal(n, 1);
}

static void test_ends_the_process(void **state)
{
        const struct rlimit none = {0, 0};
        char line[512];
        size_t n = 0;
        ssize_t r;
        int ends[2], status;
        pid_t child;

        (void)state;
        assert_int_equal(pipe(ends), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                (void)setrlimit(RLIMIT_CORE, &none);
                (void)signal(SIGABRT, SIG_DFL);
                (void)dup2(ends[1], STDERR_FILENO);
                CHECK(1 + 1 == 3);
                _exit(0);
        }
        assert_int_equal(close(ends[1]), 0);
        while (n < sizeof(line) - 1 && (r = read(ends[0], line + n, sizeof(line) - 1 - n)) > 0)
                n += (size_t)r;
        line[n] = '\0';
        assert_int_equal(close(ends[0]), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
        assert_non_null(strstr(line, "test-check.c"));
        assert_non_null(strstr(line, "1 + 1 == 3"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_evaluates_once),
                cmocka_unit_test(test_ends_the_process),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
