/* SPDX-License-Identifier: MIT */
/*
 * Bad input to each public function: a clear error, and nothing lost.  Nothing here may crash,
 * block, or change what the VM holds; at the end of each test the VM has the packets that it had,
 * and serves.  unit/vm/api.py sees that each function of the header is named here.
 */
#include "defects/defects.h"

#define CPUS 2u

static vmreq_vm id;

/* What is no VM: never one, not yet one, one no more. */
static vmreq_vm no_vms[3];

static int32_t add(int32_t a, int32_t b)
{
        return a + b;
}

static int setup(void **state)
{
        (void)state;
        no_vms[0] = (vmreq_vm){0};
        no_vms[1] = (vmreq_vm){UINT32_MAX};
        no_vms[2] = engine_new(1);
        engine_end(no_vms[2]);
        id = engine_new(CPUS);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        engine_until_home(id);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(
                        vmreq_call_wait(id, cpu, (vmreq_fn)add, 2, VMREQ_W(-50), VMREQ_W(2)), -48);
        assert_whole_slab(id);
        engine_end(id);
        return 0;
}

/* ---- the VM ---- */

static void bad_vms_to_what_takes_one(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(no_vms); i++) {
                const vmreq_vm none = no_vms[i];
                struct vmreq_spec spec = VMREQ_SPEC_INIT;
                struct vmreq_emt_stats emt_stats;
                struct vmreq_emt_info info;
                struct vmreq_stats stats;
                vmreq_handle handle;
                uint32_t number;

                spec.fn = (vmreq_fn)add;
                assert_int_equal(vmreq_vm_close(none), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_vm_stop(none, VMREQ_FOREVER, NULL, 0), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_vm_free(none), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_vm_state(none), VMREQ_VM_DESTROYED);
                assert_int_equal(vmreq_vm_change(none, VMREQ_EVENT_POWER_ON, 0, NULL, NULL),
                                 VMREQ_E_HANDLE);
                assert_int_equal(
                        vmreq_listener_add(none, (vmreq_listener)(vmreq_fn)add, NULL, &number),
                        VMREQ_E_HANDLE);
                assert_int_equal(vmreq_state_done(none, 0), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_vm_cpus(none), 0);
                assert_int_equal(vmreq_vm_service(none, vmreq_now()), UINT64_MAX);
                assert_int_equal(vmreq_vm_heartbeat(none), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_submit(none, &spec, &handle), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_wake(none, 0), VMREQ_E_HANDLE);
                assert_int_equal(handle.generation, 0);
                assert_int_equal(vmreq_alloc(none, &spec, &handle), VMREQ_E_HANDLE);
                assert_int_equal(handle.generation, 0);
                assert_int_equal(vmreq_emt_self(none), VMREQ_CPU_NONE);
                assert_int_equal(vmreq_unpark(none, 0), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_process(none, 0), VMREQ_E_NOT_EMT);
                assert_int_equal(vmreq_emt_attach(none, 0), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_emt_detach(none), VMREQ_E_NOT_EMT);
                assert_int_equal(vmreq_pending(none), VMREQ_E_NOT_EMT);
                assert_int_equal(vmreq_halt(none, VMREQ_FOREVER), VMREQ_E_NOT_EMT);
                assert_int_equal(vmreq_guest_enter(none), VMREQ_E_NOT_EMT);
                assert_int_equal(vmreq_guest_leave(none), VMREQ_E_NOT_EMT);
                assert_int_equal(vmreq_vcpu_unhalt(none, 0), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_rendezvous(none, VMREQ_RENDEZVOUS_ALL, 0, 0,
                                                  (int32_t(*)(void *, uint32_t))(vmreq_fn)add, NULL,
                                                  NULL, 0),
                                 VMREQ_E_HANDLE);
                assert_int_equal(vmreq_emt_info(none, 0, &info), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_emt_stats(none, 0, &emt_stats), VMREQ_E_HANDLE);
                assert_int_equal(vmreq_vm_stats(none, &stats), VMREQ_E_HANDLE);
        }
}

