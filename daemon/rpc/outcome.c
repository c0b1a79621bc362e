/* SPDX-License-Identifier: MIT */
/*
 * What became of a call: the translation of the engine's fates and statuses, and of what the
 * module wrote, into a value or one of the protocol's errors.  The only place where that is done.
 *
 * Called when a call is finished, and for a row of a broadcast as soon as that is final; loop
 * thread.  Nothing here knows a client: reply.c is who says it.
 */
#include "rpc/outcome.h"

#include <assert.h>

#include "rpc/call.h"
#include "rpc/server-internal.h"
#include "rpc/stream.h"
#include "symbols/vmreq-module.h"

static uint64_t to_us(uint64_t ns)
{
        return ns / 1000;
}

static const struct rpc_writer *writer_of(const struct rpc_call *call, const struct vmreq_row *row)
{
        if (call->n_writers == 0)
                return NULL;
        return &call->writers[call->n_rows ? row->cpu : 0];
}

/* ---- errors ---- */

static bool is_failure(const struct rpc_call *call, const struct vmreq_row *row)
{
        return row->status < 0 && (call->n_writers || call->symbol->def->result == VMREQ_T_STATUS);
}

/* Is the module's result one value? */
static enum rpc_writer_result check_value(const struct rpc_call *call, const struct vmreq_row *row)
{
        const struct rpc_writer *writer = writer_of(call, row);

        if (writer && (call->symbol->def->flags & VMREQ_SYM_STREAMING))
                return writer->chunk;
        return writer ? rpc_writer_check(writer) : RPC_WRITER_OK;
}

static_assert(VMREQ_FAIL_INVALID == VMREQ_E_INVALID && VMREQ_FAIL_TIMEOUT == VMREQ_E_TIMEOUT &&
                      VMREQ_FAIL_STATE == VMREQ_E_STATE && VMREQ_FAIL_DEADLOCK == VMREQ_E_DEADLOCK,
              "a module may return what the engine answered it");

/* Statuses that clients see under a name of their own. */
static enum proto_code code_of_status(int32_t status)
{
        switch (status) {
        case VMREQ_FAIL_STATE:
                return PROTO_VM_STATE;
        case VMREQ_FAIL_DEADLOCK:
                return PROTO_DEADLOCK;
        case VMREQ_FAIL_TIMEOUT:
                return PROTO_TIMEOUT;
        case VMREQ_FAIL_INVALID:
                return PROTO_INVALID_ARGUMENT;
        case VMREQ_FAIL_UNSUPPORTED:
                return PROTO_UNSUPPORTED;
        default:
                return PROTO_FAILED;
        }
}

static void status_error(struct rpc_error *error, const struct rpc_call *call,
                         const struct vmreq_row *row)
{
        const struct rpc_writer *writer = writer_of(call, row);
        const struct rpc_failure *failure = writer ? writer->failure : NULL;
        const char *name = failure && failure->name[0] ? failure->name : NULL;
        const char *text = failure && failure->text[0] ? failure->text : NULL;
        enum proto_code code = code_of_status(row->status);

        if (code == PROTO_FAILED)
                rpc_error_set(error, code, PROTO_RAN_YES, "%s: status %d%s%s%s%s%s",
                              call->symbol->def->name, row->status, name ? " (" : "",
                              name ? name : "", name ? ")" : "", text ? ": " : "",
                              text ? text : "");
        else
                rpc_error_set(error, code, PROTO_RAN_YES, "%s: %s", call->symbol->def->name,
                              text ? text : proto_code_meaning(code));
        rpc_error_add_number(error, "status", row->status);
        if (name)
                rpc_error_add_word(error, "status_name", name);
        if (code == PROTO_TIMEOUT) {
                rpc_error_add_word(error, "scope", "request");
                rpc_error_add_word(error, "state", "running");
        }
}

