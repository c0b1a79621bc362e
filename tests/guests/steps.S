/* SPDX-License-Identifier: MIT */
/* For single steps: plain instructions, one that asks a device, one that halts. */
        .include "guest.inc"
        .code64
_start:
        mov     eax, 1
        inc     rax
        in      al, DEBUG
        nop
        jmp     1f
        ud2
1:      cli
        hlt
2:      jmp     2b
