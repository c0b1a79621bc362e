/* SPDX-License-Identifier: MIT */
/*
 * From an event to its subscribers.
 *
 *   begin … end ──► the topic's ring ──► (end of the turn) ──► output of each subscriber
 *
 *   1. An event is encoded once, as the frame that goes out, and only if somebody has subscribed.
 *   2. A subscriber is a cursor in the ring.  It is written to only while little of its output is
 *      unread; else it leaves the list that is walked, until it has read.  So one that does not
 * read costs nothing at all, and the memory of a topic does not depend on how many there are.
 *   3. What the ring has overwritten meanwhile is counted and told before what comes next.
 *   4. A feed is a stream of bytes that somebody else keeps in a ring of its own (the console). The
 *      same holds, with a position in place of the cursor.
 *
 * EVENT_UNREAD is half of what every connection may have unread even when all accounts are full:
 * the other half is left for answers.
 */
#include "rpc/events.h"

#include <string.h>

#include "base/macros.h"
#include "proto/message.h"
#include "rpc/audit.h"
#include "rpc/peer.h"
#include "rpc/reply.h"
#include "rpc/states.h"
#include "rpc/stuck.h"

/* Unread output of a connection beyond which its events wait. */
#define EVENT_UNREAD (32u << 10)
/* The longest event. */
#define EVENT_BYTES 2048u
/* Bytes of a feed in one event. */
#define FEED_BYTES (4u << 10)
/* What a subscription to a feed begins with, at most. */
#define FEED_TAIL (16u << 10)

#define POLICY "vmreq.subscribe."

static const struct {
        const char *policy; /* what the policy calls it: POLICY and its name */
        size_t ring_bytes;  /* 0: a feed */
        void (*put_present)(struct rpc_peer *peer);
} topics[] = {
        [RPC_TOPIC_CONSOLE] = {POLICY "console", 0, NULL},
        [RPC_TOPIC_VM_STATE] = {POLICY "vm.state", 16u << 10, rpc_states_put_present},
        [RPC_TOPIC_EMT_STUCK] = {POLICY "emt.stuck", 64u << 10, rpc_stuck_put_present},
        [RPC_TOPIC_REQUEST] = {POLICY "request", 256u << 10, NULL},
};

static_assert(ARRAY_SIZE(topics) == _RPC_TOPIC_N, "a row per topic");

static const char *name_of(enum rpc_topic_id id)
{
        return topics[id].policy + strlen(POLICY);
}

/* ---- life ---- */

bool rpc_events_init(struct rpc_events *events)
{
        *events = (struct rpc_events){0};
        proto_builder_init(&events->event, EVENT_BYTES);
        for (unsigned i = 0; i < _RPC_TOPIC_N; i++) {
                struct rpc_topic *topic = &events->topics[i];

                TAILQ_INIT(&topic->live);
                TAILQ_INIT(&topic->waiting);
                if (topics[i].ring_bytes &&
                    !rpc_event_ring_init(&topic->ring, topics[i].ring_bytes))
                        return false;
        }
        return true;
}

void rpc_events_deinit(struct rpc_events *events)
{
        for (unsigned i = 0; i < _RPC_TOPIC_N; i++)
                rpc_event_ring_deinit(&events->topics[i].ring);
        proto_builder_deinit(&events->event);
}

/* ---- making events ---- */

void rpc_event_put_head(struct proto_builder *out, enum rpc_topic_id id)
{
        proto_put_array(out, 3);
        proto_put_uint(out, PROTO_NOTIFY);
        proto_put_text(out, "vmreq.event");
        proto_put_array(out, 2);
        proto_put_text(out, name_of(id));
}

static bool has_subscribers(const struct rpc_topic *topic)
{
        return !TAILQ_EMPTY(&topic->live) || !TAILQ_EMPTY(&topic->waiting);
}

struct proto_builder *rpc_event_begin(struct rpc_server *server, enum rpc_topic_id id)
{
        struct rpc_events *events = &server->events;

        if (!has_subscribers(&events->topics[id]))
                return NULL;
        proto_builder_reset(&events->event);
        rpc_event_put_head(&events->event, id);
        return &events->event;
}

