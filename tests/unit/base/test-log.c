/* SPDX-License-Identifier: MIT */
/* Log records: whole, printable, within their length, in order; lost, counted and told of when
 * nobody takes them; and whoever logs never waits for who reads. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log-ids.h"
#include "base/log.h"

/* Only a hang takes that long. */
#define VERY_LONG (40 * CLOCK_NS_PER_S)

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

static uint64_t dropped(void)
{
        struct log_stats stats;

        log_get_stats(&stats);
        return stats.dropped;
}

/* ---- lines ---- */

static void test_lines(void **state)
{
        (void)state;
        log_init(fds[1], LOG_L_INFO);
        log_line(LOG_L_INFO, "%s %d", "hello", 7);
        log_line(LOG_L_DEBUG, "not shown");
        log_line(LOG_L_ERROR, "last");
        assert_string_equal(read_all(), "hello 7\nlast\n");
}

/* Whoever chose a name must not forge lines. */
static void test_control_bytes(void **state)
{
        (void)state;
        log_init(fds[1], LOG_L_INFO);
        log_line(LOG_L_INFO, "a\n<3>forged\r\x1b[31m\x7f\tJos\xc3\xa9");
        assert_string_equal(read_all(), "a?<3>forged??[31m??Jos\xc3\xa9\n");
}

static void test_long_lines_are_cut(void **state)
{
        char text[3000];

        (void)state;
        log_init(fds[1], LOG_L_INFO);
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        log_line(LOG_L_INFO, "%s", text);
        (void)read_all();
        assert_int_equal(strlen(said), LOG_LINE_MAX);
        assert_int_equal(said[LOG_LINE_MAX - 1], '\n');
        assert_int_equal(said[LOG_LINE_MAX - 2], 'x');
        for (size_t len = LOG_LINE_MAX - 8; len < LOG_LINE_MAX + 3; len++) {
                size_t expected = len + 1 < LOG_LINE_MAX ? len + 1 : LOG_LINE_MAX;

                log_line(LOG_L_INFO, "%.*s", (int)len, text);
                (void)read_all();
                assert_int_equal(strlen(said), expected);
        }
}

static void test_a_closed_sink(void **state)
{
        uint64_t before = dropped();

        (void)state;
        log_init(9999, LOG_L_INFO);
        log_line(LOG_L_INFO, "nobody hears");
        assert_int_equal(dropped(), before + 1);
        assert_int_equal(log_start(), 0);
        log_line(LOG_L_INFO, "nor this");
        assert_true(log_stop(VERY_LONG));
        assert_int_equal(dropped(), before + 2);
        log_init(fds[1], LOG_L_INFO);
        log_line(LOG_L_INFO, "x");
        assert_string_equal(read_all(), "x\n");
}

static void test_errno_is_kept(void **state)
{
        (void)state;
        log_init(9999, LOG_L_INFO);
        errno = ENOENT;
        log_line(LOG_L_INFO, "%m");
        assert_int_equal(errno, ENOENT);
        log_init(fds[1], LOG_L_INFO);
        log_line(LOG_L_INFO, "%m");
        assert_non_null(strstr(read_all(), "No such file or directory\n"));
}

/* ---- records ---- */

#define SEEN_MAX 20100

/* A sink that notes what it gets, and can be held. */
static struct sink {
        sem_t entered, go;
        bool held;
        unsigned n;
        char text[SEEN_MAX][48];
        char id[40];
        char fields[LOG_FIELDS_MAX][LOG_FIELD_MAX];
        uint32_t n_fields;
        int level;
} sink;

static bool note(void *ctx, const struct log_record *record)
{
        struct sink *s = ctx;

        if (s->held) {
                (void)sem_post(&s->entered);
                while (sem_wait(&s->go))
                        ;
        }
        if (s->n < SEEN_MAX)
                (void)snprintf(s->text[s->n++], sizeof(s->text[0]), "%s", record->text);
        (void)snprintf(s->id, sizeof(s->id), "%s", record->id ? record->id : "");
        s->level = record->level;
        s->n_fields = record->n_fields;
        for (uint32_t i = 0; i < record->n_fields; i++)
                (void)snprintf(s->fields[i], sizeof(s->fields[i]), "%s", record->fields[i]);
        return true;
}

static int start_sink(void **state)
{
        (void)state;
        memset(&sink, 0, sizeof(sink));
        log_init(-1, LOG_L_INFO);
        log_set_sink(note, &sink);
        return sem_init(&sink.entered, 0, 0) || sem_init(&sink.go, 0, 0);
}

static int end_sink(void **state)
{
        (void)state;
        (void)sem_destroy(&sink.entered);
        (void)sem_destroy(&sink.go);
        return 0;
}

static void wait_entered(void)
{
        while (sem_wait(&sink.entered))
                ;
}

