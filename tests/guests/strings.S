/* SPDX-License-Identifier: MIT */
/* Sends 64 KiB to the serial port by one instruction, then reads as many from where nobody is. */
        .include "guest.inc"
        .code64
_start:
        mov     edi, 0x300000
        mov     ecx, 0x10000
        mov     al, 'x'
        rep     stosb
1:      mov     esi, 0x300000
        mov     ecx, 0x10000
        mov     dx, SERIAL
        rep     outsb
        mov     edi, 0x400000
        mov     ecx, 0x10000
        mov     dx, 0x1234
        rep     insb
        inc     qword ptr [RESULTS]
        jmp     1b