void rpc_event_end(struct rpc_server *server, enum rpc_topic_id id)
{
        struct rpc_events *events = &server->events;
        struct rpc_topic *topic = &events->topics[id];

        topic->is_dirty = true;
        if (events->event.error)
                rpc_event_ring_skip(&topic->ring, 1);
        else
                rpc_event_ring_put(&topic->ring, events->event.data, events->event.len);
}

void rpc_events_skip(struct rpc_server *server, enum rpc_topic_id id, uint64_t n)
{
        struct rpc_topic *topic = &server->events.topics[id];

        topic->is_dirty = true;
        rpc_event_ring_skip(&topic->ring, n);
}

void rpc_events_feed(struct rpc_server *server, enum rpc_topic_id id)
{
        server->events.topics[id].is_dirty = true;
}

/* ---- to the subscribers ---- */

static void tell_lost(struct rpc_peer *peer, enum rpc_topic_id id, uint64_t n)
{
        rpc_event_put_head(&peer->out, id);
        proto_put_map(&peer->out, 1);
        proto_put_text(&peer->out, "lost");
        proto_put_uint(&peer->out, n);
        peer->server->events.lost += n;
}

static void put_feed(struct rpc_peer *peer, enum rpc_topic_id id, const void *data, size_t len)
{
        rpc_event_put_head(&peer->out, id);
        proto_put_map(&peer->out, 1);
        proto_put_text(&peer->out, "data");
        proto_put_bin(&peer->out, data, len);
}

/* The next event, behind what was lost before it.  False: there is none. */
static bool deliver_one(struct rpc_subscription *subscription, enum rpc_topic_id id)
{
        struct rpc_peer *peer = subscription->peer;
        struct rpc_topic *topic = &peer->server->events.topics[id];
        uint8_t bytes[FEED_BYTES];
        const uint8_t *event = bytes;
        uint64_t lost = 0;
        size_t len = 0;

        if (topic->feed)
                len = topic->feed->read(topic->feed->ctx, &subscription->position, bytes,
                                        sizeof(bytes), &lost);
        else
                event = rpc_event_ring_read(&topic->ring, &subscription->cursor, &len, &lost);
        if (lost)
                tell_lost(peer, id, lost);
        if (!event || (topic->feed && len == 0))
                return lost != 0;
        if (topic->feed)
                put_feed(peer, id, event, len);
        else
                proto_put_raw(&peer->out, event, len);
        return true;
}

/* With this and one event more it holds less than every connection may: no account is asked. */
static bool has_room(const struct rpc_peer *peer)
{
        return peer->out.len - peer->out_sent < EVENT_UNREAD;
}

/* No memory for an event that was begun: its connection cannot be told any more.  Cuts off what
 * stands behind `mark`, so that no torn frame goes out. */
static void check_output(struct rpc_peer *peer, size_t mark)
{
        if (peer->out.error) {
                proto_builder_rollback(&peer->out, mark);
                rpc_peer_end(peer);
        } else if (peer->out.len != mark) {
                rpc_peer_touch(peer);
        }
}

static void set_waiting(struct rpc_topic *topic, struct rpc_subscription *subscription,
                        bool is_waiting)
{
        if (subscription->is_waiting == is_waiting)
                return;
        if (is_waiting) {
                TAILQ_REMOVE(&topic->live, subscription, link);
                TAILQ_INSERT_TAIL(&topic->waiting, subscription, link);
        } else {
                TAILQ_REMOVE(&topic->waiting, subscription, link);
                TAILQ_INSERT_TAIL(&topic->live, subscription, link);
        }
        subscription->is_waiting = is_waiting;
}

static void deliver(struct rpc_subscription *subscription, enum rpc_topic_id id)
{
        struct rpc_peer *peer = subscription->peer;
        size_t mark = peer->out.len;

        if (peer->gone || peer->state >= RPC_PEER_ENDING)
                return;
        while (has_room(peer) && deliver_one(subscription, id))
                ;
        set_waiting(&peer->server->events.topics[id], subscription, !has_room(peer));
        check_output(peer, mark);
}

