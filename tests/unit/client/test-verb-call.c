/* SPDX-License-Identifier: MIT */
/* 'call': what goes to the server, and what comes of every kind of answer. */

#include "unit/client/verb.h"

/* Two i64 parameters; the destination of "x.all" is every vCPU. */
static bool put_describe(const struct proto_value *symbol, struct proto_builder *out)
{
        static const char param[] = "\x82\xa4name\xa1"
                                    "a\xa4type\xa3i64",
                          other[] = "\x82\xa4name\xa1"
                                    "b\xa4type\xa3i64";

        if (proto_value_is_text(symbol, "x.none"))
                return server_error(out, "NOT_FOUND", "no symbol x.none", "no");
        if (proto_value_is_text(symbol, "x.ad") || proto_value_is_text(symbol, "add") ||
            proto_value_is_text(symbol, "b=2"))
                return server_error(out, "NOT_FOUND", "no symbol", "no");
        proto_put_nil(out);
        proto_put_map(out, 4);
        proto_put_text(out, "name");
        proto_put_value(out, symbol);
        proto_put_text(out, "cpu");
        proto_put_text(out, proto_value_is_text(symbol, "x.all") ? "all" : "any");
        proto_put_text(out, "timeout_ms");
        proto_put_uint(out, 60000);
        proto_put_text(out, "params");
        proto_put_array(out, 2);
        proto_put_raw(out, param, sizeof(param) - 1);
        proto_put_raw(out, other, sizeof(other) - 1);
        return true;
}

/* One page, and an empty one behind it. */
static bool put_symbols(const struct proto_value *wish, struct proto_builder *out)
{
        return proto_value_map_get(wish, "after") ? server_result(out, "\x90", 1)
                                                  : server_result(out, "\x91\xa5x.add", 7);
}

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        static const char rows[] = "\x92\x82\xa3"
                                   "cpu\x01\xa4"
                                   "fate\xa4"
                                   "DONE"
                                   "\x82\xa3"
                                   "cpu\x00\xa4"
                                   "fate\xa7"
                                   "EXPIRED";
        static const char timed[] = "\x84\xa5value\x2a\xa3"
                                    "cpu\x01\xa9queued_us\xcd\x05\xdc\xa6run_us\x07";
        const struct proto_value *symbol = &message->params->items[0];

        (void)server;
        if (server_is(message, "vmreq.describe"))
                return put_describe(symbol, out);
        if (server_is(message, "vmreq.symbols"))
                return put_symbols(&message->params->items[0], out);
        note(message);
        if (server_is(message, "vmreq.submit"))
                return server_result(out, "\x11", 1);
        if (proto_value_is_text(symbol, "x.fail"))
                return server_error(out, "FAILED", "x.fail: status -5", "yes");
        if (proto_value_is_text(symbol, "x.late"))
                return server_error(out, "TIMEOUT", "too late", "maybe");
        if (proto_value_is_text(symbol, "x.gone"))
                return false;
        if (proto_value_is_text(symbol, "x.timed"))
                return server_result(out, timed, sizeof(timed) - 1);
        if (proto_value_is_text(symbol, "x.nil"))
                return server_result(out, "\xc0", 1);
        if (proto_value_is_text(symbol, "x.all") || proto_value_is_text(symbol, "x.rows"))
                return server_result(out, rows, sizeof(rows) - 1);
        return server_result(out, "\x2a", 1);
}

struct expectation {
        const char *words, *asked, *out, *err;
        int status;
};

static void expect(const struct options *options, const struct expectation *e)
{
        struct server server;
        struct run run;

        asked[0] = '\0';
        server_start(&server, handler);
        run_verb(&run, server.path, options, e->words);
        server_stop(&server);
        if (strcmp(asked, e->asked) != 0 || strcmp(run.out, e->out) != 0 ||
            !strstr(run.err, e->err) || run.status != e->status)
                fail_msg("%s: %d, asked '%s', out '%s', err '%s'", e->words, run.status, asked,
                         run.out, run.err);
        if (e->err[0] == '\0')
                assert_string_equal(run.err, "");
}

