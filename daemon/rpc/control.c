/* SPDX-License-Identifier: MIT */
/*
 * The broker's own methods, answered on the loop thread from what it holds: they work while every
 * EMT is stuck and every account is full.  Every method is a row of one table, with the right that
 * it needs.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "proto/message.h"
#include "rpc/audit.h"
#include "rpc/call.h"
#include "rpc/describe.h"
#include "rpc/events.h"
#include "rpc/peer.h"
#include "rpc/ps.h"
#include "rpc/reply.h"
#include "rpc/session.h"
#include "rpc/stats.h"
#include "rpc/status.h"
#include "rpc/waiter.h"
#include "rpc/why.h"

#define PROTOCOL_VERSION 1

/* Longest wait that is taken literally. */
#define WAIT_MS_MAX 1000000000000ull

static void invalid(const struct rpc_request *request, const char *expected)
{
        rpc_reply_error(request->peer, request->msgid, PROTO_INVALID_REQUEST, PROTO_RAN_NO,
                        "expected %s", expected);
}

const struct proto_value *rpc_request_param(const struct rpc_request *request, uint32_t i)
{
        if (i >= request->params->count || request->params->items[i].type == PROTO_NIL)
                return NULL;
        return &request->params->items[i];
}

static void reply_text(const struct rpc_request *request, const char *text)
{
        size_t mark;

        proto_put_text(rpc_reply_begin(request->peer, request->msgid, &mark), text);
        rpc_reply_end(request->peer, request->msgid, mark, PROTO_RAN_NO);
}

static void method_ping(const struct rpc_request *request)
{
        reply_text(request, "pong");
}

/* ---- hello ---- */

static bool read_style(const struct proto_value *value, enum rpc_style *ret_style)
{
        if (proto_value_is_text(value, "text"))
                *ret_style = RPC_STYLE_TEXT;
        else if (proto_value_is_text(value, "pair"))
                *ret_style = RPC_STYLE_PAIR;
        else if (proto_value_is_text(value, "map"))
                *ret_style = RPC_STYLE_MAP;
        else
                return false;
        return true;
}

/* NULL: all wishes are understood, and taken; else what was expected, and none is.  Unknown ones
 * are for newer servers. */
static const char *read_wishes(struct rpc_peer *peer, const struct proto_value *map)
{
        static const char *const flags[] = {"stream", "completed"};
        const struct proto_value *value, *flag;
        enum rpc_style style = peer->style;

        if (!map)
                return NULL;
        if (map->type != PROTO_MAP)
                return "a map of wishes: client, version, errors, completed, stream, timeout_ms";
        value = proto_value_map_get(map, "errors");
        if (value && !read_style(value, &style))
                return "errors: \"text\", \"pair\" or \"map\"";
        value = proto_value_map_get(map, "timeout_ms");
        if (value && (value->type != PROTO_UINT || value->u > WAIT_MS_MAX))
                return "timeout_ms: milliseconds 0..10^12, 0 for none";
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
                flag = proto_value_map_get(map, flags[i]);
                if (flag && flag->type != PROTO_BOOL)
                        return "stream, completed: true or false";
        }
        flag = proto_value_map_get(map, "stream");
        peer->stream = flag ? flag->b : peer->stream;
        flag = proto_value_map_get(map, "completed");
        peer->completed = flag ? flag->b : peer->completed;
        peer->style = style;
        if (value) {
                peer->timeout_ms = value->u;
                peer->timeout_set = true;
        }
        return NULL;
}

static const struct {
        uint32_t right;
        const char *word;
} right_words[] = {
        {RPC_RIGHT_CONNECTED, "connected"},
        {RPC_RIGHT_OBSERVE, "observe"},
        {RPC_RIGHT_CONTROL, "control"},
        {RPC_RIGHT_READ, "read"},
        {RPC_RIGHT_ALL, "all"},
};

static uint32_t whole_classes(struct rpc_rights *rights);

static void put_limit(struct proto_builder *out, const char *name, uint64_t value)
{
        proto_put_text(out, name);
        proto_put_uint(out, value);
}

