/* SPDX-License-Identifier: MIT */
/*
 * What the guest's processors say they are: what the kernel can give, less what this machine has
 * not.  Asked once, before READY; each vCPU gets it with its own number filled in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "machine/kvm-internal.h"

#define LEAF_FEATURES     1u
#define LEAF_TOPOLOGY     0xbu
#define LEAF_TOPOLOGY_2   0x1fu
#define LEAF_KVM_FEATURES 0x40000001u

#define FEATURES_ECX_X2APIC       (1u << 21)
#define FEATURES_ECX_TSC_DEADLINE (1u << 24)
#define FEATURES_ECX_HYPERVISOR   (1u << 31)
#define FEATURES_EDX_APIC         (1u << 9)

/* The clock, in both its forms; the rest are promises between this kernel and Linux guests that
 * nothing here needs. */
#define KVM_FEATURES_KEPT (1u << 0 | 1u << 3 | 1u << 24)

static size_t cpuid_bytes(uint32_t n)
{
        return sizeof(struct kvm_cpuid2) + n * sizeof(struct kvm_cpuid_entry2);
}

static void adapt(struct kvm_cpuid_entry2 *entry, bool has_irqchip)
{
        if (entry->function == LEAF_FEATURES) {
                entry->ecx |= FEATURES_ECX_HYPERVISOR;
                if (!has_irqchip) {
                        entry->ecx &= ~(FEATURES_ECX_X2APIC | FEATURES_ECX_TSC_DEADLINE);
                        entry->edx &= ~FEATURES_EDX_APIC;
                }
        } else if (entry->function == LEAF_KVM_FEATURES) {
                entry->eax &= KVM_FEATURES_KEPT;
        }
}

int kvm_cpuid_init(struct kvm *kvm, bool has_irqchip, struct machine_text *text)
{
        kvm->cpuid = calloc(1, cpuid_bytes(KVM_CPUID_ENTRIES));
        if (!kvm->cpuid)
                return machine_fail(text, -ENOMEM, "out of memory");
        kvm->cpuid->nent = KVM_CPUID_ENTRIES;
        if (ioctl(kvm->dev_fd, KVM_GET_SUPPORTED_CPUID, kvm->cpuid))
                return machine_fail(text, -errno, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
        for (uint32_t i = 0; i < kvm->cpuid->nent; i++)
                adapt(&kvm->cpuid->entries[i], has_irqchip);
        return 0;
}

int kvm_cpuid_set(const struct kvm *kvm, const struct kvm_vcpu *vcpu)
{
        size_t bytes = cpuid_bytes(kvm->cpuid->nent);
        struct kvm_cpuid2 *cpuid = malloc(bytes);
        int r;

        if (!cpuid)
                return -ENOMEM;
        memcpy(cpuid, kvm->cpuid, bytes);
        for (uint32_t i = 0; i < cpuid->nent; i++) {
                struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

                if (entry->function == LEAF_FEATURES)
                        entry->ebx = (entry->ebx & 0x00ffffffu) | vcpu->cpu << 24;
                else if (entry->function == LEAF_TOPOLOGY || entry->function == LEAF_TOPOLOGY_2)
                        entry->edx = vcpu->cpu;
        }
        r = ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) ? -errno : 0;
        free(cpuid);
        return r;
}
