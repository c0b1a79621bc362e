/* SPDX-License-Identifier: MIT */
/*
 * The last step of the walk: what became of a call, as one response frame.
 *
 * A frame is written whole or not at all: results are put behind a mark, and what does not fit the
 * frame cap, the depth that clients survive, or the connection's share of bytes, is rolled back and
 * answered by an error.
 */
#include "rpc/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "rpc/call.h"
#include "rpc/peer.h"

/* ---- errors ---- */

void rpc_error_vset(struct rpc_error *error, enum proto_code code, enum proto_ran ran,
                    const char *format, va_list args)
{
        error->code = code;
        error->ran = ran;
        error->n_data = 0;
        (void)vsnprintf(error->text, sizeof(error->text), format, args);
}

void rpc_error_set(struct rpc_error *error, enum proto_code code, enum proto_ran ran,
                   const char *format, ...)
{
        va_list args;

        va_start(args, format);
        rpc_error_vset(error, code, ran, format, args);
        va_end(args);
}

static void add_data(struct rpc_error *error, const char *key, const char *word, int64_t number)
{
        if (error->n_data == RPC_ERROR_DATA_MAX)
                return;
        error->data[error->n_data].key = key;
        error->data[error->n_data].word = word;
        error->data[error->n_data].number = number;
        error->n_data++;
}

void rpc_error_add_word(struct rpc_error *error, const char *key, const char *word)
{
        add_data(error, key, word, 0);
}

void rpc_error_add_number(struct rpc_error *error, const char *key, int64_t number)
{
        add_data(error, key, NULL, number);
}

static void put_text(struct proto_builder *out, const struct rpc_error *error)
{
        proto_put_format(out, "%s: %s (ran: %s)", proto_code_to_string(error->code), error->text,
                         proto_ran_to_string(error->ran));
}

static void put_map(struct proto_builder *out, const struct rpc_error *error)
{
        proto_put_map(out, 5);
        proto_put_text(out, "name");
        proto_put_text(out, proto_code_to_string(error->code));
        proto_put_text(out, "code");
        proto_put_uint(out, error->code);
        proto_put_text(out, "message");
        proto_put_text(out, error->text);
        proto_put_text(out, "ran");
        proto_put_text(out, proto_ran_to_string(error->ran));
        proto_put_text(out, "data");
        proto_put_map(out, error->n_data);
        for (uint32_t i = 0; i < error->n_data; i++) {
                proto_put_text(out, error->data[i].key);
                if (error->data[i].word)
                        proto_put_text(out, error->data[i].word);
                else
                        proto_put_int(out, error->data[i].number);
        }
}

void rpc_reply_error_full(struct rpc_peer *peer, uint32_t msgid, const struct rpc_error *error)
{
        struct proto_builder *out = &peer->out;
        size_t mark = out->len;

        if (peer->state == RPC_PEER_CLOSING)
                return;
        proto_put_response(out, msgid);
        switch (peer->style) {
        case RPC_STYLE_TEXT:
                put_text(out, error);
                break;
        case RPC_STYLE_PAIR:
                proto_put_array(out, 2);
                proto_put_uint(out, error->code == PROTO_INVALID_ARGUMENT ||
                                            error->code == PROTO_INVALID_REQUEST);
                put_text(out, error);
                break;
        case RPC_STYLE_MAP:
                put_map(out, error);
                break;
        }
        proto_put_nil(out);
        if (out->error) {
                /* No memory, or an output buffer full of such notices: this peer cannot be told any
                 * more, and silence would break the promise of one answer per call. */
                proto_builder_rollback(out, mark);
                peer->state = RPC_PEER_ENDING;
        }
        rpc_peer_touch(peer);
}

void rpc_reply_error(struct rpc_peer *peer, uint32_t msgid, enum proto_code code,
                     enum proto_ran ran, const char *format, ...)
{
        struct rpc_error error;
        va_list args;

        va_start(args, format);
        rpc_error_vset(&error, code, ran, format, args);
        va_end(args);
        rpc_reply_error_full(peer, msgid, &error);
}

/* ---- results ---- */

