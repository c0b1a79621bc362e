/* SPDX-License-Identifier: MIT */
#pragma once
/* Where a callback's result goes: a msgpack builder with a budget, and a place for what a failure
 * says. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/builder.h"
#include "symbols/writer.h"

#define RPC_FAILURE_NAME_MAX 64
#define RPC_FAILURE_TEXT_MAX 1024

/* Results beyond this count while they are on their way to the loop; smaller ones are bounded by
 * the number of calls. */
#define RPC_RESULT_LARGE 4096u

struct rpc_failure {
        char name[RPC_FAILURE_NAME_MAX];
        char text[RPC_FAILURE_TEXT_MAX];
};

struct rpc_writer {
        struct vmreq_writer base;
        struct proto_builder value;
        struct rpc_failure *failure; /* allocated when something failed and said so */
        uint64_t held;               /* how much of it counts as a result on its way */
        bool refused; /* the function was not run, too many results were on their way */
};

void rpc_writer_init(struct rpc_writer *writer, size_t bytes_max);
void rpc_writer_deinit(struct rpc_writer *writer);

enum rpc_writer_result {
        RPC_WRITER_OK = 0,
        RPC_WRITER_E_BUDGET, /* the result is over the frame cap */
        RPC_WRITER_E_MEMORY,
        RPC_WRITER_E_BALANCE, /* not exactly one value: a fault of the module */
};

/* After the callback: is there exactly one value (or, `nil_ok`, none)? */
enum rpc_writer_result rpc_writer_check(const struct rpc_writer *writer, bool nil_ok);

/* The wire form of an x64. */
void rpc_put_x64(struct proto_builder *builder, uint64_t value);