static void write_with_fields(void)
{
        log_write(&(struct log_meta){.level = LOG_L_WARNING,
                                     .id = LOG_ID_CALL,
                                     LOG_FIELDS(LOG_WORD("VMREQ_SYMBOL", "a.b\n"),
                                                LOG_NUMBER("VMREQ_CPU", -3),
                                                LOG_NUMBER("VMREQ_REQUEST_ID", 1ull << 40))},
                  "called %s", "a.b");
}

static void check_fields(void)
{
        assert_string_equal(sink.text[0], "called a.b");
        assert_string_equal(sink.id, LOG_ID_CALL);
        assert_int_equal(sink.level, LOG_L_WARNING);
        assert_int_equal(sink.n_fields, 3);
        assert_string_equal(sink.fields[0], "VMREQ_SYMBOL=a.b?");
        assert_string_equal(sink.fields[1], "VMREQ_CPU=-3");
        assert_string_equal(sink.fields[2], "VMREQ_REQUEST_ID=1099511627776");
}

static void test_fields(void **state)
{
        (void)state;
        write_with_fields();
        check_fields();
        sink.n = 0;
        assert_int_equal(log_start(), 0);
        write_with_fields();
        assert_true(log_stop(VERY_LONG));
        check_fields();
        log_line(LOG_L_INFO, "bare");
        assert_string_equal(sink.id, "");
        assert_int_equal(sink.n_fields, 0);
}

static void test_too_many_fields(void **state)
{
        struct log_field fields[LOG_FIELDS_MAX + 3];
        char word[2 * LOG_FIELD_MAX];

        (void)state;
        memset(word, 'w', sizeof(word) - 1);
        word[sizeof(word) - 1] = 0;
        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
                fields[i] = LOG_WORD("KEY", word);
        log_write(&(struct log_meta){.level = LOG_L_INFO,
                                     .fields = fields,
                                     .n_fields = sizeof(fields) / sizeof(fields[0])},
                  "%s", word);
        assert_int_equal(sink.n_fields, LOG_FIELDS_MAX);
        for (uint32_t i = 0; i < LOG_FIELDS_MAX; i++) {
                assert_int_equal(strlen(sink.fields[i]), LOG_FIELD_MAX - 1);
                assert_memory_equal(sink.fields[i], "KEY=www", 7);
        }
}

/* ---- the thread ---- */

/* With the sink stuck nobody waits; what is lost is counted and told of where it is missing; and no
 * flood pushes out an audit record. */
static void test_a_stuck_sink(void **state)
{
        const struct log_meta audit = {.level = LOG_L_NOTICE, .kind = LOG_AUDIT};
        unsigned kept = 0, expected = 0, number;
        struct log_stats before, after;
        char text[48];

        (void)state;
        sink.held = true;
        log_get_stats(&before);
        assert_int_equal(log_start(), 0);
        log_line(LOG_L_INFO, "first");
        wait_entered();
        for (unsigned i = 0; i < 20000; i++)
                log_line(LOG_L_INFO, "flood %u", i);
        log_get_stats(&after);
        kept = (unsigned)(20000 - (after.dropped - before.dropped));
        assert_in_range(kept, 1000, 19000);
        assert_int_equal(after.dropped_of[LOG_AUDIT], before.dropped_of[LOG_AUDIT]);
        log_write(&audit, "audit");
        log_line(LOG_L_INFO, "lost too");
        log_get_stats(&after);
        assert_int_equal(after.dropped_of[LOG_AUDIT], before.dropped_of[LOG_AUDIT]);
        assert_int_equal(after.dropped - before.dropped, 20000 - kept + 1);
        sink.held = false;
        (void)sem_post(&sink.go);
        assert_true(log_stop(VERY_LONG));
        log_get_stats(&after);
        assert_int_equal(after.dropped - before.dropped, 20000 - kept + 1);
        assert_int_equal(after.written - before.written, kept + 2);
        assert_string_equal(sink.text[0], "first");
        for (unsigned i = 1; i <= kept; i++) {
                assert_int_equal(sscanf(sink.text[i], "flood %u", &number), 1);
                assert_int_equal(number, expected++);
        }
        assert_string_equal(sink.text[kept + 1], "audit");
        (void)snprintf(text, sizeof(text), "%u records lost here: ", 20000 - kept + 1);
        assert_memory_equal(sink.text[kept + 2], text, strlen(text));
}

