/* SPDX-License-Identifier: MIT */
/*
 *   load:    sym_load_new ──► pool: sym_load_run ──► sym_load_step ──► answer
 *                               ▲__________________________│ (again, as long as it says so)
 *
 *   unload:  sym_registry_withdraw ──► (last pin goes) ──► pool: fini ──► sym_unload_end ──► answer
 *
 *   1. At most JOBS_MAX of the pool's threads are given to modules: one whose init or fini never
 *      returns must not keep others from the pool, or the pool from others.
 *   2. Who unloads waits with a timer of his own.  When that is over he is told what keeps the
 *      module, and it stays as it is: without symbols.  Whoever unloads it next goes on.
 *   3. A client that goes away takes its answer along, not the load: that ends as it would have.
 */
#include "rpc/modules.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log-ids.h"
#include "base/macros.h"
#include "rpc/call.h"
#include "rpc/peer.h"
#include "rpc/record.h"
#include "rpc/reply.h"

#define JOBS_MAX    2u
#define UNLOADS_MAX 64u
#define NAME_MAX_   32u

/* What a fini gets at least, however short the caller wants to wait. */
#define FINI_MS 1000u

/* What a module's code gets to return after the loop has. */
#define SETTLE_MS 500u

#define WAIT_MS_MAX 1000000000000ull

/* Somebody's request that is answered later. */
struct asker {
        struct rpc_peer *peer; /* NULL: gone, or answered */
        uint32_t msgid;
        uid_t uid;
        pid_t pid;
};

struct rpc_module_job {
        uv_work_t work;
        struct rpc_server *server;
        TAILQ_ENTRY(rpc_module_job) link;
        struct sym_load *load;     /* or … */
        struct sym_module *module; /* … its fini runs */
        struct asker asker;        /* of a load */
        char name[NAME_MAX_ + 1];
};

struct rpc_unload {
        struct rpc_server *server;
        TAILQ_ENTRY(rpc_unload) link;
        uv_timer_t timer;
        uint64_t begun_ns;
        struct asker asker;
        char name[NAME_MAX_ + 1];
};

/* ---- askers ---- */

static struct asker ask(const struct rpc_request *request)
{
        struct rpc_peer *peer = request->peer;

        peer->n_unanswered++;
        return (struct asker){.peer = peer,
                              .msgid = request->msgid,
                              .uid = peer->identity.uid,
                              .pid = peer->identity.pid};
}

/* The answer is written: whose output is it, and may it close now? */
static void answered(struct asker *asker)
{
        struct rpc_peer *peer = asker->peer;

        asker->peer = NULL;
        peer->n_unanswered--;
        rpc_peer_touch(peer);
}

static void answer_error(struct asker *asker, const struct rpc_error *error)
{
        if (!asker->peer)
                return;
        rpc_reply_error_full(asker->peer, asker->msgid, error);
        answered(asker);
}

static void answer_killed(struct asker *asker)
{
        struct rpc_error error;

        rpc_error_set(&error, PROTO_KILLED, PROTO_RAN_MAYBE, "the daemon goes down");
        answer_error(asker, &error);
}

/* ---- the journal ---- */

static void __attribute__((format(printf, 4, 5)))
record(const struct asker *asker, int level, const char *module, const char *format, ...)
{
        char text[600];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        log_write(&(struct log_meta){.level = level,
                                     .kind = LOG_AUDIT,
                                     .id = LOG_ID_MODULE,
                                     LOG_FIELDS(LOG_WORD("VMREQ_MODULE", module),
                                                LOG_NUMBER("VMREQ_CALLER_UID", asker->uid),
                                                LOG_NUMBER("VMREQ_CALLER_PID", asker->pid))},
                  "%s (asked for by uid %u, pid %d)", text, (unsigned)asker->uid, (int)asker->pid);
}

/* ---- vmreq.modules ---- */

static void put_module(struct proto_builder *out, const struct sym_module_info *info)
{
        proto_put_map(out, 7);
        proto_put_text(out, "name");
        proto_put_text(out, info->name);
        proto_put_text(out, "version");
        proto_put_text(out, info->version);
        proto_put_text(out, "doc");
        proto_put_text(out, info->doc);
        proto_put_text(out, "builtin");
        proto_put_bool(out, info->builtin);
        proto_put_text(out, "state");
        proto_put_text(out, info->draining ? "draining" : "loaded");
        proto_put_text(out, "symbols");
        proto_put_uint(out, info->n_symbols);
        proto_put_text(out, "calls");
        proto_put_uint(out, info->n_pins);
}