struct proto_builder *rpc_reply_begin(struct rpc_peer *peer, uint32_t msgid, size_t *ret_mark)
{
        *ret_mark = peer->out.len;
        proto_put_response(&peer->out, msgid);
        proto_put_nil(&peer->out);
        return &peer->out;
}

/* Modules may nest deeper than clients survive: nvim 0.7.2 aborts at 32 levels. */
static bool is_too_deep(const struct proto_builder *out, size_t mark)
{
        struct proto_frame frame;

        proto_frame_init(&frame, out->len - mark);
        return proto_frame_scan(&frame, out->data + mark, out->len - mark) == PROTO_FRAME_E_DEPTH;
}

/* A result that may not be held until the client reads it. */
static void reply_dropped(struct rpc_peer *peer, uint32_t msgid, enum proto_ran ran,
                          const struct rpc_account *over)
{
        struct rpc_error error;

        rpc_error_set(
                &error, PROTO_BUSY, ran,
                "the result was dropped: too many bytes of this %s: %llu of %llu; %llu are answers that this "
                "connection has not read",
                over->what, (unsigned long long)over->used[RPC_BYTES],
                (unsigned long long)over->max[RPC_BYTES],
                (unsigned long long)(peer->out.len - peer->out_sent));
        rpc_error_add_word(&error, "limit", "bytes");
        rpc_error_add_word(&error, "of", over->what);
        rpc_error_add_number(&error, "usage", (int64_t)over->used[RPC_BYTES]);
        rpc_error_add_number(&error, "max", (int64_t)over->max[RPC_BYTES]);
        rpc_reply_error_full(peer, msgid, &error);
}

static void reply_too_large(struct rpc_peer *peer, uint32_t msgid, enum proto_ran ran)
{
        rpc_reply_error(
                peer, msgid, PROTO_TOO_LARGE, ran,
                "the result is larger than a frame may be (%llu bytes), or nested deeper than %d levels",
                (unsigned long long)peer->server->config.limits.frame_bytes, PROTO_DEPTH_MAX);
}

void rpc_reply_end(struct rpc_peer *peer, uint32_t msgid, size_t mark, enum proto_ran ran)
{
        const struct rpc_limits *limits = &peer->server->config.limits;
        struct proto_builder *out = &peer->out;
        const struct rpc_account *over = rpc_peer_over(peer, 0);
        size_t len = out->len - mark;

        if (out->error == PROTO_BUILDER_OK && len <= limits->frame_bytes && !over &&
            !is_too_deep(out, mark)) {
                rpc_peer_touch(peer);
                return;
        }
        if (out->error == PROTO_BUILDER_E_MEMORY) {
                proto_builder_rollback(out, mark);
                rpc_reply_error(peer, msgid, PROTO_INTERNAL, ran, "out of memory for the answer");
        } else if (len > limits->frame_bytes || (out->error == 0 && !over)) {
                proto_builder_rollback(out, mark);
                reply_too_large(peer, msgid, ran);
        } else {
                proto_builder_rollback(out, mark);
                reply_dropped(peer, msgid, ran, over ? over : &peer->account);
        }
}

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

static bool is_failure(const struct rpc_call *call, const struct vmreq_row *row)
{
        return row->status < 0 && (call->n_writers || call->symbol->def->result == VMREQ_T_STATUS);
}

/* Is the module's result one value? */
static enum rpc_writer_result check_value(const struct rpc_call *call, const struct vmreq_row *row)
{
        const struct rpc_writer *writer = writer_of(call, row);
        uint32_t result = call->symbol->def->result;

        return writer ? rpc_writer_check(writer, result == VMREQ_T_NIL || result == VMREQ_T_STATUS)
                      : RPC_WRITER_OK;
}

static void put_value(struct proto_builder *out, const struct rpc_call *call,
                      const struct vmreq_row *row)
{
        const struct rpc_writer *writer = writer_of(call, row);

        if (!writer)
                rpc_marshal_word(out, call->symbol->def, row->value);
        else if (writer->value.len)
                proto_put_raw(out, writer->value.data, writer->value.len);
        else
                proto_put_nil(out);
}

