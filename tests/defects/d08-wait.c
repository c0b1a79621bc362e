/* SPDX-License-Identifier: MIT */
/* D8, D13, D14: a wait says what is true, as often as it is asked, and sleeps meanwhile. */
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>

#include "defects.h"
#include "lib/emts.h"
#include "vm/futex.h"

static struct req *packet(vmreq_handle handle)
{
        return req_at(engine_inside(id), handle.index);
}

/* A thread in a wait, and what it found when that had returned. */
struct waiter {
        vmreq_handle handle;
        uint64_t wait_ns;
        pthread_t thread;
        int result;
        enum vmreq_req_state found;
        _Atomic bool over;
};

static void *wait_it(void *arg)
{
        struct waiter *waiter = arg;

        waiter->result = vmreq_wait(waiter->handle, waiter->wait_ns);
        CHECK(vmreq_status(waiter->handle, &waiter->found, NULL) == 0);
        atomic_store(&waiter->over, true);
        return NULL;
}

static void waiter_start(struct waiter *waiter, vmreq_handle handle, uint64_t wait_ns)
{
        memset(waiter, 0, sizeof(*waiter));
        waiter->handle = handle;
        waiter->wait_ns = wait_ns;
        waiter->thread = thread_start(wait_it, waiter);
}

/* ---- D8: a timed wait returns success for a request that is not complete ---- */

/* True: somebody slept in a wait for that packet, and was woken for nothing. */
static bool wake_falsely(vmreq_handle handle)
{
        return syscall(SYS_futex, futex_low_half(&packet(handle)->word), FUTEX_WAKE_PRIVATE, 1,
                       NULL, NULL, 0) == 1;
}

/* As D7, D9 and D10 do it upstream: a signal that is not this request's completion. */
static void d08_false_signal_ends_no_wait(void **state)
{
        static const uint64_t waits[] = {3600 * CLOCK_NS_PER_S, VMREQ_FOREVER};
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);

        (void)state;
        for (size_t w = 0; w < ARRAY_SIZE(waits); w++) {
                struct waiter waiter;
                vmreq_handle handle;
                struct gate gate;

                engine_hold(id, 0, &gate);
                handle = engine_submit(id, &spec);
                waiter_start(&waiter, handle, waits[w]);
                /* Each time it must have gone back to sleep. */
                for (int i = 0; i < 10; i++)
                        UNTIL(wake_falsely(handle) || atomic_load(&waiter.over));
                gate_open(&gate);
                thread_end(waiter.thread);
                assert_int_equal(waiter.result, 0);
                assert_int_equal(waiter.found, VMREQ_REQ_COMPLETED);
                (void)assert_done(handle);
        }
        engine_end(id);
}

/* The word that a waiter sleeps on changes under it: others come and go, and it is asked to end
 * early. */
static void d08_changed_packet_ends_no_wait(void **state)
{
        struct waiter long_one, short_one;
        struct gate gate;
        struct vmreq_spec spec = engine_spec(0, 0, gate_callee, &gate);
        vmreq_handle handle;

        (void)state;
        gate_init(&gate);
        handle = engine_submit(id, &spec);
        sem_down(&gate.in);
        waiter_start(&long_one, handle, 3600 * CLOCK_NS_PER_S);
        for (int i = 0; i < 20; i++) {
                waiter_start(&short_one, handle, 1000);
                thread_end(short_one.thread);
                assert_int_equal(short_one.result, VMREQ_E_TIMEOUT);
                assert_int_equal(short_one.found, VMREQ_REQ_RUNNING);
                assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_RUNNING);
                UNTIL(wake_falsely(handle) || atomic_load(&long_one.over));
                assert_false(atomic_load(&long_one.over));
        }
        gate_open(&gate);
        thread_end(long_one.thread);
        assert_int_equal(long_one.result, 0);
        assert_int_equal(long_one.found, VMREQ_REQ_COMPLETED);
        (void)assert_done(handle);
        engine_end(id);
}

