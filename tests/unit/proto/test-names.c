/* SPDX-License-Identifier: MIT */
/* Names from outside: what passes and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "proto/names.h"

#define N_OF(table) (sizeof(table) / sizeof(table[0]))

static void test_symbols(void **state)
{
        static const char *const good[] = {
                "debug.add", "a.b", "a1_.2", "a_.__", "cpu.regs.get", "vmreq.ping", "x.0",
        };
        static const char *const bad[] = {
                "",     "a",    "debug", ".a",    "a.",         "a..b",
                "1.a",  "_a.b", "A.b",   "a.B",   "a.b-c",      "a.b ",
                " a.b", "a.b.", "a.b\n", "a/b.c", "a.\xc3\xa4", "nvim_get_api_info",
                "a.b*",
        };

        (void)state;
        for (size_t i = 0; i < N_OF(good); i++)
                assert_true(proto_symbol_name_valid(good[i], strlen(good[i])));
        for (size_t i = 0; i < N_OF(bad); i++) {
                print_message("%s\n", bad[i]);
                assert_false(proto_symbol_name_valid(bad[i], strlen(bad[i])));
        }
        assert_false(proto_symbol_name_valid("a.b\0c", 5));
        /* `len` decides, not a NUL. */
        assert_true(proto_symbol_name_valid("a.bXX", 3));
        assert_false(proto_symbol_name_valid("a.b", 2));
}

static void test_symbol_length(void **state)
{
        char name[PROTO_NAME_BYTES_MAX + 1];

        (void)state;
        memset(name, 'a', sizeof(name));
        name[1] = '.';
        assert_true(proto_symbol_name_valid(name, PROTO_NAME_BYTES_MAX));
        assert_false(proto_symbol_name_valid(name, PROTO_NAME_BYTES_MAX + 1));
}

/* Each byte value at each place, against the grammar written down once more. */
static void test_symbol_bytes(void **state)
{
        (void)state;
        for (int c = 0; c < 256; c++) {
                bool lower = c >= 'a' && c <= 'z';
                bool inner = lower || (c >= '0' && c <= '9') || c == '_';

                for (size_t at = 0; at < 5; at++) {
                        bool expected = at == 0 ? lower : at == 2 ? c == '.' : inner;
                        char name[] = "aa.bb";

                        name[at] = (char)c;
                        assert_int_equal(proto_symbol_name_valid(name, 5), expected);
                }
        }
}

static void test_reserved(void **state)
{
        (void)state;
        assert_true(proto_symbol_name_reserved("vmreq.ping", 10));
        assert_true(proto_symbol_name_reserved("vmreq.", 6));
        assert_true(proto_symbol_name_reserved("nvim_x.y", 8));
        assert_false(proto_symbol_name_reserved("vmreq.", 5));
        assert_false(proto_symbol_name_reserved("vmreqs.a", 8));
        assert_false(proto_symbol_name_reserved("nvim.a", 6));
        assert_false(proto_symbol_name_reserved("xvmreq.a", 8));
        assert_false(proto_symbol_name_reserved("", 0));
}

static void test_vms(void **state)
{
        static const char *const good[] = {
                "a",        "0",     "Z",    "web-1",   "a.b", "a_b",
                "a.sock.b", "asock", "sock", "a.socks", "a-",  "a.",
        };
        static const char *const bad[] = {
                "",    ".a",     "-a",      "_a",    "..",       "a/b", "a b",
                "a\n", "a.sock", "x..sock", ".sock", "\xc3\xa4", "a:b", "a@b",
        };
        char name[PROTO_VM_NAME_BYTES_MAX + 2];

        (void)state;
        for (size_t i = 0; i < N_OF(good); i++) {
                print_message("%s\n", good[i]);
                assert_true(proto_vm_name_valid(good[i]));
        }
        for (size_t i = 0; i < N_OF(bad); i++) {
                print_message("%s\n", bad[i]);
                assert_false(proto_vm_name_valid(bad[i]));
        }
        memset(name, 'a', sizeof(name));
        name[PROTO_VM_NAME_BYTES_MAX + 1] = '\0';
        assert_false(proto_vm_name_valid(name));
        name[PROTO_VM_NAME_BYTES_MAX] = '\0';
        assert_true(proto_vm_name_valid(name));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_symbols),      cmocka_unit_test(test_symbol_length),
                cmocka_unit_test(test_symbol_bytes), cmocka_unit_test(test_reserved),
                cmocka_unit_test(test_vms),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
