/* SPDX-License-Identifier: MIT */
/*
 * Registers, between the kernel's structures and ours.  On the vCPU's EMT, outside of the guest,
 * and settled: what is read is true, and what is written stays.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "machine/kvm-internal.h"

static const size_t reg_at[MACHINE_REGS_N] = {
#define AT(upper, lower) [MACHINE_##upper] = offsetof(struct kvm_regs, lower)
        AT(RIP, rip), AT(RFLAGS, rflags), AT(RAX, rax), AT(RBX, rbx), AT(RCX, rcx), AT(RDX, rdx),
        AT(RSI, rsi), AT(RDI, rdi),       AT(RBP, rbp), AT(RSP, rsp), AT(R8, r8),   AT(R9, r9),
        AT(R10, r10), AT(R11, r11),       AT(R12, r12), AT(R13, r13), AT(R14, r14), AT(R15, r15),
#undef AT
};

static const size_t segment_at[MACHINE_SEGMENTS_N] = {
#define AT(upper, lower) [MACHINE_##upper] = offsetof(struct kvm_sregs, lower)
        AT(CS, cs), AT(DS, ds), AT(ES, es), AT(FS, fs),
        AT(GS, gs), AT(SS, ss), AT(TR, tr), AT(LDT, ldt),
#undef AT
};

int kvm_regs_get(struct machine *machine, uint32_t cpu, struct machine_regs *ret_regs)
{
        struct kvm_regs regs;

        if (ioctl(kvm_vcpu_of(machine, cpu)->fd, KVM_GET_REGS, &regs))
                return -errno;
        for (unsigned i = 0; i < MACHINE_REGS_N; i++)
                memcpy(&ret_regs->r[i], (const char *)&regs + reg_at[i], sizeof(uint64_t));
        return 0;
}

int kvm_regs_set(struct machine *machine, uint32_t cpu, const struct machine_regs *regs)
{
        struct kvm_regs to;

        for (unsigned i = 0; i < MACHINE_REGS_N; i++)
                memcpy((char *)&to + reg_at[i], &regs->r[i], sizeof(uint64_t));
        return ioctl(kvm_vcpu_of(machine, cpu)->fd, KVM_SET_REGS, &to) ? -errno : 0;
}

static struct kvm_segment *segment_of(struct kvm_sregs *sregs, unsigned i)
{
        return (struct kvm_segment *)(void *)((char *)sregs + segment_at[i]);
}

static void get_segment(const struct kvm_segment *from, struct machine_segment *to)
{
        *to = (struct machine_segment){.base = from->base,
                                       .limit = from->limit,
                                       .selector = from->selector,
                                       .type = from->type,
                                       .present = from->present,
                                       .dpl = from->dpl,
                                       .db = from->db,
                                       .s = from->s,
                                       .l = from->l,
                                       .g = from->g,
                                       .avl = from->avl};
}

static void set_segment(const struct machine_segment *from, struct kvm_segment *to)
{
        *to = (struct kvm_segment){.base = from->base,
                                   .limit = from->limit,
                                   .selector = from->selector,
                                   .type = from->type,
                                   .present = from->present,
                                   .dpl = from->dpl,
                                   .db = from->db,
                                   .s = from->s,
                                   .l = from->l,
                                   .g = from->g,
                                   .avl = from->avl};
}

int kvm_sregs_get(struct machine *machine, uint32_t cpu, struct machine_sregs *ret_sregs)
{
        struct kvm_sregs from;

        if (ioctl(kvm_vcpu_of(machine, cpu)->fd, KVM_GET_SREGS, &from))
                return -errno;
        for (unsigned i = 0; i < MACHINE_SEGMENTS_N; i++)
                get_segment(segment_of(&from, i), &ret_sregs->segments[i]);
        ret_sregs->gdt = (struct machine_table){from.gdt.base, from.gdt.limit};
        ret_sregs->idt = (struct machine_table){from.idt.base, from.idt.limit};
        ret_sregs->cr0 = from.cr0;
        ret_sregs->cr2 = from.cr2;
        ret_sregs->cr3 = from.cr3;
        ret_sregs->cr4 = from.cr4;
        ret_sregs->cr8 = from.cr8;
        ret_sregs->efer = from.efer;
        ret_sregs->apic_base = from.apic_base;
        return 0;
}

/* Only for the beginning: where the local APIC is stays the kernel's. */
int kvm_sregs_set(struct kvm_vcpu *vcpu, const struct machine_sregs *sregs)
{
        struct kvm_sregs to;

        if (ioctl(vcpu->fd, KVM_GET_SREGS, &to))
                return -errno;
        for (unsigned i = 0; i < MACHINE_SEGMENTS_N; i++)
                set_segment(&sregs->segments[i], segment_of(&to, i));
        to.gdt.base = sregs->gdt.base;
        to.gdt.limit = sregs->gdt.limit;
        to.idt.base = sregs->idt.base;
        to.idt.limit = sregs->idt.limit;
        to.cr0 = sregs->cr0;
        to.cr2 = sregs->cr2;
        to.cr3 = sregs->cr3;
        to.cr4 = sregs->cr4;
        to.cr8 = sregs->cr8;
        to.efer = sregs->efer;
        memset(to.interrupt_bitmap, 0, sizeof(to.interrupt_bitmap));
        return ioctl(vcpu->fd, KVM_SET_SREGS, &to) ? -errno : 0;
}

int kvm_fxsave_get(struct machine *machine, uint32_t cpu, struct machine_fxsave *ret_fxsave)
{
        struct kvm_xsave xsave;

        if (ioctl(kvm_vcpu_of(machine, cpu)->fd, KVM_GET_XSAVE, &xsave))
                return -errno;
        /* XSAVE's area begins with FXSAVE's. */
        memcpy(ret_fxsave->bytes, xsave.region, sizeof(ret_fxsave->bytes));
        return 0;
}

int kvm_translate(struct machine *machine, uint32_t cpu, uint64_t address,
                  struct machine_translation *ret_translation)
{
        struct kvm_translation translation = {.linear_address = address};

        if (ioctl(kvm_vcpu_of(machine, cpu)->fd, KVM_TRANSLATE, &translation))
                return -errno;
        *ret_translation = (struct machine_translation){
                .physical = translation.valid ? translation.physical_address : 0,
                .valid = translation.valid};
        return 0;
}

int kvm_stats_get(struct machine *machine, uint32_t cpu, uint64_t *ret_stats)
{
        const struct kvm_vcpu *vcpu = kvm_vcpu_of(machine, cpu);

        for (unsigned i = 0; i < MACHINE_STATS_N; i++)
                ret_stats[i] = atomic_load_explicit(&vcpu->stats[i], memory_order_relaxed);
        return 0;
}
