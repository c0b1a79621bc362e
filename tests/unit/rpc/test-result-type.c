/* SPDX-License-Identifier: MIT */
/* Every declared type against every kind of value. */
#include "unit/rpc/wire.h"

#include <unistd.h>

#include "base/macros.h"
#include "rpc/result-type.h"
#include "symbols/vmreq-module.h"

static bool has(uint32_t type, const char *text)
{
        struct wire_value value = wire_new(text, "bytes", (size_t)5);
        struct proto_builder out;
        bool result;

        proto_builder_init(&out, 65536);
        proto_put_value(&out, value.root);
        result = rpc_result_has_type(type, out.data, out.len);
        proto_builder_deinit(&out);
        wire_free(&value);
        return result;
}

static void test_kinds(void **state)
{
        static const char *const values[] = {"nil", "true", "7",   "-7",      "1.5",
                                             "'x'", "%b",   "[1]", "{'k': 1}"};
        /* In the order of the values: which of them are of that type. */
        static const struct {
                uint32_t type;
                const char *fits;
        } types[] = {
                {VMREQ_T_NIL, "100000000"},   {VMREQ_T_STATUS, "100000000"},
                {VMREQ_T_BOOL, "010000000"},  {VMREQ_T_I8, "001100000"},
                {VMREQ_T_I16, "001100000"},   {VMREQ_T_I32, "001100000"},
                {VMREQ_T_I64, "001100000"},   {VMREQ_T_U8, "001000000"},
                {VMREQ_T_U16, "001000000"},   {VMREQ_T_U32, "001000000"},
                {VMREQ_T_U64, "001000000"},   {VMREQ_T_X64, "000000000"},
                {VMREQ_T_F64, "000010000"},   {VMREQ_T_STR, "000001000"},
                {VMREQ_T_BYTES, "000000100"}, {VMREQ_T_ANY, "111111111"},
                {VMREQ_T_ARRAY, "000000010"}, {VMREQ_T_MAP, "000000001"},
        };

        (void)state;
        assert_int_equal(ARRAY_SIZE(types), _VMREQ_T_N);
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                for (size_t j = 0; j < ARRAY_SIZE(values); j++)
                        if (has(types[i].type, values[j]) != (types[i].fits[j] == '1'))
                                fail_msg("type %u, %s", types[i].type, values[j]);
}

static void test_ranges(void **state)
{
        static const struct {
                uint32_t type;
                const char *least, *most, *below, *above;
        } ranges[] = {
                {VMREQ_T_I8, "-128", "127", "-129", "128"},
                {VMREQ_T_I16, "-32768", "32767", "-32769", "32768"},
                {VMREQ_T_I32, "-2147483648", "2147483647", "-2147483649", "2147483648"},
                {VMREQ_T_I64, "-9223372036854775808", "9223372036854775807", "nil",
                 "9223372036854775808"},
                {VMREQ_T_U8, "0", "255", "-1", "256"},
                {VMREQ_T_U16, "0", "65535", "-1", "65536"},
                {VMREQ_T_U32, "0", "4294967295", "-1", "4294967296"},
                {VMREQ_T_U64, "0", "18446744073709551615", "-1", "1.0"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
                assert_true(has(ranges[i].type, ranges[i].least));
                assert_true(has(ranges[i].type, ranges[i].most));
                assert_false(has(ranges[i].type, ranges[i].below));
                assert_false(has(ranges[i].type, ranges[i].above));
        }
}

static void test_addresses_and_nothing(void **state)
{
        (void)state;
        assert_true(has(VMREQ_T_X64, "'0x0'"));
        assert_true(has(VMREQ_T_X64, "'0xffffffffffffffff'"));
        assert_false(has(VMREQ_T_X64, "'0x'"));
        assert_false(has(VMREQ_T_X64, "'ff'"));
        assert_true(rpc_result_has_type(VMREQ_T_NIL, NULL, 0));
        assert_true(rpc_result_has_type(VMREQ_T_STATUS, NULL, 0));
        assert_false(rpc_result_has_type(VMREQ_T_ANY, NULL, 0));
        assert_false(rpc_result_has_type(VMREQ_T_U8, NULL, 0));
        assert_false(rpc_result_has_type(VMREQ_T_ANY, (const uint8_t *)"\xc1", 1));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kinds),
                cmocka_unit_test(test_ranges),
                cmocka_unit_test(test_addresses_and_nothing),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("result-type", tests, NULL, NULL);
}
