/* SPDX-License-Identifier: MIT */
/*
 * Kept outcomes.
 *
 * A call that is finished and may be asked for stands in server->calls until its request is
 * released, then in server->kept: reduced to its outcome, encoded, so that neither its module nor
 * its arguments are held for it.  It goes when nobody may ask for it any more: released, its
 * connection ended, or its time over.  Two lists in order of time tell the latter, the keys' and
 * server->orphans, detached calls without a connection; one timer looks at the oldest of each.
 */
#include "rpc/kept.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "rpc/call-internal.h"
#include "rpc/outcome.h"

bool rpc_kept_is_wanted(const struct rpc_call *call)
{
        if (call->key)
                return true;
        if (call->kind != RPC_CALL_SUBMIT || call->abandoned)
                return false;
        return call->peer || (call->options.detach && !call->is_expired);
}

/* ---- storing ---- */

static size_t size_of_error(const struct rpc_error *error)
{
        return offsetof(struct rpc_error, text) + strlen(error->text) + 1;
}

/* False: no memory. */
static bool store_error(struct rpc_kept *kept, const struct rpc_error *error)
{
        kept->error = malloc(size_of_error(error));
        if (kept->error)
                memcpy(kept->error, error, size_of_error(error));
        return kept->error;
}

static void set_too_large(struct rpc_error *error, const struct rpc_call *call)
{
        rpc_error_set(error, PROTO_TOO_LARGE, PROTO_RAN_YES,
                      "%s: its result is larger than a frame may be (%llu bytes)",
                      call->symbol->def->name,
                      (unsigned long long)call->server->config.limits.frame_bytes);
}

static void set_no_memory(struct rpc_error *error, const struct rpc_call *call)
{
        rpc_error_fault(error, call->server, PROTO_RAN_YES, "%s: out of memory for its result",
                        call->symbol->def->name);
}

/* May so many bytes be kept for it?  A connection's share is looked at without the room for one
 * more frame that its account has. */
static bool may_keep(struct rpc_call *call, uint64_t n)
{
        const struct rpc_limits *limits = &call->server->config.limits;
        const struct rpc_account *over;

        if (!call->account_is_uid &&
            call->account->used[RPC_BYTES] + n > limits->bytes_per_connection)
                return false;
        if (!rpc_account_charge(call->account, RPC_BYTES, n, &over))
                return false;
        call->bytes += n;
        call->kept_bytes += n;
        return true;
}

/* True: the value is in `kept`, and charged.  False: *ret_error says why not. */
static bool store_value(struct rpc_call *call, struct rpc_kept *kept, struct rpc_error *ret_error)
{
        struct proto_builder out;

        proto_builder_init(&out, call->server->config.limits.frame_bytes);
        rpc_outcome_put(&out, call);
        if (out.error == PROTO_BUILDER_E_BUDGET) {
                set_too_large(ret_error, call);
        } else if (out.error) {
                set_no_memory(ret_error, call);
        } else if (!may_keep(call, out.cap)) {
                rpc_outcome_set_dropped(ret_error, call);
        } else {
                kept->value = proto_builder_take(&out, &kept->len);
                return true;
        }
        proto_builder_deinit(&out);
        return false;
}

/* Did nothing of it run, so that a repeat may? */
static bool has_not_run(const struct rpc_call *call, const struct rpc_error *error)
{
        if (error)
                return error->ran == PROTO_RAN_NO;
        for (uint32_t i = 0; i < call->n_rows; i++)
                if (call->rows[i].fate == VMREQ_FATE_DONE ||
                    call->rows[i].fate == VMREQ_FATE_RUNNING)
                        return false;
        return call->n_rows > 0;
}

