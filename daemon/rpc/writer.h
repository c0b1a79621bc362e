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
        uint32_t type;
        struct rpc_failure *failure; /* allocated when something failed and said so */
        uint64_t held;               /* how much of it counts as a result on its way */
        bool refused; /* the function was not run, too many results were on their way */

        /* a generator's */
        uint32_t n_chunks; /* that stand in `value`, one behind the other */
        int chunk;         /* enum rpc_writer_result: of the last of them, in a broadcast */
        void *state;
        void (*release)(void *state);
};

/* `type`, an enum vmreq_type, is what the symbol declares: of its result, or of each chunk. */
void rpc_writer_init(struct rpc_writer *writer, uint32_t type, size_t bytes_max);
/* Frees all of it, and lets go of the state.  Idempotent. */
void rpc_writer_deinit(struct rpc_writer *writer);
/* No run is under way or to come: the generator's state may go.  Idempotent. */
void rpc_writer_end_state(struct rpc_writer *writer);

enum rpc_writer_result {
        RPC_WRITER_OK = 0,
        RPC_WRITER_E_BUDGET, /* the result is over the frame cap */
        RPC_WRITER_E_MEMORY,
        RPC_WRITER_E_BALANCE, /* not exactly one value: a fault of the module */
        RPC_WRITER_E_CHUNK,   /* a generator's chunk is over VMREQ_CHUNK_BYTES_MAX */
        RPC_WRITER_E_TYPE,    /* not of the declared type (without NDEBUG only): likewise a fault */
};

/* After the callback: is there exactly one value (or, where nothing is declared, none)? */
enum rpc_writer_result rpc_writer_check(const struct rpc_writer *writer);

/*
 * After a run of a generator: counts what it wrote behind `mark`, an earlier length of `value`, as
 * a chunk if it is one value.  Nothing is fine too.
 */
enum rpc_writer_result rpc_writer_end_chunk(struct rpc_writer *writer, size_t mark);

/* The wire form of an x64. */
void rpc_put_x64(struct proto_builder *builder, uint64_t value);
