/* SPDX-License-Identifier: MIT */
/* Requests by their number. */

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
        const struct proto_value *id = &message->params->items[0];

        (void)server;
        note(message);
        if (id->u == 9)
                return server_error(out, "NOT_FOUND", "no such request", "maybe");
        if (server_is(message, "vmreq.release"))
                return server_result(out, "\xc0", 1);
        if (server_is(message, "vmreq.cancel"))
                return answer(out, id->u == 1   ? "\"removed\""
                                   : id->u == 2 ? "\"asked\""
                                                : "\"finished\"");
        if (id->u == 3)
                return server_error(out, "CANCELLED", "by another client", "no");
        if (id->u == 4)
                return answer(
                        out,
                        "[{\"cpu\": 0, \"fate\": \"DONE\"}, {\"cpu\": 1, \"fate\": \"EXPIRED\"}]");
        return answer(out, "42");
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

static void test_wait(void **state)
{
        (void)state;
        expect("wait 1", CTL_DONE, "vmreq.wait [1]", "42\n", "");
        expect("wait --timeout 1.5 1", CTL_DONE, "vmreq.wait [1, 1500]", "42\n", "");
        expect("wait 3", CTL_CANCELLED, "vmreq.wait [3]", "",
               "CANCELLED: by another client (ran: no)");
        expect("wait 4", CTL_TIMEOUT, "vmreq.wait [4]", "cpu 0  DONE\ncpu 1  EXPIRED\n", "");
        expect("wait 9", CTL_REFUSED, "vmreq.wait [9]", "", "NOT_FOUND: no such request");
        expect("wait x", CTL_USAGE, "", "", "'x' is not a request's number");
}

static void test_cancel(void **state)
{
        (void)state;
        expect("cancel 1", CTL_DONE, "vmreq.cancel [1]", "removed\n", "");
        expect("cancel 0x2", CTL_DONE, "vmreq.cancel [2]", "asked\n", "");
        expect("cancel 5", CTL_REFUSED, "vmreq.cancel [5]", "finished\n", "");
        expect("cancel -1", CTL_USAGE, "", "", "unknown option -1");
        expect("release 1", CTL_DONE, "vmreq.release [1]", "", "");
        expect("release 9", CTL_REFUSED, "vmreq.release [9]", "", "NOT_FOUND");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_wait),
                cmocka_unit_test(test_cancel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
