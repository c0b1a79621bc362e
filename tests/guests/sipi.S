/* SPDX-License-Identifier: MIT */
/*
 * For irqchip=kernel and sipi=yes: the first vCPU puts code for the others to 0xa000 and starts them
 * (INIT, then SIPI with vector 0x0a, to all but itself); each of those counts at RESULTS_REAL, the first
 * one at RESULTS.
 */
        .include "guest.inc"
        .code64
_start:
        mov     edi, 0xa000
        lea     rsi, [rip + others]
        mov     ecx, 64                 /* more than it has */
        rep     movsb
        mov     ebx, 0xfee00000         /* the local APIC */
        mov     dword ptr [rbx + 0xf0], 0x1ff
        mov     dword ptr [rbx + 0x310], 0
        mov     dword ptr [rbx + 0x300], 0xc4500
        mov     ecx, 100000
1:      loop    1b
        mov     dword ptr [rbx + 0x300], 0xc460a
2:      inc     qword ptr [RESULTS]
        jmp     2b
        .code16
others:
        xor     ax, ax
        mov     ds, ax
3:      lock inc dword ptr [RESULTS_REAL]
        jmp     3b
