/* SPDX-License-Identifier: MIT */
/*
 * The program itself, without a daemon: its first words, its exits, output that cannot be written.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program; /* its path, as this test's argument */

/* Runs the program with these words of a shell; what it wrote to the pipe, and its exit status. */
static int run(char *ret_text, size_t size, const char *words)
{
        char command[1024];
        size_t n;
        FILE *in;
        int status;

        snprintf(command, sizeof(command), "'%s' %s", program, words);
        in = popen(command, "r");
        assert_non_null(in);
        n = fread(ret_text, 1, size - 1, in);
        ret_text[n] = '\0';
        status = pclose(in);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void test_exits(void **state)
{
        static const struct {
                const char *words;
                int status;
                const char *said;
        } cases[] = {
                {"2>&1", 1, "vmreqctl: which verb?"},
                {"cal x.y 2>&1", 1,
                 "unknown verb 'cal'; did you mean 'call'?; there are: list call"},
                {"zzzzz 2>&1", 1, "unknown verb 'zzzzz'; there are: list call submit wait"},
                {"debug.add 1 2 2>&1", 1, "did you mean 'call debug.add'?"},
                {"--jsom 2>&1", 1, "did you mean --json?"},
                {"ping --jsom 2>&1", 1, "ping: unknown option '--jsom'; did you mean --json?"},
                {"wait-state RUNING 2>&1", 1, "unknown state 'RUNING'; did you mean 'RUNNING'?"},
                {"watch vm.stat 2>&1", 1, "unknown topic 'vm.stat'; did you mean 'vm.state'?"},
                {"cancel me 2>&1", 1, "'me' is not a request's number"},
                {"list -M x 2>&1", 1, "without -s, -M and -H"},
                {"-H -oProxyCommand=x ping 2>&1", 1, "neither beginning with '-'"},
                {"--help", 0, "usage: vmreqctl"},
                {"-V", 0, "vmreqctl "},
                {"call --help", 0, "usage: vmreqctl [OPTION...] call"},
                {"-s /nonexistent/s ping 2>&1", 2, "/nonexistent/s"},
                {"-M ../x ping 2>&1", 1, "not a VM's name"},
                {"--help 2>&1 >/dev/full", 1, "cannot write the output: No space left"},
                {"call --help 2>&1 >/dev/full", 1, "cannot write the output: No space left"},
                {"--help 2>&1 >&-", 1, "cannot write the output: Bad file"},
        };
        char text[4096];

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                int status = run(text, sizeof(text), cases[i].words);

                if (status != cases[i].status || !strstr(text, cases[i].said))
                        fail_msg("%s: %d: %s", cases[i].words, status, text);
        }
}

/* A reader that has had enough, as head: no complaint, and no death by signal either. */
static void test_closed_pipe(void **state)
{
        int fds[2], status;

        (void)state;
        assert_int_equal(pipe(fds), 0);
        close(fds[0]);
        fflush(stdout);
        if (fork() == 0) {
                dup2(fds[1], 1);
                execl(program, "vmreqctl", "--help", (char *)NULL);
                _exit(99);
        }
        close(fds[1]);
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_exits),
                cmocka_unit_test(test_closed_pipe),
        };

        if (argc != 2) {
                fprintf(stderr, "usage: %s VMREQCTL\n", argv[0]);
                return 2;
        }
        program = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
