/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Modules that come and go while the daemon runs: vmreq.load, vmreq.unload, vmreq.modules.  What
 * may block - reading files, a module's constructors, its init and fini - runs on libuv's thread
 * pool; symbols appear and vanish on the loop.  Loop thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "rpc/list.h"
#include "rpc/session.h"

struct rpc_server;
struct rpc_peer;
struct rpc_module_job;
struct rpc_unload;

TAILQ_HEAD(rpc_module_jobs, rpc_module_job);
TAILQ_HEAD(rpc_unloads, rpc_unload);

struct rpc_modules {
        struct rpc_module_jobs jobs; /* in the hands of the pool */
        uint32_t n_jobs;
        struct rpc_unloads unloads; /* clients that wait for the end of a module */
        uint32_t n_unloads;
};

void rpc_modules_init(struct rpc_server *server);

void rpc_method_load(const struct rpc_request *request);
void rpc_method_unload(const struct rpc_request *request);
void rpc_method_modules(const struct rpc_request *request);

/* The peer goes: nobody there waits any more. */
void rpc_modules_forget(struct rpc_peer *peer);
/* The daemon goes: who still waits is answered KILLED. */
void rpc_modules_kill(struct rpc_server *server);
/* After the loop.  False: a module's code still runs on the pool; it is named in the log. */
bool rpc_modules_settle(struct rpc_server *server);
