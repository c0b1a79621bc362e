/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A kernel with KVM, as far as the backend uses it, behind wrapped open and ioctl: so that its
 * exits are the test's, each call can be made to fail, and none of it needs /dev/kvm.
 *
 * It keeps the promises that the backend relies on: an exit for a port or address is completed at
 * the next entry, before immediate_exit is looked at; a signal that comes before the entry does not
 * interrupt it, one that comes during it does.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "machine/kvm-internal.h"
#include "unit/machine/machine-test.h"
#include "vm/vmreq.h"

#define FAKE_CPUS_MAX 4u
#define FAKE_RUN_SIZE 12288u

struct fake_vcpu {
        _Atomic int fd; /* a memfd: the page that is shared; 0: not made */
        struct kvm_run *run;
        struct kvm_regs regs;
        struct kvm_sregs sregs;
        struct kvm_vcpu_events events;
        struct kvm_mp_state mp_state;
        struct kvm_guest_debug debug;
        /* A port read that is not completed: the next entry takes its result. */
        bool pending_in, pending;
        uint32_t runs, injected;
        int last_vector;
        uint32_t apic_id; /* of the CPUID that was set */
};

static struct {
        uint32_t vms;
        _Atomic uint32_t vcpus;
        _Atomic uint32_t irq_lines; /* calls of KVM_IRQ_LINE */
        struct kvm_irq_level irq;
        struct fake_vcpu vcpu[FAKE_CPUS_MAX]; /* by number */
        uint32_t chips, pits, regions;
        /* The request that fails, with that errno; at its n-th call from now, 0 = the next. */
        _Atomic unsigned long fail_request;
        _Atomic int fail_errno;
        _Atomic uint32_t fail_after;
        unsigned long missing_cap;
        bool no_device;
        int device_errno;
        /* What the guest does: fills vcpu->run and returns 0, or an errno.  NULL: waits for a
         * signal.
         */
        int (*guest)(struct fake_vcpu *vcpu);
} kvm_fake;

