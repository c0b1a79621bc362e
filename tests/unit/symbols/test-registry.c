/* SPDX-License-Identifier: MIT */
/*
 * The table: what is found, in what order, and that loading is all or nothing.  The engine is not
 * needed: the host tables of these modules belong to no VM.
 */
#include "unit/symbols/fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/fail-at.h"

/* What the init of a test's module registers, and whether it cares about the answers. */
static const struct vmreq_symbol *to_add;
static size_t n_to_add;
static bool careless;
static int init_result;
static int n_fini;
static const struct vmreq_host *last_host;

static int test_init(const struct vmreq_host *host, uint32_t abi,
                     const struct vmreq_setting *settings, size_t n_settings)
{
        (void)settings;
        (void)n_settings;
        assert_int_equal(abi, VMREQ_MODULE_ABI);
        assert_int_equal(host->abi, VMREQ_MODULE_ABI);
        assert_int_equal(host->size, sizeof(struct vmreq_host));
        last_host = host;
        for (size_t i = 0; i < n_to_add; i++) {
                int r = host->add_symbol(host, &to_add[i]);

                if (r < 0 && !careless)
                        return r;
        }
        return init_result;
}

static int test_fini(const struct vmreq_host *host)
{
        assert_ptr_equal(host->put_nil, host->put_nil);
        n_fini++;
        return 0;
}

static struct log_record log_lines;
static char why[512];

static struct sym_registry *new_registry(void)
{
        struct sym_registry *registry;

        log_clear(&log_lines);
        why[0] = '\0';
        n_fini = 0;
        careless = false;
        init_result = 0;
        assert_int_equal(sym_registry_new((vmreq_vm){0}, log_record, &log_lines, &registry), 0);
        return registry;
}

static enum sym_load_result add(struct sym_registry *registry, const struct vmreq_module *module,
                                const struct vmreq_symbol *symbols, size_t n)
{
        to_add = symbols;
        n_to_add = n;
        return sym_registry_add_builtin(registry, module, NULL, 0, why, sizeof(why));
}

static const struct sym_symbol *find(const struct sym_registry *registry, const char *name)
{
        return sym_registry_find(registry, name, strlen(name));
}

static const struct vmreq_module mod_a = MODULE("a", test_init, test_fini);
static const struct vmreq_module mod_b = MODULE("b", test_init, test_fini);

static void empty(void **state)
{
        struct sym_registry *registry = new_registry();
        size_t n = 99;

        (void)state;
        (void)sym_registry_list(registry, &n);
        assert_int_equal(n, 0);
        assert_null(find(registry, "a.b"));
        assert_null(sym_registry_find(registry, NULL, 0));
        assert_int_equal(sym_registry_unload(registry, "a"), SYM_UNLOAD_E_NOT_FOUND);
        assert_null(sym_registry_free(registry));
        assert_null(sym_registry_free(NULL));
}

static void finds_and_lists(void **state)
{
        static const struct vmreq_param params[] = {
                {.name = "x", .type = VMREQ_T_I32, .doc = ""},
                {.name = "y",
                 .type = VMREQ_T_I32,
                 .flags = VMREQ_PARAM_OPTIONAL,
                 .doc = "",
                 .fallback = {.type = VMREQ_T_I32}},
        };
        static const struct vmreq_symbol of_a[] = {CALLBACK("a.z"), WORDS("a.b"), CALLBACK("a.m")};
        static const char *const in_order[] = {"a.b", "a.m", "a.z", "b.a", "b.z"};
        struct vmreq_symbol of_b[] = {WORDS("b.z"), CALLBACK("b.a")};
        struct sym_registry *registry = new_registry();
        const struct sym_symbol *const *list;
        const struct sym_symbol *symbol;
        uint64_t generation;
        size_t n;

        (void)state;
        of_b[0].params = params;
        of_b[0].n_params = 2;
        of_b[0].result = VMREQ_T_U32;
        assert_int_equal(add(registry, &mod_b, of_b, 2), SYM_LOAD_OK);
        generation = sym_registry_generation(registry);
        assert_int_equal(add(registry, &mod_a, of_a, 3), SYM_LOAD_OK);
        assert_true(sym_registry_generation(registry) > generation);

        list = sym_registry_list(registry, &n);
        assert_int_equal(n, 5);
        for (size_t i = 0; i < n; i++) {
                assert_string_equal(list[i]->def->name, in_order[i]);
                assert_ptr_equal(list[i], find(registry, in_order[i]));
                assert_int_equal(list[i]->name_len, 3);
                assert_int_equal(list[i]->index, i);
        }
        symbol = find(registry, "b.z");
        assert_true(symbol->words);
        assert_int_equal(symbol->kind, VMREQ_FN_U32);
        assert_int_equal(symbol->n_required, 1);
        assert_ptr_equal(symbol->def, &of_b[0]);
        assert_string_equal(sym_module_name(symbol->module), "b");
        symbol = find(registry, "a.z");
        assert_false(symbol->words);
        assert_int_equal(symbol->kind, VMREQ_FN_CALLBACK);
        assert_int_equal(symbol->n_required, 0);
        assert_ptr_equal(sym_registry_find(registry, "a.zzz", 3), symbol);
        assert_null(sym_registry_find(registry, "a.z", 2));
        assert_null(find(registry, "a.n"));
        sym_registry_free(registry);
        assert_int_equal(n_fini, 2);
}

