/* SPDX-License-Identifier: MIT */
/* The verbs that ask one question. */

#include "client/render.h"
#include "unit/client/server.h"
#include "unit/client/tree.h"

static char asked[1024];

static void note(const struct proto_message *message)
{
        FILE *out = fmemopen(asked, sizeof(asked), "w");

        fprintf(out, "%.*s ", (int)message->method_len, message->method);
        render_inline(out, message->params);
        fclose(out);
}

static bool answer(struct proto_builder *out, const char *json)
{
        struct tree tree;

        tree_from_json(&tree, json);
        proto_put_nil(out);
        proto_put_value(out, tree.root);
        tree_deinit(&tree);
        return true;
}

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        note(message);
        if (server_is(message, "vmreq.ping"))
                return server_result(out, "\xa4pong", 5);
        if (server_is(message, "vmreq.status"))
                return answer(out, "{\"vm\": \"t\", \"state\": \"OFF\"}");
        if (server_is(message, "vmreq.modules"))
                return answer(
                        out,
                        "[{\"name\": \"vm\", \"version\": \"1\", \"doc\": \"The VM.\", \"builtin\": true,"
                        " \"state\": \"loaded\", \"symbols\": 7, \"calls\": 0},"
                        " {\"name\": \"debug\", \"state\": \"draining\", \"symbols\": 0, \"calls\": 2}, 7]");
        if (server_is(message, "vmreq.load"))
                return answer(out, "{\"name\": \"debug\"}");
        return server_error(out, "BUSY", "#7 debug.block still runs", "no");
}

static void expect(const char *words, int status, const char *question, const char *out,
                   const char *err)
{
        struct server server;
        struct run run;

        asked[0] = '\0';
        server_start(&server, handler);
        run_verb(&run, server.path, NULL, words);
        server_stop(&server);
        if (run.status != status || strcmp(asked, question) != 0 || strcmp(run.out, out) != 0 ||
            !strstr(run.err, err) || (*err == '\0' && run.err[0] != '\0'))
                fail_msg("%s: %d, asked '%s', out '%s', err '%s'", words, run.status, asked,
                         run.out, run.err);
}

static void test_questions(void **state)
{
        (void)state;
        expect("ping", CTL_DONE, "vmreq.ping []", "pong\n", "");
        expect("status", CTL_DONE, "vmreq.status []", "t: OFF\n", "");
        expect("modules", CTL_DONE, "vmreq.modules []",
               "NAME   VERSION  STATE     SYMBOLS  CALLS\n"
               "vm     1        built in        7      0  The VM.\n"
               "debug           draining        0      2\n"
               "\n",
               "");
        expect("modules --json", CTL_DONE, "vmreq.modules []",
               "[{\"name\":\"vm\",\"version\":\"1\",\"doc\":\"The VM.\",\"builtin\":true,"
               "\"state\":\"loaded\",\"symbols\":7,\"calls\":0},"
               "{\"name\":\"debug\",\"state\":\"draining\",\"symbols\":0,\"calls\":2},7]\n",
               "");
}

static void test_changes(void **state)
{
        (void)state;
        expect("load debug", CTL_DONE, "vmreq.load [debug]", "", "");
        expect("load --json debug", CTL_DONE, "vmreq.load [debug]", "{\"name\":\"debug\"}\n", "");
        expect("unload debug", CTL_REFUSED, "vmreq.unload [debug]", "",
               "vmreqctl: BUSY: #7 debug.block still runs; try again later");
        expect("unload --timeout 500ms debug", CTL_REFUSED, "vmreq.unload [debug, 500]", "",
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
