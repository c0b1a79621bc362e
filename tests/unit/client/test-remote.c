/* SPDX-License-Identifier: MIT */
/* Which hosts and paths may become words of an ssh's command line; ssh played by a script in PATH.
 */

#include "client/remote.h"
#include "unit/client/server.h"

#include <sys/stat.h>

static void test_words(void **state)
{
        static const char *const good[] = {"host",     "user@host",    "u.s-e_r@h.o-s_t",
                                           "10.0.0.1", "fe80::1%eth0", "root@::1"};
        static const char *const bad[] = {"",      "-host", "-l@host",       "user@", "user@-host",
                                          "@host", "ho st", "host;id",       "$(id)", "a@b@c",
                                          "h`id`", "h\nx",  "user@host -oX", "host'"};

        (void)state;
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                assert_true(remote_host_valid(good[i]));
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_false(remote_host_valid(bad[i]));
        assert_true(remote_path_valid("/run/vmreqd/a-b_c.sock"));
        assert_false(remote_path_valid("relative/x"));
        assert_false(remote_path_valid("/a b"));
        assert_false(remote_path_valid("/a;id"));
        assert_false(remote_path_valid("/$HOME"));
        assert_false(remote_path_valid(""));
}

static void expect(const char *host, const char *socket_path, const char *machine, const char *said)
{
        struct options options = {.host = host, .machine = machine};
        struct run run;

        run_verb(&run, socket_path, &options, "ping");
        assert_int_equal(run.status, CTL_USAGE);
        if (!strstr(run.err, said))
                fail_msg("%s", run.err);
}

/* Nothing is run for these. */
static void test_refused(void **state)
{
        (void)state;
        expect("-oProxyCommand=x", NULL, NULL, "neither beginning with '-'");
        expect("h", "relative", NULL, "an absolute path");
        expect("h", NULL, "../x", "not a VM's name");
}

/* ssh says this much, and dies. */
static void test_no_ssh(void **state)
{
        static const char script[] = "#!/bin/sh\nprintf 'no \\033[31mroute\\n' >&2\nexit 255\n";
        struct options options = {.host = "u@h"};
        char dir[] = "/tmp/vmreq-ssh-XXXXXX", path[64], before[4096];
        struct run run;
        FILE *out;

        (void)state;
        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/ssh", dir);
        out = fopen(path, "w");
        assert_non_null(out);
        fputs(script, out);
        fclose(out);
        assert_int_equal(chmod(path, 0755), 0);
        snprintf(before, sizeof(before), "%s", getenv("PATH"));
        setenv("PATH", dir, 1);
        run_verb(&run, NULL, &options, "ping");
        setenv("PATH", "/nonexistent", 1);
        assert_int_equal(run.status, CTL_LOST);
        assert_non_null(strstr(run.err, "ssh: no \\x1b[31mroute\n"));
        assert_non_null(strstr(run.err, "cannot connect to u@h"));
        run_verb(&run, NULL, &options, "ping");
        assert_int_equal(run.status, CTL_LOST);
        assert_non_null(strstr(run.err, "cannot run ssh"));
        setenv("PATH", before, 1);
        unlink(path);
        rmdir(dir);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_no_ssh),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
