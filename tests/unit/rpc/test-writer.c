/* SPDX-License-Identifier: MIT */
/* Where a callback's result goes: one value, within its budget, and what a failure says. */
#include "unit/rpc/wire.h"

#include <unistd.h>

#include "lib/fail-at.h"
#include "rpc/writer.h"
#include "symbols/vmreq-module.h"

static struct rpc_writer writer;
static const struct vmreq_writer_ops *ops;

static int start(void **state)
{
        (void)state;
        rpc_writer_init(&writer, VMREQ_T_ANY, 64);
        ops = writer.base.ops;
        return 0;
}

static int end(void **state)
{
        (void)state;
        rpc_writer_deinit(&writer);
        rpc_writer_deinit(&writer); /* idempotent */
        return 0;
}

static enum rpc_writer_result check(uint32_t type)
{
        writer.type = type;
        return rpc_writer_check(&writer);
}

static void test_every_kind(void **state)
{
        (void)state;
        ops->put_array(&writer.base, 12);
        ops->put_nil(&writer.base);
        ops->put_bool(&writer.base, 7);
        ops->put_bool(&writer.base, 0);
        ops->put_int(&writer.base, -1);
        ops->put_uint(&writer.base, UINT64_MAX);
        ops->put_x64(&writer.base, 0x1f);
        ops->put_float(&writer.base, 0.5);
        ops->put_str(&writer.base, "ab", 2);
        ops->put_bytes(&writer.base, "\x01", 1);
        ops->put_map(&writer.base, 1);
        ops->put_str(&writer.base, "k", 1);
        ops->put_nil(&writer.base);
        ops->put_raw(&writer.base, "\x91\x05", 2);
        ops->put_str(&writer.base, "", 0);
        assert_int_equal(check(VMREQ_T_ANY), RPC_WRITER_OK);
        assert_wire_builder(&writer.value,
                            "[nil,true,false,-1,18446744073709551615,'0x1f',0.5,'ab',h'01',"
                            "{'k':nil},[5],'']");
}

static void test_balance(void **state)
{
        (void)state;
        assert_int_equal(check(VMREQ_T_NIL), RPC_WRITER_OK);
        assert_int_equal(check(VMREQ_T_ANY), RPC_WRITER_E_BALANCE);
        ops->put_array(&writer.base, 2);
        ops->put_nil(&writer.base);
        assert_int_equal(check(VMREQ_T_NIL), RPC_WRITER_E_BALANCE); /* one too few */
        ops->put_nil(&writer.base);
        assert_int_equal(check(VMREQ_T_ANY), RPC_WRITER_OK);
        ops->put_nil(&writer.base);
        assert_int_equal(check(VMREQ_T_NIL), RPC_WRITER_E_BALANCE); /* one too many */
}

static void test_raw_garbage(void **state)
{
        static const char *const garbage[] = {"\xc1", "\x91", "\xd9\x05xy", "\xdd\xff\xff\xff\xff",
                                              "\x01\x02"};

        (void)state;
        for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
                proto_builder_reset(&writer.value);
                ops->put_raw(&writer.base, garbage[i], strlen(garbage[i]));
                assert_int_equal(check(VMREQ_T_NIL), RPC_WRITER_E_BALANCE);
        }
}

static void test_budget(void **state)
{
        static const char bytes[64];

        (void)state;
        ops->put_bytes(&writer.base, bytes, 62); /* with its header 64 */
        assert_int_equal(check(VMREQ_T_ANY), RPC_WRITER_OK);
        proto_builder_reset(&writer.value);
        ops->put_bytes(&writer.base, bytes, 63);
        assert_int_equal(check(VMREQ_T_ANY), RPC_WRITER_E_BUDGET);
        ops->put_nil(&writer.base); /* errors stick */
        assert_int_equal(check(VMREQ_T_NIL), RPC_WRITER_E_BUDGET);
        assert_true(writer.value.cap <= 64);
}

static void test_no_memory(void **state)
{
        (void)state;
        fail_at = 1;
        ops->put_nil(&writer.base);
        assert_int_equal(check(VMREQ_T_NIL), RPC_WRITER_E_MEMORY);
        fail_at = 1;
        ops->put_failure(&writer.base, "NAME", "text");
        assert_null(writer.failure); /* the number alone must do */
        fail_at = 0;
}

static void test_failure(void **state)
{
        static char text[3000];

        (void)state;
        memset(text, 'y', sizeof(text) - 1);
        ops->put_failure(&writer.base, "E_NAME", "why");
        assert_string_equal(writer.failure->name, "E_NAME");
        assert_string_equal(writer.failure->text, "why");
        ops->put_failure(&writer.base, NULL, "again");
        assert_string_equal(writer.failure->name, "");
        assert_string_equal(writer.failure->text, "again");
        ops->put_failure(&writer.base, text, text);
        assert_int_equal(strlen(writer.failure->name), RPC_FAILURE_NAME_MAX - 1);
        assert_int_equal(strlen(writer.failure->text), RPC_FAILURE_TEXT_MAX - 1);
        ops->put_failure(&writer.base, NULL, NULL);
        assert_string_equal(writer.failure->text, "");
}

