/* SPDX-License-Identifier: MIT */
/* Registers between the kernel's structures and ours: each goes to its place, and back. */
#include "unit/machine/fake-kvm.h"

static struct fake_vcpu *inside;

static int start(void **state)
{
        (void)fake_kvm_start(state);
        fake_machine_one(MACHINE_IRQCHIP_OFF);
        inside = &kvm_fake.vcpu[0];
        return 0;
}

static void test_regs(void **state)
{
        struct machine_regs regs, back;

        (void)state;
        for (unsigned i = 0; i < MACHINE_REGS_N; i++)
                regs.r[i] = 0x1111111111111111ull * (i + 1);
        assert_int_equal(machine_set_regs(machine, 0, &regs), 0);
        assert_int_equal(inside->regs.rip, regs.r[MACHINE_RIP]);
        assert_int_equal(inside->regs.rflags, regs.r[MACHINE_RFLAGS]);
        assert_int_equal(inside->regs.rax, regs.r[MACHINE_RAX]);
        assert_int_equal(inside->regs.rsp, regs.r[MACHINE_RSP]);
        assert_int_equal(inside->regs.r15, regs.r[MACHINE_R15]);
        assert_int_equal(machine_get_regs(machine, 0, &back), 0);
        assert_memory_equal(&back, &regs, sizeof(regs));
        fake_fail(KVM_GET_REGS, EIO, 0);
        assert_int_equal(machine_get_regs(machine, 0, &back), -EIO);
        fake_fail(KVM_SET_REGS, EIO, 0);
        assert_int_equal(machine_set_regs(machine, 0, &back), -EIO);
}

static void test_sregs(void **state)
{
        struct machine_sregs sregs, back;

        (void)state;
        memset(&sregs, 0, sizeof(sregs)); /* padding too */
        for (unsigned i = 0; i < MACHINE_SEGMENTS_N; i++)
                sregs.segments[i] = (struct machine_segment){.base = i * 0x1000,
                                                             .limit = i + 100,
                                                             .selector = (uint16_t)(i * 8),
                                                             .type = (uint8_t)i,
                                                             .present = 1,
                                                             .dpl = 3,
                                                             .db = i & 1,
                                                             .s = 1,
                                                             .l = !(i & 1),
                                                             .g = 1,
                                                             .avl = 1};
        sregs.gdt.base = 0x5000;
        sregs.gdt.limit = 23;
        sregs.idt.base = 0x6000;
        sregs.idt.limit = 4095;
        sregs.cr0 = 1;
        sregs.cr2 = 2;
        sregs.cr3 = 3;
        sregs.cr4 = 4;
        sregs.cr8 = 5;
        sregs.efer = 6;
        inside->sregs.apic_base = sregs.apic_base = 0xfee00900;
        inside->sregs.interrupt_bitmap[0] = 1;
        assert_int_equal(kvm_sregs_set(kvm_vcpu_of(machine, 0), &sregs), 0);
        assert_int_equal(inside->sregs.interrupt_bitmap[0], 0);
        assert_int_equal(inside->sregs.tr.base, MACHINE_TR * 0x1000);
        memset(&back, 0, sizeof(back));
        assert_int_equal(machine_get_sregs(machine, 0, &back), 0);
        for (unsigned i = 0; i < MACHINE_SEGMENTS_N; i++)
                assert_memory_equal(&back.segments[i], &sregs.segments[i],
                                    offsetof(struct machine_segment, avl) + 1);
        assert_int_equal(back.gdt.base, 0x5000);
        assert_int_equal(back.gdt.limit, 23);
        assert_int_equal(back.idt.base, 0x6000);
        assert_int_equal(back.idt.limit, 4095);
        assert_int_equal(back.cr0, 1);
        assert_int_equal(back.cr8, 5);
        assert_int_equal(back.efer, 6);
        assert_int_equal(back.apic_base, 0xfee00900);
        fake_fail(KVM_GET_SREGS, EIO, 0);
        assert_int_equal(machine_get_sregs(machine, 0, &back), -EIO);
}

static void test_rest(void **state)
{
        struct machine_translation translation;
        struct machine_fxsave fxsave;

        (void)state;
        assert_int_equal(machine_get_fxsave(machine, 0, &fxsave), 0);
        assert_int_equal(fxsave.bytes[0], 0x5a);
        assert_int_equal(fxsave.bytes[511], 0x5a);
        fake_fail(KVM_GET_XSAVE, EIO, 0);
        assert_int_equal(machine_get_fxsave(machine, 0, &fxsave), -EIO);
        assert_int_equal(machine_translate(machine, 0, 0x123, &translation), 0);
        assert_true(translation.valid);
        assert_int_equal(translation.physical, 0x100123);
        assert_int_equal(machine_translate(machine, 0, 0x1000, &translation), 0);
        assert_false(translation.valid);
        assert_int_equal(translation.physical, 0);
        fake_fail(KVM_TRANSLATE, EIO, 0);
        assert_int_equal(machine_translate(machine, 0, 0, &translation), -EIO);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_regs, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_sregs, start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_rest, start, fake_kvm_end),
        };

        return RUN_TESTS(tests);
}
