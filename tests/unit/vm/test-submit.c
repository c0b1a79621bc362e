/* SPDX-License-Identifier: MIT */
/* Submission: what is accepted, what is refused and leaves no trace, and how an accepted one
 * reaches its callee. */
#include "lib/emts.h"

/* ---- refusal ---- */

static void refuse(vmreq_vm vm, const struct vmreq_spec *spec, int error)
{
        vmreq_handle handle = {1, 2, 3};

        assert_int_equal(vmreq_submit(vm, spec, &handle), error);
        assert_int_equal(handle.generation, 0);
        handle.generation = 3;
        assert_int_equal(vmreq_alloc(vm, spec, &handle), error);
        assert_int_equal(handle.generation, 0);
}

static void fn_void(void)
{
}

static void test_bad_spec(void **state)
{
        struct hooked hooked;
        struct vmreq_spec good = engine_spec(0, 0, log_callee, &ran), word = VMREQ_SPEC_INIT, bad;
        static const uint64_t args[16];
        static const uint32_t flags[] = {
                0x200,          VMREQ_MORE | VMREQ_WAIT_ROOM,
                1u << 31,       VMREQ_VOID, /* a callback always has a status */
                VMREQ_PARALLEL, VMREQ_CONTINUE};
        static const uint32_t cpus[] = {2, 255, 256, 0xffffffef, 0xfffffff4, VMREQ_CPU_NONE};
        static const vmreq_vm ids[] = {{0}, {UINT32_MAX}};

        (void)state;
        hooked_on(&hooked, &good);
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
                bad = good;
                bad.flags = flags[i];
                refuse(id, &bad, VMREQ_E_INVALID);
        }
        for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
                bad = good;
                bad.cpu = cpus[i];
                refuse(id, &bad, VMREQ_E_INVALID);
        }
        bad = good;
        bad.size = 0;
        refuse(id, &bad, VMREQ_E_INVALID);
        bad.size = sizeof(bad) + 1;
        refuse(id, &bad, VMREQ_E_INVALID);
        bad = good;
        bad.kind = (enum vmreq_kind)(VMREQ_FN_CALLBACK + 1);
        refuse(id, &bad, VMREQ_E_INVALID);
        bad.kind = (enum vmreq_kind) - 1;
        refuse(id, &bad, VMREQ_E_INVALID);
        bad = good;
        bad.callback = NULL;
        bad.fn = fn_void;
        refuse(id, &bad, VMREQ_E_INVALID);
        word.kind = VMREQ_FN_U64;
        word.callback = log_callee;
        refuse(id, &word, VMREQ_E_INVALID);
        bad = good;
        bad.argc = 1;
        refuse(id, &bad, VMREQ_E_INVALID);
        bad.args = args;
        bad.argc = VMREQ_ARGS_MAX + 1;
        refuse(id, &bad, VMREQ_E_INVALID);
        bad.argc = UINT32_MAX;
        refuse(id, &bad, VMREQ_E_INVALID);
        for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
                refuse(ids[i], &good, VMREQ_E_HANDLE);
        refuse(id, NULL, VMREQ_E_INVALID);
        assert_int_equal(vmreq_submit(id, &good, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_alloc(id, &good, NULL), VMREQ_E_INVALID);

        /* Nothing was accepted: no packet, no hook, no run. */
        assert_int_equal(engine_stats(id).in_use, 0);
        assert_int_equal(engine_stats(id).submitted, 0);
        assert_int_equal(atomic_load(&hooked.completes) + atomic_load(&hooked.releases), 0);
        assert_int_equal(atomic_load(&ran.n), 0);
}

static void assert_refused_everywhere(vmreq_handle handle)
{
        enum vmreq_req_state state = VMREQ_REQ_COMPLETED;
        struct vmreq_row row = {.value = 77};
        uint32_t n = 77;

        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_wait(handle, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_status(handle, &state, &row), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_rows(handle, &row, 1, &n), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_UNKNOWN);
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        assert_int_equal(state, VMREQ_REQ_COMPLETED);
        assert_int_equal(row.value, 77);
        assert_int_equal(n, 77);
}

