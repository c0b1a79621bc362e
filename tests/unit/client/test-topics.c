/* SPDX-License-Identifier: MIT */
/* Subscribing: what is asked, what a refusal does, and what a shell's connection is rid of. */

#include "client/topics.h"
#include "unit/client/server.h"

static struct ctl ctl;
static char asked[256];

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        const struct proto_value *first = message->params->items;

        snprintf(asked + strlen(asked), sizeof(asked) - strlen(asked), "%.*s %u ",
                 (int)message->method_len, message->method, message->params->count);
        if (message->params->count > 0 && proto_value_is_text(first, "secret"))
                return server_error(out, "NOT_FOUND", "no topic", "no");
        proto_put_notify(&server->after, "vmreq.event", 2);
        proto_put_text(&server->after, "vm.state");
        proto_put_nil(&server->after);
        return server_result(out, "\xc0", 1);
}

static void connect_to(struct server *server, bool shell)
{
        memset(&ctl, 0, sizeof(ctl));
        asked[0] = '\0';
        server_start(server, handler);
        ctl.options.socket = server->path;
        ctl.shell = shell;
        ctl_set_limit(&ctl, 20000);
        assert_int_equal(ctl_connect(&ctl), CTL_DONE);
}

static void test_subscribe(void **state)
{
        static const char *const names[] = {"vm.state", "console"}, *const secret[] = {"secret"};
        struct server server;

        (void)state;
        connect_to(&server, false);
        assert_int_equal(topics_subscribe(&ctl, names, 2), CTL_DONE);
        assert_int_equal(topics_subscribe(&ctl, secret, 1), CTL_REFUSED);
        assert_int_equal(topics_try(&ctl, "secret"), CTL_DONE);
        topics_unsubscribe(&ctl); /* the connection ends anyway */
        ctl_disconnect(&ctl);
        server_stop(&server);
        assert_string_equal(asked, "vmreq.subscribe 2 vmreq.subscribe 1 vmreq.subscribe 1 ");
}

/* Also when the time of the verb is over. */
static void test_in_a_shell(void **state)
{
        struct vmreq_client_answer answer;
        struct server server;

        (void)state;
        connect_to(&server, true);
        assert_int_equal(topics_try(&ctl, "vm.state"), CTL_DONE);
        ctl_set_limit(&ctl, 0);
        topics_unsubscribe(&ctl);
        /* The event behind the first answer is gone; the one behind the second may be on its way.
         */
        while (vmreq_client_next(ctl.client, 0, &answer) == 0)
                vmreq_client_answer_deinit(&answer);
        ctl_disconnect(&ctl);
        server_stop(&server);
        topics_unsubscribe(&(struct ctl){0});
        assert_string_equal(asked, "vmreq.subscribe 1 vmreq.unsubscribe 0 ");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_subscribe),
                cmocka_unit_test(test_in_a_shell),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
