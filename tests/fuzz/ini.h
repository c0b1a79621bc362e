/* SPDX-License-Identifier: MIT */
#pragma once
/* Of the targets "config" and "policy": a simple reader of INI text, to hold conf-file.c's against.
 */

#include "fuzz.h"

struct ini {
        /* False: it is wrong. */
        bool (*section)(void *ctx, unsigned line, const char *name); /* may be NULL */
        bool (*setting)(void *ctx, const char *section, const char *key, const char *value);
        void *ctx;

        char in_section[256];
        unsigned line;
};

/* Reads a whole text.  0: all taken; else the number of the first line that is not. */
unsigned ini_read(struct ini *ini, const char *text, size_t len);