static void test_text(void **state)
{
        static const struct expectation cases[] = {
                {"call x.add -50 0x2", "vmreq.call [x.add, [-50, 2], {}]", "42\n", "", CTL_DONE},
                {"call x.nil", "vmreq.call [x.nil, [], {}]", "", "", CTL_DONE},
                {"call --cpu 3 --priority --poke x.add 1 2",
                 "vmreq.call [x.add, [1, 2], {cpu: 3, priority: true, poke: true}]", "42\n", "",
                 CTL_DONE},
                {"call x.add 1 2 three", "vmreq.call [x.add, [1, 2, three], {}]", "42\n", "",
                 CTL_DONE},
                {"call --no-wait x.add 1 2", "vmreq.submit [x.add, [1, 2], {no_wait: true}]",
                 "accepted, request 17; nobody waits for its result\n", "", CTL_DONE},
                {"call --cpu all x.rows", "vmreq.call [x.rows, [], {cpu: all}]",
                 "cpu 1  DONE\ncpu 0  EXPIRED\n", "", CTL_TIMEOUT},
                {"call x.all", "vmreq.call [x.all, [], {}]", "cpu 1  DONE\ncpu 0  EXPIRED\n", "",
                 CTL_TIMEOUT},
                {"call --cpu any x.all", "vmreq.call [x.all, [], {cpu: any}]",
                 "{cpu: 1, fate: DONE}\n{cpu: 0, fate: EXPIRED}\n", "", CTL_DONE},
                {"call x.none", "", "", "NOT_FOUND: no symbol x.none; try 'vmreqctl symbols'",
                 CTL_REFUSED},
                {"call x.ad", "", "", "NOT_FOUND: no symbol; did you mean 'x.add'?", CTL_REFUSED},
                {"call add", "", "", "NOT_FOUND: no symbol; did you mean 'x.add'?", CTL_REFUSED},
                {"call --parallel --on-error continue --key k --cpu all x.rows",
                 "vmreq.call [x.rows, [], {cpu: all, parallel: true, on_error: continue, key: k}]",
                 "cpu 1  DONE\ncpu 0  EXPIRED\n", "", CTL_TIMEOUT},
                {"call --detach x.nil", "vmreq.call [x.nil, [], {detach: true}]", "", "", CTL_DONE},
                {"call b=2 a=1 x.add", "", "", "NOT_FOUND: no symbol", CTL_REFUSED},
                {"call x.add b=2 a=1", "vmreq.call [x.add, {a: 1, b: 2}, {}]", "42\n", "",
                 CTL_DONE},
                {"submit --priority x.add 1 2",
                 "vmreq.submit [x.add, [1, 2], {priority: true, detach: true}]", "17\n", "",
                 CTL_DONE},
                {"submit --no-wait x.add 1 2", "vmreq.submit [x.add, [1, 2], {no_wait: true}]",
                 "accepted, request 17; nobody waits for its result\n", "", CTL_DONE},
                {"call --timing x.timed", "vmreq.call [x.timed, [], {timing: true}]", "42\n",
                 "cpu 1  queued 1.500 ms  ran 0.007 ms\n", CTL_DONE},
                {"call --stream --no-stream x.add", "", "", "exclude each other", CTL_USAGE},
                {"call --no-wait --timing x.add", "", "", "leaves no result", CTL_USAGE},
                {"call x.add one 2", "", "",
                 "INVALID_ARGUMENT: x.add: argument 1 \"a\": expected i64, got 'one'", CTL_REFUSED},
                {"call x.fail", "vmreq.call [x.fail, [], {}]", "",
                 "FAILED: x.fail: status -5 (ran: yes)", CTL_FAILED},
                {"call x.late", "vmreq.call [x.late, [], {}]", "",
                 "TIMEOUT: too late (ran: maybe); ", CTL_TIMEOUT},
                {"call x.gone", "vmreq.call [x.gone, [], {}]", "",
                 "closed the connection (ran: maybe)", CTL_LOST},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                expect(NULL, &cases[i]);
}

static void test_json(void **state)
{
        static const struct options options = {
                .json = OPTIONS_JSON_SHORT, .has_timeout = true, .timeout_ms = 1500};
        static const struct expectation cases[] = {
                {"call x.add 1 2", "vmreq.call [x.add, [1, 2], {timeout_ms: 1500}]", "42\n", "",
                 CTL_DONE},
                {"call x.nil", "vmreq.call [x.nil, [], {timeout_ms: 1500}]", "null\n", "",
                 CTL_DONE},
                {"call --no-wait x.add",
                 "vmreq.submit [x.add, [], {no_wait: true, timeout_ms: 1500}]",
                 "{\"request\":17}\n", "", CTL_DONE},
                {"call x.all", "vmreq.call [x.all, [], {timeout_ms: 1500}]",
                 "[{\"cpu\":1,\"fate\":\"DONE\"},{\"cpu\":0,\"fate\":\"EXPIRED\"}]\n", "",
                 CTL_TIMEOUT},
                {"call x.fail", "vmreq.call [x.fail, [], {timeout_ms: 1500}]", "",
                 "vmreqctl: FAILED: x.fail: status -5 (ran: yes)\n", CTL_FAILED},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                expect(&options, &cases[i]);
}

static void test_no_limit(void **state)
{
        static const struct options options = {.has_timeout = true, .timeout_ms = 0};
        static const struct expectation e = {"call x.add 1 2",
                                             "vmreq.call [x.add, [1, 2], {timeout_ms: 0}]", "42\n",
                                             "", CTL_DONE};

        (void)state;
        expect(&options, &e);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_json),
                cmocka_unit_test(test_no_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
