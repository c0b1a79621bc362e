/* SPDX-License-Identifier: MIT */
#pragma once
/* Intrusive doubly linked lists, from libbsd's family as glibc ships it. */
#include <sys/queue.h>

/* Safe against removal of the element at hand. */
#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, next)                                                 \
        for ((var) = TAILQ_FIRST(head); (var) && ((next) = TAILQ_NEXT(var, field), 1);             \
             (var) = (next))
#endif
