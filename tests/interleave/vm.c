/* SPDX-License-Identifier: MIT */
#include "interleave/vm.h"

const char *const scene_inside_lanes[] = {
        "full_load",  "tail_load",    "room_seen",    "room_head", "room_store", "tail_again",
        "fill_load",  "fill_place",   "take_head",    "take_seen", "take_tail",  "take_note",
        "take_entry", "pending_head", "pending_seen", NULL};

vmreq_vm scene_vm;
struct vm *scene_inside;

static uint32_t n_ran;

static void service_wake(void *ctx, uint64_t due_ns)
{
        (void)ctx;
        (void)due_ns;
}

void scene_begin(uint32_t cpus, uint32_t lane_capacity, uint32_t slab,
                 const struct vmreq_backend *backend)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        n_ran = 0;
        config.cpus = cpus;
        config.lane_capacity = lane_capacity;
        config.slab = slab;
        config.flags = VMREQ_CONFIG_ATTACH;
        config.spin_ns = VMREQ_FOREVER; /* not at all */
        config.service_wake = service_wake;
        config.backend = backend;
        STEP_CHECK(vmreq_vm_create(&config, &scene_vm) == 0);
        scene_inside = vm_pin(scene_vm.id);
        STEP_CHECK(scene_inside);
        vm_unpin(scene_inside);
}

void scene_end(void)
{
        struct vmreq_stats stats;

        STEP_CHECK(vmreq_vm_stop(scene_vm, VMREQ_FOREVER, NULL, 0) == 0);
        STEP_CHECK(vmreq_vm_stats(scene_vm, &stats) == 0);
        STEP_CHECK(stats.in_use == 0);
        for (uint32_t i = 0; i < scene_inside->slab_size; i++)
                STEP_CHECK(atomic_load(&scene_inside->due[i]) == 0);
        STEP_CHECK(vmreq_vm_free(scene_vm) == 0);
}

static int32_t callee(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        struct scene_request *request = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        vm_step_hook("callee");
        STEP_CHECK(request->released == 0 && request->completed == 0);
        request->ran++;
        request->order = ++n_ran;
        if (request->callee)
                request->callee();
        vm_step_hook("callee_ends");
        STEP_CHECK(request->released == 0 && request->completed == 0);
        return 0;
}

static void completed(void *user, const struct vmreq_result *result)
{
        struct scene_request *request = user;

        STEP_CHECK(request->released == 0);
        request->completed++;
        request->fate = result->row.fate;
}

static void released(void *user)
{
        struct scene_request *request = user;

        STEP_CHECK(request->completed == 1);
        request->released++;
}

struct vmreq_spec scene_spec(struct scene_request *request, uint32_t cpu, uint32_t flags)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;

        spec.cpu = cpu;
        spec.flags = flags;
        spec.kind = VMREQ_FN_CALLBACK;
        spec.callback = callee;
        spec.ctx = request;
        spec.user = request;
        spec.complete = completed;
        spec.release = released;
        return spec;
}

void scene_submit(struct scene_request *request, uint32_t cpu, uint32_t flags)
{
        struct vmreq_spec spec = scene_spec(request, cpu, flags);

        STEP_CHECK(vmreq_submit(scene_vm, &spec, &request->handle) == 0);
}

void scene_check(const struct scene_request *request)
{
        STEP_CHECK(request->completed == 1 && request->released == 1);
        STEP_CHECK(request->ran == (request->fate == VMREQ_FATE_DONE));
}

void scene_check_refused(const struct scene_request *request)
{
        STEP_CHECK(request->completed == 0 && request->released == 0 && request->ran == 0);
}

void scene_emt(uint32_t cpu)
{
        int n = vmreq_emt_attach(scene_vm, cpu);

        if (n == VMREQ_E_CLOSED)
                return; /* all is over */
        STEP_CHECK(n == 0);
        while ((n = vmreq_process(scene_vm, 0)) != VMREQ_E_CLOSED) {
                STEP_CHECK(n >= 0);
                if (n == 0)
                        STEP_CHECK(vmreq_halt(scene_vm, VMREQ_FOREVER) == 0);
        }
        STEP_CHECK(vmreq_emt_detach(scene_vm) == 0);
}

void scene_emt_turns(uint32_t cpu, uint32_t n)
{
        STEP_CHECK(vmreq_emt_attach(scene_vm, cpu) == 0);
        while (n--)
                STEP_CHECK(vmreq_process(scene_vm, 0) >= 0);
        STEP_CHECK(vmreq_emt_detach(scene_vm) == 0);
}
