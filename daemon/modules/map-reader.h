/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Reads an argument of type MAP whose values are numbers: registers by name.  It arrives as encoded
 * msgpack, which the front end has found well-formed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_reader {
        const uint8_t *at, *end;
        uint32_t left; /* pairs */
};

/* False: not a map. */
bool map_reader_init(struct map_reader *reader, const void *data, size_t len);
/*
 * The next pair: its key, borrowed, and its value, a number from 0 on, or a text such as "0x2a" or
 * "42".  False: there is none, or what is there is something else; *ret_wrong then says what was
 * expected, else it is NULL.
 */
bool map_reader_next(struct map_reader *reader, const char **ret_key, size_t *ret_key_len,
                     uint64_t *ret_value, const char **ret_wrong);
