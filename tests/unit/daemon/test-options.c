/* SPDX-License-Identifier: MIT */
/* The command line: each option is a setting, options win over the file, mistakes leave with
 * status 2. */
#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "options.h"

static struct config config;
static struct options options;
static char file[] = "/tmp/vmreq-options-XXXXXX", said[4096];
static int status;

static int start(void **state)
{
        (void)state;
        config_init(&config);
        return 0;
}

static int end(void **state)
{
        (void)state;
        config_deinit(&config);
        options_deinit(&options);
        return 0;
}

/* Parses and loads, as main does. */
static bool read_options(int argc, char **argv)
{
        char text[1024];

        options_deinit(&options);
        if (!options_parse(argc, argv, &options, &status))
                return false;
        if (options_load(&options, &config, text, sizeof(text), &status))
                return true;
        (void)fprintf(stderr, "vmreqd: %s\n", text);
        return false;
}

/* Runs it with what it writes to `fd` caught in `said`. */
static bool run_catching(int fd, char **argv, int argc)
{
        int caught[2], saved = dup(fd);
        bool r;
        ssize_t n;

        assert_int_equal(pipe(caught), 0);
        (void)fflush(stdout);
        assert_true(dup2(caught[1], fd) == fd);
        optind = 0; /* glibc: forget the last command line altogether */
        status = -1;
        r = read_options(argc, argv);
        (void)fflush(stdout);
        assert_true(dup2(saved, fd) == fd);
        (void)close(saved);
        (void)close(caught[1]);
        n = read(caught[0], said, sizeof(said) - 1);
        said[n > 0 ? n : 0] = 0;
        (void)close(caught[0]);
        return r;
}

#define RUN(...) RUN_AND_CATCH(STDERR_FILENO, __VA_ARGS__)
#define RUN_AND_CATCH(fd, ...)                                                                     \
        run_catching(fd, (char *[]){(char[]){"vmreqd"}, __VA_ARGS__, NULL},                        \
                     sizeof((char *[]){(char[]){"vmreqd"}, __VA_ARGS__}) / sizeof(char *))

#define S(text) ((char[]){text})

