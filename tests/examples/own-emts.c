/* SPDX-License-Identifier: MIT */
/*
 * EMTs that are the program's own threads, as in a VMM that owns its vCPU threads already: each
 * attaches, then loops over requests, its guest and sleep, until the VM is closed.
 *
 *      cc -o own-emts own-emts.c -pthread $(pkg-config --cflags --libs vmreq)
 *
 * The guest is a toy: it counts, and leaves when it is kicked.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <vmreq.h>

#define CPUS 2u

struct toy {
        _Atomic int kicked;
        _Atomic uint64_t steps;
};

static struct toy toys[CPUS];
static vmreq_vm vm;

/* ---- the backend ---- */

/* A kick that came before the guest was entered is kept in `kicked`: the next run returns at once.
 */
static int toy_run(void *ctx, uint32_t cpu, const char **ret_reason)
{
        struct toy *toy = (struct toy *)ctx + cpu;

        (void)ret_reason;
        while (!atomic_exchange_explicit(&toy->kicked, 0, memory_order_acquire))
                atomic_fetch_add_explicit(&toy->steps, 1, memory_order_relaxed);
        return VMREQ_EXIT_AGAIN;
}

static void toy_kick(void *ctx, uint32_t cpu)
{
        struct toy *toy = (struct toy *)ctx + cpu;

        atomic_store_explicit(&toy->kicked, 1, memory_order_release);
}

/* ---- an EMT ---- */

static void *emt(void *arg)
{
        uint32_t cpu = (uint32_t)((struct toy *)arg - toys);
        const char *reason = NULL;

        if (vmreq_emt_attach(vm, cpu))
                return NULL;
        while (vmreq_process(vm, 0) != VMREQ_E_CLOSED) {
                if (vmreq_guest_enter(vm) == VMREQ_OK) {
                        (void)toy_run(toys, cpu, &reason);
                        (void)vmreq_guest_leave(vm);
                } else {
                        /* Not RUNNING, or something is pending; then this returns at once. */
                        (void)vmreq_halt(vm, VMREQ_FOREVER);
                }
        }
        (void)vmreq_emt_detach(vm);
        return arg;
}

/* ---- callees ---- */

static uint32_t whoami(void)
{
        return vmreq_emt_self(vm);
}

/* A long callee lets others in between: here until somebody has queued `leave`. */
static _Atomic int left;

static int32_t stay(void)
{
        int32_t served = 0;

        while (!atomic_load_explicit(&left, memory_order_relaxed)) {
                served += vmreq_process(vm, 0);
                if (!vmreq_pending(vm) && !atomic_load_explicit(&left, memory_order_relaxed))
                        (void)vmreq_halt(vm, VMREQ_FOREVER);
        }
        return served;
}

static void leave(void)
{
        atomic_store_explicit(&left, 1, memory_order_relaxed);
}

static int call(uint32_t cpu, uint32_t flags, vmreq_fn fn, vmreq_handle *ret_handle)
{
        return vmreq_call(vm, cpu, ret_handle, VMREQ_FOREVER, flags, fn, 0);
}

/* Calls into the running guest: `flags` says whether it is taken out at once or left alone for a
 * while. */
static void call_guest(const char *what, uint32_t flags)
{
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                struct vmreq_row row = {0};
                vmreq_handle handle;
                int r = call(cpu, flags, (vmreq_fn)whoami, &handle);

                (void)vmreq_status(handle, NULL, &row);
                printf("%s %u: %s, status %d\n", what, cpu, vmreq_error_name(r), (int)row.status);
                (void)vmreq_free(handle);
        }
}

static int change(enum vmreq_vm_event event)
{
        int r = vmreq_vm_change(vm, event, 0, NULL, NULL);

        printf("%s: %s, %s\n", vmreq_vm_event_name(event), vmreq_error_name(r),
               vmreq_vm_state_name(vmreq_vm_state(vm)));
        return r;
}

static int run(void)
{
        vmreq_handle handle = VMREQ_HANDLE_NONE;
        int r;

        /* Served in every state; before a thread has attached, a request waits for it. */
        call_guest("before the guest runs", 0);
        if (change(VMREQ_EVENT_POWER_ON))
                return 1;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                while (!atomic_load_explicit(&toys[cpu].steps, memory_order_relaxed))
                        (void)sched_yield(); /* until the guest has run */
        call_guest("into the guest, now", VMREQ_POKE);
        call_guest("into the guest, within 10 ms", 0);
        r = vmreq_call(vm, 0, &handle, 0, VMREQ_POKE, (vmreq_fn)stay, 0);
        (void)vmreq_call_void_wait(vm, 0, (vmreq_fn)leave, 0);
        (void)vmreq_wait(handle, VMREQ_FOREVER);
        (void)vmreq_free(handle);
        printf("a callee that serves: %s\n",
               r && r != VMREQ_E_TIMEOUT ? vmreq_error_name(r) : "OK");
        return change(VMREQ_EVENT_SUSPEND);
}

int main(void)
{
        struct vmreq_backend backend = VMREQ_BACKEND_INIT;
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        pthread_t threads[CPUS];
        uint32_t n = 0;
        int r;

        backend.ctx = toys;
        backend.run = toy_run;
        backend.kick = toy_kick;
        config.cpus = CPUS;
        config.flags = VMREQ_CONFIG_ATTACH;
        config.backend = &backend;
        if (vmreq_vm_create(&config, &vm))
                return 1;
        while (n < CPUS && !pthread_create(&threads[n], NULL, emt, &toys[n]))
                n++;
        r = n < CPUS || run();
        /* Tells the EMTs to end, and waits until they have detached. */
        r |= vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0) != VMREQ_OK;
        for (uint32_t i = 0; i < n; i++)
                (void)pthread_join(threads[i], NULL);
        r |= vmreq_vm_free(vm) != VMREQ_OK;
        printf("stopped: %s\n", r ? "no" : "yes");
        return r;
}
