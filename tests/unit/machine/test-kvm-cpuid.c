/* SPDX-License-Identifier: MIT */
/* CPUID: each vCPU has its own number, and no APIC is promised where there is none. */
#include "unit/machine/fake-kvm.h"

static const struct kvm_cpuid_entry2 *leaf(uint32_t function)
{
        const struct kvm_cpuid2 *cpuid = kvm_of(machine)->cpuid;

        for (uint32_t i = 0; i < cpuid->nent; i++)
                if (cpuid->entries[i].function == function)
                        return &cpuid->entries[i];
        fail_msg("no leaf 0x%x", function);
        return NULL;
}

static void test_features(void **state)
{
        struct machine_settings settings = kvm_fake_settings();

        (void)state;
        assert_int_equal(fake_machine_new(1, &settings), 0);
        assert_int_equal(leaf(1)->edx & 1u << 9, 0);
        assert_int_equal(leaf(1)->ecx & (1u << 21 | 1u << 24), 0);
        assert_int_equal(leaf(1)->ecx >> 31, 1);
        assert_int_equal(leaf(0x40000001)->eax, 1u | 1u << 3 | 1u << 24);
        (void)machine_close(machine, UINT64_MAX);
        machine = machine_free(machine);
        settings.irqchip = MACHINE_IRQCHIP_KERNEL;
        assert_int_equal(fake_machine_new(1, &settings), 0);
        assert_int_equal(leaf(1)->edx >> 9 & 1, 1);
        assert_int_equal(leaf(1)->ecx >> 21 & 1, 1);
}

static void test_numbers(void **state)
{
        struct machine_settings settings = kvm_fake_settings();

        (void)state;
        assert_int_equal(fake_machine_new(3, &settings), 0);
        for (uint32_t i = 0; i < 3; i++) {
                assert_int_equal(kvm_vcpu_init(machine, i), 0);
                assert_int_equal(kvm_fake.vcpu[i].apic_id, i);
        }
        fake_fail(KVM_SET_CPUID2, EINVAL, 0);
        assert_int_equal(kvm_cpuid_set(kvm_of(machine), kvm_vcpu_of(machine, 0)), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_features, fake_kvm_start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_numbers, fake_kvm_start, fake_kvm_end),
        };

        return RUN_TESTS(tests);
}
