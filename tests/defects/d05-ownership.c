/* SPDX-License-Identifier: MIT */
/* D5, D7, D24, D27: who owns a packet, until when, and what a handle is worth afterwards. */
#include "defects.h"

static vmreq_vm id;
static struct log ran;

static void new_vm(uint32_t cpus, uint32_t slab)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        config.cpus = cpus;
        config.slab = slab;
        id = engine_new_with(&config);
        memset(&ran, 0, sizeof(ran));
}

static int32_t fail_word(void)
{
        return -5;
}

/* ---- D5: NO_WAIT, inline, failing: freed twice ---- */

static int32_t fail_inline(void *ctx)
{
        uint32_t *n = ctx;

        for (uint32_t i = 0; i < *n; i++) {
                CHECK(vmreq_call_nowait(id, 0, (vmreq_fn)fail_word, 0) == 0);
                CHECK(vmreq_call_nowait(id, VMREQ_CPU_ANY, (vmreq_fn)fail_word, 0) == 0);
                CHECK(vmreq_priority_call_nowait(id, 0, (vmreq_fn)fail_word, 0) == 0);
        }
        return 0;
}

/* A packet that was freed twice would be handed out twice. */
static void d05_inline_no_wait_failing_is_freed_once(void **state)
{
        uint32_t n = 100;

        (void)state;
        new_vm(1, 4);
        assert_int_equal(on_emt(id, 0, fail_inline, &n), 0);
        assert_whole_slab(id);
        engine_end(id);
}

/* With its hooks, and with somebody who takes each packet as soon as it is free. */
static int32_t fail_callback(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        return -5;
}

static int32_t fail_inline_hooked(void *ctx)
{
        struct vmreq_spec spec = *(struct vmreq_spec *)ctx;

        return vmreq_submit(id, &spec, NULL);
}

static void d05_inline_no_wait_failing_completes_once(void **state)
{
        struct vmreq_spec spec, other = engine_spec(0, 0, log_callee, &ran);
        struct hooked hooked;
        vmreq_handle next[3];

        (void)state;
        new_vm(1, 3);
        for (int round = 0; round < 50; round++) {
                spec = engine_spec(0, VMREQ_NO_WAIT, fail_callback, NULL);
                hooked_on(&hooked, &spec);
                assert_int_equal(on_emt(id, 0, fail_inline_hooked, &spec), 0);
                assert_hooked(&hooked, VMREQ_FATE_DONE);
                assert_int_equal(hooked.result.row.status, -5);
                engine_until_home(id);
                for (int i = 0; i < 3; i++)
                        assert_int_equal(vmreq_alloc(id, &other, &next[i]), 0);
                for (int i = 0; i < 3; i++)
                        assert_int_equal(vmreq_free(next[i]), 0);
        }
        engine_end(id);
}

/* ---- D7: completion is published before it is finished ---- */

static int32_t result_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        (void)ctx;
        (void)argc;
        reply->value = args[0] * 3;
        return (int32_t)(args[0] % 2 ? -(int64_t)args[0] : (int64_t)args[0]);
}

static void assert_result(const struct vmreq_row *row, uint64_t i)
{
        assert_int_equal(row->fate, VMREQ_FATE_DONE);
        assert_int_equal(row->value, i * 3);
        assert_int_equal(row->status, i % 2 ? -(int64_t)i : (int64_t)i);
        assert_int_equal(row->cpu, 0);
        assert_true(row->take_seq != 0);
}

/* The first to be told finds everything in place. */
static void d07_hook_sees_the_whole_result(void **state)
{
        (void)state;
        new_vm(1, 2);
        for (uint64_t i = 1; i <= 100; i++) {
                struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT, result_callee, NULL);
                struct hooked hooked;

                hooked_on(&hooked, &spec);
                spec.args = &i;
                spec.argc = 1;
                UNTIL(vmreq_submit(id, &spec, NULL) == 0);
                sem_down(&hooked.released);
                assert_hooked(&hooked, VMREQ_FATE_DONE);
                assert_result(&hooked.result.row, i);
        }
        engine_end(id);
}

/* Looks without a pause, so that whatever is published too early is seen. */
static void poll_until_complete(vmreq_handle handle, struct vmreq_row *row)
{
        enum vmreq_req_state now;

        for (uint32_t look = 1;; look++) {
                assert_int_equal(vmreq_status(handle, &now, row), 0);
                if (now == VMREQ_REQ_COMPLETED)
                        return;
                if (look % 256 == 0)
                        (void)sched_yield();
        }
}

/*
 * "Submit with 0 ms, then look": a poller that frees the packet as soon as it is complete, while
 * the EMT may still be at it.  There are two packets, so the next request lives in the one just
 * freed: whatever the EMT still did to it would be done to the next request.
 */
