/* SPDX-License-Identifier: MIT */
/* The console with standard input from a pipe; at a terminal: tests/integration/console.py. */

#include "unit/client/server.h"

static char typed[256]; /* what console.write was given */
static unsigned n_writes;

/* What the server does, apart from answering. */
static struct {
        const char *refused; /* a topic, or console.write */
        const char *state;   /* to which the VM changes when something was typed */
        unsigned gone_at;    /* hangs up at this write; 0: at none */
        unsigned takes;      /* of what is typed, at a time; 0: all */
} plan;

static bool subscribe(struct server *server, const struct proto_value *topic,
                      struct proto_builder *out)
{
        if (plan.refused && proto_value_is_text(topic, plan.refused))
                return server_error(out, "NOT_FOUND", "no such topic", "no");
        if (proto_value_is_text(topic, "vm.state")) {
                server_event(&server->after, "vm.state",
                             "{\"state\": \"OFF\"}"); /* it is: no news */
                server_event(&server->after, "vm.state", "{\"ready\": true}");
        } else {
                server_event(&server->after, "console", "{\"data\": {\"$bytes\": \"1b5b324a\"}}");
                server_event(&server->after, "console", "{\"ready\": true}");
                server_event(&server->after, "console", "{\"lost\": 7}");
        }
        return server_result(out, "\xc0", 1);
}

static bool console_write(struct server *server, const struct proto_value *bytes,
                          struct proto_builder *out)
{
        size_t n = bytes->count;
        char json[64];

        n_writes++;
        if (n_writes == plan.gone_at)
                return false;
        if (plan.refused && strcmp(plan.refused, "console.write") == 0)
                return server_error(out, "NOT_FOUND", "no symbol console.write", "no");
        n = plan.takes && n > plan.takes ? plan.takes : n;
        strncat(typed, bytes->data, n);
        if (plan.state) {
                server_event(&server->after, "console", "{\"data\": {\"$bytes\": \"627965\"}}");
                snprintf(json, sizeof(json), "{\"state\": \"%s\", \"reason\": \"a\\u001bb\"}",
                         plan.state);
                server_event(&server->after, "vm.state", json);
        }
        proto_put_nil(out);
        proto_put_uint(out, n);
        return true;
}

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        const struct proto_value *items = message->params->items;

        if (server_is(message, "vmreq.subscribe"))
                return subscribe(server, &items[0], out);
        assert_true(server_is(message, "vmreq.call"));
        assert_true(proto_value_is_text(&items[0], "console.write"));
        return console_write(server, &items[1].items[0], out);
}

/* `input` NULL: nothing comes, and no end either. */
static void console(const char *words, const char *input, struct run *run)
{
        int fds[2], saved = dup(STDIN_FILENO);
        struct server server;

        typed[0] = '\0';
        n_writes = 0;
        assert_int_equal(pipe(fds), 0);
        if (input)
                assert_int_equal(write(fds[1], input, strlen(input)), strlen(input));
        if (input)
                close(fds[1]);
        dup2(fds[0], STDIN_FILENO);
        close(fds[0]);
        server_start(&server, handler);
        run_verb(run, server.path, NULL, words);
        server_stop(&server);
        dup2(saved, STDIN_FILENO);
        close(saved);
        if (!input)
                close(fds[1]);
}

static void expect(const char *words, const char *input, int status, const char *out,
                   const char *err)
{
        struct run run;

        console(words, input, &run);
        if (run.status != status || (out && strcmp(run.out, out) != 0) || !strstr(run.err, err))
                fail_msg("%s: %d, out '%s', err '%s'", words, run.status, run.out, run.err);
}

static int start(void **state)
{
        (void)state;
        memset(&plan, 0, sizeof(plan));
        return 0;
}

static void test_ends(void **state)
{
        (void)state;
        expect("console --hang-up", "abc", CTL_DONE, "\x1b[2J", "7 bytes were lost");
        assert_string_equal(typed, "abc");
        expect("console --timeout 1ms", "abc", CTL_TIMEOUT, NULL, "TIMEOUT");
        expect("console --timeout 1ms", NULL, CTL_TIMEOUT, NULL, "TIMEOUT");
        assert_int_equal(n_writes, 0);
        plan.gone_at = 1;
        expect("console", "q", CTL_LOST, "\x1b[2J", "closed the connection");
}

static void test_the_vm_ends(void **state)
{
        (void)state;
        plan.state = "OFF";
        expect("console", "q", CTL_DONE, "\x1b[2Jbye", "the VM is OFF: a\\x1bb\n");
        /* These end nothing, so it gets to the second write. */
        plan.takes = 1;
        plan.gone_at = 2;
        plan.state = "FAILED";
        expect("console --stay", "qq", CTL_LOST, "\x1b[2Jbye", "the VM is FAILED");
        plan.state = "SUSPENDED";
        expect("console", "qq", CTL_LOST, "\x1b[2Jbye", "closed the connection");
}

static void test_what_does_not_fit_comes_later(void **state)
{
        (void)state;
        plan.takes = 2;
        expect("console --hang-up", "abcdefg", CTL_DONE, "\x1b[2J", "");
        assert_string_equal(typed, "abcdefg");
        assert_int_equal(n_writes, 4);
}

static void test_refusals(void **state)
{
        (void)state;
        plan.refused = "console";
        expect("console", "x", CTL_REFUSED, "", "NOT_FOUND: no such topic");
        plan.refused = "vm.state"; /* can be done without */
        expect("console --hang-up", "x", CTL_DONE, "\x1b[2J", "");
        plan.refused = "console.write";
        expect("console --hang-up", "x", CTL_REFUSED, "\x1b[2J", "NOT_FOUND: no symbol");
        plan.refused = NULL;
        expect("console --json", "x", CTL_USAGE, "", "--json watch console");
        expect("console --escape ctrl", "x", CTL_USAGE, "", "--escape");
        expect("console --escape ^! --hang-up", "x", CTL_USAGE, "", "--escape");
        expect("console --escape ^a --hang-up", "x", CTL_DONE, "\x1b[2J", "");
        expect("console -e none --hang-up", "x", CTL_DONE, "\x1b[2J", "");
        expect("console more", "x", CTL_USAGE, "", "too many words");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, start)
        const struct CMUnitTest tests[] = {
                TEST(test_ends),
                TEST(test_the_vm_ends),
                TEST(test_what_does_not_fit_comes_later),
                TEST(test_refusals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
