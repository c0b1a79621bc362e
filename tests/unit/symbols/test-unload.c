/* SPDX-License-Identifier: MIT */
/* Unloading in steps: symbols vanish, pins drain, fini runs elsewhere. */
#include <pthread.h>

#include "unit/symbols/fixture.h"

#include "symbols/module.h"

static struct log_record log_lines;
static char why[512];
static const char *folder;
static unsigned n_drained;

static void on_drained(void *ctx)
{
        assert_ptr_equal(ctx, &n_drained);
        n_drained++;
}

static struct sym_registry *new_registry(const char *module)
{
        struct sym_registry *registry;

        log_clear(&log_lines);
        n_drained = 0;
        assert_int_equal(sym_registry_new((vmreq_vm){0}, log_record, &log_lines, &registry), 0);
        sym_registry_on_drained(registry, on_drained, &n_drained);
        assert_int_equal(
                sym_registry_load(registry, folder, module, false, NULL, 0, why, sizeof(why)),
                SYM_LOAD_OK);
        return registry;
}

static const struct sym_symbol *find(const struct sym_registry *registry, const char *name)
{
        return sym_registry_find(registry, name, strlen(name));
}

static void *run(void *arg)
{
        sym_unload_run(arg);
        return NULL;
}

static void in_steps(void **state)
{
        struct sym_registry *registry = new_registry("good");
        const struct sym_symbol *one = find(registry, "good.one");
        struct sym_module_info info;
        struct sym_module *module;
        pthread_t thread;

        (void)state;
        assert_true(sym_registry_module(registry, 0, &info));
        assert_string_equal(info.name, "good");
        assert_string_equal(info.version, "1");
        assert_int_equal(info.n_symbols, 2);
        assert_false(info.draining);
        assert_false(info.builtin);
        assert_null(sym_unload_begin(registry, "good")); /* not withdrawn */
        sym_symbol_pin(one);
        assert_int_equal(sym_registry_withdraw(registry, "good"), SYM_UNLOAD_OK);
        assert_int_equal(sym_registry_withdraw(registry, "good"), SYM_UNLOAD_OK); /* again */
        assert_null(find(registry, "good.one"));
        assert_true(sym_registry_module(registry, 0, &info));
        assert_true(info.draining);
        assert_int_equal(info.n_symbols, 0);
        assert_int_equal(info.n_pins, 1);
        assert_null(sym_unload_begin(registry, "good"));
        assert_int_equal(n_drained, 0);
        sym_symbol_unpin(one);
        assert_int_equal(n_drained, 1);
        module = sym_unload_begin(registry, "good");
        assert_non_null(module);
        assert_null(sym_unload_begin(registry, "good")); /* somebody has begun */
        assert_int_equal(sym_registry_unload(registry, "good"), SYM_UNLOAD_E_BUSY);
        assert_int_equal(pthread_create(&thread, NULL, run, module), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_has(log_lines.text, "6 good: fini");
        assert_false(is_mapped("/good.so"));
        sym_unload_end(registry, module);
        assert_false(sym_registry_module(registry, 0, &info));
        assert_int_equal(sym_registry_withdraw(registry, "good"), SYM_UNLOAD_E_NOT_FOUND);
        assert_null(sym_registry_free(registry));
}

/* Pins of a module that nobody unloads are nobody's affair. */
static void not_draining(void **state)
{
        struct sym_registry *registry = new_registry("good");
        const struct sym_symbol *one = find(registry, "good.one");

        (void)state;
        sym_symbol_pin(one);
        sym_symbol_unpin(one);
        assert_int_equal(n_drained, 0);
        assert_null(sym_registry_free(registry));
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(in_steps),
                cmocka_unit_test(not_draining),
        };

        if (argc != 2)
                return 2;
        folder = argv[1];
        return cmocka_run_group_tests_name("unload", tests, NULL, NULL);
}
