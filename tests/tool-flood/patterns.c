/* SPDX-License-Identifier: MIT */
/*
 * What the links do: one row in the table at the end for each pattern, one function that makes its
 * next operation.  An operation is bytes to send, and what comes after them.
 */
#include <stdlib.h>
#include <string.h>

#include "flood.h"
#include "proto/message.h"

/* ---- pieces ---- */

static void put_head(struct flood_link *link, struct proto_builder *out, const char *method,
                     uint32_t n_params)
{
        proto_put_request(out, flood_take_slot(link), method, strlen(method), n_params);
}

/* `len` bytes that cost the tool next to nothing to make. */
static void put_filler(struct proto_builder *out, size_t len)
{
        static const uint8_t filler[4096];
        const uint8_t head[] = {0xc6, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                (uint8_t)(len >> 8), (uint8_t)len};

        proto_put_raw(out, head, sizeof(head));
        for (size_t n; len > 0; len -= n) {
                n = len < sizeof(filler) ? len : sizeof(filler);
                proto_put_raw(out, filler, n);
        }
}

static size_t size_of(const struct flood_link *link)
{
        size_t size = link->flood->options.size;

        return size ? size : link->pattern->size;
}

static void put_call(struct flood_link *link, struct proto_builder *out)
{
        const char *method = link->flood->options.method;

        put_head(link, out, method ? method : "debug.add", method ? 0 : 2);
        if (!method) {
                proto_put_uint(out, 40);
                proto_put_uint(out, 2);
        }
}

/* [method, [40, 2] or [ms], {options…}] of vmreq.call and vmreq.submit, up to the options' head. */
static void put_call_by(struct flood_link *link, struct proto_builder *out, const char *by,
                        const char *method, uint32_t n_options)
{
        put_head(link, out, by, 3);
        proto_put_text(out, method);
        if (strcmp(method, "debug.sleep") == 0) {
                proto_put_array(out, 1);
                proto_put_uint(out, link->flood->options.hold_ms);
        } else {
                proto_put_array(out, 2);
                proto_put_uint(out, 40);
                proto_put_uint(out, 2);
        }
        proto_put_map(out, n_options);
}

static void put_random(struct flood_link *link, struct proto_builder *out, size_t len)
{
        for (; len > 0; len--) {
                uint8_t byte = (uint8_t)flood_random(link);

                proto_put_raw(out, &byte, 1);
        }
}

/* The head of a request of debug.echo, whose argument is to follow. */
static void put_echo_head(struct flood_link *link, struct proto_builder *out)
{
        put_head(link, out, "debug.echo", 1);
}

/* Without a slot: an answer to it is neither awaited nor wrong. */
static void put_echo_prefix(struct proto_builder *out)
{
        proto_put_request(out, UINT32_MAX, "debug.echo", strlen("debug.echo"), 1);
}

/* ---- patterns ---- */

static enum flood_after make_silent(struct flood_link *link, struct proto_builder *out)
{
        (void)link, (void)out;
        return FLOOD_STAY;
}

static enum flood_after make_call(struct flood_link *link, struct proto_builder *out)
{
        put_call(link, out);
        return FLOOD_GO_ON;
}

static enum flood_after make_echo(struct flood_link *link, struct proto_builder *out)
{
        put_echo_head(link, out);
        put_filler(out, size_of(link));
        return FLOOD_GO_ON;
}

/* Five bytes that promise gigabytes, alone or inside a request. */
static enum flood_after make_huge_header(struct flood_link *link, struct proto_builder *out)
{
        static const uint8_t heads[][5] = {
                {0xdd, 0xff, 0xff, 0xff, 0xff}, {0xdf, 0xff, 0xff, 0xff, 0xff},
                {0xdb, 0xff, 0xff, 0xff, 0xff}, {0xc6, 0xff, 0xff, 0xff, 0xff},
                {0xc9, 0xff, 0xff, 0xff, 0xff}, {0xdd, 0x00, 0x7f, 0xff, 0xff},
                {0xdf, 0x00, 0x3f, 0xff, 0xff}, {0xdb, 0x00, 0x7f, 0x00, 0x00},
        };

