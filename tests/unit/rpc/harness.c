/* SPDX-License-Identifier: MIT */
/*
 * The server in this process, and clients by hand: see harness.h.  cmocka's assertions belong to
 * the test's thread; what runs on the loop or on an EMT uses CHECK.
 */
#include "unit/rpc/harness.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/check.h"
#include "base/macros.h"
#include "rpc/peer.h"
#include "unit/rpc/module.h"

/* Longest wait for one answer: only a hang takes that long. */
#define ANSWER_MS 60000

/* ---- life ---- */

static void *loop_main(void *arg)
{
        struct harness *harness = arg;

        rpc_server_run(harness->server);
        return NULL;
}

static void on_job(uv_async_t *async)
{
        struct harness *harness = async->data;
        /* Acquire: pairs with post_job. */
        void (*job)(struct rpc_server *, void *) =
                atomic_exchange_explicit(&harness->job, NULL, memory_order_acquire);

        if (!job)
                return;
        job(harness->server, harness->job_ctx);
        CHECK(sem_post(&harness->job_done) == 0);
}

static void on_stopping(void *ctx, uint64_t drain_ms)
{
        struct harness *harness = ctx;

        (void)drain_ms;
        atomic_store(&harness->is_stopping, true);
}

static void on_reloading(void *ctx)
{
        struct harness *harness = ctx;

        atomic_fetch_add(&harness->n_reloading, 1);
}

static void on_reloaded(void *ctx)
{
        struct harness *harness = ctx;

        atomic_fetch_add(&harness->n_reloaded, 1);
}

static void listen_at(struct harness *harness)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void)snprintf(harness->dir, sizeof(harness->dir), "/tmp/vmreq-rpc-XXXXXX");
        assert_non_null(mkdtemp(harness->dir));
        (void)snprintf(harness->path, sizeof(harness->path), "%s/s", harness->dir);
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", harness->path);
        harness->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(harness->listen_fd >= 0);
        assert_int_equal(bind(harness->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(harness->listen_fd, 256), 0);
}

static void on_module_log(void *ctx, int level, const char *module, const char *text)
{
        (void)ctx;
        log_line(level, "module %s: %s", module, text);
}

static void on_state_changed(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to,
                             const char *reason)
{
        rpc_service_state_changed(ctx, from, to, reason);
}

static void new_vm(struct harness *harness, const struct harness_options *options)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        char text[256];

        harness->service = rpc_service_new();
        assert_non_null(harness->service);
        config.cpus = options->cpus;
        config.slab = options->slab;
        config.lane_capacity = options->lane;
        config.service_wake = rpc_service_wake;
        config.state_changed = on_state_changed;
        config.ctx = harness->service;
        assert_int_equal(vmreq_vm_create(&config, &harness->vm), 0);
        assert_int_equal(sym_registry_new(harness->vm, on_module_log, NULL, &harness->registry), 0);
        assert_int_equal(sym_registry_add_builtin(harness->registry, &test_module, NULL, 0, text,
                                                  sizeof(text)),
                         SYM_LOAD_OK);
        if (options->generators)
                assert_int_equal(sym_registry_add_builtin(harness->registry, &generator_module,
                                                          NULL, 0, text, sizeof(text)),
                                 SYM_LOAD_OK);
}

void harness_start(struct harness *harness, const struct harness_options *options)
{
        struct rpc_config config;

        memset(harness, 0, sizeof(*harness));
        log_init(getenv("VMREQ_TEST_LOG") ? STDERR_FILENO : -1, LOG_L_INFO);
        test_module_reset();
        generator_module_reset();
        listen_at(harness);
        new_vm(harness, options);
        config = (struct rpc_config){
                .vm_name = "test",
                .version = "0.test",
                .vm = harness->vm,
                .registry = harness->registry,
                .limits = options->limits,
                .listen_fd = harness->listen_fd,
                .on_stopping = on_stopping,
                .on_reloading = on_reloading,
                .on_reloaded = on_reloaded,
                .ctx = harness,
        };
        if (options->tune)
                options->tune(&config);
        assert_int_equal(rpc_server_new(&config, &harness->server), 0);
        rpc_server_set_service(harness->server, harness->service);
        assert_int_equal(sem_init(&harness->job_done, 0, 0), 0);
        assert_int_equal(uv_async_init(&harness->server->loop, &harness->job_async, on_job), 0);
        harness->job_async.data = harness;
        if (options->unserved)
                return;
        harness->running = true;
        assert_int_equal(pthread_create(&harness->thread, NULL, loop_main, harness), 0);
}

