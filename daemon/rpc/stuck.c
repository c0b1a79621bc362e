/* SPDX-License-Identifier: MIT */
/*
 * A timer looks at what the EMTs run.  It runs only while something is in flight, so that an idle
 * daemon makes no system calls, and seldom: the next look is when a request that runs now will have
 * reached its limit, or when one that starts right after this look could have.  Nothing is noted
 * when a request starts, so the path of a request that works pays one comparison, on the loop.
 *
 * That a stuck request has ended is known at once, by its completion; only the child of a broadcast
 * that ended while others run is found by the next look.
 */
#include "rpc/stuck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log-ids.h"
#include "base/macros.h"
#include "rpc/call.h"
#include "rpc/events.h"
#include "rpc/peer.h"
#include "rpc/record.h"

/* No two looks are nearer to each other. */
#define LOOK_MS_MIN 10u
/* How long it may take until the end of a broadcast's stuck child is seen. */
#define LOOK_MS_STUCK 500u

static void on_look(uv_timer_t *timer);

bool rpc_stuck_init(struct rpc_stuck *stuck, uint32_t n_emts)
{
        *stuck = (struct rpc_stuck){.emts = calloc(n_emts, sizeof(*stuck->emts)),
                                    .n_emts = n_emts,
                                    .shortest_ms = UINT64_MAX};
        return stuck->emts != NULL;
}

void rpc_stuck_deinit(struct rpc_stuck *stuck)
{
        free(stuck->emts);
        stuck->emts = NULL;
}

uint64_t rpc_stuck_limit_ms(const struct rpc_server *server, const struct rpc_call *call)
{
        const struct rpc_config *config = &server->config;

        if (call && call->symbol && call->symbol->def->timeout_ms)
                return call->symbol->def->timeout_ms;
        return config->emt_stuck_ms ? config->emt_stuck_ms : RPC_EMT_STUCK_MS;
}

static void look_in(struct rpc_server *server, uint64_t ms)
{
        server->stuck.due_ms = uv_now(&server->loop) + ms;
        (void)uv_timer_start(&server->stuck_timer, on_look, ms, 0);
}

void rpc_stuck_watch(struct rpc_call *call)
{
        struct rpc_server *server = call->server;
        uint64_t ms = MAX(rpc_stuck_limit_ms(call->server, call), LOOK_MS_MIN);

        server->stuck.shortest_ms = MIN(server->stuck.shortest_ms, ms);
        /* In the loop's time, which may be a turn old: a look that is early looks again. */
        if (!uv_is_active((uv_handle_t *)&server->stuck_timer) ||
            server->stuck.due_ms > uv_now(&server->loop) + ms)
                look_in(server, ms);
}

/* ---- telling ---- */

static void put_stuck(struct proto_builder *out, const struct rpc_stuck_emt *emt, uint32_t cpu,
                      bool is_stuck)
{
        proto_put_map(out, 6);
        proto_put_text(out, "cpu");
        proto_put_uint(out, cpu);
        proto_put_text(out, "stuck");
        proto_put_bool(out, is_stuck);
        proto_put_text(out, "id");
        proto_put_uint(out, emt->id);
        proto_put_text(out, "symbol");
        proto_put_text(out, emt->symbol);
        proto_put_text(out, "running_ms");
        proto_put_uint(out, (clock_now_ns() - emt->since_ns) / CLOCK_NS_PER_MS);
        proto_put_text(out, "caller");
        proto_put_map(out, 2);
        proto_put_text(out, "uid");
        proto_put_uint(out, emt->uid);
        proto_put_text(out, "pid");
        proto_put_int(out, emt->pid);
}

static void record(const struct rpc_stuck_emt *emt, uint32_t cpu, bool is_stuck)
{
        unsigned long long ms = (clock_now_ns() - emt->since_ns) / CLOCK_NS_PER_MS;

        log_write(
                &(struct log_meta){.level = is_stuck ? LOG_L_WARNING : LOG_L_NOTICE,
                                   .kind = LOG_AUDIT,
                                   .id = LOG_ID_STUCK,
                                   LOG_FIELDS(LOG_WORD("VMREQ_SYMBOL", emt->symbol),
                                              LOG_NUMBER("VMREQ_REQUEST_ID", emt->id),
                                              LOG_NUMBER("VMREQ_CPU", cpu),
                                              LOG_NUMBER("VMREQ_CALLER_UID", emt->uid),
                                              LOG_NUMBER("VMREQ_CALLER_PID", emt->pid),
                                              LOG_NUMBER("VMREQ_RUN_USEC", ms * 1000))},
                is_stuck
                        ? "EMT %u is stuck: it has run %s for %llu ms (request %llu, uid %u, pid %d)"
                        : "EMT %u is back: it had run %s for %llu ms (request %llu, uid %u, pid %d)",
                (unsigned)cpu, emt->symbol, ms, (unsigned long long)emt->id, (unsigned)emt->uid,
                (int)emt->pid);
}