        if (flood_random_below(link, 4))
                put_echo_prefix(out);
        proto_put_raw(out, heads[flood_random_below(link, 8)], sizeof(heads[0]));
        return flood_random_below(link, 2) ? FLOOD_END : FLOOD_CLOSE;
}

static enum flood_after make_deep(struct flood_link *link, struct proto_builder *out)
{
        static const uint8_t steps[][2] = {{0x91, 0x91},
                                           {0x81, 0xc0}}; /* arrays; maps in nil's value */
        size_t levels = 1 + flood_random_below(link, flood_random_below(link, 4) ? 64 : 50000);
        const uint8_t *step = steps[flood_random_below(link, 2)];

        put_echo_prefix(out);
        for (size_t i = 0; i < levels; i++)
                proto_put_raw(out, step, 2);
        proto_put_nil(out);
        return FLOOD_END;
}

static enum flood_after make_truncated(struct flood_link *link, struct proto_builder *out)
{
        put_echo_prefix(out);
        put_filler(out, size_of(link));
        proto_builder_rollback(out, 1 + flood_random_below(link, out->len - 1));
        return flood_random_below(link, 2) ? FLOOD_END : FLOOD_CLOSE;
}

/* A frame is begun, and never goes on. */
static enum flood_after make_stall(struct flood_link *link, struct proto_builder *out)
{
        put_echo_prefix(out);
        put_filler(out, size_of(link));
        proto_builder_rollback(out, 1 + flood_random_below(link, out->len - 1));
        return FLOOD_STAY;
}

static enum flood_after make_random(struct flood_link *link, struct proto_builder *out)
{
        if (flood_random_below(link, 2))
                put_echo_prefix(out);
        else if (flood_random_below(link, 2))
                proto_put_array(out, 4);
        put_random(link, out, 1 + flood_random_below(link, size_of(link)));
        return flood_random_below(link, 4) ? FLOOD_END : FLOOD_CLOSE;
}

/* A good call with some of its bytes changed. */
static enum flood_after make_mutated(struct flood_link *link, struct proto_builder *out)
{
        uint64_t changes = 1 + flood_random_below(link, 4);

        proto_put_request(out, UINT32_MAX, "vmreq.call", strlen("vmreq.call"), 3);
        proto_put_text(out, "debug.echo");
        proto_put_array(out, 1);
        proto_put_map(out, 1);
        proto_put_text(out, "key");
        proto_put_array(out, 2);
        proto_put_int(out, -5);
        proto_put_float(out, 0.5);
        proto_put_map(out, 2);
        proto_put_text(out, "cpu");
        proto_put_text(out, "all");
        proto_put_text(out, "timeout_ms");
        proto_put_uint(out, 1000);
        if (out->error)
                return FLOOD_CLOSE;
        for (; changes > 0; changes--)
                out->data[flood_random_below(link, out->len)] = (uint8_t)flood_random(link);
        return FLOOD_END;
}

/* Connects, mostly says something, and is gone; sometimes it leaves calls behind that run. */
static enum flood_after make_churn(struct flood_link *link, struct proto_builder *out)
{
        switch (flood_random_below(link, 4)) {
        case 0:
                break;
        case 1:
                put_call_by(link, out, "vmreq.call", "debug.sleep", 0);
                break;
        default:
                put_call(link, out);
        }
        return FLOOD_CLOSE;
}

static enum flood_after make_half_close(struct flood_link *link, struct proto_builder *out)
{
        uint64_t calls = 1 + flood_random_below(link, link->window);

        for (uint64_t i = 0; i < calls; i++)
                put_call(link, out);
        return FLOOD_END;
}

