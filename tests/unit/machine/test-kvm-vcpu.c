/* SPDX-License-Identifier: MIT */
/*
 * A vCPU under the engine: made on its EMT, kicked, settled before anybody looks at it, ended for
 * good, made anew at a reset.  The kernel is a fake that keeps the real one's promises.
 */
#include "unit/machine/fake-kvm.h"

#include "base/clock.h"

static vmreq_vm vm;
static struct vmreq_backend engine_ops;
static char told[KVM_REASON_MAX];
static _Atomic uint32_t n_told;

static void state_changed(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to,
                          const char *reason)
{
        (void)ctx;
        (void)from;
        (void)to;
        if (!reason)
                return;
        (void)snprintf(told, sizeof(told), "%s", reason);
        atomic_fetch_add(&n_told, 1);
}

static int create(uint32_t cpus)
{
        struct machine_settings settings = kvm_fake_settings();
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        assert_int_equal(fake_machine_new(cpus, &settings), 0);
        engine_ops = *machine_engine(machine);
        config.cpus = cpus;
        config.backend = &engine_ops;
        config.lazy_poke_ms = 0; /* nothing but a kick brings a vCPU out */
        config.state_changed = state_changed;
        return vmreq_vm_create(&config, &vm);
}

static void set_up(uint32_t cpus)
{
        atomic_store(&n_told, 0);
        assert_int_equal(create(cpus), 0);
        machine_set_vm(machine, vm);
}

static int end(void **state)
{
        if (vm.id) {
                assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0), 0);
                assert_int_equal(vmreq_vm_free(vm), 0);
                vm.id = 0;
        }
        return fake_kvm_end(state);
}

static int change(enum vmreq_vm_event event)
{
        return vmreq_vm_change(vm, event, 0, NULL, NULL);
}

/* The guest has ended, and `told` says why; that is told after the state has changed. */
static void until_told(enum vmreq_vm_state wanted)
{
        UNTIL(atomic_load(&n_told));
        atomic_store(&n_told, 0);
        assert_int_equal(vmreq_vm_state(vm), wanted);
}

/* ---- life ---- */

static pid_t callee_tid;

static void note_tid(void)
{
        callee_tid = gettid();
}

static void test_made_on_its_emt(void **state)
{
        (void)state;
        set_up(3);
        assert_int_equal(kvm_fake.vcpus, 3);
        for (uint32_t cpu = 0; cpu < 3; cpu++) {
                assert_int_equal(vmreq_call_void_wait(vm, cpu, (vmreq_fn)note_tid, 0), 0);
                assert_int_equal(kvm_vcpu_of(machine, cpu)->tid, callee_tid);
                assert_int_equal(kvm_fake.vcpu[cpu].regs.rbx, cpu);
                assert_int_equal(kvm_fake.vcpu[cpu].regs.rip, 0x7c00);
        }
}

