/* SPDX-License-Identifier: MIT */
/* What a callee may ask of its EMT, and what it is told: which request it is, whether it shall end,
 * and parking. */
#include "lib/emts.h"

static bool same(vmreq_handle a, vmreq_handle b)
{
        return a.vm == b.vm && a.index == b.index && a.generation == b.generation;
}

/* ---- which request it is ---- */

static int32_t current_callee(void *ctx, const uint64_t *args, uint32_t argc,
                              struct vmreq_reply *reply)
{
        (void)args;
        (void)argc;
        (void)reply;
        *(vmreq_handle *)ctx = vmreq_current();
        return 0;
}

/* Runs one inline, one that is queued, and is itself again after each. */
static int32_t outer_callee(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        vmreq_handle self = vmreq_current(), inner, seen;
        struct vmreq_spec spec = engine_spec(reply->cpu, 0, current_callee, &seen);

        (void)args;
        (void)argc;
        CHECK(same(self, *(vmreq_handle *)ctx));
        for (int queued = 0; queued < 2; queued++) {
                spec.cpu = queued ? VMREQ_CPU_ANY_QUEUE : reply->cpu;
                CHECK(vmreq_submit(id, &spec, &inner) == 0);
                CHECK(vmreq_wait(inner, VMREQ_FOREVER) == 0);
                CHECK(same(inner, seen) && !same(inner, self));
                CHECK(same(vmreq_current(), self));
                CHECK(vmreq_free(inner) == 0);
        }
        return 0;
}

static void test_current(void **state)
{
        vmreq_handle handle;
        struct vmreq_spec spec = engine_spec(1, 0, outer_callee, &handle);

        (void)state;
        assert_int_equal(vmreq_alloc(id, &spec, &handle), 0);
        assert_int_equal(vmreq_queue(handle, VMREQ_FOREVER), 0);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(vmreq_current().generation, 0);
}

/* A rendezvous runs on an EMT, but in no request. */
static int32_t in_rendezvous(void *ctx, uint32_t cpu)
{
        (void)ctx;
        CHECK(vmreq_emt_self(id) == cpu);
        CHECK(vmreq_current().generation == 0);
        CHECK(vmreq_cancel_requested() == 0);
        CHECK(vmreq_park(VMREQ_FOREVER) == VMREQ_E_NOT_EMT);
        return 0;
}

static void test_rendezvous(void **state)
{
        (void)state;
        assert_int_equal(
                vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 0, in_rendezvous, NULL, NULL, 0), 0);
        assert_int_equal(vmreq_emt_self(id), VMREQ_CPU_NONE);
}

/* ---- whether it shall end ---- */

struct asked {
        struct gate before, after;
        int first, second;
};

static int32_t asked_callee(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        struct asked *asked = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        gate_pass(&asked->before);
        asked->first = vmreq_cancel_requested();
        gate_pass(&asked->after);
        asked->second = vmreq_cancel_requested();
        return 0;
}

static vmreq_handle ask(struct asked *asked, uint64_t deadline_ns)
{
        struct vmreq_spec spec = engine_spec(1, 0, asked_callee, asked);
        vmreq_handle handle;

        gate_init(&asked->before);
        gate_init(&asked->after);
        spec.deadline_ns = deadline_ns;
        handle = engine_submit(id, &spec);
        sem_down(&asked->before.in);
        return handle;
}

static void open_both(struct asked *asked)
{
        gate_open(&asked->before);
        sem_down(&asked->after.in);
        gate_open(&asked->after);
}

static void test_cancel_requested(void **state)
{
        struct asked asked;
        vmreq_handle handle;

        (void)state;
        assert_int_equal(vmreq_cancel_requested(), 0);
        handle = ask(&asked, 0);
        open_both(&asked);
        (void)engine_finish(handle);
        assert_int_equal(asked.first | asked.second, 0);

        handle = ask(&asked, 0);
        gate_open(&asked.before);
        sem_down(&asked.after.in);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
        gate_open(&asked.after);
        (void)engine_finish(handle);
        assert_int_equal(asked.first, 0);
        assert_int_equal(asked.second, 1);
        /* It was only asked: it is DONE, and the next one on that EMT is not concerned. */
        handle = ask(&asked, 0);
        open_both(&asked);
        (void)engine_finish(handle);
        assert_int_equal(asked.first | asked.second, 0);
}

static void test_deadline(void **state)
{
        struct asked asked;
        vmreq_handle handle = ask(&asked, clock_now_ns() + 20 * CLOCK_NS_PER_MS);

        (void)state;
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), VMREQ_E_TIMEOUT);
        open_both(&asked);
        /* A wait that begins before the end is told of the deadline. */
        UNTIL(vmreq_wait(handle, VMREQ_FOREVER) == 0);
        (void)engine_finish(handle);
        assert_int_equal(asked.first, 1);
        assert_int_equal(asked.second, 1);
}

static void test_close(void **state)
{
        struct asked asked;
        vmreq_handle handle = ask(&asked, 0);

        (void)state;
        assert_int_equal(vmreq_vm_close(id), 0);
        open_both(&asked);
        assert_int_equal(engine_finish(handle).fate, VMREQ_FATE_DONE);
        assert_int_equal(asked.first, 1);
}

