/* SPDX-License-Identifier: MIT */
/* Waiting for room where it is hardest: on EMTs, nested, by several that need more than one packet.
 */
#include "lib/engine.h"

#include <time.h>

static vmreq_vm id;
static struct log ran;

/* Times that a callee could not wait, because too many others did on its EMT. */
static _Atomic uint32_t deadlocks;

static void create(uint32_t cpus, uint32_t slab, uint32_t lane)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        memset(&ran, 0, sizeof(ran));
        atomic_store(&deadlocks, 0);
        config.cpus = cpus;
        config.slab = slab;
        config.lane_capacity = lane;
        id = engine_new_with(&config);
}

static struct vmreq_spec waiting_spec(uint32_t cpu, uint32_t flags)
{
        return engine_spec(cpu, flags | VMREQ_WAIT_ROOM | VMREQ_NO_WAIT, log_callee, &ran);
}

static void until_waiting(uint32_t n)
{
        UNTIL(atomic_load(&engine_inside(id)->room_waiters) == n);
}

/* ---- on an EMT ---- */

/* Submits one request to the full lane of EMT 1. */
static int32_t submit_callee(void *ctx, const uint64_t *args, uint32_t argc,
                             struct vmreq_reply *reply)
{
        struct vmreq_spec spec = waiting_spec(argc ? (uint32_t)args[1] : 1, 0);
        int r;

        (void)ctx;
        (void)reply;
        if (argc && args[0])
                spec.deadline_ns = clock_now_ns() + args[0];
        r = vmreq_submit(id, &spec, NULL);
        if (r == VMREQ_E_DEADLOCK)
                atomic_fetch_add(&deadlocks, 1);
        return r;
}

/* One nesting level a wait; beyond the last one it is refused at once, and nothing is accepted. */
static void test_nest_limit(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, submit_callee, NULL);
        vmreq_handle handles[VMREQ_NEST_MAX + 2];
        uint32_t refused = 0;
        struct gate gate;

        (void)state;
        create(2, 0, 16);
        engine_hold(id, 1, &gate);
        for (uint32_t i = 0; i < 16; i++) {
                struct vmreq_spec fill = engine_spec(1, VMREQ_NO_WAIT, log_callee, &ran);

                assert_int_equal(vmreq_submit(id, &fill, NULL), 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
                handles[i] = engine_submit(id, &spec);
        /* The innermost ones are refused and complete; the others stand where they are. */
        for (size_t i = VMREQ_NEST_MAX; i < ARRAY_SIZE(handles); i++)
                assert_int_equal(vmreq_wait(handles[i], VMREQ_FOREVER), 0);
        until_waiting(VMREQ_NEST_MAX);
        for (size_t i = 0; i < VMREQ_NEST_MAX; i++)
                assert_int_equal(engine_state(handles[i]), VMREQ_REQ_RUNNING);
        gate_open(&gate);
        for (size_t i = 0; i < ARRAY_SIZE(handles); i++) {
                int32_t status = engine_finish(handles[i]).status;

                assert_true(status == 0 || status == VMREQ_E_DEADLOCK);
                refused += status != 0;
        }
        assert_int_equal(refused, 2);
        UNTIL(atomic_load(&ran.n) == 16 + VMREQ_NEST_MAX);
        engine_end(id);
}

static int32_t in_rendezvous(void *ctx, uint32_t cpu)
{
        struct vmreq_spec spec = waiting_spec(1, 0);

        (void)ctx;
        return cpu == 0 ? vmreq_submit(id, &spec, NULL) : 0;
}

/* Nobody could make room while all stand still. */
static void test_in_rendezvous(void **state)
{
        struct vmreq_spec spec = engine_spec(1, 0, log_callee, &ran);
        vmreq_handle handle;

        (void)state;
        create(2, 1, 0);
        handle = engine_submit(id, &spec); /* complete or not, the only packet is in use */
        assert_int_equal(
                vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 0, in_rendezvous, NULL, NULL, 0),
                VMREQ_E_DEADLOCK);
        (void)engine_finish(handle);
        engine_end(id);
}

static void test_emt_deadline(void **state)
{
        uint64_t args[] = {50 * CLOCK_NS_PER_MS, 1};
        struct vmreq_spec spec = engine_spec(0, 0, submit_callee, NULL);
        struct gate gate;
        int32_t status;

        (void)state;
        create(2, 0, 1);
        engine_hold(id, 1, &gate);
        assert_int_equal(vmreq_call_void_nowait(id, 1, (vmreq_fn)vmreq_now, 0), 0);
        spec.args = args;
        spec.argc = 2;
        status = engine_finish(engine_submit(id, &spec)).status;
        /* 0: its deadline met it in the middle of a try, and it is accepted, and EXPIRED. */
        assert_true(status == VMREQ_E_TIMEOUT || status == 0);
        assert_int_equal(atomic_load(&ran.n), 0);
        gate_open(&gate);
        engine_end(id);
}

