/* SPDX-License-Identifier: MIT */
/*
 * The layout of a core:
 *
 *   ELF header | program headers: PT_NOTE, PT_LOAD … | notes: per vCPU PRSTATUS, FPREGSET | pad |
 *   memory, range after range
 *
 * As Linux writes cores of processes, and so as gdb reads them: registers in PRSTATUS, x87 and SSE
 * in FPREGSET, threads in the order of their notes, numbered from 1.  Virtual addresses are the
 * physical ones: what the guest's own page tables make of an address is for tools that know the
 * guest.
 *
 * Made in a request on an EMT; read in later ones, by one of them at a time.
 */
#include "machine/core.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "base/check.h"
#include "base/macros.h"

#define PAGE_BYTES 4096u
#define NOTE_NAME  "CORE"

static_assert(sizeof(elf_gregset_t) == sizeof(struct user_regs_struct), "as in <sys/user.h>");
static_assert(sizeof(elf_fpregset_t) == MACHINE_FXSAVE_BYTES, "FXSAVE's area is a FPREGSET");

struct note {
        Elf64_Nhdr header;
        char name[8]; /* NOTE_NAME, padded to a multiple of four */
};

/* Packed: notes are padded to four bytes, registers would be aligned to eight. */
struct __attribute__((packed)) cpu_notes {
        struct note status_note;
        struct elf_prstatus status;
        struct note fp_note;
        elf_fpregset_t fp;
};

static_assert(sizeof(struct cpu_notes) == 2 * sizeof(struct note) + sizeof(struct elf_prstatus) +
                                                  sizeof(elf_fpregset_t),
              "notes follow each other without gaps");

struct core {
        const struct memory *memory;
        uint64_t head_bytes; /* before the memory: a multiple of a page */
        uint8_t head[];
};

static struct note note_of(uint32_t type, size_t bytes)
{
        struct note note = {.header = {.n_namesz = sizeof(NOTE_NAME),
                                       .n_descsz = (Elf64_Word)bytes,
                                       .n_type = type}};

        memcpy(note.name, NOTE_NAME, sizeof(NOTE_NAME));
        return note;
}

static struct user_regs_struct user_regs_of(const struct core_cpu *cpu)
{
        const uint64_t *r = cpu->regs.r;
        const struct machine_segment *segments = cpu->sregs.segments;

        return (struct user_regs_struct){
                .r15 = r[MACHINE_R15],
                .r14 = r[MACHINE_R14],
                .r13 = r[MACHINE_R13],
                .r12 = r[MACHINE_R12],
                .rbp = r[MACHINE_RBP],
                .rbx = r[MACHINE_RBX],
                .r11 = r[MACHINE_R11],
                .r10 = r[MACHINE_R10],
                .r9 = r[MACHINE_R9],
                .r8 = r[MACHINE_R8],
                .rax = r[MACHINE_RAX],
                .rcx = r[MACHINE_RCX],
                .rdx = r[MACHINE_RDX],
                .rsi = r[MACHINE_RSI],
                .rdi = r[MACHINE_RDI],
                .orig_rax = ~0ull, /* in no system call */
                .rip = r[MACHINE_RIP],
                .cs = segments[MACHINE_CS].selector,
                .eflags = r[MACHINE_RFLAGS],
                .rsp = r[MACHINE_RSP],
                .ss = segments[MACHINE_SS].selector,
                .fs_base = segments[MACHINE_FS].base,
                .gs_base = segments[MACHINE_GS].base,
                .ds = segments[MACHINE_DS].selector,
                .es = segments[MACHINE_ES].selector,
                .fs = segments[MACHINE_FS].selector,
                .gs = segments[MACHINE_GS].selector,
        };
}

static void put_cpu(uint8_t *at, const struct core_cpu *cpu, uint32_t number)
{
        struct user_regs_struct regs = user_regs_of(cpu);
        struct cpu_notes notes = {
                .status_note = note_of(NT_PRSTATUS, sizeof(struct elf_prstatus)),
                .status = {.pr_pid = (pid_t)number + 1},
                .fp_note = note_of(NT_FPREGSET, sizeof(elf_fpregset_t)),
        };

        memcpy(&notes.status.pr_reg, &regs, sizeof(regs));
        memcpy(&notes.fp, cpu->fxsave.bytes, sizeof(notes.fp));
        memcpy(at, &notes, sizeof(notes));
}

static void put_headers(struct core *core, size_t notes_at, size_t notes_bytes)
{
        const struct memory *memory = core->memory;
        Elf64_Ehdr header = {
                .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                            EV_CURRENT},
                .e_type = ET_CORE,
                .e_machine = EM_X86_64,
                .e_version = EV_CURRENT,
                .e_phoff = sizeof(Elf64_Ehdr),
                .e_ehsize = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = (Elf64_Half)(1 + memory->n_ranges),
        };
        Elf64_Phdr segments[1 + MEMORY_RANGES_MAX] = {
                {.p_type = PT_NOTE, .p_offset = notes_at, .p_filesz = notes_bytes, .p_align = 4}};
        uint64_t offset = core->head_bytes;

        for (uint32_t i = 0; i < memory->n_ranges; i++) {
                const struct memory_range *range = &memory->ranges[i];

                segments[1 + i] = (Elf64_Phdr){.p_type = PT_LOAD,
                                               .p_flags = PF_R | PF_W | PF_X,
                                               .p_offset = offset,
                                               .p_vaddr = range->start,
                                               .p_paddr = range->start,
                                               .p_filesz = range->size,
                                               .p_memsz = range->size,
                                               .p_align = PAGE_BYTES};
                offset += range->size;
        }
        memcpy(core->head, &header, sizeof(header));
        memcpy(core->head + sizeof(header), segments, header.e_phnum * sizeof(segments[0]));
}

int core_new(const struct memory *memory, const struct core_cpu *cpus, uint32_t n_cpus,
             struct core **ret_core)
{
        size_t notes_at = sizeof(Elf64_Ehdr) + (1 + memory->n_ranges) * sizeof(Elf64_Phdr);
        size_t notes_bytes = n_cpus * sizeof(struct cpu_notes);
        size_t head_bytes = (notes_at + notes_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
        struct core *core = calloc(1, sizeof(*core) + head_bytes);

        if (!core)
                return -ENOMEM;
        core->memory = memory;
        core->head_bytes = head_bytes;
        put_headers(core, notes_at, notes_bytes);
        for (uint32_t i = 0; i < n_cpus; i++)
                put_cpu(core->head + notes_at + i * sizeof(struct cpu_notes), &cpus[i], i);
        *ret_core = core;
        return 0;
}

struct core *core_free(struct core *core)
{
        free(core);
        return NULL;
}

uint64_t core_size(const struct core *core)
{
        return core->head_bytes + core->memory->size;
}

size_t core_read(const struct core *core, uint64_t offset, void *to, size_t len)
{
        uint64_t at = core->head_bytes;

        if (offset < at) {
                len = (size_t)MIN(at - offset, (uint64_t)len);
                memcpy(to, core->head + offset, len);
                return len;
        }
        for (uint32_t i = 0; i < core->memory->n_ranges; i++) {
                const struct memory_range *range = &core->memory->ranges[i];

                if (offset - at < range->size) {
                        len = (size_t)MIN(range->size - (offset - at), (uint64_t)len);
                        CHECK(memory_read(core->memory, range->start + (offset - at), to, len));
                        return len;
                }
                at += range->size;
        }
        return 0;
}
