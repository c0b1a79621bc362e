/* SPDX-License-Identifier: MIT */
/* Patience, connections that fail, answers decoded. */

#include "unit/client/server.h"

#define S UINT64_C(1000000000)

/* Between 0 and 1 s less than `limit_ns`. */
static void expect_left(const struct ctl *ctl, uint64_t limit_ns)
{
        uint64_t left = ctl_left(ctl);

        assert_true(left <= limit_ns && left > limit_ns - S);
}

static void test_patience(void **state)
{
        static struct ctl ctl;

        (void)state;
        ctl_set_patience(&ctl, 0);
        expect_left(&ctl, 2 * S);
        assert_int_equal(ctl.patience_ms, 2000);
        ctl_set_patience(&ctl, 30000);
        expect_left(&ctl, 32 * S);
        ctl.options.has_timeout = true;
        ctl.options.timeout_ms = 5000;
        ctl_set_patience(&ctl, 30000);
        expect_left(&ctl, 7 * S);
        ctl.options.timeout_ms = INT32_MAX;
        ctl_set_patience(&ctl, 30000);
        expect_left(&ctl, (uint64_t)INT32_MAX * 1000000 + 2 * S);
        ctl.options.timeout_ms = 0;
        ctl_set_patience(&ctl, 30000);
        assert_true(ctl.deadline_ns == UINT64_MAX);
        assert_int_equal(ctl.patience_ms, 0);
}

static void test_poll_ms(void **state)
{
        (void)state;
        assert_int_equal(ctl_poll_ms(0), 0);
        assert_int_equal(ctl_poll_ms(1), 1);
        assert_int_equal(ctl_poll_ms(1000000), 1);
        assert_int_equal(ctl_poll_ms(1000001), 2);
        assert_int_equal(ctl_poll_ms(INT32_MAX * UINT64_C(1000000)), INT32_MAX);
        assert_int_equal(ctl_poll_ms(INT32_MAX * UINT64_C(1000000) + 1), INT32_MAX);
        assert_int_equal(ctl_poll_ms(UINT64_MAX - 1), INT32_MAX);
        assert_int_equal(ctl_poll_ms(UINT64_MAX), -1);
}

static bool hang_up(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        (void)message;
        (void)out;
        return false;
}

static bool deep(struct server *server, const struct proto_message *message,
                 struct proto_builder *out)
{
        (void)server;
        (void)message;
        proto_put_nil(out);
        for (int i = 0; i < 27; i++)
                proto_put_array(out, 1);
        proto_put_uint(out, 1);
        return true;
}

static bool too_deep(struct server *server, const struct proto_message *message,
                     struct proto_builder *out)
{
        (void)server;
        (void)message;
        proto_put_nil(out);
        for (int i = 0; i < 28; i++)
                proto_put_array(out, 1);
        proto_put_uint(out, 1);
        return true;
}

static bool odd_error(struct server *server, const struct proto_message *message,
                      struct proto_builder *out)
{
        (void)server;
        (void)message;
        proto_put_text(out, "what\x1b[2J");
        proto_put_nil(out);
        return true;
}

static void expect_ping(server_handler handler, int status, const char *said)
{
        struct server server;
        struct run run;

        server_start(&server, handler);
        run_verb(&run, server.path, NULL, "ping");
        server_stop(&server);
        assert_int_equal(run.status, status);
        assert_non_null(strstr(status == CTL_DONE ? run.out : run.err, said));
}

static void test_servers(void **state)
{
        (void)state;
        expect_ping(hang_up, CTL_LOST, "closed the connection\n");
        expect_ping(deep, CTL_DONE, "[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]\n");
        expect_ping(too_deep, CTL_LOST, "deeper");
        expect_ping(odd_error, CTL_FAILED, "ERROR: what\\x1b[2J (ran: maybe)\n");
}

static void test_no_server(void **state)
{
        struct run run;

        (void)state;
        run_verb(&run, "/nonexistent/s.sock", NULL, "ping");
        assert_int_equal(run.status, CTL_LOST);
        assert_string_equal(run.err,
                            "vmreqctl: cannot connect to /nonexistent/s.sock: No such file or "
                            "directory; is vmreqd running?\n");
}

/* As a stopped daemon: connected by the kernel, and silence. */
static void test_silent(void **state)
{
        struct options options = {.has_timeout = true, .timeout_ms = 1};
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char path[] = "/tmp/vmreq-silent-XXXXXX";
        struct run run;
        int fd;

        (void)state;
        assert_non_null(mkdtemp(path));
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 8), 0);
        run_verb(&run, address.sun_path, &options, "call x.y");
        assert_int_equal(run.status, CTL_TIMEOUT);
        assert_non_null(strstr(run.err, "TIMEOUT: no answer within 2.0 s from"));
        close(fd);
        unlink(address.sun_path);
        rmdir(path);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_patience), cmocka_unit_test(test_poll_ms),
                cmocka_unit_test(test_servers),  cmocka_unit_test(test_no_server),
                cmocka_unit_test(test_silent),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
