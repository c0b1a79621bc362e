/* SPDX-License-Identifier: MIT */
/* Lines from a file, over one connection. */

#include "unit/client/server.h"

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        if (server_is(message, "vmreq.describe"))
                return server_json(
                        out,
                        "{\"name\": \"x.echo\", \"params\": [{\"name\": \"a\", \"type\": \"str\"}]}");
        if (server_is(message, "vmreq.call")) {
                proto_put_nil(out);
                proto_put_value(out, &message->params->items[1].items[0]);
                return true;
        }
        if (server_is(message, "vmreq.ping"))
                return server_result(out, "\xa4pong", 5);
        return false; /* hangs up */
}

static void run_lines(struct run *run, const char *path, const char *lines)
{
        FILE *in = tmpfile();
        int saved = dup(0);

        assert_non_null(in);
        fputs(lines, in);
        rewind(in);
        dup2(fileno(in), 0);
        clearerr(stdin);
        run_verb(run, path, NULL, "shell");
        dup2(saved, 0);
        close(saved);
        fclose(in);
}

static void test_batch(void **state)
{
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, handler);
        run_lines(&run, server.path,
                  "# a comment\n\nx.echo 'a  b'\n ping --json\nping\ncall x.echo \"q\\\"\"\nzzzzz\n"
                  "shell\nping -s /other\nx.echo 'open\nstatus\nping\nexit\nping\n");
        server_stop(&server);
        assert_string_equal(run.out, "a  b\n\"pong\"\npong\nq\"\npong\npong\n");
        assert_non_null(strstr(run.err, "unknown verb 'zzzzz'"));
        assert_non_null(strstr(run.err, "unknown verb 'shell'"));
        assert_non_null(strstr(run.err, "-s, -M and -H go before 'shell'"));
        assert_non_null(strstr(run.err, "a quote (') is not closed"));
        assert_non_null(strstr(run.err, "closed the connection"));
        assert_non_null(strstr(run.err, "the connection was lost; this is a new one"));
        assert_int_equal(run.status, CTL_DONE); /* of the last line that did something */
}

static void test_no_daemon(void **state)
{
        struct run run;

        (void)state;
        run_lines(&run, "/nonexistent/s", "ping\n");
        assert_int_equal(run.status, CTL_LOST);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_batch),
                cmocka_unit_test(test_no_daemon),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