static void test_bad_handles(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle first, second, bad;
        vmreq_vm other = engine_new(1);

        (void)state;
        assert_refused_everywhere(VMREQ_HANDLE_NONE);
        first = engine_submit(id, &spec);
        (void)engine_finish(first);
        /* Freed; freed and the packet free; freed and the packet somebody else's. */
        engine_until_home(id);
        assert_refused_everywhere(first);
        second = engine_submit(id, &spec);
        assert_int_equal(second.index, first.index);
        assert_int_not_equal(second.generation, first.generation);
        assert_refused_everywhere(first);
        assert_int_equal(vmreq_wait(second, VMREQ_FOREVER), 0);
        assert_refused_everywhere(first);

        bad = second;
        bad.vm = other.id;
        assert_refused_everywhere(bad);
        bad.vm = 0;
        assert_refused_everywhere(bad);
        bad.vm = id.id + VMREQ_VMS_MAX;
        assert_refused_everywhere(bad);
        bad = second;
        bad.index = UINT32_MAX;
        assert_refused_everywhere(bad);
        bad = second;
        bad.generation = 0;
        assert_refused_everywhere(bad);
        bad.generation = second.generation + 1;
        assert_refused_everywhere(bad);
        bad.generation = second.generation | 1ull << 63;
        assert_refused_everywhere(bad);
        assert_int_equal(vmreq_free(second), 0);
        assert_int_equal(atomic_load(&ran.n), 2);
        engine_end(other);
        assert_refused_everywhere(bad);
}

static void test_freed_twice_in_flight(void **state)
{
        struct hooked hooked;
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        struct gate gate;
        vmreq_handle handle;

        (void)state;
        engine_hold(id, 0, &gate);
        hooked_on(&hooked, &spec);
        handle = engine_submit(id, &spec);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        /* It goes on without its owner, and can still be looked at. */
        assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
        gate_open(&gate);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
        assert_int_equal(atomic_load(&ran.n), 1);
}

/* ---- arguments ---- */

static void test_args_are_copied(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        uint64_t args[1] = {41};
        struct gate gate;
        vmreq_handle handle;

        (void)state;
        engine_hold(id, 0, &gate);
        spec.args = args;
        spec.argc = 1;
        handle = engine_submit(id, &spec);
        args[0] = 0;
        spec.callback = NULL;
        gate_open(&gate);
        assert_int_equal(engine_finish(handle).value, 41);
}

/* ---- two steps ---- */

static void test_alloc_queue_wait(void **state)
{
        struct vmreq_spec spec = engine_spec(1, 0, log_callee, &ran);
        struct vmreq_row row;
        vmreq_handle handle;
        struct gate gate;

        (void)state;
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        assert_int_equal(engine_state(handle), VMREQ_REQ_ALLOCATED);
        assert_int_equal(engine_row(handle).fate, VMREQ_FATE_NONE);
        /* Not submitted: waiting is no use, and there is nothing to cancel. */
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), VMREQ_E_STATE);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_UNKNOWN);
        assert_int_equal(vmreq_rows(handle, NULL, 0, NULL), VMREQ_E_INVALID);

        engine_hold(id, 1, &gate);
        assert_int_equal(vmreq_queue(handle, 0), VMREQ_E_TIMEOUT);
        assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
        assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), VMREQ_E_STATE);
        gate_open(&gate);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), VMREQ_E_STATE);
        row = engine_row(handle);
        assert_int_equal(row.fate, VMREQ_FATE_DONE);
        assert_int_equal(row.value, 1);
        assert_int_equal(row.cpu, 1);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(atomic_load(&ran.n), 1);
}

static void test_alloc_free(void **state)
{
        struct hooked hooked;
        struct vmreq_spec spec = engine_spec(1, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        hooked_on(&hooked, &spec);
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        assert_int_equal(engine_stats(id).in_use, 1);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(engine_stats(id).in_use, 0);
        assert_refused_everywhere(handle);
        /* Never submitted: no hook. */
        assert_int_equal(atomic_load(&hooked.completes) + atomic_load(&hooked.releases), 0);
}

static void test_queue_no_wait(void **state)
{
        struct hooked hooked;
        struct vmreq_spec spec = engine_spec(1, VMREQ_NO_WAIT, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        hooked_on(&hooked, &spec);
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), 0);
        /* The engine's own from then on. */
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        sem_down(&hooked.released);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
        engine_until_home(id);
}

