/* SPDX-License-Identifier: MIT */
/* Jumps to an address where nothing is: there is no instruction to execute. */
        .include "guest.inc"
        .code64
_start:
        mov     eax, 0xd0000000
        jmp     rax
