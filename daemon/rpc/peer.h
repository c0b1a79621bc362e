/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One connection: its identity and rights, its bytes in and out, its calls in flight.  Loop thread.
 * The fault boundary: whatever goes wrong with a peer ends that peer.
 */

#include <uv.h>

#include "proto/builder.h"
#include "proto/frame.h"
#include "rpc/error.h"
#include "rpc/events.h"
#include "rpc/identity.h"
#include "rpc/rows.h"
#include "rpc/server-internal.h"

enum rpc_peer_state {
        RPC_PEER_OPEN,
        RPC_PEER_HALF,    /* the client has shut its sending side: finish, answer, close */
        RPC_PEER_ENDING,  /* a fatal error was written: flush, then close */
        RPC_PEER_CLOSING, /* the descriptor is going */
};

struct rpc_peer {
        struct rpc_server *server;
        TAILQ_ENTRY(rpc_peer) link, dirty_link, ready_link, silent_link;
        bool is_dirty, is_ready;
        bool is_silent; /* it has never completed a frame */
        enum rpc_peer_state state;
        uv_poll_t poll;
        int fd;
        int poll_events; /* what is asked for now */
        uint64_t number; /* of the connection, for logs and for nvim's channel id */

        struct rpc_identity identity; /* its groups belong to the rights */
        struct rpc_rights *rights;
        struct rpc_account account;

        /* input */
        uint8_t *in;
        size_t in_len, in_cap;    /* in_cap is charged */
        struct proto_frame frame; /* of what stands in `in` */
        bool passing;             /* what comes of it is thrown away: rpc/input.h */
        uint64_t passed;          /* and so many bytes of it have been */
        uint64_t stall_ns; /* when it was last looked whether a started frame gets on; 0: none is */
        uint64_t stall_len; /* and how much of it was there */
        uint64_t rest_ns;   /* until when others come first: rpc/turn.c */
        uint64_t spent;     /* in this turn beyond its frames: rpc_peer_spend */
        bool eof;           /* the client sends no more */
        bool gone;   /* nothing can be told to it; what it sent before it went is still handled */
        bool paused; /* over a share of bytes: not read from until some are given back */

        /* output */
        struct proto_builder out;
        size_t out_sent;
        uint64_t out_charged;

        struct rpc_call_list calls; /* in flight for this peer, unanswered ones among them */
        uint32_t n_unanswered;
        LIST_HEAD(, rpc_waiter) waiters; /* for calls of its own, or of its uid */
        struct rpc_stream_list streams;  /* that wait until it has read some of its output */
        struct rpc_rows_list rows;       /* likewise */
        uint64_t streams_reserved;       /* bytes charged for chunks that are about to come */

        struct rpc_subscription subscriptions[_RPC_TOPIC_N];

        /* What it called last, for the next call; good as long as the table is of that generation,
         * and not looked at afterwards. */
        const struct sym_symbol *last_symbol;
        uint64_t last_generation;

        /* what hello and the like have set */
        enum rpc_style style;
        uint64_t timeout_ms; /* 0: the server's default */
        bool timeout_set;
        bool stream;    /* default of that option */
        bool completed; /* wants to be told when what it submitted has ended */
};

/* Takes over a connected descriptor.  NULL: refused, and the descriptor is closed. */
struct rpc_peer *rpc_peer_new(struct rpc_server *server, int fd);

/* Closes at once: what is queued for it is cancelled, what runs is asked to end; NO_WAIT calls go
 * on. */
void rpc_peer_close(struct rpc_peer *peer);

/* Notes that there is output to flush before the loop sleeps. */
void rpc_peer_touch(struct rpc_peer *peer);
/* Writes what the socket takes. */
void rpc_peer_flush(struct rpc_peer *peer);
/* Handles a turn's worth of input that is at hand. */
void rpc_peer_resume(struct rpc_peer *peer);
/* Going down: takes what has arrived, then reads no more. */
void rpc_peer_drain_input(struct rpc_peer *peer);

/* The server's limits are others now. */
void rpc_peer_change_limits(struct rpc_peer *peer);

/* May `n` more bytes be held for this peer's answers?  NULL: yes; else the account whose share is
 * used up.  See the head of peer.c. */
const struct rpc_account *rpc_peer_over(const struct rpc_peer *peer, size_t n);
/* How many bytes of answers it may certainly be given: at least what is kept for every connection,
 * whatever its uid and the daemon hold, less what it has not read. */
size_t rpc_peer_room(const struct rpc_peer *peer);
/* What comes next is the first byte of a frame. */
void rpc_peer_begin_frame(struct rpc_peer *peer);
/* The frame at hand has made the loop look at so many things: a turn is shorter by that. */
void rpc_peer_spend(struct rpc_peer *peer, uint64_t n);
/* An error was written that ends the connection. */
void rpc_peer_end(struct rpc_peer *peer);
/* A call of it was answered or has gone: it may be time to close. */
void rpc_peer_settle(struct rpc_peer *peer);
