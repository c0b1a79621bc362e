/* SPDX-License-Identifier: MIT */
#pragma once
/* The server's insides, for the files of this room. */

#include <stdatomic.h>
#include <uv.h>

#include "base/log.h"
#include "proto/builder.h"
#include "proto/codes.h"
#include "proto/value.h"
#include "rpc/bridge.h"
#include "rpc/call-pool.h"
#include "rpc/events.h"
#include "rpc/key.h"
#include "rpc/list.h"
#include "rpc/modules.h"
#include "rpc/policy.h"
#include "rpc/quota.h"
#include "rpc/reload.h"
#include "rpc/server.h"
#include "rpc/turn.h"
#include "rpc/states.h"
#include "rpc/stuck.h"
#include "rpc/stream.h"
#include "rpc/wakes.h"

struct rpc_peer;
struct rpc_call;
struct rpc_record;

TAILQ_HEAD(rpc_peer_list, rpc_peer);
TAILQ_HEAD(rpc_call_list, rpc_call);
LIST_HEAD(rpc_call_bucket, rpc_call);

/* Ids are drawn one after the other, so a chain has at most calls / RPC_ID_BUCKETS elements, and a
 * few. */
#define RPC_ID_BUCKETS 4096u

/* Requests on one page of vmreq.ps. */
#define RPC_PS_MAX 1000u

enum rpc_phase {
        RPC_SERVING,
        RPC_DRAINING, /* no new connections, no new calls; accepted ones go on */
        RPC_LEAVING,  /* every call is answered; output is flushed */
        RPC_LEFT,     /* the loop has returned */
};

struct rpc_server {
        struct rpc_config config;
        enum rpc_phase phase;
        uint64_t started_ns;

        uv_loop_t loop;
        bool loop_open;
        uv_poll_t listener;
        uv_signal_t sigterm, sigint;
        uv_prepare_t prepare; /* flushes what timers produced */
        uv_check_t check;     /* flushes what I/O produced */
        uv_idle_t idle;       /* runs while some peer has input left over from its turn */
        uv_timer_t service_timer;
        uv_timer_t drain_timer;
        uv_timer_t stuck_timer; /* runs while something is in flight */
        uv_timer_t stall_timer; /* runs while some peer has a frame under way */
        uv_timer_t figures_timer, idle_timer, watchdog_timer;
        uv_timer_t kept_timer;   /* runs while some outcome has a time after which it goes */
        uv_timer_t stream_timer; /* runs while generators wait between two runs */
        uv_timer_t accept_timer; /* accepting pauses after descriptors ran out */
        struct rpc_bridge bridge;
        struct rpc_service *service;

        struct rpc_policy policy;
        struct rpc_reload reload;
        struct rpc_quota quota;
        struct rpc_peer_list peers;
        struct rpc_peer_list dirty;  /* output to flush this turn */
        struct rpc_peer_list ready;  /* input left over */
        struct rpc_peer_list silent; /* have never completed a frame; the oldest first */
        struct rpc_call_list calls;  /* every call whose request has not been released */
        struct rpc_call_list kept; /* those of which only their outcome is left, to be asked for */
        struct rpc_call_list
                orphans; /* finished detached ones without a connection, oldest first */
        struct rpc_call_bucket by_id[RPC_ID_BUCKETS]; /* `calls` and `kept`, by id */
        struct rpc_call_pool spare_calls;
        struct rpc_keys keys;
        struct rpc_streams streams; /* generators that wait between two runs */
        uint32_t n_ready;           /* in `ready` */
        struct rpc_turn turn;
        struct rpc_wakes wakes;
        uint32_t n_peers;
        uint32_t n_calls; /* in `calls` */
        uint32_t n_kept;  /* in `kept` */
        uint32_t n_open;  /* of these, with a request that has no fate yet */
        uint64_t next_id;

        struct rpc_modules modules;
        struct rpc_events events;
        struct rpc_stuck stuck;
        struct rpc_state_change vm_state; /* the last one; `from` _VMREQ_VM_N: there was none */

        uint64_t input_ns;        /* since when the frames at hand are here; 0: none are */
        struct proto_arena arena; /* of the frame at hand */
        uint8_t *scratch;         /* RPC_TURN_BYTES_MAX, shared by all peers whose input is whole */
        /* Of vmreq.ps: RPC_PS_MAX and one. */
        struct rpc_record *ps_records;
        struct log_limit refused_log, rejected_log,
                fault_log; /* at most so many lines a second: clients can cause them */
        struct log_limit denied_log[64]; /* by uid; others share one only by chance */
        uint64_t n_faults;               /* of ours, each with its number in the log */
        uint64_t refused_notifications;
        struct {
                uint64_t peers, peers_refused,
                        peers_evicted; /* connections ever taken; turned away at the door */
                uint64_t calls;        /* accepted */
                uint64_t errors[_PROTO_CODE_N]; /* answers that were errors */
        } counted;                              /* for vmreq.stats */

        struct rpc_figures figures; /* as told last */
        bool figures_told;
        uint64_t figures_ns;     /* when */
        bool watchdog_hungry;    /* some EMT was not fresh at the last look */
        _Atomic bool stop_asked; /* by rpc_server_ask_stop */

        /* Bytes of large results that EMTs have written and the loop has neither charged nor
         * dropped.  Over limits.bytes, functions are refused instead of run. */
        _Atomic uint64_t results_held;
        /* limits.bytes, as EMTs read it: a reload may change it at any time.  Relaxed: a bound. */
        _Atomic uint64_t results_max;
};

/* listener.c */
int rpc_listener_start(struct rpc_server *server);
void rpc_listener_stop(struct rpc_server *server);

/* drain.c */
void rpc_drain_begin(struct rpc_server *server);
/* Looks whether draining or leaving is done; called each turn. */
void rpc_drain_check(struct rpc_server *server);
void rpc_drain_on_timer(uv_timer_t *timer);

/* server.c */
void rpc_server_rearm(struct rpc_server *server, uint64_t due_ns);
void rpc_server_flush(struct rpc_server *server);
