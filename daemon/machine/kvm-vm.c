/* SPDX-License-Identifier: MIT */
/*
 * The backend `kvm`: the device, and the VM as a whole.
 *
 * A reset makes a new VM in place of the old one, because only the kernel knows all that a guest
 * may have left in a VM: interrupt controllers, timers, model-specific registers with addresses to
 * which the kernel writes, extended registers, pending events.  Setting each back by hand is what
 * one forgets a part of.  The new VM takes the old one's descriptor number, so that whoever raises
 * an interrupt line meanwhile meets one or the other, and never a number that is somebody else's.
 *
 *   1. Everything that the host may lack is found when the device is opened, before READY.
 *   2. kvm_vm_renew runs in the rendezvous of a reset, on one EMT, while all others stand still.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine/kvm-internal.h"

#define DEVICE "/dev/kvm"

/* Pages that the kernel needs for itself in the guest's address space, where a PC has none of its
 * own: below the firmware, in the hole. */
#define IDENTITY_MAP 0xfffbc000ull
#define TSS_PAGES    0xfffbd000ull

static const struct {
        int number;
        const char *name;
} needed[] = {
        {KVM_CAP_USER_MEMORY, "user memory"},
        {KVM_CAP_IMMEDIATE_EXIT, "immediate exits (Linux 4.11)"},
        {KVM_CAP_EXT_CPUID, "CPUID"},
        {KVM_CAP_MP_STATE, "states of vCPUs"},
        {KVM_CAP_VCPU_EVENTS, "events of vCPUs"},
        {KVM_CAP_XSAVE, "extended registers"},
        {KVM_CAP_USER_NMI, "NMIs"},
};

/* ---- the device ---- */

static int check_device(const struct kvm *kvm, uint32_t cpus, struct machine_text *text)
{
        int version = ioctl(kvm->dev_fd, KVM_GET_API_VERSION, 0), max;

        if (version < 0)
                return machine_fail(text, -errno, DEVICE ": it does not answer as KVM does: %s",
                                    strerror(errno));
        if (version != KVM_API_VERSION)
                return machine_fail(text, -ENOTSUP,
                                    DEVICE ": version %d of its interface, expected %d", version,
                                    KVM_API_VERSION);
        for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
                if (ioctl(kvm->dev_fd, KVM_CHECK_EXTENSION, needed[i].number) <= 0)
                        return machine_fail(text, -ENOTSUP, DEVICE ": this kernel lacks %s",
                                            needed[i].name);
        max = ioctl(kvm->dev_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
        if (max > 0 && cpus > (uint32_t)max)
                return machine_fail(text, -ENOTSUP, DEVICE ": %u vCPUs, this kernel has at most %d",
                                    cpus, max);
        return 0;
}

static int open_device(struct kvm *kvm, uint32_t cpus, struct machine_text *text)
{
        int r;

        kvm->dev_fd = open(DEVICE, O_RDWR | O_CLOEXEC);
        if (kvm->dev_fd < 0)
                return machine_fail(text, -errno, DEVICE ": %s%s", strerror(errno),
                                    errno == ENOENT
                                            ? " (is the module kvm_intel or kvm_amd loaded?)"
                                    : errno == EACCES ? " (is this user in the group kvm?)"
                                                      : "");
        r = check_device(kvm, cpus, text);
        if (r)
                return r;
        r = ioctl(kvm->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
        if (r < (int)sizeof(struct kvm_run))
                return machine_fail(text, -ENOTSUP, DEVICE ": a vCPU's page has %d bytes", r);
        kvm->run_size = (size_t)r;
        return 0;
}

/* ---- the VM ---- */

static int add_memory(int vm_fd, const struct memory *memory)
{
        for (uint32_t i = 0; i < memory->n_ranges; i++) {
                struct kvm_userspace_memory_region region = {
                        .slot = i,
                        .guest_phys_addr = memory->ranges[i].start,
                        .memory_size = memory->ranges[i].size,
                        .userspace_addr = (uintptr_t)memory->ranges[i].host,
                };

                if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region))
                        return -errno;
        }
        return 0;
}

static int add_irqchip(int vm_fd)
{
        struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};

        if (ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0) || ioctl(vm_fd, KVM_CREATE_PIT2, &pit))
                return -errno;
        return 0;
}

/* A VM without vCPUs; its descriptor, or a negative errno. */
static int make_vm(const struct machine *machine, struct machine_text *text)
{
        uint64_t identity_map = IDENTITY_MAP;
        const char *what = "KVM_CREATE_VM";
        int r = 0, fd;

        do {
                fd = ioctl(kvm_of(machine)->dev_fd, KVM_CREATE_VM, 0);
        } while (fd < 0 && errno == EINTR);
        if (fd < 0)
                return machine_fail(text, -errno, "%s: %s", what, strerror(errno));
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        what = "KVM_SET_TSS_ADDR";
        if (ioctl(fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) ||
            ioctl(fd, KVM_SET_TSS_ADDR, TSS_PAGES))
                r = -errno;
        if (r == 0) {
                what = "KVM_SET_USER_MEMORY_REGION";
                r = add_memory(fd, &machine->memory);
        }
        if (r == 0 && kvm_has_irqchip(machine)) {
                what = "KVM_CREATE_IRQCHIP";
                r = add_irqchip(fd);
        }
        if (r == 0)
                return fd;
        (void)close(fd);
        return machine_fail(text, r, "%s: %s", what, strerror(-r));
}

