/* SPDX-License-Identifier: MIT */
/* An undefined instruction, and no IDT to handle it: a triple fault. */
        .include "guest.inc"
        .code64
_start:
        ud2
