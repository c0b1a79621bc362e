/* SPDX-License-Identifier: MIT */
/* The journal's door: which stream it is, and what a record becomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log-ids.h"
#include "journal.h"

static char sent[32][2048];
static int n_sent, answer;

int __wrap_sd_journal_sendv(const struct iovec *iov, int n);
int __wrap_sd_journal_sendv(const struct iovec *iov, int n)
{
        n_sent = n;
        for (int i = 0; i < n; i++)
                (void)snprintf(sent[i], sizeof(sent[i]), "%.*s", (int)iov[i].iov_len,
                               (const char *)iov[i].iov_base);
        return answer;
}

static void test_stream(void **state)
{
        char stream[64];
        struct stat st;
        int fds[2];

        (void)state;
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(fstat(fds[1], &st), 0);
        (void)unsetenv("JOURNAL_STREAM");
        assert_false(journal_is_at(fds[1]));
        (void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
                       (unsigned long long)st.st_ino);
        assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
        assert_true(journal_is_at(fds[1]));
        assert_true(journal_is_at(fds[0])); /* the other end of the same */
        assert_false(journal_is_at(-1));
        strcat(stream, "0");
        assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
        assert_false(journal_is_at(fds[1])); /* somebody has redirected it */
        for (const char *const *text = (const char *const[]){"", ":", "5", "5:", "x:y", NULL};
             *text; text++) {
                assert_int_equal(setenv("JOURNAL_STREAM", *text, 1), 0);
                assert_false(journal_is_at(fds[1]));
        }
        (void)unsetenv("JOURNAL_STREAM");
        (void)close(fds[0]);
        (void)close(fds[1]);
}

static void test_bare(void **state)
{
        const struct log_record record = {.level = 6, .text = "hello"};

        (void)state;
        answer = 0;
        assert_true(journal_write(NULL, &record));
        assert_int_equal(n_sent, 3);
        assert_string_equal(sent[0], "MESSAGE=hello");
        assert_string_equal(sent[1], "PRIORITY=6");
        assert_string_equal(sent[2], "SYSLOG_IDENTIFIER=vmreqd");
        answer = -5;
        assert_false(journal_write(NULL, &record));
}

static void test_full(void **state)
{
        struct log_record record = {.level = 4, .id = LOG_ID_DENIED, .n_fields = LOG_FIELDS_MAX};
        char text[LOG_LINE_MAX];

        (void)state;
        answer = 0;
        memset(text, 't', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        record.text = text;
        for (int i = 0; i < LOG_FIELDS_MAX; i++)
                record.fields[i] = "VMREQ_SYMBOL=a.b";
        assert_true(journal_write(NULL, &record));
        assert_int_equal(n_sent, 4 + LOG_FIELDS_MAX);
        assert_int_equal(strlen(sent[0]), strlen("MESSAGE=") + sizeof(text) - 1);
        assert_string_equal(sent[3], "MESSAGE_ID=" LOG_ID_DENIED);
        assert_string_equal(sent[3 + LOG_FIELDS_MAX], "VMREQ_SYMBOL=a.b");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stream),
                cmocka_unit_test(test_bare),
                cmocka_unit_test(test_full),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
