/* SPDX-License-Identifier: MIT */
/*
 * SIGHUP: configuration and policy are read on a thread of libuv's pool, where files and name
 * services may take their time, and taken over here, all of it or nothing.  Connections stay;
 * their rights and limits are the new ones from the next frame on.
 *
 * A signal that comes while one reading is under way makes a second one follow it, so that the last
 * word of whoever writes the files is always read.  The service manager is told that a reload has
 * begun when the first one does, and that it is over when none is left.
 */
#include "rpc/reload.h"

#include <stdio.h>

#include "base/log-ids.h"
#include "base/macros.h"
#include "rpc/events.h"
#include "rpc/limits.h"
#include "rpc/server-internal.h"

static void begin(struct rpc_server *server);

/* On a thread of the pool. */
static void read_settings(uv_work_t *work)
{
        struct rpc_server *server = work->data;
        struct rpc_reload *reload = &server->reload;

        reload->settings = (struct rpc_settings){.rules = NULL};
        reload->ok = server->config.reload(server->config.ctx, &reload->settings, reload->text,
                                           sizeof(reload->text));
        rpc_policy_host_read(&reload->host);
}

static void take_over(struct rpc_server *server)
{
        struct rpc_reload *reload = &server->reload;
        const struct log_meta meta = {
                .level = LOG_L_NOTICE, .kind = LOG_AUDIT, .id = LOG_ID_RELOAD};

        rpc_limits_change(server, &reload->settings.limits);
        log_write(&meta, "reloaded: %u rules", reload->settings.rules->n);
        rpc_policy_replace(&server->policy, &reload->host, reload->settings.rules);
        reload->settings.rules = NULL;
        rpc_events_review(server);
}

static void refuse(const struct rpc_reload *reload)
{
        const struct log_meta meta = {.level = LOG_L_ERROR, .kind = LOG_AUDIT, .id = LOG_ID_RELOAD};

        log_write(&meta, "reload refused, everything stays as it was: %s", reload->text);
}

static void on_read(uv_work_t *work, int status)
{
        struct rpc_server *server = work->data;
        struct rpc_reload *reload = &server->reload;

        reload->running = false;
        if (status == 0 && reload->ok && server->phase == RPC_SERVING)
                take_over(server);
        else if (status == 0 && !reload->ok)
                refuse(reload);
        reload->settings.rules = rpc_rules_free(reload->settings.rules);
        if (server->phase != RPC_SERVING)
                return;
        if (reload->again)
                begin(server);
        else if (server->config.on_reloaded)
                server->config.on_reloaded(server->config.ctx);
}

static void begin(struct rpc_server *server)
{
        struct rpc_reload *reload = &server->reload;

        reload->again = false;
        reload->work.data = server;
        reload->running = uv_queue_work(&server->loop, &reload->work, read_settings, on_read) == 0;
}

static void on_signal(uv_signal_t *signal, int number)
{
        struct rpc_server *server = signal->data;

        (void)number;
        if (server->phase != RPC_SERVING)
                return;
        if (server->reload.running) {
                server->reload.again = true;
                return;
        }
        if (server->config.on_reloading)
                server->config.on_reloading(server->config.ctx);
        begin(server);
}

int rpc_reload_init(struct rpc_server *server)
{
        int r = uv_signal_init(&server->loop, &server->reload.signal);

        if (r)
                return r;
        server->reload.signal.data = server;
        return server->config.reload ? uv_signal_start(&server->reload.signal, on_signal, SIGHUP)
                                     : 0;
}

bool rpc_reload_stop(struct rpc_server *server)
{
        /* What has not begun is called off, and reports so when the loop is taken down. */
        return !server->reload.running || uv_cancel((uv_req_t *)&server->reload.work) == 0;
}
