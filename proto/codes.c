/* SPDX-License-Identifier: MIT */
#include "proto/codes.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

struct code_text {
        const char *name, *meaning;
};

static const struct code_text codes[_PROTO_CODE_N] = {
#define X(name, number, meaning) [number] = {#name, meaning},
        PROTO_CODES(X)
#undef X
};

/* Numbers without a gap: each entry of the table but that of PROTO_OK is then filled. */
#define X(name, number, meaning) +1
static_assert(_PROTO_CODE_N == 1 PROTO_CODES(X),
              "the numbers of PROTO_CODES run from 1 without a gap");
#undef X

static const char *const rans[] = {
        [PROTO_RAN_NO] = "no",
        [PROTO_RAN_YES] = "yes",
        [PROTO_RAN_MAYBE] = "maybe",
};

static_assert(sizeof(rans) / sizeof(rans[0]) == _PROTO_RAN_N, "one word per enum proto_ran");

/*
 * As unsigned: a code may come from the wire, where it can be any number.  0 is no error of the
 * list.
 */
static const struct code_text *find_code(enum proto_code code)
{
        static const struct code_text unknown = {"UNKNOWN", "unknown error"};

        return (unsigned)code - 1 < _PROTO_CODE_N - 1 ? &codes[code] : &unknown;
}

const char *proto_code_to_string(enum proto_code code)
{
        return find_code(code)->name;
}

const char *proto_code_meaning(enum proto_code code)
{
        return find_code(code)->meaning;
}

enum proto_code proto_code_from_string(const char *name, unsigned long len)
{
        for (unsigned code = 1; code < _PROTO_CODE_N; code++) {
                if (strlen(codes[code].name) == len && memcmp(codes[code].name, name, len) == 0)
                        return (enum proto_code)code;
        }
        return PROTO_OK;
}

const char *proto_ran_to_string(enum proto_ran ran)
{
        /* The cautious word for a number outside the list: only "no" may be retried blindly. */
        return (unsigned)ran < _PROTO_RAN_N ? rans[ran] : "maybe";
}
