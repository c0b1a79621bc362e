/* SPDX-License-Identifier: MIT */
/* dump: a VM that runs is suspended and resumed whatever happens; a file is there or it is not. */

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "unit/client/server.h"

static char folder[64], asked[256];
static const char *fail; /* the symbol that fails */
static bool runs;        /* the VM does */
static int number;       /* a signal that comes in the middle of the dump */
static unsigned n_chunks = 3;

static void put_changed(struct proto_builder *out, bool changed)
{
        proto_put_nil(out);
        proto_put_map(out, 1);
        proto_put_text(out, "changed");
        proto_put_bool(out, changed);
}

static bool dump(struct server *server, const struct proto_message *message,
                 struct proto_builder *out)
{
        for (unsigned i = 0; i < n_chunks; i++) {
                proto_put_notify(&server->before, "vmreq.chunk", 3);
                proto_put_uint(&server->before, message->msgid);
                proto_put_uint(&server->before, i);
                proto_put_bin(&server->before, "chunk", 5);
        }
        if (number) {
                sigset_t set;

                sigfillset(&set); /* it is for the verb's thread */
                pthread_sigmask(SIG_BLOCK, &set, NULL);
                server->silent = true;
                kill(getpid(), number);
                return true;
        }
        if (fail && strcmp(fail, "mem.dump") == 0)
                return server_error(out, "VM_STATE", "the guest has run", "yes");
        proto_put_nil(out);
        proto_put_uint(out, n_chunks);
        return true;
}

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        const char *method = message->method;
        int len = (int)message->method_len;

        if (server_is(message, "vmreq.call")) {
                method = message->params->items[0].data;
                len = (int)message->params->items[0].count;
        }
        snprintf(asked + strlen(asked), sizeof(asked) - strlen(asked), "%.*s ", len, method);
        if (server_is(message, "vmreq.call"))
                return dump(server, message, out);
        if (fail && server_is(message, fail))
                return server_error(out, "TIMEOUT", "vCPU 1 did not come", "no");
        if (server_is(message, "vm.suspend") && !runs)
                return server_error(out, "VM_STATE", "not legal in OFF", "no");
        put_changed(out, true);
        return true;
}

static int n_files(void)
{
        DIR *dir = opendir(folder);
        int n = -2;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void run_dump(const char *options, const char *file, struct run *run)
{
        struct server server;
        char words[256];

        asked[0] = '\0';
        snprintf(words, sizeof(words), "dump %s%s", options, file);
        server_start(&server, handler);
        run_verb(run, server.path, NULL, words);
        server_stop(&server);
}

static void expect(const char *options, int status, const char *questions, const char *err)
{
        struct run run;
        char file[96];
        bool there;

        snprintf(file, sizeof(file), "%s/core", folder);
        run_dump(options, file, &run);
        there = access(file, F_OK) == 0;
        if (run.status != status || strcmp(asked, questions) != 0 || !strstr(run.err, err) ||
            there != (status == CTL_DONE) || n_files() != there)
                fail_msg("%s: %d, asked '%s', there %d, %d files, err '%s'", options, run.status,
                         asked, there, n_files(), run.err);
        unlink(file);
}

static int start(void **state)
{
        (void)state;
        fail = NULL;
        number = 0;
        runs = true;
        strcpy(folder, "/tmp/vmreq-dump-XXXXXX");
        assert_non_null(mkdtemp(folder));
        return 0;
}

static int end(void **state)
{
        (void)state;
        return rmdir(folder);
}

static void test_done(void **state)
{
        (void)state;
        expect("", CTL_DONE, "vm.suspend mem.dump vm.resume ", "");
        expect("--no-suspend ", CTL_DONE, "mem.dump ", "");
        runs = false;
        expect("", CTL_DONE, "vm.suspend mem.dump ", "");
}

static void test_failures(void **state)
{
        (void)state;
        fail = "mem.dump";
        expect("", CTL_REFUSED, "vm.suspend mem.dump vm.resume ", "core: not written");
        fail = "vm.suspend";
        expect("", CTL_TIMEOUT, "vm.suspend ", "vCPU 1 did not come");
        fail = "vm.resume";
        expect("", CTL_TIMEOUT, "vm.suspend mem.dump vm.resume ", "may be left SUSPENDED");
}

static void test_elsewhere(void **state)
{
        struct run run;

        (void)state;
        run_dump("", "-", &run);
        assert_int_equal(run.status, CTL_DONE);
        assert_string_equal(run.out, "chunkchunkchunk");
        run_dump("--json ", "/dev/null", &run);
        assert_string_equal(run.out, "{\"file\":\"/dev/null\",\"bytes\":15}\n");
        run_dump("", "/dev/full", &run);
        assert_int_equal(run.status, CTL_USAGE);
        assert_string_equal(asked, "vm.suspend mem.dump vm.resume ");
        assert_non_null(strstr(run.err, "/dev/full: No space left on device"));
        run_dump("", folder, &run);
        assert_int_equal(run.status, CTL_USAGE);
        assert_string_equal(asked, "");
        assert_non_null(strstr(run.err, "directory"));
        fail = "mem.dump";
        run_dump("", "-", &run);
        assert_int_equal(run.status, CTL_REFUSED);
        assert_non_null(strstr(run.err, "-: what was written is not complete"));
}

/* In a process of its own, which they end: behind the tidying. */
static void test_signals(void **state)
{
        static const int numbers[] = {SIGTERM, SIGHUP};

        (void)state;
        for (size_t i = 0; i < 2; i++) {
                char file[96];
                int status;
                pid_t pid;

                asked[0] = '\0';
                number = numbers[i];
                snprintf(file, sizeof(file), "%s/core", folder);
                pid = fork();
                if (pid == 0) {
                        struct run run;

                        run_dump("", file, &run);
                        _exit(0); /* it should not come here */
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status));
                assert_int_equal(WTERMSIG(status), numbers[i]);
                assert_int_equal(n_files(), 0);
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_done),
                TEST(test_failures),
                TEST(test_elsewhere),
                TEST(test_signals),
        };

        signal(SIGHUP, SIG_DFL); /* whoever runs this may ignore it */
        return cmocka_run_group_tests(tests, NULL, NULL);
}
