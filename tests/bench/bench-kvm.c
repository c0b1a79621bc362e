/* SPDX-License-Identifier: MIT */
/*
 * Row 11: a request with POKE into a guest that counts without end, against a signal to a thread in
 * KVM_RUN and back; 7 alternating rounds, both pinned alike, the same guest in both.
 *
 * Each round trip begins when the guest has counted since the last one, so that it is inside:
 *
 *   ours    vmreq_call with POKE: lane, kick, exit, callee, completion, the caller goes on
 *   floor   immediate_exit, tgkill, exit, a word set (and its futex woken), the caller goes on
 *
 * once with callers that spin for the answer and once with callers that sleep.  The floor has none
 * of what an engine is for; it is what Linux takes for getting a thread out of a guest at all.
 *
 * Beside the median of a round's trips stands its fastest tenth, which says more on a busy host.
 * Prints medians of the rounds and their spread; never fails on speed.  Without /dev/kvm it says
 * what is missing, and exits 77.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine/machine.h"
#include "pin.h"

#define ROUNDS  7
#define TRIPS   2000u
#define WARM_UP 200u
#define ENTRY   0x7c00u /* where the guest's code is, and where it counts */
#define COUNTER 0x600u
#define MEMORY  (2u << 20)

/* inc word [0x600]; jmp back */
static const uint8_t code[] = {0xff, 0x06, 0x00, 0x06, 0xeb, 0xfa};

static void die(const char *what)
{
        fprintf(stderr, "bench-kvm: %s: %s\n", what, strerror(errno));
        exit(1);
}

/* Until the guest has counted on: it runs.  The bound is for one that does not. */
static void until_it_counts(const _Atomic uint16_t *counter)
{
        uint16_t before = atomic_load_explicit(counter, memory_order_relaxed);
        uint64_t end = vmreq_now() + UINT64_C(20000000000);

        while (atomic_load_explicit(counter, memory_order_relaxed) == before) {
                if (vmreq_now() > end) {
                        errno = ETIMEDOUT;
                        die("the guest does not run");
                }
                __builtin_ia32_pause();
        }
}

/* ---- the floor ---- */

static struct {
        int fd;
        struct kvm_run *run;
        uint8_t *memory;
        _Atomic uint32_t asked, answered;
        _Atomic bool stop, sleeping;
        _Atomic pid_t tid;
} plain;

static void on_signal(int number)
{
        (void)number;
}

/* As a vCPU's thread does it: leave, clear, look, answer. */
static void *plain_vcpu(void *arg)
{
        uint32_t answered = 0;

        (void)arg;
        pin(1);
        atomic_store_explicit(&plain.tid, (pid_t)syscall(SYS_gettid), memory_order_release);
        while (!atomic_load_explicit(&plain.stop, memory_order_acquire)) {
                uint32_t asked;

                if (ioctl(plain.fd, KVM_RUN, 0) == 0 || (errno != EINTR && errno != EAGAIN))
                        die("KVM_RUN");
                plain.run->immediate_exit = 0;
                asked = atomic_load_explicit(&plain.asked, memory_order_acquire);
                if (asked == answered)
                        continue;
                answered = asked;
                atomic_store_explicit(&plain.answered, answered, memory_order_release);
                if (atomic_load_explicit(&plain.sleeping, memory_order_relaxed))
                        (void)syscall(SYS_futex, &plain.answered, FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
                                      0);
        }
        return NULL;
}

static void plain_trip(uint32_t number)
{
        pid_t tid = atomic_load_explicit(&plain.tid, memory_order_acquire);
        uint32_t seen;

        atomic_store_explicit(&plain.asked, number, memory_order_release);
        plain.run->immediate_exit = 1;
        (void)syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
        while ((seen = atomic_load_explicit(&plain.answered, memory_order_acquire)) != number) {
                if (atomic_load_explicit(&plain.sleeping, memory_order_relaxed))
                        (void)syscall(SYS_futex, &plain.answered, FUTEX_WAIT_PRIVATE, seen, NULL,
                                      NULL, 0);
                else
                        __builtin_ia32_pause();
        }
}