void rpc_events_flush(struct rpc_server *server)
{
        struct rpc_topic *all = server->events.topics;

        /* The guest's last words may be there before the news of them; they go before its end. */
        if (all[RPC_TOPIC_VM_STATE].is_dirty && all[RPC_TOPIC_CONSOLE].feed)
                all[RPC_TOPIC_CONSOLE].is_dirty = true;
        for (unsigned id = 0; id < _RPC_TOPIC_N; id++) {
                struct rpc_topic *topic = &all[id];
                struct rpc_subscription *subscription, *next;

                if (!topic->is_dirty)
                        continue;
                topic->is_dirty = false;
                TAILQ_FOREACH_SAFE (subscription, &topic->live, link, next)
                        deliver(subscription, (enum rpc_topic_id)id);
        }
}

void rpc_events_resume(struct rpc_peer *peer)
{
        for (unsigned id = 0; id < _RPC_TOPIC_N; id++)
                if (peer->subscriptions[id].peer && peer->subscriptions[id].is_waiting)
                        deliver(&peer->subscriptions[id], (enum rpc_topic_id)id);
}

/* ---- subscribing ---- */

static void unsubscribe(struct rpc_peer *peer, enum rpc_topic_id id)
{
        struct rpc_subscription *subscription = &peer->subscriptions[id];
        struct rpc_topic *topic = &peer->server->events.topics[id];

        if (!subscription->peer)
                return;
        TAILQ_REMOVE(subscription->is_waiting ? &topic->waiting : &topic->live, subscription, link);
        subscription->peer = NULL;
}

void rpc_events_forget(struct rpc_peer *peer)
{
        for (unsigned id = 0; id < _RPC_TOPIC_N; id++)
                unsubscribe(peer, (enum rpc_topic_id)id);
}

static void review(struct rpc_subscription_list *list, enum rpc_topic_id id)
{
        struct rpc_subscription *subscription, *next;

        TAILQ_FOREACH_SAFE (subscription, list, link, next) {
                struct rpc_peer *peer = subscription->peer;
                size_t mark = peer->out.len;

                if (rpc_control_may(peer->rights, topics[id].policy))
                        continue;
                unsubscribe(peer, id);
                rpc_event_put_head(&peer->out, id);
                proto_put_map(&peer->out, 1);
                proto_put_text(&peer->out, "ended");
                proto_put_text(&peer->out, "the policy does not allow it any more");
                check_output(peer, mark);
        }
}

void rpc_events_review(struct rpc_server *server)
{
        for (unsigned id = 0; id < _RPC_TOPIC_N; id++) {
                review(&server->events.topics[id].live, (enum rpc_topic_id)id);
                review(&server->events.topics[id].waiting, (enum rpc_topic_id)id);
        }
}

/* What a feed still has, its end. */
static void put_tail(struct rpc_subscription *subscription, enum rpc_topic_id id)
{
        const struct rpc_feed *feed = subscription->peer->server->events.topics[id].feed;
        uint64_t begin = feed->begin(feed->ctx), end = feed->end(feed->ctx);

        subscription->position = end - begin > FEED_TAIL ? end - FEED_TAIL : begin;
        while (subscription->position < end && deliver_one(subscription, id))
                ;
}

/* The present state, and that it was that. */
static void subscribe(struct rpc_peer *peer, enum rpc_topic_id id)
{
        struct rpc_subscription *subscription = &peer->subscriptions[id];
        struct rpc_topic *topic = &peer->server->events.topics[id];

        unsubscribe(peer, id);
        *subscription = (struct rpc_subscription){.peer = peer};
        TAILQ_INSERT_TAIL(&topic->live, subscription, link);
        if (topic->feed) {
                put_tail(subscription, id);
        } else {
                subscription->cursor = rpc_event_ring_now(&topic->ring);
                if (topics[id].put_present)
                        topics[id].put_present(peer);
        }
        rpc_event_put_head(&peer->out, id);
        proto_put_map(&peer->out, 1);
        proto_put_text(&peer->out, "ready");
        proto_put_bool(&peer->out, true);
}

