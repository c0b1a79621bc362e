/* SPDX-License-Identifier: MIT */
/* All built-in modules together: they load in their order, and each of their symbols explains
 * itself. */
#include "unit/symbols/caller.h"

#include <errno.h>

#include "modules/modules.h"

static struct log_record log_lines;

static void add_all(struct caller *caller)
{
        for (size_t i = 0; modules_builtin[i]; i++)
                caller_add(caller, modules_builtin[i]);
}

static void load_together(void **state)
{
        struct caller caller;
        const struct sym_symbol *const *list;
        size_t n;

        (void)state;
        caller_init(&caller, 2, &log_lines);
        add_all(&caller);
        list = sym_registry_list(caller.registry, &n);
        assert_true(n > 0);
        for (size_t i = 0; i < n; i++) {
                const struct vmreq_symbol *def = list[i]->def;

                assert_true(strlen(def->doc) > 10);
                for (uint32_t p = 0; p < def->n_params; p++)
                        assert_true(strlen(def->params[p].doc) > 10);
        }
        assert_int_equal(log_lines.n_lines, 0);
        caller_deinit(&caller);
}

/* One after the other is fine; two at a time would mix up two VMs, and is refused. */
static void serve_one_vm_at_a_time(void **state)
{
        struct caller first, second;
        char why[256];

        (void)state;
        for (int round = 0; round < 2; round++) {
                caller_init(&first, 1, &log_lines);
                add_all(&first);
                caller_init(&second, 1, &log_lines);
                for (size_t i = 0; modules_builtin[i]; i++)
                        assert_int_equal(sym_registry_add_builtin(second.registry,
                                                                  modules_builtin[i], NULL, 0, why,
                                                                  sizeof(why)),
                                         SYM_LOAD_E_INIT);
                caller_deinit(&second);
                caller_deinit(&first);
        }
}

static unsigned n_added;

/* A host that takes two, and then no more. */
static int add_two(const struct vmreq_host *host, const struct vmreq_symbol *symbol)
{
        (void)host;
        (void)symbol;
        return ++n_added <= 2 ? 0 : -EEXIST;
}

static void ends_at_the_first_refused(void **state)
{
        static const struct vmreq_symbol symbols[5];
        struct vmreq_host host = {.add_symbol = add_two};

        (void)state;
        n_added = 0;
        assert_int_equal(modules_add_symbols(&host, symbols, 2), 0);
        assert_int_equal(n_added, 2);
        n_added = 0;
        assert_int_equal(modules_add_symbols(&host, symbols, 5), -EEXIST);
        assert_int_equal(n_added, 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(ends_at_the_first_refused),
                cmocka_unit_test(load_together),
                cmocka_unit_test(serve_one_vm_at_a_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
