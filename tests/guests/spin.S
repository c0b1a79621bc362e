/* SPDX-License-Identifier: MIT */
/* Each vCPU puts a number of its own into every register and then does nothing, without end. */
        .include "guest.inc"
        .code64
        .set    n, 0
_start:
        mov     r15, rdi
        shl     r15, 32
        .irp    reg, rax, rbx, rcx, rdx, rsi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14
        .set    n, n + 0x1111
        mov     \reg, n
        or      \reg, r15
        .endr
1:      jmp     1b