static void test_x64_text(void **state)
{
        struct proto_builder out;

        (void)state;
        proto_builder_init(&out, 64);
        rpc_put_x64(&out, 0);
        assert_wire_builder(&out, "'0x0'");
        proto_builder_reset(&out);
        rpc_put_x64(&out, UINT64_MAX);
        assert_wire_builder(&out, "'0xffffffffffffffff'");
        proto_builder_deinit(&out);
}

/* Where assertions are on, so is this. */
static void test_declared_type(void **state)
{
        (void)state;
        ops->put_str(&writer.base, "x", 1);
        assert_int_equal(check(VMREQ_T_STR), RPC_WRITER_OK);
#ifdef NDEBUG
        assert_int_equal(check(VMREQ_T_BYTES), RPC_WRITER_OK);
#else
        assert_int_equal(check(VMREQ_T_BYTES), RPC_WRITER_E_TYPE);
        assert_int_equal(rpc_writer_end_chunk(&writer, 0), RPC_WRITER_E_TYPE);
        assert_int_equal(writer.n_chunks, 0);
#endif
}

static void *released[4];
static size_t n_released;

static void note_release(void *state)
{
        released[n_released++] = state;
}

static void test_state(void **state)
{
        int one, two;

        (void)state;
        n_released = 0;
        assert_null(ops->state(&writer.base));
        ops->set_state(&writer.base, &one, note_release);
        assert_ptr_equal(ops->state(&writer.base), &one);
        ops->set_state(&writer.base, &two, note_release); /* the first is the caller's own again */
        rpc_writer_end_state(&writer);
        rpc_writer_end_state(&writer);
        assert_int_equal(n_released, 1);
        assert_ptr_equal(released[0], &two);
        assert_null(ops->state(&writer.base));
        /* A number has nothing to release; none at all neither. */
        ops->set_state(&writer.base, (void *)7, NULL);
        rpc_writer_end_state(&writer);
        ops->set_state(&writer.base, NULL, note_release);
        rpc_writer_end_state(&writer);
        assert_int_equal(n_released, 1);
        ops->set_state(&writer.base, &one, note_release);
        rpc_writer_deinit(&writer); /* does it, too */
        assert_int_equal(n_released, 2);
}

static void test_chunks(void **state)
{
        static char bytes[VMREQ_CHUNK_BYTES_MAX];
        size_t mark;

        (void)state;
        rpc_writer_deinit(&writer);
        rpc_writer_init(&writer, VMREQ_T_ANY, 2 * sizeof(bytes));
        assert_int_equal(rpc_writer_end_chunk(&writer, 0), RPC_WRITER_OK); /* none */
        assert_int_equal(writer.n_chunks, 0);
        ops->put_uint(&writer.base, 1);
        assert_int_equal(rpc_writer_end_chunk(&writer, 0), RPC_WRITER_OK);
        mark = writer.value.len;
        ops->put_array(&writer.base, 1);
        assert_int_equal(rpc_writer_end_chunk(&writer, mark), RPC_WRITER_E_BALANCE);
        ops->put_nil(&writer.base);
        assert_int_equal(rpc_writer_end_chunk(&writer, mark), RPC_WRITER_OK);
        assert_int_equal(writer.n_chunks, 2);
        mark = writer.value.len;
        ops->put_nil(&writer.base);
        ops->put_nil(&writer.base);
        assert_int_equal(rpc_writer_end_chunk(&writer, mark), RPC_WRITER_E_BALANCE);
        proto_builder_reset(&writer.value);
        ops->put_bytes(&writer.base, bytes, sizeof(bytes) - 5);
        assert_int_equal(writer.value.len, sizeof(bytes));
        assert_int_equal(rpc_writer_end_chunk(&writer, 0), RPC_WRITER_OK);
        proto_builder_reset(&writer.value);
        ops->put_bytes(&writer.base, bytes, sizeof(bytes) - 4);
        assert_int_equal(rpc_writer_end_chunk(&writer, 0), RPC_WRITER_E_CHUNK);
        ops->put_bytes(&writer.base, bytes, sizeof(bytes));
        assert_int_equal(rpc_writer_end_chunk(&writer, 0), RPC_WRITER_E_BUDGET);
        proto_builder_reset(&writer.value);
        writer.value.error = PROTO_BUILDER_E_MEMORY;
        assert_int_equal(rpc_writer_end_chunk(&writer, 0), RPC_WRITER_E_MEMORY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_every_kind, start, end),
                cmocka_unit_test_setup_teardown(test_balance, start, end),
                cmocka_unit_test_setup_teardown(test_raw_garbage, start, end),
                cmocka_unit_test_setup_teardown(test_budget, start, end),
                cmocka_unit_test_setup_teardown(test_no_memory, start, end),
                cmocka_unit_test_setup_teardown(test_failure, start, end),
                cmocka_unit_test_setup_teardown(test_x64_text, start, end),
                cmocka_unit_test_setup_teardown(test_declared_type, start, end),
                cmocka_unit_test_setup_teardown(test_state, start, end),
                cmocka_unit_test_setup_teardown(test_chunks, start, end),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