void rpc_kept_store(struct rpc_call *call)
{
        struct rpc_kept *kept;
        struct rpc_error error;
        bool failed;

        /* A writer is looked at in any case: what is wrong with it goes to the log. */
        if (!call->n_writers && !call->key && !rpc_kept_is_wanted(call))
                return;
        failed = rpc_outcome_failed(call, &error);
        if (has_not_run(call, failed ? &error : NULL))
                rpc_key_drop(&call->server->keys, call); /* who repeats it has it run */
        if (!rpc_kept_is_wanted(call))
                return;
        kept = calloc(1, sizeof(*kept));
        if (kept && !failed)
                failed = !store_value(call, kept, &error);
        if (kept && failed && store_error(kept, &error)) {
                /* So small that it is kept in any case. */
                rpc_account_force(call->account, RPC_BYTES, size_of_error(&error));
                call->bytes += size_of_error(&error);
                call->kept_bytes += size_of_error(&error);
        } else if (kept && failed) {
                free(kept);
                kept = NULL;
        }
        call->kept = kept; /* NULL: there was no memory, and that is what is said */
        if (!call->peer)
                rpc_kept_begin_time(call);
}

void rpc_kept_free(struct rpc_kept *kept)
{
        if (!kept)
                return;
        free(kept->error);
        free(kept->value);
        free(kept);
}

void rpc_kept_reduce(struct rpc_call *call)
{
        struct rpc_server *server = call->server;

        if (call->is_reduced)
                return;
        call->is_reduced = true;
        TAILQ_REMOVE(&server->calls, call, server_link);
        server->n_calls--;
        TAILQ_INSERT_TAIL(&server->kept, call, server_link);
        server->n_kept++;
        if (call->kind != RPC_CALL_SUBMIT)
                rpc_call_leave_peer(call); /* only ids are their connection's */
        rpc_call_free_request(call);
        sym_symbol_unpin(call->symbol);
        call->symbol = NULL;
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer);

void rpc_kept_arm(struct rpc_server *server)
{
        uint64_t now = clock_now_ns(), keep_ns = server->config.limits.kept_ms * CLOCK_NS_PER_MS;
        const struct rpc_call *orphan = TAILQ_FIRST(&server->orphans);
        uint64_t oldest, due;

        (void)rpc_key_oldest(&server->keys, &oldest);
        if (orphan)
                oldest = MIN(oldest, orphan->orphaned_ns);
        if (oldest == UINT64_MAX) {
                (void)uv_timer_stop(&server->kept_timer);
                return;
        }
        if (uv_is_active((uv_handle_t *)&server->kept_timer))
                return; /* both lists are in order of time: it is for something older */
        due = clock_add(oldest, keep_ns);
        uv_update_time(&server->loop);
        (void)uv_timer_start(&server->kept_timer, on_timer,
                             due <= now ? 0 : (due - now) / CLOCK_NS_PER_MS + 1, 0);
}

static void on_timer(uv_timer_t *timer)
{
        struct rpc_server *server = timer->data;
        uint64_t now = clock_now_ns(), keep_ns = server->config.limits.kept_ms * CLOCK_NS_PER_MS,
                 since;
        struct rpc_call *call;

        while ((call = rpc_key_oldest(&server->keys, &since)) && clock_add(since, keep_ns) <= now) {
                rpc_key_drop(&server->keys, call);
                rpc_call_settle(call);
        }
        while ((call = TAILQ_FIRST(&server->orphans)) &&
               clock_add(call->orphaned_ns, keep_ns) <= now) {
                rpc_kept_forget(call);
                call->is_expired = true;
                rpc_call_settle(call);
        }
        rpc_kept_arm(server);
}

void rpc_kept_begin_time(struct rpc_call *call)
{
        if (!call->finished || !call->options.detach || call->orphaned_ns ||
            !rpc_kept_is_wanted(call))
                return;
        call->orphaned_ns = clock_now_ns();
        TAILQ_INSERT_TAIL(&call->server->orphans, call, orphan_link);
        rpc_kept_arm(call->server);
}

void rpc_kept_forget(struct rpc_call *call)
{
        if (!call->orphaned_ns)
                return;
        TAILQ_REMOVE(&call->server->orphans, call, orphan_link);
        call->orphaned_ns = 0;
}

void rpc_kept_drop_all(struct rpc_server *server)
{
        struct rpc_call *call, *next;

        TAILQ_FOREACH_SAFE (call, &server->kept, server_link, next) {
                rpc_key_drop(&server->keys, call);
                call->abandoned = true;
                rpc_call_settle(call);
        }
}
