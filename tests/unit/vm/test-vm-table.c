/* SPDX-License-Identifier: MIT */
/* Ids and pins, with VMs that are only an id. */
#include "lib/engine.h"

static struct vm *new_vm(void)
{
        struct vm *vm =
                aligned_alloc(CACHE_PAIR, (sizeof(*vm) + CACHE_PAIR - 1) / CACHE_PAIR * CACHE_PAIR);

        assert_non_null(vm);
        memset(vm, 0, sizeof(*vm));
        return vm;
}

static void test_pin(void **state)
{
        struct vm *vm = new_vm(), *got;

        (void)state;
        assert_null(vm_pin(0));
        assert_int_equal(vm_table_add(vm), 0);
        assert_int_not_equal(vm->id, 0);
        assert_ptr_equal(vm_pin(vm->id), vm);
        assert_ptr_equal(vm_pin(vm->id), vm);
        vm_unpin(vm);
        vm_unpin(vm);
        /* The same slot, another id. */
        assert_null(vm_pin(vm->id + VMREQ_VMS_MAX));
        assert_null(vm_pin(UINT32_MAX));
        assert_true(vm_table_remove(vm->id, &got));
        assert_ptr_equal(got, vm);
        assert_null(vm_pin(vm->id));
        assert_false(vm_table_remove(vm->id, &got));
        assert_false(vm_table_remove(0, &got));
        free(vm);
}

static void test_full_and_never_reused(void **state)
{
        struct vm *vms[VMREQ_VMS_MAX], *more = new_vm(), *got;
        uint32_t last;

        (void)state;
        for (size_t i = 0; i < VMREQ_VMS_MAX; i++) {
                vms[i] = new_vm();
                assert_int_equal(vm_table_add(vms[i]), 0);
                if (i)
                        assert_true(vms[i]->id > vms[i - 1]->id);
        }
        last = vms[VMREQ_VMS_MAX - 1]->id;
        assert_int_equal(vm_table_add(more), VMREQ_E_BUSY);
        assert_true(vm_table_remove(vms[100]->id, &got));
        /* One slot is free: it is found, and under an id that was never used. */
        assert_int_equal(vm_table_add(more), 0);
        assert_true(more->id > last);
        assert_int_equal(more->id % VMREQ_VMS_MAX, vms[100]->id % VMREQ_VMS_MAX);
        assert_null(vm_pin(vms[100]->id));
        assert_ptr_equal(vm_pin(more->id), more);
        vm_unpin(more);
        assert_true(vm_table_remove(more->id, &got));
        for (size_t i = 0; i < VMREQ_VMS_MAX; i++) {
                if (i != 100)
                        assert_true(vm_table_remove(vms[i]->id, &got));
                free(vms[i]);
        }
        free(more);
}

static struct {
        struct vm *vm;
        sem_t pinned, go;
        _Atomic uint32_t unpinned;
} holder;

static void *hold(void *arg)
{
        (void)arg;
        CHECK(vm_pin(holder.vm->id) == holder.vm);
        CHECK(sem_post(&holder.pinned) == 0);
        sem_down(&holder.go);
        /* The remover is inside, or will be: either way it must not return before this. */
        UNTIL(vm_pin(holder.vm->id) == NULL || (vm_unpin(holder.vm), false));
        atomic_store(&holder.unpinned, 1);
        vm_unpin(holder.vm);
        return NULL;
}

static void test_remove_waits(void **state)
{
        struct vm *got;
        pthread_t thread;

        (void)state;
        assert_int_equal(sem_init(&holder.pinned, 0, 0), 0);
        assert_int_equal(sem_init(&holder.go, 0, 0), 0);
        for (int i = 0; i < 200; i++) {
                holder.vm = new_vm();
                atomic_store(&holder.unpinned, 0);
                assert_int_equal(vm_table_add(holder.vm), 0);
                thread = thread_start(hold, NULL);
                sem_down(&holder.pinned);
                assert_int_equal(sem_post(&holder.go), 0);
                assert_true(vm_table_remove(holder.vm->id, &got));
                assert_int_equal(atomic_load(&holder.unpinned), 1);
                thread_end(thread);
                free(holder.vm);
        }
}

static void test_stripe(void **state)
{
        (void)state;
        assert_true(vm_stripe() < VM_STRIPES);
        assert_int_equal(vm_stripe(), vm_stripe());
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pin),
                cmocka_unit_test(test_full_and_never_reused),
                cmocka_unit_test(test_remove_waits),
                cmocka_unit_test(test_stripe),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
