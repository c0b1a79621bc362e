/* SPDX-License-Identifier: MIT */
/* Each vCPU counts in its own word of memory, at RESULTS + 8 * its number, without end. */
        .include "guest.inc"
        .code64
_start:
        lea     rbx, [rdi * 8 + RESULTS]
1:      inc     qword ptr [rbx]
        jmp     1b
