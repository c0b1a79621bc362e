/* SPDX-License-Identifier: MIT */
/*
 * Plugins from files: which are taken, which are refused and why, and what stays mapped.  argv[1]
 * is the folder with the ones from plugins/.
 */
#include "unit/symbols/fixture.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbols/plugin.h"

static const char *folder;
static struct log_record log_lines;
static char why[8192];

static struct sym_registry *new_registry(void)
{
        struct sym_registry *registry;

        log_clear(&log_lines);
        why[0] = '\0';
        assert_int_equal(sym_registry_new((vmreq_vm){0}, log_record, &log_lines, &registry), 0);
        return registry;
}

static enum sym_load_result load(struct sym_registry *registry, const char *name)
{
        return sym_registry_load(registry, folder, name, false, NULL, 0, why, sizeof(why));
}

static const struct sym_symbol *find(const struct sym_registry *registry, const char *name)
{
        return sym_registry_find(registry, name, strlen(name));
}

static void path_of(const char *name, char path[static PATH_MAX])
{
        assert_true(snprintf(path, PATH_MAX, "%s/%s.so", folder, name) < PATH_MAX);
}

static void loads_and_unloads(void **state)
{
        static const struct vmreq_setting settings[] = {{"a", "1"}, {"b", "2"}};
        struct sym_registry *registry = new_registry();
        size_t n;

        (void)state;
        for (int round = 0; round < 2; round++) {
                log_clear(&log_lines);
                assert_false(is_mapped("/good.so"));
                assert_int_equal(sym_registry_load(registry, folder, "good", false, settings, 2,
                                                   why, sizeof(why)),
                                 SYM_LOAD_OK);
                assert_true(is_mapped("/good.so"));
                (void)sym_registry_list(registry, &n);
                assert_int_equal(n, 2);
                assert_int_equal(load(registry, "good"), SYM_LOAD_E_LOADED);
                assert_has(why, "good: a module of that name is loaded");
                assert_int_equal(sym_registry_unload(registry, "good"), SYM_UNLOAD_OK);
                assert_null(find(registry, "good.one"));
                assert_false(is_mapped("/good.so"));
                assert_string_equal(log_lines.text, "6 good: init with 2 settings\n6 good: fini\n");
                assert_int_equal(sym_registry_unload(registry, "good"), SYM_UNLOAD_E_NOT_FOUND);
        }
        sym_registry_free(registry);
}

/* Unload with a call in flight: the names go at once, the code when the last pin does. */
static void drains(void **state)
{
        struct sym_registry *registry = new_registry();
        const struct sym_symbol *one, *two;
        size_t n = 9;

        (void)state;
        assert_int_equal(load(registry, "good"), SYM_LOAD_OK);
        one = find(registry, "good.one");
        two = find(registry, "good.two");
        sym_symbol_pin(one);
        sym_symbol_pin(two);
        sym_symbol_pin(one);
        assert_int_equal(sym_registry_unload(registry, "good"), SYM_UNLOAD_E_BUSY);
        assert_null(find(registry, "good.one"));
        assert_null(find(registry, "good.two"));
        (void)sym_registry_list(registry, &n);
        assert_int_equal(n, 0);
        assert_string_equal(one->def->name, "good.one"); /* what is pinned stays */
        assert_has_not(log_lines.text, "fini");
        assert_int_equal(load(registry, "good"), SYM_LOAD_E_LOADED);
        assert_has(why, "draining");
        sym_symbol_unpin(one);
        sym_symbol_unpin(two);
        assert_int_equal(sym_registry_unload(registry, "good"), SYM_UNLOAD_E_BUSY);
        sym_symbol_unpin(one);
        assert_true(is_mapped("/good.so"));
        assert_int_equal(sym_registry_unload(registry, "good"), SYM_UNLOAD_OK);
        assert_has(log_lines.text, "fini");
        assert_false(is_mapped("/good.so"));
        assert_int_equal(load(registry, "good"), SYM_LOAD_OK);
        sym_registry_free(registry);
        assert_false(is_mapped("/good.so"));
}

