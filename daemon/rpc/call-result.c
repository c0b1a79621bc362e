/* SPDX-License-Identifier: MIT */
/*
 * The memory of a call's results: the writers that its function fills, from before submission until
 * the answer is written, or encoded to be kept.
 *
 * A large result counts in server->results_held from the EMT that wrote it until the loop has
 * charged or dropped it, so that results on their way are bounded without the loop.
 */
#include "rpc/call-internal.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/macros.h"
#include "rpc/kept.h"
#include "rpc/rows.h"
#include "rpc/stream.h"
#include "symbols/vmreq-module.h"

/* It is no result on its way any more: charged, or dropped. */
static void unhold(struct rpc_call *call, struct rpc_writer *writer)
{
        if (!writer->held)
                return;
        /* Relaxed: as in run_function. */
        atomic_fetch_sub_explicit(&call->server->results_held, writer->held, memory_order_relaxed);
        writer->held = 0;
}

static void drop_value(struct rpc_call *call, struct rpc_writer *writer)
{
        proto_builder_deinit(&writer->value);
        unhold(call, writer);
}

void rpc_call_reset_writer(struct rpc_call *call, struct rpc_writer *writer)
{
        unhold(call, writer);
        writer->n_chunks = 0;
        if (writer->value.cap > RPC_RESULT_LARGE)
                proto_builder_deinit(&writer->value);
        proto_builder_reset(&writer->value);
}

void rpc_call_end_states(struct rpc_call *call)
{
        for (uint32_t i = 0; i < call->n_writers; i++)
                rpc_writer_end_state(&call->writers[i]);
}

static void writers_free(struct rpc_call *call)
{
        for (uint32_t i = 0; i < call->n_writers; i++) {
                drop_value(call, &call->writers[i]);
                rpc_writer_deinit(&call->writers[i]);
        }
        if (call->writers != &call->one_writer)
                free(call->writers);
        call->writers = NULL;
        call->n_writers = 0;
}

void rpc_call_free(struct rpc_call *call)
{
        CHECK(!call->waiters && !call->key);
        rpc_kept_free(call->kept);
        writers_free(call);
        rpc_stream_free(call->stream);
        free(call->streamed);
        free(call->rows);
        rpc_args_deinit(&call->args);
        rpc_call_give(call);
}

static bool is_broadcast(uint32_t cpu)
{
        return cpu == VMREQ_CPU_ALL || cpu == VMREQ_CPU_ALL_REVERSE;
}

/* What the function of one vCPU may write in one run: a chunk, where they are taken one by one. */
static size_t writer_max(const struct rpc_call *call)
{
        size_t frame_bytes = call->server->config.limits.frame_bytes;

        return call->stream ? MIN(frame_bytes, (size_t)VMREQ_CHUNK_BYTES_MAX) : frame_bytes;
}

bool rpc_call_new_writers(struct rpc_call *call)
{
        uint32_t cpus = call->server->policy.n_cpus;

        if (is_broadcast(call->options.cpu)) {
                call->rows = calloc(cpus, sizeof(*call->rows));
                if (!call->rows)
                        return false;
                call->n_rows = cpus;
                if (call->options.stream && !rpc_rows_new(call, cpus))
                        return false;
        } else if ((call->symbol->def->flags & VMREQ_SYM_STREAMING) && !rpc_stream_new(call)) {
                return false;
        }
        if (call->symbol->words)
                return true;
        call->writers = call->n_rows > 1 ? calloc(cpus, sizeof(*call->writers)) : &call->one_writer;
        if (!call->writers)
                return false;
        call->n_writers = call->n_rows > 1 ? cpus : 1;
        for (uint32_t i = 0; i < call->n_writers; i++)
                rpc_writer_init(&call->writers[i], call->symbol->def->result, writer_max(call));
        return true;
}

/* Has the vCPU's part ended, so that its writer is not written to any more? */
static bool is_written(const struct rpc_call *call, uint32_t i)
{
        return call->n_rows == 0 || call->rows[i].fate != VMREQ_FATE_RUNNING;
}

void rpc_call_drop_results(struct rpc_call *call)
{
        for (uint32_t i = 0; i < call->n_writers; i++)
                if (is_written(call, i))
                        drop_value(call, &call->writers[i]);
}

void rpc_call_free_request(struct rpc_call *call)
{
        rpc_call_uncharge_request(call);
        writers_free(call);
        rpc_stream_free(call->stream);
        free(call->streamed);
        free(call->rows);
        call->stream = NULL;
        call->streamed = NULL;
        call->rows = NULL;
        call->n_rows = 0;
        rpc_args_deinit(&call->args);
        call->args.n_bytes = 0;
}
