/* SPDX-License-Identifier: MIT */
/* For irqchip=kernel: the PIT ticks as fast as it can, and each tick is counted at RESULTS. */
        .include "guest.inc"
        .code64
_start:
        cmp     rdi, 0
        jne     3f
        mov     rsp, 0x1f0000
        lea     rax, [rip + handler]
        mov     rbx, 0x1e0000           /* the IDT: only vector 0x20 is there */
        mov     word ptr [rbx + 0x20 * 16], ax
        mov     word ptr [rbx + 0x20 * 16 + 2], 8
        mov     word ptr [rbx + 0x20 * 16 + 4], 0x8e00
        shr     rax, 16
        mov     word ptr [rbx + 0x20 * 16 + 6], ax
        mov     word ptr [rsp], 0x21 * 16 - 1
        mov     [rsp + 2], rbx
        lidt    [rsp]
        mov     al, 0x11                /* the PICs: vectors from 0x20 and 0x28, only line 0 */
        out     0x20, al
        out     0xa0, al
        mov     al, 0x20
        out     0x21, al
        mov     al, 0x28
        out     0xa1, al
        mov     al, 4
        out     0x21, al
        mov     al, 2
        out     0xa1, al
        mov     al, 1
        out     0x21, al
        out     0xa1, al
        mov     al, 0xfe
        out     0x21, al
        mov     al, 0xff
        out     0xa1, al
        mov     al, 0x34                /* the PIT: every 2 of its clocks */
        out     0x43, al
        mov     al, 2
        out     0x40, al
        xor     al, al
        out     0x40, al
        sti
1:      hlt
        jmp     1b
handler:
        inc     qword ptr [RESULTS]
        push    rax
        mov     al, 0x20
        out     0x20, al
        pop     rax
        iretq
3:      cli
        hlt
        jmp     3b
