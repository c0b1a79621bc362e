/* SPDX-License-Identifier: MIT */
/*
 * vmreq.ps: a page of the requests in flight, oldest running first, then queued ones by age.
 *
 * One pass over the calls, which stand in the order of their acceptance: queued ones are found in
 * the order in which they are shown, running ones are few and sorted in.  What the page holds is
 * gathered in memory that the server has from its beginning, so that the answer does not depend on
 * what there is left when everything is stuck; and it is cut to what may be written to this client
 * even when every account is full.
 *
 * A cursor says behind which request the next page begins: "r:SINCE:ID" among the running ones,
 * "q:ID" among the queued ones.
 */
#include "rpc/ps.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "rpc/destination.h"
#include "rpc/peer.h"
#include "rpc/record.h"
#include "rpc/reply.h"

#define LIMIT_DEFAULT 100u

/* What it takes to match one name, for rpc_peer_spend. */
#define MATCH_COST 8u

static const char expected[] =
        "expected vmreq.ps [{limit: 1..1000, after: a cursor, filter: {symbol: a glob, state: "
        "\"queued\" or \"running\", uid, on: a vCPU, cpu: a destination}}], all optional";

struct wish {
        uint64_t limit;
        bool has_after, after_running;
        unsigned long long after_since, after_id;

        char symbol[PROTO_NAME_BYTES_MAX + 1]; /* "": any */
        bool has_state, running;
        bool has_uid, has_on, has_cpu;
        uint64_t uid, on;
        uint32_t cpu;
};

/* ---- what is asked for ---- */

static bool read_number(const struct proto_value *value, bool *ret_has, uint64_t *ret_number)
{
        *ret_has = true;
        *ret_number = value->u;
        return value->type == PROTO_UINT;
}

static bool read_state(const struct proto_value *value, struct wish *wish)
{
        wish->has_state = true;
        wish->running = proto_value_is_text(value, "running");
        return wish->running || proto_value_is_text(value, "queued");
}

static bool read_filter_key(const struct proto_value *key, const struct proto_value *value,
                            struct wish *wish)
{
        if (value->type == PROTO_NIL)
                return true;
        if (proto_value_is_text(key, "symbol"))
                return proto_value_copy_text(value, wish->symbol, sizeof(wish->symbol));
        if (proto_value_is_text(key, "state"))
                return read_state(value, wish);
        if (proto_value_is_text(key, "uid"))
                return read_number(value, &wish->has_uid, &wish->uid);
        if (proto_value_is_text(key, "on"))
                return read_number(value, &wish->has_on, &wish->on);
        wish->has_cpu = true;
        return proto_value_is_text(key, "cpu") &&
               rpc_destination_read(value, VMREQ_CPUS_MAX, &wish->cpu);
}

/* A filter that is not understood would let pass what it should not. */
static bool read_filter(const struct proto_value *map, struct wish *wish)
{
        if (map->type != PROTO_MAP)
                return false;
        for (uint32_t i = 0; i < map->count; i++)
                if (!read_filter_key(&map->items[2 * i], &map->items[2 * i + 1], wish))
                        return false;
        return true;
}

static bool read_cursor(const struct proto_value *value, struct wish *wish)
{
        char text[64];
        int n = 0;

        if (!proto_value_copy_text(value, text, sizeof(text)))
                return false;
        wish->has_after = true;
        wish->after_running =
                sscanf(text, "r:%20llu:%20llu%n", &wish->after_since, &wish->after_id, &n) == 2;
        if (!wish->after_running && sscanf(text, "q:%20llu%n", &wish->after_id, &n) != 1)
                return false;
        return text[n] == 0;
}

static bool read_limit(const struct proto_value *value, struct wish *wish)
{
        wish->limit = value->u;
        return value->type == PROTO_UINT && value->u >= 1 && value->u <= RPC_PS_MAX;
}

static bool read_key(const struct proto_value *key, const struct proto_value *value,
                     struct wish *wish)
{
        if (value->type == PROTO_NIL)
                return true;
        if (proto_value_is_text(key, "limit"))
                return read_limit(value, wish);
        if (proto_value_is_text(key, "after"))
                return read_cursor(value, wish);
        return proto_value_is_text(key, "filter") && read_filter(value, wish);
}

static bool read_wish(const struct rpc_request *request, struct wish *wish)
{
        const struct proto_value *map = rpc_request_param(request, 0);

        *wish = (struct wish){.limit = LIMIT_DEFAULT};
        if (!map)
                return true;
        if (map->type != PROTO_MAP)
                return false;
        for (uint32_t i = 0; i < map->count; i++)
                if (!read_key(&map->items[2 * i], &map->items[2 * i + 1], wish))
                        return false;
        return true;
}