static void tell(struct rpc_server *server, uint32_t cpu, bool is_stuck)
{
        const struct rpc_stuck_emt *emt = &server->stuck.emts[cpu];
        struct proto_builder *out = rpc_event_begin(server, RPC_TOPIC_EMT_STUCK);

        record(emt, cpu, is_stuck);
        if (!out)
                return;
        put_stuck(out, emt, cpu, is_stuck);
        rpc_event_end(server, RPC_TOPIC_EMT_STUCK);
}

void rpc_stuck_put_present(struct rpc_peer *peer)
{
        const struct rpc_stuck *stuck = &peer->server->stuck;

        for (uint32_t cpu = 0; cpu < stuck->n_emts; cpu++) {
                if (!stuck->emts[cpu].id)
                        continue;
                rpc_event_put_head(&peer->out, RPC_TOPIC_EMT_STUCK);
                put_stuck(&peer->out, &stuck->emts[cpu], cpu, true);
        }
}

static void set_stuck(struct rpc_server *server, uint32_t cpu, const struct rpc_call *call,
                      uint64_t since_ns)
{
        struct rpc_stuck_emt *emt = &server->stuck.emts[cpu];

        *emt = (struct rpc_stuck_emt){.id = call->id,
                                      .since_ns = since_ns,
                                      .uid = call->caller_uid,
                                      .pid = call->caller_pid};
        (void)snprintf(emt->symbol, sizeof(emt->symbol), "%s", call->symbol->def->name);
        server->stuck.n_stuck++;
        tell(server, cpu, true);
}

static void set_free(struct rpc_server *server, uint32_t cpu)
{
        tell(server, cpu, false);
        server->stuck.emts[cpu].id = 0;
        server->stuck.n_stuck--;
}

void rpc_stuck_ended(const struct rpc_call *call)
{
        struct rpc_stuck *stuck = &call->server->stuck;

        for (uint32_t cpu = 0; stuck->n_stuck && cpu < stuck->n_emts; cpu++)
                if (stuck->emts[cpu].id == call->id)
                        set_free(call->server, cpu);
}

/* ---- looking ---- */

/* One EMT.  In how many milliseconds to look again; UINT64_MAX: it runs nothing. */
static uint64_t look_at(struct rpc_server *server, const struct rpc_emts *emts, uint32_t cpu)
{
        const struct rpc_stuck_emt *stuck = &server->stuck.emts[cpu];
        const struct rpc_call *call = rpc_call_find(server, emts->emt[cpu].tag);
        uint64_t since = emts->emt[cpu].since_ns, ran_ms, limit;

        if (stuck->id && (!call || call->id != stuck->id || since != stuck->since_ns))
                set_free(server, cpu);
        if (!call || !call->symbol) /* or it has ended meanwhile, and its outcome is kept */
                return UINT64_MAX;
        ran_ms = (emts->now_ns - MIN(since, emts->now_ns)) / CLOCK_NS_PER_MS;
        limit = rpc_stuck_limit_ms(call->server, call);
        if (ran_ms < limit)
                return limit - ran_ms;
        if (!stuck->id)
                set_stuck(server, cpu, call, since);
        return LOOK_MS_STUCK;
}

static void on_look(uv_timer_t *timer)
{
        struct rpc_server *server = timer->data;
        uint64_t next = UINT64_MAX;
        struct rpc_emts emts;

        rpc_emts_look(&emts, server->config.vm);
        for (uint32_t cpu = 0; cpu < MIN(emts.n, server->stuck.n_emts); cpu++)
                next = MIN(next, look_at(server, &emts, cpu));
        if (server->n_open)
                next = MIN(next, server->stuck.shortest_ms);
        else
                server->stuck.shortest_ms = UINT64_MAX;
        if (next != UINT64_MAX)
                look_in(server, MAX(next, LOOK_MS_MIN));
}
