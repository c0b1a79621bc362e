/* SPDX-License-Identifier: MIT */
/*
 * The loop and its turns.
 *
 *   timers    the deadline service; the drain; waits
 *   idle      peers with input left over from their turn, one turn each
 *   prepare   flush what these produced, and the wake-ups that they owe
 *   poll      sockets; the bridge (calls that the EMTs have finished)
 *   check     wake-ups for what was submitted; flush; is draining done?
 *
 * Output is written once per peer and turn.  The loop sleeps only in poll, and only when nobody is
 * left over.
 */
#include "rpc/server.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/macros.h"
#include "rpc/audit.h"
#include "rpc/call.h"
#include "rpc/kept.h"
#include "rpc/figures.h"
#include "rpc/idle.h"
#include "rpc/limits.h"
#include "rpc/peer.h"
#include "rpc/record.h"
#include "rpc/stall.h"
#include "rpc/turn.h"
#include "rpc/watchdog.h"

/* With more calls in flight the loop does not wait for results by spinning. */
#define SPIN_CALLS_MAX 4u

/* Shared by the submitters (who may be before the server exists) and the loop. */
struct rpc_service {
        _Atomic uint64_t due_ns;             /* UINT64_MAX: nothing new */
        _Atomic(struct rpc_server *) server; /* NULL before the loop runs */
        struct rpc_states states;
        _Atomic bool console_news;
};

/* Set on the thread that runs the loop. */
static _Thread_local struct rpc_server *loop_of_this_thread;

/* ---- the deadline service ---- */

struct rpc_service *rpc_service_new(void)
{
        struct rpc_service *service = calloc(1, sizeof(*service));

        if (!service)
                return NULL;
        if (!rpc_states_init(&service->states)) {
                free(service);
                return NULL;
        }
        atomic_init(&service->due_ns, UINT64_MAX);
        return service;
}

void rpc_service_free(struct rpc_service *service)
{
        if (service)
                rpc_states_deinit(&service->states);
        free(service);
}

static void wake_loop(struct rpc_service *service)
{
        /* Acquire: pairs with rpc_server_set_service. */
        struct rpc_server *server = atomic_load_explicit(&service->server, memory_order_acquire);

        if (server)
                (void)uv_async_send(&server->bridge.async);
}

void rpc_service_state_changed(struct rpc_service *service, enum vmreq_vm_state from,
                               enum vmreq_vm_state to, const char *reason)
{
        rpc_states_push(&service->states,
                        &(struct rpc_state_change){.from = from, .to = to, .reason = reason});
        wake_loop(service);
}

void rpc_service_console_news(struct rpc_service *service)
{
        /* acq_rel: what was written before is visible to whoever takes the news; pairs with
         * take_news. */
        if (!atomic_exchange_explicit(&service->console_news, true, memory_order_acq_rel))
                wake_loop(service);
}

/* Loop thread. */
static void take_news(struct rpc_server *server, struct rpc_service *service)
{
        /* Acquire: pairs with rpc_service_wake. */
        uint64_t due = atomic_exchange_explicit(&service->due_ns, UINT64_MAX, memory_order_acquire);

        if (due != UINT64_MAX)
                rpc_server_rearm(server, due);
        rpc_states_drain(server, &service->states);
        /* acq_rel: pairs with rpc_service_console_news. */
        if (atomic_exchange_explicit(&service->console_news, false, memory_order_acq_rel))
                rpc_events_feed(server, RPC_TOPIC_CONSOLE);
}

void rpc_service_wake(void *ctx, uint64_t due_ns)
{
        struct rpc_service *service = ctx;
        /* Acquire: pairs with rpc_server_set_service. */
        struct rpc_server *server = atomic_load_explicit(&service->server, memory_order_acquire);
        uint64_t old = atomic_load_explicit(&service->due_ns, memory_order_relaxed);

        if (server && loop_of_this_thread == server) {
                rpc_server_rearm(server, due_ns);
                return;
        }
        /* Release: pairs with the exchange in on_bridge. */
        while (due_ns < old &&
               !atomic_compare_exchange_weak_explicit(&service->due_ns, &old, due_ns,
                                                      memory_order_release, memory_order_relaxed))
                ;
        if (server)
                (void)uv_async_send(&server->bridge.async);
}

static void on_service(uv_timer_t *timer)
{
        struct rpc_server *server = timer->data;
        uint64_t next = vmreq_vm_service(server->config.vm, clock_now_ns());

        if (next != UINT64_MAX)
                rpc_server_rearm(server, next);
}

