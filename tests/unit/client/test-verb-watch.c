/* SPDX-License-Identifier: MIT */
/* Events as lines, and waiting for a state. */

#include "unit/client/verb.h"

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        struct proto_builder *events = &server->after;

        note(message);
        server_event(events, "vm.state", "{\"state\": \"CREATED\"}");
        server_event(events, "vm.state", "{\"ready\": true}");
        server_event(
                events, "vm.state",
                "{\"state\": \"RUNNING\", \"previous\": \"CREATED\", \"reason\": \"a\\u001bb\"}");
        if (proto_value_is_text(&message->params->items[0], "console")) {
                events->len = 0;
                server_event(events, "console", "{\"data\": {\"$bytes\": \"68690d0a1b5b324a\"}}");
                server_event(events, "console", "{\"ready\": true}");
                server_event(events, "console", "{\"lost\": 7}");
        }
        if (message->params->count > 1) {
                server_event(events, "emt.stuck", "{\"ready\": true}");
                server_event(events, "request", "{\"ready\": true}");
                server_event(events, "emt.stuck",
                             "{\"cpu\": 1, \"stuck\": true, \"id\": 7, \"symbol\": \"a.b\"}");
                server_event(events, "request",
                             "{\"id\": 7, \"symbol\": \"a.b\", \"fate\": \"DONE\", \"status\": -5,"
                             " \"queued_us\": 1500, \"run_us\": 7, \"caller\": {\"uid\": 5}}");
                server_event(events, "request", "{\"lost\": 3}");
                server_event(events, "other", "[1]");
        }
        return server_result(out, "\xc0", 1);
}

/* Without the time in front. */
static void cut_times(char *text)
{
        char *to = text;

        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
                size_t len = strlen(line + 14);

                memmove(to, line + 14, len);
                to += len;
                *to++ = '\n';
        }
        *to = '\0';
}

static void test_text(void **state)
{
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, handler);
        run_verb(&run, server.path, NULL, "watch --count 4");
        server_stop(&server);
        assert_string_equal(asked, "vmreq.subscribe [vm.state, emt.stuck, request]");
        assert_int_equal(run.status, CTL_DONE);
        cut_times(run.out);
        assert_string_equal(
                run.out, "vm.state  CREATED\n"
                         "vm.state  ready: what is above was so, what follows is new\n"
                         "vm.state  CREATED -> RUNNING, a\\x1bb\n"
                         "emt.stuck  ready: what is above was so, what follows is new\n"
                         "request  ready: what is above was so, what follows is new\n"
                         "emt.stuck  cpu 1 stuck: #7 a.b\n"
                         "request  #7 a.b DONE status -5, queued 1.500 ms, ran 0.007 ms, of uid 5\n"
                         "request  3 events were lost: they came faster than they were read\n"
                         "other  [1]\n");
}

/* Into a file, as the guest wrote it. */
static void test_console(void **state)
{
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, handler);
        run_verb(&run, server.path, NULL, "watch --count 1 console");
        server_stop(&server);
        assert_int_equal(run.status, CTL_DONE);
        assert_memory_equal(run.out, "hi\r\n\x1b[2J", 8);
        assert_non_null(strstr(run.out, "console  7 bytes were lost"));
}

static void test_json(void **state)
{
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, handler);
        run_verb(&run, server.path, NULL, "watch --count 1 --json vm.state");
        server_stop(&server);
        assert_int_equal(run.status, CTL_DONE);
        assert_string_equal(run.out, "{\"topic\":\"vm.state\",\"data\":{\"state\":\"CREATED\"}}\n"
                                     "{\"topic\":\"vm.state\",\"data\":{\"ready\":true}}\n"
                                     "{\"topic\":\"vm.state\",\"data\":{\"state\":\"RUNNING\","
                                     "\"previous\":\"CREATED\",\"reason\":\"a\\u001Bb\"}}\n");
}

static void test_wait_state(void **state)
{
        (void)state;
        expect_verb("wait-state created", CTL_DONE, "vmreq.subscribe [vm.state]", "CREATED\n", "");
        expect_verb("wait-state OFF RUNNING", CTL_DONE, "vmreq.subscribe [vm.state]", "RUNNING\n",
                    "");
        expect_verb("wait-state --timeout 1ms OFF", CTL_TIMEOUT, "vmreq.subscribe [vm.state]", "",
                    "TIMEOUT");
        expect_verb("wait-state OF", CTL_USAGE, "", "", "did you mean 'OFF'?");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_console),
                cmocka_unit_test(test_json),
                cmocka_unit_test(test_wait_state),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
