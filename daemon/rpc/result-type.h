/* SPDX-License-Identifier: MIT */
#pragma once
/* Is what a function wrote of the type that its symbol declares?  Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * data[0..len) is one whole msgpack value, or nothing (len 0: a result of nil).  `type` is an enum
 * vmreq_type.  Integers have to be in the type's range, elements of containers may be anything.
 * False also for lack of memory.
 */
bool rpc_result_has_type(uint32_t type, const uint8_t *data, size_t len);