/* Success always means complete: waits of every length beside requests of every length. */
static void d08_success_means_complete(void **state)
{
        uint32_t n = DEFECTS_SLOW ? 1000 : 10000;

        (void)state;
        for (uint32_t i = 0; i < n; i++) {
                struct vmreq_spec spec = engine_spec(i % 2, 0, log_callee, &ran);
                vmreq_handle handle;
                int r;

                atomic_store(&ran.n, 0);
                handle = engine_submit(id, &spec);
                do {
                        r = vmreq_wait(handle, (uint64_t)i % 7 * 1000);
                        if (r == 0)
                                assert_int_equal(engine_state(handle), VMREQ_REQ_COMPLETED);
                        else
                                assert_int_equal(r, VMREQ_E_TIMEOUT);
                } while (r);
                assert_int_equal(atomic_load(&ran.n), 1);
                assert_int_equal(vmreq_free(handle), 0);
        }
        engine_end(id);
}

/* ---- D13: waiting is not idempotent ---- */

static void d13_waiting_again_returns_again(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        vmreq_handle handle;
        struct gate gate;

        (void)state;
        engine_hold(id, 0, &gate);
        handle = engine_submit(id, &spec);
        assert_int_equal(vmreq_wait(handle, 0), VMREQ_E_TIMEOUT);
        assert_int_equal(vmreq_wait(handle, 1000), VMREQ_E_TIMEOUT);
        gate_open(&gate);
        for (int i = 0; i < 5; i++) {
                assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
                assert_int_equal(vmreq_wait(handle, 1000), 0);
                assert_int_equal(vmreq_wait(handle, 0), 0);
        }
        (void)assert_done(handle);
        engine_end(id);
}

#define WAITERS 8u

/* One completion is everybody's: those who sleep, those who come late, timed or not. */
static void d13_every_waiter_is_told(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);

        (void)state;
        for (int round = 0; round < 30; round++) {
                struct waiter waiters[WAITERS];
                vmreq_handle handle;
                struct gate gate;

                engine_hold(id, 0, &gate);
                handle = engine_submit(id, &spec);
                for (uint32_t i = 0; i < WAITERS / 2; i++)
                        waiter_start(&waiters[i], handle,
                                     i % 2 ? VMREQ_FOREVER : 3600 * CLOCK_NS_PER_S);
                UNTIL(REQ_REFS(req_load(packet(handle))) == WAITERS / 2 + 1);
                gate_open(&gate);
                for (uint32_t i = WAITERS / 2; i < WAITERS; i++)
                        waiter_start(&waiters[i], handle, VMREQ_FOREVER);
                for (uint32_t i = 0; i < WAITERS; i++) {
                        thread_end(waiters[i].thread);
                        assert_int_equal(waiters[i].result, 0);
                        assert_int_equal(waiters[i].found, VMREQ_REQ_COMPLETED);
                }
                (void)assert_done(handle);
        }
        engine_end(id);
}

/* ---- D14: an infinite wait that does not sleep ---- */

static _Atomic uint32_t signals;

static void on_signal(int number)
{
        (void)number;
        atomic_fetch_add(&signals, 1);
}

/*
 * Whatever interrupts the sleep, the waiter goes back to it, and does not answer before the time.
 */
static void d14_interrupted_wait_sleeps_again(void **state)
{
        struct sigaction action = {.sa_handler = on_signal}, old;
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        struct waiter waiter;
        vmreq_handle handle;
        struct gate gate;
        uint64_t used;

        (void)state;
        assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
        engine_hold(id, 0, &gate);
        handle = engine_submit(id, &spec);
        waiter_start(&waiter, handle, VMREQ_FOREVER);
        for (uint32_t i = 1; i <= 50; i++) {
                UNTIL(wake_falsely(handle));
                assert_int_equal(pthread_kill(waiter.thread, SIGUSR1), 0);
                UNTIL(atomic_load(&signals) == i);
        }
        UNTIL(wake_falsely(handle));
        used = thread_used_ns(waiter.thread);
        burn(40 * CLOCK_NS_PER_MS);
        assert_true(thread_used_ns(waiter.thread) - used < 20 * CLOCK_NS_PER_MS);
        assert_false(atomic_load(&waiter.over));
        gate_open(&gate);
        thread_end(waiter.thread);
        assert_int_equal(waiter.result, 0);
        (void)assert_done(handle);
        assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
        engine_end(id);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(d08_false_signal_ends_no_wait, setup2),
                cmocka_unit_test_setup(d08_changed_packet_ends_no_wait, setup2),
                cmocka_unit_test_setup(d08_success_means_complete, setup2),
                cmocka_unit_test_setup(d13_waiting_again_returns_again, setup2),
                cmocka_unit_test_setup(d13_every_waiter_is_told, setup2),
                cmocka_unit_test_setup(d14_interrupted_wait_sleeps_again, setup2),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
