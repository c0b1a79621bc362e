/* SPDX-License-Identifier: MIT */
/*
 * What is shown of a request comes from its call, which the loop owns, and from the engine's look
 * at its packet.  The two are never of quite the same moment: a request whose packet is done, while
 * its completion is still on its way to the loop, is shown no more.
 */
#include "rpc/record.h"

#include "base/clock.h"
#include "base/macros.h"
#include "proto/limits.h"
#include "rpc/destination.h"
#include "rpc/server-internal.h"
#include "rpc/stream.h"

static_assert(RPC_RECORD_BYTES >= 12 * 14 + PROTO_NAME_BYTES_MAX + 9 * 9,
              "keys, the longest name, and the widest numbers");

void rpc_emts_look(struct rpc_emts *emts, vmreq_vm vm)
{
        emts->now_ns = clock_now_ns();
        emts->n = MIN(vmreq_vm_cpus(vm), VMREQ_CPUS_MAX);
        for (uint32_t cpu = 0; cpu < emts->n; cpu++) {
                struct vmreq_emt_info info = {.state = VMREQ_EMT_ENDED};

                (void)vmreq_emt_info(vm, cpu, &info);
                emts->emt[cpu].state = info.state;
                emts->emt[cpu].tag = info.handle.generation ? info.tag : 0;
                emts->emt[cpu].since_ns = info.since_ns;
        }
}

/* A broadcast runs where a child of it does; its own packet says nothing of that. */
static bool take_broadcast(const struct rpc_call *call, const struct rpc_emts *emts,
                           struct rpc_record *record)
{
        uint32_t n = 0;

        for (uint32_t cpu = 0; cpu < emts->n; cpu++) {
                if (emts->emt[cpu].tag != call->id)
                        continue;
                record->on = n++ ? VMREQ_CPU_NONE : cpu;
                if (!record->running || emts->emt[cpu].since_ns < record->since_ns)
                        record->since_ns = emts->emt[cpu].since_ns;
                record->running = true;
        }
        /* Its rows may be final and its client answered while a child still runs. */
        return record->running || !call->finished;
}

bool rpc_record_take(const struct rpc_call *call, const struct rpc_emts *emts,
                     struct rpc_record *ret_record)
{
        enum vmreq_req_state state;
        struct vmreq_row row;

        *ret_record = (struct rpc_record){
                .call = call, .on = VMREQ_CPU_NONE, .since_ns = call->submitted_ns};
        if (call->n_rows)
                return take_broadcast(call, emts, ret_record);
        if (call->finished)
                return false;
        if (rpc_stream_waits(call))
                return true;
        if (vmreq_status(call->handle, &state, &row))
                return call->stream; /* between two runs */
        if (state == VMREQ_REQ_QUEUED)
                return true;
        if (state != VMREQ_REQ_RUNNING)
                return call->stream; /* done, and the loop has not heard of it yet */
        ret_record->running = true;
        if (call->stream)
                ret_record->since_ns = call->stream->submitted_ns;
        ret_record->on = row.cpu;
        ret_record->since_ns += row.queued_ns;
        return true;
}

static void put_number_or_nil(struct proto_builder *out, const char *key, bool is_number,
                              int64_t number)
{
        proto_put_text(out, key);
        if (is_number)
                proto_put_int(out, number);
        else
                proto_put_nil(out);
}

static void put_flag(struct proto_builder *out, const char *key, bool value)
{
        proto_put_text(out, key);
        proto_put_bool(out, value);
}

static int64_t to_ms(uint64_t from_ns, uint64_t to_ns)
{
        return to_ns >= from_ns ? (int64_t)((to_ns - from_ns) / CLOCK_NS_PER_MS)
                                : -(int64_t)((from_ns - to_ns) / CLOCK_NS_PER_MS);
}

void rpc_record_put_caller(struct proto_builder *out, const struct rpc_call *call)
{
        proto_put_map(out, 2);
        proto_put_text(out, "uid");
        proto_put_uint(out, call->caller_uid);
        proto_put_text(out, "pid");
        proto_put_uint(out, (uint64_t)call->caller_pid);
}

/* Has its client had its answer, so that what runs runs for nobody? */
static bool is_answered(const struct rpc_call *call)
{
        return call->finished || (call->kind == RPC_CALL_REQUEST && call->answered);
}

void rpc_record_put_keys(struct proto_builder *out, const struct rpc_record *record,
                         uint64_t now_ns)
{
        const struct rpc_call *call = record->call;

        proto_put_text(out, "id");
        proto_put_uint(out, call->id);
        proto_put_text(out, "symbol");
        proto_put_text(out, call->symbol->def->name);
        proto_put_text(out, "cpu");
        rpc_destination_put(out, call->options.cpu);
        proto_put_text(out, "state");
        proto_put_text(out, record->running ? "running" : "queued");
        put_number_or_nil(out, "on", record->on != VMREQ_CPU_NONE, record->on);
        put_number_or_nil(out, "age_ms", true, MAX(to_ms(call->submitted_ns, now_ns), 0));
        put_number_or_nil(out, "running_ms", record->running,
                          MAX(to_ms(record->since_ns, now_ns), 0));
        put_number_or_nil(out, "deadline_ms", call->deadline_ns != 0,
                          to_ms(now_ns, call->deadline_ns));
        proto_put_text(out, "caller");
        rpc_record_put_caller(out, call);
        put_flag(out, "priority", call->options.flags & VMREQ_PRIORITY);
        put_flag(out, "detached", call->options.detach);
        put_flag(out, "answered", is_answered(call));
}

void rpc_record_put(struct proto_builder *out, const struct rpc_record *record, uint64_t now_ns)
{
        proto_put_map(out, RPC_RECORD_KEYS);
        rpc_record_put_keys(out, record, now_ns);
}

/* ---- at its end ---- */

const struct vmreq_row *rpc_record_row(const struct rpc_call *call)
{
        for (uint32_t i = 0; i < call->n_rows; i++)
                if (call->rows[i].fate != VMREQ_FATE_DONE || call->rows[i].status < 0)
                        return &call->rows[i];
        return call->n_rows ? &call->rows[0] : &call->row;
}

static void put_fate(struct proto_builder *out, const struct rpc_call *call)
{
        const struct vmreq_row *row = rpc_record_row(call);

        proto_put_map(out, 8);
        proto_put_text(out, "id");
        proto_put_uint(out, call->id);
        proto_put_text(out, "symbol");
        proto_put_text(out, call->symbol->def->name);
        proto_put_text(out, "cpu");
        rpc_destination_put(out, call->n_rows || row->cpu == VMREQ_CPU_NONE ? call->options.cpu
                                                                            : row->cpu);
        proto_put_text(out, "fate");
        proto_put_text(out, vmreq_fate_name(row->fate));
        proto_put_text(out, "status");
        proto_put_int(out, row->status);
        proto_put_text(out, "queued_us");
        proto_put_uint(out, call->row.queued_ns / 1000);
        proto_put_text(out, "run_us");
        proto_put_uint(out, call->row.run_ns / 1000);
        proto_put_text(out, "caller");
        rpc_record_put_caller(out, call);
}

void rpc_record_tell(const struct rpc_call *call)
{
        struct proto_builder *out = rpc_event_begin(call->server, RPC_TOPIC_REQUEST);

        if (!out)
                return;
        put_fate(out, call);
        rpc_event_end(call->server, RPC_TOPIC_REQUEST);
}