void rpc_method_modules(const struct rpc_request *request)
{
        const struct sym_registry *registry = request->peer->server->config.registry;
        struct sym_module_info info;
        struct proto_builder *out;
        uint32_t n = 0;
        size_t mark;

        while (sym_registry_module(registry, n, &info))
                n++;
        out = rpc_reply_begin(request->peer, request->msgid, &mark);
        proto_put_array(out, n);
        for (uint32_t i = 0; sym_registry_module(registry, i, &info); i++)
                put_module(out, &info);
        rpc_reply_end(request->peer, request->msgid, mark, PROTO_RAN_NO);
}

static bool find_info(const struct rpc_server *server, const char *name,
                      struct sym_module_info *ret_info)
{
        for (size_t i = 0; sym_registry_module(server->config.registry, i, ret_info); i++)
                if (strcmp(ret_info->name, name) == 0)
                        return true;
        return false;
}

/* ---- jobs ---- */

static void on_run(uv_work_t *work);
static void on_ran(uv_work_t *work, int status);

static struct rpc_module_job *job_new(struct rpc_server *server, const char *name)
{
        struct rpc_module_job *job = calloc(1, sizeof(*job));

        if (!job)
                return NULL;
        job->server = server;
        job->work.data = job;
        (void)snprintf(job->name, sizeof(job->name), "%s", name);
        return job;
}

static void job_queue(struct rpc_module_job *job)
{
        CHECK(uv_queue_work(&job->server->loop, &job->work, on_run, on_ran) == 0);
}

static void job_begin(struct rpc_module_job *job)
{
        TAILQ_INSERT_TAIL(&job->server->modules.jobs, job, link);
        job->server->modules.n_jobs++;
        job_queue(job);
}

static void job_end(struct rpc_module_job *job)
{
        TAILQ_REMOVE(&job->server->modules.jobs, job, link);
        job->server->modules.n_jobs--;
        free(job);
}

/* A thread of the pool. */
static void on_run(uv_work_t *work)
{
        struct rpc_module_job *job = work->data;

        if (job->load)
                sym_load_run(job->load);
        else
                sym_unload_run(job->module);
}

/* ---- vmreq.load ---- */

static void load_error(struct rpc_error *error, enum sym_load_result result, const char *text)
{
        static const struct {
                enum proto_code code;
                enum proto_ran ran;
        } rows[] = {
                [SYM_LOAD_OK] = {PROTO_INTERNAL, PROTO_RAN_YES},
                [SYM_LOAD_E_NOT_FOUND] = {PROTO_NOT_FOUND, PROTO_RAN_NO},
                [SYM_LOAD_E_NAME] = {PROTO_INVALID_ARGUMENT, PROTO_RAN_NO},
                [SYM_LOAD_E_LOADED] = {PROTO_INVALID_REQUEST, PROTO_RAN_NO},
                [SYM_LOAD_E_FORMAT] = {PROTO_UNSUPPORTED, PROTO_RAN_NO},
                [SYM_LOAD_E_INIT] = {PROTO_FAILED, PROTO_RAN_YES},
                [SYM_LOAD_E_MEMORY] = {PROTO_BUSY, PROTO_RAN_NO},
        };

        rpc_error_set(error, rows[result].code, rows[result].ran, "%s", text);
}

static void answer_loaded(struct rpc_module_job *job)
{
        struct asker *asker = &job->asker;
        struct sym_module_info info;
        size_t mark;

        CHECK(find_info(job->server, job->name, &info));
        record(asker, LOG_L_NOTICE, job->name, "module %s %s loaded: %zu symbols", info.name,
               info.version, info.n_symbols);
        if (!asker->peer)
                return;
        put_module(rpc_reply_begin(asker->peer, asker->msgid, &mark), &info);
        rpc_reply_end(asker->peer, asker->msgid, mark, PROTO_RAN_YES);
        answered(asker);
}

static void load_ended(struct rpc_module_job *job)
{
        struct rpc_error error;
        const char *text;
        enum sym_load_result result = sym_load_result(job->load, &text);

        if (result == SYM_LOAD_OK) {
                answer_loaded(job);
        } else {
                record(&job->asker, LOG_L_WARNING, job->name, "module %s not loaded: %s", job->name,
                       text);
                load_error(&error, result, text);
                answer_error(&job->asker, &error);
        }
        sym_load_free(job->load);
}

