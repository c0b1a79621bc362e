/* SPDX-License-Identifier: MIT */
/* 16-bit.  vCPU 0 says hello on the serial port and powers the machine off with code 42; others halt. */
        .include "guest.inc"
        .code16
_start:
        test    bx, bx
        jnz     3f
        mov     si, offset text
        mov     dx, SERIAL
1:      lodsb
        test    al, al
        jz      2f
        out     dx, al
        jmp     1b
2:      mov     al, 42
        out     EXIT, al
3:      hlt
        jmp     3b
text:
        .asciz  "hello from the guest\r\n"
