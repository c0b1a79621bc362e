/* SPDX-License-Identifier: MIT */
/* Sends 16 KiB to the serial port by one instruction, then reads some from where nobody is. */
        .include "guest.inc"
        .code64
_start:
        mov     edi, 0x300000
        mov     ecx, 0x4000
        mov     al, 'x'
        rep     stosb
1:      mov     esi, 0x300000
        mov     ecx, 0x4000
        mov     dx, SERIAL
        rep     outsb
        mov     edi, 0x400000
        mov     ecx, 0x400
        mov     dx, 0x1234
        rep     insb
        inc     qword ptr [RESULTS]
        jmp     1b