/* A module's name, as far as it fits; the table knows the rest.  False: the answer is written. */
static bool read_name(const struct rpc_request *request, const char *expected,
                      char name[NAME_MAX_ + 1])
{
        const struct proto_value *value = rpc_request_param(request, 0);

        if (!value || (value->type != PROTO_STR && value->type != PROTO_BIN) ||
            request->params->count > 2) {
                rpc_reply_error(request->peer, request->msgid, PROTO_INVALID_REQUEST, PROTO_RAN_NO,
                                "expected %s", expected);
                return false;
        }
        if (value->count == 0 || !proto_value_copy_text(value, name, NAME_MAX_ + 1)) {
                rpc_reply_error(request->peer, request->msgid, PROTO_INVALID_ARGUMENT, PROTO_RAN_NO,
                                "name: expected the name of a module, at most %u bytes", NAME_MAX_);
                return false;
        }
        return true;
}

/* False: the answer is written. */
static bool has_place(const struct rpc_request *request)
{
        const struct rpc_modules *modules = &request->peer->server->modules;
        struct rpc_error error;

        if (request->peer->server->phase != RPC_SERVING) {
                rpc_reply_error(request->peer, request->msgid, PROTO_KILLED, PROTO_RAN_NO,
                                "the daemon is going down");
                return false;
        }
        if (modules->n_jobs < JOBS_MAX && modules->n_unloads < UNLOADS_MAX)
                return true;
        rpc_error_set(&error, PROTO_BUSY, PROTO_RAN_NO,
                      "too many modules are being loaded or unloaded: %u of %u; %s is one of them",
                      modules->n_jobs, JOBS_MAX,
                      modules->n_jobs ? TAILQ_FIRST(&modules->jobs)->name
                                      : TAILQ_FIRST(&modules->unloads)->name);
        rpc_error_add_word(&error, "limit", "modules");
        rpc_error_add_number(&error, "usage", modules->n_jobs);
        rpc_error_add_number(&error, "max", JOBS_MAX);
        rpc_reply_error_full(request->peer, request->msgid, &error);
        return false;
}

static enum sym_load_result load_new(const struct rpc_config *config, const char *name,
                                     struct sym_load **ret_load, char *text, size_t size)
{
        struct sym_load_spec spec = {.directory = config->module_directory, .name = name};

        if (config->module_settings)
                spec.settings = config->module_settings(config->ctx, name, &spec.n_settings);
        return sym_load_new(config->registry, &spec, ret_load, text, size);
}

void rpc_method_load(const struct rpc_request *request)
{
        struct rpc_server *server = request->peer->server;
        char name[NAME_MAX_ + 1], text[256];
        enum sym_load_result result;
        struct rpc_module_job *job;
        struct rpc_error error;

        if (!read_name(request, "vmreq.load [name]", name) || !has_place(request))
                return;
        job = job_new(server, name);
        if (!job) {
                rpc_error_fault(&error, server, PROTO_RAN_NO, "out of memory");
                rpc_reply_error_full(request->peer, request->msgid, &error);
                return;
        }
        result = load_new(&server->config, name, &job->load, text, sizeof(text));
        if (result != SYM_LOAD_OK) {
                load_error(&error, result, text);
                rpc_reply_error_full(request->peer, request->msgid, &error);
                free(job);
                return;
        }
        job->asker = ask(request);
        job_begin(job);
}

/* ---- vmreq.unload ---- */

static void unload_closed(uv_handle_t *handle)
{
        free(handle->data);
}

static void unload_end(struct rpc_unload *unload)
{
        TAILQ_REMOVE(&unload->server->modules.unloads, unload, link);
        unload->server->modules.n_unloads--;
        uv_close((uv_handle_t *)&unload->timer, unload_closed);
}

/* Its fini has returned. */
static void unload_done(struct rpc_server *server, const char *name)
{
        struct rpc_unload *unload, *next;

        TAILQ_FOREACH_SAFE (unload, &server->modules.unloads, link, next) {
                struct asker *asker = &unload->asker;
                size_t mark;

                if (strcmp(unload->name, name) != 0)
                        continue;
                record(asker, LOG_L_NOTICE, name, "module %s unloaded", name);
                proto_put_nil(rpc_reply_begin(asker->peer, asker->msgid, &mark));
                rpc_reply_end(asker->peer, asker->msgid, mark, PROTO_RAN_YES);
                answered(asker);
                unload_end(unload);
        }
}

