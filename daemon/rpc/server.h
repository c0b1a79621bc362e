/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The server: owns the loop and everything that lives on it.  start → run → (drain) → stop.  One
 * thread, "the loop thread"; it never waits for another process, a disk or an EMT.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "symbols/registry.h"
#include "vm/vmreq.h"

/*
 * Settings: name, default, least and most.  From this list come the structure, the keys of section
 * [limits] and what hello shows.
 *
 * frame_*         a frame's bytes; in frame_stall_ms a started one must end, or gain so many bytes
 * depth           of nesting, the frame's outer array counted
 * connections_*   how many in all and of one uid; so many of them for root and the daemon's user
 * calls_*, bytes_*  in flight and held: in all, of one connection, of one uid.  The least of a
 *                 connection's bytes is what its streams may have on their way (RPC_STREAM_BYTES):
 *                 with less they alone would stop what is read from it
 * turn_*          what a connection gets done before others come, in one turn of the loop
 * timeout_ms      of a call that says nothing, whose symbol and connection say nothing
 * kept_*          calls that are detached or have a key: how many of one uid, and how long their
 *                 outcomes can be asked for
 * drain_ms        how long accepted calls may go on after SIGTERM
 */
#define RPC_LIMITS(X)                                                                              \
        X(frame_bytes, 8u << 20, 1024, PROTO_FRAME_BYTES_MAX)                                      \
        X(frame_stall_ms, 10000, 10, 3600000)                                                      \
        X(frame_stall_bytes, 64u << 10, 1, PROTO_FRAME_BYTES_MAX)                                  \
        X(depth, PROTO_DEPTH_MAX, 4, PROTO_DEPTH_MAX)                                              \
        X(connections, 4096, 1, 1000000)                                                           \
        X(connections_per_uid, 256, 1, 1000000)                                                    \
        X(connections_reserved, 8, 0, 1000000)                                                     \
        X(calls, 16384, 1, 4000000)                                                                \
        X(calls_per_connection, 1024, 1, 4000000)                                                  \
        X(calls_per_uid, 4096, 1, 4000000)                                                         \
        X(bytes, 256u << 20, 1u << 20, 1ull << 40)                                                 \
        X(bytes_per_connection, 16u << 20, 1u << 20, 1ull << 32)                                   \
        X(bytes_per_uid, 64u << 20, 1u << 20, 1ull << 40)                                          \
        X(turn_frames, 128, 1, 1024)                                                               \
        X(turn_bytes, RPC_TURN_BYTES_MAX, 1024, RPC_TURN_BYTES_MAX)                                \
        X(timeout_ms, 30000, 1, 1000000000000ull)                                                  \
        X(kept_per_uid, 1024, 1, 1000000)                                                          \
        X(kept_ms, 600000, 1, 86400000)                                                            \
        X(drain_ms, 10000, 1, 3600000)

/* Bytes that one read may bring. */
#define RPC_TURN_BYTES_MAX (64u << 10)

struct rpc_limits {
#define RPC_LIMIT(name, fallback, min, max) uint64_t name;
        RPC_LIMITS(RPC_LIMIT)
#undef RPC_LIMIT
};

#define RPC_LIMIT_INIT(name, fallback, min, max) .name = (fallback),
#define RPC_LIMITS_INIT                                                                            \
        {                                                                                          \
                RPC_LIMITS(RPC_LIMIT_INIT)                                                         \
        }

/* How the server is. */
struct rpc_figures {
        enum vmreq_vm_state state;
        uint32_t clients, calls;
};

struct rpc_rules;

/* What can change while it serves. */
struct rpc_settings {
        struct rpc_limits limits;
        struct rpc_rules *rules; /* of the policy; owned */
};