/* Refused as a whole: nothing of `a` is there, what was there is, and fini ran `fini` times. */
static void refused(struct sym_registry *registry, enum sym_load_result expected, const char *part,
                    int fini, const struct vmreq_symbol *symbols, size_t n)
{
        size_t n_list;

        why[0] = '\0';
        n_fini = 0;
        assert_int_equal(add(registry, &mod_a, symbols, n), expected);
        assert_has(why, part);
        assert_int_equal(n_fini, fini);
        (void)sym_registry_list(registry, &n_list);
        assert_int_equal(n_list, 1);
        for (size_t i = 0; i < n; i++)
                assert_null(find(registry, symbols[i].name));
        assert_non_null(find(registry, "b.x"));
}

static void all_or_nothing(void **state)
{
        static const struct vmreq_symbol of_b[] = {CALLBACK("b.x")};
        static const struct vmreq_symbol good[] = {CALLBACK("a.b"), CALLBACK("a.c")};
        static const struct vmreq_symbol twice[] = {CALLBACK("a.b"), CALLBACK("a.c"), WORDS("a.b")};
        static const struct vmreq_symbol foreign[] = {CALLBACK("a.b"), CALLBACK("ab.c")};
        static const struct vmreq_symbol dotless[] = {CALLBACK("a.b"), CALLBACK("a")};
        struct vmreq_symbol unsound[] = {CALLBACK("a.b"), CALLBACK("a.c")};
        struct sym_registry *registry = new_registry();

        (void)state;
        unsound[1].flags = 0x4000;
        assert_int_equal(add(registry, &mod_b, of_b, 1), SYM_LOAD_OK);
        for (int i = 0; i < 2; i++) {
                careless = i == 1; /* then init returns 0, so that it has to be undone by fini */
                refused(registry, SYM_LOAD_E_INIT, "a.b: there is a symbol of that name", i, twice,
                        3);
                refused(registry, SYM_LOAD_E_INIT, "begin with \"a.\"", i, foreign, 2);
                refused(registry, SYM_LOAD_E_INIT, "name must be", i, dotless, 2);
                refused(registry, SYM_LOAD_E_INIT, "a.c: unknown flags", i, unsound, 2);
        }
        assert_has(log_lines.text, "3 a: symbol refused: a.c: unknown flags");
        init_result = -7;
        refused(registry, SYM_LOAD_E_INIT, "a: init returned -7", 0, good, 2);
        init_result = 0;
        assert_int_equal(add(registry, &mod_a, good, 2), SYM_LOAD_OK);
        assert_int_equal(add(registry, &mod_a, good, 2), SYM_LOAD_E_LOADED);
        assert_has(why, "a: a module of that name is loaded");
        sym_registry_free(registry);
}

static void descriptors(void **state)
{
        struct sym_registry *registry = new_registry();
        struct vmreq_module module = mod_a;

        (void)state;
        assert_int_equal(add(registry, NULL, NULL, 0), SYM_LOAD_E_FORMAT);
        module.abi++;
        assert_int_equal(add(registry, &module, NULL, 0), SYM_LOAD_E_FORMAT);
        assert_has(why, "built for module ABI 2, this is 1");
        module = mod_a;
        module.name = "vmreq";
        assert_int_equal(add(registry, &module, NULL, 0), SYM_LOAD_E_FORMAT);
        assert_has(why, "the daemon's own");
        assert_int_equal(sym_registry_unload(registry, "vmreq"), SYM_UNLOAD_E_NOT_FOUND);
        assert_int_equal(add(registry, &mod_a, NULL, 0), SYM_LOAD_OK);
        assert_int_equal(sym_registry_unload(registry, "a"), SYM_UNLOAD_E_BUILTIN);
        sym_registry_free(registry);
}

static void registers_in_init_only(void **state)
{
        static const struct vmreq_symbol symbol = CALLBACK("a.late");
        struct sym_registry *registry = new_registry();

        (void)state;
        assert_int_equal(add(registry, &mod_a, NULL, 0), SYM_LOAD_OK);
        assert_true(last_host->add_symbol(last_host, &symbol) < 0);
        assert_has(log_lines.text, "3 a: symbol refused: not inside init");
        assert_null(find(registry, "a.late"));
        sym_registry_free(registry);
}

/* Names in a block of memory, so that thousands can be declared. */
struct many {
        struct vmreq_symbol symbols[SYM_MODULE_SYMBOLS_MAX + 1];
        char names[SYM_MODULE_SYMBOLS_MAX + 1][32];
        struct vmreq_module module;
        char name[8];
};