void harness_terminate(struct harness *harness)
{
        assert_true(harness->running);
        assert_int_equal(kill(getpid(), SIGTERM), 0);
}

void harness_join(struct harness *harness)
{
        assert_int_equal(pthread_join(harness->thread, NULL), 0);
        harness->running = false;
}

void harness_drain(struct harness *harness)
{
        harness_terminate(harness);
        harness_join(harness);
}

void harness_end(struct harness *harness)
{
        if (harness->running)
                harness_drain(harness);
        assert_int_equal(vmreq_vm_stop(harness->vm, VMREQ_FOREVER, NULL, 0), 0);
        assert_true(rpc_server_settle(harness->server));
        assert_int_equal(atomic_load(&n_states), 0); /* of generators: each was released */
        assert_null(rpc_server_free(harness->server));
        assert_null(sym_registry_free(harness->registry));
        assert_int_equal(vmreq_vm_free(harness->vm), 0);
        rpc_service_free(harness->service);
        assert_int_equal(sem_destroy(&harness->job_done), 0);
        (void)close(harness->listen_fd);
        (void)unlink(harness->path);
        assert_int_equal(rmdir(harness->dir), 0);
}

/* ---- the loop thread ---- */

static void post_job(struct harness *harness, void (*job)(struct rpc_server *, void *), void *ctx)
{
        harness->job_ctx = ctx;
        atomic_store_explicit(&harness->job, job, memory_order_release);
        assert_int_equal(uv_async_send(&harness->job_async), 0);
}

static void sem_down(sem_t *sem)
{
        while (sem_wait(sem))
                ;
}

void harness_on_loop(struct harness *harness, void (*job)(struct rpc_server *, void *), void *ctx)
{
        post_job(harness, job, ctx);
        sem_down(&harness->job_done);
}

static sem_t held, go;

static void hold_job(struct rpc_server *server, void *ctx)
{
        (void)server;
        (void)ctx;
        CHECK(sem_post(&held) == 0);
        sem_down(&go);
}

static struct harness *holding;

void harness_loop_hold(struct harness *harness)
{
        assert_int_equal(sem_init(&held, 0, 0), 0);
        assert_int_equal(sem_init(&go, 0, 0), 0);
        holding = harness;
        post_job(harness, hold_job, NULL);
        sem_down(&held);
}

void harness_loop_go(void)
{
        assert_int_equal(sem_post(&go), 0);
        sem_down(&holding->job_done);
}

struct question {
        bool (*condition)(struct rpc_server *, void *);
        void *ctx;
        bool answer;
};

static void ask_job(struct rpc_server *server, void *ctx)
{
        struct question *question = ctx;

        question->answer = question->condition(server, question->ctx);
}

void harness_until(struct harness *harness, bool (*condition)(struct rpc_server *, void *),
                   void *ctx)
{
        struct question question = {.condition = condition, .ctx = ctx};

        for (;;) {
                harness_on_loop(harness, ask_job, &question);
                if (question.answer)
                        return;
                (void)sched_yield();
        }
}

static void become_job(struct rpc_server *server, void *ctx)
{
        static const struct rpc_identity identities[] = {
                [HARNESS_ROOT] = {.uid = 0},
                [HARNESS_MEMBER] = {.uid = 12345, .gid = 4242},
                [HARNESS_STRANGER] = {.uid = 12345, .gid = 1},
        };
        struct rpc_identity identity = identities[*(enum harness_who *)ctx];
        struct rpc_peer *peer = TAILQ_FIRST(&server->peers);

        server->policy.host.has_group = true;
        server->policy.host.vmreq_group = 4242;
        rpc_rights_put(peer->rights);
        peer->rights = rpc_rights_get(&server->policy, &identity);
        CHECK(peer->rights);
        peer->identity.n_groups = 0; /* they were the other rights' */
}

void harness_become(struct harness *harness, enum harness_who who)
{
        harness_on_loop(harness, become_job, &who);
}

static void figures_job(struct rpc_server *server, void *ctx)
{
        *(struct harness_figures *)ctx = (struct harness_figures){
                .n_peers = server->n_peers,
                .n_calls = server->n_calls,
                .n_open = server->n_open,
                .connections = server->quota.all.used[RPC_CONNECTIONS],
                .calls = server->quota.all.used[RPC_CALLS],
                .bytes = server->quota.all.used[RPC_BYTES],
                .refused_notifications = server->refused_notifications,
        };
}