/* Calls that stay: they fill the quotas of calls, the slab and the lanes. */
static enum flood_after make_quota(struct flood_link *link, struct proto_builder *out)
{
        put_call_by(link, out, "vmreq.call", "debug.sleep", 0);
        return FLOOD_GO_ON;
}

/* Results that nobody collects. */
static enum flood_after make_submit(struct flood_link *link, struct proto_builder *out)
{
        put_call_by(link, out, "vmreq.submit", "debug.add", 0);
        return FLOOD_GO_ON;
}

/* Requests that outlive their connections, over and over. */
static enum flood_after make_detach(struct flood_link *link, struct proto_builder *out)
{
        put_call_by(link, out, "vmreq.submit", "debug.sleep", 1);
        proto_put_text(out, "detach");
        proto_put_bool(out, true);
        return link->operations % 16 == 15 ? FLOOD_CLOSE : FLOOD_GO_ON;
}

/* Each call with a key that is remembered for ten minutes. */
static enum flood_after make_keys(struct flood_link *link, struct proto_builder *out)
{
        put_call_by(link, out, "vmreq.call", "debug.add", 1);
        proto_put_text(out, "key");
        proto_put_format(out, "%016llx%016llx", (unsigned long long)flood_random(link),
                         (unsigned long long)flood_random(link));
        return FLOOD_GO_ON;
}

/* A call that stays, and at once its cancel. */
static enum flood_after make_cancel(struct flood_link *link, struct proto_builder *out)
{
        uint32_t msgid = link->first_free;

        put_call_by(link, out, "vmreq.call", "debug.sleep", 0);
        if (link->first_free >= link->window)
                return FLOOD_GO_ON;
        put_head(link, out, "vmreq.cancel", 1);
        proto_put_map(out, 1);
        proto_put_text(out, "msgid");
        proto_put_uint(out, msgid);
        return FLOOD_GO_ON;
}

static enum flood_after make_broadcast(struct flood_link *link, struct proto_builder *out)
{
        put_call_by(link, out, "vmreq.call", "debug.add", 2);
        proto_put_text(out, "cpu");
        proto_put_text(out, flood_random_below(link, 2) ? "all" : "all-reverse");
        proto_put_text(out, "parallel");
        proto_put_bool(out, flood_random_below(link, 2));
        return FLOOD_GO_ON;
}

static void put_notification(struct flood_link *link, struct proto_builder *out)
{
        const char *method = link->flood->options.method;

        proto_put_notify(out, method ? method : "debug.add", method ? 0 : 2);
        if (!method) {
                proto_put_uint(out, 40);
                proto_put_uint(out, 2);
        }
}

static enum flood_after make_notify(struct flood_link *link, struct proto_builder *out)
{
        put_notification(link, out);
        return FLOOD_GO_ON;
}

/* Subscribes to everything, causes events, reads none of them. */
static enum flood_after make_subscribe(struct flood_link *link, struct proto_builder *out)
{
        static const char *const topics[] = {"vm.state", "emt.stuck", "request"};

        if (link->operations == 0) {
                put_head(link, out, "vmreq.subscribe", 3);
                for (size_t i = 0; i < 3; i++)
                        proto_put_text(out, topics[i]);
        } else {
                put_notification(link, out);
        }
        return FLOOD_GO_ON;
}

/* The broker's own methods, the costly ones first of all. */
static enum flood_after make_control(struct flood_link *link, struct proto_builder *out)
{
        static const char *const methods[] = {"vmreq.symbols", "vmreq.status", "vmreq.ps",
                                              "vmreq.stats",   "vmreq.ping",   "nvim_get_api_info",
                                              "vmreq.hello",   "vmreq.modules"};

        put_head(link, out, methods[flood_random_below(link, 8)], 0);
        return FLOOD_GO_ON;
}

