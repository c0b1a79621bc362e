/* SPDX-License-Identifier: MIT */
/* 16-bit.  Halts with interrupts off: nothing but an NMI brings it on. */
        .include "guest.inc"
        .code16
_start:
        cli
1:      hlt
        jmp     1b
