/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What became of calls, kept for those who may ask: submitted calls until they are released or
 * their connection ends, detached ones and calls with a key for limits.kept_ms.  Loop thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/error.h"
#include "rpc/list.h"

struct rpc_call;
struct rpc_server;
struct rpc_peer;

/* An outcome: needs neither the call's function nor its module any more. */
struct rpc_kept {
        struct rpc_error *error; /* NULL: there is a value */
        uint8_t *value;          /* encoded */
        size_t len;
};

/* May somebody still ask for it? */
bool rpc_kept_is_wanted(const struct rpc_call *call);
/* The call is finished: stores its outcome in call->kept, and charges it.  What does not fit its
 * account, or a frame, is dropped, and said so to who asks. */
void rpc_kept_store(struct rpc_call *call);
/* Its request is over, too: all else of it goes, the hold on its module first.  Twice is fine. */
void rpc_kept_reduce(struct rpc_call *call);
/* Out of the lists of this file; before it is freed. */
void rpc_kept_forget(struct rpc_call *call);
void rpc_kept_free(struct rpc_kept *kept);

/* A detached call has ended without its connection, or the other way round: its time begins. */
void rpc_kept_begin_time(struct rpc_call *call);
/* A key was taken: its time begins. */
void rpc_kept_arm(struct rpc_server *server);
/* The daemon has stopped: nobody asks for anything any more. */
void rpc_kept_drop_all(struct rpc_server *server);
