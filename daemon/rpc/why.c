/* SPDX-License-Identifier: MIT */
/*
 * vmreq.why: what stands before a request, for somebody who wonders why it takes so long.
 *
 * How many requests are in front of it is counted from the calls of this server: those that are
 * queued where an EMT that may take it looks before it comes to it.  It is an upper bound, because
 * some of them may be taken by another EMT; and it is one for now, because priority requests that
 * come later go first too.
 */
#include "rpc/why.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/macros.h"
#include "rpc/peer.h"
#include "rpc/record.h"
#include "rpc/reply.h"

#define TEXT_MAX 512

/* What is known of the request's surroundings. */
struct view {
        struct rpc_server *server;
        const struct rpc_call *call;
        struct rpc_record record;
        struct rpc_emts emts;
        uint32_t ahead, dead;
        uint32_t n_running; /* EMTs of its that run a call now … */
        uint32_t longest;   /* … and which has done so for longest; VMREQ_CPU_NONE */
        uint32_t n_free;    /* EMTs of its that run none */
        uint64_t n_looked;  /* what was looked at for this */
};

static bool is_one_cpu(uint32_t cpu)
{
        return cpu < VMREQ_CPUS_MAX;
}

static bool is_any(uint32_t cpu)
{
        return cpu == VMREQ_CPU_ANY || cpu == VMREQ_CPU_ANY_QUEUE;
}

/* May the EMT run it? */
static bool may_take(const struct rpc_call *call, uint32_t cpu)
{
        return !is_one_cpu(call->options.cpu) || call->options.cpu == cpu;
}

static unsigned level_of(const struct rpc_call *call)
{
        return call->options.flags & VMREQ_PRIORITY ? 1 : 0;
}

/* Does `other` stand in a lane that is looked at before `call` is taken, and in the same one? */
static bool is_in_the_way(const struct rpc_call *call, const struct rpc_call *other,
                          bool *ret_same_lane)
{
        uint32_t cpu = call->options.cpu, other_cpu = other->options.cpu;

        *ret_same_lane = is_any(cpu) == is_any(other_cpu);
        if (is_any(cpu))
                return is_any(other_cpu);
        /* A broadcast's children stand in the EMTs' own lanes. */
        return !is_one_cpu(cpu) || !is_one_cpu(other_cpu) || cpu == other_cpu;
}

static void count_ahead(struct view *view)
{
        const struct rpc_call *call = view->call, *other;
        uint32_t first = 0, before = 0, beside = 0;
        /* One by one: a child gets its place when its turn comes, behind all that came before. */
        bool goes_round = call->n_rows && !(call->options.flags & VMREQ_PARALLEL);
        struct rpc_record record;
        bool same_lane;

        TAILQ_FOREACH (other, &view->server->calls, server_link) {
                if (other == call || level_of(other) < level_of(call) ||
                    !is_in_the_way(call, other, &same_lane) ||
                    !rpc_record_take(other, &view->emts, &record) || record.running)
                        continue;
                if (level_of(other) > level_of(call))
                        first++;
                else if (!same_lane)
                        beside++;
                else if (other->id < call->id || goes_round)
                        before++;
        }
        /* The two lanes of a level take turns, so of the other one no more come before it than of
         * its own, and one. */
        view->ahead = first + before + MIN(beside, before + 1);
}

static uint32_t dead_in(struct view *view, uint32_t cpu)
{
        struct vmreq_emt_stats stats;

        if (vmreq_emt_stats(view->server->config.vm, cpu, &stats))
                return 0;
        view->n_looked += stats.lanes[0].depth + stats.lanes[1].depth;
        return stats.lanes[level_of(view->call)].dead;
}

static void look_at_emts(struct view *view)
{
        view->longest = VMREQ_CPU_NONE;
        for (uint32_t cpu = 0; cpu < view->emts.n; cpu++) {
                if (!may_take(view->call, cpu))
                        continue;
                if (!is_any(view->call->options.cpu))
                        view->dead += dead_in(view, cpu);
                if (!rpc_call_find(view->server, view->emts.emt[cpu].tag)) {
                        view->n_free++;
                        continue;
                }
                view->n_running++;
                if (view->longest == VMREQ_CPU_NONE ||
                    view->emts.emt[cpu].since_ns < view->emts.emt[view->longest].since_ns)
                        view->longest = cpu;
        }
        if (is_any(view->call->options.cpu))
                view->dead += dead_in(view, VMREQ_CPU_ANY);
}

/* ---- the sentence ---- */

#define DURATION_MAX 32

/* "12 ms", "3.4 s" */
static const char *say_duration(uint64_t from_ns, uint64_t to_ns, char text[DURATION_MAX])
{
        uint64_t ms = (to_ns - MIN(from_ns, to_ns)) / CLOCK_NS_PER_MS;

        if (ms < 1000)
                (void)snprintf(text, DURATION_MAX, "%llu ms", (unsigned long long)ms);
        else
                (void)snprintf(text, DURATION_MAX, "%.1f s", (double)ms / 1000);
        return text;
}