static void refused_error(struct rpc_error *error, const struct rpc_call *call)
{
        rpc_error_set(
                error, PROTO_BUSY, PROTO_RAN_NO,
                "%s: not run: more than %llu bytes of results are on their way to their clients",
                call->symbol->def->name, (unsigned long long)call->server->config.limits.bytes);
        rpc_error_add_word(error, "limit", "bytes");
        rpc_error_add_word(error, "of", "daemon");
}

/* The function returned a failing status. */
static void failure_error(struct rpc_error *error, const struct rpc_call *call,
                          const struct vmreq_row *row)
{
        const struct rpc_writer *writer = writer_of(call, row);

        if (writer && writer->refused) {
                refused_error(error, call);
        } else if (call->killed) {
                /* It was asked to end early, and says that it did. */
                rpc_error_set(error, PROTO_KILLED, PROTO_RAN_MAYBE,
                              "%s: the daemon goes down while it runs", call->symbol->def->name);
        } else if (call->cancelled_by[0] &&
                   (call->symbol->def->flags & (VMREQ_SYM_CANCELLABLE | VMREQ_SYM_STREAMING))) {
                rpc_error_set(error, PROTO_CANCELLED, PROTO_RAN_YES,
                              "%s: cancelled by %s while it ran", call->symbol->def->name,
                              call->cancelled_by);
                rpc_error_add_number(error, "status", row->status);
        } else {
                status_error(error, call, row);
        }
}

/* A generator that has run does not run again. */
static void stream_fate_error(struct rpc_error *error, const struct rpc_call *call)
{
        const char *name = call->symbol->def->name;

        switch (call->row.fate) {
        case VMREQ_FATE_EXPIRED:
                rpc_error_set(error, PROTO_TIMEOUT, PROTO_RAN_YES,
                              "%s: its time limit of %llu ms passed between two of its runs", name,
                              (unsigned long long)call->options.timeout_ms);
                rpc_error_add_word(error, "scope", "request");
                rpc_error_add_word(error, "state", "queued");
                break;
        case VMREQ_FATE_CANCELLED:
                rpc_error_set(error, PROTO_CANCELLED, PROTO_RAN_YES,
                              "%s: cancelled by %s between two of its runs", name,
                              call->cancelled_by[0] ? call->cancelled_by : "the daemon");
                break;
        default:
                rpc_error_set(error, PROTO_KILLED, PROTO_RAN_YES,
                              "%s: the VM goes away; it does not run again", name);
                break;
        }
        rpc_error_add_number(error, "chunks", (int64_t)call->stream->n_chunks);
}

static void fate_error(struct rpc_error *error, const struct rpc_call *call,
                       const struct vmreq_row *row)
{
        const char *name = call->symbol->def->name;

        if (call->stream && call->stream->n_runs > 0) {
                stream_fate_error(error, call);
                return;
        }
        switch (row->fate) {
        case VMREQ_FATE_EXPIRED:
                rpc_error_set(
                        error, PROTO_TIMEOUT, PROTO_RAN_NO,
                        "%s: its time limit of %llu ms passed while it was queued; it never runs",
                        name, (unsigned long long)call->options.timeout_ms);
                rpc_error_add_word(error, "scope", "request");
                rpc_error_add_word(error, "state", "queued");
                break;
        case VMREQ_FATE_CANCELLED:
                rpc_error_set(error, PROTO_CANCELLED, PROTO_RAN_NO,
                              "%s: cancelled by %s before it ran", name,
                              call->cancelled_by[0] ? call->cancelled_by : "the daemon");
                break;
        default:
                rpc_error_set(error, PROTO_KILLED, PROTO_RAN_NO,
                              "%s: the VM goes away; it never ran", name);
                break;
        }
}

static const char *writer_text(enum rpc_writer_result result)
{
        switch (result) {
        case RPC_WRITER_E_BUDGET:
                return "its result is larger than a frame may be";
        case RPC_WRITER_E_CHUNK:
                return "a chunk of it is larger than chunks may be (256 KiB)";
        case RPC_WRITER_E_MEMORY:
                return "out of memory for its result";
        case RPC_WRITER_E_TYPE:
                return "the function wrote something else than its symbol declares";
        default:
                return "the function did not write exactly one result";
        }
}