/* ---- what matches ---- */

/* What can be told without asking the engine. */
static bool may_match(const struct wish *wish, const struct rpc_call *call)
{
        return (!wish->has_uid || wish->uid == call->caller_uid) &&
               (!wish->has_cpu || wish->cpu == call->options.cpu) &&
               (!wish->symbol[0] || fnmatch(wish->symbol, call->symbol->def->name, 0) == 0);
}

static bool matches(const struct wish *wish, const struct rpc_record *record)
{
        return (!wish->has_state || wish->running == record->running) &&
               (!wish->has_on || (record->running && record->on == wish->on));
}

static bool is_older(const struct rpc_record *a, uint64_t since_ns, uint64_t id)
{
        return a->since_ns < since_ns || (a->since_ns == since_ns && a->call->id < id);
}

/* Was it on the pages before? */
static bool is_behind(const struct wish *wish, const struct rpc_record *record)
{
        if (!wish->has_after)
                return true;
        if (wish->after_running)
                return !record->running || (record->call->id != wish->after_id &&
                                            !is_older(record, wish->after_since, wish->after_id));
        return !record->running && record->call->id > wish->after_id;
}

struct page {
        struct rpc_record *records; /* running ones first */
        uint32_t limit, n, n_running;
        uint32_t more;
};

/* Running ones are sorted in; queued ones come in order, and give way. */
static void add(struct page *page, const struct rpc_record *record)
{
        uint32_t at = record->running ? page->n_running : page->n;

        while (record->running && at > 0 &&
               !is_older(&page->records[at - 1], record->since_ns, record->call->id))
                at--;
        if (page->n == page->limit) {
                page->more++;
                if (at == page->limit)
                        return;
                page->n--;
                page->n_running = MIN(page->n_running, page->n);
        }
        memmove(&page->records[at + 1], &page->records[at],
                (page->n - at) * sizeof(page->records[0]));
        page->records[at] = *record;
        page->n++;
        page->n_running += record->running;
}

static void gather(struct rpc_server *server, const struct wish *wish, const struct rpc_emts *emts,
                   struct page *page)
{
        const struct rpc_call *call;
        struct rpc_record record;

        TAILQ_FOREACH (call, &server->calls, server_link)
                if (may_match(wish, call) && rpc_record_take(call, emts, &record) &&
                    matches(wish, &record) && is_behind(wish, &record))
                        add(page, &record);
}

/* ---- the answer ---- */

static void put_cursor(struct proto_builder *out, const struct page *page)
{
        const struct rpc_record *last = &page->records[page->n - 1];

        proto_put_text(out, "next");
        if (page->more == 0 || page->n == 0)
                proto_put_nil(out);
        else if (last->running)
                proto_put_format(out, "r:%llu:%llu", (unsigned long long)last->since_ns,
                                 (unsigned long long)last->call->id);
        else
                proto_put_format(out, "q:%llu", (unsigned long long)last->call->id);
}

void rpc_method_ps(const struct rpc_request *request)
{
        struct rpc_peer *peer = request->peer;
        struct rpc_server *server = peer->server;
        struct page page = {.records = server->ps_records};
        struct proto_builder *out;
        struct rpc_emts emts;
        struct wish wish;
        size_t mark;

        if (!read_wish(request, &wish)) {
                rpc_reply_error(peer, request->msgid, PROTO_INVALID_REQUEST, PROTO_RAN_NO, "%s",
                                expected);
                return;
        }
        page.limit = (uint32_t)MIN(wish.limit, MAX(rpc_peer_room(peer) / RPC_RECORD_BYTES, 1u));
        rpc_emts_look(&emts, server->config.vm);
        gather(server, &wish, &emts, &page);
        rpc_peer_spend(peer, (uint64_t)server->n_calls * (wish.symbol[0] ? MATCH_COST : 1));
        out = rpc_reply_begin(peer, request->msgid, &mark);
        proto_put_map(out, 3);
        proto_put_text(out, "requests");
        proto_put_array(out, page.n);
        for (uint32_t i = 0; i < page.n; i++)
                rpc_record_put(out, &page.records[i], emts.now_ns);
        proto_put_text(out, "more");
        proto_put_uint(out, page.more);
        put_cursor(out, &page);
        rpc_reply_end(peer, request->msgid, mark, PROTO_RAN_NO);
}
