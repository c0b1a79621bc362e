/* SPDX-License-Identifier: MIT */
/* A call that streams, and one that Ctrl-C ends: what is shown, in which order, and the exit. */

#include <signal.h>

#include "client/running.h"
#include "unit/client/server.h"

static uint32_t held; /* the message id of a call that is not answered yet */

static void put_piece(struct proto_builder *out, const char *method, uint32_t msgid, int seq,
                      const char *value, size_t len)
{
        proto_put_notify(out, method, seq < 0 ? 2 : 3);
        proto_put_uint(out, msgid);
        if (seq >= 0)
                proto_put_int(out, seq);
        proto_put_raw(out, value, len);
}

#define ROW0                                                                                       \
        "\x82\xa3"                                                                                 \
        "cpu\x00\xa4"                                                                              \
        "fate\xa4"                                                                                 \
        "DONE"
#define ROW1                                                                                       \
        "\x82\xa3"                                                                                 \
        "cpu\x01\xa4"                                                                              \
        "fate\xa7"                                                                                 \
        "SKIPPED"

static bool put_describe(const struct proto_value *symbol, struct proto_builder *out)
{
        bool all = proto_value_is_text(symbol, "x.rows");

        proto_put_nil(out);
        proto_put_map(out, 3);
        proto_put_text(out, "name");
        proto_put_value(out, symbol);
        proto_put_text(out, "cpu");
        proto_put_text(out, all ? "all" : "any");
        proto_put_text(out, "flags");
        proto_put_array(out, 1);
        proto_put_text(out, proto_value_is_text(symbol, "x.chunks") ? "streaming" : "words");
        return true;
}

/* Ctrl-C comes when the call is there; the answer to it, with the verdict before or behind. */
static bool cancel(struct server *server, const struct proto_message *message,
                   struct proto_builder *out)
{
        bool first = held & 1;
        struct proto_builder *to = first ? &server->after : &server->before;

        (void)message;
        proto_put_response(to, held & ~UINT32_C(1));
        server_error(to, "CANCELLED", "cancelled by its caller", "no");
        return server_result(out, "\xa7removed", 8);
}

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        const struct proto_value *symbol = &message->params->items[0];

        if (server_is(message, "vmreq.describe"))
                return put_describe(symbol, out);
        if (server_is(message, "vmreq.cancel"))
                return cancel(server, message, out);
        if (proto_value_is_text(symbol, "x.rows")) {
                put_piece(&server->before, "vmreq.row", message->msgid, -1, ROW0, sizeof(ROW0) - 1);
                return server_result(out, "\x92" ROW0 ROW1, 2 * sizeof(ROW0) + 2);
        }
        if (proto_value_is_text(symbol, "x.chunks")) {
                put_piece(&server->before, "vmreq.chunk", message->msgid, 0, "\xa3one", 4);
                put_piece(&server->before, "vmreq.chunk", message->msgid, 1, "\xa3two", 4);
                return server_result(out, "\x02", 1);
        }
        server->silent = true;
        held = message->msgid | proto_value_is_text(symbol, "x.first");
        kill(getpid(), SIGINT); /* blocked in all threads: it waits for the client's signalfd */
        return true;
}

static void expect(const struct options *options, const char *words, int status, const char *out,
                   const char *err)
{
        struct server server;
        struct run run;

        server_start(&server, handler);
        run_verb(&run, server.path, options, words);
        server_stop(&server);
        if (run.status != status || strcmp(run.out, out) != 0 || strcmp(run.err, err) != 0)
                fail_msg("%s: %d, out '%s', err '%s'", words, run.status, run.out, run.err);
}

static void test_rows(void **state)
{
        static const struct options json = {.json = OPTIONS_JSON_SHORT};

        (void)state;
        expect(NULL, "call --stream x.rows", CTL_FAILED, "cpu 0  DONE\ncpu 1  SKIPPED\n", "");
        expect(&json, "call --stream x.rows", CTL_FAILED,
               "{\"row\":{\"cpu\":0,\"fate\":\"DONE\"}}\n"
               "{\"result\":[{\"cpu\":0,\"fate\":\"DONE\"},{\"cpu\":1,\"fate\":\"SKIPPED\"}]}\n",
               "");
}

/* A generator streams unless told otherwise; as JSON it does when asked. */
static void test_chunks(void **state)
{
        static const struct options json = {.json = OPTIONS_JSON_SHORT};

        (void)state;
        expect(NULL, "call x.chunks", CTL_DONE, "one\ntwo\n", "");
        expect(&json, "call --stream x.chunks", CTL_DONE,
               "{\"chunk\":\"one\"}\n{\"chunk\":\"two\"}\n{\"result\":2}\n", "");
}

static void test_interrupt(void **state)
{
        (void)state;
        expect(NULL, "call x.block", CTL_CANCELLED, "",
               "vmreqctl: cancel: removed: it never runs\n"
               "vmreqctl: CANCELLED: cancelled by its caller (ran: no)\n");
        expect(NULL, "call x.first", CTL_CANCELLED, "",
               "vmreqctl: cancel: removed: it never runs\n"
               "vmreqctl: CANCELLED: cancelled by its caller (ran: no)\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows),
                cmocka_unit_test(test_chunks),
                cmocka_unit_test(test_interrupt),
        };
        sigset_t set;

        signal(SIGINT, SIG_DFL); /* whoever runs this may ignore it */
        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