static void bad_configurations(void **state)
{
        const struct vmreq_config good = VMREQ_CONFIG_INIT;
        struct vmreq_config bad[8];
        struct vmreq_backend half = VMREQ_BACKEND_INIT;
        vmreq_vm vm = {77};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                bad[i] = good;
        bad[0].size = 0;
        bad[1].size++;
        bad[2].cpus = 0;
        bad[3].cpus = VMREQ_CPUS_MAX + 1;
        bad[4].slab = VMREQ_SLAB_MAX + 1;
        bad[5].lane_capacity = VMREQ_LANE_MAX + 1;
        bad[6].flags = ~VMREQ_CONFIG_ATTACH;
        half.kick = (void (*)(void *, uint32_t))(vmreq_fn)add;
        bad[7].backend = &half;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(vmreq_vm_create(&bad[i], &vm), VMREQ_E_INVALID);
        assert_int_equal(vmreq_vm_create(NULL, &vm), VMREQ_E_INVALID);
        assert_int_equal(vmreq_vm_create(&good, NULL), VMREQ_E_INVALID);
}

static void bad_numbers_and_pointers(void **state)
{
        struct vmreq_emt_stats emt_stats;
        struct vmreq_emt_info info;
        uint32_t number;

        (void)state;
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 1), VMREQ_E_INVALID);
        assert_int_equal(vmreq_vm_free(id), VMREQ_E_STATE);
        assert_int_equal(vmreq_vm_change(id, _VMREQ_EVENT_N, 0, NULL, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_vm_change(id, (enum vmreq_vm_event) - 1, 0, NULL, NULL),
                         VMREQ_E_INVALID);
        assert_int_equal(vmreq_vm_change(id, VMREQ_EVENT_RESUME, 0, NULL, NULL), VMREQ_E_STATE);
        assert_int_equal(vmreq_listener_add(id, NULL, NULL, &number), VMREQ_E_INVALID);
        assert_int_equal(vmreq_listener_add(id, (vmreq_listener)(vmreq_fn)add, NULL, NULL),
                         VMREQ_E_INVALID);
        assert_int_not_equal(vmreq_state_done(id, 0), 0);
        assert_int_not_equal(vmreq_state_done(id, UINT32_MAX), 0);
        assert_int_equal(vmreq_unpark(id, CPUS), VMREQ_E_INVALID);
        assert_int_equal(vmreq_unpark(id, VMREQ_CPU_ANY), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_attach(id, CPUS), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_attach(id, 0), VMREQ_E_STATE); /* its EMTs are its own */
        assert_int_equal(vmreq_vcpu_unhalt(id, CPUS), VMREQ_E_INVALID);
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 0, NULL, NULL, NULL, 0),
                         VMREQ_E_INVALID);
        assert_int_equal(vmreq_rendezvous(id, _VMREQ_RENDEZVOUS_N, 0, 0,
                                          (int32_t(*)(void *, uint32_t))(vmreq_fn)add, NULL, NULL,
                                          0),
                         VMREQ_E_INVALID);
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, ~VMREQ_RENDEZVOUS_STOP, 0,
                                          (int32_t(*)(void *, uint32_t))(vmreq_fn)add, NULL, NULL,
                                          0),
                         VMREQ_E_INVALID);
        assert_int_equal(vmreq_rendezvous(id, VMREQ_RENDEZVOUS_ALL, 0, 0,
                                          (int32_t(*)(void *, uint32_t))(vmreq_fn)add, NULL, NULL,
                                          1),
                         VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_info(id, CPUS, &info), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_info(id, 0, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_stats(id, CPUS, &emt_stats), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_stats(id, VMREQ_CPU_ALL, &emt_stats), VMREQ_E_INVALID);
        assert_int_equal(vmreq_emt_stats(id, 0, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_vm_stats(id, NULL), VMREQ_E_INVALID);
}

/* Where only an EMT may call, this thread is none. */
static void no_emt(void **state)
{
        (void)state;
        assert_int_equal(vmreq_emt_self(id), VMREQ_CPU_NONE);
        assert_int_equal(vmreq_current().generation, 0);
        assert_int_equal(vmreq_cancel_requested(), 0);
        assert_int_equal(vmreq_park(VMREQ_FOREVER), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_process(id, 0), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_emt_detach(id), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_pending(id), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_halt(id, VMREQ_FOREVER), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_guest_enter(id), VMREQ_E_NOT_EMT);
        assert_int_equal(vmreq_guest_leave(id), VMREQ_E_NOT_EMT);
}

static void numbers_without_a_name(void **state)
{
        (void)state;
        assert_string_equal(vmreq_error_name(1), "UNKNOWN");
        assert_string_equal(vmreq_fate_name((enum vmreq_fate)99), "UNKNOWN");
        assert_string_equal(vmreq_req_state_name((enum vmreq_req_state)99), "UNKNOWN");
        assert_string_equal(vmreq_vm_state_name((enum vmreq_vm_state)99), "UNKNOWN");
        assert_string_equal(vmreq_vm_event_name((enum vmreq_vm_event)99), "UNKNOWN");
        assert_string_equal(vmreq_verdict_name((enum vmreq_verdict)99), "UNKNOWN");
        assert_string_equal(vmreq_emt_state_name((enum vmreq_emt_state)99), "UNKNOWN");
}

/* ---- requests ---- */

static int32_t pass(void *ctx, const uint64_t *args, uint32_t argc, struct vmreq_reply *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        return 0;
}

static void bad_specs(void **state)
{
        static const uint64_t args[VMREQ_ARGS_MAX + 1];
        struct vmreq_spec good = VMREQ_SPEC_INIT, bad[14];
        vmreq_handle handle;

        (void)state;
        good.kind = VMREQ_FN_STATUS;
        good.fn = (vmreq_fn)add;
        good.args = args;
        good.argc = 2;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                bad[i] = good;
        bad[0].size = 0;
        bad[1].size++;
        bad[2].cpu = CPUS;
        bad[3].cpu = VMREQ_CPU_NONE;
        bad[4].flags = 0x200;
        bad[5].flags = UINT32_MAX;
        bad[6].kind = (enum vmreq_kind)(VMREQ_FN_CALLBACK + 1);
        bad[7].fn = NULL;
        bad[8].kind = VMREQ_FN_CALLBACK; /* without one */
        bad[9].argc = VMREQ_ARGS_MAX + 1;
        bad[10].args = NULL;
        bad[11].flags = VMREQ_PARALLEL; /* is for broadcasts */
        bad[12].flags = VMREQ_CONTINUE;
        bad[13].kind = VMREQ_FN_CALLBACK;
        bad[13].callback = pass;
        bad[13].flags = VMREQ_VOID;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct hooked hooked;

                hooked_on(&hooked, &bad[i]);
                assert_int_equal(vmreq_submit(id, &bad[i], &handle), VMREQ_E_INVALID);
                assert_int_equal(handle.generation, 0);
                assert_int_equal(vmreq_alloc(id, &bad[i], &handle), VMREQ_E_INVALID);
                assert_int_equal(handle.generation, 0);
                assert_int_equal(atomic_load(&hooked.completes) + atomic_load(&hooked.releases), 0);
        }
        assert_int_equal(vmreq_wake(id, CPUS), VMREQ_E_INVALID);
        assert_int_equal(vmreq_wake(id, VMREQ_CPU_ALL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_submit(id, NULL, &handle), VMREQ_E_INVALID);
        assert_int_equal(vmreq_submit(id, &good, NULL), VMREQ_E_INVALID);
        assert_int_equal(vmreq_alloc(id, NULL, &handle), VMREQ_E_INVALID);
        assert_int_equal(vmreq_alloc(id, &good, NULL), VMREQ_E_INVALID);
        assert_int_equal(engine_stats(id).in_use, 0);
        assert_int_equal(engine_stats(id).submitted, 0);
}

/* No request behind it: each function that takes a handle says so. */
static void assert_refused(vmreq_handle handle)
{
        enum vmreq_req_state state;
        struct vmreq_row row;
        uint32_t n;

        assert_int_equal(vmreq_queue(handle, 0), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_status(handle, &state, &row), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_rows(handle, &row, 1, &n), VMREQ_E_HANDLE);
        assert_int_equal(vmreq_cancel(handle), VMREQ_VERDICT_UNKNOWN);
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
}

/* Freed, or altered in any of its parts. */
static void bad_handles(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, pass, NULL);
        vmreq_handle good, bad[10];
        vmreq_vm other = engine_new(1);
        size_t n = 0;

        (void)state;
        good = engine_submit(id, &spec);
        assert_int_equal(vmreq_wait(good, VMREQ_FOREVER), 0);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                bad[i] = good;
        bad[n++] = VMREQ_HANDLE_NONE;
        bad[n++].vm = 0;
        bad[n++].vm = other.id; /* another VM's */
        bad[n++].vm = no_vms[2].id;
        bad[n++].index++;
        bad[n++].index = UINT32_MAX;
        bad[n++].generation--;
        bad[n++].generation++;
        bad[n++].generation = UINT64_MAX;
        for (size_t i = 0; i < n; i++)
                assert_refused(bad[i]);
        /* Right, but not for these. */
        assert_int_equal(vmreq_queue(good, 0), VMREQ_E_STATE);
        assert_int_equal(vmreq_rows(good, NULL, 0, NULL), VMREQ_E_INVALID);
        assert_int_equal(engine_row(good).fate, VMREQ_FATE_DONE);
        assert_int_equal(vmreq_free(good), 0);
        assert_int_equal(vmreq_free(good), VMREQ_E_HANDLE);
        /* The EMT may be a step behind the wait: until then the handle still names its packet. */
        engine_until_home(id);
        assert_refused(good);
        engine_end(other);
}