static void d07_poller_may_free_at_once(void **state)
{
        uint64_t n = DEFECTS_SLOW ? 4000 : 40000;

        (void)state;
        new_vm(1, 2);
        for (uint64_t i = 1; i <= n; i++) {
                struct vmreq_spec spec = engine_spec(0, 0, result_callee, NULL);
                struct vmreq_row row, again;
                vmreq_handle handle;

                spec.args = &i;
                spec.argc = 1;
                UNTIL(vmreq_submit(id, &spec, &handle) == 0);
                poll_until_complete(handle, &row);
                assert_result(&row, i);
                assert_int_equal(vmreq_wait(handle, 0), 0);
                again = engine_row(handle);
                assert_int_equal(row.queued_ns, again.queued_ns);
                assert_int_equal(row.run_ns, again.run_ns);
                assert_int_equal(row.take_seq, again.take_seq);
                assert_int_equal(engine_state(handle), VMREQ_REQ_COMPLETED);
                assert_int_equal(vmreq_free(handle), 0);
                assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        }
        assert_whole_slab(id);
        engine_end(id);
}

/* The next owner of a packet is not told of what became of the last one. */
static void d07_next_owner_gets_no_false_wake(void **state)
{
        uint32_t n = DEFECTS_SLOW ? 300 : 3000;

        (void)state;
        new_vm(1, 2);
        for (uint32_t i = 0; i < n; i++) {
                struct vmreq_spec quick = engine_spec(0, 0, log_callee, &ran), held;
                struct hooked hooked;
                struct gate gate;
                vmreq_handle first, second;

                atomic_store(&ran.n, 0);
                gate_init(&gate);
                held = engine_spec(0, 0, gate_callee, &gate);
                hooked_on(&hooked, &held);
                UNTIL(vmreq_submit(id, &quick, &first) == 0);
                UNTIL(vmreq_wait(first, 0) == 0);
                assert_int_equal(vmreq_free(first), 0);
                UNTIL(vmreq_submit(id, &held, &second) == 0);
                sem_down(&gate.in);
                assert_int_equal(vmreq_wait(second, 1), VMREQ_E_TIMEOUT);
                assert_int_equal(engine_state(second), VMREQ_REQ_RUNNING);
                assert_int_equal(atomic_load(&hooked.completes), 0);
                gate_open(&gate);
                (void)assert_done(second);
                sem_down(&hooked.released);
                assert_hooked(&hooked, VMREQ_FATE_DONE);
        }
        engine_end(id);
}

/* ---- D24: after a timeout the only legal move is to wait again ---- */

static void d24_abandoned_after_a_timeout(void **state)
{
        vmreq_handle handle;
        struct gate gate;

        (void)state;
        new_vm(1, 8);
        engine_hold(id, 0, &gate);
        /* Queued, and let go: it still runs, and its packet comes home. */
        assert_int_equal(vmreq_call(id, 0, &handle, 1, 0, (vmreq_fn)fail_word, 0), VMREQ_E_TIMEOUT);
        assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(vmreq_wait(handle, 0),
                         VMREQ_E_TIMEOUT); /* the name is good as long as it is queued */
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        assert_int_equal(engine_stats(id).in_use, 2);
        gate_open(&gate);
        engine_until_home(id);
        assert_int_equal(engine_emt(id, 0).done, 2);
        assert_int_equal(vmreq_wait(handle, 0), VMREQ_E_HANDLE);
        assert_whole_slab(id);
        engine_end(id);
}

static void d24_abandoned_while_it_runs(void **state)
{
        struct gate gate;
        struct vmreq_spec spec = engine_spec(0, 0, gate_callee, &gate);
        vmreq_handle handle;

        (void)state;
        new_vm(1, 8);
        gate_init(&gate);
        handle = engine_submit(id, &spec);
        sem_down(&gate.in);
        assert_int_equal(vmreq_wait(handle, 1), VMREQ_E_TIMEOUT);
        assert_int_equal(vmreq_free(handle), 0);
        gate_open(&gate);
        assert_whole_slab(id);
        engine_end(id);
}

/* Cancelled: it never runs, and it is over at once, although its EMT is stuck in something else. */
static void d24_cancelled_at_once(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        struct hooked hooked;
        vmreq_handle handle;
        struct gate gate;

        (void)state;
        new_vm(1, 8);
        engine_hold(id, 0, &gate);
        for (int i = 0; i < 100; i++) {
                hooked_on(&hooked, &spec);
                handle = engine_submit(id, &spec);
                assert_int_equal(vmreq_wait(handle, 1), VMREQ_E_TIMEOUT);
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_REMOVED);
                assert_hooked(&hooked, VMREQ_FATE_CANCELLED);
                assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
                assert_int_equal(engine_state(handle), VMREQ_REQ_CANCELLED);
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_FINISHED);
                assert_int_equal(vmreq_free(handle), 0);
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_UNKNOWN);
                assert_int_equal(engine_stats(id).in_use, 1);
        }
        gate_open(&gate);
        assert_int_equal(vmreq_call_void_wait(id, 0, (vmreq_fn)fail_word, 0), 0);
        assert_int_equal(atomic_load(&ran.n), 0);
        assert_int_equal(engine_emt(id, 0).skipped, 100);
        assert_whole_slab(id);
        engine_end(id);
}