static void test_emt_closed(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, submit_callee, NULL);
        vmreq_handle handle;
        struct gate gate;

        (void)state;
        create(2, 0, 1);
        engine_hold(id, 1, &gate);
        assert_int_equal(vmreq_call_void_nowait(id, 1, (vmreq_fn)vmreq_now, 0), 0);
        handle = engine_submit(id, &spec);
        until_waiting(1);
        assert_int_equal(vmreq_vm_close(id), 0);
        assert_int_equal(engine_finish(handle).status, VMREQ_E_CLOSED);
        gate_open(&gate);
        engine_end(id);
}

/* It is in the way itself: two EMTs wait for room in each other's lane, and make it by serving. */
static void test_each_other(void **state)
{
        (void)state;
        create(2, 0, 2);
        for (int i = 0; i < 100; i++) {
                vmreq_handle handles[2];

                for (uint32_t cpu = 0; cpu < 2; cpu++) {
                        uint64_t args[] = {0, 1 - cpu};
                        struct vmreq_spec spec =
                                engine_spec(cpu, VMREQ_WAIT_ROOM, submit_callee, NULL);

                        spec.args = args;
                        spec.argc = 2;
                        handles[cpu] = engine_submit(id, &spec);
                        spec.flags |= VMREQ_NO_WAIT;
                        for (int n = 0; n < 4; n++)
                                assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
                }
                for (uint32_t cpu = 0; cpu < 2; cpu++) {
                        int32_t status = engine_finish(handles[cpu]).status;

                        assert_true(status == 0 || status == VMREQ_E_DEADLOCK);
                }
        }
        /* Those that would have waited too deep were refused; all others were accepted, and ran. */
        UNTIL(atomic_load(&ran.n) + atomic_load(&deadlocks) == 1000);
        engine_end(id);
}

/* The same for the slab: what it serves gives packets back. */
static int32_t fill_slab(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        struct vmreq_spec spec = waiting_spec(VMREQ_CPU_ANY_QUEUE, 0);
        int r = 0;

        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        for (int i = 0; i < 20 && r == 0; i++)
                r = vmreq_submit(id, &spec, NULL);
        return r;
}

static void test_emt_slab(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, fill_slab, NULL);

        (void)state;
        create(1, 3, 0);
        assert_int_equal(engine_finish(engine_submit(id, &spec)).status, 0);
        UNTIL(atomic_load(&ran.n) == 20);
        engine_end(id);
}

/* ---- broadcasts ---- */

struct caster {
        pthread_t thread;
        int result;
        uint64_t cpu_ns;
};

static void *cast(void *arg)
{
        struct vmreq_spec spec = waiting_spec(VMREQ_CPU_ALL, VMREQ_PARALLEL);
        struct caster *caster = arg;
        struct timespec ts;

        caster->result = vmreq_submit(id, &spec, NULL);
        CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0);
        caster->cpu_ns = (uint64_t)ts.tv_sec * CLOCK_NS_PER_S + (uint64_t)ts.tv_nsec;
        return NULL;
}

/*
 * Several that wait, for packets or for places, sleep: what one gives back after a try that failed
 * is no news to the others.  And none sits on a packet that another one needs.
 */
static void test_broadcasts_sleep(void **state)
{
        (void)state;
        for (int full_lane = 0; full_lane < 2; full_lane++) {
                struct caster casters[3];
                vmreq_handle handles[2];
                struct vmreq_spec spec;
                struct gate gate;
                uint64_t until;

                create(2, full_lane ? 0 : 5, full_lane ? 2 : 0);
                engine_hold(id, 1, &gate);
                spec = engine_spec(1, 0, log_callee, &ran);
                for (size_t i = 0; i < 2; i++)
                        handles[i] = engine_submit(id, &spec);
                /* Two of five packets are left, three are needed; or EMT 1's lane is full. */
                for (size_t i = 0; i < 3; i++)
                        casters[i].thread = thread_start(cast, &casters[i]);
                until_waiting(3);
                until = clock_now_ns() + 100 * CLOCK_NS_PER_MS;
                UNTIL(clock_now_ns() >= until);
                gate_open(&gate);
                for (size_t i = 0; i < 2; i++)
                        (void)engine_finish(handles[i]);
                for (size_t i = 0; i < 3; i++) {
                        thread_end(casters[i].thread);
                        assert_int_equal(casters[i].result, 0);
                        assert_true(casters[i].cpu_ns < 20 * CLOCK_NS_PER_MS);
                }
                UNTIL(atomic_load(&ran.n) == 2 + 3 * 2);
                engine_end(id);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nest_limit),       cmocka_unit_test(test_in_rendezvous),
                cmocka_unit_test(test_emt_deadline),     cmocka_unit_test(test_emt_closed),
                cmocka_unit_test(test_each_other),       cmocka_unit_test(test_emt_slab),
                cmocka_unit_test(test_broadcasts_sleep),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