static void test_init_fails(void **state)
{
        static const struct {
                unsigned long request;
                const char *says;
        } rows[] = {
                {KVM_CREATE_VCPU, "KVM_CREATE_VCPU"}, {KVM_SET_CPUID2, "KVM_SET_CPUID2"},
                {KVM_GET_SREGS, "registers"},         {KVM_SET_SREGS, "registers"},
                {KVM_SET_REGS, "registers"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                fake_fail(rows[i].request, ENOMEM, 0);
                assert_int_equal(create(1), VMREQ_E_SYSTEM);
                assert_words(
                        machine_fault(machine),
                        (const char *const[]){"vCPU 0", rows[i].says, "allocate memory", NULL});
                assert_true(machine_close(machine, UINT64_MAX));
                machine = machine_free(machine);
        }
}

/* ---- kicks ---- */

static _Atomic uint32_t served;

static void serve(void)
{
        atomic_fetch_add(&served, 1);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TRIALS 10000u
#else
#define TRIALS 100000u
#endif

/* Every request finds its way to a vCPU that leaves the guest for nothing else. */
static void test_no_kick_lost(void **state)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;

        (void)state;
        set_up(1);
        assert_int_equal(change(VMREQ_EVENT_POWER_ON), 0);
        atomic_store(&served, 0);
        spec.cpu = 0;
        spec.kind = VMREQ_FN_VOID;
        spec.fn = (vmreq_fn)serve;
        spec.flags = VMREQ_POKE | VMREQ_NO_WAIT;
        for (uint32_t i = 0; i < TRIALS; i++) {
                assert_int_equal(vmreq_submit(vm, &spec, NULL), 0);
                UNTIL(atomic_load(&served) == i + 1);
        }
}

/* A kick that comes before the entry makes it return at once, and only that one. */
static void test_kick_before_entry(void **state)
{
        const char *reason = NULL;

        (void)state;
        fake_machine_one(MACHINE_IRQCHIP_OFF);
        kvm_vcpu_kick(machine, 0);
        kvm_vcpu_kick(machine, 0);
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_AGAIN);
        assert_int_equal(kvm_fake.vcpu[0].runs, 1);
        assert_int_equal(kvm_fake.vcpu[0].run->immediate_exit, 0);
        assert_null(reason);
}

/* A kicker that is late finds a vCPU that is gone, and does it no harm. */
static void test_late_kick(void **state)
{
        (void)state;
        set_up(2);
        assert_int_equal(vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0), 0);
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                kvm_vcpu_kick(machine, cpu);
}

/* ---- completing ---- */

/* Reads the debug port for ever, which answers with its own number: nobody may ever see another. */
static int guest_in(struct fake_vcpu *vcpu)
{
        CHECK(vcpu->runs == 1 || vcpu->regs.rax == 0xe9);
        vcpu->regs.rax = 0xdead; /* in the middle of the instruction */
        return fake_exit_in(vcpu, 0xe9);
}

static uint64_t last_rip;

static int32_t look_at_in(void)
{
        struct machine_regs regs;

        CHECK(machine_get_regs(machine, 0, &regs) == 0);
        if (regs.r[MACHINE_RAX] != 0xe9 || regs.r[MACHINE_RIP] % 2 ||
            regs.r[MACHINE_RIP] < last_rip)
                return -1;
        last_rip = regs.r[MACHINE_RIP];
        regs.r[MACHINE_RCX]++;
        return machine_set_regs(machine, 0, &regs) ? -2 : 0;
}

/* Requests without POKE are served at the next exit, and find the instruction done; what they write
 * to other registers keeps its result. */
static void test_in_is_completed(void **state)
{
        uint64_t stats[MACHINE_STATS_N];

        (void)state;
        kvm_fake.guest = guest_in;
        last_rip = 0;
        set_up(1);
        assert_int_equal(change(VMREQ_EVENT_POWER_ON), 0);
        do
                assert_int_equal(machine_get_stats(machine, 0, stats), 0);
        while (stats[MACHINE_STAT_PORT] < 3);
        for (uint32_t i = 0; i < 2000; i++)
                assert_int_equal(vmreq_call_wait(vm, 0, (vmreq_fn)look_at_in, 0), 0);
        assert_int_equal(kvm_fake.vcpu[0].regs.rcx, 2000);
        assert_int_equal(machine_get_stats(machine, 0, stats), 0);
        assert_true(stats[MACHINE_STAT_SETTLED] > 0);
        assert_int_equal(stats[MACHINE_STAT_UNCLAIMED], 0);
}

/* A string instruction: its parts leave one by one, also while it is being settled. */
static int guest_string(struct fake_vcpu *vcpu)
{
        return fake_exit_out(vcpu, 0x3f8, 1, 3, "abc");
}

