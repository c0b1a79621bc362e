/* SPDX-License-Identifier: MIT */
/* Writes ones over its own page tables, GDT and command line, and then has the processor look. */
        .include "guest.inc"
        .code64
_start:
        mov     edi, 0x1000
        mov     ecx, 0x1000
        mov     rax, -1
        rep     stosq
        mov     rax, cr3
        mov     cr3, rax
        mov     rax, [0x12345678]
1:      jmp     1b
