/* SPDX-License-Identifier: MIT */
/* Listings in pages, filters, and what a request waits for. */

#include "unit/client/verb.h"

static unsigned n_pages;

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        const struct proto_value *wish = &message->params->items[0];

        (void)server;
        note(message);
        if (server_is(message, "vmreq.why"))
                return server_json(
                        out,
                        "{\"id\": 8, \"symbol\": \"a.c\", \"state\": \"queued\", \"age_ms\": 5,"
                        " \"ahead\": 2, \"dead\": 1, \"text\": \"It waits.\","
                        " \"running\": [{\"id\": 7, \"symbol\": \"a.b\", \"state\": \"running\","
                        " \"running_ms\": 9}]}");
        n_pages++;
        if (proto_value_map_get(wish, "filter"))
                return server_json(out, "{\"requests\": [], \"more\": 0, \"next\": null}");
        if (proto_value_map_get(wish, "after"))
                return server_json(out,
                                   "{\"requests\": [{\"id\": 8}], \"more\": 0, \"next\": null}");
        return server_json(
                out,
                "{\"requests\": [{\"id\": 7, \"symbol\": \"a.b\"}], \"more\": 1, \"next\": \"c\"}");
}

static void test_ps(void **state)
{
        static const char head[] = "ID  SYMBOL  CPU  STATE  AGE  RUNNING  LEFT  CALLER  NOTES\n";
        char text[256];

        (void)state;
        snprintf(text, sizeof(text), "%s 7  a.b\n1 more; --all shows them\n", head);
        expect_verb("ps", CTL_DONE, "vmreq.ps [{}]", text, "");
        expect_verb("ps --limit 1", CTL_DONE, "vmreq.ps [{limit: 1}]", text, "");
        snprintf(text, sizeof(text), "%s 7  a.b\n 8\n", head);
        n_pages = 0;
        expect_verb("ps --all", CTL_DONE, "vmreq.ps [{limit: 1000, after: c}]", text, "");
        assert_int_equal(n_pages, 2);
        expect_verb("ps --symbol a.* --state queued --uid 5 --cpu any", CTL_DONE,
                    "vmreq.ps [{filter: {symbol: a.*, state: queued, uid: 5, cpu: any}}]", "", "");
        expect_verb("ps --cpu 3 --json", CTL_DONE, "vmreq.ps [{filter: {cpu: 3}}]", "[]\n", "");
        expect_verb("ps --all --limit 1", CTL_USAGE, "", "", "exclude each other");
        expect_verb("ps --limit 0", CTL_USAGE, "", "", "--limit 0: expected 1 to 1000");
        expect_verb("ps --limit 1001", CTL_USAGE, "", "", "--limit 1001: expected 1 to 1000");
}

/* A server whose list has no end does not keep us. */
static bool endless(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        (void)message;
        return server_json(out, "{\"requests\": [], \"more\": 1, \"next\": \"again\"}");
}

static void test_endless(void **state)
{
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, endless);
        run_verb(&run, server.path, NULL, "ps --all");
        server_stop(&server);
        assert_int_equal(run.status, CTL_DONE);
        assert_true(server.n_requests <= 100);
}

static void test_why(void **state)
{
        (void)state;
        expect_verb("why 8", CTL_DONE, "vmreq.why [8]",
                    "#8 a.c, queued for 5 ms\nIt waits.\n"
                    "1 cancelled or expired ones still hold a place there\n"
                    "  #7 a.b, running for 9 ms\n",
                    "");
        expect_verb("why me", CTL_USAGE, "", "", "'me' is not a request's number");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ps),
                cmocka_unit_test(test_endless),
                cmocka_unit_test(test_why),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
