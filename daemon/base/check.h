/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * CHECK: an assertion that stays on in release builds and always evaluates its argument.  For
 * caller contracts between our own rooms and for postconditions; never for what a peer, a module or
 * a guest controls.
 */

#include <stdio.h>
#include <stdlib.h>

#define CHECK(expression)                                                                          \
        do {                                                                                       \
                if (__builtin_expect(!(expression), 0)) {                                          \
                        fprintf(stderr, "%s:%d: %s: this is a bug: !(%s)\n", __FILE__, __LINE__,   \
                                __func__, #expression);                                            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)
