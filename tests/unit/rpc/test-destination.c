/* SPDX-License-Identifier: MIT */
/* Destinations on the wire: numbers of vCPUs, and words. */
#include "rpc/destination.h"

#include "unit/rpc/wire.h"
#include "vm/vmreq.h"

static bool reads(const char *text, uint32_t *ret_cpu)
{
        struct wire_value value = wire_new(text);
        bool ok = rpc_destination_read(value.root, 4, ret_cpu);

        wire_free(&value);
        return ok;
}

static void check_put(uint32_t cpu, const char *shown)
{
        struct proto_builder out;

        proto_builder_init(&out, 100);
        rpc_destination_put(&out, cpu);
        assert_wire_builder(&out, shown);
        proto_builder_deinit(&out);
}

static void test_both_ways(void **state)
{
        static const struct {
                const char *text;
                uint32_t cpu;
        } rows[] = {{"0", 0},
                    {"3", 3},
                    {"'any'", VMREQ_CPU_ANY},
                    {"'any-queue'", VMREQ_CPU_ANY_QUEUE},
                    {"'all'", VMREQ_CPU_ALL},
                    {"'all-reverse'", VMREQ_CPU_ALL_REVERSE}};
        uint32_t cpu;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_true(reads(rows[i].text, &cpu));
                assert_int_equal(cpu, rows[i].cpu);
                check_put(rows[i].cpu, rows[i].text);
        }
}

static void test_neither(void **state)
{
        static const char *const texts[] = {"4",   "-1",  "4294967280", "'ANY'", "'anyx'", "''",
                                            "'0'", "nil", "1.0",        "[]",    "true"};
        uint32_t cpu = 77;

        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_false(reads(texts[i], &cpu));
        assert_int_equal(cpu, 77);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_both_ways),
                cmocka_unit_test(test_neither),
        };

        return cmocka_run_group_tests_name("destination", tests, NULL, NULL);
}
