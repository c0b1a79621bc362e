/* SPDX-License-Identifier: MIT */
/* Loading in steps: the table changes in one step or not at all, runs may be on another thread, and
 * what is refused is undone. */
#include <pthread.h>
#include <stdlib.h>

#include "unit/symbols/fixture.h"

#include "symbols/module.h"

static struct log_record log_lines;
static char why[512];
static const char *folder;

static struct sym_registry *new_registry(void)
{
        struct sym_registry *registry;

        log_clear(&log_lines);
        assert_int_equal(sym_registry_new((vmreq_vm){0}, log_record, &log_lines, &registry), 0);
        return registry;
}

static void *run(void *arg)
{
        sym_load_run(arg);
        return NULL;
}

static void run_elsewhere(struct sym_load *load)
{
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, run, load), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

static enum sym_load_result begin(struct sym_registry *registry, const char *name,
                                  struct sym_load **ret_load)
{
        const struct sym_load_spec spec = {.directory = folder, .name = name};

        return sym_load_new(registry, &spec, ret_load, why, sizeof(why));
}

static const struct sym_symbol *find(const struct sym_registry *registry, const char *name)
{
        return sym_registry_find(registry, name, strlen(name));
}

static void in_steps(void **state)
{
        struct sym_registry *registry = new_registry();
        struct sym_load *load, *other;
        const char *text;

        (void)state;
        assert_int_equal(begin(registry, "good", &load), SYM_LOAD_OK);
        assert_int_equal(begin(registry, "good", &other), SYM_LOAD_E_LOADED);
        assert_has(why, "is loading");
        run_elsewhere(load); /* mapped */
        assert_true(sym_load_step(load));
        run_elsewhere(load); /* init */
        assert_null(find(registry, "good.one"));
        assert_false(sym_load_step(load));
        assert_int_equal(sym_load_result(load, &text), SYM_LOAD_OK);
        sym_load_free(load);
        assert_non_null(find(registry, "good.one"));
        assert_int_equal(begin(registry, "good", &other), SYM_LOAD_E_LOADED);
        assert_has(why, "is loaded");
        assert_int_equal(sym_registry_unload(registry, "good"), SYM_UNLOAD_OK);
        assert_null(sym_registry_free(registry));
}

/* As many runs as it says; returns what came of it. */
static enum sym_load_result to_the_end(struct sym_load *load, unsigned runs)
{
        enum sym_load_result result;
        const char *text;
        unsigned n = 0;

        do {
                run_elsewhere(load);
                n++;
        } while (sym_load_step(load));
        assert_int_equal(n, runs);
        result = sym_load_result(load, &text);
        (void)snprintf(why, sizeof(why), "%s", text);
        sym_load_free(load);
        return result;
}

static void refused(void **state)
{
        static const struct {
                const char *name, *why;
                enum sym_load_result result;
                unsigned runs;
        } rows[] = {
                {"none", "No such file", SYM_LOAD_E_NOT_FOUND, 1},
                {"../x", "must be", SYM_LOAD_E_NAME, 1},
                {"abi", "ABI", SYM_LOAD_E_FORMAT, 1},
                {"init_fails", "init returned", SYM_LOAD_E_INIT, 3},
                {"thief", "the name must begin", SYM_LOAD_E_INIT, 3},
        };
        struct sym_registry *registry = new_registry();
        struct sym_load *load;
        size_t n;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char file[64];

                assert_int_equal(begin(registry, rows[i].name, &load), SYM_LOAD_OK);
                assert_int_equal(to_the_end(load, rows[i].runs), rows[i].result);
                assert_has(why, rows[i].why);
                (void)sym_registry_list(registry, &n);
                assert_int_equal(n, 0);
                (void)snprintf(file, sizeof(file), "/%s.so", rows[i].name);
                assert_int_equal(is_mapped(file), 0);
        }
        assert_null(sym_registry_free(registry));
}

/* Between two steps of one load another one ends: neither sees the other's half. */
static void two_at_once(void **state)
{
        struct sym_registry *registry = new_registry();
        struct sym_load *good, *sticky;

        (void)state;
        assert_int_equal(begin(registry, "good", &good), SYM_LOAD_OK);
        assert_int_equal(begin(registry, "sticky", &sticky), SYM_LOAD_OK);
        run_elsewhere(good);
        run_elsewhere(sticky);
        assert_true(sym_load_step(good));
        run_elsewhere(good);
        assert_true(sym_load_step(sticky));
        assert_false(sym_load_step(good));
        sym_load_free(good);
        assert_non_null(find(registry, "good.two"));
        assert_null(find(registry, "sticky.one"));
        run_elsewhere(sticky);
        assert_false(sym_load_step(sticky));
        sym_load_free(sticky);
        assert_non_null(find(registry, "sticky.one"));
        assert_null(sym_registry_free(registry));
}

static int empty_init(const struct vmreq_host *host, uint32_t abi,
                      const struct vmreq_setting *settings, size_t n_settings)
{
        (void)host, (void)abi, (void)settings, (void)n_settings;
        return 0;
}

/* The table fills up while a module's init runs: it is refused whole, and its fini runs. */
static void no_place_any_more(void **state)
{
        static char names[SYM_MODULES_MAX][16];
        static struct vmreq_module modules[SYM_MODULES_MAX];
        struct sym_registry *registry = new_registry();
        struct sym_load *load;

        (void)state;
        assert_int_equal(begin(registry, "good", &load), SYM_LOAD_OK);
        run_elsewhere(load);
        assert_true(sym_load_step(load));
        run_elsewhere(load);
        for (size_t i = 0; i < SYM_MODULES_MAX; i++) {
                (void)snprintf(names[i], sizeof(names[i]), "m%zu", i);
                modules[i] = (struct vmreq_module)MODULE(names[i], empty_init, NULL);
                assert_int_equal(
                        sym_registry_add_builtin(registry, &modules[i], NULL, 0, why, sizeof(why)),
                        SYM_LOAD_OK);
        }
        assert_true(sym_load_step(load)); /* refused, and to be undone */
        assert_null(find(registry, "good.one"));
        assert_has_not(log_lines.text, "fini");
        assert_int_equal(to_the_end(load, 1), SYM_LOAD_E_MEMORY);
        assert_has(why, "at most 64 modules");
        assert_has(log_lines.text, "6 good: fini");
        assert_int_equal(is_mapped("/good.so"), 0);
        assert_null(sym_registry_free(registry));
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(in_steps),
                cmocka_unit_test(refused),
                cmocka_unit_test(two_at_once),
                cmocka_unit_test(no_place_any_more),
        };

        if (argc != 2)
                return 2;
        folder = argv[1];
        return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
