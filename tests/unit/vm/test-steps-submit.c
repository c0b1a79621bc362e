/* SPDX-License-Identifier: MIT */
/* A submitter, preempted at each of its steps in front of its push and behind it, while others
 * cancel, expire, close or take. */
#include "unit/vm/steps.h"

/* ---- a submitter, preempted in front of its push ---- */

static void free_in_hook(void *user, const struct vmreq_result *result)
{
        hooked_complete(user, result);
        CHECK(vmreq_free(result->handle) == 0);
}

static void expire_and_submit(void)
{
        struct vmreq_spec spec = engine_spec(1, 0, log_callee, &ran);

        do_expire();
        CHECK(vmreq_submit(id, &spec, &other) == 0);
}

/*
 * It expires, and its hook gives the handle back; another request is submitted, in the same packet,
 * to another lane.  The late push must not put that one on the wrong lane: it leaves a dead slot.
 */
static void test_gone_before_the_push(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        hold_all();
        hooked_on(&hooked, &spec);
        spec.complete = free_in_hook;
        spec.deadline_ns = due;
        atomic_store(&fill.before, expire_and_submit);
        handle = engine_submit(id, &spec);
        assert_hooked(&hooked, VMREQ_FATE_EXPIRED);
        assert_int_equal(other.index, handle.index);
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        release_all();
        assert_int_equal(engine_finish(other).cpu, 1);
        assert_log(&ran, (uint64_t[]){1}, 1);
        UNTIL(engine_emt(id, 0).skipped == 1);
}

/* The same with nobody's handle. */
static void test_gone_before_the_push_no_wait(void **state)
{
        struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        hold_all();
        hooked_on(&hooked, &spec);
        spec.deadline_ns = due;
        atomic_store(&fill.before, expire_and_submit);
        handle = engine_submit(id, &spec);
        assert_hooked(&hooked, VMREQ_FATE_EXPIRED);
        assert_int_equal(other.index, handle.index);
        release_all();
        assert_int_equal(engine_finish(other).cpu, 1);
        assert_log(&ran, (uint64_t[]){1}, 1);
        UNTIL(engine_emt(id, 0).skipped == 1);
}

/* The VM closes: accepted, and killed.  Exactly one of submission's error and a fate. */
static void test_closed_before_the_push(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        hold_all();
        hooked_on(&hooked, &spec);
        atomic_store(&fill.before, do_close);
        handle = engine_submit(id, &spec);
        assert_hooked(&hooked, VMREQ_FATE_KILLED);
        assert_int_equal(vmreq_free(handle), 0);
        release_all();
        assert_int_equal(atomic_load(&ran.n), 0);
}

/* Closed before it is QUEUED: refused, and its deadline must not outlive it and hit the packet's
 * next owner. */
static void test_closed_before_the_deadline(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        hold_all();
        hooked_on(&hooked, &spec);
        spec.deadline_ns = due;
        atomic_store(&note.before, do_close);
        assert_int_equal(vmreq_submit(id, &spec, &handle), VMREQ_E_CLOSED);
        assert_int_equal(vmreq_vm_service(id, due), UINT64_MAX);
        assert_int_equal(hooked.completes + hooked.releases, 0);
        assert_int_equal(engine_stats(id).in_use, CPUS);
        release_all();
}

static void cancel_too_early(void)
{
        CHECK(vmreq_cancel(victim) == VMREQ_VERDICT_UNKNOWN);
        CHECK(vmreq_queue(victim, 0) == VMREQ_E_STATE);
        CHECK(vmreq_wait(victim, VMREQ_FOREVER) == VMREQ_E_STATE);
}

/* Until it is QUEUED it cannot be cancelled, as little as before it was submitted; nor queued by
 * somebody else, nor waited for. */
static void test_cancelled_before_the_deadline(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);

        (void)state;
        hold_all();
        hooked_on(&hooked, &spec);
        spec.deadline_ns = due;
        assert_int_equal(vmreq_alloc(id, &spec, &victim), 0);
        atomic_store(&note.before, cancel_too_early);
        assert_int_equal(vmreq_queue(victim, 0), VMREQ_E_TIMEOUT);
        do_cancel();
        assert_hooked(&hooked, VMREQ_FATE_CANCELLED);
        assert_int_equal(atomic_load(&engine_inside(id)->due[victim.index]), 0);
        assert_int_equal(vmreq_free(victim), 0);
        release_all();
}

/* And from then on it can, though it does not stand on its lane yet. */
static void test_cancelled_before_the_push(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);

        (void)state;
        hold_all();
        hooked_on(&hooked, &spec);
        spec.deadline_ns = due;
        assert_int_equal(vmreq_alloc(id, &spec, &victim), 0);
        atomic_store(&fill.before, do_cancel);
        assert_int_equal(vmreq_queue(victim, 0), 0);
        assert_hooked(&hooked, VMREQ_FATE_CANCELLED);
        assert_int_equal(atomic_load(&engine_inside(id)->due[victim.index]), 0);
        assert_int_equal(vmreq_free(victim), 0);
        release_all();
        UNTIL(engine_emt(id, 0).skipped == 1);
}

static uint64_t next_due;

static void service_too_early(void)
{
        next_due = vmreq_vm_service(id, due);
}

/* The service is faster than the submitter, which has noted a deadline and no more: it will come
 * again, soon. */
