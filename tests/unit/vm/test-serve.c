/* SPDX-License-Identifier: MIT */
/*
 * Serving: which request is taken next, what becomes of those that died in the queue, how many at a
 * time.  This thread is the EMT, so nothing happens but what a test calls.
 */
#include "lib/engine.h"

static vmreq_vm id;
static struct log ran;

static int setup(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        config.flags = VMREQ_CONFIG_ATTACH;
        config.batch = 4;
        config.priority_run = 2;
        config.slab = 64;
        config.service_wake =
                engine_no_service; /* never comes: what is due is found when it is taken */
        id = engine_new_with(&config);
        memset(&ran, 0, sizeof(ran));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        if (vmreq_emt_self(id) != VMREQ_CPU_NONE)
                assert_int_equal(vmreq_emt_detach(id), 0);
        engine_end(id);
        return 0;
}

static vmreq_handle submit(uint32_t cpu, uint32_t flags, uint64_t item, uint64_t deadline_ns)
{
        struct vmreq_spec spec = engine_spec(cpu, flags, log_callee, &ran);

        spec.args = &item;
        spec.argc = 1;
        spec.deadline_ns = deadline_ns;
        return engine_submit(id, &spec);
}

static void queue(uint32_t cpu, uint32_t flags, uint64_t item)
{
        (void)vmreq_free(submit(cpu, flags, item, 0));
}

/* This thread is the EMT; what comes first to its own lanes must be there before. */
static void attach(void)
{
        assert_int_equal(vmreq_emt_attach(id, 0), 0);
}

static int process_all(void)
{
        int n = 0, once;

        while ((once = vmreq_process(id, 0)) > 0)
                n += once;
        assert_int_equal(once, 0);
        return n;
}

#define ANY VMREQ_CPU_ANY

/* ---- order ---- */

static void test_four_lanes(void **state)
{
        (void)state;
        queue(ANY, 0, 1);
        queue(0, 0, 2);
        queue(ANY, VMREQ_PRIORITY, 3);
        queue(0, VMREQ_PRIORITY, 4);
        attach();
        assert_int_equal(process_all(), 4);
        /* Own and ANY by turns, own begins; both priority lanes before both normal ones. */
        assert_log(&ran, (uint64_t[]){4, 3, 2, 1}, 4);
}

/* Two priority requests in a row, then one normal; who went first alternates at either level. */
static void test_priority_run(void **state)
{
        (void)state;
        for (uint64_t i = 0; i < 6; i++)
                queue(0, VMREQ_PRIORITY, 100 + i);
        for (uint64_t i = 0; i < 2; i++)
                queue(0, 0, i);
        attach();
        assert_int_equal(process_all(), 8);
        assert_log(&ran, (uint64_t[]){100, 101, 0, 102, 103, 1, 104, 105}, 8);
}

/* Asked for priority only, the normal lanes are left alone however many of them wait. */
static void test_priority_only(void **state)
{
        (void)state;
        for (uint64_t i = 0; i < 5; i++) {
                queue(0, VMREQ_PRIORITY, 100 + i);
                queue(i % 2 ? ANY : 0, 0, i);
        }
        attach();
        assert_int_equal(vmreq_process(id, 1), 4);
        assert_int_equal(vmreq_process(id, 1), 1);
        assert_int_equal(vmreq_process(id, 1), 0);
        assert_int_equal(atomic_load(&ran.n), 5);
        assert_int_equal(vmreq_pending(id), 1);
        assert_int_equal(process_all(), 5);
}

/* The same in a state between, whatever is asked for; and nothing is pending. */
static void test_state_between(void **state)
{
        (void)state;
        queue(0, 0, 1);
        queue(0, VMREQ_PRIORITY, 2);
        attach();
        atomic_store(&engine_inside(id)->state, VMREQ_VM_RESETTING);
        assert_int_equal(vmreq_process(id, 0), 1);
        assert_int_equal(vmreq_process(id, 0), 0);
        assert_int_equal(vmreq_pending(id), 0);
        atomic_store(&engine_inside(id)->state, VMREQ_VM_SUSPENDED);
        assert_int_equal(vmreq_pending(id), 1);
        assert_int_equal(process_all(), 1);
        assert_log(&ran, (uint64_t[]){2, 1}, 2);
}