static void free_ends_a_draining_one(void **state)
{
        struct sym_registry *registry = new_registry();
        const struct sym_symbol *one;

        (void)state;
        assert_int_equal(load(registry, "good"), SYM_LOAD_OK);
        one = find(registry, "good.one");
        sym_symbol_pin(one);
        assert_int_equal(sym_registry_unload(registry, "good"), SYM_UNLOAD_E_BUSY);
        sym_symbol_unpin(one);
        sym_registry_free(registry);
        assert_false(is_mapped("/good.so"));
        assert_has(log_lines.text, "fini");
}

/* A pin at the very end: an EMT is stuck in the module, which must not be pulled from under it. */
static void free_leaves_a_pinned_one(void **state)
{
        static const struct sym_symbol *kept; /* static: the abandoned memory stays reachable */
        struct sym_registry *registry = new_registry();

        (void)state;
        assert_int_equal(load(registry, "sticky"), SYM_LOAD_OK);
        kept = find(registry, "sticky.one");
        sym_symbol_pin(kept);
        sym_registry_free(registry);
        assert_has(log_lines.text, "3 sticky: abandoned with 1 pins");
        assert_has_not(log_lines.text, "fini");
        assert_true(is_mapped("/sticky.so"));
        assert_string_equal(kept->def->name, "sticky.one");
}

static void stays_mapped(void **state)
{
        struct sym_registry *registry = new_registry();

        (void)state;
        for (int round = 0; round < 2; round++) {
                assert_int_equal(load(registry, "sticky"), SYM_LOAD_OK);
                assert_int_equal(sym_registry_unload(registry, "sticky"), SYM_UNLOAD_OK);
                assert_true(is_mapped("/sticky.so"));
        }
        assert_int_equal(load(registry, "fini_fails"), SYM_LOAD_OK);
        assert_int_equal(sym_registry_unload(registry, "fini_fails"), SYM_UNLOAD_OK);
        assert_true(is_mapped("/fini_fails.so"));
        assert_has(log_lines.text, "4 fini_fails: fini returned -3: the module stays mapped");
        assert_null(find(registry, "fini_fails.one"));
        sym_registry_free(registry);
}

static void refused(const char *name, enum sym_load_result expected, const char *part)
{
        struct sym_registry *registry = new_registry();
        char file[64];
        size_t n = 9;

        assert_int_equal(load(registry, name), expected);
        assert_has(why, part);
        assert_null(strchr(why, '\n'));
        (void)sym_registry_list(registry, &n);
        assert_int_equal(n, 0);
        assert_int_equal(sym_registry_unload(registry, name), SYM_UNLOAD_E_NOT_FOUND);
        (void)snprintf(file, sizeof(file), "/%s.so", name);
        assert_false(is_mapped(file));
        sym_registry_free(registry);
}

static void bad_plugins(void **state)
{
        (void)state;
        refused("abi", SYM_LOAD_E_FORMAT, "built for module ABI 2, this is 1");
        refused("small", SYM_LOAD_E_FORMAT, "a descriptor of 16 bytes, expected at least");
        refused("no_descriptor", SYM_LOAD_E_FORMAT, "it exports no vmreq_module_v1");
        refused("outer", SYM_LOAD_E_FORMAT, "the module in it is named inner");
        refused("undefined", SYM_LOAD_E_FORMAT, "nobody_has_this");
        refused("init_fails", SYM_LOAD_E_INIT, "init_fails: init returned -22");
        assert_has_not(log_lines.text, "fini\n");
        refused("twice", SYM_LOAD_E_INIT, "twice.one: there is a symbol of that name");
        assert_has(log_lines.text, "6 twice: fini\n");
        refused("thief", SYM_LOAD_E_INIT, "good.three: the name must begin with \"thief.\"");
        refused("nobody", SYM_LOAD_E_NOT_FOUND, "No such file");
}

