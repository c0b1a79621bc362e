/* SPDX-License-Identifier: MIT */
/* Every kind of socket that can lie in the two directories, asked at once. */

#include "unit/client/server.h"

#include <sys/stat.h>

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        (void)message;
        return server_json(
                out, "{\"state\": \"RUNNING\", \"uptime_ms\": 5, \"pid\": 7, \"emts\": [1, 2]}");
}

static bool denies(struct server *server, const struct proto_message *message,
                   struct proto_builder *out)
{
        (void)server;
        (void)message;
        return server_error(out, "NOT_FOUND", "there is no symbol \"vmreq.status\"", "no");
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 4), 0);
        return fd;
}

static void test_list(void **state)
{
        struct options options = {.has_timeout = true, .timeout_ms = 300};
        char dir[] = "/tmp/vmreq-list-XXXXXX", sub[64], dead[80], mute[80], live[80], expected[512];
        struct server server;
        struct run run;
        int fd;

        (void)state;
        assert_non_null(mkdtemp(dir));
        snprintf(sub, sizeof(sub), "%s/vmreqd", dir);
        assert_int_equal(mkdir(sub, 0700), 0);
        snprintf(dead, sizeof(dead), "%s/dead.sock", sub);
        snprintf(mute, sizeof(mute), "%s/mute.sock", sub);
        snprintf(live, sizeof(live), "%s/live.sock", sub);
        close(listen_at(dead));
        fd = listen_at(mute);
        server_start(&server, handler);
        assert_int_equal(symlink(server.path, live), 0);
        setenv("XDG_RUNTIME_DIR", dir, 1);

        run_verb(&run, NULL, &options, "list");
        assert_int_equal(run.status, CTL_DONE);
        snprintf(expected, sizeof(expected),
                 "dead  dead                              %s\n"
                 "live  RUNNING           2    5 ms    7  %s\n"
                 "mute  not answering                     %s\n",
                 dead, live, mute);
        if (!strstr(run.out, expected))
                fail_msg("%s, not %s", run.out, expected);
        options.json = OPTIONS_JSON_SHORT;
        run_verb(&run, NULL, &options, "list");
        assert_non_null(strstr(run.out, "\"name\":\"live\""));
        assert_non_null(strstr(run.out, "\"alive\":true,\"problem\":null,\"state\":\"RUNNING\""));
        assert_non_null(strstr(run.out, "\"alive\":false,\"problem\":\"dead\",\"state\":null"));

        server_stop(&server);

        /* Alive, and closed to us. */
        unlink(live);
        server_start(&server, denies);
        assert_int_equal(symlink(server.path, live), 0);
        run_verb(&run, NULL, &options, "list");
        assert_non_null(strstr(run.out, "\"alive\":true,\"problem\":\"no access\",\"state\":null"));
        server_stop(&server);
        close(fd);
        unlink(dead);
        unlink(mute);
        unlink(live);
        rmdir(sub);
        options.json = OPTIONS_TEXT;
        run_verb(&run, NULL, &options, "list");
        assert_int_equal(run.status, CTL_DONE);
        /* The system's own may be there. */
        if (run.out[0] == '\0')
                assert_non_null(strstr(run.err, "no VM has its socket in /run/vmreqd or "));
        run_verb(&run, NULL, NULL, "list -M x");
        assert_int_equal(run.status, CTL_USAGE);
        rmdir(dir);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