static void plain_open(int kvm)
{
        struct kvm_userspace_memory_region region = {.memory_size = MEMORY};
        struct kvm_regs regs = {.rip = ENTRY, .rflags = 2};
        int vm = ioctl(kvm, KVM_CREATE_VM, 0), size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
        struct kvm_sregs sregs;

        plain.memory =
                mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (vm < 0 || size < 0 || plain.memory == MAP_FAILED)
                die("the floor's VM");
        memcpy(plain.memory + ENTRY, code, sizeof(code));
        region.userspace_addr = (uintptr_t)plain.memory;
        if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
                die("the floor's memory");
        plain.fd = ioctl(vm, KVM_CREATE_VCPU, 0);
        plain.run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, plain.fd, 0);
        if (plain.fd < 0 || plain.run == MAP_FAILED || ioctl(plain.fd, KVM_GET_SREGS, &sregs))
                die("the floor's vCPU");
        sregs.cs.base = sregs.cs.selector = 0;
        if (ioctl(plain.fd, KVM_SET_SREGS, &sregs) || ioctl(plain.fd, KVM_SET_REGS, &regs))
                die("the floor's registers");
}

/* One round's trips, in ns: what half of them took at most, and what a tenth did. */
struct figures {
        double half, tenth;
};

static double trips[TRIPS];

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return x < y ? -1 : x > y;
}

static struct figures figures_of_trips(void)
{
        qsort(trips, TRIPS, sizeof(trips[0]), compare);
        return (struct figures){trips[TRIPS / 2], trips[TRIPS / 10]};
}

static struct figures plain_round(bool sleeping)
{
        const _Atomic uint16_t *counter = (const void *)(plain.memory + COUNTER);
        uint64_t began;
        pthread_t thread;

        atomic_store(&plain.stop, false);
        atomic_store(&plain.sleeping, sleeping);
        atomic_store(&plain.asked, 0);
        atomic_store(&plain.answered, 0);
        pin(0);
        if (pthread_create(&thread, NULL, plain_vcpu, NULL))
                die("thread");
        for (uint32_t i = 1; i <= WARM_UP + TRIPS; i++) {
                until_it_counts(counter);
                began = vmreq_now();
                plain_trip(i);
                if (i > WARM_UP)
                        trips[i - WARM_UP - 1] = (double)(vmreq_now() - began);
        }
        atomic_store_explicit(&plain.stop, true, memory_order_release);
        plain_trip(UINT32_MAX);
        (void)pthread_join(thread, NULL);
        return figures_of_trips();
}

/* ---- ours ---- */

static void no_log(void *ctx, int level, const char *text)
{
        (void)ctx;
        (void)level;
        (void)text;
}

static int32_t pin_emt(void)
{
        pin(1);
        return 0;
}

static int32_t nothing(void)
{
        return 0;
}

static struct machine *machine_open(const char *image)
{
        const struct machine_hooks hooks = {.log = no_log};
        struct machine_settings settings;
        struct machine *machine = NULL;
        struct machine_text text;

        machine_settings_init(&settings);
        if (!machine_settings_set_backend(&settings, "kvm", text.line, sizeof(text.line)))
                die(text.line);
        (void)snprintf(settings.image, sizeof(settings.image), "%s", image);
        (void)snprintf(settings.console, sizeof(settings.console), "none");
        settings.memory_bytes = MEMORY;
        if (machine_new(&settings, 1, &hooks, &machine, &text))
                die(text.line);
        return machine;
}

