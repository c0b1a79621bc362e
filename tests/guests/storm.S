/* SPDX-License-Identifier: MIT */
/* Exceptions without end: the handler of an undefined instruction counts and returns to it. */
        .include "guest.inc"
        .code64
_start:
        cmp     rdi, 0
        jne     3f
        mov     rsp, 0x1f0000
        lea     rax, [rip + handler]
        mov     rbx, 0x1e0000           /* the IDT: only vector 6 is there */
        mov     word ptr [rbx + 6 * 16], ax
        mov     word ptr [rbx + 6 * 16 + 2], 8
        mov     word ptr [rbx + 6 * 16 + 4], 0x8e00
        shr     rax, 16
        mov     word ptr [rbx + 6 * 16 + 6], ax
        mov     word ptr [rsp], 7 * 16 - 1
        mov     [rsp + 2], rbx
        lidt    [rsp]
1:      ud2
handler:
        inc     qword ptr [RESULTS]
        iretq
3:      hlt
        jmp     3b
