/* SPDX-License-Identifier: MIT */
/* The conveniences: what each form submits, and how submission, fate and result become one number.
 */
#include "lib/emts.h"

#include <stdio.h>

static int32_t fn_status(int32_t status)
{
        log_add(&ran, (uint64_t)status);
        return status;
}

static void fn_void(uint64_t a, int8_t b)
{
        log_add(&ran, a + (uint64_t)b);
}

static void test_wait_forms(void **state)
{
        int (*const status_forms[])(vmreq_vm, uint32_t, vmreq_fn, uint32_t,
                                    ...) = {vmreq_call_wait, vmreq_priority_call_wait};
        int (*const void_forms[])(vmreq_vm, uint32_t, vmreq_fn, uint32_t,
                                  ...) = {vmreq_call_void_wait, vmreq_priority_call_void_wait};
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY, VMREQ_CPU_ANY_QUEUE};

        (void)state;
        for (size_t f = 0; f < 2; f++) {
                for (size_t c = 0; c < ARRAY_SIZE(cpus); c++) {
                        uint32_t n = atomic_load(&ran.n);

                        assert_int_equal(
                                status_forms[f](id, cpus[c], (vmreq_fn)fn_status, 1, VMREQ_W(0)),
                                0);
                        assert_int_equal(
                                status_forms[f](id, cpus[c], (vmreq_fn)fn_status, 1, VMREQ_W(5)),
                                5);
                        assert_int_equal(
                                status_forms[f](id, cpus[c], (vmreq_fn)fn_status, 1, VMREQ_W(-5)),
                                -5);
                        /* Void: what is left in the register is not a status (D26). */
                        assert_int_equal(
                                void_forms[f](id, cpus[c], (vmreq_fn)fn_status, 1, VMREQ_W(-6)), 0);
                        assert_int_equal(void_forms[f](id, cpus[c], (vmreq_fn)fn_void, 2,
                                                       VMREQ_W(1ull << 40), VMREQ_W((int8_t)-1)),
                                         0);
                        assert_int_equal(atomic_load(&ran.n), n + 5);
                        assert_int_equal(atomic_load(&ran.items[n + 4]), (1ull << 40) - 1);
                }
        }
        engine_until_home(id);
}

static void test_nowait_forms(void **state)
{
        int (*const forms[])(vmreq_vm, uint32_t, vmreq_fn, uint32_t,
                             ...) = {vmreq_call_nowait, vmreq_call_void_nowait,
                                     vmreq_priority_call_nowait, vmreq_priority_call_void_nowait};
        struct gate gate;

        (void)state;
        for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
                uint32_t n = atomic_load(&ran.n), level = f >= 2;

                engine_hold(id, 1, &gate);
                /* The submission's answer, not the callee's. */
                assert_int_equal(forms[f](id, 1, (vmreq_fn)fn_status, 1, VMREQ_W(-9)), 0);
                assert_int_equal(engine_emt(id, 1).depth[level], 1);
                assert_int_equal(engine_emt(id, 1).depth[!level], 0);
                assert_int_equal(atomic_load(&ran.n), n);
                gate_open(&gate);
                UNTIL(atomic_load(&ran.n) == n + 1);
        }
        engine_until_home(id);
}

