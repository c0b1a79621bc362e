/* SPDX-License-Identifier: MIT */
#pragma once
/* A call's insides, for the files call*.c.  Loop thread, unless said otherwise. */

#include "rpc/call.h"
#include "rpc/server-internal.h"

/* ---- call-pool.c ---- */

/* A call of which nothing is known but its server; all else is zero.  NULL: no memory. */
struct rpc_call *rpc_call_take(struct rpc_server *server);
/* Takes back the object; what it pointed to is gone. */
void rpc_call_give(struct rpc_call *call);

/* ---- call-account.c ---- */

/* Charges one call and its bytes to call->account.  False: `error` names the bound. */
bool rpc_call_charge(struct rpc_call *call, struct rpc_error *error);
/* The opposite, of all that it has been charged for. */
void rpc_call_uncharge(struct rpc_call *call);
/* From its connection's account to its uid's.  Twice is fine. */
void rpc_call_move_to_uid(struct rpc_call *call);
/* Into the server's lists and the peer's; pins the symbol's module. */
void rpc_call_enlist(struct rpc_call *call, struct rpc_peer *peer);
/* Out of the peer's list: nobody there waits for it any more. */
void rpc_call_leave_peer(struct rpc_call *call);
/* Out of all lists; unpins, and gives back all charges.  The peer may close by it. */
void rpc_call_delist(struct rpc_call *call);
/* It is reduced to what is kept of it: gives back the charges for the rest. */
void rpc_call_uncharge_request(struct rpc_call *call);

/* ---- call-result.c ---- */

/* Where its function will write.  False: no memory. */
bool rpc_call_new_writers(struct rpc_call *call);
/* Its value is not needed any more; the writer may be written to again. */
void rpc_call_reset_writer(struct rpc_call *call, struct rpc_writer *writer);
/* No function of it runs or will: generators' states may go. */
void rpc_call_end_states(struct rpc_call *call);
/* Frees a call that stands in no list, with all it holds. */
void rpc_call_free(struct rpc_call *call);
/* Finished, and whoever waited has been answered: what its functions wrote goes, but where one
 * still runs. */
void rpc_call_drop_results(struct rpc_call *call);
/* Its request is over: all goes that was there for it. */
void rpc_call_free_request(struct rpc_call *call);

/* ---- call-end.c ---- */

/* If its request is over: on with it, to be kept or freed.  It may be gone afterwards. */
void rpc_call_settle(struct rpc_call *call);

/* ---- call-run.c ---- */

/* Hands it to the engine, with the hooks; a generator perhaps later, when there is room.  0, or the
 * engine's error. */
int rpc_call_submit(struct rpc_call *call);
/* One run of a generator. */
int rpc_call_run(struct rpc_call *call);
/* It has ended without the engine: DONE and RELEASED go over the bridge. */
void rpc_call_post_end(struct rpc_call *call);