struct rpc_config {
        const char *vm_name; /* borrowed for the server's life, like all of this */
        const char *version;
        vmreq_vm vm;
        struct sym_registry *registry;
        const char *module_directory; /* of vmreq.load; NULL: there is none */
        /* What a module that is loaded by that name is given.  NULL: nothing. */
        const struct vmreq_setting *(*module_settings)(void *ctx, const char *name, size_t *ret_n);
        struct rpc_limits limits;
        struct rpc_rules *rules; /* of the policy; consumed, on failure too; NULL: none */
        int listen_fd;           /* listening, non-blocking; borrowed */
        /*
         * Reads the settings again, at SIGHUP; on a thread of the pool, where it may block.  False:
         * one line in reterr_text, and all stays as it is.  NULL: SIGHUP is not looked at.
         */
        bool (*reload)(void *ctx, struct rpc_settings *ret_settings, char *reterr_text,
                       size_t size);
        void (*on_reloading)(void *ctx); /* that has begun */
        void (*on_reloaded)(void *ctx);  /* and is over, well or not */
        /* The loop is about to serve / a stop was asked for / drained, about to leave. */
        void (*on_ready)(void *ctx);
        void (*on_stopping)(void *ctx, uint64_t drain_ms);
        /* The figures have changed; at most once a second.  NULL: nobody wants to know. */
        void (*on_figures)(void *ctx, const struct rpc_figures *figures);
        /* Twice per watchdog_ms: all is well.  Needed only with watchdog_ms. */
        void (*on_alive)(void *ctx);
        uint64_t watchdog_ms;  /* 0: nobody watches */
        bool watchdog_emts;    /* all is well only while every EMT is fresh */
        uint64_t emt_stuck_ms; /* how long a request may run whose symbol has no time limit */
        uint64_t exit_idle_ms; /* without clients, calls and guest it leaves after this; 0: never */
        void *ctx;
};

struct rpc_server;

/* Builds it.  0, or a negative errno. */
int rpc_server_new(const struct rpc_config *config, struct rpc_server **ret_server);

/*
 * Serves until SIGTERM or SIGINT, then drains: every accepted call is answered.  Returns when all
 * connections are closed.
 */
void rpc_server_run(struct rpc_server *server);

/* Any thread, also before the server runs: as SIGTERM. */
void rpc_server_ask_stop(struct rpc_server *server);

/*
 * After rpc_server_run, and after the EMTs were stopped or found stuck: takes what they finished
 * meanwhile.  True: nothing of ours is in their hands any more.  False: some call still runs, each
 * is named in the log, and neither server nor VM may be freed.
 */
bool rpc_server_settle(struct rpc_server *server);

/* Only after rpc_server_settle has returned true, or when it never ran.  Asserts that every charge
 * is home.  NULL is legal. */
struct rpc_server *rpc_server_free(struct rpc_server *server);

/* The engine's service_wake hook: `ctx` is what rpc_service_new returned, because the VM exists
 * before the server.  Any thread. */
struct rpc_service;
struct rpc_service *rpc_service_new(void);
void rpc_service_free(struct rpc_service *service);
void rpc_service_wake(void *ctx, uint64_t due_ns);
/* What the engine's state_changed hook has to tell: becomes an event.  Any thread. */
void rpc_service_state_changed(struct rpc_service *service, enum vmreq_vm_state from,
                               enum vmreq_vm_state to, const char *reason);

/*
 * A stream of bytes that somebody else keeps in a ring, offered as the topic `console`.  Positions
 * are numbers of bytes since its beginning.  The functions are called on the loop thread and may
 * wait for nothing but the copying of bytes.
 */
struct rpc_feed {
        /* Bytes from *position on, at most `size`, or from the oldest that is kept, *ret_lost bytes
         * later.  Moves *position behind what was read; returns how much that is. */
        size_t (*read)(void *ctx, uint64_t *position, void *to, size_t size, uint64_t *ret_lost);
        uint64_t (*begin)(void *ctx); /* of what is kept */
        uint64_t (*end)(void *ctx);   /* where the next byte will stand */
        void *ctx;
};

/* Offers it; before rpc_server_run.  Borrowed for the server's life. */
void rpc_server_offer_console(struct rpc_server *server, const struct rpc_feed *feed);
/* It has something new.  Any thread; does not block. */
void rpc_service_console_news(struct rpc_service *service);

/* The server that serves it; before rpc_server_run. */
void rpc_server_set_service(struct rpc_server *server, struct rpc_service *service);