/* The time in the queue begins with queueing, not with allocation. */
static void test_queued_ns_from_queueing(void **state)
{
        struct vmreq_spec spec = engine_spec(1, 0, log_callee, &ran);
        vmreq_handle handle;
        uint64_t before, after, queued;

        (void)state;
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        before = clock_now_ns();
        UNTIL(clock_now_ns() > before + 5 * CLOCK_NS_PER_MS);
        before = clock_now_ns();
        assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), 0);
        after = clock_now_ns();
        queued = engine_finish(handle).queued_ns;
        assert_true(queued <= after - before);
}

static void *queue_it(void *arg)
{
        return (void *)(intptr_t)vmreq_queue(*(vmreq_handle *)arg, VMREQ_FOREVER);
}

/* Two threads queue one packet: one does, the other is told, and the broadcast form is no
 * different. */
static void test_queued_by_two(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        void *results[2];

        (void)state;
        for (int i = 0; i < 400; i++) {
                pthread_t threads[2];
                vmreq_handle handle;

                spec.cpu = i % 2 ? VMREQ_CPU_ALL : 0;
                spec.deadline_ns = clock_now_ns() + ENGINE_FAR_NS;
                assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
                for (size_t t = 0; t < 2; t++)
                        threads[t] = thread_start(queue_it, &handle);
                for (size_t t = 0; t < 2; t++)
                        assert_int_equal(pthread_join(threads[t], &results[t]), 0);
                assert_true((results[0] == NULL && (intptr_t)results[1] == VMREQ_E_STATE) ||
                            (results[1] == NULL && (intptr_t)results[0] == VMREQ_E_STATE));
                assert_int_equal(vmreq_free(handle), 0);
        }
        assert_int_equal(atomic_load(&ran.n), 200 + 200 * 2);
        engine_until_home(id);
        for (uint32_t i = 0; i < engine_stats(id).slab; i++)
                assert_int_equal(atomic_load(&engine_inside(id)->due[i]), 0);
}

/* ---- nobody waits ---- */

static void test_no_wait(void **state)
{
        struct hooked hooked;
        struct vmreq_spec spec = engine_spec(1, VMREQ_NO_WAIT, log_callee, &ran);
        struct gate gate;
        vmreq_handle handle;

        (void)state;
        assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        UNTIL(atomic_load(&ran.n) == 1);
        engine_hold(id, 1, &gate);
        hooked_on(&hooked, &spec);
        handle = engine_submit(id, &spec);
        assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_REMOVED);
        /* It held nothing, so it is gone. */
        assert_refused_everywhere(handle);
        assert_hooked(&hooked, VMREQ_FATE_CANCELLED);
        assert_int_equal(hooked.result.handle.generation, handle.generation);
        gate_open(&gate);
}

/* ---- inline ---- */

struct inline_case {
        vmreq_vm vm;
        uint32_t cpu, flags;
        /* what the callee found */
        int submitted, complete_at_once;
        uint32_t ran_on;
        int32_t status;
        vmreq_handle handle, outer, inner, after;
};

static int32_t inner_callee(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        struct inline_case *c = ctx;

        (void)args;
        (void)argc;
        c->inner = vmreq_current();
        c->ran_on = reply->cpu;
        return -3;
}

static int32_t outer_callee(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        struct inline_case *c = ctx;
        struct vmreq_spec spec = engine_spec(c->cpu, c->flags, inner_callee, c);
        enum vmreq_req_state state;
        struct vmreq_row row;

        (void)args;
        (void)argc;
        (void)reply;
        c->ran_on = VMREQ_CPU_NONE;
        c->outer = vmreq_current();
        c->submitted = vmreq_submit(c->vm, &spec, &c->handle);
        c->after = vmreq_current();
        if (c->flags & VMREQ_NO_WAIT) {
                c->complete_at_once = c->ran_on != VMREQ_CPU_NONE;
                return 0;
        }
        CHECK(vmreq_status(c->handle, &state, NULL) == 0);
        c->complete_at_once = state == VMREQ_REQ_COMPLETED;
        CHECK(vmreq_wait(c->handle, VMREQ_FOREVER) == 0);
        CHECK(vmreq_status(c->handle, NULL, &row) == 0);
        c->status = row.status;
        CHECK(vmreq_free(c->handle) == 0);
        return 0;
}

