/* SPDX-License-Identifier: MIT */
/* The public header alone, against the shared library: what an embedder has, and no more. */
#include <vmreq.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int32_t add(int32_t a, int32_t b)
{
        return a + b;
}

/* Another size than ours is another version of the structure: refused, not guessed at. */
static void test_sizes(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct vmreq_backend backend = VMREQ_BACKEND_INIT;
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        vmreq_handle handle;
        vmreq_vm vm = {0};

        (void)state;
        assert_int_equal(config.size, sizeof(config));
        assert_int_equal(backend.size, sizeof(backend));
        assert_int_equal(spec.size, sizeof(spec));
        assert_int_equal(config.cpus, 1);
        assert_int_equal(config.lazy_poke_ms, 10);
        assert_int_equal(spec.cpu, VMREQ_CPU_ANY);
        config.size--;
        assert_int_equal(vmreq_vm_create(&config, &vm), VMREQ_E_INVALID);
        config.size++;
        backend.size = 0;
        config.backend = &backend;
        assert_int_equal(vmreq_vm_create(&config, &vm), VMREQ_E_INVALID);
        config.backend = NULL;
        assert_int_equal(vmreq_vm_create(&config, &vm), 0);
        spec.fn = (vmreq_fn)add;
        spec.size++;
        assert_int_equal(vmreq_submit(vm, &spec, &handle), VMREQ_E_INVALID);
        assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0), 0);
        assert_int_equal(vmreq_vm_free(vm), 0);
}

/* The initialisers are enough for a VM that works. */
static void test_defaults(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        vmreq_vm vm;

        (void)state;
        assert_int_equal(vmreq_vm_create(&config, &vm), 0);
        assert_int_equal(vmreq_vm_cpus(vm), 1);
        assert_int_equal(vmreq_vm_state(vm), VMREQ_VM_CREATED);
        assert_int_equal(
                vmreq_call_wait(vm, VMREQ_CPU_ANY, (vmreq_fn)add, 2, VMREQ_W(-50), VMREQ_W(2)),
                -48);
        assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0), 0);
        assert_int_equal(vmreq_vm_free(vm), 0);
        assert_int_equal(vmreq_vm_free(vm), VMREQ_E_HANDLE);
}

/* What is no VM, no request and no EMT is refused by each function that takes one. */
static void test_nothing(void **state)
{
        const vmreq_vm none = {0};
        const vmreq_handle handle = VMREQ_HANDLE_NONE;
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        struct vmreq_emt_info info;
        vmreq_handle got;

        (void)state;
        spec.fn = (vmreq_fn)add;
        assert_int_equal(vmreq_submit(none, &spec, &got), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_alloc(none, &spec, &got), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_queue(handle, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_wait(handle, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_UNKNOWN);
        assert_int_equal(vmreq_vm_close(none), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_vm_cpus(none), 0);
        assert_int_equal(vmreq_vm_state(none), VMREQ_VM_DESTROYED);
        assert_int_equal(vmreq_emt_info(none, 0, &info), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_emt_self(none), VMREQ_CPU_NONE);
        assert_int_equal(vmreq_process(none, 0), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_park(0), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_current().generation, 0);
}

/* The folded results must not be taken for what callees return. */
static void test_errors_are_far_from_statuses(void **state)
{
        (void)state;
        assert_true(VMREQ_E_INVALID < -4095);
        assert_string_equal(vmreq_error_name(VMREQ_E_NOT_EMT), "NOT_EMT");
        assert_string_equal(vmreq_error_name(VMREQ_E_NOT_EMT - 1), "UNKNOWN");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_errors_are_far_from_statuses),
        };

        return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
