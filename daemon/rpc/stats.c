/* SPDX-License-Identifier: MIT */
/*
 * vmreq.stats: the engine's figures and the front end's, as one map.  All counters only grow; what
 * is a level now says so by its name (now, in_use, depth, in_flight).  Where every account is full
 * the list of EMTs is cut to what may still be written, and `emts_more` says how many are missing.
 */
#include "rpc/stats.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "rpc/peer.h"
#include "rpc/reply.h"

/* Of the engine's buckets (powers of two nanoseconds) those that are shown one by one: bounds of
 * 1.024 us to 68.7 s; what is below goes into the first, what is above behind the last. */
#define BUCKET_FIRST 10u
#define BUCKET_LAST  36u
#define BOUNDS       (BUCKET_LAST - BUCKET_FIRST + 1u)

static_assert(BUCKET_LAST < VMREQ_HISTOGRAM_N, "buckets that there are");

/* What one EMT takes, at most: two histograms, two lanes, its counters. */
#define EMT_BYTES (2 * (BOUNDS * 18u + 80u) + 2 * 240u + 320u)

static void put(struct proto_builder *out, const char *key, uint64_t value)
{
        proto_put_text(out, key);
        proto_put_uint(out, value);
}

static void put_map(struct proto_builder *out, const char *key, uint32_t pairs)
{
        proto_put_text(out, key);
        proto_put_map(out, pairs);
}

/* ---- the engine ---- */

static void put_requests(struct proto_builder *out, const struct vmreq_stats *stats)
{
        put_map(out, "requests", 6);
        put(out, "submitted", stats->submitted);
        put(out, "done", stats->fates[VMREQ_FATE_DONE]);
        put(out, "cancelled", stats->fates[VMREQ_FATE_CANCELLED]);
        put(out, "expired", stats->fates[VMREQ_FATE_EXPIRED]);
        put(out, "killed", stats->fates[VMREQ_FATE_KILLED]);
        put(out, "refused", stats->refused);
        put_map(out, "packets", 4);
        put(out, "total", stats->slab);
        put(out, "in_use", stats->in_use);
        put(out, "new", stats->packets_new);
        put(out, "recycled", stats->packets_recycled);
}

static void put_lanes(struct proto_builder *out, const struct vmreq_emt_stats *stats)
{
        static const char *const names[] = {"normal", "priority"};

        proto_put_map(out, 2);
        for (unsigned i = 0; i < 2; i++) {
                const struct vmreq_lane_stats *lane = &stats->lanes[i];

                put_map(out, names[i], 10);
                put(out, "submitted", lane->submitted);
                put(out, "refused", lane->refused);
                put(out, "taken", lane->taken);
                put(out, "skipped", lane->skipped);
                put(out, "cancelled", lane->cancelled);
                put(out, "expired", lane->expired);
                put(out, "killed", lane->killed);
                put(out, "depth", lane->depth);
                put(out, "dead", lane->dead);
                put(out, "high_water", lane->high_water);
        }
}

/* counts[i] is how many took no longer than bounds_us[i]; the one count more how many took longer.
 */
static void put_histogram(struct proto_builder *out, const char *key, const uint64_t *buckets,
                          uint64_t sum_ns)
{
        uint64_t counts[BOUNDS + 1] = {0}, count = 0;

        for (unsigned i = 0; i < VMREQ_HISTOGRAM_N; i++) {
                unsigned at = i < BUCKET_FIRST ? 0 : MIN(i - BUCKET_FIRST + 1, BOUNDS);

                counts[at] += buckets[i];
                count += buckets[i];
        }
        put_map(out, key, 4);
        proto_put_text(out, "bounds_us");
        proto_put_array(out, BOUNDS);
        for (unsigned i = 0; i < BOUNDS; i++)
                proto_put_float(out, (double)(1ull << (BUCKET_FIRST + i)) / 1000.0);
        proto_put_text(out, "counts");
        proto_put_array(out, BOUNDS + 1);
        for (unsigned i = 0; i <= BOUNDS; i++)
                proto_put_uint(out, counts[i]);
        put(out, "sum_us", sum_ns / 1000);
        put(out, "count", count);
}

