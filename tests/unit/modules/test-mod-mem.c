/* SPDX-License-Identifier: MIT */
/* mem.*: what is read and written, where there is nothing, and what pages make of an address. */
#include "unit/modules/with-guest.h"

#define MIB (1ull << 20)

static int start(void **state)
{
        (void)state;
        return guest_start(&mod_mem);
}

static void test_read(void **state)
{
        const struct vmreq_value args[] = {X64(0x7c00), X64(4)}, none[] = {X64(MIB), X64(0)},
                                 all[] = {X64(0), X64(MIB)};
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "mem.read", VMREQ_CPU_ANY, args, 2), 0);
        assert_string_equal(call.writer.text, "bytes:4");
        assert_memory_equal(call.writer.bytes, "\xf4\0\0\0", 4);
        assert_int_equal(ask(&call, "mem.read", 1, none, 2), 0);
        assert_string_equal(call.writer.text, "bytes:0");
        assert_int_equal(ask(&call, "mem.read", 1, all, 2), 0);
        assert_string_equal(call.writer.text, "bytes:1048576");
}

/* Nothing of what is not all there. */
static void test_bounds(void **state)
{
        static const struct {
                uint64_t address, len;
        } rows[] = {
                {MIB - 3, 4}, {MIB, 1}, {UINT64_MAX, 1}, {UINT64_MAX - 3, 8}, {1ull << 63, 4},
        };
        struct call call;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                const struct vmreq_value args[] = {X64(rows[i].address), X64(rows[i].len)};
                const struct vmreq_value data[] = {X64(rows[i].address),
                                                   BYTES("abcdefgh", (uint32_t)rows[i].len)};

                assert_int_equal(ask(&call, "mem.read", 0, args, 2), VMREQ_FAIL_INVALID);
                assert_has(call.writer.failure_text, "mem.ranges");
                assert_int_equal(ask(&call, "mem.stream", 0, args, 2), VMREQ_FAIL_INVALID);
                assert_int_equal(ask(&call, "mem.write", 0, data, 2), VMREQ_FAIL_INVALID);
        }
        assert_memory_equal(memory_at(machine_memory(machine), MIB - 4, 4), "\0\0\0\0", 4);
}

static void test_write(void **state)
{
        const struct vmreq_value args[] = {X64(0x1001), BYTES("hello\0there", 11)};
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "mem.write", 0, args, 2), 0);
        assert_string_equal(call.writer.text, "");
        assert_memory_equal(memory_at(machine_memory(machine), 0x1001, 11), "hello\0there", 11);
}

static void test_stream(void **state)
{
        const struct vmreq_value args[] = {X64(16), X64(300000)}, none[] = {X64(16), X64(0)};
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "mem.stream", 0, args, 2), 0);
        assert_string_equal(call.writer.text, "bytes:131072 bytes:131072 bytes:37856");
        assert_int_equal(ask(&call, "mem.stream", 0, none, 2), 0);
        assert_string_equal(call.writer.text, "");
}

static void test_ranges(void **state)
{
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "mem.ranges", 0, NULL, 0), 0);
        assert_string_equal(call.writer.text, "[1 {2 \"address\" 0x0 \"length\" 1048576");
}

static void test_translate(void **state)
{
        const struct vmreq_value mapped = X64(0x10), unmapped = X64(0x1000);
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "mem.translate", 1, &mapped, 1), 0);
        assert_string_equal(call.writer.text, "{2 \"mapped\" true \"address\" 0x5010");
        assert_int_equal(ask(&call, "mem.translate", 1, &unmapped, 1), 0);
        assert_string_equal(call.writer.text, "{2 \"mapped\" false \"address\" nil");
}

/* Whatever reveals the guest's content says so. */
static void test_flags(void **state)
{
        const struct sym_symbol *const *list;
        size_t n;

        (void)state;
        list = sym_registry_list(caller.registry, &n);
        assert_int_equal(n, 6);
        for (size_t i = 0; i < n; i++)
                if (strcmp(list[i]->def->name, "mem.ranges") != 0)
                        assert_true(list[i]->def->flags & VMREQ_SYM_CONFIDENTIAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_read, start, guest_end),
                cmocka_unit_test_setup_teardown(test_bounds, start, guest_end),
                cmocka_unit_test_setup_teardown(test_write, start, guest_end),
                cmocka_unit_test_setup_teardown(test_stream, start, guest_end),
                cmocka_unit_test_setup_teardown(test_ranges, start, guest_end),
                cmocka_unit_test_setup_teardown(test_translate, start, guest_end),
                cmocka_unit_test_setup_teardown(test_flags, start, guest_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
