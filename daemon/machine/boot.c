/* SPDX-License-Identifier: MIT */
/*
 * How a vCPU begins.
 *
 * Called by machine.c, before READY (check), in the rendezvous of a power_on or reset (place, on
 * the EMT of the highest vCPU while all others stand still), and on each vCPU's EMT (registers).
 *
 * Real mode: nothing in memory but the image; all segments but CS are 0.
 *
 * 64-bit mode: a GDT with one code and one data segment, and page tables that map the first 4 GiB
 * to themselves, in pages of 2 MiB, which every 64-bit processor has (1 GiB pages are optional).
 * There is no IDT and no stack: the guest's first fault, unless it made an IDT, is a triple fault,
 * and is reported as such.  The guest may write over all of it; it then harms itself alone.
 */
#include "machine/boot.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define CR0_PE 0x1ull
#define CR0_ET 0x10ull
#define CR0_NE 0x20ull
#define CR0_PG 0x80000000ull

#define CR4_PAE        0x20ull
#define CR4_OSFXSR     0x200ull
#define CR4_OSXMMEXCPT 0x400ull

#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull

#define PAGE_PRESENT  0x1ull
#define PAGE_WRITABLE 0x2ull
#define PAGE_LARGE    0x80ull

#define PAGE_BYTES   4096ull
#define LARGE_PAGE   (2ull << 20)
#define PAGE_ENTRIES 512u

#define RFLAGS_FIXED 0x2ull /* bit 1 is always one */

/* Types of segments. */
#define TYPE_DATA     3u  /* read, write, accessed */
#define TYPE_CODE     11u /* execute, read, accessed */
#define TYPE_LDT      2u
#define TYPE_TSS_BUSY 11u

#define SELECTOR_CODE 0x08u
#define SELECTOR_DATA 0x10u

static const uint64_t gdt[] = {
        0, 0x00af9b000000ffffull, /* 0x08: code, 64-bit, ring 0 */
        0x00cf93000000ffffull,    /* 0x10: data, ring 0 */
};

static_assert(sizeof(gdt) <= BOOT_PML4 - BOOT_GDT, "the GDT fits its page");
static_assert(BOOT_MAPPED == 4 * PAGE_ENTRIES * LARGE_PAGE, "four directories map it");
static_assert(BOOT_PD + 4 * PAGE_BYTES <= BOOT_COMMAND_LINE, "they end before the command line");
static_assert(BOOT_END <= MEMORY_SIZE_MIN, "the smallest memory holds the structures");

int boot_check(const struct boot *boot, struct machine_text *text)
{
        if (!boot->command_line[0])
                return 0;
        if (boot->image->mode != IMAGE_MODE_LONG)
                return machine_fail(text, -EINVAL,
                                    "command_line: a flat image has no place for one; only an ELF "
                                    "image is given its command line");
        if (strlen(boot->command_line) >= BOOT_COMMAND_LINE_MAX)
                return machine_fail(text, -EINVAL, "command_line: longer than %llu bytes",
                                    BOOT_COMMAND_LINE_MAX - 1);
        return 0;
}

/* All of it is below MEMORY_SIZE_MIN, so it is there. */
static void place_structures(const struct boot *boot, struct memory *memory)
{
        uint64_t *pml4 = memory_at(memory, BOOT_PML4, PAGE_BYTES);
        uint64_t *pdpt = memory_at(memory, BOOT_PDPT, PAGE_BYTES);
        uint64_t *pd = memory_at(memory, BOOT_PD, 4 * PAGE_BYTES);

        memcpy(memory_at(memory, BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
        pml4[0] = BOOT_PDPT | PAGE_PRESENT | PAGE_WRITABLE;
        for (uint64_t i = 0; i < 4; i++)
                pdpt[i] = (BOOT_PD + i * PAGE_BYTES) | PAGE_PRESENT | PAGE_WRITABLE;
        for (uint64_t i = 0; i < 4 * PAGE_ENTRIES; i++)
                pd[i] = i * LARGE_PAGE | PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE;
        strcpy(memory_at(memory, BOOT_COMMAND_LINE, BOOT_COMMAND_LINE_MAX), boot->command_line);
}

void boot_place(const struct boot *boot, struct memory *memory)
{
        if (boot->image->mode == IMAGE_MODE_LONG)
                place_structures(boot, memory);
        boot->image->loader->place(boot->image, memory);
}

static struct machine_segment segment(uint16_t selector, uint64_t base, uint32_t limit,
                                      uint8_t type)
{
        return (struct machine_segment){
                .base = base, .limit = limit, .selector = selector, .type = type, .present = 1};
}

static void set_segments(struct machine_sregs *sregs, struct machine_segment code,
                         struct machine_segment data)
{
        code.s = data.s = 1;
        sregs->segments[MACHINE_CS] = code;
        for (unsigned i = MACHINE_DS; i <= MACHINE_SS; i++)
                sregs->segments[i] = data;
        /* Hardware refuses to enter a guest whose task register holds no busy TSS. */
        sregs->segments[MACHINE_TR] = segment(0, 0, 0xffff, TYPE_TSS_BUSY);
        sregs->segments[MACHINE_LDT] = segment(0, 0, 0xffff, TYPE_LDT);
}

static void begin_real(const struct boot *boot, uint32_t cpu, struct machine_regs *regs,
                       struct machine_sregs *sregs)
{
        uint16_t selector = (uint16_t)(boot->image->entry >> 4 & 0xf000);

        set_segments(sregs, segment(selector, (uint64_t)selector << 4, 0xffff, TYPE_CODE),
                     segment(0, 0, 0xffff, TYPE_DATA));
        sregs->idt.limit = 0x3ff; /* the interrupt vectors at 0 */
        sregs->gdt.limit = 0xffff;
        sregs->cr0 = CR0_ET;
        regs->r[MACHINE_RIP] = boot->image->entry & 0xffff;
        regs->r[MACHINE_RBX] = cpu;
        regs->r[MACHINE_RDX] = boot->cpus;
}

static void begin_long(const struct boot *boot, const struct memory *memory, uint32_t cpu,
                       struct machine_regs *regs, struct machine_sregs *sregs)
{
        struct machine_segment code = segment(SELECTOR_CODE, 0, 0xffffffff, TYPE_CODE);
        struct machine_segment data = segment(SELECTOR_DATA, 0, 0xffffffff, TYPE_DATA);

        code.l = code.g = data.db = data.g = 1;
        set_segments(sregs, code, data);
        sregs->gdt = (struct machine_table){.base = BOOT_GDT, .limit = sizeof(gdt) - 1};
        sregs->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
        sregs->cr3 = BOOT_PML4;
        sregs->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
        sregs->efer = EFER_LME | EFER_LMA;
        regs->r[MACHINE_RIP] = boot->image->entry;
        regs->r[MACHINE_RDI] = cpu;
        regs->r[MACHINE_RSI] = BOOT_COMMAND_LINE;
        regs->r[MACHINE_RDX] = boot->cpus;
        regs->r[MACHINE_RCX] = memory->size;
}

void boot_registers(const struct boot *boot, const struct memory *memory, uint32_t cpu,
                    struct machine_regs *ret_regs, struct machine_sregs *ret_sregs)
{
        *ret_regs = (struct machine_regs){.r = {[MACHINE_RFLAGS] = RFLAGS_FIXED}};
        *ret_sregs = (struct machine_sregs){0};
        if (boot->image->mode == IMAGE_MODE_LONG)
                begin_long(boot, memory, cpu, ret_regs, ret_sregs);
        else
                begin_real(boot, cpu, ret_regs, ret_sregs);
}