/* Too late to be removed: asked to end, and able to see it. */
static int32_t park_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        CHECK(sem_post(ctx) == 0);
        return vmreq_park(VMREQ_FOREVER);
}

static void d24_running_is_asked(void **state)
{
        struct vmreq_spec spec;
        vmreq_handle handle;
        sem_t in;

        (void)state;
        new_vm(1, 8);
        assert_int_equal(sem_init(&in, 0, 0), 0);
        spec = engine_spec(0, 0, park_callee, &in);
        handle = engine_submit(id, &spec);
        sem_down(&in);
        assert_int_equal(vmreq_wait(handle, 1), VMREQ_E_TIMEOUT);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
        assert_int_equal(assert_done(handle).status, VMREQ_E_CANCELLED);
        engine_end(id);
}

/* ---- D27: stale pointers are not noticed ---- */

static void assert_refused(vmreq_handle handle)
{
        enum vmreq_req_state req_state;
        struct vmreq_row row;
        uint32_t n;

        assert_int_equal(vmreq_queue(handle, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_status(handle, &req_state, &row), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_rows(handle, &row, 1, &n), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_UNKNOWN);
}

static void d27_stale_and_foreign_handles_are_refused(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle, next, forged;
        vmreq_vm other;

        (void)state;
        new_vm(1, 1);
        other = engine_new(1);
        assert_refused(VMREQ_HANDLE_NONE);
        handle = engine_submit(id, &spec);
        forged = handle;
        forged.vm = other.id;
        assert_refused(forged);
        forged = handle;
        forged.generation++;
        assert_refused(forged);
        forged = handle;
        forged.index = UINT32_MAX;
        assert_refused(forged);
        forged = handle;
        forged.vm = UINT32_MAX;
        assert_refused(forged);
        (void)assert_done(handle);
        engine_until_home(id);
        assert_refused(handle);
        /* The same packet, alive again: the old handle does not reach it. */
        assert_int_equal(vmreq_alloc(id, &spec, &next), 0);
        assert_int_equal(next.index, handle.index);
        assert_refused(handle);
        assert_int_equal(vmreq_free(next), 0);
        assert_refused(next);
        engine_end(other);
        engine_end(id);
        assert_refused(handle);
        assert_refused(next);
}

struct freer {
        vmreq_handle handle;
        pthread_barrier_t *barrier;
        int result;
};

static void *free_it(void *arg)
{
        struct freer *freer = arg;

        (void)pthread_barrier_wait(freer->barrier);
        freer->result = vmreq_free(freer->handle);
        return NULL;
}

/* Two frees at once: one of them is the owner's. */
static void d27_one_of_two_frees_wins(void **state)
{
        uint32_t rounds = DEFECTS_SLOW ? 100 : 500;
        pthread_barrier_t barrier;

        (void)state;
        new_vm(1, 4);
        assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
        for (uint32_t i = 0; i < rounds; i++) {
                struct vmreq_spec spec = engine_spec(0, 0, result_callee, NULL);
                uint64_t number = i;
                struct freer freers[2];
                pthread_t threads[2];
                vmreq_handle handle;

                spec.args = &number;
                spec.argc = 1;
                handle = engine_submit(id, &spec);
                if (i % 2)
                        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
                for (int t = 0; t < 2; t++) {
                        freers[t] = (struct freer){.handle = handle, .barrier = &barrier};
                        threads[t] = thread_start(free_it, &freers[t]);
                }
                for (int t = 0; t < 2; t++)
                        thread_end(threads[t]);
                assert_int_equal(freers[0].result + freers[1].result, VMREQ_E_HANDLE);
                engine_until_home(id);
        }
        assert_whole_slab(id);
        (void)pthread_barrier_destroy(&barrier);
        engine_end(id);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(d05_inline_no_wait_failing_is_freed_once),
                cmocka_unit_test(d05_inline_no_wait_failing_completes_once),
                cmocka_unit_test(d07_hook_sees_the_whole_result),
                cmocka_unit_test(d07_poller_may_free_at_once),
                cmocka_unit_test(d07_next_owner_gets_no_false_wake),
                cmocka_unit_test(d24_abandoned_after_a_timeout),
                cmocka_unit_test(d24_abandoned_while_it_runs),
                cmocka_unit_test(d24_cancelled_at_once),
                cmocka_unit_test(d24_running_is_asked),
                cmocka_unit_test(d27_stale_and_foreign_handles_are_refused),
                cmocka_unit_test(d27_one_of_two_frees_wins),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