static void writer_error(struct rpc_error *error, struct rpc_call *call,
                         enum rpc_writer_result result)
{
        if (result == RPC_WRITER_E_BUDGET || result == RPC_WRITER_E_CHUNK)
                rpc_error_set(error, PROTO_TOO_LARGE, PROTO_RAN_YES, "%s: %s",
                              call->symbol->def->name, writer_text(result));
        else
                rpc_error_fault_again(error, call->server, &call->fault, PROTO_RAN_YES,
                                      "%s: %s (request %llu)", call->symbol->def->name,
                                      writer_text(result), (unsigned long long)call->id);
}

void rpc_outcome_set_dropped(struct rpc_error *error, const struct rpc_call *call)
{
        rpc_error_set(
                error, PROTO_BUSY, PROTO_RAN_YES,
                "%s: the result was dropped: it was over this connection's share of bytes when it came",
                call->symbol->def->name);
        rpc_error_add_word(error, "limit", "bytes");
}

static bool stream_failed(struct rpc_call *call, struct rpc_error *error)
{
        switch (call->stream->fault) {
        case RPC_STREAM_OK:
                return false;
        case RPC_STREAM_E_CHUNK:
                writer_error(error, call, RPC_WRITER_E_CHUNK);
                return true;
        case RPC_STREAM_E_FRAME:
                rpc_error_set(
                        error, PROTO_TOO_LARGE, PROTO_RAN_YES,
                        "%s: a chunk of it is larger than a frame may be, or nested deeper than %d levels",
                        call->symbol->def->name, PROTO_DEPTH_MAX);
                return true;
        case RPC_STREAM_E_COLLECTED:
                rpc_error_set(
                        error, PROTO_TOO_LARGE, PROTO_RAN_YES,
                        "%s: its chunks together are larger than a frame may be (%llu bytes); the option "
                        "\"stream\" has them sent one by one",
                        call->symbol->def->name,
                        (unsigned long long)call->server->config.limits.frame_bytes);
                return true;
        case RPC_STREAM_E_MEMORY:
                writer_error(error, call, RPC_WRITER_E_MEMORY);
                return true;
        case RPC_STREAM_E_TYPE:
                writer_error(error, call, RPC_WRITER_E_TYPE);
                return true;
        case RPC_STREAM_E_BALANCE:
        default:
                writer_error(error, call, RPC_WRITER_E_BALANCE);
                return true;
        }
}

bool rpc_outcome_failed(struct rpc_call *call, struct rpc_error *ret_error)
{
        enum rpc_writer_result written;

        if (call->n_rows)
                return false;
        if (call->row.fate != VMREQ_FATE_DONE) {
                fate_error(ret_error, call, &call->row);
                return true;
        }
        if (is_failure(call, &call->row)) {
                failure_error(ret_error, call, &call->row);
                return true;
        }
        if (call->dropped) {
                rpc_outcome_set_dropped(ret_error, call);
                return true;
        }
        if (call->stream)
                return stream_failed(call, ret_error);
        written = check_value(call, &call->row);
        if (written != RPC_WRITER_OK)
                writer_error(ret_error, call, written);
        return written != RPC_WRITER_OK;
}

/* ---- values ---- */

static void put_value(struct proto_builder *out, const struct rpc_call *call,
                      const struct vmreq_row *row)
{
        const struct rpc_writer *writer = writer_of(call, row);

        if (call->stream && call->options.stream) {
                proto_put_uint(out, call->stream->n_chunks);
        } else if (call->stream) {
                proto_put_array(out, (uint32_t)call->stream->n_chunks);
                proto_put_raw(out, call->stream->collected.data, call->stream->collected.len);
        } else if (call->symbol->def->flags & VMREQ_SYM_STREAMING) {
                proto_put_array(out, writer->n_chunks);
                proto_put_raw(out, writer->value.data, writer->value.len);
        } else if (!writer) {
                rpc_marshal_word(out, call->symbol->def, row->value);
        } else if (writer->value.len) {
                proto_put_raw(out, writer->value.data, writer->value.len);
        } else {
                proto_put_nil(out);
        }
}

