/* SPDX-License-Identifier: MIT */
/* The table of verbs, their help, and 'status' and 'ping' against a server. */

#include "unit/client/server.h"

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        if (server_is(message, "vmreq.ping"))
                return server_result(out, "\xa4pong", 5);
        if (server_is(message, "vmreq.status"))
                return server_result(out, "\x82\xa2vm\xa1t\xa5state\xa7RUNNING", 20);
        return server_error(out, "NOT_FOUND", "no", "no");
}

static void test_ping_and_status(void **state)
{
        struct options json = {.json = OPTIONS_JSON_SHORT};
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, handler);
        run_verb(&run, server.path, NULL, "ping");
        assert_int_equal(run.status, CTL_DONE);
        assert_string_equal(run.out, "pong\n");
        assert_string_equal(run.err, "");
        run_verb(&run, server.path, &json, "ping");
        assert_string_equal(run.out, "\"pong\"\n");
        run_verb(&run, server.path, NULL, "status");
        assert_int_equal(run.status, CTL_DONE);
        assert_string_equal(run.out, "t: RUNNING\n");
        run_verb(&run, server.path, &json, "status");
        assert_string_equal(run.out, "{\"vm\":\"t\",\"state\":\"RUNNING\"}\n");
        server_stop(&server);
}

static void test_usage(void **state)
{
        static const char *const bad[] = {"ping x",      "status x", "describe", "describe a b",
                                          "symbols a b", "call",     "ping --x", "call --x"};
        struct run run;

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                run_verb(&run, "/nonexistent", NULL, bad[i]);
                assert_int_equal(run.status, CTL_USAGE);
                assert_string_equal(run.out, "");
                assert_memory_equal(run.err, "vmreqctl: ", 10);
        }
}

static void test_help(void **state)
{
        char words[64], usage[64];
        struct run run;

        (void)state;
        for (size_t i = 0; i < n_verbs; i++) {
                snprintf(words, sizeof(words), "%s --help", verbs[i].name);
                snprintf(usage, sizeof(usage), "usage: vmreqctl [OPTION...] %s", verbs[i].name);
                run_verb(&run, "/nonexistent", NULL, words);
                assert_int_equal(run.status, CTL_DONE);
                assert_non_null(strstr(run.out, usage));
                assert_string_equal(run.err, "");
                snprintf(words, sizeof(words), "%s --version", verbs[i].name);
                run_verb(&run, "/nonexistent", NULL, words);
                assert_int_equal(run.status, CTL_DONE);
                assert_memory_equal(run.out, "vmreqctl ", 9);
        }
        assert_null(verbs_find("cal"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ping_and_status),
                cmocka_unit_test(test_usage),
                cmocka_unit_test(test_help),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