/* The settings of section [limits], and what else a client may run into. */
static void put_limits(struct proto_builder *out, const struct rpc_config *config)
{
#define LIMIT(name, fallback, min, max) +1
        const uint32_t n = 0 RPC_LIMITS(LIMIT);
#undef LIMIT
        const struct rpc_limits *limits = &config->limits;
        struct vmreq_stats stats = {0};

        (void)vmreq_vm_stats(config->vm, &stats);
        proto_put_text(out, "limits");
        proto_put_map(out, n + 6);
#define LIMIT(name, fallback, min, max) put_limit(out, #name, limits->name);
        RPC_LIMITS(LIMIT)
#undef LIMIT
        put_limit(out, "arguments", PROTO_ARITY_MAX);
        put_limit(out, "chunk_bytes", MIN(limits->frame_bytes, VMREQ_CHUNK_BYTES_MAX));
        put_limit(out, "request_slab", stats.slab);
        put_limit(out, "lane_capacity", stats.lane_capacity);
        put_limit(out, "emt_stuck_ms", config->emt_stuck_ms);
        put_limit(out, "exit_idle_ms", config->exit_idle_ms);
}

static void put_identity(struct proto_builder *out, const struct rpc_peer *peer)
{
        uint32_t rights = whole_classes(peer->rights) |
                          (rpc_rights_defaults(peer->rights) & (RPC_RIGHT_READ | RPC_RIGHT_ALL)),
                 n = 0;

        proto_put_text(out, "you");
        proto_put_map(out, 5);
        put_limit(out, "uid", peer->identity.uid);
        put_limit(out, "gid", peer->identity.gid);
        put_limit(out, "pid", (uint64_t)peer->identity.pid);
        proto_put_text(out, "groups");
        proto_put_array(out, peer->identity.n_groups);
        for (uint32_t i = 0; i < peer->identity.n_groups; i++)
                proto_put_uint(out, peer->identity.groups[i]);
        for (size_t i = 0; i < ARRAY_SIZE(right_words); i++)
                n += (rights & right_words[i].right) != 0;
        proto_put_text(out, "rights");
        proto_put_array(out, n);
        for (size_t i = 0; i < ARRAY_SIZE(right_words); i++)
                if (rights & right_words[i].right)
                        proto_put_text(out, right_words[i].word);
}

static void method_hello(const struct rpc_request *request)
{
        static const char *const capabilities[] = {
                "broadcast", "submit", "cancel", "timing", "named-arguments", "stream",
                "completed", "detach", "key",    "ps",     "events",          "modules"};
        const struct rpc_config *config = &request->peer->server->config;
        const char *expected = read_wishes(request->peer, rpc_request_param(request, 0));
        struct proto_builder *out;
        size_t mark;

        if (expected) {
                invalid(request, expected);
                return;
        }
        out = rpc_reply_begin(request->peer, request->msgid, &mark);
        proto_put_map(out, 8);
        proto_put_text(out, "server");
        proto_put_text(out, "vmreqd");
        proto_put_text(out, "version");
        proto_put_text(out, config->version);
        proto_put_text(out, "protocol");
        proto_put_uint(out, PROTOCOL_VERSION);
        proto_put_text(out, "vm");
        proto_put_text(out, config->vm_name);
        put_limit(out, "cpus", vmreq_vm_cpus(config->vm));
        proto_put_text(out, "capabilities");
        proto_put_array(out, ARRAY_SIZE(capabilities));
        for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
                proto_put_text(out, capabilities[i]);
        put_limits(out, config);
        put_identity(out, request->peer);
        rpc_reply_end(request->peer, request->msgid, mark, PROTO_RAN_NO);
}

/* ---- calls by vmreq.call, vmreq.submit ---- */

static void call_by(const struct rpc_request *request, enum rpc_call_kind kind,
                    const char *expected)
{
        static const struct proto_value no_args = {.type = PROTO_ARRAY};
        static const uint8_t no_args_bytes[] = {0x90};
        const struct proto_value *name = rpc_request_param(request, 0),
                                 *args = rpc_request_param(request, 1);
        struct rpc_call_spec spec = {
                .kind = kind, .msgid = request->msgid, .options = rpc_request_param(request, 2)};
        uint32_t count;
        uint64_t id;
        size_t mark;

        if (request->params->count > 3 || !name ||
            (name->type != PROTO_STR && name->type != PROTO_BIN) ||
            (args && args->type != PROTO_ARRAY && args->type != PROTO_MAP)) {
                invalid(request, expected);
                return;
        }
        spec.name = name->data;
        spec.name_len = name->count;
        spec.args = args ? args : &no_args;
        spec.frame = args ? request->frame : no_args_bytes;
        spec.frame_len = args ? request->frame_len : sizeof(no_args_bytes);
        if (args)
                spec.args_offset =
                        proto_frame_skip(request->frame, request->frame_len,
                                         proto_frame_enter(request->frame, request->frame_len,
                                                           request->params_offset, &count));
        if (!rpc_call_begin(request->peer, &spec, &id) || kind != RPC_CALL_SUBMIT)
                return;
        proto_put_uint(rpc_reply_begin(request->peer, request->msgid, &mark), id);
        rpc_reply_end(request->peer, request->msgid, mark, PROTO_RAN_MAYBE);
}