static void test_refused(void **state)
{
        int (*const forms[])(vmreq_vm, uint32_t, vmreq_fn, uint32_t,
                             ...) = {vmreq_call_wait,
                                     vmreq_call_void_wait,
                                     vmreq_priority_call_wait,
                                     vmreq_priority_call_void_wait,
                                     vmreq_call_nowait,
                                     vmreq_call_void_nowait,
                                     vmreq_priority_call_nowait,
                                     vmreq_priority_call_void_nowait};
        vmreq_vm none = {0};

        (void)state;
        for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
                assert_int_equal(forms[f](none, 0, (vmreq_fn)fn_status, 1, VMREQ_W(0)),
                                 VMREQ_E_HANDLE);
                assert_int_equal(forms[f](id, 2, (vmreq_fn)fn_status, 1, VMREQ_W(0)),
                                 VMREQ_E_INVALID);
                assert_int_equal(forms[f](id, 0, NULL, 0), VMREQ_E_INVALID);
                /* One too many is refused here, on this thread, before a word is read (D16). */
                assert_int_equal(forms[f](id, 0, (vmreq_fn)fn_status, 16), VMREQ_E_INVALID);
                assert_int_equal(forms[f](id, 0, (vmreq_fn)fn_status, UINT32_MAX), VMREQ_E_INVALID);
        }
        assert_int_equal(atomic_load(&ran.n), 0);
        assert_int_equal(vmreq_vm_close(id), 0);
        for (size_t f = 0; f < ARRAY_SIZE(forms); f++)
                assert_int_equal(forms[f](id, 0, (vmreq_fn)fn_status, 1, VMREQ_W(0)),
                                 VMREQ_E_CLOSED);
}

static void test_general_form(void **state)
{
        struct gate gate;
        vmreq_handle handle = {1, 2, 3};
        struct vmreq_row row;

        (void)state;
        /* Refused: the handle is none, whatever it was (D4). */
        assert_int_equal(vmreq_call(id, 9, &handle, 0, 0, (vmreq_fn)fn_status, 0), VMREQ_E_INVALID);
        assert_int_equal(handle.generation, 0);
        handle.generation = 3;
        assert_int_equal(vmreq_call(id, 0, &handle, 0, 0, (vmreq_fn)fn_status, 16),
                         VMREQ_E_INVALID);
        assert_int_equal(handle.generation, 0);
        assert_int_equal(vmreq_call(id, 0, NULL, 0, 0, (vmreq_fn)fn_status, 0), VMREQ_E_INVALID);

        assert_int_equal(
                vmreq_call(id, 1, &handle, VMREQ_FOREVER, 0, (vmreq_fn)fn_status, 1, VMREQ_W(-4)),
                0);
        row = engine_finish(handle);
        assert_int_equal(row.status, -4);

        /* "Submit, release the lock, then wait." */
        engine_hold(id, 1, &gate);
        assert_int_equal(vmreq_call(id, 1, &handle, 0, 0, (vmreq_fn)fn_status, 1, VMREQ_W(6)),
                         VMREQ_E_TIMEOUT);
        assert_int_equal(engine_state(handle), VMREQ_REQ_QUEUED);
        assert_int_equal(vmreq_wait(handle, 0), VMREQ_E_TIMEOUT);
        gate_open(&gate);
        row = engine_finish(handle);
        assert_int_equal(row.status, 6);

        assert_int_equal(
                vmreq_call(id, 1, NULL, 0, VMREQ_NO_WAIT, (vmreq_fn)fn_status, 1, VMREQ_W(0)), 0);
        handle.generation = 3;
        assert_int_equal(
                vmreq_call(id, 1, &handle, 0, VMREQ_NO_WAIT, (vmreq_fn)fn_status, 1, VMREQ_W(0)),
                0);
        assert_int_equal(handle.generation, 0);
        assert_int_equal(vmreq_call_wait(id, 1, (vmreq_fn)fn_status, 1, VMREQ_W(0)), 0);
        assert_int_equal(atomic_load(&ran.n), 5);
}

/* A va_list by pointer through the words, as upstream's test has it. */
__attribute__((format(printf, 3, 0))) static int32_t fn_format(char *buffer, uint32_t size,
                                                               const char *format, va_list *args)
{
        return vsnprintf(buffer, size, format, *args);
}

__attribute__((format(printf, 3, 4))) static int call_format(char *buffer, uint32_t size,
                                                             const char *format, ...)
{
        va_list args;
        int r;

        va_start(args, format);
        r = vmreq_call_wait(id, VMREQ_CPU_ANY, (vmreq_fn)fn_format, 4, VMREQ_W((uintptr_t)buffer),
                            VMREQ_W(size), VMREQ_W((uintptr_t)format), VMREQ_W((uintptr_t)&args));
        va_end(args);
        return r;
}