static void test_string(void **state)
{
        const char *reason = NULL;
        uint64_t position = 0, lost;
        char data[16] = "";

        (void)state;
        fake_machine_one(MACHINE_IRQCHIP_OFF);
        kvm_fake.guest = guest_string;
        /* No VM was set, so vmreq_pending says "leave" after each exit. */
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_AGAIN);
        assert_int_equal(console_read(&machine->console, &position, data, sizeof(data), &lost), 3);
        assert_string_equal(data, "abc");
        assert_int_equal(kvm_fake.vcpu[0].runs, 2);
        assert_false(kvm_vcpu_of(machine, 0)->incomplete);
}

/* A kernel that would never come to an end of it. */
static int never_complete(struct fake_vcpu *vcpu)
{
        (void)vcpu;
        return EAGAIN;
}

static void test_never_settles(void **state)
{
        const char *reason = NULL;

        (void)state;
        fake_machine_one(MACHINE_IRQCHIP_OFF);
        kvm_fake.guest = guest_string;
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_AGAIN);
        kvm_fake.guest = never_complete;
        kvm_vcpu_of(machine, 0)->incomplete = true;
        fake_fail(KVM_RUN, EFAULT, 0);
        kvm_vcpu_settle(kvm_vcpu_of(machine, 0));
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_FAILED);
        assert_words(reason, (const char *const[]){"vCPU 0", "KVM_RUN", "Bad address", NULL});
}

/* ---- the end ---- */

static int guest_off(struct fake_vcpu *vcpu)
{
        uint32_t code = 300;

        return fake_exit_out(vcpu, 0xf4, 4, 1, &code);
}

static void test_powers_off(void **state)
{
        (void)state;
        kvm_fake.guest = guest_off;
        set_up(1);
        assert_int_equal(change(VMREQ_EVENT_POWER_ON), 0);
        until_told(VMREQ_VM_OFF);
        assert_string_equal(told, "vCPU 0: the guest powered itself off with code 300");
        /* Its last instruction is done. */
        assert_int_equal(kvm_fake.vcpu[0].regs.rip, 0x7c02);
        assert_int_equal(change(VMREQ_EVENT_POWER_ON), 0);
        until_told(VMREQ_VM_OFF);
}

/* The end is said again where the VM's state did not take note of it. */
static void test_end_is_kept(void **state)
{
        const char *reason = NULL;
        uint32_t runs;

        (void)state;
        kvm_fake.guest = guest_off;
        fake_machine_one(MACHINE_IRQCHIP_OFF);
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_POWER_OFF);
        runs = kvm_fake.vcpu[0].runs;
        reason = NULL;
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_POWER_OFF);
        assert_non_null(reason);
        assert_int_equal(kvm_fake.vcpu[0].runs, runs);
        kvm_vcpu_reset(machine, 0);
        assert_int_equal(kvm_vcpu_run(machine, 0, &reason), VMREQ_EXIT_POWER_OFF);
        assert_int_equal(kvm_fake.vcpu[0].runs, runs + 2); /* and was settled again */
}

static void test_run_fails(void **state)
{
        (void)state;
        set_up(1);
        fake_fail(KVM_RUN, ENOMEM, 0);
        assert_int_equal(change(VMREQ_EVENT_POWER_ON), 0);
        until_told(VMREQ_VM_FAILED);
        assert_words(told, (const char *const[]){"vCPU 0: KVM_RUN", NULL});
        assert_int_equal(change(VMREQ_EVENT_POWER_OFF), 0);
        assert_int_equal(change(VMREQ_EVENT_POWER_ON), 0);
        assert_int_equal(vmreq_vm_state(vm), VMREQ_VM_RUNNING);
}

/* ---- reset ---- */

/* Serves a request on a vCPU that leaves the guest for nothing else. */
static void poke(uint32_t cpu)
{
        vmreq_handle handle;

        assert_int_equal(vmreq_call(vm, cpu, &handle, VMREQ_FOREVER, VMREQ_POKE | VMREQ_VOID,
                                    (vmreq_fn)serve, 0),
                         0);
        assert_int_equal(vmreq_free(handle), 0);
}

