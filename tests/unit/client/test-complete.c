/* SPDX-License-Identifier: MIT */
/* Candidates for the last word, with a daemon and without. */

#include "client/complete.h"
#include "unit/client/server.h"

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        if (server_is(message, "vmreq.symbols"))
                return server_json(out,
                                   "[\"debug.add\", \"debug.echo\", \"x\\u001b.y\", \"$(id).z\"]");
        if (server_is(message, "vmreq.describe"))
                return server_json(out, "{\"params\": [{\"name\": \"a\", \"type\": \"bool\"},"
                                        " {\"name\": \"data\", \"type\": \"bytes\"}]}");
        if (server_is(message, "vmreq.modules"))
                return server_json(out, "[{\"name\": \"debug\"}]");
        if (server_is(message, "vmreq.ps"))
                return server_json(out, "{\"requests\": [{\"id\": 17}, {\"id\": 18}]}");
        return server_json(out, "{\"emts\": [1, 2]}");
}

/* The words are split at blanks; a blank at the end begins an empty one. */
static void expect(struct ctl *ctl, const char *line, const char *expected)
{
        struct complete_list list = {0};
        char copy[256], got[1024] = "";
        const char *words[16];
        size_t n = 0;

        snprintf(copy, sizeof(copy), "%s", line);
        for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
                words[n++] = word;
        if (n == 0 || line[strlen(line) - 1] == ' ')
                words[n++] = "";
        complete_words(ctl, words, n, &list);
        for (size_t i = 0; i < list.n; i++) {
                strcat(got, i > 0 ? " " : "");
                strcat(got, list.items[i]);
        }
        if (list.files)
                strcat(got, ":files");
        complete_deinit(&list);
        complete_deinit(&list);
        if (strcmp(got, expected) != 0)
                fail_msg("%s| : '%s', not '%s'", line, got, expected);
}

static void test_words(void **state)
{
        static struct ctl ctl;
        struct server server;

        (void)state;
        server_start(&server, handler);
        ctl.options.socket = server.path;
        expect(&ctl, "st", "status stats stdio");
        expect(&ctl, "--js", "--json");
        expect(&ctl, "--json=", "--json=short --json=pretty");
        expect(&ctl, "--json=p", "--json=pretty");
        expect(&ctl, "--timeout 5 pi", "ping");
        expect(&ctl, "-s ", ":files");
        expect(&ctl, "dump ", ":files");
        expect(&ctl, "dump --no", "--no-suspend");
        expect(&ctl, "dump x ", "");
        expect(&ctl, "console --es", "--escape=");
        expect(&ctl, "console -e ^a --st", "--stay");
        expect(&ctl, "call --c", "--cpu=");
        expect(&ctl, "call --on-error ", "stop continue");
        expect(&ctl, "call --cpu ", "any any-queue all all-reverse 0 1");
        expect(&ctl, "call --cpu=all", "--cpu=all --cpu=all-reverse");
        expect(&ctl, "call debug.", "debug.add debug.echo");
        expect(&ctl, "call --priority --cpu 1 debug.a", "debug.add");
        expect(&ctl, "call ", "debug.add debug.echo");
        expect(&ctl, "call x.y ", "true false a= data=");
        expect(&ctl, "call x.y t", "true");
        expect(&ctl, "call x.y a=", "a=true a=false");
        expect(&ctl, "call x.y a=true ", "data=");
        expect(&ctl, "call x.y true @", ":files");
        expect(&ctl, "describe debug.e", "debug.echo");
        expect(&ctl, "unload ", "debug");
        expect(&ctl, "why 1", "17 18");
        expect(&ctl, "watch e", "emt.stuck");
        expect(&ctl, "wait-state R", "RUNNING");
        expect(&ctl, "ps --state ", "queued running");
        expect(&ctl, "nonsense ", "");
        expect(&ctl, "ping --help x", "");
        server_stop(&server);
        expect(&ctl, "call debug.", "");
        expect(&ctl, "call ", "");
        expect(&ctl, "pin", "ping");
}

/* Over another host nothing is asked. */
static void test_remote(void **state)
{
        static struct ctl ctl;

        (void)state;
        setenv("PATH", "/nonexistent", 1);
        expect(&ctl, "-H host call debug.", "");
        expect(&ctl, "-H host pin", "ping");
}

static void test_in_shell(void **state)
{
        static struct ctl ctl;
        struct server server;

        (void)state;
        server_start(&server, handler);
        ctl.options.socket = server.path;
        ctl_set_patience(&ctl, 0);
        assert_int_equal(ctl_connect(&ctl), CTL_DONE);
        ctl.shell = true;
        expect(&ctl, "debug.a", "debug.add");
        expect(&ctl, "debug.add d", "data=");
        ctl_disconnect(&ctl);
        server_stop(&server);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_remote),
                cmocka_unit_test(test_in_shell),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
