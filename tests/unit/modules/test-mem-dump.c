/* SPDX-License-Identifier: MIT */
/* mem.dump: only of a guest that stands still, and that goes on to; a core in chunks. */
#include "unit/modules/with-guest.h"

static int start(void **state)
{
        (void)state;
        return guest_start(&mod_mem);
}

static void test_whole(void **state)
{
        struct call call;

        (void)state;
        assert_int_equal(ask(&call, "mem.dump", VMREQ_CPU_ANY, NULL, 0), 0);
        /* The head, then 1 MiB in pieces. */
        assert_string_equal(call.writer.text,
                            "bytes:4096 bytes:131072 bytes:131072 bytes:131072 bytes:131072 "
                            "bytes:131072 bytes:131072 bytes:131072 bytes:131072");
}

static void test_states(void **state)
{
        struct call call;

        (void)state;
        guest_change(VMREQ_EVENT_POWER_ON);
        assert_int_equal(ask(&call, "mem.dump", 0, NULL, 0), VMREQ_FAIL_STATE);
        assert_has(call.writer.failure_text, "RUNNING");
        guest_change(VMREQ_EVENT_SUSPEND);
        assert_int_equal(ask(&call, "mem.dump", 0, NULL, 0), 0);
        guest_change(VMREQ_EVENT_POWER_OFF);
        assert_int_equal(ask(&call, "mem.dump", 0, NULL, 0), 0);
}

static void test_registers_fail(void **state)
{
        struct call call;

        (void)state;
        guest.result = -EIO;
        assert_int_equal(ask(&call, "mem.dump", 0, NULL, 0), -EIO);
        assert_has(call.writer.failure_text, "registers");
}

/* One run of the generator, on an EMT. */
static int32_t one_run(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        struct text_writer *writer = ctx;
        const struct vmreq_symbol *def = sym_registry_find(caller.registry, "mem.dump", 8)->def;

        (void)args;
        (void)argc;
        (void)reply;
        return def->function(def->ctx, NULL, 0, &writer->base);
}

static int32_t run(struct text_writer *writer)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        struct vmreq_row row;
        vmreq_handle handle;

        spec.kind = VMREQ_FN_CALLBACK;
        spec.callback = one_run;
        spec.ctx = writer;
        assert_int_equal(vmreq_submit(caller.vm, &spec, &handle), 0);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_status(handle, NULL, &row), 0);
        assert_int_equal(vmreq_free(handle), 0);
        return row.status;
}

static void begin(struct text_writer *writer)
{
        text_writer_init(writer);
        assert_int_equal(run(writer), VMREQ_AGAIN);
        assert_int_equal(run(writer), VMREQ_AGAIN);
}

static void end(struct text_writer *writer)
{
        assert_non_null(writer->release);
        writer->release(writer->state);
}

static void test_guest_ran_meanwhile(void **state)
{
        struct text_writer writer;

        (void)state;
        begin(&writer);
        guest.entries++;
        assert_int_equal(run(&writer), VMREQ_FAIL_STATE);
        assert_has(writer.failure_text, "the guest has run");
        end(&writer);

        begin(&writer);
        assert_int_equal(machine_reset_shared(machine), 0);
        assert_int_equal(run(&writer), VMREQ_FAIL_STATE);
        end(&writer);

        begin(&writer);
        guest_change(VMREQ_EVENT_POWER_ON);
        assert_int_equal(run(&writer), VMREQ_FAIL_STATE);
        assert_has(writer.failure_text, "RUNNING");
        end(&writer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_whole, start, guest_end),
                cmocka_unit_test_setup_teardown(test_states, start, guest_end),
                cmocka_unit_test_setup_teardown(test_registers_fail, start, guest_end),
                cmocka_unit_test_setup_teardown(test_guest_ran_meanwhile, start, guest_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