/* The topic of that name; _RPC_TOPIC_N: there is none that the peer may have. */
static enum rpc_topic_id find_topic(struct rpc_peer *peer, const struct proto_value *name)
{
        for (unsigned id = 0; id < _RPC_TOPIC_N; id++) {
                if (!proto_value_is_text(name, name_of((enum rpc_topic_id)id)))
                        continue;
                if (topics[id].ring_bytes == 0 && !peer->server->events.topics[id].feed)
                        break; /* nobody offers it here */
                if (rpc_control_may(peer->rights, topics[id].policy))
                        return (enum rpc_topic_id)id;
                rpc_audit_denied(peer, topics[id].policy, strlen(topics[id].policy));
        }
        return _RPC_TOPIC_N;
}

static void no_such_topic(const struct rpc_request *request, const struct proto_value *name)
{
        rpc_reply_error(request->peer, request->msgid, PROTO_NOT_FOUND, PROTO_RAN_NO,
                        "there is no topic \"%.*s\" that you may subscribe to",
                        (int)MIN(name->count, 64u), name->data);
}

/* Which topics are meant, as bits.  False: the answer is written. */
static bool read_topics(const struct rpc_request *request, uint32_t *ret_topics)
{
        *ret_topics = 0;
        for (uint32_t i = 0; i < request->params->count; i++) {
                const struct proto_value *name = &request->params->items[i];
                enum rpc_topic_id id;

                if (name->type != PROTO_STR && name->type != PROTO_BIN) {
                        rpc_reply_error(request->peer, request->msgid, PROTO_INVALID_REQUEST,
                                        PROTO_RAN_NO, "expected the names of topics");
                        return false;
                }
                id = find_topic(request->peer, name);
                if (id == _RPC_TOPIC_N) {
                        no_such_topic(request, name);
                        return false;
                }
                *ret_topics |= 1u << id;
        }
        return true;
}

static void reply_nil(const struct rpc_request *request)
{
        size_t mark;

        proto_put_nil(rpc_reply_begin(request->peer, request->msgid, &mark));
        rpc_reply_end(request->peer, request->msgid, mark, PROTO_RAN_NO);
}

/* What the beginnings of these subscriptions take, at most. */
static size_t present_bytes(const struct rpc_server *server, uint32_t wanted)
{
        size_t n = 0;

        for (unsigned id = 0; id < _RPC_TOPIC_N; id++) {
                if (!(wanted & (1u << id)))
                        continue;
                n += 256;
                if (id == RPC_TOPIC_EMT_STUCK)
                        n += server->stuck.n_stuck * RPC_STUCK_EVENT_BYTES;
                if (server->events.topics[id].feed)
                        n += FEED_TAIL + FEED_TAIL / FEED_BYTES * 64 + 64;
        }
        return n;
}

void rpc_method_subscribe(const struct rpc_request *request)
{
        struct rpc_peer *peer = request->peer;
        uint32_t wanted;
        size_t mark;

        if (request->params->count == 0) {
                rpc_reply_error(peer, request->msgid, PROTO_INVALID_REQUEST, PROTO_RAN_NO,
                                "expected vmreq.subscribe [topic, …]");
                return;
        }
        if (!read_topics(request, &wanted))
                return;
        if (rpc_peer_room(peer) < present_bytes(peer->server, wanted)) {
                rpc_reply_error(peer, request->msgid, PROTO_BUSY, PROTO_RAN_NO,
                                "too many bytes of this connection are unread: read them first");
                return;
        }
        reply_nil(request);
        mark = peer->out.len;
        for (unsigned id = 0; id < _RPC_TOPIC_N; id++)
                if (wanted & (1u << id))
                        subscribe(peer, (enum rpc_topic_id)id);
        check_output(peer, mark);
}

void rpc_method_unsubscribe(const struct rpc_request *request)
{
        uint32_t unwanted;

        if (!read_topics(request, &unwanted))
                return;
        for (unsigned id = 0; id < _RPC_TOPIC_N; id++)
                if (unwanted == 0 || (unwanted & (1u << id)))
                        unsubscribe(request->peer, (enum rpc_topic_id)id);
        reply_nil(request);
}