static void put_times(struct proto_builder *out, const struct vmreq_row *row)
{
        proto_put_text(out, "queued_us");
        proto_put_uint(out, to_us(row->queued_ns));
        proto_put_text(out, "run_us");
        proto_put_uint(out, to_us(row->run_ns));
}

/* What a row says beside its value; NULL: nothing. */
static const char *row_text(const struct rpc_call *call, const struct vmreq_row *row)
{
        const struct rpc_writer *writer = writer_of(call, row);
        enum rpc_writer_result written;

        if (row->fate != VMREQ_FATE_DONE)
                return NULL;
        if (is_failure(call, row))
                return writer && writer->failure && writer->failure->text[0] ? writer->failure->text
                                                                             : NULL;
        written = check_value(call, row);
        return written == RPC_WRITER_OK ? NULL : writer_text(written);
}

void rpc_outcome_put_row(struct proto_builder *out, const struct rpc_call *call,
                         const struct vmreq_row *row)
{
        const char *text = row_text(call, row);

        proto_put_map(out, text ? 7 : 6);
        proto_put_text(out, "cpu");
        proto_put_uint(out, row->cpu);
        proto_put_text(out, "fate");
        proto_put_text(out, vmreq_fate_name(row->fate));
        proto_put_text(out, "status");
        proto_put_int(out, row->status);
        proto_put_text(out, "value");
        if (!text && row->fate == VMREQ_FATE_DONE && !is_failure(call, row))
                put_value(out, call, row);
        else
                proto_put_nil(out);
        put_times(out, row);
        if (text) {
                proto_put_text(out, "error");
                proto_put_text(out, text);
        }
}

size_t rpc_outcome_row_size(const struct rpc_call *call, const struct vmreq_row *row)
{
        const struct rpc_writer *writer = writer_of(call, row);

        return writer && row->fate == VMREQ_FATE_DONE ? writer->value.len : 0;
}

/* Rows stand in the order in which the vCPUs were asked. */
static void put_rows(struct proto_builder *out, const struct rpc_call *call)
{
        bool reverse = call->options.cpu == VMREQ_CPU_ALL_REVERSE;

        proto_put_array(out, call->n_rows);
        for (uint32_t i = 0; i < call->n_rows; i++)
                rpc_outcome_put_row(out, call, &call->rows[reverse ? call->n_rows - 1 - i : i]);
}

static void put_timed(struct proto_builder *out, const struct rpc_call *call)
{
        struct vmreq_row times = call->row;

        proto_put_map(out, 4);
        proto_put_text(out, "cpu");
        proto_put_uint(out, call->row.cpu);
        if (call->stream)
                times = (struct vmreq_row){.queued_ns = call->stream->queued_ns,
                                           .run_ns = call->stream->run_ns};
        put_times(out, &times);
        proto_put_text(out, "value");
        put_value(out, call, &call->row);
}

size_t rpc_outcome_size(const struct rpc_call *call)
{
        size_t n = 0;

        for (uint32_t i = 0; i < call->n_rows; i++)
                n += rpc_outcome_row_size(call, &call->rows[i]);
        if (call->stream)
                return call->stream->collected.len;
        return call->n_rows ? n : rpc_outcome_row_size(call, &call->row);
}

void rpc_outcome_put(struct proto_builder *out, const struct rpc_call *call)
{
        if (call->n_rows)
                put_rows(out, call);
        else if (call->options.timing)
                put_timed(out, call);
        else
                put_value(out, call, &call->row);
}
