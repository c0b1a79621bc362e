/* SPDX-License-Identifier: MIT */
/* A VM with four EMTs in one's own program, and every kind of call.
 * cc -o embed embed.c $(pkg-config --cflags --libs vmreq) */
#include <stdio.h>
#include <vmreq.h>

/* Callees.  Each runs on an EMT; a negative status is a failure. */
static int32_t add(int32_t a, int32_t b)
{
        return a + b;
}
static void say(const char *text)
{
        printf("said %s\n", text);
}
static int32_t hold(void)
{
        return vmreq_park(VMREQ_FOREVER);
} /* until vmreq_unpark */
static int32_t meet(void *ctx, uint32_t cpu)
{
        return *(uint32_t *)ctx += cpu, 0;
}
static int32_t ask(uint32_t vm,
                   uint32_t cpu) /* an EMT asks another one, and serves while it waits */
{
        return vmreq_call_wait((vmreq_vm){vm}, cpu, (vmreq_fn)add, 2, VMREQ_W(20), VMREQ_W(3));
}
static int32_t scale(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        return reply->value = (uint64_t)(*(double *)ctx * (double)args[argc - 1]), 0;
}
static void done(void *user, const struct vmreq_result *result)
{
        *(uint64_t *)user = result->row.value;
}

int main(void)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct vmreq_spec spec = VMREQ_SPEC_INIT, slow, all;
        uint64_t args[2] = {40, 2}, value = 0;
        double factor = 1.5;
        struct vmreq_row row, rows[4];
        struct vmreq_emt_info info;
        uint32_t n, sum = 0;
        vmreq_handle h;
        vmreq_vm vm;

        config.cpus = 4;
        if (vmreq_vm_create(&config, &vm))
                return 1;
        /* Wait: on one EMT, on whichever is free, on one that asks another. */
        printf("one %d\n", vmreq_call_wait(vm, 1, (vmreq_fn)add, 2, VMREQ_W(40), VMREQ_W(2)));
        printf("any %d\n",
               vmreq_call_wait(vm, VMREQ_CPU_ANY, (vmreq_fn)add, 2, VMREQ_W(-50), VMREQ_W(2)));
        printf("asks %d\n", vmreq_call_wait(vm, 1, (vmreq_fn)ask, 2, VMREQ_W(vm.id), VMREQ_W(2)));
        /* Do not wait.  EMT 0 is held meanwhile: the urgent one overtakes. */
        vmreq_call_nowait(vm, 0, (vmreq_fn)hold, 0);
        while (!vmreq_emt_info(vm, 0, &info) && info.state != VMREQ_EMT_RUNNING)
                ;
        vmreq_call_void_nowait(vm, 0, (vmreq_fn)say, 1, VMREQ_W((uintptr_t) "normal"));
        vmreq_priority_call_void_nowait(vm, 0, (vmreq_fn)say, 1, VMREQ_W((uintptr_t) "urgent"));
        /* Submit now, wait later; here EMT 0 never gets to it, so take it back. */
        int early = vmreq_call(vm, 0, &h, 0, 0, (vmreq_fn)add, 2, VMREQ_W(1), VMREQ_W(2));
        printf("early %s, cancel %s\n", vmreq_error_name(early),
               vmreq_verdict_name(vmreq_cancel(h)));
        vmreq_free(h);
        /* A deadline that passes in the queue: the callee never runs. */
        slow = spec, slow.cpu = 0, slow.kind = VMREQ_FN_STATUS, slow.fn = (vmreq_fn)hold;
        slow.deadline_ns = vmreq_now() + 20000000;
        if (vmreq_submit(vm, &slow, &h) || vmreq_wait(h, VMREQ_FOREVER) ||
            vmreq_status(h, NULL, &row))
                return 1;
        printf("late %s\n", vmreq_fate_name(row.fate));
        vmreq_free(h);
        vmreq_unpark(vm, 0);
        vmreq_call_void_wait(vm, 0, (vmreq_fn)say, 1, VMREQ_W((uintptr_t) "last"));
        /* A callback with a context and a hook, in two steps. */
        spec.kind = VMREQ_FN_CALLBACK, spec.callback = scale, spec.ctx = &factor;
        spec.args = args, spec.argc = 2, spec.complete = done, spec.user = &value, spec.cpu = 3;
        if (vmreq_alloc(vm, &spec, &h) || vmreq_queue(h, VMREQ_FOREVER) ||
            vmreq_status(h, NULL, &row))
                return 1;
        printf("callback %d\n", (int)row.value);
        vmreq_free(h);
        /* Every EMT, EMT 3 first (with VMREQ_PARALLEL: all at once): a row for each. */
        all = spec, all.cpu = VMREQ_CPU_ALL_REVERSE, all.complete = NULL;
        if (vmreq_submit(vm, &all, &h) || vmreq_wait(h, VMREQ_FOREVER) ||
            vmreq_rows(h, rows, 4, &n))
                return 1;
        for (uint32_t i = 0; i < n; i++)
                printf("row %u %s %d\n", rows[i].cpu, vmreq_fate_name(rows[i].fate),
                       (int)rows[i].value);
        vmreq_free(h);
        /* All EMTs meet; one after the other runs a function. */
        int met = vmreq_rendezvous(vm, VMREQ_RENDEZVOUS_ASCENDING, 0, 0, meet, &sum, NULL, 0);
        printf("rendezvous %s, sum %u\n", vmreq_error_name(met), sum);
        if (vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0))
                return 1;
        printf("hook %d\n",
               (int)value); /* hooks may run after the wait, never after the EMTs' end */
        return vmreq_vm_free(vm);
}