static void write_file(const char *content)
{
        FILE *f = fopen(file, "we");

        assert_non_null(f);
        assert_true(fputs(content, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void test_nothing(void **state)
{
        (void)state;
        assert_true(run_catching(STDERR_FILENO, (char *[]){S("vmreqd"), NULL}, 1));
        assert_string_equal(said, "");
        assert_false(options.check);
        assert_string_equal(config.name, "default");
}

static void test_settings(void **state)
{
        (void)state;
        assert_true(RUN(S("-n"), S("web"), S("--socket=/run/x.sock"), S("-c3"), S("--module"),
                        S("debug"), S("-m"), S("/opt/a.so"), S("--module-dir"), S("/opt"),
                        S("--check"), S("--policy-dir=/p")));
        assert_string_equal(said, "");
        assert_true(options.check);
        assert_string_equal(config.name, "web");
        assert_string_equal(config.socket, "/run/x.sock");
        assert_int_equal(config.cpus, 3);
        assert_int_equal(config.n_modules, 2);
        assert_string_equal(config.modules[1].name, "/opt/a.so");
        assert_string_equal(config.module_directory, "/opt");
        assert_string_equal(config.policy_directory, "/p");
        assert_null(options.explain_user);
}

static void test_explain_policy(void **state)
{
        (void)state;
        assert_true(RUN(S("--explain-policy"), S("alice"), S("-c2"), S("cpu.regs")));
        assert_string_equal(options.explain_user, "alice");
        assert_string_equal(options.explain_symbol, "cpu.regs");
        assert_int_equal(config.cpus, 2);
        assert_false(RUN(S("--explain-policy"), S("alice")));
        assert_int_equal(status, EXIT_USAGE);
        assert_non_null(strstr(said, "takes a user and a symbol"));
        assert_false(RUN(S("--explain-policy"), S("alice"), S("cpu.regs"), S("more")));
        assert_int_equal(status, EXIT_USAGE);
}

/* What was parsed can be loaded again, from anywhere: for a reload. */
static void test_loaded_again(void **state)
{
        char text[1024];

        (void)state;
        write_file("[vm]\ncpus = 3\n");
        assert_true(RUN(S("-f"), file, S("-n"), S("web")));
        assert_int_equal(config.cpus, 3);
        write_file("[vm]\ncpus = 4\n");
        config_deinit(&config);
        config_init(&config);
        assert_int_equal(chdir("/"), 0);
        assert_true(options_load(&options, &config, text, sizeof(text), &status));
        assert_int_equal(config.cpus, 4);
        assert_string_equal(config.name, "web");
}

static void test_a_file_that_may_miss(void **state)
{
        char dashed[64];

        (void)state;
        assert_true(RUN(S("-f"), S("-/nowhere/at/all.conf")));
        assert_int_equal(config.cpus, 1);
        write_file("[vm]\ncpus = 3\n");
        (void)snprintf(dashed, sizeof(dashed), "-%s", file);
        assert_true(RUN(S("--config"), dashed));
        assert_int_equal(config.cpus, 3);
        write_file("[vm]\ncpus = x\n");
        assert_false(RUN(S("--config"), dashed));
        assert_int_equal(status, EXIT_FAILURE);
}

static void test_bounds(void **state)
{
        static char self[] = "vmreqd", one_cpu[] = "-c1", no_file[] = "-f-/nowhere";
        char *argv[OPTIONS_SETTINGS_MAX + 4] = {self};
        int n = 1;

        (void)state;
        while (n <= OPTIONS_SETTINGS_MAX)
                argv[n++] = one_cpu;
        assert_true(run_catching(STDERR_FILENO, argv, n));
        argv[n++] = one_cpu;
        assert_false(run_catching(STDERR_FILENO, argv, n));
        assert_int_equal(status, EXIT_USAGE);
        n = 1;
        for (int i = 0; i <= OPTIONS_CONFIGS_MAX; i++)
                argv[n++] = no_file;
        argv[n] = NULL;
        assert_false(run_catching(STDERR_FILENO, argv, n));
        assert_int_equal(status, EXIT_USAGE);
}

static void test_relative_paths(void **state)
{
        char here[1024], expected[1100];

        (void)state;
        assert_non_null(getcwd(here, sizeof(here)));
        assert_true(RUN(S("-s"), S("x.sock"), S("-m"), S("./a.so"), S("-m"), S("plain"),
                        S("--module-dir"), S("mods")));
        (void)snprintf(expected, sizeof(expected), "%s/x.sock", here);
        assert_string_equal(config.socket, expected);
        (void)snprintf(expected, sizeof(expected), "%s/./a.so", here);
        assert_string_equal(config.modules[0].name, expected);
        assert_string_equal(config.modules[1].name, "plain"); /* a name is no path */
        (void)snprintf(expected, sizeof(expected), "%s/mods", here);
        assert_string_equal(config.module_directory, expected);
}

static void test_options_win_over_the_file(void **state)
{
        (void)state;
        write_file("[vm]\ncpus = 7\nname = of-the-file\n");
        assert_true(RUN(S("-c"), S("2"), S("-f"), file)); /* wherever it stands */
        assert_int_equal(config.cpus, 2);
        assert_string_equal(config.name, "of-the-file");
}

static void test_a_bad_file(void **state)
{
        (void)state;
        write_file("[vm]\ncpus = many\n");
        assert_false(RUN(S("--config"), file));
        assert_int_equal(status, EXIT_FAILURE);
        assert_non_null(strstr(said, ":2: cpus: expected a number 1..256, got \"many\""));
        assert_false(RUN(S("--config=/nowhere")));
        assert_int_equal(status, EXIT_FAILURE);
}

static void test_mistakes(void **state)
{
        (void)state;
        assert_false(RUN(S("--cpus"), S("0")));
        assert_int_equal(status, EXIT_USAGE);
        assert_non_null(strstr(said, "vmreqd: cpus: expected a number 1..256"));
        assert_false(RUN(S("--name=.")));
        assert_int_equal(status, EXIT_USAGE);
        assert_false(RUN(S("--nonsense")));
        assert_int_equal(status, EXIT_USAGE);
        assert_non_null(strstr(said, "--help"));
        assert_false(RUN(S("-c")));
        assert_int_equal(status, EXIT_USAGE);
        assert_false(RUN(S("left"), S("over")));
        assert_int_equal(status, EXIT_USAGE);
        assert_non_null(strstr(said, "unexpected argument left"));
        assert_false(RUN(S("-s"), S("")));
        assert_int_equal(status, EXIT_USAGE);
        assert_false(RUN(S("-m"), S("")));
        assert_int_equal(status, EXIT_USAGE);
}

static void test_together_with_the_file(void **state)
{
        (void)state;
        write_file("[vm]\nrequest_slab = 16\n");
        assert_false(RUN(S("-f"), file, S("-c"), S("99")));
        assert_int_equal(status, EXIT_FAILURE);
        assert_non_null(strstr(said, "request_slab 16 is too small"));
}

static void test_help_and_version(void **state)
{
        (void)state;
        assert_false(RUN_AND_CATCH(STDOUT_FILENO, S("--cpus"), S("0"), S("--help")));
        assert_int_equal(status, EXIT_SUCCESS);
        assert_non_null(strstr(said, "Usage: vmreqd"));
        assert_non_null(strstr(said, "--socket"));
        assert_false(RUN_AND_CATCH(STDOUT_FILENO, S("--version")));
        assert_int_equal(status, EXIT_SUCCESS);
        assert_string_equal(said, "vmreqd " VMREQD_VERSION "\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_nothing, start, end),
                cmocka_unit_test_setup_teardown(test_settings, start, end),
                cmocka_unit_test_setup_teardown(test_explain_policy, start, end),
                cmocka_unit_test_setup_teardown(test_loaded_again, start, end),
                cmocka_unit_test_setup_teardown(test_a_file_that_may_miss, start, end),
                cmocka_unit_test_setup_teardown(test_bounds, start, end),
                cmocka_unit_test_setup_teardown(test_relative_paths, start, end),
                cmocka_unit_test_setup_teardown(test_options_win_over_the_file, start, end),
                cmocka_unit_test_setup_teardown(test_a_bad_file, start, end),
                cmocka_unit_test_setup_teardown(test_mistakes, start, end),
                cmocka_unit_test_setup_teardown(test_together_with_the_file, start, end),
                cmocka_unit_test_setup_teardown(test_help_and_version, start, end),
        };
        int fd = mkstemp(file), r;

        if (fd < 0 || close(fd))
                return 1;
        (void)alarm(50);
        r = cmocka_run_group_tests_name("options", tests, NULL, NULL);
        (void)unlink(file);
        return r;
}