/* Stops what has drained and is waited for, as far as there are threads for it. */
static void go_on(struct rpc_server *server)
{
        struct rpc_unload *unload;

        TAILQ_FOREACH (unload, &server->modules.unloads, link) {
                struct rpc_module_job *job;

                if (server->modules.n_jobs == JOBS_MAX)
                        return;
                job = job_new(server, unload->name);
                if (!job)
                        return; /* the next end of a job tries again, or the timer says BUSY */
                job->module = sym_unload_begin(server->config.registry, unload->name);
                if (job->module)
                        job_begin(job);
                else
                        free(job);
        }
}

static void on_drained(void *ctx)
{
        go_on(ctx);
}

static void on_ran(uv_work_t *work, int status)
{
        struct rpc_module_job *job = work->data;
        struct rpc_server *server = job->server;

        CHECK(status == 0); /* nothing cancels it */
        if (job->load && sym_load_step(job->load)) {
                job_queue(job);
                return;
        }
        if (job->load) {
                load_ended(job);
        } else {
                sym_unload_end(server->config.registry, job->module);
                unload_done(server, job->name);
        }
        job_end(job);
        go_on(server);
}

/* The oldest call that keeps the module; NULL. */
static const struct rpc_call *keeper_of(const struct rpc_server *server, const char *name)
{
        const struct rpc_call *call;

        TAILQ_FOREACH (call, &server->calls, server_link)
                if (strcmp(sym_module_name(call->symbol->module), name) == 0)
                        return call;
        return NULL;
}

static void set_kept_by(struct rpc_error *error, const struct rpc_call *call, const char *name)
{
        struct rpc_record record;
        struct rpc_emts emts;
        bool known;

        rpc_emts_look(&emts, call->server->config.vm);
        known = rpc_record_take(call, &emts, &record);
        rpc_error_set(error, PROTO_BUSY, PROTO_RAN_MAYBE,
                      "%s: its symbols are gone, but request %llu (%s, uid %u, pid %d) %s; unload "
                      "it again to go on",
                      name, (unsigned long long)call->id, call->symbol->def->name,
                      (unsigned)call->caller_uid, (int)call->caller_pid,
                      known && record.running ? "still runs" : "has not ended");
        rpc_error_add_word(error, "limit", "module");
        rpc_error_add_number(error, "request", (int64_t)call->id);
        rpc_error_add_word(error, "running", call->symbol->def->name);
        if (known && record.running)
                rpc_error_add_number(error, "running_ms",
                                     (int64_t)((emts.now_ns - MIN(record.since_ns, emts.now_ns)) /
                                               CLOCK_NS_PER_MS));
}

static bool is_stopping(const struct rpc_server *server, const char *name)
{
        const struct rpc_module_job *job;

        TAILQ_FOREACH (job, &server->modules.jobs, link)
                if (job->module && strcmp(job->name, name) == 0)
                        return true;
        return false;
}

static void on_timeout(uv_timer_t *timer)
{
        struct rpc_unload *unload = timer->data;
        struct rpc_server *server = unload->server;
        uint64_t waited_ms = (clock_now_ns() - unload->begun_ns) / CLOCK_NS_PER_MS;
        const struct rpc_call *keeper = keeper_of(server, unload->name);
        struct rpc_error error;

        if (!keeper && waited_ms < FINI_MS) {
                (void)uv_timer_start(timer, on_timeout, FINI_MS - waited_ms, 0);
                return;
        }
        if (keeper)
                set_kept_by(&error, keeper, unload->name);
        else
                rpc_error_set(&error, PROTO_BUSY, PROTO_RAN_MAYBE,
                              "%s: its symbols are gone, but %s; unload it again to go on",
                              unload->name,
                              is_stopping(server, unload->name)
                                      ? "its fini has not returned"
                                      : "other modules are being loaded or unloaded");
        record(&unload->asker, LOG_L_WARNING, unload->name, "module %s not unloaded: %s",
               unload->name, error.text);
        answer_error(&unload->asker, &error);
        unload_end(unload);
}

/* Its symbols vanish now.  False: the answer is written. */
static bool withdraw(const struct rpc_request *request, const char *name)
{
        switch (sym_registry_withdraw(request->peer->server->config.registry, name)) {
        case SYM_UNLOAD_OK:
                return true;
        case SYM_UNLOAD_E_BUILTIN:
                rpc_reply_error(request->peer, request->msgid, PROTO_UNSUPPORTED, PROTO_RAN_NO,
                                "%s: it is linked in, and goes with the daemon", name);
                return false;
        default:
                rpc_reply_error(request->peer, request->msgid, PROTO_NOT_FOUND, PROTO_RAN_NO,
                                "there is no module \"%s\"", name);
                return false;
        }
}