struct harness_figures harness_figures(struct harness *harness)
{
        struct harness_figures figures;

        harness_on_loop(harness, figures_job, &figures);
        return figures;
}

static bool is_idle(struct rpc_server *server, void *ctx)
{
        const struct rpc_peer *peer;
        uint64_t kept = 0;

        TAILQ_FOREACH (peer, &server->peers, link) {
                if (peer->n_unanswered || peer->in_len || peer->out.len)
                        return false;
                kept += peer->out.cap;
        }
        return server->n_peers == *(uint32_t *)ctx && server->n_calls == 0 && server->n_open == 0 &&
               server->quota.all.used[RPC_CALLS] == 0 &&
               server->quota.all.used[RPC_BYTES] == kept &&
               server->quota.all.used[RPC_CONNECTIONS] == server->n_peers;
}

void harness_until_idle(struct harness *harness, uint32_t n_peers)
{
        harness_until(harness, is_idle, &n_peers);
}

static bool has_calls(struct rpc_server *server, void *ctx)
{
        return server->n_calls == *(uint32_t *)ctx;
}

void harness_until_calls(struct harness *harness, uint32_t n_calls)
{
        harness_until(harness, has_calls, &n_calls);
}

static bool has_begun(struct rpc_server *server, void *ctx)
{
        const struct rpc_peer *peer;
        uint64_t last_peer = 0;

        /* Connections draw their numbers from the same counter. */
        TAILQ_FOREACH (peer, &server->peers, link)
                last_peer = MAX(last_peer, peer->number);
        return server->n_calls == 0 && server->next_id - last_peer >= *(uint64_t *)ctx;
}

void harness_until_begun(struct harness *harness, uint64_t n)
{
        harness_until(harness, has_begun, &n);
}

static bool has_peers(struct rpc_server *server, void *ctx)
{
        return server->n_peers == *(uint32_t *)ctx;
}

void harness_until_peers(struct harness *harness, uint32_t n_peers)
{
        harness_until(harness, has_peers, &n_peers);
}

/* ---- clients ---- */

void client_connect(struct client *client, const struct harness *harness)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        memset(client, 0, sizeof(*client));
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", harness->path);
        proto_builder_init(&client->out, PROTO_FRAME_BYTES_MAX);
        client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(client->fd >= 0);
        assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

void client_close(struct client *client)
{
        if (client->fd >= 0)
                (void)close(client->fd);
        client->fd = -1;
        proto_builder_deinit(&client->out);
        proto_arena_deinit(&client->frame.arena);
        free(client->in);
        client->in = NULL;
}

void client_send_raw(struct client *client, const void *data, size_t len)
{
        size_t sent = 0;

        while (sent < len) {
                ssize_t n =
                        send(client->fd, (const uint8_t *)data + sent, len - sent, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        const struct proto_value *root = client_receive(client);
                        char text[1024] = "";

                        if (root)
                                wire_show(root, text, sizeof(text));
                        fail_msg("send: %s; next answer: %s", strerror(errno), text);
                }
                sent += (size_t)n;
        }
}

void client_put(struct client *client, const char *text, ...)
{
        va_list args;

        va_start(args, text);
        wire_vput(&client->out, text, args);
        va_end(args);
}

void client_flush(struct client *client)
{
        client_send_raw(client, client->out.data, client->out.len);
        proto_builder_reset(&client->out);
}

void client_send(struct client *client, const char *text, ...)
{
        va_list args;

        va_start(args, text);
        wire_vput(&client->out, text, args);
        va_end(args);
        client_flush(client);
}

/* More bytes behind in[0..in_len).  False: end of file. */
static bool read_more(struct client *client)
{
        struct pollfd p = {.fd = client->fd, .events = POLLIN};
        ssize_t n;

        if (client->in_used) {
                memmove(client->in, client->in + client->in_used, client->in_len - client->in_used);
                client->in_len -= client->in_used;
                client->in_used = 0;
        }
        if (client->in_cap - client->in_len < 65536) {
                client->in_cap = 2 * client->in_cap + 65536;
                client->in = realloc(client->in, client->in_cap);
                assert_non_null(client->in);
        }
        do {
                n = poll(&p, 1, ANSWER_MS);
        } while (n < 0 && errno == EINTR);
        if (n == 0)
                fail_msg("no answer");
        n = recv(client->fd, client->in + client->in_len, client->in_cap - client->in_len, 0);
        if (n <= 0)
                return false;
        client->in_len += (size_t)n;
        return true;
}

