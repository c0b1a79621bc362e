/* SPDX-License-Identifier: MIT */
/* Which EMTs still turn their loop: asleep, in the guest, waiting inside a callee - and stuck. */
#include "unit/vm/fake-guest.h"

#define CPUS 3u

static struct fake fake;

static vmreq_vm create(bool guest)
{
        struct vmreq_backend backend = fake_backend(&fake);
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        memset(&fake, 0, sizeof(fake));
        config.cpus = CPUS;
        config.slab = 16;
        config.lane_capacity = 4;
        config.lazy_poke_ms = 0;
        if (guest)
                config.backend = &backend;
        return engine_new_with(&config);
}

static void until_beats(vmreq_vm vm, uint32_t cpu)
{
        UNTIL(engine_emt(vm, cpu).beats);
}

static void test_asleep(void **state)
{
        vmreq_vm vm = create(false);

        (void)state;
        for (int round = 0; round < 1000; round++) {
                if (round % 2)
                        engine_until_asleep(vm, CPUS - 1);
                assert_int_equal(vmreq_vm_heartbeat(vm), 0);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        until_beats(vm, cpu);
        }
        engine_end(vm);
}

static void test_in_guest(void **state)
{
        vmreq_vm vm = create(true);

        (void)state;
        assert_int_equal(vmreq_vm_change(vm, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        for (int round = 0; round < 200; round++) {
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        fake_until_inside(vm, &fake, cpu);
                assert_int_equal(vmreq_vm_heartbeat(vm), 0);
                for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                        until_beats(vm, cpu);
        }
        engine_end(vm);
}

/* Lanes and slab full: the question needs no room. */
static void test_stuck(void **state)
{
        vmreq_vm vm = create(false);
        vmreq_handle handles[4];
        struct log ran = {0};
        struct vmreq_spec spec;
        struct gate gate;

        (void)state;
        engine_hold(vm, 1, &gate);
        spec = engine_spec(1, 0, log_callee, &ran);
        for (size_t i = 0; i < 4; i++)
                handles[i] = engine_submit(vm, &spec);
        assert_int_equal(vmreq_submit(vm, &spec, &(vmreq_handle){0}), VMREQ_E_BUSY);

        assert_int_equal(vmreq_vm_heartbeat(vm), 0);
        until_beats(vm, 0);
        until_beats(vm, 2);
        assert_false(engine_emt(vm, 1).beats);
        gate_open(&gate);
        until_beats(vm, 1);
        for (size_t i = 0; i < 4; i++)
                (void)engine_finish(handles[i]);
        engine_end(vm);
}

static void test_gone(void **state)
{
        vmreq_vm vm = create(false);

        (void)state;
        engine_end(vm);
        assert_int_equal(vmreq_vm_heartbeat(vm), VMREQ_E_HANDLE);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_asleep),
                cmocka_unit_test(test_in_guest),
                cmocka_unit_test(test_stuck),
                cmocka_unit_test(test_gone),
        };

        return engine_run(tests, sizeof(tests) / sizeof(tests[0]));
}
