/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * EMTs that have run one request for too long: longer than its symbol's default time limit, or than
 * emt_stuck_ms if it has none.  Each is an event when that is seen, and another when the request
 * has ended, and both are in the journal.  Loop thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"

struct rpc_call;
struct rpc_peer;
struct rpc_server;

/* What one event takes, at most. */
#define RPC_STUCK_EVENT_BYTES 320u

/* How long a request may run whose symbol has no limit, if the settings say nothing. */
#define RPC_EMT_STUCK_MS 30000u

struct rpc_stuck_emt {
        uint64_t id; /* of the request; 0: it is not stuck */
        uint64_t since_ns;
        uint32_t uid;
        int32_t pid;
        char symbol[PROTO_NAME_BYTES_MAX + 1];
};

struct rpc_stuck {
        struct rpc_stuck_emt *emts; /* one per vCPU */
        uint32_t n_emts, n_stuck;
        uint64_t shortest_ms; /* no request in flight has a shorter limit */
        uint64_t due_ms;      /* when the timer fires, in the loop's time; while it runs */
};

/* False: no memory. */
bool rpc_stuck_init(struct rpc_stuck *stuck, uint32_t n_emts);
void rpc_stuck_deinit(struct rpc_stuck *stuck);

/* How long a request may run before its EMT counts as stuck.  `call` may be NULL, or one of which
 * only the outcome is kept: as a symbol without a limit. */
uint64_t rpc_stuck_limit_ms(const struct rpc_server *server, const struct rpc_call *call);

/* A call was accepted: from now on somebody looks at the EMTs, until nothing is in flight. */
void rpc_stuck_watch(struct rpc_call *call);
/* Its request has ended. */
void rpc_stuck_ended(const struct rpc_call *call);

/* Which EMTs are stuck, as events to one peer. */
void rpc_stuck_put_present(struct rpc_peer *peer);