/* Freed twice while it is in flight, while it is another's, and by a NO_WAIT submitter. */
static void handles_freed_twice(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, pass, NULL);
        vmreq_handle handle, next;
        struct gate gate;

        (void)state;
        engine_hold(id, 0, &gate);
        handle = engine_submit(id, &spec);
        assert_int_equal(vmreq_free(handle), 0);
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        spec.flags = VMREQ_NO_WAIT;
        next = engine_submit(id, &spec);
        assert_int_equal(vmreq_free(next), VMREQ_E_HANDLE);
        assert_int_equal(engine_emt(id, 0).depth[LANE_NORMAL], 2);
        gate_open(&gate);
        engine_until_home(id);
        spec.flags = 0;
        next = engine_submit(id, &spec);
        assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);
        (void)engine_finish(next);
}

/* ---- the conveniences ---- */

typedef int (*convenience)(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc, ...);

static int callv(vmreq_vm vm, uint32_t cpu, vmreq_handle *handle, uint64_t wait_ns, uint32_t flags,
                 vmreq_fn fn, uint32_t argc, ...)
{
        va_list args;
        int r;

        va_start(args, argc);
        r = vmreq_callv(vm, cpu, handle, wait_ns, flags, fn, argc, args);
        va_end(args);
        return r;
}

