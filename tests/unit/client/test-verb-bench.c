/* SPDX-License-Identifier: MIT */
/* Calls again and again: what goes out, what is counted, what is refused.  How fast is not asked.
 */

#include "unit/client/verb.h"

static unsigned n_calls, fail_each;

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        if (server_is(message, "vmreq.describe"))
                return server_json(out, "{\"name\": \"a.b\", \"params\": [{\"name\": \"x\", "
                                        "\"type\": \"u32\"}], \"result\": \"u32\", \"flags\": []}");
        n_calls++;
        note(message);
        if (fail_each && n_calls % fail_each == 0)
                return server_error(out, n_calls % 2 ? "FAILED" : "BUSY", "it is", "no");
        return server_result(out, "\x2a", 1);
}

static void bench(struct run *run, const char *words)
{
        struct server server;

        n_calls = 0;
        asked[0] = '\0';
        server_start(&server, handler);
        run_verb(run, server.path, NULL, words);
        server_stop(&server);
}

static void expect(const char *words, int status, unsigned calls, const char *out, const char *err)
{
        struct run run;

        bench(&run, words);
        if (run.status != status || n_calls != calls || !strstr(run.out, out) ||
            !strstr(run.err, err) || (*err == '\0' && run.err[0] != '\0'))
                fail_msg("%s: %d, %u calls, out '%s', err '%s'", words, run.status, n_calls,
                         run.out, run.err);
}

/* One call alone before the others. */
static void test_counted(void **state)
{
        (void)state;
        expect("bench --calls 7", CTL_DONE, 8, "vmreq.ping: 1 connection, 1 call in flight on each",
               "");
        assert_string_equal(asked, "vmreq.ping []");
        expect("bench --calls 100 --depth 16 a.b 5", CTL_DONE, 101,
               "a.b: 1 connection, 16 calls in flight on each\n100 calls in ", "");
        assert_non_null(strstr(asked, "vmreq.call [a.b, [5]"));
        expect("bench --calls 3 --depth 1000 a.b 5", CTL_DONE, 4, "3 calls in ", "");
        expect("bench --calls 2 --histogram a.b 5", CTL_DONE, 3, "#\n", "");
        expect("bench --calls 2 --json a.b 5", CTL_DONE, 3,
               "{\"symbol\":\"a.b\",\"clients\":1,\"depth\":1,\"seconds\":", "");
}

/* What fails is counted by its name, and the rest goes on. */
static void test_failures(void **state)
{
        struct run run;

        (void)state;
        fail_each = 5;
        bench(&run, "bench --calls 19 a.b 1");
        fail_each = 0;
        assert_int_equal(n_calls, 20);
        assert_int_equal(run.status, CTL_FAILED); /* as the first of them */
        assert_non_null(strstr(run.out, "19 calls in "));
        assert_non_null(strstr(run.out, "2 failed: FAILED\n"));
        assert_non_null(strstr(run.out, "2 failed: BUSY\n"));
}

/* The first call says what is wrong with all of them. */
static void test_refused(void **state)
{
        (void)state;
        fail_each = 1;
        expect("bench a.b 1", CTL_FAILED, 1, "", "FAILED: it is");
        fail_each = 0;
        expect("bench a.b x", CTL_REFUSED, 0, "", "expected u32");
        expect("bench --clients 0", CTL_USAGE, 0, "", "--clients is 1 to 1000, not 0");
        expect("bench --depth 1001 a.b 1", CTL_USAGE, 0, "", "--depth is 1 to 1000, not 1001");
        expect("bench --seconds 0", CTL_USAGE, 0, "", "--seconds is 1 to");
        expect("bench --calls 0", CTL_USAGE, 0, "", "--calls is 1 to");
}

/* The server hangs up in the middle. */
static bool hang_up(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        (void)message;
        if (++n_calls > 3)
                return false;
        return server_result(out, "\xa4pong", 5);
}

static void test_lost(void **state)
{
        struct server server;
        struct run run;

        (void)state;
        n_calls = 0;
        server_start(&server, hang_up);
        run_verb(&run, server.path, NULL, "bench --calls 9");
        server_stop(&server);
        assert_int_equal(run.status, CTL_LOST);
        assert_non_null(strstr(run.err, "vmreqctl: bench: "));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_counted),
                cmocka_unit_test(test_failures),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_lost),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
