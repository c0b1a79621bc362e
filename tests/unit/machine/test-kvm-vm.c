/* SPDX-License-Identifier: MIT */
/* Opening KVM: what may be missing and what is then said; every call that can fail; a new VM in
 * place of the old one. */
#include "unit/machine/fake-kvm.h"

#include <dirent.h>

static int open_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        int n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        assert_int_equal(closedir(dir), 0);
        return n;
}

static void test_no_device(void **state)
{
        struct machine_settings settings = kvm_fake_settings();

        (void)state;
        kvm_fake.no_device = true;
        kvm_fake.device_errno = ENOENT;
        assert_int_equal(fake_machine_new(1, &settings), -ENOENT);
        assert_says(text, "/dev/kvm", "No such file", "module");
        kvm_fake.device_errno = EACCES;
        assert_int_equal(fake_machine_new(1, &settings), -EACCES);
        assert_says(text, "/dev/kvm", "Permission denied", "group kvm");
}

static void test_lacks(void **state)
{
        static const struct {
                unsigned long cap;
                const char *says;
        } rows[] = {
                {KVM_CAP_IMMEDIATE_EXIT, "immediate exits"},
                {KVM_CAP_USER_MEMORY, "user memory"},
                {KVM_CAP_XSAVE, "extended registers"},
        };
        struct machine_settings settings = kvm_fake_settings();

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                kvm_fake.missing_cap = rows[i].cap;
                assert_int_equal(fake_machine_new(1, &settings), -ENOTSUP);
                assert_says(text, "/dev/kvm", "lacks", rows[i].says);
        }
        kvm_fake.missing_cap = 0;
        assert_int_equal(fake_machine_new(FAKE_CPUS_MAX + 1, &settings), -ENOTSUP);
        assert_says(text, "5 vCPUs", "at most 4");
}

/* Each call fails once; what was made until then is gone again. */
static void test_failures(void **state)
{
        static const struct {
                unsigned long request;
                const char *says;
        } rows[] = {
                {KVM_GET_API_VERSION, "does not answer"},
                {KVM_GET_VCPU_MMAP_SIZE, "page"},
                {KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID"},
                {KVM_CREATE_VM, "KVM_CREATE_VM"},
                {KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_TSS_ADDR"},
                {KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR"},
                {KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION"},
                {KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP"},
                {KVM_CREATE_PIT2, "KVM_CREATE_IRQCHIP"},
        };
        struct machine_settings settings = kvm_fake_settings();
        struct sigaction before, after;
        int descriptors;

        (void)state;
        settings.irqchip = MACHINE_IRQCHIP_KERNEL;
        assert_int_equal(sigaction(KVM_KICK_SIGNAL, NULL, &before), 0);
        descriptors = open_descriptors();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                fake_fail(rows[i].request, ENOSPC, 0);
                assert_true(fake_machine_new(1, &settings) < 0);
                assert_null(machine);
                assert_says(text, rows[i].says);
                assert_int_equal(open_descriptors(), descriptors);
        }
        assert_int_equal(sigaction(KVM_KICK_SIGNAL, NULL, &after), 0);
        assert_ptr_equal(before.sa_handler, after.sa_handler);
        /* A signal at the wrong moment is no failure. */
        fake_fail(KVM_CREATE_VM, EINTR, 0);
        assert_int_equal(fake_machine_new(1, &settings), 0);
}

static void test_irqchip(void **state)
{
        struct machine_settings settings = kvm_fake_settings();

        (void)state;
        assert_int_equal(fake_machine_new(1, &settings), 0);
        assert_int_equal(kvm_fake.chips + kvm_fake.pits, 0);
        kvm_set_irq(machine, 4, true);
        assert_int_equal(atomic_load(&kvm_fake.irq_lines), 0);
        (void)machine_close(machine, UINT64_MAX);
        machine = machine_free(machine);
        settings.irqchip = MACHINE_IRQCHIP_KERNEL;
        assert_int_equal(fake_machine_new(1, &settings), 0);
        assert_int_equal(kvm_fake.chips, 1);
        assert_int_equal(kvm_fake.pits, 1);
        kvm_set_irq(machine, 4, true);
        assert_int_equal(atomic_load(&kvm_fake.irq_lines), 1);
        assert_int_equal(kvm_fake.irq.irq, 4);
        assert_int_equal(kvm_fake.irq.level, 1);
}

/* Memory in two parts is two regions, also of the new VM; its descriptor keeps its number. */
static void test_renew(void **state)
{
        struct machine_settings settings = kvm_fake_settings();
        int fd, descriptors;

        (void)state;
        settings.memory_bytes = MEMORY_HOLE_START + (1u << 20);
        assert_int_equal(fake_machine_new(1, &settings), 0);
        assert_int_equal(kvm_fake.regions, 2);
        fd = kvm_of(machine)->vm_fd;
        descriptors = open_descriptors();
        kvm_of(machine)->used = true;
        assert_int_equal(kvm_vm_renew(machine, &text), 0);
        assert_int_equal(kvm_fake.regions, 4);
        assert_int_equal(kvm_of(machine)->vm_fd, fd);
        assert_int_equal(kvm_of(machine)->generation, 1);
        assert_false(kvm_of(machine)->used);
        fake_fail(KVM_CREATE_VM, EMFILE, 0);
        assert_int_equal(kvm_vm_renew(machine, &text), -EMFILE);
        assert_int_equal(kvm_of(machine)->generation, 1);
        assert_int_equal(open_descriptors(), descriptors);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_no_device, fake_kvm_start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_lacks, fake_kvm_start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_failures, fake_kvm_start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_irqchip, fake_kvm_start, fake_kvm_end),
                cmocka_unit_test_setup_teardown(test_renew, fake_kvm_start, fake_kvm_end),
        };

        return RUN_TESTS(tests);
}
