/* SPDX-License-Identifier: MIT */
/* How vCPUs begin: real mode, 64-bit mode, and the structures in memory, walked as a processor
 * does. */
#include "machine/boot.h"

#include <errno.h>

#include "unit/machine/machine-test.h"

static uint8_t code[4] = {0xf4, 0xeb, 0xfd, 0x90};
static struct image image;
static struct memory memory;
static struct machine_text text;
static struct machine_regs regs;
static struct machine_sregs sregs;

static void no_place(const struct image *unused, struct memory *to)
{
        (void)unused;
        memcpy(memory_at(to, 0x100000, sizeof(code)), code, sizeof(code));
}

static const struct image_loader loader = {.name = "test", .place = no_place};

static int start(void **state)
{
        (void)state;
        image = (struct image){.loader = &loader, .mode = IMAGE_MODE_LONG, .entry = 0x100000};
        return memory_init(&memory, 4u << 20, false, &text);
}

static int end(void **state)
{
        (void)state;
        memory_deinit(&memory);
        return 0;
}

static struct boot boot_of(const char *command_line)
{
        return (struct boot){.image = &image, .command_line = command_line, .cpus = 3};
}

static void test_check(void **state)
{
        struct boot boot = boot_of("root=/dev/null");
        char *line = malloc(BOOT_COMMAND_LINE_MAX + 1);

        (void)state;
        assert_int_equal(boot_check(&boot, &text), 0);
        memset(line, 'a', BOOT_COMMAND_LINE_MAX);
        line[BOOT_COMMAND_LINE_MAX] = '\0';
        boot = boot_of(line);
        assert_int_equal(boot_check(&boot, &text), -EINVAL);
        assert_says(text, "command_line", "4095");
        line[BOOT_COMMAND_LINE_MAX - 1] = '\0';
        assert_int_equal(boot_check(&boot, &text), 0);
        image.mode = IMAGE_MODE_REAL;
        assert_int_equal(boot_check(&boot, &text), -EINVAL);
        assert_says(text, "command_line", "flat");
        boot = boot_of("");
        assert_int_equal(boot_check(&boot, &text), 0);
        free(line);
}

/* CS:IP is the entry, whatever it is. */
static void test_real(void **state)
{
        static const uint64_t entries[] = {0, 0x7c00, 0xffff, 0x10000, 0x12345, 0xfffff};
        struct boot boot = boot_of("");

        (void)state;
        image.mode = IMAGE_MODE_REAL;
        for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
                image.entry = entries[i];
                boot_registers(&boot, &memory, 2, &regs, &sregs);
                assert_int_equal(sregs.segments[MACHINE_CS].base + regs.r[MACHINE_RIP], entries[i]);
                assert_int_equal(sregs.segments[MACHINE_CS].base,
                                 (uint64_t)sregs.segments[MACHINE_CS].selector << 4);
                assert_true(regs.r[MACHINE_RIP] <= 0xffff);
        }
        assert_int_equal(regs.r[MACHINE_RBX], 2);
        assert_int_equal(regs.r[MACHINE_RDX], 3);
        assert_int_equal(regs.r[MACHINE_RFLAGS], 2);
        assert_int_equal(sregs.cr0 & 0x80000001u, 0);
        for (unsigned i = MACHINE_DS; i <= MACHINE_SS; i++)
                assert_int_equal(sregs.segments[i].base, 0);
}

/* What the page tables make of an address; UINT64_MAX: nothing. */
static uint64_t walk(uint64_t address)
{
        uint64_t table = sregs.cr3, entry = 0;

        for (int level = 3; level >= 1; level--) {
                uint64_t at = table + (address >> (12 + 9 * level) & 511) * 8;

                assert_true(memory_read(&memory, at, &entry, 8));
                if (!(entry & 1))
                        return UINT64_MAX;
                assert_int_equal(entry & 2, 2);
                table = entry & 0xffffffffff000ull;
                if (level == 1)
                        assert_int_equal(entry & 0x80, 0x80);
        }
        return table + (address & 0x1fffff);
}

static void test_long(void **state)
{
        struct boot boot = boot_of("console=ttyS0 x");
        uint64_t descriptor;

        (void)state;
        boot_place(&boot, &memory);
        boot_registers(&boot, &memory, 1, &regs, &sregs);
        assert_int_equal(regs.r[MACHINE_RIP], 0x100000);
        assert_int_equal(regs.r[MACHINE_RDI], 1);
        assert_int_equal(regs.r[MACHINE_RDX], 3);
        assert_int_equal(regs.r[MACHINE_RCX], 4u << 20);
        assert_string_equal(memory_at(&memory, regs.r[MACHINE_RSI], 16), "console=ttyS0 x");
        assert_int_equal(sregs.efer & 0x500, 0x500);
        assert_int_equal(sregs.cr0 & 0x80000001u, 0x80000001u);
        assert_true(sregs.segments[MACHINE_CS].l);
        for (uint64_t address = 0; address < BOOT_MAPPED; address += 0x1fffff)
                assert_int_equal(walk(address), address);
        assert_int_equal(walk(BOOT_MAPPED - 1), BOOT_MAPPED - 1);
        assert_int_equal(walk(BOOT_MAPPED), UINT64_MAX);
        assert_true(memory_read(&memory, sregs.gdt.base + sregs.segments[MACHINE_CS].selector,
                                &descriptor, 8));
        assert_int_equal(descriptor >> 53 & 1, 1); /* L */
        assert_true(sregs.segments[MACHINE_SS].selector + 7u <= sregs.gdt.limit);
        assert_memory_equal(memory_at(&memory, 0x100000, 4), code, 4);
}

/* A smallest machine, and vCPUs that differ in nothing but their number. */
static void test_all_alike(void **state)
{
        struct boot boot = boot_of("");
        struct machine_regs first;
        struct machine_sregs first_sregs;

        (void)state;
        boot_registers(&boot, &memory, 0, &first, &first_sregs);
        for (uint32_t cpu = 1; cpu < 256; cpu++) {
                boot_registers(&boot, &memory, cpu, &regs, &sregs);
                assert_memory_equal(&sregs, &first_sregs, sizeof(sregs));
                assert_int_equal(regs.r[MACHINE_RDI], cpu);
                regs.r[MACHINE_RDI] = 0;
                assert_memory_equal(&regs, &first, sizeof(regs));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_check, start, end),
                cmocka_unit_test_setup_teardown(test_real, start, end),
                cmocka_unit_test_setup_teardown(test_long, start, end),
                cmocka_unit_test_setup_teardown(test_all_alike, start, end),
        };

        return RUN_TESTS(tests);
}