/* Those who are at the wrong door. */
static enum flood_after make_stranger(struct flood_link *link, struct proto_builder *out)
{
        static const char *const words[] = {
                "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "POST /rpc HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}",
                "{\"jsonrpc\": \"2.0\", \"method\": \"ping\", \"id\": 1}\n",
                "\x16\x03\x01\x02\x02\x01\x01\x01\xfc\x03\x03",
                "SSH-2.0-OpenSSH_9.2\r\n",
                "quit\n",
                ("\x84\xa1t\x01\xa1m\x02\xa1s\xa3"
                 "add\xa1p\x90"), /* in two, so that the escape ends before the letters */
        };
        const char *word = words[flood_random_below(link, sizeof(words) / sizeof(words[0]))];

        proto_put_raw(out, word, strlen(word));
        return FLOOD_END;
}

/* ---- the table ---- */

#define READS    FLOOD_READS
#define ANSWERED (FLOOD_READS | FLOOD_ANSWERED)

static const struct flood_pattern patterns[] = {
        {"good", "one call after the other, each answer awaited", ANSWERED | FLOOD_GOOD, 1, 0,
         make_call},
        {"pipeline", "calls without end, answers read", ANSWERED, 1024, 0, make_call},
        {"never-read", "calls with large results, none of which is read", 0, 0, 64u << 10,
         make_echo},
        {"bytewise", "calls, a byte at a time", ANSWERED | FLOOD_BYTEWISE, 1, 0, make_call},
        {"silent", "connects and says nothing", 0, 0, 0, make_silent},
        {"stall", "begins a frame and does not go on", READS, 0, 100000, make_stall},
        {"huge-header", "five bytes that promise gigabytes", READS, 0, 0, make_huge_header},
        {"deep", "values nested up to 50000 levels", READS, 0, 0, make_deep},
        {"truncated", "frames cut anywhere, then the end of the connection", READS, 0, 10000,
         make_truncated},
        {"random", "random bytes, half of them inside a request", READS, 0, 4096, make_random},
        {"mutated", "a good call with up to four bytes changed", READS, 0, 0, make_mutated},
        {"stranger", "HTTP, TLS, JSON and other protocols", READS, 0, 0, make_stranger},
        {"churn", "connects, calls, and is gone before the answer", READS, 4, 0, make_churn},
        {"half-close", "some calls, then the end of sending; each must be answered", ANSWERED, 64,
         0, make_half_close},
        {"big", "large arguments and results", ANSWERED, 4, 1u << 20, make_echo},
        {"quota", "calls that hold their EMT for --hold-ms, more than the limits allow", ANSWERED,
         4096, 0, make_quota},
        {"submit", "results that nobody collects", ANSWERED, 64, 0, make_submit},
        {"detach", "requests that outlive their connections", ANSWERED, 64, 0, make_detach},
        {"keys", "calls with a new key each", ANSWERED, 64, 0, make_keys},
        {"cancel", "calls, and at once their cancel", ANSWERED, 64, 0, make_cancel},
        {"broadcast", "calls on all vCPUs", ANSWERED, 64, 0, make_broadcast},
        {"notify", "notifications, which nobody answers", READS, 0, 0, make_notify},
        {"subscribe", "subscribes to all topics and reads nothing", 0, 0, 0, make_subscribe},
        {"control", "the broker's own methods, answers read", ANSWERED, 256, 0, make_control},
        {"mixed", "each link another one of those above, but good", 0, 0, 0, NULL},
};

#define N_PATTERNS (sizeof(patterns) / sizeof(patterns[0]))

const struct flood_pattern *flood_pattern_at(size_t index)
{
        return index < N_PATTERNS ? &patterns[index] : NULL;
}

const struct flood_pattern *flood_pattern_find(const char *name)
{
        for (size_t i = 0; i < N_PATTERNS; i++)
                if (strcmp(patterns[i].name, name) == 0)
                        return &patterns[i];
        return NULL;
}

const struct flood_pattern *flood_pattern_of(const struct flood_pattern *chosen, uint32_t number)
{
        const size_t first = 1, last = N_PATTERNS - 1; /* neither good nor mixed */

        return chosen->make ? chosen : &patterns[first + number % (last - first)];
}
