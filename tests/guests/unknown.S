/* SPDX-License-Identifier: MIT */
/* Reads every port and, in between, addresses where nothing is, of every width, without end. */
        .include "guest.inc"
        .code64
_start:
        mov     ebx, 0xd0000000
1:      inc     dx
        in      al, dx
        in      ax, dx
        in      eax, dx
        mov     al, [rbx]
        mov     eax, [rbx + 1]
        mov     rax, [rbx + 4093]
        mov     [rbx + 3], rax
        inc     qword ptr [RESULTS]
        jmp     1b
