/* SPDX-License-Identifier: MIT */
#pragma once
/* Where a call runs, on the wire: the number of a vCPU, or a word. */

#include <stdbool.h>
#include <stdint.h>

#include "proto/builder.h"
#include "proto/value.h"

/* A format: the VM's last vCPU, unsigned. */
#define RPC_DESTINATION_EXPECTED                                                                   \
        "a vCPU of this VM, 0..%u, or \"any\", \"any-queue\", \"all\", \"all-reverse\""

/* A number below `cpus`, or VMREQ_CPU_* for a word.  False: it is neither. */
bool rpc_destination_read(const struct proto_value *value, uint32_t cpus, uint32_t *ret_cpu);

void rpc_destination_put(struct proto_builder *out, uint32_t cpu);
