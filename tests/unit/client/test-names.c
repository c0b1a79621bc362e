/* SPDX-License-Identifier: MIT */
/* The list of symbols, and the name that was probably meant. */

#include "client/names.h"
#include "unit/client/server.h"

static bool put_page(struct proto_builder *out, const char *const *names, uint32_t n)
{
        proto_put_nil(out);
        proto_put_array(out, n);
        for (uint32_t i = 0; i < n; i++)
                proto_put_text(out, names[i]);
        return true;
}

/* Three pages; the last name of the second is no name, and ends the list. */
static bool pages(struct server *server, const struct proto_message *message,
                  struct proto_builder *out)
{
        static const char *const first[] = {"a.add", "b.echo"}, *const second[] = {"c.spin",
                                                                                   "c.\x1b[2J"};
        const struct proto_value *after = proto_value_map_get(&message->params->items[0], "after");

        (void)server;
        if (!after)
                return put_page(out, first, 2);
        return put_page(out, second, proto_value_is_text(after, "b.echo") ? 2 : 0);
}

static void test_fetch(void **state)
{
        static struct ctl ctl;
        struct names names = {0};
        struct server server;

        (void)state;
        server_start(&server, pages);
        ctl.options.socket = server.path;
        ctl_set_patience(&ctl, 0);
        assert_int_equal(ctl_connect(&ctl), CTL_DONE);
        assert_int_equal(names_fetch(&ctl, NULL, &names), CTL_DONE);
        assert_int_equal(names.n, 3);
        assert_string_equal(names.items[2], "c.spin");
        assert_string_equal(names_nearest(&names, "a.ad"), "a.add");
        assert_string_equal(names_nearest(&names, "b.ehco"), "b.echo");
        assert_string_equal(names_nearest(&names, "spin"), "c.spin");
        assert_null(names_nearest(&names, "a.add"));
        assert_string_equal(names_nearest(&names, "ba.add"), "a.add");
        assert_string_equal(names_nearest(&names, "c.echo"), "b.echo");
        assert_null(names_nearest(&names, "b.none"));
        assert_null(names_nearest(&names, "quite.another"));
        names_deinit(&names);
        names_deinit(&names);
        assert_null(names_nearest(&names, "a.ad"));
        ctl_disconnect(&ctl);
        server_stop(&server);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fetch),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
