/* SPDX-License-Identifier: MIT */
#pragma once
/* A vCPU's registers, as everybody but the backend sees them. */

#include <stddef.h>
#include <stdint.h>

/* Named as in GDB.  The order is that of answers. */
enum machine_reg {
        MACHINE_RIP,
        MACHINE_RFLAGS,
        MACHINE_RAX,
        MACHINE_RBX,
        MACHINE_RCX,
        MACHINE_RDX,
        MACHINE_RSI,
        MACHINE_RDI,
        MACHINE_RBP,
        MACHINE_RSP,
        MACHINE_R8,
        MACHINE_R9,
        MACHINE_R10,
        MACHINE_R11,
        MACHINE_R12,
        MACHINE_R13,
        MACHINE_R14,
        MACHINE_R15,
        MACHINE_REGS_N
};

struct machine_regs {
        uint64_t r[MACHINE_REGS_N]; /* by enum machine_reg */
};

enum machine_segment_id {
        MACHINE_CS,
        MACHINE_DS,
        MACHINE_ES,
        MACHINE_FS,
        MACHINE_GS,
        MACHINE_SS,
        MACHINE_TR,
        MACHINE_LDT,
        MACHINE_SEGMENTS_N
};

struct machine_segment {
        uint64_t base;
        uint32_t limit;
        uint16_t selector;
        uint8_t type, present, dpl, db, s, l, g, avl;
};

/* A descriptor table's register. */
struct machine_table {
        uint64_t base;
        uint16_t limit;
};

struct machine_sregs {
        struct machine_segment segments[MACHINE_SEGMENTS_N];
        struct machine_table gdt, idt;
        uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base;
};

/* The x87 and SSE state in FXSAVE's layout. */
#define MACHINE_FXSAVE_BYTES 512u

struct machine_fxsave {
        uint8_t bytes[MACHINE_FXSAVE_BYTES];
};

/* "rip" …; "cs" …  In range, never NULL. */
const char *machine_reg_name(enum machine_reg reg);
const char *machine_segment_name(enum machine_segment_id segment);
/* The register of that name (`len` bytes); MACHINE_REGS_N: there is none. */
enum machine_reg machine_reg_find(const char *name, size_t len);