/* Who spins asks again and again; who sleeps waits. */
static void trip(vmreq_vm vm, int32_t (*callee)(void), bool sleeping)
{
        uint64_t wait_ns = sleeping ? VMREQ_FOREVER : 0;
        vmreq_handle handle;
        int r = vmreq_call(vm, 0, &handle, wait_ns, VMREQ_POKE, (vmreq_fn)callee, 0);

        while (r == VMREQ_E_TIMEOUT) {
                __builtin_ia32_pause();
                r = vmreq_wait(handle, 0);
        }
        if (r || vmreq_free(handle))
                die("a request");
}

static struct figures our_round(const char *image, bool sleeping)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct machine *machine;
        const _Atomic uint16_t *counter;
        uint64_t began;
        vmreq_vm vm;

        unpin();
        machine = machine_open(image);
        config.backend = machine_engine(machine);
        config.lazy_poke_ms = 0;
        config.spin_ns = sleeping ? VMREQ_FOREVER : 1000000;
        if (vmreq_vm_create(&config, &vm))
                die(machine_fault(machine));
        machine_set_vm(machine, vm);
        if (vmreq_vm_change(vm, VMREQ_EVENT_POWER_ON, 0, NULL, NULL))
                die("power on");
        counter = memory_at(machine_memory(machine), COUNTER, 2);
        pin(0);
        trip(vm, pin_emt, true);
        for (uint32_t i = 1; i <= WARM_UP + TRIPS; i++) {
                until_it_counts(counter);
                began = vmreq_now();
                trip(vm, nothing, sleeping);
                if (i > WARM_UP)
                        trips[i - WARM_UP - 1] = (double)(vmreq_now() - began);
        }
        if (vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0) || vmreq_vm_free(vm) ||
            !machine_close(machine, UINT64_MAX))
                die("the end");
        machine = machine_free(machine);
        return figures_of_trips();
}

/* ---- the rows ---- */

static void print_row(const char *what, double *ours, double *theirs)
{
        double ratio[ROUNDS];

        for (int i = 0; i < ROUNDS; i++)
                ratio[i] = ours[i] / theirs[i];
        qsort(ours, ROUNDS, sizeof(double), compare);
        qsort(theirs, ROUNDS, sizeof(double), compare);
        qsort(ratio, ROUNDS, sizeof(double), compare);
        printf("%-3s %-46s ours %10.1f  peer %10.1f %-6s ratio %.2f (%.2f..%.2f)  target <= 1.3\n",
               "11", what, ours[ROUNDS / 2], theirs[ROUNDS / 2], "ns", ratio[ROUNDS / 2], ratio[0],
               ratio[ROUNDS - 1]);
        (void)fflush(stdout);
}

static void rows(const char *image, bool sleeping)
{
        double ours[2][ROUNDS], theirs[2][ROUNDS];

        for (int i = 0; i < ROUNDS; i++) {
                struct figures peer = plain_round(sleeping), own = our_round(image, sleeping);

                theirs[0][i] = peer.half;
                theirs[1][i] = peer.tenth;
                ours[0][i] = own.half;
                ours[1][i] = own.tenth;
        }
        print_row(sleeping ? "POKE into a guest / signal, callers sleep"
                           : "POKE into a guest / signal, callers spin",
                  ours[0], theirs[0]);
        print_row("the same, the fastest tenth of the trips", ours[1], theirs[1]);
}

int main(void)
{
        char image[] = "/tmp/bench-kvm-XXXXXX";
        struct sigaction action = {.sa_handler = on_signal};
        int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), fd;

        if (kvm < 0 || ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
                printf("%-3s missing: /dev/kvm: %s\n", "11", strerror(errno));
                return 77;
        }
        (void)pin_begin(); /* one processor: then both are there */
        fd = mkstemp(image);
        if (fd < 0 || write(fd, code, sizeof(code)) != sizeof(code))
                die(image);
        (void)sigaction(SIGUSR1, &action, NULL);
        plain_open(kvm);
        rows(image, false);
        rows(image, true);
        (void)unlink(image);
        return 0;
}
