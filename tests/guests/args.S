/* SPDX-License-Identifier: MIT */
/* Says its command line on the serial port, keeps what it was given in registers, and powers off. */
        .include "guest.inc"
        .code64
_start:
        test    rdi, rdi
        jnz     3f
        mov     [RESULTS], rdi
        mov     [RESULTS + 8], rdx
        mov     [RESULTS + 16], rcx
        mov     dx, SERIAL
1:      lodsb
        test    al, al
        jz      2f
        out     dx, al
        jmp     1b
2:      mov     al, '\n'
        out     dx, al
        xor     al, al
        out     EXIT, al
3:      jmp     3b
