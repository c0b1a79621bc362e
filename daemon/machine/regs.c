/* SPDX-License-Identifier: MIT */
#include "machine/regs.h"

#include <assert.h>
#include <string.h>

#include "base/check.h"
#include "base/macros.h"

static const char *const reg_names[] = {
        [MACHINE_RIP] = "rip", [MACHINE_RFLAGS] = "rflags", [MACHINE_RAX] = "rax",
        [MACHINE_RBX] = "rbx", [MACHINE_RCX] = "rcx",       [MACHINE_RDX] = "rdx",
        [MACHINE_RSI] = "rsi", [MACHINE_RDI] = "rdi",       [MACHINE_RBP] = "rbp",
        [MACHINE_RSP] = "rsp", [MACHINE_R8] = "r8",         [MACHINE_R9] = "r9",
        [MACHINE_R10] = "r10", [MACHINE_R11] = "r11",       [MACHINE_R12] = "r12",
        [MACHINE_R13] = "r13", [MACHINE_R14] = "r14",       [MACHINE_R15] = "r15",
};

static const char *const segment_names[] = {
        [MACHINE_CS] = "cs", [MACHINE_DS] = "ds", [MACHINE_ES] = "es", [MACHINE_FS] = "fs",
        [MACHINE_GS] = "gs", [MACHINE_SS] = "ss", [MACHINE_TR] = "tr", [MACHINE_LDT] = "ldt",
};

static_assert(ARRAY_SIZE(reg_names) == MACHINE_REGS_N, "a name for each register");
static_assert(ARRAY_SIZE(segment_names) == MACHINE_SEGMENTS_N, "a name for each segment");

const char *machine_reg_name(enum machine_reg reg)
{
        CHECK(reg < MACHINE_REGS_N);
        return reg_names[reg];
}

const char *machine_segment_name(enum machine_segment_id segment)
{
        CHECK(segment < MACHINE_SEGMENTS_N);
        return segment_names[segment];
}

enum machine_reg machine_reg_find(const char *name, size_t len)
{
        enum machine_reg reg = 0;

        while (reg < MACHINE_REGS_N &&
               (strlen(reg_names[reg]) != len || memcmp(reg_names[reg], name, len) != 0))
                reg++;
        return reg;
}
