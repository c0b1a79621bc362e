/* SPDX-License-Identifier: MIT */
/*
 * 16-bit.  Waits for interrupts: counts vector 0x40 at 0x600, NMIs at 0x602, line 4 of the PIC (if there
 * is one: vector 0x0c) at 0x606, and how often it was woken at 0x604.  It is ready when 0x608
 * is 1.
 */
        .include "guest.inc"
        .code16
_start:
        mov     sp, 0x7000
        mov     word ptr [0x40 * 4], offset on_vector
        mov     word ptr [0x40 * 4 + 2], 0
        mov     word ptr [2 * 4], offset on_nmi
        mov     word ptr [2 * 4 + 2], 0
        mov     word ptr [0x0c * 4], offset on_line
        mov     word ptr [0x0c * 4 + 2], 0
        mov     al, 0x11                /* the PIC: vectors from 8, all lines */
        out     0x20, al
        mov     al, 8
        out     0x21, al
        mov     al, 4
        out     0x21, al
        mov     al, 1
        out     0x21, al
        xor     al, al
        out     0x21, al
        mov     word ptr [RESULTS_REAL + 8], 1
        sti
1:      hlt
        inc     word ptr [RESULTS_REAL + 4]
        jmp     1b
on_vector:
        inc     word ptr [RESULTS_REAL]
        iret
on_nmi:
        inc     word ptr [RESULTS_REAL + 2]
        iret
on_line:
        inc     word ptr [RESULTS_REAL + 6]
        push    ax
        mov     al, 0x20                /* the PIC may send the next one */
        out     0x20, al
        pop     ax
        iret