/* What the EMT does that keeps it from the request. */
static void say_emt(const struct view *view, uint32_t cpu, char *text, size_t size)
{
        const struct rpc_call *runs = rpc_call_find(view->server, view->emts.emt[cpu].tag);
        char since[DURATION_MAX];

        if (runs)
                (void)snprintf(text, size,
                               "EMT %u has run %s (request %llu) for %s, for uid %u, pid %d",
                               (unsigned)cpu, runs->symbol->def->name, (unsigned long long)runs->id,
                               say_duration(view->emts.emt[cpu].since_ns, view->emts.now_ns, since),
                               (unsigned)runs->caller_uid, (int)runs->caller_pid);
        else
                (void)snprintf(text, size, "EMT %u is %s", (unsigned)cpu,
                               vmreq_emt_state_name(view->emts.emt[cpu].state));
}

static void say_running(const struct view *view, char *text, size_t size)
{
        const struct rpc_call *call = view->call;
        uint64_t now = view->emts.now_ns;
        char where[32] = "several EMTs", late[80] = "", since[DURATION_MAX];

        if (view->record.on != VMREQ_CPU_NONE)
                (void)snprintf(where, sizeof(where), "EMT %u", (unsigned)view->record.on);
        if (call->deadline_ns && now > call->deadline_ns)
                (void)snprintf(late, sizeof(late), "; its time limit passed %s ago",
                               say_duration(call->deadline_ns, now, since));
        (void)snprintf(text, size, "it has run on %s for %s%s", where,
                       say_duration(view->record.since_ns, now, since), late);
}

/* On the way from one state to another only priority lanes are served. */
static bool is_between(enum vmreq_vm_state state)
{
        return state == VMREQ_VM_POWERING_ON || state == VMREQ_VM_SUSPENDING ||
               state == VMREQ_VM_RESUMING || state == VMREQ_VM_RESETTING ||
               state == VMREQ_VM_POWERING_OFF;
}

static void say_queued(const struct view *view, char *text, size_t size)
{
        enum vmreq_vm_state state = vmreq_vm_state(view->server->config.vm);
        uint32_t cpu = view->call->options.cpu, n = view->n_free + view->n_running;
        char emt[256] = "", held[80] = "";

        if (is_between(state) && level_of(view->call) == 0)
                (void)snprintf(held, sizeof(held), "; the VM is %s: only priority requests run",
                               vmreq_vm_state_name(state));
        if (is_one_cpu(cpu)) {
                say_emt(view, cpu, emt, sizeof(emt));
                (void)snprintf(text, size, "it waits behind %u request%s; %s%s",
                               (unsigned)view->ahead, view->ahead == 1 ? "" : "s", emt, held);
                return;
        }
        if (view->longest != VMREQ_CPU_NONE) {
                (void)snprintf(emt, sizeof(emt), ", ");
                say_emt(view, view->longest, emt + 2, sizeof(emt) - 2);
        }
        (void)snprintf(text, size, "it waits behind %u request%s; %u of %u EMTs are busy%s%s",
                       (unsigned)view->ahead, view->ahead == 1 ? "" : "s",
                       (unsigned)view->n_running, (unsigned)n, emt, held);
}

/* ---- the answer ---- */

static void put_running(struct proto_builder *out, const struct view *view)
{
        proto_put_text(out, "running");
        proto_put_array(out, view->n_running);
        for (uint32_t cpu = 0; cpu < view->emts.n; cpu++) {
                struct rpc_record record = {
                        .call = rpc_call_find(view->server, view->emts.emt[cpu].tag),
                        .running = true,
                        .on = cpu,
                        .since_ns = view->emts.emt[cpu].since_ns};

                if (record.call && may_take(view->call, cpu))
                        rpc_record_put(out, &record, view->emts.now_ns);
        }
}

static void reply(const struct rpc_request *request, const struct view *view)
{
        struct proto_builder *out;
        char text[TEXT_MAX];
        size_t mark;

        if (view->record.running)
                say_running(view, text, sizeof(text));
        else
                say_queued(view, text, sizeof(text));
        out = rpc_reply_begin(request->peer, request->msgid, &mark);
        proto_put_map(out, RPC_RECORD_KEYS + 4);
        rpc_record_put_keys(out, &view->record, view->emts.now_ns);
        proto_put_text(out, "ahead");
        proto_put_uint(out, view->ahead);
        put_running(out, view);
        proto_put_text(out, "dead");
        proto_put_uint(out, view->dead);
        proto_put_text(out, "text");
        proto_put_text(out, text);
        rpc_reply_end(request->peer, request->msgid, mark, PROTO_RAN_NO);
}

void rpc_method_why(const struct rpc_request *request)
{
        const struct proto_value *id = rpc_request_param(request, 0);
        struct view view = {.server = request->peer->server};

        if (!id || id->type != PROTO_UINT) {
                rpc_reply_error(request->peer, request->msgid, PROTO_INVALID_REQUEST, PROTO_RAN_NO,
                                "expected vmreq.why [id]");
                return;
        }
        view.call = rpc_call_find(view.server, id->u);
        rpc_emts_look(&view.emts, view.server->config.vm);
        if (!view.call || !rpc_record_take(view.call, &view.emts, &view.record)) {
                rpc_reply_error(request->peer, request->msgid, PROTO_NOT_FOUND, PROTO_RAN_MAYBE,
                                "no request with the id %llu is in flight",
                                (unsigned long long)id->u);
                return;
        }
        look_at_emts(&view);
        if (!view.record.running)
                count_ahead(&view);
        else
                view.dead = 0;
        rpc_peer_spend(request->peer, view.server->n_calls + view.emts.n + view.n_looked);
        reply(request, &view);
}