static void test_reset(void **state)
{
        struct kvm_run *runs[2];

        (void)state;
        set_up(2);
        assert_int_equal(change(VMREQ_EVENT_POWER_ON), 0);
        assert_int_equal(kvm_fake.vms, 1); /* nobody has used it yet */
        for (uint32_t cpu = 0; cpu < 2; cpu++) {
                runs[cpu] = kvm_vcpu_of(machine, cpu)->run;
                kvm_fake.vcpu[cpu].regs.rip = 1;
        }
        assert_true(memory_write(&machine->memory, 0x7c00, "gone", 4));
        assert_int_equal(change(VMREQ_EVENT_RESET), 0);
        assert_int_equal(vmreq_vm_state(vm), VMREQ_VM_RUNNING);
        assert_int_equal(kvm_fake.vms, 2);
        assert_int_equal(kvm_fake.vcpus, 4);
        assert_memory_equal(memory_at(&machine->memory, 0x7c00, 4), "\xf4\xeb\xfd\0", 4);
        for (uint32_t cpu = 0; cpu < 2; cpu++) {
                assert_ptr_equal(kvm_vcpu_of(machine, cpu)->run, runs[cpu]);
                assert_int_equal(kvm_fake.vcpu[cpu].regs.rip, 0x7c00);
                /* And it can be kicked. */
                poke(cpu);
        }
}

/* What a reset needs is not there: the VM fails and says why, and the next one works. */
static void test_reset_fails(void **state)
{
        static const struct {
                unsigned long request;
                const char *says;
        } rows[] = {
                {KVM_CREATE_VM, "KVM_CREATE_VM"},
                {KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION"},
                {KVM_CREATE_VCPU, "KVM_CREATE_VCPU"},
                {KVM_SET_REGS, "registers"},
        };

        (void)state;
        set_up(2);
        assert_int_equal(change(VMREQ_EVENT_POWER_ON), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                fake_fail(rows[i].request, EMFILE, 0);
                assert_int_equal(change(VMREQ_EVENT_RESET), 0);
                until_told(VMREQ_VM_FAILED);
                assert_words(told, (const char *const[]){"reset failed", rows[i].says,
                                                         "Too many open files", NULL});
                assert_int_equal(change(VMREQ_EVENT_POWER_OFF), 0);
                assert_int_equal(change(VMREQ_EVENT_POWER_ON), 0);
                assert_int_equal(vmreq_vm_state(vm), VMREQ_VM_RUNNING);
        }
}

static void test_sipi(void **state)
{
        struct machine_settings settings = kvm_fake_settings();

        (void)state;
        settings.irqchip = MACHINE_IRQCHIP_KERNEL;
        for (int sipi = 0; sipi < 2; sipi++) {
                settings.sipi = sipi;
                assert_int_equal(fake_machine_new(2, &settings), 0);
                for (uint32_t cpu = 0; cpu < 2; cpu++)
                        assert_int_equal(kvm_vcpu_init(machine, cpu), 0);
                assert_int_equal(kvm_fake.vcpu[0].mp_state.mp_state, KVM_MP_STATE_RUNNABLE);
                assert_int_equal(kvm_fake.vcpu[1].mp_state.mp_state,
                                 sipi ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE);
                if (sipi)
                        return;
                for (uint32_t cpu = 0; cpu < 2; cpu++)
                        kvm_vcpu_fini(machine, cpu);
                (void)machine_close(machine, UINT64_MAX);
                machine = machine_free(machine);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_made_on_its_emt, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_init_fails, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_no_kick_lost, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_kick_before_entry, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_late_kick, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_in_is_completed, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_string, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_never_settles, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_powers_off, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_end_is_kept, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_run_fails, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_reset, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_reset_fails, fake_kvm_start, end),
                cmocka_unit_test_setup_teardown(test_sipi, fake_kvm_start, end),
        };

        return RUN_TESTS(tests);
}