/* Room comes back in the middle: the loss is told between what was before and behind it. */
static void test_loss_is_told_in_its_place(void **state)
{
        unsigned at = 0;

        (void)state;
        sink.held = true;
        assert_int_equal(log_start(), 0);
        log_line(LOG_L_INFO, "before");
        wait_entered(); /* in the sink, so that no room comes while the ring fills */
        for (unsigned i = 0; i < 20000; i++)
                log_line(LOG_L_INFO, "before");
        for (unsigned i = 0; i < 10; i++) { /* ten have gone, so there is room */
                (void)sem_post(&sink.go);
                wait_entered();
        }
        log_line(LOG_L_INFO, "behind");
        sink.held = false;
        (void)sem_post(&sink.go);
        assert_true(log_stop(VERY_LONG));
        while (at < sink.n && strcmp(sink.text[at], "before") == 0)
                at++;
        assert_int_equal(at, sink.n - 2);
        assert_non_null(strstr(sink.text[at], "records lost here: "));
        assert_string_equal(sink.text[at + 1], "behind");
}

/* Both rings, one order. */
static void test_order_across_rings(void **state)
{
        (void)state;
        sink.held = true;
        assert_int_equal(log_start(), 0);
        log_line(LOG_L_INFO, "0");
        wait_entered();
        for (int i = 1; i < 200; i++)
                log_write(&(struct log_meta){.level = LOG_L_INFO,
                                             .kind = i % 3 ? LOG_PLAIN : LOG_AUDIT},
                          "%d", i);
        sink.held = false;
        (void)sem_post(&sink.go);
        assert_true(log_stop(VERY_LONG));
        assert_int_equal(sink.n, 200);
        for (int i = 0; i < 200; i++)
                assert_int_equal(atoi(sink.text[i]), i);
}

/* The end waits for a bounded time only.  In a process of its own: its thread stays stuck. */
static void test_the_end_is_bounded(void **state)
{
        pid_t child = fork();
        int status;

        (void)state;
        if (child == 0) {
                uint64_t begin = clock_now_ns();
                bool ok;

                sink.held = true;
                ok = log_start() == 0;
                log_line(LOG_L_INFO, "stuck");
                wait_entered();
                ok = ok && !log_stop(20 * CLOCK_NS_PER_MS) &&
                     clock_now_ns() - begin >= 20 * CLOCK_NS_PER_MS;
                log_line(LOG_L_INFO, "into the void"); /* does not wait either */
                ok = ok && !log_stop(VERY_LONG);
                _exit(ok ? 0 : 1);
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
}

/* A pipe that nobody reads, set non-blocking by whoever shares it: the thread waits, nobody else
 * does, and lines come out whole. */
static void test_a_full_pipe(void **state)
{
        unsigned long long n = 0, lost;
        char line[LOG_LINE_MAX + 1];
        FILE *reader;

        (void)state;
        log_init(fds[1], LOG_L_INFO);
        assert_int_equal(log_start(), 0);
        for (int i = 0; i < 5000; i++)
                log_line(LOG_L_INFO, "%0100d", i);
        assert_int_equal(fcntl(fds[0], F_SETFL, 0), 0);
        log_line(LOG_L_INFO, "end");
        reader = fdopen(dup(fds[0]), "r");
        assert_non_null(reader);
        lost = 0;
        while (n + lost < 5001 && fgets(line, sizeof(line), reader)) {
                unsigned long long more;

                if (sscanf(line, "%llu records lost here", &more) == 1 && strlen(line) != 101)
                        lost += more;
                else
                        n++;
                assert_true(strlen(line) == 101 || strcmp(line, "end\n") == 0 ||
                            strstr(line, "records lost here"));
        }
        (void)fclose(reader);
        assert_int_equal(n + lost, 5001); /* each written or told of */
        assert_true(log_stop(VERY_LONG));
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
        log_init(fds[1], LOG_L_INFO);
        assert_int_equal(log_start(), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, writer, (void *)names[i]), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(log_stop(VERY_LONG));
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
                cmocka_unit_test_setup_teardown(test_control_bytes, start, end),
                cmocka_unit_test_setup_teardown(test_long_lines_are_cut, start, end),
                cmocka_unit_test_setup_teardown(test_a_closed_sink, start, end),
                cmocka_unit_test_setup_teardown(test_errno_is_kept, start, end),
                cmocka_unit_test_setup_teardown(test_fields, start_sink, end_sink),
                cmocka_unit_test_setup_teardown(test_too_many_fields, start_sink, end_sink),
                cmocka_unit_test_setup_teardown(test_a_stuck_sink, start_sink, end_sink),
                cmocka_unit_test_setup_teardown(test_loss_is_told_in_its_place, start_sink,
                                                end_sink),
                cmocka_unit_test_setup_teardown(test_order_across_rings, start_sink, end_sink),
                cmocka_unit_test_setup_teardown(test_the_end_is_bounded, start_sink, end_sink),
                cmocka_unit_test_setup_teardown(test_a_full_pipe, start, end),
                cmocka_unit_test_setup_teardown(test_threads_do_not_mix_lines, start, end),
                cmocka_unit_test_setup_teardown(test_limit, start, end),
                cmocka_unit_test(test_clock),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
