/* SPDX-License-Identifier: MIT */
/*
 * Reads a port without end and looks at what it gets: if the result of an IN was ever lost, it powers
 * the machine off with code 1.  Counts at RESULTS; notes rcx, which it never changes, behind that.
 */
        .include "guest.inc"
        .code64
_start:
        xor     ecx, ecx
1:      mov     eax, 0xdead0000
        in      al, DEBUG
        cmp     eax, 0xdead00e9
        jne     2f
        inc     qword ptr [RESULTS]
        mov     [RESULTS + 8], rcx
        jmp     1b
2:      mov     al, 1
        out     EXIT, al
        jmp     2b