const struct proto_value *client_receive(struct client *client)
{
        struct proto_frame frame;

        for (;;) {
                enum proto_frame_result r;

                proto_frame_init(&frame, PROTO_FRAME_BYTES_MAX);
                r = client->in_len > client->in_used
                            ? proto_frame_scan(&frame, client->in + client->in_used,
                                               client->in_len - client->in_used)
                            : PROTO_FRAME_MORE;
                if (r == PROTO_FRAME_DONE)
                        break;
                assert_int_equal(r, PROTO_FRAME_MORE);
                if (!read_more(client)) {
                        assert_int_equal(client->in_len, client->in_used); /* no torn frame */
                        return NULL;
                }
        }
        proto_arena_deinit(&client->frame.arena);
        assert_int_equal(proto_value_decode(&client->frame.arena, client->in + client->in_used,
                                            frame.pos, frame.values, &client->frame.root),
                         PROTO_VALUE_OK);
        client->in_used += frame.pos;
        return client->frame.root;
}

void client_expect(struct client *client, const char *shown)
{
        const struct proto_value *root = client_receive(client);
        static char text[1 << 16];

        if (!root)
                fail_msg("the connection has ended, expected %s", shown);
        wire_show(root, text, sizeof(text));
        assert_string_equal(text, shown);
}

uint64_t client_receive_uint(struct client *client, uint32_t msgid)
{
        const struct proto_value *root = client_receive(client);

        assert_non_null(root);
        assert_int_equal(root->items[1].u, msgid);
        assert_int_equal(root->items[2].type, PROTO_NIL);
        assert_int_equal(root->items[3].type, PROTO_UINT);
        return root->items[3].u;
}

uint64_t client_submit(struct client *client, const char *symbol, const char *options)
{
        char text[256];

        (void)snprintf(text, sizeof(text), "[0, 900, 'vmreq.submit', ['%s', [], %s]]", symbol,
                       options);
        client_send(client, text);
        return client_receive_uint(client, 900);
}

void client_expect_error(struct client *client, uint32_t msgid, const char *name, const char *ran,
                         const char *part)
{
        const struct proto_value *root = client_receive(client);
        char text[4096], ending[32], beginning[32];
        size_t len;

        if (!root)
                fail_msg("the connection has ended, expected %s", name);
        wire_show(root, text, sizeof(text));
        (void)snprintf(beginning, sizeof(beginning), "[1,%u,'%s: ", msgid, name);
        (void)snprintf(ending, sizeof(ending), " (ran: %s)',nil]", ran);
        len = strlen(text);
        if (strncmp(text, beginning, strlen(beginning)) != 0 || len < strlen(ending) ||
            strcmp(text + len - strlen(ending), ending) != 0 || !strstr(text, part))
                fail_msg("expected %s…%s…%s, got %s", beginning, part, ending, text);
}

void client_expect_end(struct client *client)
{
        const struct proto_value *root = client_receive(client);
        char text[4096];

        if (!root)
                return;
        wire_show(root, text, sizeof(text));
        fail_msg("expected the end, got %s", text);
}

void client_expect_silence(struct client *client)
{
        uint8_t byte;

        assert_int_equal(client->in_len, client->in_used);
        assert_int_equal(recv(client->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
        assert_int_equal(errno, EAGAIN);
}

void client_overdue(struct client *client, uint32_t msgid)
{
        char text[512];

        /* On a busy machine its time may be over before its EMT has come to it: then once more. */
        do {
                client_send(client,
                            "[0, %u, 'vmreq.call', ['t.gate', [], {'cpu': 0, 'timeout_ms': 10}]]",
                            (uint64_t)msgid);
                wire_show(client_receive(client), text, sizeof(text));
                assert_has(text, "TIMEOUT: t.gate: its time limit of 10 ms passed while it ");
        } while (strstr(text, "(ran: no)"));
        gate_wait();
}

void client_sync(struct client *client)
{
        client_send(client, "[0, 4242, 'vmreq.ping', []]");
        client_expect(client, "[1,4242,nil,'pong']");
}

void client_shut(struct client *client)
{
        assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
}

int harness_run(const char *name, const struct CMUnitTest *tests, size_t n)
{
        (void)alarm(HARNESS_ALARM_S);
        (void)signal(SIGPIPE, SIG_IGN);
        return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}
