/* SPDX-License-Identifier: MIT */
/*
 * Each vCPU counts in its own word of memory, at RESULTS + 8 * its number; vCPU 0 also says hello on the serial port
 * and gives back what is typed there, in capitals.
 */
        .include "guest.inc"
        .code64
_start:
        lea     rbx, [rdi * 8 + RESULTS]
        test    edi, edi
        jnz     3f
        lea     rsi, [rip + text]
        mov     dx, SERIAL
1:      lodsb
        test    al, al
        jz      2f
        out     dx, al
        jmp     1b
2:      inc     qword ptr [rbx]
        mov     dx, SERIAL_LSR
        in      al, dx
        test    al, 1
        jz      2b
        mov     dx, SERIAL
        in      al, dx
        lea     ecx, [rax - 'a']
        cmp     cl, 25
        ja      1f
        sub     al, 0x20
1:      out     dx, al
        jmp     2b
3:      inc     qword ptr [rbx]
        jmp     3b
text:
        .asciz  "hello from the guest\r\n"
