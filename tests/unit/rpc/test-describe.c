/* SPDX-License-Identifier: MIT */
/* The symbol table as clients see it: lists, one symbol in full, and Neovim's form. */
#include "unit/rpc/one.h"

#include "rpc/peer.h"

static void test_list(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.symbols', []]");
        client_expect(
                &c,
                "[1,1,nil,['t.add','t.big','t.block','t.change','t.cpu','t.deep','t.echo','t.fail','t.gate',"
                "'t.gated_fail',"
                "'t.mark','t.nothing','t.open','t.patient','t.secret','t.size','t.slow','t.status','t.twice','t.x64']]");
        client_send(&c, "[0, 2, 'vmreq.symbols', [{'glob': 't.s*'}]]");
        client_expect(&c, "[1,2,nil,['t.secret','t.size','t.slow','t.status']]");
        client_send(&c,
                    "[0, 3, 'vmreq.symbols', [{'glob': 't.s*', 'after': 't.size', 'limit': 1}]]");
        client_expect(&c, "[1,3,nil,['t.slow']]");
        client_send(&c, "[0, 4, 'vmreq.symbols', [{'limit': 0}]]");
        client_expect(&c, "[1,4,nil,[]]");
        client_send(&c, "[0, 5, 'vmreq.symbols', [{'after': 't.x64'}]]");
        client_expect(&c, "[1,5,nil,[]]");
        client_send(&c, "[0, 6, 'vmreq.symbols', [{'glob': nil, 'after': nil, 'limit': nil}]]");
        assert_int_equal(client_receive(&c)->items[3].count, 20);
        client_send(&c, "[0, 7, 'vmreq.symbols', [{'limit': 18446744073709551615}]]");
        assert_int_equal(client_receive(&c)->items[3].count, 20);
        client_send(&c, "[0, 8, 'vmreq.symbols', [nil]]");
        assert_int_equal(client_receive(&c)->items[3].count, 20);
}

static void test_list_refused(void **state)
{
        static const char *const bad[] = {"5",
                                          "'t.*'",
                                          "[]",
                                          "{'glob': 5}",
                                          "{'after': []}",
                                          "{'limit': -1}",
                                          "{'limit': 'x'}"};
        char pattern[128];

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                char text[128];

                (void)snprintf(text, sizeof(text), "[0, 1, 'vmreq.symbols', [%s]]", bad[i]);
                client_send(&c, text);
                client_expect_error(&c, 1, "INVALID_REQUEST", "no",
                                    "vmreq.symbols [{glob, after, limit}]");
        }
        memset(pattern, '*', sizeof(pattern));
        client_send(&c, "[0, 2, 'vmreq.symbols', [{'glob': %S}]]", pattern, (size_t)128);
        client_expect_error(&c, 2, "INVALID_REQUEST", "no", "");
        client_send(&c, "[0, 3, 'vmreq.symbols', [{'glob': %S}]]", pattern, (size_t)127);
        assert_int_equal(client_receive(&c)->items[3].count, 20);
        client_send(&c, "[0, 4, 'vmreq.symbols', [{'glob': %S}]]", "a\0b", (size_t)3);
        client_expect_error(&c, 4, "INVALID_REQUEST", "no", "");
}

static void test_in_full(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.describe', ['t.open']]");
        client_expect(
                &c,
                "[1,1,nil,{'name':'t.open','module':'t','signature':'t.open(level: u8 = 3) -> u32',"
                "'doc':'A test's.','params':[{'name':'level','type':'u8','doc':'how far','optional':true,"
                "'sensitive':false,'default':3,'min':1,'max':9}],'result':'u32',"
                "'flags':['read-only','idempotent','words'],'cpu':'any','timeout_ms':0,'timeout_max_ms':0,'since':'0.9',"
                "'deprecated':'t.add'}]");
        client_send(&c, "[0, 2, 'vmreq.describe', ['t.slow']]");
        client_expect(
                &c,
                "[1,2,nil,{'name':'t.slow','module':'t','signature':'t.slow() -> nil','doc':'Everywhere.',"
                "'params':[],'result':'nil','flags':['priority','poke','words'],'cpu':'all',"
                "'timeout_ms':1234,'timeout_max_ms':0,'since':'2.1','deprecated':nil}]");
        client_send(&c, "[0, 3, 'vmreq.describe', ['t.none']]");
        client_expect_error(&c, 3, "NOT_FOUND", "no", "t.none");
        client_send(&c, "[0, 4, 'vmreq.describe', [%b]]", "t.block", (size_t)7);
        assert_int_equal(client_receive(&c)->items[2].type, PROTO_NIL);
        client_send(&c, "[0, 5, 'vmreq.describe', ['vmreq.ping']]");
        client_expect_error(&c, 5, "NOT_FOUND", "no", "");
}

static void test_sensitive_and_defaults(void **state)
{
        const struct proto_value *params;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.describe', ['t.fail']]");
        params = proto_value_map_get(&client_receive(&c)->items[3], "params");
        assert_int_equal(params->count, 3);
        assert_null(proto_value_map_get(&params->items[0], "default"));
        assert_true(proto_value_is_text(proto_value_map_get(&params->items[1], "default"), ""));
        assert_false(proto_value_map_get(&params->items[1], "sensitive")->b);
        assert_true(proto_value_map_get(&params->items[2], "sensitive")->b);
}

static void test_neovim(void **state)
{
        const struct proto_value *info, *functions;

        (void)state;
        client_send(&c, "[0, 1, 'nvim_get_api_info', []]");
        info = &client_receive(&c)->items[3];
        assert_int_equal(info->count, 2);
        assert_int_equal(info->items[0].type, PROTO_UINT);
        functions = proto_value_map_get(&info->items[1], "functions");
        assert_int_equal(functions->count, 20);
        assert_true(
                proto_value_is_text(proto_value_map_get(&functions->items[0], "name"), "t.add"));
        assert_true(proto_value_is_text(
                &proto_value_map_get(&functions->items[0], "parameters")->items[0].items[0],
                "Integer"));
        assert_int_equal(proto_value_map_get(&info->items[1], "types")->count, 3);
        /* Errors come as pairs from here on. */
        client_send(&c, "[0, 2, 't.none', []]");
        assert_int_equal(client_receive(&c)->items[2].type, PROTO_ARRAY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_list, start, end),
                cmocka_unit_test_setup_teardown(test_list_refused, start, end),
                cmocka_unit_test_setup_teardown(test_in_full, start, end),
                cmocka_unit_test_setup_teardown(test_sensitive_and_defaults, start, end),
                cmocka_unit_test_setup_teardown(test_neovim, start, end),
        };

        return HARNESS_RUN("describe", tests);
}