static void test_batch(void **state)
{
        struct vmreq_emt_info info;

        (void)state;
        for (uint64_t i = 0; i < 9; i++)
                queue(0, 0, i);
        attach();
        assert_int_equal(vmreq_process(id, 0), 4);
        assert_int_equal(vmreq_process(id, 0), 4);
        assert_int_equal(vmreq_process(id, 0), 1);
        assert_int_equal(vmreq_process(id, 0), 0);
        info = engine_emt(id, 0);
        assert_int_equal(info.batches, 3);
        assert_int_equal(info.done, 9);
        assert_int_equal(info.skipped, 0);
}

/* The order of takes from a lane is the order of pushes, and every row says so. */
static void test_take_seq(void **state)
{
        vmreq_handle own[6], any[6];

        (void)state;
        for (size_t i = 0; i < 6; i++) {
                own[i] = submit(0, 0, i, 0);
                any[i] = submit(ANY, 0, 100 + i, 0);
        }
        assert_int_equal(vmreq_cancel(own[2]), VMREQ_VERDICT_REMOVED);
        attach();
        assert_int_equal(process_all(), 11);
        for (size_t i = 0; i < 6; i++) {
                assert_int_equal(engine_row(own[i]).take_seq, i == 2 ? 0 : i + 1);
                assert_int_equal(engine_row(any[i]).take_seq, i + 1);
                assert_int_equal(vmreq_free(own[i]), 0);
                assert_int_equal(vmreq_free(any[i]), 0);
        }
}

/* ---- the dead ---- */

/* A packet that died in the queue and lives again elsewhere is taken for what it is now, once. */
static void test_recycled(void **state)
{
        vmreq_handle first = submit(0, 0, 1, 0), second, third;

        (void)state;
        assert_int_equal(vmreq_cancel(first), VMREQ_VERDICT_REMOVED);
        assert_int_equal(vmreq_free(first), 0);
        second = submit(0, 0, 2, 0);
        assert_int_equal(second.index, first.index);
        assert_int_equal(vmreq_cancel(second), VMREQ_VERDICT_REMOVED);
        assert_int_equal(vmreq_free(second), 0);
        third = submit(ANY, 0, 3, 0);
        assert_int_equal(third.index, first.index);
        attach();
        assert_int_equal(process_all(), 1);
        assert_log(&ran, (uint64_t[]){3}, 1);
        assert_int_equal(engine_emt(id, 0).skipped, 2);
        (void)engine_finish(third);
}

/* Its time is over, and the deadline service has not been here: it does not run. */
static void test_due(void **state)
{
        uint64_t past = clock_now_ns() - 1;
        vmreq_handle late = submit(0, 0, 1, past), good = submit(0, 0, 2, past + ENGINE_FAR_NS);

        (void)state;
        attach();
        assert_int_equal(process_all(), 1);
        assert_int_equal(engine_finish(late).fate, VMREQ_FATE_EXPIRED);
        assert_int_equal(engine_finish(good).fate, VMREQ_FATE_DONE);
        assert_log(&ran, (uint64_t[]){2}, 1);
        assert_int_equal(engine_emt(id, 0).skipped, 1);
}

/* The VM is closed, and the closer has not been here. */
static void test_closed(void **state)
{
        vmreq_handle handle = submit(0, 0, 1, 0);

        (void)state;
        attach();
        atomic_store(&engine_inside(id)->closed, 1);
        assert_int_equal(process_all(), 0);
        assert_int_equal(engine_finish(handle).fate, VMREQ_FATE_KILLED);
        assert_int_equal(atomic_load(&ran.n), 0);
}

/* Nothing but the dead: nothing was run, and nothing is pending any more. */
static void test_only_dead(void **state)
{
        vmreq_handle handles[10];

        (void)state;
        for (size_t i = 0; i < 10; i++)
                handles[i] = submit(i % 2 ? ANY : 0, i % 3 ? 0 : VMREQ_PRIORITY, i, 0);
        for (size_t i = 0; i < 10; i++)
                assert_int_equal(vmreq_cancel(handles[i]), VMREQ_VERDICT_REMOVED);
        attach();
        assert_int_equal(vmreq_pending(id), 1);
        assert_int_equal(vmreq_process(id, 0), 0);
        assert_int_equal(vmreq_pending(id), 0);
        assert_int_equal(engine_emt(id, 0).skipped, 10);
        assert_int_equal(engine_emt(id, 0).batches, 0);
        for (size_t i = 0; i < 10; i++)
                assert_int_equal(vmreq_free(handles[i]), 0);
}

