/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Calls of generators: many runs, each a request of the engine's, with the same destination, lane
 * and deadline.  Loop thread.  Broadcasts of generators are none of these: there each vCPU runs its
 * generator to the end in one request.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proto/builder.h"
#include "rpc/list.h"
#include "vm/vmreq.h"

struct rpc_call;
struct rpc_peer;
struct rpc_server;

/* Bytes of one connection that its streams may have on their way: unread chunks, and chunks that
 * its runs are about to write. */
#define RPC_STREAM_BYTES (1u << 20)

/*
 *   ENGINE ◄──► ROOM, RETRY
 *      └──► ENDED ◄──┘
 *
 * ENGINE: queued or running there, or on its way back over the bridge.  ROOM: waits until its
 * connection has room for a chunk.  RETRY: waits for a place in its lane, or for bytes that others
 * hold; tried again now and then.  In both it counts as queued.  ENDED: it does not run again.
 */
enum rpc_stream_place {
        RPC_STREAM_ENGINE,
        RPC_STREAM_ROOM,
        RPC_STREAM_RETRY,
        RPC_STREAM_ENDED,
};

/* Why a stream ended that had more to say. */
enum rpc_stream_fault {
        RPC_STREAM_OK,
        RPC_STREAM_E_CHUNK,     /* a chunk over VMREQ_CHUNK_BYTES_MAX */
        RPC_STREAM_E_FRAME,     /* a chunk over the frame cap, or nested too deep */
        RPC_STREAM_E_COLLECTED, /* all chunks together are over the frame cap */
        RPC_STREAM_E_MEMORY,
        RPC_STREAM_E_BALANCE, /* a run did not write one value or none */
        RPC_STREAM_E_TYPE,    /* … or one of another type than declared */
};

struct rpc_stream {
        struct rpc_call *call;
        enum rpc_stream_place place;
        TAILQ_ENTRY(rpc_stream) link;      /* ROOM, RETRY: of the server's list */
        TAILQ_ENTRY(rpc_stream) peer_link; /* ROOM: of the peer's list */
        bool has_chunk; /* the writer holds one that is neither sent nor collected */
        bool is_last;   /* the function has said that nothing more comes */
        enum rpc_stream_fault fault;
        uint32_t reserved;              /* bytes charged to the peer for the chunk to come */
        uint64_t submitted_ns;          /* the present or last run */
        uint64_t n_runs;                /* that have begun */
        uint64_t n_chunks;              /* sent, collected or, where nobody wants them, dropped */
        struct proto_builder collected; /* without `stream`: the chunks, one behind the other */
        uint64_t charged;               /* of `collected` */
        uint64_t queued_ns, run_ns;     /* of all runs */
};

TAILQ_HEAD(rpc_stream_list, rpc_stream);

/* What the server has of it. */
struct rpc_streams {
        struct rpc_stream_list room, retry;
        uint64_t due_ns; /* none of them has an earlier deadline; UINT64_MAX: none has any */
};

/* For a call of a generator, before submission.  False: no memory. */
bool rpc_stream_new(struct rpc_call *call);
/* NULL is legal. */
void rpc_stream_free(struct rpc_stream *stream);

/* The first run: now, or when there is room.  0, or the engine's error: nothing was begun. */
int rpc_stream_start(struct rpc_call *call);
/* The engine has let go of a run, or the stream has ended.  True: it goes on; false: the call is
 * finished. */
bool rpc_stream_turn(struct rpc_call *call);

/* Is it between two runs, or before its first, in nobody's lane? */
bool rpc_stream_waits(const struct rpc_call *call);
/* If it waits: it ends with that fate, and the bridge is told.  False: it does not wait. */
bool rpc_stream_stop(struct rpc_call *call, enum vmreq_fate fate);
/* Its connection is going; call->peer is still set.  It waits for no room there any more. */
void rpc_stream_leave_peer(struct rpc_call *call);
/* It lost its connection, and goes on without: what waits for room needs none. */
void rpc_stream_go_on(struct rpc_call *call);

/* The peer has read something: those that wait for it, in turn. */
void rpc_streams_resume(struct rpc_peer *peer);
/* The daemon goes: those that wait never run again. */
void rpc_streams_kill(struct rpc_server *server);

void rpc_streams_init(struct rpc_streams *streams);