static void method_call(const struct rpc_request *request)
{
        call_by(request, RPC_CALL_REQUEST,
                "vmreq.call [symbol, arguments (array or map), options (map)], the last two optional");
}

static void method_submit(const struct rpc_request *request)
{
        call_by(request, RPC_CALL_SUBMIT,
                "vmreq.submit [symbol, arguments (array or map), options (map)], the last two optional");
}

/* ---- ids ---- */

/* The call of that id, if this connection may ask for its outcome; else NULL. */
static struct rpc_call *awaited(const struct rpc_request *request)
{
        const struct proto_value *id = rpc_request_param(request, 0);

        return id && id->type == PROTO_UINT ? rpc_call_find_awaited(request->peer, id->u) : NULL;
}

static bool has_id(const struct rpc_request *request)
{
        const struct proto_value *id = rpc_request_param(request, 0);

        return id && id->type == PROTO_UINT;
}

static void no_such_request(const struct rpc_request *request)
{
        rpc_reply_error(request->peer, request->msgid, PROTO_NOT_FOUND, PROTO_RAN_MAYBE,
                        "there is no request with that id that you may ask for");
}

static void method_wait(const struct rpc_request *request)
{
        const struct proto_value *ms = rpc_request_param(request, 1);
        struct rpc_call *call = awaited(request);

        if (!has_id(request) || (ms && (ms->type != PROTO_UINT || ms->u > WAIT_MS_MAX)))
                invalid(request, "vmreq.wait [id, ms], ms 0..10^12 and optional");
        else if (!call)
                no_such_request(request);
        else
                rpc_waiter_add(call, request->peer, request->msgid, ms ? ms->u : UINT64_MAX);
}

static void method_release(const struct rpc_request *request)
{
        struct rpc_call *call = awaited(request);
        size_t mark;

        if (!has_id(request)) {
                invalid(request, "vmreq.release [id]");
        } else if (!call) {
                no_such_request(request);
        } else {
                rpc_call_release(call);
                proto_put_nil(rpc_reply_begin(request->peer, request->msgid, &mark));
                rpc_reply_end(request->peer, request->msgid, mark, PROTO_RAN_NO);
        }
}

/* May this peer cancel it?  What is not its own is unknown to it, unless it has the right to
 * others'. */
static bool may_cancel(const struct rpc_peer *peer, const struct rpc_call *call)
{
        return rpc_call_is_of(call, peer) || rpc_control_may(peer->rights, "vmreq.cancel.others");
}

/* Who cancels, in words; another's cancel is recorded. */
static const char *canceller(const struct rpc_peer *peer, const struct rpc_call *call, char *text,
                             size_t size)
{
        if (call->peer == peer)
                return "its caller";
        if (!call->finished)
                rpc_audit_cancel(call, peer);
        (void)snprintf(text, size, "uid %u, pid %d", (unsigned)peer->identity.uid,
                       (int)peer->identity.pid);
        return text;
}

static void method_cancel(const struct rpc_request *request)
{
        const struct proto_value *what = rpc_request_param(request, 0), *msgid = NULL;
        struct rpc_call *call = NULL;
        char by[48];

        if (what && what->type == PROTO_MAP)
                msgid = proto_value_map_get(what, "msgid");
        if (what && what->type == PROTO_UINT) {
                call = rpc_call_find_any(request->peer->server, what->u);
        } else if (msgid && msgid->type == PROTO_UINT && msgid->u <= UINT32_MAX) {
                call = rpc_call_find_msgid(request->peer, (uint32_t)msgid->u);
        } else {
                invalid(request, "vmreq.cancel [id] or vmreq.cancel [{\"msgid\": n}]");
                return;
        }
        if (!call || !may_cancel(request->peer, call)) {
                reply_text(request, "unknown");
                return;
        }
        reply_text(request, rpc_call_cancel(call, canceller(request->peer, call, by, sizeof(by))));
}

