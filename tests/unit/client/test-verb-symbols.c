/* SPDX-License-Identifier: MIT */
/* 'symbols' and 'describe': pages, vanished symbols, servers whose pages never end. */

#include "unit/client/server.h"

#define SYMBOLS 300
#define PAGE    64

static void put_name(struct proto_builder *out, unsigned i)
{
        proto_put_format(out, "x.s%03u", i);
}

/* Which symbol a request is about: "x.s007" → 7; -1 if none. */
static int number_of(const struct proto_value *name)
{
        char text[8] = "";

        if (!name || name->type != PROTO_STR || name->count != 6)
                return -1;
        memcpy(text, name->data, 6);
        return atoi(text + 3);
}

static bool put_describe(const struct proto_message *message, struct proto_builder *out)
{
        int i = number_of(&message->params->items[0]);

        if (i < 0 || i == 5)
                return server_error(out, "NOT_FOUND", "no such symbol", "no");
        proto_put_nil(out);
        proto_put_map(out, 2);
        proto_put_text(out, "signature");
        proto_put_format(out, "x.s%03d()", i);
        proto_put_text(out, "doc");
        proto_put_format(out, "number %d", i);
        return true;
}

static bool put_page(const struct proto_message *message, struct proto_builder *out)
{
        const struct proto_value *glob = proto_value_map_get(&message->params->items[0], "glob");
        int after = number_of(proto_value_map_get(&message->params->items[0], "after"));
        unsigned first = after < 0 ? 0 : (unsigned)after + 1, n;

        n = SYMBOLS - first < PAGE ? SYMBOLS - first : PAGE;
        if (glob)
                n = after < 0 ? 2 : 0;
        proto_put_nil(out);
        proto_put_array(out, n);
        for (unsigned i = 0; i < n; i++)
                put_name(out, first + i);
        return true;
}

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        return server_is(message, "vmreq.symbols") ? put_page(message, out)
                                                   : put_describe(message, out);
}

/* The same page again and again, not in order, and with things that are no names. */
static bool looping(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        if (!server_is(message, "vmreq.symbols"))
                return put_describe(message, out);
        proto_put_nil(out);
        proto_put_array(out, 4);
        put_name(out, 1);
        put_name(out, 2);
        put_name(out, 1);
        proto_put_nil(out);
        return true;
}

static void test_list(void **state)
{
        struct options json = {.json = OPTIONS_JSON_SHORT};
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, handler);
        run_verb(&run, server.path, NULL, "symbols x.*");
        assert_int_equal(run.status, CTL_DONE);
        assert_string_equal(run.out, "x.s000()  number 0\nx.s001()  number 1\n");
        run_verb(&run, server.path, &json, "symbols x.*");
        assert_string_equal(run.out, "[{\"signature\":\"x.s000()\",\"doc\":\"number 0\"},"
                                     "{\"signature\":\"x.s001()\",\"doc\":\"number 1\"}]\n");
        run_verb(&run, server.path, NULL, "symbols");
        assert_int_equal(run.status, CTL_DONE);
        assert_memory_equal(run.out + 4 * 19, "x.s004()  number 4\nx.s006()",
                            27); /* 5 has vanished */
        server_stop(&server);
        assert_int_equal(server.n_requests, 2 * (2 + 2) + (5 + 1) + SYMBOLS);
}

static void test_looping(void **state)
{
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, looping);
        run_verb(&run, server.path, NULL, "symbols");
        assert_int_equal(run.status, CTL_DONE);
        assert_string_equal(run.out, "x.s001()  number 1\nx.s002()  number 2\n");
        server_stop(&server);
}

static void test_describe(void **state)
{
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, handler);
        run_verb(&run, server.path, NULL, "describe x.s007");
        assert_int_equal(run.status, CTL_DONE);
        assert_string_equal(run.out, "x.s007()\n    number 7\n\n");
        run_verb(&run, server.path, NULL, "describe x.s005");
        assert_int_equal(run.status, CTL_REFUSED);
        assert_string_equal(run.out, "");
        assert_string_equal(run.err,
                            "vmreqctl: NOT_FOUND: no such symbol; try 'vmreqctl symbols'\n");
        server_stop(&server);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_list),
                cmocka_unit_test(test_looping),
                cmocka_unit_test(test_describe),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