static bool same(vmreq_handle a, vmreq_handle b)
{
        return a.vm == b.vm && a.index == b.index && a.generation == b.generation;
}

static void test_inline(void **state)
{
        static const struct {
                uint32_t cpu, flags;
                bool at_once;
        } cases[] = {
                {VMREQ_CPU_ANY, 0, true},
                {1, 0, true},
                {1, VMREQ_PRIORITY | VMREQ_POKE, true},
                {1, VMREQ_NO_NEST, true},
                {1, VMREQ_NO_WAIT, true},
                {VMREQ_CPU_ANY, VMREQ_NO_WAIT, true},
                {VMREQ_CPU_ANY_QUEUE, 0, false},
                {0, 0, false},
        };
        struct gate gate;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct inline_case c = {.vm = id, .cpu = cases[i].cpu, .flags = cases[i].flags};
                struct vmreq_spec spec = engine_spec(1, 0, outer_callee, &c);

                /* EMT 0 is busy for as long as it matters, so that "not at once" can be seen. */
                engine_hold(id, 0, &gate);
                if (cases[i].cpu == 0)
                        gate_open(&gate);
                (void)engine_finish(engine_submit(id, &spec));
                assert_int_equal(c.submitted, 0);
                assert_true(same(c.outer, c.after));
                assert_false(same(c.outer, c.inner));
                if (cases[i].cpu != 0) {
                        assert_int_equal(c.complete_at_once, cases[i].at_once);
                        assert_int_equal(c.ran_on, 1);
                }
                if (!(cases[i].flags & VMREQ_NO_WAIT)) {
                        /* The callee's failure is the result, never the submission's answer. */
                        assert_int_equal(c.status, -3);
                        assert_true(same(c.inner, c.handle));
                }
                if (cases[i].cpu != 0)
                        gate_open(&gate);
        }
}

/* An EMT of one VM is a foreign thread to another. */
static void test_not_inline_across_vms(void **state)
{
        vmreq_vm other = engine_new(1);
        struct inline_case c = {.vm = other, .cpu = 0};
        struct vmreq_spec spec = engine_spec(0, 0, outer_callee, &c);

        (void)state;
        (void)engine_finish(engine_submit(id, &spec));
        assert_int_equal(c.submitted, 0);
        assert_int_equal(c.inner.vm, other.id);
        assert_int_equal(engine_emt(other, 0).done, 1);
        assert_int_equal(engine_emt(id, 0).done, 1);
        engine_end(other);
}

static void test_destinations(void **state)
{
        static const uint32_t lanes[] = {0, VMREQ_PRIORITY};
        uint64_t take_seq;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(lanes); i++) {
                for (uint32_t cpu = 0; cpu < 2; cpu++) {
                        struct vmreq_spec spec = engine_spec(cpu, lanes[i], log_callee, &ran);
                        struct vmreq_row row = engine_finish(engine_submit(id, &spec));

                        assert_int_equal(row.cpu, cpu);
                        assert_int_equal(row.value, cpu);
                        assert_int_equal(row.fate, VMREQ_FATE_DONE);
                        assert_true(row.take_seq >= 1);
                }
                take_seq = 0;
                for (uint32_t n = 0; n < 2; n++) {
                        struct vmreq_spec spec =
                                engine_spec(n ? VMREQ_CPU_ANY : VMREQ_CPU_ANY_QUEUE, lanes[i],
                                            log_callee, &ran);
                        struct vmreq_row row = engine_finish(engine_submit(id, &spec));

                        assert_true(row.cpu < 2);
                        assert_int_equal(row.value, row.cpu);
                        /* Grows from take to take; a preempted push may leave a gap. */
                        assert_true(row.take_seq > take_seq);
                        take_seq = row.take_seq;
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_bad_spec, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_bad_handles, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_freed_twice_in_flight, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_args_are_copied, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_alloc_queue_wait, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_alloc_free, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_queue_no_wait, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_queued_ns_from_queueing, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_queued_by_two, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_no_wait, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_inline, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_not_inline_across_vms, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_destinations, setup2, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
