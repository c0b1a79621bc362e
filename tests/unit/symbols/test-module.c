/* SPDX-License-Identifier: MIT */
/* One module's life: its descriptor, init against fini, states. */
#include "unit/symbols/fixture.h"

#include "symbols/module.h"

static struct log_record log_lines;
static int init_result, fini_result, n_init, n_fini;
static bool refuse_in_init;
static const struct vmreq_setting *seen_settings;
static size_t seen_n_settings;

static int test_init(const struct vmreq_host *host, uint32_t abi,
                     const struct vmreq_setting *settings, size_t n_settings)
{
        assert_int_equal(abi, VMREQ_MODULE_ABI);
        n_init++;
        seen_settings = settings;
        seen_n_settings = n_settings;
        if (refuse_in_init)
                assert_true(host->add_symbol(host, NULL) < 0);
        return init_result;
}

static int test_fini(const struct vmreq_host *host)
{
        host->log(host, VMREQ_LOG_INFO, "bye"); /* the table is still good */
        n_fini++;
        return fini_result;
}

static int owner_add(void *ctx, struct sym_module *module, const struct vmreq_symbol *symbol)
{
        assert_ptr_equal(ctx, &log_lines);
        assert_null(symbol);
        sym_module_fail(module, "first");
        sym_module_fail(module, "second");
        return -1;
}

static const struct sym_module_owner owner = {
        .log = log_record, .log_ctx = &log_lines, .add = owner_add, .ctx = &log_lines};

static const struct vmreq_module def = MODULE("life", test_init, test_fini);

static struct sym_module *new_module(void)
{
        struct sym_module *module;

        log_clear(&log_lines);
        init_result = fini_result = n_init = n_fini = 0;
        refuse_in_init = false;
        assert_int_equal(sym_module_new(&def, NULL, &owner, &module), 0);
        assert_int_equal(module->state, SYM_MODULE_LOADING);
        assert_string_equal(module->name, "life");
        assert_true(module->builtin);
        return module;
}

static void whole_life(void **state)
{
        static const struct vmreq_setting settings[] = {{"key", "value"}};
        struct sym_module *module = new_module();
        char why[128];

        (void)state;
        assert_true(sym_module_start(module, settings, 1, why, sizeof(why)));
        assert_ptr_equal(seen_settings, settings);
        assert_int_equal(seen_n_settings, 1);
        assert_int_equal(module->state, SYM_MODULE_LOADING);
        sym_module_set_loaded(module);
        assert_int_equal(module->state, SYM_MODULE_LOADED);
        sym_module_set_draining(module);
        assert_int_equal(module->state, SYM_MODULE_DRAINING);
        assert_int_equal(n_fini, 0);
        sym_module_stop(module);
        assert_int_equal(module->state, SYM_MODULE_GONE);
        assert_int_equal(n_init, 1);
        assert_int_equal(n_fini, 1);
        assert_string_equal(log_lines.text, "6 life: bye\n");
        assert_null(sym_module_free(module));
}

static void never_started(void **state)
{
        (void)state;
        assert_null(sym_module_free(new_module()));
        assert_int_equal(n_init + n_fini, 0);
        assert_null(sym_module_free(NULL));
}

static void init_fails(void **state)
{
        struct sym_module *module = new_module();
        char why[128];

        (void)state;
        init_result = -5;
        assert_false(sym_module_start(module, NULL, 0, why, sizeof(why)));
        assert_string_equal(why, "life: init returned -5");
        sym_module_stop(module);
        assert_int_equal(n_fini, 0);
        assert_int_equal(module->state, SYM_MODULE_GONE);
        sym_module_free(module);
}

/* init ignores a refused registration and returns 0: it counts as started, and as refused. */
static void registration_fails(void **state)
{
        struct sym_module *module = new_module();
        char why[128];

        (void)state;
        refuse_in_init = true;
        assert_false(sym_module_start(module, NULL, 0, why, sizeof(why)));
        assert_string_equal(why, "life: first");
        assert_has(log_lines.text,
                   "3 life: symbol refused: first\n3 life: symbol refused: second\n");
        sym_module_stop(module);
        assert_int_equal(n_fini, 1);
        sym_module_free(module);
}

static void fini_fails(void **state)
{
        struct sym_module *module = new_module();
        char why[128];

        (void)state;
        fini_result = -9;
        assert_true(sym_module_start(module, NULL, 0, why, sizeof(why)));
        sym_module_stop(module);
        assert_has(log_lines.text, "4 life: fini returned -9\n");
        sym_module_free(module);
}

static void refuses(struct vmreq_module bad, const char *part)
{
        char why[160];

        assert_false(sym_module_check(&bad, why, sizeof(why)));
        assert_has(why, part);
}

static void descriptors(void **state)
{
        struct vmreq_module bad = def;
        char why[160];

        (void)state;
        assert_true(sym_module_check(&def, why, sizeof(why)));
        assert_false(sym_module_check(NULL, why, sizeof(why)));
        bad.size += 100;
        bad.fini = NULL;
        assert_true(sym_module_check(&bad, why, sizeof(why)));
#define BAD(member, value, part)                                                                   \
        do {                                                                                       \
                bad = def;                                                                         \
                bad.member = (value);                                                              \
                refuses(bad, part);                                                                \
        } while (0)
        BAD(size, (uint32_t)sizeof(bad) - 1, "expected at least");
        BAD(size, 0, "a descriptor of 0 bytes");
        BAD(abi, 0, "built for module ABI 0");
        BAD(name, NULL, "name must be");
        BAD(name, "Life", "name must be");
        BAD(name, "li.fe", "name must be");
        BAD(name, "vmreq", "daemon's own");
        BAD(name, "nvim_x", "daemon's own");
        BAD(version, NULL, "lacks its version");
        BAD(doc, NULL, "lacks its doc");
        BAD(init, NULL, "lacks its init");
        BAD(flags, 0x10, "unknown flags 0x10");
}

static void state_names(void **state)
{
        (void)state;
        assert_string_equal(sym_module_state_to_string(SYM_MODULE_LOADING), "loading");
        assert_string_equal(sym_module_state_to_string(SYM_MODULE_DRAINING), "draining");
        assert_string_equal(sym_module_state_to_string(_SYM_MODULE_STATE_N), "?");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whole_life),  cmocka_unit_test(never_started),
                cmocka_unit_test(init_fails),  cmocka_unit_test(registration_fails),
                cmocka_unit_test(fini_fails),  cmocka_unit_test(descriptors),
                cmocka_unit_test(state_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
