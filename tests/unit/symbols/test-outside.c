/* SPDX-License-Identifier: MIT */
/*
 * The promise to authors: one header, one compiler call, no build system, nothing to link.  A
 * module is compiled in a folder that holds it and a copy of vmreq-module.h, loaded by name, and
 * called.
 *
 * argv: the header, the module's source, the C compiler, the C++ compiler or "".
 */
#include "unit/symbols/caller.h"

#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *header, *source, *cc, *cxx;
static char temp[] = "/tmp/test-outside-XXXXXX";

/* Runs a program, waits for it, and expects success. */
static void run(const char *const argv[])
{
        pid_t pid;
        int status;

        assert_int_equal(posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                fail_msg("%s failed with status 0x%x", argv[0], (unsigned)status);
}

static const char *in_temp(const char *name)
{
        static char paths[4][PATH_MAX];
        static unsigned at;
        char *path = paths[at++ % 4];

        assert_true(snprintf(path, PATH_MAX, "%s/%s", temp, name) < PATH_MAX);
        return path;
}

static int make_folder(void **state)
{
        (void)state;
        assert_non_null(mkdtemp(temp));
        run((const char *const[]){"cp", header, in_temp("vmreq-module.h"), NULL});
        run((const char *const[]){"cp", source, in_temp("outside.c"), NULL});
        return 0;
}

static int remove_folder(void **state)
{
        (void)state;
        run((const char *const[]){"rm", "-r", temp, NULL});
        return 0;
}

static void compiles_loads_and_runs(void **state)
{
        const struct vmreq_value whom = {.type = VMREQ_T_STR, .len = 5, .data = "world"};
        struct log_record log;
        struct caller caller;
        struct call call;
        char why[1024] = "";

        (void)state;
        run((const char *const[]){cc, "-shared", "-fPIC", "-o", in_temp("outside.so"),
                                  in_temp("outside.c"), NULL});
        caller_init(&caller, 1, &log);
        if (sym_registry_load(caller.registry, temp, "outside", false, NULL, 0, why, sizeof(why)) !=
            SYM_LOAD_OK)
                fail_msg("%s", why);
        call_do(&call, &caller, "outside.greet", 0, &whom, 1);
        assert_int_equal(call.row.status, 0);
        assert_string_equal(call.writer.text, "{1 \"hello\" \"world\"");
        assert_int_equal(sym_registry_unload(caller.registry, "outside"), SYM_UNLOAD_OK);
        assert_false(is_mapped("/outside.so"));
        caller_deinit(&caller);
}

static void header_is_plain_c(void **state)
{
        (void)state;
        run((const char *const[]){cc, "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror",
                                  "-fsyntax-only", "-x", "c", in_temp("vmreq-module.h"), NULL});
}

static void header_is_plain_cxx(void **state)
{
        (void)state;
        if (cxx[0] == '\0')
                skip();
        run((const char *const[]){cxx, "-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                                  "-x", "c++", in_temp("vmreq-module.h"), NULL});
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(compiles_loads_and_runs),
                cmocka_unit_test(header_is_plain_c),
                cmocka_unit_test(header_is_plain_cxx),
        };

        if (argc != 5) {
                fprintf(stderr, "usage: %s HEADER SOURCE CC CXX\n", argv[0]);
                return 2;
        }
        header = argv[1];
        source = argv[2];
        cc = argv[3];
        cxx = argv[4];
        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