/* The wish is the request's, not the EMT's: who runs inside it is not concerned. */
static int32_t nest_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        struct asked *asked = ctx;
        struct vmreq_spec spec = engine_spec(reply->cpu, 0, asked_callee, asked);
        vmreq_handle inner;

        (void)args;
        (void)argc;
        CHECK(vmreq_submit(id, &spec, &inner) == 0);
        CHECK(vmreq_free(inner) == 0);
        return vmreq_cancel_requested();
}

static void test_nested_cancel(void **state)
{
        struct asked asked;
        struct vmreq_spec spec = engine_spec(0, 0, nest_callee, &asked);
        vmreq_handle outer;

        (void)state;
        gate_init(&asked.before);
        gate_init(&asked.after);
        outer = engine_submit(id, &spec);
        sem_down(&asked.before.in);
        assert_int_equal(vmreq_cancel(outer), VMREQ_VERDICT_RUNNING);
        open_both(&asked);
        assert_int_equal(engine_finish(outer).status, 1);
        assert_int_equal(asked.first | asked.second, 0);
}

/* ---- parking ---- */

static int32_t park_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        (void)argc;
        (void)reply;
        if (ctx)
                CHECK(sem_post(ctx) == 0);
        return vmreq_park(args[0]);
}

static vmreq_handle park(sem_t *in, uint64_t park_ns, uint64_t deadline_ns)
{
        struct vmreq_spec spec = engine_spec(1, 0, park_callee, in);

        spec.args = &park_ns;
        spec.argc = 1;
        spec.deadline_ns = deadline_ns;
        if (in)
                assert_int_equal(sem_init(in, 0, 0), 0);
        return engine_submit(id, &spec);
}

/* A permit outlives the request that it came too late for. */
static void test_permit_stays(void **state)
{
        (void)state;
        assert_int_equal(vmreq_unpark(id, 1), 0);
        assert_int_equal(engine_finish(park(NULL, VMREQ_FOREVER, 0)).status, 0);
        assert_int_equal(engine_finish(park(NULL, 1, 0)).status, VMREQ_E_TIMEOUT);
        /* Somebody else's is none. */
        assert_int_equal(vmreq_unpark(id, 0), 0);
        assert_int_equal(engine_finish(park(NULL, 1, 0)).status, VMREQ_E_TIMEOUT);
}

/* Nothing is served by an EMT that is parked. */
static void test_serves_nothing(void **state)
{
        struct vmreq_spec spec = engine_spec(1, VMREQ_PRIORITY | VMREQ_POKE, log_callee, &ran);
        vmreq_handle parked, queued;
        sem_t in;

        (void)state;
        parked = park(&in, VMREQ_FOREVER, 0);
        sem_down(&in);
        queued = engine_submit(id, &spec);
        assert_int_equal(vmreq_call_void_wait(id, 0, (vmreq_fn)vmreq_now, 0), 0);
        assert_int_equal(engine_state(queued), VMREQ_REQ_QUEUED);
        assert_int_equal(vmreq_unpark(id, 1), 0);
        assert_int_equal(engine_finish(parked).status, 0);
        (void)engine_finish(queued);
}

/* Whatever asks a callee to end takes it out of its park. */
static void test_ends(void **state)
{
        vmreq_handle parked;
        sem_t in;

        (void)state;
        parked = park(&in, VMREQ_FOREVER, 0);
        sem_down(&in);
        assert_int_equal(vmreq_cancel(parked), VMREQ_VERDICT_RUNNING);
        assert_int_equal(engine_finish(parked).status, VMREQ_E_CANCELLED);

        parked = park(&in, VMREQ_FOREVER, clock_now_ns() + 20 * CLOCK_NS_PER_MS);
        sem_down(&in);
        UNTIL(vmreq_wait(parked, VMREQ_FOREVER) == 0);
        assert_int_equal(engine_finish(parked).status, VMREQ_E_CANCELLED);

        parked = park(&in, VMREQ_FOREVER, 0);
        sem_down(&in);
        assert_int_equal(vmreq_vm_close(id), 0);
        assert_int_equal(engine_finish(parked).status, VMREQ_E_CANCELLED);
}

#define TURNS 5000u

static _Atomic uint32_t parks;

static int32_t park_often(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        for (uint32_t i = 0; i < TURNS; i++) {
                CHECK(vmreq_park(VMREQ_FOREVER) == 0);
                atomic_fetch_add(&parks, 1);
        }
        return 0;
}

/* Each permit is for one park, and none is lost. */
static void test_no_unpark_lost(void **state)
{
        struct vmreq_spec spec = engine_spec(1, 0, park_often, NULL);
        vmreq_handle handle;

        (void)state;
        atomic_store(&parks, 0);
        handle = engine_submit(id, &spec);
        for (uint32_t i = 0; i < TURNS; i++) {
                assert_int_equal(vmreq_unpark(id, 1), 0);
                UNTIL(atomic_load(&parks) == i + 1);
        }
        assert_int_equal(engine_finish(handle).status, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_current, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_rendezvous, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_cancel_requested, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_deadline, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_close, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_nested_cancel, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_permit_stays, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_serves_nothing, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_ends, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_no_unpark_lost, setup2, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