/* Returns how much was looked at. */
static uint64_t put_emt(struct proto_builder *out, vmreq_vm vm, uint32_t cpu)
{
        struct vmreq_emt_info info = {.state = VMREQ_EMT_ENDED};
        struct vmreq_emt_stats stats = {0};

        (void)vmreq_emt_info(vm, cpu, &info);
        (void)vmreq_emt_stats(vm, cpu, &stats);
        proto_put_map(out, 13);
        put(out, "cpu", cpu);
        proto_put_text(out, "state");
        proto_put_text(out, vmreq_emt_state_name(info.state));
        put(out, "done", info.done);
        put(out, "skipped", info.skipped);
        put(out, "batches", info.batches);
        put(out, "sleeps", info.sleeps);
        put(out, "wakes", info.wakes);
        put(out, "spins_paid", info.spins_paid);
        put(out, "exits", info.exits);
        put(out, "kicks", info.kicks);
        proto_put_text(out, "lanes");
        put_lanes(out, &stats);
        put_histogram(out, "queued_us", stats.queued, stats.queued_sum_ns);
        put_histogram(out, "run_us", stats.run, stats.run_sum_ns);
        return stats.lanes[0].depth + stats.lanes[1].depth;
}

static void put_emts(struct proto_builder *out, struct rpc_peer *peer)
{
        vmreq_vm vm = peer->server->config.vm;
        uint32_t cpus = vmreq_vm_cpus(vm),
                 n = (uint32_t)MIN((size_t)cpus, rpc_peer_room(peer) / EMT_BYTES);
        struct vmreq_emt_stats any = {0};
        uint64_t looked = 0;

        (void)vmreq_emt_stats(vm, VMREQ_CPU_ANY, &any);
        proto_put_text(out, "any");
        put_lanes(out, &any);
        proto_put_text(out, "emts");
        proto_put_array(out, n);
        for (uint32_t cpu = 0; cpu < n; cpu++)
                looked += put_emt(out, vm, cpu);
        put(out, "emts_more", cpus - n);
        rpc_peer_spend(peer, looked + any.lanes[0].depth + any.lanes[1].depth);
}

/* ---- the front end ---- */

static void put_calls(struct proto_builder *out, const struct rpc_server *server)
{
        uint32_t n = 0;

        for (int code = 1; code < _PROTO_CODE_N; code++)
                n += server->counted.errors[code] != 0;
        put_map(out, "calls", 4);
        put(out, "in_flight", server->n_open);
        put(out, "accepted", server->counted.calls);
        put(out, "refused_notifications", server->refused_notifications);
        put_map(out, "answered_by_error", n);
        for (int code = 1; code < _PROTO_CODE_N; code++)
                if (server->counted.errors[code])
                        put(out, proto_code_to_string((enum proto_code)code),
                            server->counted.errors[code]);
}

static void put_front(struct proto_builder *out, const struct rpc_server *server)
{
        struct log_stats log;

        put_calls(out, server);
        put_map(out, "connections", 5);
        put(out, "now", server->n_peers);
        put(out, "total", server->counted.peers);
        put(out, "refused", server->counted.peers_refused);
        put(out, "evicted", server->counted.peers_evicted);
        put(out, "limit", server->config.limits.connections);
        put_map(out, "bytes", 2);
        put(out, "now", server->quota.all.used[RPC_BYTES]);
        put(out, "limit", server->config.limits.bytes);
        log_get_stats(&log);
        put_map(out, "log", 2);
        put(out, "written", log.written);
        put(out, "dropped", log.dropped);
        put_map(out, "events", 1);
        put(out, "lost", server->events.lost);
}

void rpc_method_stats(const struct rpc_request *request)
{
        struct rpc_server *server = request->peer->server;
        struct vmreq_stats stats = {0};
        struct proto_builder *out;
        size_t mark;

        (void)vmreq_vm_stats(server->config.vm, &stats);
        rpc_peer_spend(request->peer, stats.packets_new);
        out = rpc_reply_begin(request->peer, request->msgid, &mark);
        proto_put_map(out, 12);
        put(out, "uptime_ms", (clock_now_ns() - server->started_ns) / CLOCK_NS_PER_MS);
        put_map(out, "vm", 1);
        proto_put_text(out, "state");
        proto_put_text(out, vmreq_vm_state_name(vmreq_vm_state(server->config.vm)));
        put_requests(out, &stats);
        put_emts(out, request->peer);
        put_front(out, server);
        rpc_reply_end(request->peer, request->msgid, mark, PROTO_RAN_NO);
}