static void bad_calls(void **state)
{
        static const convenience all[] = {
                vmreq_call_wait,
                vmreq_call_void_wait,
                vmreq_call_nowait,
                vmreq_call_void_nowait,
                vmreq_priority_call_wait,
                vmreq_priority_call_void_wait,
                vmreq_priority_call_nowait,
                vmreq_priority_call_void_nowait,
        };
        const vmreq_fn fn = (vmreq_fn)add;
        vmreq_handle handle;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                for (size_t v = 0; v < ARRAY_SIZE(no_vms); v++)
                        assert_int_equal(all[i](no_vms[v], 0, fn, 0), VMREQ_E_HANDLE);
                assert_int_equal(all[i](id, CPUS, fn, 0), VMREQ_E_INVALID);
                assert_int_equal(all[i](id, 0, NULL, 0), VMREQ_E_INVALID);
                assert_int_equal(all[i](id, 0, fn, VMREQ_ARGS_MAX + 1), VMREQ_E_INVALID);
                assert_int_equal(all[i](id, 0, fn, UINT32_MAX), VMREQ_E_INVALID);
        }
        assert_int_equal(vmreq_call(no_vms[0], 0, &handle, 0, 0, fn, 0), VMREQ_E_HANDLE);
        assert_int_equal(handle.generation, 0);
        assert_int_equal(vmreq_call(id, 0, &handle, 0, UINT32_MAX, fn, 0), VMREQ_E_INVALID);
        assert_int_equal(vmreq_call(id, CPUS, &handle, 0, 0, fn, 0), VMREQ_E_INVALID);
        assert_int_equal(vmreq_call(id, 0, NULL, 0, 0, fn, 0), VMREQ_E_INVALID);
        assert_int_equal(vmreq_call(id, 0, &handle, 0, 0, NULL, 0), VMREQ_E_INVALID);
        assert_int_equal(vmreq_call(id, 0, &handle, 0, 0, fn, VMREQ_ARGS_MAX + 1), VMREQ_E_INVALID);
        assert_int_equal(callv(no_vms[2], 0, &handle, 0, 0, fn, 0), VMREQ_E_HANDLE);
        assert_int_equal(callv(id, 0, NULL, 0, 0, fn, 0), VMREQ_E_INVALID);
        assert_int_equal(callv(id, 0, &handle, 0, 0, fn, VMREQ_ARGS_MAX + 1), VMREQ_E_INVALID);
        assert_int_equal(handle.generation, 0);
        assert_int_equal(engine_stats(id).submitted, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                TEST(bad_vms_to_what_takes_one),
                TEST(bad_configurations),
                TEST(bad_numbers_and_pointers),
                TEST(no_emt),
                TEST(numbers_without_a_name),
                TEST(bad_specs),
                TEST(bad_handles),
                TEST(handles_freed_twice),
                TEST(bad_calls),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