static void unload_begin(struct rpc_unload *unload, const struct rpc_request *request,
                         const char *name, uint64_t timeout_ms)
{
        struct rpc_server *server = request->peer->server;

        unload->server = server;
        unload->timer.data = unload;
        unload->begun_ns = clock_now_ns();
        unload->asker = ask(request);
        (void)snprintf(unload->name, sizeof(unload->name), "%s", name);
        TAILQ_INSERT_TAIL(&server->modules.unloads, unload, link);
        server->modules.n_unloads++;
        CHECK(uv_timer_init(&server->loop, &unload->timer) == 0);
        uv_update_time(&server->loop); /* it may be old by now */
        CHECK(uv_timer_start(&unload->timer, on_timeout, timeout_ms, 0) == 0);
        go_on(server);
}

void rpc_method_unload(const struct rpc_request *request)
{
        struct rpc_peer *peer = request->peer;
        const struct proto_value *ms = rpc_request_param(request, 1);
        uint64_t timeout_ms =
                peer->timeout_set ? peer->timeout_ms : peer->server->config.limits.timeout_ms;
        struct rpc_unload *unload;
        struct rpc_error error;
        char name[NAME_MAX_ + 1];

        if (!read_name(request, "vmreq.unload [name, timeout_ms], the last optional", name))
                return;
        if (ms && (ms->type != PROTO_UINT || ms->u > WAIT_MS_MAX)) {
                rpc_reply_error(peer, request->msgid, PROTO_INVALID_ARGUMENT, PROTO_RAN_NO,
                                "timeout_ms: expected milliseconds 0..10^12");
                return;
        }
        if (!has_place(request))
                return;
        unload = calloc(1, sizeof(*unload));
        if (!unload) {
                rpc_error_fault(&error, peer->server, PROTO_RAN_NO, "out of memory");
                rpc_reply_error_full(peer, request->msgid, &error);
                return;
        }
        if (!withdraw(request, name)) {
                free(unload);
                return;
        }
        unload_begin(unload, request, name, ms ? ms->u : timeout_ms);
}

/* ---- the end ---- */

void rpc_modules_init(struct rpc_server *server)
{
        TAILQ_INIT(&server->modules.jobs);
        TAILQ_INIT(&server->modules.unloads);
        sym_registry_on_drained(server->config.registry, on_drained, server);
}

void rpc_modules_forget(struct rpc_peer *peer)
{
        struct rpc_server *server = peer->server;
        struct rpc_unload *unload, *next;
        struct rpc_module_job *job;

        TAILQ_FOREACH (job, &server->modules.jobs, link) {
                if (job->asker.peer != peer)
                        continue;
                job->asker.peer = NULL;
                peer->n_unanswered--;
        }
        TAILQ_FOREACH_SAFE (unload, &server->modules.unloads, link, next) {
                if (unload->asker.peer != peer)
                        continue;
                peer->n_unanswered--;
                unload_end(unload);
        }
}

void rpc_modules_kill(struct rpc_server *server)
{
        struct rpc_unload *unload, *next;
        struct rpc_module_job *job;

        TAILQ_FOREACH (job, &server->modules.jobs, link)
                answer_killed(&job->asker);
        TAILQ_FOREACH_SAFE (unload, &server->modules.unloads, link, next) {
                answer_killed(&unload->asker);
                unload_end(unload);
        }
}

static void on_settled(uv_timer_t *timer)
{
        (void)timer; /* that it fires ends the wait */
}

bool rpc_modules_settle(struct rpc_server *server)
{
        const struct rpc_module_job *job;

        if (server->modules.n_jobs)
                (void)uv_timer_start(&server->drain_timer, on_settled, SETTLE_MS, 0);
        while (server->modules.n_jobs && uv_is_active((uv_handle_t *)&server->drain_timer))
                (void)uv_run(&server->loop, UV_RUN_ONCE);
        TAILQ_FOREACH (job, &server->modules.jobs, link)
                log_write(&(struct log_meta){.level = LOG_L_WARNING,
                                             .kind = LOG_AUDIT,
                                             .id = LOG_ID_LEFT,
                                             LOG_FIELDS(LOG_WORD("VMREQ_MODULE", job->name))},
                          "still running at exit: the %s of module %s", job->load ? "init" : "fini",
                          job->name);
        return server->modules.n_jobs == 0;
}