static void names_are_no_paths(void **state)
{
        static const char *const bad[] = {"",
                                          ".",
                                          "..",
                                          "../good",
                                          "good.so",
                                          "/good",
                                          "./good",
                                          "good/",
                                          "Good",
                                          "libc.so.6",
                                          "good\n",
                                          "0good",
                                          "a12345678901234567890123456789012"};
        struct sym_registry *registry = new_registry();
        char path[PATH_MAX];

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_equal(load(registry, bad[i]), SYM_LOAD_E_NAME);
        path_of("good", path);
        assert_int_equal(load(registry, path), SYM_LOAD_E_NAME);
        /* With leave for paths a name still needs a slash to be one. */
        assert_int_equal(
                sym_registry_load(registry, folder, "libc.so.6", true, NULL, 0, why, sizeof(why)),
                SYM_LOAD_E_NAME);
        assert_int_equal(sym_registry_load(registry, "", "good", true, NULL, 0, why, sizeof(why)),
                         SYM_LOAD_E_NOT_FOUND);
        assert_int_equal(sym_registry_load(registry, NULL, "good", true, NULL, 0, why, sizeof(why)),
                         SYM_LOAD_E_NOT_FOUND);
        assert_int_equal(
                sym_registry_load(registry, "/nowhere", "good", true, NULL, 0, why, sizeof(why)),
                SYM_LOAD_E_NOT_FOUND);
        sym_registry_free(registry);
}

static void paths(void **state)
{
        struct sym_registry *registry = new_registry();
        char path[PATH_MAX], longest[PATH_MAX + 8];

        (void)state;
        path_of("outer", path); /* by path, the file's name says nothing */
        assert_int_equal(sym_registry_load(registry, NULL, path, true, NULL, 0, why, sizeof(why)),
                         SYM_LOAD_OK);
        assert_non_null(find(registry, "inner.one"));
        assert_int_equal(sym_registry_unload(registry, "inner"), SYM_UNLOAD_OK);
        memset(longest, '/', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = '\0';
        assert_int_equal(
                sym_registry_load(registry, NULL, longest, true, NULL, 0, why, sizeof(why)),
                SYM_LOAD_E_NAME);
        sym_registry_free(registry);
}

/* What is no file at all: a folder, a FIFO (which would block an open for ever), text. */
static void odd_files(void **state)
{
        struct sym_registry *registry = new_registry();
        char temp[] = "/tmp/test-plugin-XXXXXX", path[PATH_MAX];
        FILE *file;

        (void)state;
        assert_non_null(mkdtemp(temp));
        assert_true(snprintf(path, sizeof(path), "%s/odd.so", temp) > 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(sym_registry_load(registry, temp, "odd", false, NULL, 0, why, sizeof(why)),
                         SYM_LOAD_E_FORMAT);
        assert_has(why, "not a regular file");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(sym_registry_load(registry, temp, "odd", false, NULL, 0, why, sizeof(why)),
                         SYM_LOAD_E_FORMAT);
        assert_int_equal(rmdir(path), 0);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs("#!/bin/sh\n", file) >= 0);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(sym_registry_load(registry, temp, "odd", false, NULL, 0, why, sizeof(why)),
                         SYM_LOAD_E_FORMAT);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(temp), 0);
        sym_registry_free(registry);
}

static void the_door_alone(void **state)
{
        struct sym_plugin plugin = SYM_PLUGIN_NULL;

        (void)state;
        sym_plugin_close(&plugin);
        assert_int_equal(sym_plugin_open(folder, "good", false, &plugin, why, sizeof(why)),
                         SYM_LOAD_OK);
        assert_string_equal(plugin.module->name, "good");
        sym_plugin_close(&plugin);
        assert_null(plugin.handle);
        assert_false(is_mapped("/good.so"));
        sym_plugin_close(&plugin);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(loads_and_unloads),
                cmocka_unit_test(drains),
                cmocka_unit_test(free_ends_a_draining_one),
                cmocka_unit_test(stays_mapped),
                cmocka_unit_test(free_leaves_a_pinned_one),
                cmocka_unit_test(bad_plugins),
                cmocka_unit_test(names_are_no_paths),
                cmocka_unit_test(paths),
                cmocka_unit_test(odd_files),
                cmocka_unit_test(the_door_alone),
        };

        if (argc != 2) {
                fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
                return 2;
        }
        folder = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