int kvm_vm_renew(struct machine *machine, struct machine_text *text)
{
        struct kvm *kvm = kvm_of(machine);
        int fd = make_vm(machine, text);

        if (fd < 0)
                return fd;
        if (dup3(fd, kvm->vm_fd, O_CLOEXEC) < 0) {
                (void)close(fd);
                return machine_fail(text, -errno, "dup3: %s", strerror(errno));
        }
        (void)close(fd);
        kvm->generation++;
        kvm->used = false;
        return 0;
}

void kvm_set_irq(struct machine *machine, uint32_t line, bool level)
{
        struct kvm_irq_level irq = {.irq = line, .level = level};

        if (kvm_has_irqchip(machine) && kvm_of(machine)) /* devices are made before it */
                (void)ioctl(kvm_of(machine)->vm_fd, KVM_IRQ_LINE, &irq);
}

/* ---- life ---- */

/* It interrupts KVM_RUN, and has nothing to do beside that. */
static void on_kick(int signal)
{
        (void)signal;
}

static int take_signal(struct kvm *kvm, struct machine_text *text)
{
        /* RESTART: what a callee waits for in a system call is none of its business. */
        struct sigaction action = {.sa_handler = on_kick, .sa_flags = SA_RESTART};

        if (sigaction(KVM_KICK_SIGNAL, &action, &kvm->old_action))
                return machine_fail(text, -errno, "sigaction: %s", strerror(errno));
        kvm->handles_signal = true;
        return 0;
}

static int make_vcpus(struct machine *machine, struct kvm *kvm, struct machine_text *text)
{
        kvm->vcpus = aligned_alloc(CACHE_PAIR, machine->cpus * sizeof(kvm->vcpus[0]));
        if (!kvm->vcpus)
                return machine_fail(text, -ENOMEM, "out of memory");
        memset(kvm->vcpus, 0, machine->cpus * sizeof(kvm->vcpus[0]));
        kvm->n_vcpus = machine->cpus;
        for (uint32_t i = 0; i < machine->cpus; i++) {
                kvm->vcpus[i].machine = machine;
                kvm->vcpus[i].kvm = kvm;
                kvm->vcpus[i].cpu = i;
                kvm->vcpus[i].fd = -1;
        }
        return 0;
}

int kvm_open(struct machine *machine, struct machine_text *text)
{
        struct kvm *kvm = calloc(1, sizeof(*kvm));
        int r;

        if (!kvm)
                return machine_fail(text, -ENOMEM, "out of memory");
        machine->backend_data = kvm;
        kvm->dev_fd = kvm->vm_fd = -1;
        kvm->pid = getpid();
        r = open_device(kvm, machine->cpus, text);
        r = r ? r : kvm_cpuid_init(kvm, kvm_has_irqchip(machine), text);
        r = r ? r : make_vcpus(machine, kvm, text);
        r = r ? r : take_signal(kvm, text);
        if (r)
                return r;
        kvm->vm_fd = make_vm(machine, text);
        return kvm->vm_fd < 0 ? kvm->vm_fd : 0;
}

void kvm_close(struct machine *machine)
{
        struct kvm *kvm = kvm_of(machine);

        if (!kvm)
                return;
        for (uint32_t i = 0; i < kvm->n_vcpus; i++)
                if (kvm->vcpus[i].run)
                        (void)munmap(kvm->vcpus[i].run, kvm->run_size);
        if (kvm->vm_fd >= 0)
                (void)close(kvm->vm_fd);
        if (kvm->dev_fd >= 0)
                (void)close(kvm->dev_fd);
        if (kvm->handles_signal)
                (void)sigaction(KVM_KICK_SIGNAL, &kvm->old_action, NULL);
        free(kvm->vcpus);
        free(kvm->cpuid);
        free(kvm);
        machine->backend_data = NULL;
}

const struct machine_backend machine_backend_kvm = {
        .name = "kvm",
        .open = kvm_open,
        .close = kvm_close,
        .set_irq = kvm_set_irq,
        .engine =
                {
                        .size = sizeof(struct vmreq_backend),
                        .vcpu_init = kvm_vcpu_init,
                        .vcpu_fini = kvm_vcpu_fini,
                        .vcpu_reset = kvm_vcpu_reset,
                        .run = kvm_vcpu_run,
                        .kick = kvm_vcpu_kick,
                },
        .cpu =
                {
                        .get_stats = kvm_stats_get,
                        .get_regs = kvm_regs_get,
                        .set_regs = kvm_regs_set,
                        .get_sregs = kvm_sregs_get,
                        .get_fxsave = kvm_fxsave_get,
                        .translate = kvm_translate,
                        .halt = kvm_irq_halt,
                        .is_halted = kvm_irq_is_halted,
                        .interrupt = kvm_irq_interrupt,
                        .nmi = kvm_irq_nmi,
                        .step = kvm_step,
                },
};