static void test_va_list(void **state)
{
        char buffer[64];

        (void)state;
        assert_int_equal(call_format(buffer, sizeof(buffer), "%s %s %d", "hello", "world", 7), 13);
        assert_string_equal(buffer, "hello world 7");
}

/* ---- fates ---- */

static void *wait_form(void *arg)
{
        uint32_t cpu = (uint32_t)(uintptr_t)arg;

        return (void *)(intptr_t)vmreq_call_wait(id, cpu, (vmreq_fn)fn_status, 1, VMREQ_W(1));
}

static void *void_wait_form(void *arg)
{
        uint32_t cpu = (uint32_t)(uintptr_t)arg;

        return (void *)(intptr_t)vmreq_call_void_wait(id, cpu, (vmreq_fn)fn_status, 1, VMREQ_W(1));
}

/* The VM goes away under a waiter: every form says so, the void ones too (D25). */
static void test_killed(void **state)
{
        void *(*const forms[])(void *) = {wait_form, void_wait_form, wait_form, void_wait_form,
                                          wait_form};
        /* The last one's row 0 is SKIPPED: not the answer, only what came of row 1. */
        static const uint32_t cpus[] = {1, 1, VMREQ_CPU_ANY, VMREQ_CPU_ALL, VMREQ_CPU_ALL_REVERSE};
        struct gate gates[2];
        pthread_t threads[ARRAY_SIZE(forms)];
        void *result;

        (void)state;
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                engine_hold(id, cpu, &gates[cpu]);
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
                threads[i] = thread_start(forms[i], (void *)(uintptr_t)cpus[i]);
        UNTIL(engine_stats(id).submitted == ARRAY_SIZE(forms) + 2);
        assert_int_equal(vmreq_vm_close(id), 0);
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                assert_int_equal(pthread_join(threads[i], &result), 0);
                assert_int_equal((intptr_t)result, VMREQ_E_KILLED);
        }
        assert_int_equal(atomic_load(&ran.n), 0);
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                gate_open(&gates[cpu]);
}

/* ---- broadcasts ---- */

static int32_t fail_on(uint32_t cpu, int32_t status)
{
        uint32_t self = vmreq_emt_self(id);

        log_add(&ran, self);
        return self == cpu ? status : 0;
}

static void test_broadcast_fold(void **state)
{
        (void)state;
        assert_int_equal(
                vmreq_call_wait(id, VMREQ_CPU_ALL, (vmreq_fn)fail_on, 2, VMREQ_W(9), VMREQ_W(0)),
                0);
        assert_int_equal(vmreq_call_void_wait(id, VMREQ_CPU_ALL_REVERSE, (vmreq_fn)fail_on, 2,
                                              VMREQ_W(0), VMREQ_W(-8)),
                         0);
        assert_log(&ran, (uint64_t[]){0, 1, 1, 0}, 4);
        /* The last one fails: its status.  The first one fails: its status, not that the rest was
         * skipped. */
        assert_int_equal(
                vmreq_call_wait(id, VMREQ_CPU_ALL, (vmreq_fn)fail_on, 2, VMREQ_W(1), VMREQ_W(-7)),
                -7);
        assert_int_equal(
                vmreq_call_wait(id, VMREQ_CPU_ALL, (vmreq_fn)fail_on, 2, VMREQ_W(0), VMREQ_W(-6)),
                -6);
        assert_int_equal(atomic_load(&ran.n), 7);
        /* Descending: vCPU 1 fails, vCPU 0 is skipped.  The failure is the answer, not its
         * consequence. */
        assert_int_equal(vmreq_call_wait(id, VMREQ_CPU_ALL_REVERSE, (vmreq_fn)fail_on, 2,
                                         VMREQ_W(1), VMREQ_W(-5)),
                         -5);
        assert_int_equal(atomic_load(&ran.n), 8);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_wait_forms, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_nowait_forms, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_general_form, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_va_list, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_killed, setup2, teardown),
                cmocka_unit_test_setup_teardown(test_broadcast_fold, setup2, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
