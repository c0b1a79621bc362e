/* SPDX-License-Identifier: MIT */
/*
 * Kicks into a real guest that spins: every request with POKE is served, though nothing but its
 * kick brings the vCPU out (lazy_poke_ms = 0).  A kick that is lost is a request that never ends,
 * and the alarm, which each hundred of requests sets anew, says so.
 *
 *      stress-kvm GUESTS-FOLDER [KICKS]
 *
 * Two vCPUs spin; requests go to each in turn, to ANY, and to both at once, so that kicks meet
 * entries, exits and each other at all distances.  A machine that is busy with other things ends a
 * round by its time, and says how many kicks that were.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "machine/machine.h"

#define GET_API_VERSION    0xae00 /* of /dev/kvm; this file is built without its header too */
#define CPUS_MAX           2u
#define ALARM_S            60u /* for REQUESTS_PER_ALARM */
#define REQUESTS_PER_ALARM 100u
#define ROUND_NS           (UINT64_C(60000000000)) /* four rounds stay within the test's TIMEOUT */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define KICKS_DEFAULT 10000u
#else
#define KICKS_DEFAULT 100000u
#endif

static struct machine *machine;
static vmreq_vm vm;
static uint32_t n_cpus;
static _Atomic uint64_t ran;

static void callee(void)
{
        atomic_fetch_add_explicit(&ran, 1, memory_order_relaxed);
}

static void no_log(void *ctx, int level, const char *text)
{
        (void)ctx;
        (void)level;
        (void)text;
}

static void start(const char *folder, const char *irqchip)
{
        const struct machine_hooks hooks = {.log = no_log};
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct machine_settings settings;
        struct machine_text text;

        machine_settings_init(&settings);
        CHECK(machine_settings_set_backend(&settings, "kvm", text.line, sizeof(text.line)));
        CHECK(machine_settings_set(&settings, "irqchip", irqchip, text.line, sizeof(text.line)));
        (void)snprintf(settings.image, sizeof(settings.image), "%s/count.elf", folder);
        (void)snprintf(settings.console, sizeof(settings.console), "none");
        settings.memory_bytes = 8u << 20;
        if (machine_new(&settings, n_cpus, &hooks, &machine, &text)) {
                fprintf(stderr, "stress-kvm: %s\n", text.line);
                exit(1);
        }
        config.cpus = n_cpus;
        config.backend = machine_engine(machine);
        config.lazy_poke_ms = 0;
        CHECK(vmreq_vm_create(&config, &vm) == 0);
        machine_set_vm(machine, vm);
        CHECK(vmreq_vm_change(vm, VMREQ_EVENT_POWER_ON, 0, NULL, NULL) == 0);
}

static void stop(void)
{
        CHECK(vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0) == 0);
        CHECK(vmreq_vm_free(vm) == 0);
        CHECK(machine_close(machine, UINT64_MAX));
        machine = machine_free(machine);
}

static uint64_t kicked(void)
{
        uint64_t n = 0;

        for (uint32_t cpu = 0; cpu < n_cpus; cpu++) {
                struct vmreq_emt_info info;

                CHECK(vmreq_emt_info(vm, cpu, &info) == 0);
                n += info.kicks;
        }
        return n;
}

/* Mostly the request is to find the vCPU in the guest; now and then it meets it on its way there.
 */
static void let_it_enter(uint32_t i, uint32_t cpu)
{
        struct vmreq_emt_info info;

        do
                CHECK(vmreq_emt_info(vm, cpu < n_cpus ? cpu : 0, &info) == 0);
        while (i % 8 && info.state != VMREQ_EMT_GUEST);
}

/* One request, or one to each vCPU at once; how many callees must run. */
static uint64_t one(uint32_t i)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY, VMREQ_CPU_ALL};
        uint32_t cpu = n_cpus == 1 ? 0 : cpus[i % 4], flags = VMREQ_POKE | VMREQ_VOID;
        vmreq_handle handle;

        if (cpu == VMREQ_CPU_ALL)
                flags |= VMREQ_PARALLEL;
        let_it_enter(i, cpu);
        CHECK(vmreq_call(vm, cpu, &handle, VMREQ_FOREVER, flags, (vmreq_fn)callee, 0) == 0);
        CHECK(vmreq_free(handle) == 0);
        return cpu == VMREQ_CPU_ALL ? n_cpus : 1;
}

static void run(const char *folder, const char *irqchip, uint32_t cpus, uint64_t kicks)
{
        uint64_t expected = 0, began = clock_now_ns(), requests = 0;

        atomic_store_explicit(&ran, 0, memory_order_relaxed);
        n_cpus = cpus;
        start(folder, irqchip);
        while (kicked() < kicks && clock_now_ns() - began < ROUND_NS) {
                if (requests % REQUESTS_PER_ALARM == 0)
                        (void)alarm(ALARM_S);
                expected += one((uint32_t)requests++);
                CHECK(atomic_load_explicit(&ran, memory_order_relaxed) == expected);
        }
        printf("irqchip=%s, %u vCPUs: %llu requests, %llu kicks of %llu, none lost, %.1f us each\n",
               irqchip, cpus, (unsigned long long)requests, (unsigned long long)kicked(),
               (unsigned long long)kicks,
               (double)(clock_now_ns() - began) / (double)requests / 1000);
        (void)fflush(stdout);
        stop();
}

/* Why no guest can run here; NULL: one can. */
static const char *reason_to_skip(const char *folder)
{
        const char *reason = NULL;
        int fd;

        if (access(folder, X_OK))
                return "this build has no KVM backend";
        fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        if (fd < 0 || ioctl(fd, GET_API_VERSION, 0) < 0)
                reason = strerror(errno);
        if (fd >= 0)
                (void)close(fd);
        return reason;
}

int main(int argc, char **argv)
{
        uint64_t kicks = argc > 2 ? strtoull(argv[2], NULL, 10) : KICKS_DEFAULT;
        const char *reason;

        if (argc < 2) {
                fprintf(stderr, "usage: stress-kvm GUESTS-FOLDER [KICKS]\n");
                return 2;
        }
        reason = reason_to_skip(argv[1]);
        if (reason) {
                printf("skipped: no guest can run here: %s\n", reason);
                return 77;
        }
        run(argv[1], "off", 1, kicks / 2);
        run(argv[1], "kernel", 1, kicks / 2);
        run(argv[1], "off", CPUS_MAX, kicks / 100);
        run(argv[1], "kernel", CPUS_MAX, kicks / 100);
        return 0;
}