/* The function returned a failing status. */
static void failure_error(struct rpc_error *error, const struct rpc_call *call,
                          const struct vmreq_row *row)
{
        const struct rpc_writer *writer = writer_of(call, row);
        const struct rpc_failure *failure = writer ? writer->failure : NULL;
        const char *name = failure && failure->name[0] ? failure->name : NULL;
        const char *text = failure && failure->text[0] ? failure->text : NULL;
        enum proto_code code = PROTO_FAILED;

        if (writer && writer->refused) {
                rpc_error_set(
                        error, PROTO_BUSY, PROTO_RAN_NO,
                        "%s: not run: more than %llu bytes of results are on their way to their clients",
                        call->symbol->def->name,
                        (unsigned long long)call->server->config.limits.bytes);
                rpc_error_add_word(error, "limit", "bytes");
                rpc_error_add_word(error, "of", "daemon");
                return;
        }
        /* It was asked to end early, and says that it did. */
        if (call->killed) {
                rpc_error_set(error, PROTO_KILLED, PROTO_RAN_MAYBE,
                              "%s: the daemon goes down while it runs", call->symbol->def->name);
                return;
        }
        if (call->cancelled_by[0] && (call->symbol->def->flags & VMREQ_SYM_CANCELLABLE)) {
                rpc_error_set(error, PROTO_CANCELLED, PROTO_RAN_YES,
                              "%s: cancelled by %s while it ran", call->symbol->def->name,
                              call->cancelled_by);
                rpc_error_add_number(error, "status", row->status);
                return;
        }
        if (row->status == VMREQ_E_STATE)
                code = PROTO_VM_STATE;
        else if (row->status == VMREQ_E_DEADLOCK)
                code = PROTO_DEADLOCK;
        else if (row->status == VMREQ_E_TIMEOUT)
                code = PROTO_TIMEOUT;
        else if (row->status == VMREQ_E_INVALID)
                code = PROTO_INVALID_ARGUMENT;
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

static void fate_error(struct rpc_error *error, const struct rpc_call *call,
                       const struct vmreq_row *row)
{
        const char *name = call->symbol->def->name;

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

static void writer_error(struct rpc_error *error, const struct rpc_call *call,
                         enum rpc_writer_result result)
{
        const char *name = call->symbol->def->name;
        uint64_t missed;

        if (result == RPC_WRITER_E_BUDGET)
                rpc_error_set(error, PROTO_TOO_LARGE, PROTO_RAN_YES,
                              "%s: its result is larger than a frame may be", name);
        else if (result == RPC_WRITER_E_MEMORY)
                rpc_error_set(error, PROTO_INTERNAL, PROTO_RAN_YES,
                              "%s: out of memory for its result", name);
        else
                rpc_error_set(error, PROTO_INTERNAL, PROTO_RAN_YES,
                              "%s: the function did not write exactly one result; request %llu",
                              name, (unsigned long long)call->id);
        if (result == RPC_WRITER_E_BALANCE &&
            log_limit_pass(&call->server->fault_log, 10, vmreq_now(), &missed))
                log_line(
                        LOG_L_ERROR,
                        "%s did not write exactly one result (request %llu; %llu more were not logged)",
                        name, (unsigned long long)call->id, (unsigned long long)missed);
}

/* One vCPU's row: {cpu, fate, status, value, queued_us, run_us}, and what a failure said. */
static void put_row(struct proto_builder *out, const struct rpc_call *call,
                    const struct vmreq_row *row)
{
        bool done = row->fate == VMREQ_FATE_DONE, failed = done && is_failure(call, row);
        bool has_value = done && !failed && check_value(call, row) == RPC_WRITER_OK;
        const struct rpc_writer *writer = writer_of(call, row);
        bool has_text = failed && writer && writer->failure && writer->failure->text[0];

        proto_put_map(out, has_text ? 7 : 6);
        proto_put_text(out, "cpu");
        proto_put_uint(out, row->cpu);
        proto_put_text(out, "fate");
        proto_put_text(out, vmreq_fate_name(row->fate));
        proto_put_text(out, "status");
        proto_put_int(out, row->status);
        proto_put_text(out, "value");
        if (has_value)
                put_value(out, call, row);
        else
                proto_put_nil(out);
        proto_put_text(out, "queued_us");
        proto_put_uint(out, to_us(row->queued_ns));
        proto_put_text(out, "run_us");
        proto_put_uint(out, to_us(row->run_ns));
        if (has_text) {
                proto_put_text(out, "error");
                proto_put_text(out, writer->failure->text);
        }
}

/* Rows stand in the order in which the vCPUs were asked. */
static void put_rows(struct proto_builder *out, const struct rpc_call *call)
{
        bool reverse = call->options.cpu == VMREQ_CPU_ALL_REVERSE;

        proto_put_array(out, call->n_rows);
        for (uint32_t i = 0; i < call->n_rows; i++)
                put_row(out, call, &call->rows[reverse ? call->n_rows - 1 - i : i]);
}

static void put_timed(struct proto_builder *out, const struct rpc_call *call)
{
        proto_put_map(out, 4);
        proto_put_text(out, "cpu");
        proto_put_uint(out, call->row.cpu);
        proto_put_text(out, "queued_us");
        proto_put_uint(out, to_us(call->row.queued_ns));
        proto_put_text(out, "run_us");
        proto_put_uint(out, to_us(call->row.run_ns));
        proto_put_text(out, "value");
        put_value(out, call, &call->row);
}

static void dropped_error(struct rpc_error *error, const struct rpc_call *call)
{
        rpc_error_set(
                error, PROTO_BUSY, PROTO_RAN_YES,
                "%s: the result was dropped: it was over this connection's share of bytes when it came",
                call->symbol->def->name);
        rpc_error_add_word(error, "limit", "bytes");
}

/* What became of a call that is no broadcast; false: `error` says it. */
static bool call_succeeded(const struct rpc_call *call, struct rpc_error *error)
{
        enum rpc_writer_result written;

        if (call->row.fate != VMREQ_FATE_DONE) {
                fate_error(error, call, &call->row);
                return false;
        }
        if (is_failure(call, &call->row)) {
                failure_error(error, call, &call->row);
                return false;
        }
        if (call->dropped) {
                dropped_error(error, call);
                return false;
        }
        written = check_value(call, &call->row);
        if (written != RPC_WRITER_OK)
                writer_error(error, call, written);
        return written == RPC_WRITER_OK;
}

/* About how much its answer takes. */
static size_t result_size(const struct rpc_call *call)
{
        size_t n = 0;

        for (uint32_t i = 0; i < call->n_writers; i++)
                if (call->n_rows == 0 || call->rows[i].fate == VMREQ_FATE_DONE)
                        n += call->writers[i].value.len;
        return n;
}

void rpc_reply_call(struct rpc_peer *peer, uint32_t msgid, struct rpc_call *call)
{
        const struct rpc_account *over;
        struct proto_builder *out;
        struct rpc_error error;
        size_t mark, size;

        if (peer->state == RPC_PEER_CLOSING)
                return;
        if (call->n_rows && call->dropped) {
                dropped_error(&error, call);
                rpc_reply_error_full(peer, msgid, &error);
                return;
        }
        if (!call->n_rows && !call_succeeded(call, &error)) {
                rpc_reply_error_full(peer, msgid, &error);
                return;
        }
        /* Looked at before it is copied: who does not read could have us copy for nothing, again
         * and again. */
        size = result_size(call);
        if (size > peer->server->config.limits.frame_bytes) {
                reply_too_large(peer, msgid, PROTO_RAN_YES);
                return;
        }
        over = rpc_peer_over(peer, size);
        if (over) {
                reply_dropped(peer, msgid, PROTO_RAN_YES, over);
                return;
        }
        out = rpc_reply_begin(peer, msgid, &mark);
        if (call->n_rows)
                put_rows(out, call);
        else if (call->options.timing)
                put_timed(out, call);
        else
                put_value(out, call, &call->row);
        rpc_reply_end(peer, msgid, mark, PROTO_RAN_YES);
}