static void test_expired_after_the_deadline_is_noted(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        hold_all();
        hooked_on(&hooked, &spec);
        spec.deadline_ns = due;
        atomic_store(&note.after, service_too_early);
        handle = engine_submit(id, &spec);
        assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
        assert_true(next_due <= due + CLOCK_NS_PER_MS);
        do_expire();
        assert_hooked(&hooked, VMREQ_FATE_EXPIRED);
        assert_int_equal(engine_state(handle), VMREQ_REQ_EXPIRED);
        assert_int_equal(vmreq_free(handle), 0);
        release_all();
}

static void do_poison(void)
{
        uint32_t index;
        uint64_t place;

        /* A taker that comes now finds a hole, and passes it. */
        CHECK(!lane_take(&engine_inside(id)->emts[0].lanes[LANE_NORMAL], &index, &place));
}

static void poison_and_cancel(void)
{
        do_poison();
        do_cancel();
}

/* A taker has made its place void: it gets another, unless it is over by then. */
static void test_poisoned_before_the_push(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);

        (void)state;
        for (int queued = 0; queued < 2; queued++) {
                memset(&ran, 0, sizeof(ran));
                hold_all();
                hooked_on(&hooked, &spec);
                spec.deadline_ns = due;
                atomic_store(&fill.before, do_poison);
                if (queued) {
                        assert_int_equal(vmreq_alloc(id, &spec, &victim), 0);
                        assert_int_equal(vmreq_queue(victim, 0), VMREQ_E_TIMEOUT);
                } else {
                        victim = engine_submit(id, &spec);
                }
                assert_int_equal(engine_state(victim), VMREQ_REQ_QUEUED);
                assert_int_equal(engine_emt(id, 0).depth[LANE_NORMAL], 1);
                release_all();
                assert_int_equal(engine_finish(victim).fate, VMREQ_FATE_DONE);
                assert_int_equal(atomic_load(&ran.n), 1);
                sem_down(&hooked.released);

                hold_all();
                hooked_on(&hooked, &spec);
                assert_int_equal(vmreq_alloc(id, &spec, &victim), 0);
                atomic_store(&fill.before, poison_and_cancel);
                assert_int_equal(vmreq_queue(victim, 0), 0);
                assert_hooked(&hooked, VMREQ_FATE_CANCELLED);
                assert_int_equal(vmreq_free(victim), 0);
                release_all();
                assert_int_equal(atomic_load(&ran.n), 1);
        }
}

static void poison_and_fill(void)
{
        struct vmreq_spec spec = engine_spec(0, VMREQ_NO_WAIT, log_callee, &ran);

        do_poison();
        while (vmreq_submit(id, &spec, NULL) == 0)
                ;
}

static void poison_and_close(void)
{
        do_poison();
        do_close();
}

/* Or there is no room any more, or the VM has closed: refused, and nothing is left of it. */
static void test_poisoned_and_refused(void **state)
{
        static const struct {
                void (*fn)(void);
                int result;
        } rows[] = {{poison_and_fill, VMREQ_E_BUSY}, {poison_and_close, 0}};
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        static const uint32_t flags[] = {0, VMREQ_NO_WAIT};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows) * ARRAY_SIZE(flags); i++) {
                vmreq_handle handle;
                uint32_t in_use;
                int r;

                memset(&ran, 0, sizeof(ran));
                hold_all();
                spec.flags = flags[i % 2];
                hooked_on(&hooked, &spec);
                spec.deadline_ns = due;
                atomic_store(&fill.before, rows[i / 2].fn);
                r = vmreq_submit(id, &spec, &handle);
                assert_int_equal(r, rows[i / 2].result);
                in_use = engine_stats(id).in_use;
                if (r == 0) {
                        /* It was QUEUED when the VM closed. */
                        assert_hooked(&hooked, VMREQ_FATE_KILLED);
                        assert_int_equal(in_use, CPUS + !(spec.flags & VMREQ_NO_WAIT));
                        if (!(spec.flags & VMREQ_NO_WAIT))
                                assert_int_equal(vmreq_free(handle), 0);
                } else {
                        assert_int_equal(hooked.completes + hooked.releases, 0);
                        assert_int_equal(in_use, CPUS + engine_emt(id, 0).depth[LANE_NORMAL]);
                }
                release_all();
                if (rows[i / 2].fn == poison_and_close) {
                        teardown(NULL);
                        setup(NULL);
                } else {
                        UNTIL(engine_stats(id).in_use == 0);
                }
        }
}

/* ---- a submitter, preempted behind its push ---- */

static void until_over(void)
{
        /* Whoever is awake takes it without being woken: EMT 0 comes out of its gate. */
        gate_open(&gates[0]);
        sem_down(&hooked.released);
}

/* It ran, and its owner gave it back, before the submitter has its handle. */
static void test_over_before_the_push_returns(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        engine_hold(id, 0, &gates[0]);
        hooked_on(&hooked, &spec);
        spec.complete = free_in_hook;
        atomic_store(&filled.before, until_over);
        handle = engine_submit(id, &spec);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
        engine_until_home(id);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), VMREQ_E_HANDLE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_gone_before_the_push, setup, teardown),
                cmocka_unit_test_setup_teardown(test_gone_before_the_push_no_wait, setup, teardown),
                cmocka_unit_test_setup_teardown(test_closed_before_the_push, setup, teardown),
                cmocka_unit_test_setup_teardown(test_closed_before_the_deadline, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cancelled_before_the_deadline, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_cancelled_before_the_push, setup, teardown),
                cmocka_unit_test_setup_teardown(test_poisoned_before_the_push, setup, teardown),
                cmocka_unit_test_setup_teardown(test_poisoned_and_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_expired_after_the_deadline_is_noted, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_over_before_the_push_returns, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