/* ---- the table ---- */

/* What a policy can name, and who has it by default.  Without a function: a part of a method that
 * is allowed by itself. */
static const struct {
        const char *name;
        uint32_t right;
        rpc_method method;
} methods[] = {
        {"vmreq.hello", RPC_RIGHT_CONNECTED, method_hello},
        {"vmreq.ping", RPC_RIGHT_CONNECTED, method_ping},
        {"vmreq.call", RPC_RIGHT_CONNECTED, method_call},
        {"vmreq.submit", RPC_RIGHT_CONNECTED, method_submit},
        {"vmreq.wait", RPC_RIGHT_CONNECTED, method_wait},
        {"vmreq.release", RPC_RIGHT_CONNECTED, method_release},
        {"vmreq.cancel", RPC_RIGHT_CONNECTED, method_cancel},
        {"vmreq.cancel.others", RPC_RIGHT_CONTROL, NULL},
        {"vmreq.symbols", RPC_RIGHT_CONNECTED, rpc_method_symbols},
        {"vmreq.describe", RPC_RIGHT_CONNECTED, rpc_method_describe},
        {"nvim_get_api_info", RPC_RIGHT_CONNECTED, rpc_method_api_info},
        {"vmreq.status", RPC_RIGHT_OBSERVE, rpc_method_status},
        {"vmreq.ps", RPC_RIGHT_OBSERVE, rpc_method_ps},
        {"vmreq.why", RPC_RIGHT_OBSERVE, rpc_method_why},
        {"vmreq.stats", RPC_RIGHT_OBSERVE, rpc_method_stats},
        {"vmreq.subscribe", RPC_RIGHT_OBSERVE, rpc_method_subscribe},
        {"vmreq.subscribe.vm.state", RPC_RIGHT_OBSERVE, NULL},
        {"vmreq.subscribe.emt.stuck", RPC_RIGHT_OBSERVE, NULL},
        {"vmreq.subscribe.request", RPC_RIGHT_OBSERVE, NULL},
        {"vmreq.subscribe.console", RPC_RIGHT_ALL, NULL},
        {"vmreq.unsubscribe", RPC_RIGHT_OBSERVE, rpc_method_unsubscribe},
        {"vmreq.modules", RPC_RIGHT_OBSERVE, rpc_method_modules},
        {"vmreq.load", RPC_RIGHT_CONTROL, rpc_method_load},
        {"vmreq.unload", RPC_RIGHT_CONTROL, rpc_method_unload},
};

static_assert(ARRAY_SIZE(methods) <= RPC_METHODS_MAX, "each has its bit in an identity's rights");

/* The row of that name; ARRAY_SIZE(methods) if there is none. */
static unsigned find_row(const char *name, size_t len)
{
        unsigned i = 0;

        /* Most calls are of symbols: two letters tell. */
        if (len < 5 || (name[0] != 'v' && name[0] != 'n'))
                return ARRAY_SIZE(methods);
        while (i < ARRAY_SIZE(methods) &&
               (strlen(methods[i].name) != len || memcmp(methods[i].name, name, len) != 0))
                i++;
        return i;
}

static bool may_use_row(struct rpc_rights *rights, unsigned row)
{
        return rpc_policy_may_use(rights, row, methods[row].name, methods[row].right);
}

rpc_method rpc_control_find(const char *name, size_t len, struct rpc_rights *rights)
{
        unsigned row = find_row(name, len);

        return row < ARRAY_SIZE(methods) && may_use_row(rights, row) ? methods[row].method : NULL;
}

bool rpc_control_may(struct rpc_rights *rights, const char *name)
{
        unsigned row = find_row(name, strlen(name));

        return row < ARRAY_SIZE(methods) && may_use_row(rights, row);
}

uint32_t rpc_control_class(const char *name)
{
        unsigned row = find_row(name, strlen(name));

        return row < ARRAY_SIZE(methods) ? methods[row].right : 0;
}

/* The classes of which they may use everything. */
static uint32_t whole_classes(struct rpc_rights *rights)
{
        uint32_t whole = RPC_RIGHT_CONNECTED | RPC_RIGHT_OBSERVE | RPC_RIGHT_CONTROL;

        for (unsigned row = 0; row < ARRAY_SIZE(methods); row++)
                if (!may_use_row(rights, row))
                        whole &= ~methods[row].right;
        return whole;
}
