/* SPDX-License-Identifier: MIT */
/* The verbs that ask one question. */

#include "unit/client/verb.h"

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        note(message);
        if (server_is(message, "vmreq.ping"))
                return server_result(out, "\xa4pong", 5);
        if (server_is(message, "vmreq.status"))
                return server_json(out, "{\"vm\": \"t\", \"state\": \"OFF\"}");
        if (server_is(message, "vmreq.modules"))
                return server_json(
                        out,
                        "[{\"name\": \"vm\", \"version\": \"1\", \"doc\": \"The VM.\", \"builtin\": true,"
                        " \"state\": \"loaded\", \"symbols\": 7, \"calls\": 0},"
                        " {\"name\": \"debug\", \"state\": \"draining\", \"symbols\": 0, \"calls\": 2}, 7]");
        if (server_is(message, "vmreq.load"))
                return server_json(out, "{\"name\": \"debug\"}");
        return server_error(out, "BUSY", "#7 debug.block still runs", "no");
}

static void test_questions(void **state)
{
        (void)state;
        expect_verb("ping", CTL_DONE, "vmreq.ping []", "pong\n", "");
        expect_verb("status", CTL_DONE, "vmreq.status []", "t: OFF\n", "");
        expect_verb("modules", CTL_DONE, "vmreq.modules []",
                    "NAME   VERSION  STATE     SYMBOLS  CALLS\n"
                    "vm     1        built in        7      0  The VM.\n"
                    "debug           draining        0      2\n"
                    "\n",
                    "");
        expect_verb("modules --json", CTL_DONE, "vmreq.modules []",
                    "[{\"name\":\"vm\",\"version\":\"1\",\"doc\":\"The VM.\",\"builtin\":true,"
                    "\"state\":\"loaded\",\"symbols\":7,\"calls\":0},"
                    "{\"name\":\"debug\",\"state\":\"draining\",\"symbols\":0,\"calls\":2},7]\n",
                    "");
}

static void test_changes(void **state)
{
        (void)state;
        expect_verb("load debug", CTL_DONE, "vmreq.load [debug]", "", "");
        expect_verb("load --json debug", CTL_DONE, "vmreq.load [debug]", "{\"name\":\"debug\"}\n",
                    "");
        expect_verb("unload debug", CTL_REFUSED, "vmreq.unload [debug]", "",
                    "vmreqctl: BUSY: #7 debug.block still runs; try again later");
        expect_verb("unload --timeout 500ms debug", CTL_REFUSED, "vmreq.unload [debug, 500]", "",
                    "BUSY");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_questions),
                cmocka_unit_test(test_changes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
