/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Topics, and who has subscribed to them.  A subscription begins with the present state, then
 * {"ready": true}, then changes; each is a notification vmreq.event [topic, data].  A subscriber
 * that does not read loses events, is told how many ({"lost": n}), and costs nobody anything.  Loop
 * thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proto/builder.h"
#include "rpc/event-ring.h"
#include "rpc/list.h"
#include "rpc/session.h"

struct rpc_call;
struct rpc_feed;
struct rpc_peer;
struct rpc_server;

/* In the order in which a subscriber of several gets what one turn has brought. */
enum rpc_topic_id {
        RPC_TOPIC_CONSOLE, /* first: what the guest had written when its state changed */
        RPC_TOPIC_VM_STATE,
        RPC_TOPIC_EMT_STUCK,
        RPC_TOPIC_REQUEST,
        _RPC_TOPIC_N
};

/* One topic of one connection; part of struct rpc_peer. */
struct rpc_subscription {
        struct rpc_peer *peer; /* NULL: not subscribed */
        TAILQ_ENTRY(rpc_subscription) link;
        bool is_waiting; /* until the peer has read some of its output */
        union {
                struct rpc_event_cursor cursor; /* of the topic's ring */
                uint64_t position;              /* of its feed */
        };
};

TAILQ_HEAD(rpc_subscription_list, rpc_subscription);

struct rpc_topic {
        struct rpc_subscription_list live;    /* have all, or get it at the end of this turn */
        struct rpc_subscription_list waiting; /* for their peers to read */
        bool is_dirty;                        /* something has happened since they were told */
        struct rpc_event_ring ring;           /* but for feeds */
        const struct rpc_feed *feed;          /* borrowed; NULL: none */
};

struct rpc_events {
        struct rpc_topic topics[_RPC_TOPIC_N];
        struct proto_builder event; /* the one that is being made */
        uint64_t lost;              /* told of, in all */
};

/* False: no memory. */
bool rpc_events_init(struct rpc_events *events);
void rpc_events_deinit(struct rpc_events *events);

/*
 * Makes an event: the returned builder wants one value, the data.  NULL: nobody has subscribed, and
 * there is nothing to do.  Between the two no other event is made.
 */
struct proto_builder *rpc_event_begin(struct rpc_server *server, enum rpc_topic_id id);
void rpc_event_end(struct rpc_server *server, enum rpc_topic_id id);
/* `n` events of it happened, and cannot be told. */
void rpc_events_skip(struct rpc_server *server, enum rpc_topic_id id, uint64_t n);

/* The beginning of an event, for one that goes to one peer only: the data follow. */
void rpc_event_put_head(struct proto_builder *out, enum rpc_topic_id id);

/* The feed of that topic has something new. */
void rpc_events_feed(struct rpc_server *server, enum rpc_topic_id id);

/* Rights have changed: who may not have a topic any more is told so, and has it no more. */
void rpc_events_review(struct rpc_server *server);

/* At the end of a turn: what happened in it goes to the subscribers' output. */
void rpc_events_flush(struct rpc_server *server);
/* The peer has read something: what waited for that. */
void rpc_events_resume(struct rpc_peer *peer);
/* The peer goes. */
void rpc_events_forget(struct rpc_peer *peer);

void rpc_method_subscribe(const struct rpc_request *request);
void rpc_method_unsubscribe(const struct rpc_request *request);