void rpc_server_rearm(struct rpc_server *server, uint64_t due_ns)
{
        uint64_t now = clock_now_ns();
        uint64_t ms = due_ns <= now ? 0 : (due_ns - now + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS;

        /* libuv counts from the loop's cached time, which may be old by now. */
        uv_update_time(&server->loop);
        /* Another thread's due time may be later than one of this thread's that came meanwhile. */
        if (uv_is_active((uv_handle_t *)&server->service_timer) &&
            uv_timer_get_due_in(&server->service_timer) <= ms)
                return;
        (void)uv_timer_start(&server->service_timer, on_service, ms, 0);
}

void rpc_server_offer_console(struct rpc_server *server, const struct rpc_feed *feed)
{
        server->events.topics[RPC_TOPIC_CONSOLE].feed = feed;
}

void rpc_server_set_service(struct rpc_server *server, struct rpc_service *service)
{
        server->service = service;
        /* Release: pairs with rpc_service_wake. */
        atomic_store_explicit(&service->server, server, memory_order_release);
}

/* ---- turns ---- */

static void on_bridge(uv_async_t *async)
{
        struct rpc_server *server = container_of(container_of(async, struct rpc_bridge, async),
                                                 struct rpc_server, bridge);

        rpc_calls_drain(server);
        /* Acquire: pairs with rpc_server_ask_stop. */
        if (atomic_load_explicit(&server->stop_asked, memory_order_acquire))
                rpc_drain_begin(server);
        if (server->service)
                take_news(server, server->service);
}

static void on_idle(uv_idle_t *idle)
{
        rpc_turn_serve(idle->data);
}

void rpc_server_flush(struct rpc_server *server)
{
        struct rpc_peer *peer;

        rpc_events_flush(server);
        while ((peer = TAILQ_FIRST(&server->dirty))) {
                TAILQ_REMOVE(&server->dirty, peer, dirty_link);
                peer->is_dirty = false;
                rpc_peer_flush(peer);
        }
        if (TAILQ_EMPTY(&server->ready))
                (void)uv_idle_stop(&server->idle);
        else
                (void)uv_idle_start(&server->idle, on_idle);
}

/* What the EMTs have finished meanwhile; then output. */
static void collect(struct rpc_server *server)
{
        rpc_calls_drain(server);
        rpc_drain_check(server);
        rpc_server_flush(server);
}

/* Of few calls in flight, one may be about to end: waiting for it here saves two threads a wake-up.
 * With many there is other work, and the answers go out better together. */
static void await_results(struct rpc_server *server)
{
        if (server->n_open && server->n_open <= SPIN_CALLS_MAX && TAILQ_EMPTY(&server->ready) &&
            rpc_bridge_spin(&server->bridge))
                collect(server);
}

static void on_prepare(uv_prepare_t *prepare)
{
        struct rpc_server *server = prepare->data;

        /* In this order: what the end of a drain has to say must not wait for the next event. */
        collect(server);
        rpc_wakes_pay(server);
        await_results(server);
        rpc_wakes_pay(server);
        /* They come as fast as they go: sockets have their turn, without sleep, and the answers go
         * out better together. */
        if (!rpc_bridge_sleep(&server->bridge))
                (void)uv_idle_start(&server->idle, on_idle);
        rpc_figures_look(server);
        rpc_idle_look(server);
}

static void on_check(uv_check_t *check)
{
        struct rpc_server *server = check->data;

        rpc_bridge_awake(&server->bridge);
        rpc_wakes_pay(server);
        rpc_server_flush(server);
        rpc_drain_check(server);
        rpc_turn_next(server);
}

static void on_signal(uv_signal_t *handle, int number)
{
        (void)number;
        rpc_drain_begin(handle->data);
}

/* ---- life ---- */

/* As the engine: where its EMTs do not spin, for want of processors, the loop does not either. */
static uint64_t spin_ns(vmreq_vm vm)
{
        struct vmreq_stats stats;

        return vmreq_vm_stats(vm, &stats) ? 0 : stats.spin_ns;
}

static int init_handles(struct rpc_server *server)
{
        uv_loop_t *loop = &server->loop;
        int r = uv_prepare_init(loop, &server->prepare);

        r = r ? r : uv_check_init(loop, &server->check);
        r = r ? r : uv_idle_init(loop, &server->idle);
        r = r ? r : uv_timer_init(loop, &server->service_timer);
        r = r ? r : uv_timer_init(loop, &server->drain_timer);
        r = r ? r : uv_timer_init(loop, &server->accept_timer);
        r = r ? r : uv_timer_init(loop, &server->figures_timer);
        r = r ? r : uv_timer_init(loop, &server->idle_timer);
        r = r ? r : uv_timer_init(loop, &server->watchdog_timer);
        r = r ? r : rpc_stall_init(server);
        r = r ? r : uv_timer_init(loop, &server->stream_timer);
        r = r ? r : uv_timer_init(loop, &server->stuck_timer);
        r = r ? r : uv_timer_init(loop, &server->kept_timer);
        r = r ? r : uv_signal_init(loop, &server->sigterm);
        r = r ? r : uv_signal_init(loop, &server->sigint);
        r = r ? r : rpc_bridge_init(&server->bridge, loop, on_bridge, spin_ns(server->config.vm));
        if (r)
                return r;
        server->prepare.data = server->check.data = server->idle.data = server;
        server->service_timer.data = server->drain_timer.data = server->accept_timer.data = server;
        server->stream_timer.data = server;
        server->stuck_timer.data = server;
        server->kept_timer.data = server;
        server->figures_timer.data = server->idle_timer.data = server->watchdog_timer.data = server;
        server->sigterm.data = server->sigint.data = server;
        r = uv_prepare_start(&server->prepare, on_prepare);
        r = r ? r : uv_check_start(&server->check, on_check);
        r = r ? r : uv_signal_start(&server->sigterm, on_signal, SIGTERM);
        r = r ? r : uv_signal_start(&server->sigint, on_signal, SIGINT);
        r = r ? r : rpc_reload_init(server);
        return r ? r : rpc_listener_start(server);
}

static void free_memory(struct rpc_server *server)
{
        rpc_events_deinit(&server->events);
        rpc_stuck_deinit(&server->stuck);
        rpc_call_pool_trim(&server->spare_calls, 0);
        proto_arena_deinit(&server->arena);
        free(server->scratch);
        free(server->ps_records);
        free(server);
}

int rpc_server_new(const struct rpc_config *config, struct rpc_server **ret_server)
{
        struct rpc_server *server = calloc(1, sizeof(*server));
        struct rpc_policy_host host;
        int r;

        if (!server) {
                (void)rpc_rules_free(config->rules);
                return -ENOMEM;
        }
        server->config = *config;
        rpc_limits_fit(&server->config.limits);
        atomic_init(&server->results_max, server->config.limits.bytes);
        server->started_ns = clock_now_ns();
        TAILQ_INIT(&server->peers);
        TAILQ_INIT(&server->dirty);
        TAILQ_INIT(&server->ready);
        TAILQ_INIT(&server->silent);
        TAILQ_INIT(&server->calls);
        TAILQ_INIT(&server->kept);
        TAILQ_INIT(&server->orphans);
        rpc_keys_init(&server->keys);
        rpc_streams_init(&server->streams);
        server->arena = PROTO_ARENA_NULL;
        rpc_policy_host_read(&host);
        rpc_policy_init(&server->policy, &host, config->vm_name, vmreq_vm_cpus(config->vm),
                        config->registry);
        server->policy.rules = config->rules;
        rpc_quota_init(&server->quota, &server->config.limits);
        server->scratch = malloc(RPC_TURN_BYTES_MAX);
        server->ps_records = calloc(RPC_PS_MAX + 1, sizeof(*server->ps_records));
        server->vm_state.from = _VMREQ_VM_N;
        server->vm_state.to = vmreq_vm_state(config->vm);
        r = server->scratch && server->ps_records && rpc_events_init(&server->events) &&
                            rpc_stuck_init(&server->stuck, vmreq_vm_cpus(config->vm))
                    ? uv_loop_init(&server->loop)
                    : -ENOMEM;
        if (r) {
                rpc_policy_deinit(&server->policy);
                free_memory(server);
                return r;
        }
        server->loop_open = true;
        rpc_modules_init(server);
        r = init_handles(server);
        if (r) {
                (void)rpc_server_free(server);
                return r;
        }
        *ret_server = server;
        return 0;
}

static void name_stuck(const struct rpc_server *server)
{
        const struct rpc_call *call;

        TAILQ_FOREACH (call, &server->calls, server_link)
                rpc_audit_left(call);
}

void rpc_server_run(struct rpc_server *server)
{
        loop_of_this_thread = server;
        if (server->config.on_ready)
                server->config.on_ready(server->config.ctx);
        if (server->service)
                take_news(server, server->service); /* of the time before there was a loop */
        rpc_watchdog_start(server);
        rpc_idle_look(server);
        (void)uv_run(&server->loop, UV_RUN_DEFAULT);
        loop_of_this_thread = NULL;
        server->phase = RPC_LEFT;
}

void rpc_server_ask_stop(struct rpc_server *server)
{
        /* Release: pairs with on_bridge. */
        atomic_store_explicit(&server->stop_asked, true, memory_order_release);
        (void)uv_async_send(&server->bridge.async);
}

bool rpc_server_settle(struct rpc_server *server)
{
        bool busy = !rpc_reload_stop(server);

        rpc_calls_drain(server);
        rpc_kept_drop_all(server);
        busy = !rpc_modules_settle(server) || busy;
        if (server->n_calls == 0)
                return !busy;
        name_stuck(server);
        return false;
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
        (void)ctx;
        if (!uv_is_closing(handle))
                uv_close(handle, NULL);
}

struct rpc_server *rpc_server_free(struct rpc_server *server)
{
        if (!server)
                return NULL;
        if (server->service)
                atomic_store_explicit(&server->service->server, NULL, memory_order_release);
        if (server->loop_open) {
                uv_walk(&server->loop, close_handle, NULL);
                while (uv_run(&server->loop, UV_RUN_DEFAULT))
                        ;
                CHECK(uv_loop_close(&server->loop) == 0);
        }
        CHECK(TAILQ_EMPTY(&server->peers) && TAILQ_EMPTY(&server->calls) &&
              TAILQ_EMPTY(&server->kept));
        CHECK(atomic_load_explicit(&server->results_held, memory_order_relaxed) == 0);
        rpc_quota_deinit(&server->quota);
        rpc_policy_deinit(&server->policy);
        free_memory(server);
        return NULL;
}
