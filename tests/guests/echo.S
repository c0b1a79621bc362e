/* SPDX-License-Identifier: MIT */
/* 16-bit.  Says "ready", then gives back what is typed, in capitals; "q" powers the machine off. */
        .include "guest.inc"
        .code16
_start:
        mov     si, offset text
        mov     dx, SERIAL
1:      lodsb
        test    al, al
        jz      2f
        out     dx, al
        jmp     1b
2:      mov     dx, SERIAL_LSR
        in      al, dx
        test    al, 1
        jz      2b
        mov     dx, SERIAL
        in      al, dx
        cmp     al, 'q'
        je      4f
        cmp     al, 'a'
        jb      3f
        cmp     al, 'z'
        ja      3f
        sub     al, 0x20
3:      out     dx, al
        jmp     2b
4:      xor     al, al
        out     EXIT, al
        jmp     4b
text:
        .asciz  "ready\n"