static struct many *many_new(unsigned index, size_t n)
{
        struct many *many = calloc(1, sizeof(*many));

        assert_non_null(many);
        (void)snprintf(many->name, sizeof(many->name), "m%u", index);
        many->module = mod_a;
        many->module.name = many->name;
        for (size_t i = 0; i < n; i++) {
                (void)snprintf(many->names[i], sizeof(many->names[i]), "%s.s%zu", many->name, i);
                many->symbols[i] = (struct vmreq_symbol)CALLBACK(many->names[i]);
        }
        return many;
}

static void bounds_of_symbols(void **state)
{
        enum { FULL = SYM_REGISTRY_SYMBOLS_MAX / SYM_MODULE_SYMBOLS_MAX };
        struct sym_registry *registry = new_registry();
        struct many *many[FULL + 2];

        (void)state;
        many[0] = many_new(0, SYM_MODULE_SYMBOLS_MAX + 1);
        assert_int_equal(
                add(registry, &many[0]->module, many[0]->symbols, SYM_MODULE_SYMBOLS_MAX + 1),
                SYM_LOAD_E_INIT);
        assert_has(why, "at most 4096");
        for (unsigned i = 1; i <= FULL; i++) {
                many[i] = many_new(i, SYM_MODULE_SYMBOLS_MAX);
                assert_int_equal(
                        add(registry, &many[i]->module, many[i]->symbols, SYM_MODULE_SYMBOLS_MAX),
                        SYM_LOAD_OK);
        }
        many[FULL + 1] = many_new(FULL + 1, 1);
        assert_int_equal(add(registry, &many[FULL + 1]->module, many[FULL + 1]->symbols, 1),
                         SYM_LOAD_E_INIT);
        assert_has(why, "at most 32768");
        assert_non_null(find(registry, "m3.s4095"));
        sym_registry_free(registry);
        for (size_t i = 0; i < FULL + 2; i++)
                free(many[i]);
}

static void bounds_of_modules(void **state)
{
        struct sym_registry *registry = new_registry();
        struct vmreq_module modules[SYM_MODULES_MAX + 1];
        char names[SYM_MODULES_MAX + 1][8];

        (void)state;
        for (unsigned i = 0; i <= SYM_MODULES_MAX; i++) {
                (void)snprintf(names[i], sizeof(names[i]), "m%u", i);
                modules[i] = mod_a;
                modules[i].name = names[i];
                assert_int_equal(add(registry, &modules[i], NULL, 0),
                                 i < SYM_MODULES_MAX ? SYM_LOAD_OK : SYM_LOAD_E_MEMORY);
        }
        assert_has(why, "at most 64 modules");
        sym_registry_free(registry);
        assert_int_equal(n_fini, SYM_MODULES_MAX);
}

/* Whichever allocation fails: the load is refused, the table is as it was, init and fini are in
 * balance. */
static void survives_each_allocation(void **state)
{
        struct sym_registry *registry = new_registry();
        struct many *many = many_new(0, 64); /* enough for the table to grow on the way */
        enum sym_load_result result;
        size_t at = 0, n;

        (void)state;
        do {
                at++;
                assert_true(at < 1000);
                n_fini = 0;
                fail_at = at;
                result = add(registry, &many->module, many->symbols, 64);
                if (fail_at > 0)
                        break; /* it needed fewer than that */
                fail_at = 0;
                (void)sym_registry_list(registry, &n);
                if (result == SYM_LOAD_OK) {
                        /* A table that could not grow is slower and no less right. */
                        assert_int_equal(n, 64);
                        registry = sym_registry_free(registry);
                        registry = new_registry();
                        continue;
                }
                assert_true(result == SYM_LOAD_E_MEMORY || result == SYM_LOAD_E_INIT);
                assert_has(why, "no memory");
                assert_int_equal(n, 0);
                assert_null(find(registry, "m0.s0"));
                log_clear(&log_lines);
        } while (true);
        fail_at = 0;
        assert_int_equal(result, SYM_LOAD_OK);
        assert_true(at > 64);
        sym_registry_free(registry);
        free(many);
}

static void new_without_memory(void **state)
{
        struct sym_registry *registry = NULL;

        (void)state;
        fail_at = 1;
        assert_int_equal(sym_registry_new((vmreq_vm){0}, NULL, NULL, &registry), -ENOMEM);
        assert_null(registry);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(empty),
                cmocka_unit_test(finds_and_lists),
                cmocka_unit_test(all_or_nothing),
                cmocka_unit_test(descriptors),
                cmocka_unit_test(registers_in_init_only),
                cmocka_unit_test(bounds_of_symbols),
                cmocka_unit_test(bounds_of_modules),
                cmocka_unit_test(survives_each_allocation),
                cmocka_unit_test(new_without_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
