/* SPDX-License-Identifier: MIT */
/*
 * Refusals for want of room (steps 8 and 9 of a call's walk): which bound, how far it is used, what
 * an EMT runs meanwhile, and when it may be worth while to come again.  Loop thread.  A refusal is
 * something that a client can have as often as it likes, so nothing here looks through lists.
 */
#include "rpc/busy.h"

#include "base/clock.h"
#include "base/macros.h"
#include "rpc/call.h"
#include "rpc/key.h"
#include "rpc/peer.h"

void rpc_busy_account(struct rpc_error *error, enum rpc_resource resource,
                      const struct rpc_account *over)
{
        static const char *const names[_RPC_RESOURCE_N] = {"connections", "calls", "bytes", "kept"};
        /* Bytes are wanted by the thousand. */
        bool some_left = over->used[resource] < over->max[resource];

        rpc_error_set(error, PROTO_BUSY, PROTO_RAN_NO, "too many %s of this %s: %llu of %llu%s",
                      resource == RPC_KEPT ? "detached calls and keys" : names[resource],
                      over->what, (unsigned long long)over->used[resource],
                      (unsigned long long)over->max[resource],
                      some_left ? ", and this needs more than is left" : "");
        rpc_error_add_word(error, "limit", names[resource]);
        rpc_error_add_word(error, "of", over->what);
        rpc_error_add_number(error, "usage", (int64_t)over->used[resource]);
        rpc_error_add_number(error, "max", (int64_t)over->max[resource]);
}

/* When it may be worth while to come again. */
static void add_retry(struct rpc_error *error, uint64_t due_ns)
{
        uint64_t now_ns = clock_now_ns();

        if (due_ns > now_ns)
                rpc_error_add_number(error, "retry_after_ms",
                                     (int64_t)((due_ns - now_ns) / CLOCK_NS_PER_MS + 1));
}

void rpc_busy_kept(struct rpc_error *error, const struct rpc_call *call,
                   const struct rpc_account *over)
{
        struct rpc_server *server = call->server;
        const struct rpc_account *uid = call->account->parent;
        const struct rpc_call *orphan = TAILQ_FIRST(&server->orphans), *keyed;
        uint64_t since, due = UINT64_MAX;

        rpc_busy_account(error, RPC_KEPT, over);
        /* Looking through all that is kept would be work that a refused client can cause: of the
         * oldest it is known, and that is mostly his own. */
        keyed = rpc_key_oldest(&server->keys, &since);
        if (keyed && keyed->account == uid)
                due = since;
        if (orphan && orphan->account == uid)
                due = MIN(due, orphan->orphaned_ns);
        if (due != UINT64_MAX)
                add_retry(error, clock_add(due, server->config.limits.kept_ms * CLOCK_NS_PER_MS));
}

/* What an EMT is running, for a refusal: the name of the symbol, or NULL. */
static const struct rpc_call *running_on(struct rpc_server *server, uint32_t cpu, uint64_t *ret_ms)
{
        struct vmreq_emt_info info;

        if (vmreq_emt_info(server->config.vm, cpu, &info) || info.state != VMREQ_EMT_RUNNING)
                return NULL;
        *ret_ms = (clock_now_ns() - MIN(info.since_ns, clock_now_ns())) / CLOCK_NS_PER_MS;
        return rpc_call_find(server, info.tag);
}

/* A broadcast needs a place on every EMT: the one whose lane is fullest. */
static uint32_t fullest(vmreq_vm vm, uint32_t level)
{
        uint32_t found = 0, most = 0;
        struct vmreq_emt_info info;

        for (uint32_t cpu = 0; cpu < vmreq_vm_cpus(vm); cpu++) {
                if (vmreq_emt_info(vm, cpu, &info) == 0 && info.depth[level] > most) {
                        most = info.depth[level];
                        found = cpu;
                }
        }
        return found;
}

void rpc_busy_engine(struct rpc_error *error, struct rpc_call *call)
{
        struct rpc_server *server = call->server;
        const struct rpc_call *running;
        uint32_t cpu = call->options.cpu, level = call->options.flags & VMREQ_PRIORITY ? 1 : 0,
                 depth = 0;
        struct vmreq_stats stats = {0};
        struct vmreq_emt_info info;
        uint64_t ms = 0;
        bool lane, slab;

        (void)vmreq_vm_stats(server->config.vm, &stats);
        if (call->n_rows)
                cpu = fullest(server->config.vm, level);
        if (cpu < vmreq_vm_cpus(server->config.vm) &&
            vmreq_emt_info(server->config.vm, cpu, &info) == 0)
                depth = info.depth[level];
        else
                depth = stats.any_depth[level];
        running = running_on(server, cpu < vmreq_vm_cpus(server->config.vm) ? cpu : 0, &ms);
        lane = depth >= stats.lane_capacity;
        slab = !lane && stats.in_use + (call->n_rows ? call->n_rows + 1 : 1) > stats.slab;
        if (lane)
                rpc_error_set(error, PROTO_BUSY, PROTO_RAN_NO,
                              "the lane of its EMT is full: %u of %u%s%s", depth,
                              stats.lane_capacity, running ? "; the EMT runs " : "",
                              running ? running->symbol->def->name : "");
        else if (slab)
                rpc_error_set(error, PROTO_BUSY, PROTO_RAN_NO,
                              "no request packet is free: %u of %u in use", stats.in_use,
                              stats.slab);
        else /* the EMTs have gone on meanwhile */
                rpc_error_set(error, PROTO_BUSY, PROTO_RAN_NO,
                              "there was no room; by now the lane of its EMT holds %u of %u, and "
                              "%u of %u request packets are in use",
                              depth, stats.lane_capacity, stats.in_use, stats.slab);
        rpc_error_add_word(error, "limit", slab ? "slab" : "lane");
        rpc_error_add_number(error, "usage", slab ? stats.in_use : depth);
        rpc_error_add_number(error, "max", slab ? stats.slab : stats.lane_capacity);
        if (running) {
                rpc_error_add_word(error, "running", running->symbol->def->name);
                rpc_error_add_number(error, "running_ms", (int64_t)ms);
                if (lane && running->deadline_ns)
                        add_retry(error, running->deadline_ns); /* it ends then, or is asked to */
        }
}
