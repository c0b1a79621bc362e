/* SPDX-License-Identifier: MIT */
/* Requests by their number. */

#include "unit/client/verb.h"

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
                return server_json(out, id->u == 1   ? "\"removed\""
                                        : id->u == 2 ? "\"asked\""
                                                     : "\"finished\"");
        if (id->u == 3)
                return server_error(out, "CANCELLED", "by another client", "no");
        if (id->u == 4)
                return server_json(
                        out,
                        "[{\"cpu\": 0, \"fate\": \"DONE\"}, {\"cpu\": 1, \"fate\": \"EXPIRED\"}]");
        return server_json(out, "42");
}

static void test_wait(void **state)
{
        (void)state;
        expect_verb("wait 1", CTL_DONE, "vmreq.wait [1]", "42\n", "");
        expect_verb("wait --timeout 1.5 1", CTL_DONE, "vmreq.wait [1, 1500]", "42\n", "");
        expect_verb("wait 3", CTL_CANCELLED, "vmreq.wait [3]", "",
                    "CANCELLED: by another client (ran: no)");
        expect_verb("wait 4", CTL_TIMEOUT, "vmreq.wait [4]", "cpu 0  DONE\ncpu 1  EXPIRED\n", "");
        expect_verb("wait 9", CTL_REFUSED, "vmreq.wait [9]", "", "NOT_FOUND: no such request");
        expect_verb("wait x", CTL_USAGE, "", "", "'x' is not a request's number");
}

static void test_cancel(void **state)
{
        (void)state;
        expect_verb("cancel 1", CTL_DONE, "vmreq.cancel [1]", "removed\n", "");
        expect_verb("cancel 0x2", CTL_DONE, "vmreq.cancel [2]", "asked\n", "");
        expect_verb("cancel 5", CTL_REFUSED, "vmreq.cancel [5]", "finished\n", "");
        expect_verb("cancel -1", CTL_USAGE, "", "", "unknown option -1");
        expect_verb("release 1", CTL_DONE, "vmreq.release [1]", "", "");
        expect_verb("release 9", CTL_REFUSED, "vmreq.release [9]", "", "NOT_FOUND");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_wait),
                cmocka_unit_test(test_cancel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