/* ---- nesting ---- */

static int32_t nested_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        (void)argc;
        (void)reply;
        log_add(ctx, 100 + args[0]);
        CHECK(vmreq_process(id, 0) >= 0);
        log_add(ctx, 200 + args[0]);
        return 0;
}

static struct {
        uint32_t depth, deepest, ran, refused;
} recursion;

static int32_t recursive_callee(void *ctx, const uint64_t *args, uint32_t argc,
                                struct vmreq_reply *reply)
{
        int r;

        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        recursion.ran++;
        recursion.depth++;
        recursion.deepest = MAX(recursion.deepest, recursion.depth);
        r = vmreq_process(id, 0);
        CHECK(r >= 0 || r == VMREQ_E_DEADLOCK);
        recursion.refused += r < 0;
        recursion.depth--;
        return 0;
}

/* Serving inside callees has a bottom, and all are served all the same. */
static void test_recursion(void **state)
{
        struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT, recursive_callee, NULL);

        (void)state;
        memset(&recursion, 0, sizeof(recursion));
        for (int i = 0; i < 40; i++)
                assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        attach();
        (void)process_all();
        assert_int_equal(recursion.ran, 40);
        assert_int_equal(recursion.deepest, VMREQ_NEST_MAX + 1);
        assert_true(recursion.refused > 0);
        assert_int_equal(engine_inside(id)->emts[0].nest, 0);
}

/* A callee that serves runs the rest inside itself, and its figures are right again afterwards. */
static void test_nested(void **state)
{
        struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT, nested_callee, &ran);

        (void)state;
        for (uint64_t i = 0; i < 3; i++) {
                spec.args = &i;
                spec.argc = 1;
                assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        }
        attach();
        assert_int_equal(process_all(), 1);
        assert_log(&ran, (uint64_t[]){100, 101, 102, 202, 201, 200}, 6);
        assert_int_equal(engine_emt(id, 0).done, 3);
        assert_int_equal(engine_emt(id, 0).handle.generation, 0);
}

/* What it looks like from inside. */
static int32_t look_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        struct vmreq_emt_info info;
        vmreq_handle current = vmreq_current();

        (void)ctx;
        (void)args;
        (void)argc;
        CHECK(vmreq_emt_info(id, reply->cpu, &info) == 0);
        CHECK(info.state == VMREQ_EMT_RUNNING && info.tag == 4711);
        CHECK(info.handle.index == current.index && info.handle.generation == current.generation);
        CHECK(info.since_ns && info.since_ns <= clock_now_ns());
        return 0;
}

static void test_published(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, look_callee, NULL);
        vmreq_handle handle;

        (void)state;
        spec.tag = 4711;
        handle = engine_submit(id, &spec);
        attach();
        assert_int_equal(process_all(), 1);
        assert_int_equal(engine_finish(handle).fate, VMREQ_FATE_DONE);
        assert_int_equal(engine_emt(id, 0).state, VMREQ_EMT_AWAKE);
        assert_int_equal(engine_emt(id, 0).tag, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_four_lanes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_priority_run, setup, teardown),
                cmocka_unit_test_setup_teardown(test_priority_only, setup, teardown),
                cmocka_unit_test_setup_teardown(test_state_between, setup, teardown),
                cmocka_unit_test_setup_teardown(test_batch, setup, teardown),
                cmocka_unit_test_setup_teardown(test_take_seq, setup, teardown),
                cmocka_unit_test_setup_teardown(test_recycled, setup, teardown),
                cmocka_unit_test_setup_teardown(test_due, setup, teardown),
                cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_only_dead, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nested, setup, teardown),
                cmocka_unit_test_setup_teardown(test_recursion, setup, teardown),
                cmocka_unit_test_setup_teardown(test_published, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
