/* SPDX-License-Identifier: MIT */
#pragma once
/* The names of the symbols that the caller may call, as the server lists them. */

#include <stddef.h>

#include "client/ctl.h"
#include "proto/limits.h"

struct names {
        char (*items)[PROTO_NAME_BYTES_MAX + 1];
        size_t n, cap;
};

/* Fills `names`, which was {0}, with those that match `glob` (NULL: all), in rising order. */
int names_fetch(struct ctl *ctl, const char *glob, struct names *names);
/* Idempotent. */
void names_deinit(struct names *names);

/*
 * Asks for the description of a symbol.  An enum ctl_exit; of a name that there is not, it reports
 * which one was probably meant.
 */
int names_describe(struct ctl *ctl, const char *symbol, struct ctl_value *ret_value);

/* The one that was probably meant by `word`; NULL if none is near. */
const char *names_nearest(const struct names *names, const char *word);
