/* SPDX-License-Identifier: MIT */
/* Which names a module may bring in. */
#include "unit/symbols/fixture.h"

#include "symbols/name.h"

#define W8  "abcdefgh"
#define W32 W8 W8 W8 W8

static void symbol_names(void **state)
{
        static const char *const good[] = {"a.b",
                                           "debug.add",
                                           "a0_.0",
                                           "a._",
                                           "vm.power_on",
                                           "a.b.c.d",
                                           W32 "." W8 W8 W8 "abcdefg"};
        static const char *const bad[] = {"",      "a",     "a.",        ".a",
                                          "a..b",  "A.b",   "a.B",       "1a.b",
                                          "_a.b",  "a.b.",  "a-b.c",     "a.b ",
                                          "a b.c", "a.b\n", W32 "." W32, W32 "." W8 W8 W8 W8};

        (void)state;
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                assert_true(sym_name_is_symbol(good[i], strlen(good[i])));
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_false(sym_name_is_symbol(bad[i], strlen(bad[i])));
        assert_int_equal(strlen(good[6]), SYM_NAME_BYTES_MAX);
        assert_false(sym_name_is_symbol("a.b\0c", 5)); /* a NUL is a byte like another */
        assert_true(sym_name_is_symbol("a.bXYZ", 3));  /* and none is needed */
}

static void module_names(void **state)
{
        (void)state;
        assert_true(sym_name_is_module("a", 1));
        assert_true(sym_name_is_module(W32, 32));
        assert_false(sym_name_is_module(W32 "a", 33));
        assert_false(sym_name_is_module("", 0));
        assert_false(sym_name_is_module("a.b", 3));
        assert_false(sym_name_is_module("a/b", 3));
        assert_false(sym_name_is_module("..", 2));
        assert_false(sym_name_is_module("0a", 2));
        assert_true(sym_name_is_param(W32 W32, 64));
        assert_false(sym_name_is_param(W32 W32 "a", 65));
}

static void reserved_modules(void **state)
{
        (void)state;
        assert_true(sym_name_is_reserved_module("vmreq", 5));
        assert_true(sym_name_is_reserved_module("nvim_", 5));
        assert_true(sym_name_is_reserved_module("nvim_api", 8));
        assert_false(sym_name_is_reserved_module("vmreq2", 6));
        assert_false(sym_name_is_reserved_module("vmre", 4));
        assert_false(sym_name_is_reserved_module("nvim", 4));
}

static void lengths(void **state)
{
        (void)state;
        assert_int_equal(sym_name_len(NULL), 0);
        assert_int_equal(sym_name_len("abc"), 3);
        assert_int_equal(sym_name_len(W32 W32 W32), SYM_NAME_BYTES_MAX + 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(symbol_names),
                cmocka_unit_test(module_names),
                cmocka_unit_test(reserved_modules),
                cmocka_unit_test(lengths),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
