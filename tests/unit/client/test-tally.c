/* SPDX-License-Identifier: MIT */
/* What was counted, and every line that is said of it, word for word. */

#include "client/tally.h"
#include "unit/client/server.h"

static struct tally one(uint64_t took_ns)
{
        return (struct tally){.name = "a.b",
                              .n_clients = 1,
                              .depth = 1,
                              .took_ns = took_ns,
                              .latency = LATENCY_NULL};
}

static const char *printed(const struct tally *tally, bool histogram)
{
        static char text[8192];
        int saved, file;

        fflush(stdout);
        file = run_redirect(1, &saved);
        tally_print(tally, histogram);
        fflush(stdout);
        run_restore(1, file, saved, text, sizeof(text));
        return text;
}

static const char *printed_json(const struct tally *tally)
{
        static struct ctl ctl = {.options.json = OPTIONS_JSON_SHORT};
        static char text[8192];
        int saved, file, r;

        fflush(stdout);
        file = run_redirect(1, &saved);
        r = tally_print_json(&ctl, tally);
        fflush(stdout);
        run_restore(1, file, saved, text, sizeof(text));
        assert_int_equal(r, CTL_DONE);
        return text;
}

/* Of equal ones, all figures are the same. */
static void test_text(void **state)
{
        struct tally tally = one(2000000000);

        (void)state;
        for (unsigned i = 0; i < 5; i++)
                tally_note_result(&tally, 1500);
        assert_string_equal(printed(&tally, false),
                            "a.b: 1 connection, 1 call in flight on each\n"
                            "5 calls in 2.00 s, 2 per second\n"
                            "least 1.5 us, mean 1.5 us, 50 % 1.5 us, 90 % 1.5 us, 99 % 1.5 us, "
                            "99.9 % 1.5 us, most 1.5 us\n");
        tally.n_clients = 3;
        tally.depth = 2;
        assert_non_null(
                strstr(printed(&tally, false), "a.b: 3 connections, 2 calls in flight on each\n"));
}

static void test_units(void **state)
{
        struct tally tally = one(1);

        (void)state;
        tally_note_result(&tally, 900);
        tally_note_result(&tally, 1250000);
        tally_note_result(&tally, 2998749100);
        assert_non_null(strstr(printed(&tally, false), "\nleast 0.9 us, mean 1.00 s, 50 % 1."));
        assert_non_null(strstr(printed(&tally, false), ", 99.9 % 3.00 s, most 3.00 s\n"));

        tally = one(1);
        tally_note_result(&tally, 999949);
        assert_non_null(strstr(printed(&tally, false), "\nleast 999.9 us,"));
        tally = one(1);
        tally_note_result(&tally, 1000000);
        assert_non_null(strstr(printed(&tally, false), "\nleast 1.00 ms,"));
        tally = one(1);
        tally_note_result(&tally, 1000000000);
        assert_non_null(strstr(printed(&tally, false), "\nleast 1.00 s,"));
}

/* The longest bar is of 40; who has too few for one has none. */
static void test_histogram(void **state)
{
        struct tally tally = one(1000000000);
        char expected[256], bar[41];

        (void)state;
        for (unsigned i = 0; i < 80; i++)
                tally_note_result(&tally, 1100);
        for (unsigned i = 0; i < 20; i++)
                tally_note_result(&tally, 5000);
        tally_note_result(&tally, 70000);
        memset(bar, '#', 40);
        bar[40] = '\0';
        (void)snprintf(expected, sizeof(expected),
                       "\n           1.0 us            80  %s\n"
                       "           4.1 us            20  %.10s\n"
                       "          65.5 us             1\n",
                       bar, bar);
        assert_non_null(strstr(printed(&tally, true), expected));
        assert_null(strchr(printed(&tally, false), '#'));
}