int __real_ioctl(int fd, unsigned long request, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __wrap_open(const char *path, int flags, mode_t mode);

int __wrap_open(const char *path, int flags, mode_t mode)
{
        if (strcmp(path, "/dev/kvm") != 0)
                return __real_open(path, flags, mode);
        if (kvm_fake.no_device) {
                errno = kvm_fake.device_errno;
                return -1;
        }
        return __real_open("/dev/null", flags);
}

static inline struct fake_vcpu *fake_vcpu_of(int fd)
{
        for (uint32_t i = 0; i < FAKE_CPUS_MAX; i++)
                if (atomic_load(&kvm_fake.vcpu[i].fd) == fd)
                        return &kvm_fake.vcpu[i];
        CHECK(!"a vCPU's descriptor");
        return NULL;
}

static inline int fake_create_vcpu(uint32_t number)
{
        struct fake_vcpu *vcpu = &kvm_fake.vcpu[number];
        int fd = memfd_create("fake-vcpu", MFD_CLOEXEC);

        CHECK(number < FAKE_CPUS_MAX && fd >= 0 && ftruncate(fd, FAKE_RUN_SIZE) == 0);
        if (vcpu->run)
                CHECK(munmap(vcpu->run, FAKE_RUN_SIZE) == 0);
        memset((void *)vcpu, 0, sizeof(*vcpu));
        vcpu->last_vector = -1;
        vcpu->run = mmap(NULL, FAKE_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(vcpu->run != MAP_FAILED);
        vcpu->mp_state.mp_state = number ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
        atomic_fetch_add(&kvm_fake.vcpus, 1);
        atomic_store(&vcpu->fd, fd);
        return fd;
}

/* Sleeps in the guest until a signal comes, without a gap between the look and the sleep. */
static inline int fake_wait(struct fake_vcpu *vcpu)
{
        sigset_t kick, old;
        int r = EINTR;

        CHECK(sigemptyset(&kick) == 0 && sigaddset(&kick, KVM_KICK_SIGNAL) == 0);
        CHECK(pthread_sigmask(SIG_BLOCK, &kick, &old) == 0);
        if (!__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_ACQUIRE))
                (void)sigsuspend(&old);
        CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
        return r;
}

static inline int fake_run(struct fake_vcpu *vcpu)
{
        struct kvm_run *run = vcpu->run;
        int error;

        vcpu->runs++;
        if (vcpu->pending_in)
                vcpu->regs.rax = *((uint8_t *)run + run->io.data_offset);
        if (vcpu->pending)
                vcpu->regs.rip += 2;
        vcpu->pending = vcpu->pending_in = false;
        if (__atomic_load_n(&run->immediate_exit, __ATOMIC_ACQUIRE))
                error = EINTR;
        else
                error = kvm_fake.guest ? kvm_fake.guest(vcpu) : fake_wait(vcpu);
        errno = error;
        return error ? -1 : 0;
}

/* The guest leaves with an IN of one byte. */
static inline int fake_exit_in(struct fake_vcpu *vcpu, uint16_t port)
{
        struct kvm_run *run = vcpu->run;

        run->exit_reason = KVM_EXIT_IO;
        run->io.direction = KVM_EXIT_IO_IN;
        run->io.size = 1;
        run->io.port = port;
        run->io.count = 1;
        run->io.data_offset = 4096;
        vcpu->pending = vcpu->pending_in = true;
        return 0;
}

static inline int fake_exit_out(struct fake_vcpu *vcpu, uint16_t port, uint8_t size, uint32_t count,
                                const void *data)
{
        struct kvm_run *run = vcpu->run;

        run->exit_reason = KVM_EXIT_IO;
        run->io.direction = KVM_EXIT_IO_OUT;
        run->io.size = size;
        run->io.port = port;
        run->io.count = count;
        run->io.data_offset = 4096;
        memcpy((uint8_t *)run + 4096, data, (size_t)size * count);
        vcpu->pending = true;
        return 0;
}

static inline int fake_vcpu_ioctl(struct fake_vcpu *vcpu, unsigned long request, void *arg)
{
        switch (request) {
        case KVM_RUN:
                return fake_run(vcpu);
        case KVM_GET_REGS:
                *(struct kvm_regs *)arg = vcpu->regs;
                return 0;
        case KVM_SET_REGS:
                vcpu->regs = *(const struct kvm_regs *)arg;
                return 0;
        case KVM_GET_SREGS:
                *(struct kvm_sregs *)arg = vcpu->sregs;
                return 0;
        case KVM_SET_SREGS:
                vcpu->sregs = *(const struct kvm_sregs *)arg;
                return 0;
        case KVM_GET_VCPU_EVENTS:
                *(struct kvm_vcpu_events *)arg = vcpu->events;
                return 0;
        case KVM_GET_MP_STATE:
                *(struct kvm_mp_state *)arg = vcpu->mp_state;
                return 0;
        case KVM_SET_MP_STATE:
                vcpu->mp_state = *(const struct kvm_mp_state *)arg;
                return 0;
        case KVM_SET_GUEST_DEBUG:
                vcpu->debug = *(const struct kvm_guest_debug *)arg;
                return 0;
        case KVM_INTERRUPT:
                vcpu->injected++;
                vcpu->last_vector = (int)((const struct kvm_interrupt *)arg)->irq;
                return 0;
        case KVM_NMI:
                vcpu->events.nmi.pending = 1;
                return 0;
        case KVM_GET_XSAVE:
                memset(arg, 0x5a, sizeof(struct kvm_xsave));
                return 0;
        case KVM_TRANSLATE: {
                struct kvm_translation *translation = arg;

                translation->valid = translation->linear_address < 0x1000;
                translation->physical_address = translation->linear_address + 0x100000;
                return 0;
        }
        case KVM_SET_CPUID2: {
                const struct kvm_cpuid2 *cpuid = arg;

                for (uint32_t i = 0; i < cpuid->nent; i++)
                        if (cpuid->entries[i].function == 1)
                                vcpu->apic_id = cpuid->entries[i].ebx >> 24;
                return 0;
        }
        default:
                CHECK(!"an ioctl of a vCPU that is known");
                return -1;
        }
}

static inline int fake_cpuid(struct kvm_cpuid2 *cpuid)
{
        static const uint32_t functions[] = {0, 1, 0xb, 0x40000000, 0x40000001};

        CHECK(cpuid->nent >= ARRAY_SIZE(functions));
        cpuid->nent = ARRAY_SIZE(functions);
        for (uint32_t i = 0; i < cpuid->nent; i++)
                cpuid->entries[i] = (struct kvm_cpuid_entry2){
                        .function = functions[i], .eax = ~0u, .ebx = ~0u, .ecx = ~0u, .edx = ~0u};
        return 0;
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
        if (request == atomic_load(&kvm_fake.fail_request) &&
            atomic_fetch_sub(&kvm_fake.fail_after, 1) == 0) {
                atomic_store(&kvm_fake.fail_request, 0);
                errno = atomic_load(&kvm_fake.fail_errno);
                return -1;
        }
        switch (request) {
        case KVM_GET_API_VERSION:
                return KVM_API_VERSION;
        case KVM_CHECK_EXTENSION:
                if ((unsigned long)arg == kvm_fake.missing_cap)
                        return 0;
                return (unsigned long)arg == KVM_CAP_MAX_VCPUS ? (int)FAKE_CPUS_MAX : 1;
        case KVM_GET_VCPU_MMAP_SIZE:
                return FAKE_RUN_SIZE;
        case KVM_GET_SUPPORTED_CPUID:
                return fake_cpuid(arg);
        case KVM_CREATE_VM:
                kvm_fake.vms++;
                return memfd_create("fake-vm", MFD_CLOEXEC);
        case KVM_SET_IDENTITY_MAP_ADDR:
        case KVM_SET_TSS_ADDR:
                return 0;
        case KVM_SET_USER_MEMORY_REGION:
                kvm_fake.regions++;
                return 0;
        case KVM_CREATE_IRQCHIP:
                kvm_fake.chips++;
                return 0;
        case KVM_CREATE_PIT2:
                kvm_fake.pits++;
                return 0;
        case KVM_IRQ_LINE:
                kvm_fake.irq = *(const struct kvm_irq_level *)arg;
                atomic_fetch_add(&kvm_fake.irq_lines, 1);
                return 0;
        case KVM_CREATE_VCPU:
                return fake_create_vcpu((uint32_t)(uintptr_t)arg);
        default:
                return fake_vcpu_ioctl(fake_vcpu_of(fd), request, arg);
        }
}

/* ---- a machine on it ---- */

static struct machine *machine;
static struct machine_text text;

static inline void fake_fail(unsigned long request, int error, uint32_t after)
{
        atomic_store(&kvm_fake.fail_errno, error);
        atomic_store(&kvm_fake.fail_after, after);
        atomic_store(&kvm_fake.fail_request, request);
}

static inline struct machine_settings kvm_fake_settings(void)
{
        struct machine_settings settings;

        machine_settings_init(&settings);
        settings.backend = &machine_backend_kvm;
        settings.memory_bytes = 1u << 20;
        (void)snprintf(settings.image, sizeof(settings.image), "%s", file_with("\xf4\xeb\xfd", 3));
        (void)snprintf(settings.console, sizeof(settings.console), "none");
        return settings;
}

static inline int fake_machine_new(uint32_t cpus, const struct machine_settings *settings)
{
        const struct machine_hooks hooks = {.log = log_kept};

        machine = NULL;
        logged[0] = '\0';
        text.line[0] = '\0';
        return machine_new(settings, cpus, &hooks, &machine, &text);
}

/* One vCPU, made on this thread, as if it were its EMT. */
static inline void fake_machine_one(enum machine_irqchip irqchip)
{
        struct machine_settings settings = kvm_fake_settings();

        settings.irqchip = irqchip;
        assert_int_equal(fake_machine_new(1, &settings), 0);
        assert_int_equal(kvm_vcpu_init(machine, 0), 0);
}

static inline int fake_kvm_start(void **state)
{
        (void)state;
        memset(&kvm_fake, 0, sizeof(kvm_fake));
        return 0;
}

static inline int fake_kvm_end(void **state)
{
        (void)state;
        if (machine) {
                for (uint32_t i = 0; i < machine->cpus; i++)
                        kvm_vcpu_fini(machine, i);
                (void)machine_close(machine, UINT64_MAX);
                machine = machine_free(machine);
        }
        for (uint32_t i = 0; i < FAKE_CPUS_MAX; i++)
                if (kvm_fake.vcpu[i].run)
                        (void)munmap(kvm_fake.vcpu[i].run, FAKE_RUN_SIZE);
        return 0;
}
