/* SPDX-License-Identifier: MIT */
#include "rpc/status.h"

#include <unistd.h>

#include "base/clock.h"
#include "rpc/call.h"
#include "rpc/peer.h"
#include "rpc/record.h"
#include "rpc/reply.h"

static void put_caller(struct proto_builder *out, const struct rpc_call *call)
{
        proto_put_text(out, "caller");
        if (!call) {
                proto_put_nil(out);
                return;
        }
        rpc_record_put_caller(out, call);
}

static void put_emt(struct proto_builder *out, struct rpc_server *server, uint32_t cpu,
                    uint64_t now)
{
        struct vmreq_emt_info info = {.state = VMREQ_EMT_ENDED};
        const struct rpc_call *call = NULL;

        (void)vmreq_emt_info(server->config.vm, cpu, &info);
        if (info.handle.generation)
                call = rpc_call_find(server, info.tag);
        proto_put_map(out, 9);
        proto_put_text(out, "cpu");
        proto_put_uint(out, cpu);
        proto_put_text(out, "state");
        proto_put_text(out, vmreq_emt_state_name(info.state));
        proto_put_text(out, "symbol");
        proto_put_text(out, call ? call->symbol->def->name : NULL);
        proto_put_text(out, "request");
        if (call)
                proto_put_uint(out, call->id);
        else
                proto_put_nil(out);
        proto_put_text(out, "running_ms");
        if (call && now > info.since_ns)
                proto_put_uint(out, (now - info.since_ns) / CLOCK_NS_PER_MS);
        else
                proto_put_uint(out, 0);
        put_caller(out, call);
        proto_put_text(out, "queued");
        proto_put_uint(out, info.depth[0]);
        proto_put_text(out, "queued_priority");
        proto_put_uint(out, info.depth[1]);
        proto_put_text(out, "done");
        proto_put_uint(out, info.done);
}

void rpc_method_status(const struct rpc_request *request)
{
        struct rpc_server *server = request->peer->server;
        const struct rpc_config *config = &server->config;
        uint32_t cpus = vmreq_vm_cpus(config->vm);
        uint64_t now = clock_now_ns();
        struct proto_builder *out;
        size_t mark;

        out = rpc_reply_begin(request->peer, request->msgid, &mark);
        proto_put_map(out, 9);
        proto_put_text(out, "vm");
        proto_put_text(out, config->vm_name);
        proto_put_text(out, "state");
        proto_put_text(out, vmreq_vm_state_name(vmreq_vm_state(config->vm)));
        proto_put_text(out, "uptime_ms");
        proto_put_uint(out, (now - server->started_ns) / CLOCK_NS_PER_MS);
        proto_put_text(out, "version");
        proto_put_text(out, config->version);
        proto_put_text(out, "pid");
        proto_put_uint(out, (uint64_t)getpid());
        proto_put_text(out, "draining");
        proto_put_bool(out, server->phase != RPC_SERVING);
        proto_put_text(out, "clients");
        proto_put_uint(out, server->n_peers);
        proto_put_text(out, "calls");
        proto_put_uint(out, server->n_calls);
        proto_put_text(out, "emts");
        proto_put_array(out, cpus);
        for (uint32_t cpu = 0; cpu < cpus; cpu++)
                put_emt(out, server, cpu, now);
        rpc_reply_end(request->peer, request->msgid, mark, PROTO_RAN_NO);
}