/* No answer at all; and no answer but errors. */
static void test_nothing(void **state)
{
        struct tally tally = one(0);

        (void)state;
        assert_string_equal(printed(&tally, true), "a.b: 1 connection, 1 call in flight on each\n"
                                                   "0 calls in 0.00 s, 0 per second\n");
        assert_string_equal(
                printed_json(&tally),
                "{\"symbol\":\"a.b\",\"clients\":1,\"depth\":1,\"seconds\":0.0,\"calls\":0,"
                "\"rate\":0.0,\"failed\":{},\"latency_us\":{\"least\":0.0,\"mean\":0.0,"
                "\"p50\":0.0,\"p90\":0.0,\"p99\":0.0,\"p999\":0.0,\"most\":0.0},"
                "\"histogram\":[]}\n");
        tally.took_ns = 500000000;
        tally_note_failure(&tally, "BUSY");
        tally_note_failure(&tally, "BUSY");
        assert_string_equal(printed(&tally, true), "a.b: 1 connection, 1 call in flight on each\n"
                                                   "2 calls in 0.50 s, 4 per second\n"
                                                   "2 failed: BUSY\n");
}

static void test_failures(void **state)
{
        struct tally tally = one(1000000000);

        (void)state;
        tally_note_failure(&tally, "BUSY");
        tally_note_result(&tally, 1000);
        tally_note_failure(&tally, "a name of more than 31 letters, one");
        tally_note_failure(&tally, "BUSY");
        tally_note_failure(&tally, "a name of more than 31 letters, two");
        tally_note_failure(&tally, "BUS");
        tally_note_failure(&tally, "\x1b[2J");
        assert_int_equal(tally.n_done, 7);
        assert_int_equal(tally.n_failed, 6);
        assert_int_equal(tally.latency.n, 1);
        assert_non_null(strstr(printed(&tally, false), "\n7 calls in 1.00 s, 7 per second\n"
                                                       "2 failed: BUSY\n"
                                                       "2 failed: a name of more than 31 letters,\n"
                                                       "1 failed: BUS\n"
                                                       "1 failed: \\x1b[2J\n"
                                                       "least "));
}

/* A server may think of any number of names; there is room for 16. */
static void test_many_failures(void **state)
{
        struct tally tally = one(1000000000);
        char name[8];

        (void)state;
        for (unsigned i = 0; i < 20; i++) {
                (void)snprintf(name, sizeof(name), "E%u", i);
                tally_note_failure(&tally, name);
        }
        tally_note_failure(&tally, "E3");
        assert_int_equal(tally.n_failures, TALLY_FAILURES_MAX);
        assert_int_equal(tally.n_failed, 21);
        assert_int_equal(tally.failures[3].n, 2);
        assert_int_equal(tally.failures[14].n, 1);
        assert_string_equal(tally.failures[15].name, "E15");
        assert_int_equal(tally.failures[15].n, 5); /* E15 to E19 */
}

static void test_json(void **state)
{
        struct tally tally = one(500000000);

        (void)state;
        tally.n_clients = 4;
        tally.depth = 8;
        tally_note_result(&tally, 1); /* the first octave begins at 0 */
        tally_note_result(&tally, 4999);
        tally_note_failure(&tally, "BUSY");
        assert_string_equal(
                printed_json(&tally),
                "{\"symbol\":\"a.b\",\"clients\":4,\"depth\":8,\"seconds\":0.5,\"calls\":3,"
                "\"rate\":6.0,\"failed\":{\"BUSY\":1},\"latency_us\":{\"least\":0.001,"
                "\"mean\":2.5,\"p50\":4.999,\"p90\":4.999,\"p99\":4.999,\"p999\":4.999,"
                "\"most\":4.999},\"histogram\":[{\"from_us\":0.0,\"calls\":1},"
                "{\"from_us\":4.096,\"calls\":1}]}\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),      cmocka_unit_test(test_units),
                cmocka_unit_test(test_histogram), cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_failures),  cmocka_unit_test(test_many_failures),
                cmocka_unit_test(test_json),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
