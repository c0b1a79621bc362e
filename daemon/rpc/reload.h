/* SPDX-License-Identifier: MIT */
#pragma once
/* Settings read again while the server serves: SIGHUP.  Loop thread. */

#include <stdbool.h>
#include <uv.h>

#include "rpc/policy.h"
#include "rpc/server.h"

struct rpc_reload {
        uv_signal_t signal;
        uv_work_t work;
        bool running; /* `work` has the fields below */
        bool again;   /* asked for once more meanwhile: what is being read may be old by then */

        bool ok;
        struct rpc_settings settings;
        struct rpc_policy_host host;
        char text[1024];
};

/* 0, or a negative errno. */
int rpc_reload_init(struct rpc_server *server);
/* Nothing is read any more, or will be.  False: it is, and cannot be stopped. */
bool rpc_reload_stop(struct rpc_server *server);
